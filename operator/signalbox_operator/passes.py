"""How the passes of the loop went, for readiness, metrics and the Fleet's status.

A pass that fails is tried again, so one alone says nothing to people; from `TOLD_AFTER` in a row on
they are told. `STUCK_AFTER` in a row say that what is applied has no effect, and that somebody has
to look. A restart would not help: what the API server
refuses, it refuses the next process too.
"""

import time
from dataclasses import dataclass, field
from typing import Final

TOLD_AFTER: Final = 2
"""So many in a row are told in status: one alone would change the Fleet, and with it look at every
object, for a moment's hiccup of the API server."""

STUCK_AFTER: Final = 5
"""So many passes that fail one after the other are no hiccup: about ten seconds."""

_MOST: Final = 512


@dataclass(slots=True)
class Passes:
    """Counts passes. `succeeded_at` is when one last did, by the monotonic clock, or when counting
    began; `problem` is why the last one failed."""

    succeeded: int = 0
    failed: int = 0
    in_a_row: int = 0
    problem: str = ""
    succeeded_at: float = field(default_factory=time.monotonic)

    def success(self) -> None:
        """One more went through."""
        self.succeeded += 1
        self.in_a_row, self.problem = 0, ""
        self.succeeded_at = time.monotonic()

    def failure(self, problem: str) -> None:
        """One more failed."""
        self.failed += 1
        self.in_a_row += 1
        self.problem = problem

    @property
    def is_told(self) -> bool:
        """Whether people are told that passes fail."""
        return self.in_a_row >= TOLD_AFTER

    @property
    def lacks(self) -> str:
        """Why the loop cannot release; "" while it can, as far as known."""
        if not self.succeeded:
            return self.problem or "nothing was compiled yet"
        if self.in_a_row >= STUCK_AFTER:
            return f"{self.in_a_row} passes failed one after the other: {self.problem}"
        return ""


def not_released(error: Exception) -> str:
    """What people are told of a release that failed, and what they can do."""
    why = str(error) or type(error).__name__
    return (
        f"what is written cannot be released: {why[:_MOST]}. Proxies serve on with what they have;"
        " it is tried again. Mend what is named (a quota or a policy on ConfigMaps, the API"
        " server's storage): see docs/operations.md#signalboxnotreleasing"
    )


__all__ = ["STUCK_AFTER", "TOLD_AFTER", "Passes", "not_released"]
