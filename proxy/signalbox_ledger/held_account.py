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
"""Beside what is spent, so much of the rate of holds lies ready: it is free again once they end."""

_MILLI = 1000
_RISES = 3
_FALLS = 30
"""The rate of holds follows a rise within about so many seconds, a fall much later."""

_NET = 10
"""The rate of what holds do not give back is smoothed over so many seconds, for it is noisy."""


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
    """The slices of one account. `taken` and `returned` are of the present second; `figures` of
    the window that begins at `window`, `coming` of the next one and its beginning."""

    budget: str
    subject: str
    exact: bool
    slices: list[HeldSlice] = field(default_factory=list)
    used_at: int = 0
    taken: int = 0
    returned: int = 0
    largest: int = 0
    figures: Figures | None = None
    window: int = 0
    coming: tuple[int, Figures] | None = None
    spent_since: int = 0
    look_at: int = 0
    _held_milli: int = 0
    _spent_milli: int = 0

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
        spent = max(0, -(-self._spent_milli // _MILLI))
        wanted = min(AHEAD_SECONDS * held, AHEAD_SECONDS * spent + WORKING_SECONDS * held)
        if self.figures is None:
            return wanted
        share = max(0, self.figures.headroom) // AHEAD_SHARE
        return min(wanted, share) if share >= self.largest else 0

    def measure(self) -> None:
        """Once a second: the rates of holds, and of what they do not give back."""
        rise = self.taken * _MILLI - self._held_milli
        self._held_milli += rise // (_RISES if rise > 0 else _FALLS)
        self._spent_milli += ((self.taken - self.returned) * _MILLI - self._spent_milli) // _NET
        self.taken = 0
        self.returned = 0

    def idle_after(self) -> int:
        """When its free amounts go back if it is not used before."""
        return self.used_at + (IDLE_SECONDS_EXACT if self.exact else IDLE_SECONDS) + 1
