"""Values as a snapshot spells them: classes as integers, instants as seconds."""

from datetime import datetime

from signalbox_snapshot import snapshot as wire


def sensitivity(rank: int) -> wire.Sensitivity:
    """A rank as the wire type spells it."""
    ranks: tuple[wire.Sensitivity, ...] = (0, 1, 2, 3)
    return ranks[rank]


def epoch_seconds(instant: datetime | None) -> int | None:
    """Seconds since the epoch, rounded down; what lies before it has passed as well at 0."""
    return None if instant is None else max(0, int(instant.timestamp()))
