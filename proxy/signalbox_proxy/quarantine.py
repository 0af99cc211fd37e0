"""Lanes whose provider billed above the bound: not called again until their Model changes.

A bound that did not hold once is no bound. Kept per process: each proxy learns from its own runs,
and a metric and the log tell people.
"""

from collections.abc import Sequence

from signalbox_proxy.quotes import Quote
from signalbox_proxy.runtime import PreparedLane
from signalbox_snapshot.snapshot import Model


class Quarantine:
    """The lanes that are not called, each with the Model that it was put here under."""

    __slots__ = ("_lanes",)

    def __init__(self) -> None:
        self._lanes: dict[str, Model] = {}

    def __contains__(self, lane: PreparedLane) -> bool:
        return bool(self._lanes) and self._lanes.get(lane.id) == lane.model

    def __len__(self) -> int:
        return len(self._lanes)

    def add(self, lane: PreparedLane) -> None:
        """Call this lane no more."""
        self._lanes[lane.id] = lane.model

    def clear_of(self, ranking: Sequence[Quote]) -> list[Quote]:
        """What is left of a ranking."""
        if not self._lanes:
            return list(ranking)
        return [quote for quote in ranking if quote.lane not in self]
