"""How many statuses may leave: at most RATE in any second, and of these a share for each urgency.

Pure; the clock's value is passed in. The most urgent go first, and still keep nothing else back for
long: whoever has a thousand Budgets flip at once takes what nobody else waits for. SHARE writes of
each second go to what is less urgent, as many as wait; and KEPT are for conditions alone, so that
numbers, which change all the time under traffic, never make a condition wait.
"""

from collections import Counter, deque
from collections.abc import Mapping
from enum import IntEnum
from typing import Final

RATE: Final = 20
"""Most writes in any second."""

KEPT: Final = 5
"""Of these so many are for conditions alone, but for the share of numbers."""

SECOND: Final = 1.0


class Urgency(IntEnum):
    """How soon a difference has to be written."""

    EXHAUSTED = 0
    CONDITION = 1
    NUMBERS = 2


SHARE: Final[Mapping[Urgency, int]] = {Urgency.CONDITION: 4, Urgency.NUMBERS: 2}
"""So many writes of a second are for these while they wait, whatever is more urgent."""

Waits = Mapping[Urgency, int]
"""How many writes of each urgency could begin."""


class Leaves:
    """Counts what leaves, by the clock of who gets it.

    A write counts from its beginning until a second after its answer: in between it took effect, at
    an instant that only the API server knows.
    """

    def __init__(self) -> None:
        self._under_way: Counter[Urgency] = Counter()
        self._ended: deque[tuple[float, Urgency]] = deque()

    def take(self, now: float, urgency: Urgency, waits: Waits) -> bool:
        """Whether one more of this urgency may leave; counts it if so."""
        while self._ended and now - self._ended[0][0] >= SECOND:
            self._ended.popleft()
        if not self._may_leave(now, urgency, waits):
            return False
        self._under_way[urgency] += 1
        return True

    def answered(self, now: float, urgency: Urgency) -> None:
        """One that left was answered, in whatever way."""
        self._under_way[urgency] -= 1
        self._ended.append((now, urgency))

    def free_at(self, now: float, urgency: Urgency, waits: Waits) -> float | None:
        """When the next may leave; None: not before another one is answered."""
        times = (now, *(at + SECOND for at, _ in self._ended if at + SECOND > now))
        return next((at for at in times if self._may_leave(at, urgency, waits)), None)

    def _may_leave(self, now: float, urgency: Urgency, waits: Waits) -> bool:
        counted = self._under_way + Counter(each for at, each in self._ended if now < at + SECOND)
        most = RATE - sum(
            max(0, min(share - counted[other], waits.get(other, 0)))
            for other, share in SHARE.items()
            if other > urgency
        )
        if urgency is Urgency.NUMBERS and counted[urgency] >= SHARE[urgency]:
            most -= KEPT
        return counted.total() < most
