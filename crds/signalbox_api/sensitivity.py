"""The ordered sensitivity classes: what may be sent where.

Stands at the bottom of `signalbox_api`; every kind that speaks of data names one of these classes.
"""

from enum import StrEnum


class Sensitivity(StrEnum):
    """How harmful a leak would be. Ordered: `public < internal < confidential < regulated`."""

    PUBLIC = "public"
    INTERNAL = "internal"
    CONFIDENTIAL = "confidential"
    REGULATED = "regulated"

    @property
    def rank(self) -> int:
        """Position in the order, 0 for `public`; compare ranks, never the names."""
        return _ORDER.index(self)


_ORDER = tuple(Sensitivity)
