"""Values as a snapshot spells them, classes as integers, instants as seconds; and back in words."""

from collections.abc import Iterable
from datetime import datetime

from signalbox_api.jurisdictions import GROUPS
from signalbox_snapshot import snapshot as wire


def sensitivity(rank: int) -> wire.Sensitivity:
    """A rank as the wire type spells it."""
    ranks: tuple[wire.Sensitivity, ...] = (0, 1, 2, 3)
    return ranks[rank]


def epoch_seconds(instant: datetime | None) -> int | None:
    """Seconds since the epoch, rounded down; what lies before it has passed as well at 0."""
    return None if instant is None else max(0, int(instant.timestamp()))


def countries_in_words(lock: Iterable[str]) -> str:
    """Countries as people write them: a group by its name, several by their codes."""
    countries = frozenset(lock)
    group = next((name for name in sorted(GROUPS) if GROUPS[name] == countries), None)
    return group or ", ".join(sorted(countries)) or "no country"
