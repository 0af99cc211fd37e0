"""One connection's session with the authority."""

from dataclasses import dataclass, field


@dataclass(slots=True, eq=False)
class Session:
    """What one connection may do: draw for its holder, settle for those it fenced. `generation` is
    that of the snapshot which it was configured by, `acknowledged` how much of its journal the
    holder had been told is settled when it said hello."""

    holder: str = ""
    epoch: int = 0
    is_closed: bool = False
    generation: int = 0
    acknowledged: int = 0
    recovers: set[str] = field(default_factory=set)
