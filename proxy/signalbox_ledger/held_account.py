"""What a proxy holds of one account, how fast it is used, and how much should lie ready.

Pure and without a clock: instants are seconds by the authority's clock. A slice is split into what
is free, what open holds took, what settled holds spent and the authority does not know yet
(`pending`), and what it does (`spent`).
"""

from dataclasses import dataclass, field

from signalbox_ledger.accounts import AHEAD_SECONDS, AHEAD_SHARE, Figures

ENDLESS = 2**62
"""The end of a window that has none."""

IDLE_SECONDS = 10
IDLE_SECONDS_EXACT = 2
"""An account that was not used for so long gives its free amounts back."""

WORKING_SECONDS = 5
WORKING_HOLDS = 4
"""Beside what is spent, so much of the rate of holds lies ready, and at least so many holds: it is
free again once they end."""

_MILLI = 1000
_RISES = 3
_FALLS = 30
"""The rate of holds follows a rise within about so many seconds, a fall much later."""

_SPENT = 10
_GROWTH = 30
"""What is spent, and by how much open holds grow, are smoothed over so many seconds: noisier, and
nothing while traffic is even."""


@dataclass(slots=True, eq=False)
class HeldSlice:
    """One slice of one account, pinned to its window."""

    id: str
    start: int
    end: int
    free: int
    basis: str = ""
    open: int = 0
    pending: int = 0
    spent: int = 0
    draining: bool = False

    @property
    def kept(self) -> int:
        """What cannot go back: open holds and what was spent."""
        return self.open + self.pending + self.spent

    @property
    def is_settled(self) -> bool:
        """Nothing in it is open, and the authority knows all that was spent."""
        return self.open == 0 and self.pending == 0


@dataclass(slots=True, eq=False)
class HeldAccount:
    """The slices of one account.

    `taken`, `returned` and `settled` are of the present second; `figures` of the window that begins
    at `window`, `coming` of the next one, after its beginning.
    """

    budget: str
    subject: str
    exact: bool
    slices: list[HeldSlice] = field(default_factory=list)
    used_at: int = 0
    taken: int = 0
    returned: int = 0
    settled: int = 0
    largest: int = 0
    figures: Figures | None = None
    window: int = 0
    coming: tuple[int, Figures] | None = None
    spent_since: int = 0
    look_at: int = 0
    _held_milli: int = 0
    _spent_milli: int = 0
    _growth_milli: int = 0

    def free_at(self, now: int) -> int:
        """What can be held without a draw."""
        return sum(s.free for s in self.slices if not s.draining and s.start <= now < s.end)

    @property
    def is_tight(self) -> bool:
        """Near its limit: a slice drawn ahead would not cover one hold."""
        figures = self.figures
        return figures is None or figures.headroom // AHEAD_SHARE < self.largest

    @property
    def ahead(self) -> int:
        """What should lie free: what the present rate spends in the time that a slice should last.

        At most this holder's share of the headroom; nothing near the limit, where a slice is
        exactly one hold, and nothing for exact accounts.
        """
        if self.exact:
            return 0
        held = max(-(-self._held_milli // _MILLI), self.taken)
        spent = -(-(self._spent_milli + max(0, self._growth_milli)) // _MILLI)
        working = max(WORKING_SECONDS * held, WORKING_HOLDS * self.largest)
        wanted = min(AHEAD_SECONDS * held, AHEAD_SECONDS * spent + working)
        if self.figures is None:
            return wanted
        share = max(0, self.figures.headroom) // AHEAD_SHARE
        return min(wanted, share) if share >= self.largest else 0

    def measure(self) -> None:
        """Once a second: the rates of holds, of what is spent, and of what stays open."""
        rise = self.taken * _MILLI - self._held_milli
        self._held_milli += rise // (_RISES if rise > 0 else _FALLS)
        growth = self.taken - self.returned - self.settled
        self._spent_milli += (self.settled * _MILLI - self._spent_milli) // _SPENT
        self._growth_milli += (growth * _MILLI - self._growth_milli) // _GROWTH
        self.taken = 0
        self.returned = 0
        self.settled = 0

    def idle_after(self) -> int:
        """When its free amounts go back if it is not used before."""
        if self.exact:
            return self.used_at + IDLE_SECONDS_EXACT + 1
        return self.used_at + IDLE_SECONDS + 1
