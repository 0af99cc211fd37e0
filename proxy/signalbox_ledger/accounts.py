"""Rules of accounts: what may be drawn, what is exhausted, what happens when a limit moves.

Pure. The stores apply these rules inside their transactions; the holders of slices apply none of
them, they spend what they were granted. For one account, with amounts in the budget's unit:

    granted   = amounts of open slices + what closed slices spent
    settled   = what slices spent, open or closed
    held      = granted - settled: open holds, and slices that lie idle
    headroom  = limit - granted - overrun: what can be drawn now
    remaining = limit - settled - overrun: what could be drawn if every hold were released
    enforced  = the bound that the database keeps `granted` under; above `limit` only while
                slices drawn under a higher limit have not come back
"""

from collections.abc import Sequence
from typing import Annotated, Literal

import msgspec

from signalbox_ledger.money import MAX_AMOUNT
from signalbox_ledger.windows import Every, window_of

Unit = Literal["usd", "tokens", "requests"]
Per = Literal["user", "session", "agent"]
State = Literal["free", "held", "exhausted"]

Amount = Annotated[int, msgspec.Meta(ge=0, le=MAX_AMOUNT)]
Name = Annotated[str, msgspec.Meta(max_length=512)]

AHEAD_SECONDS = 45
"""A slice covers up to this much of its holder's rate."""

AHEAD_SHARE = 100
"""A slice drawn ahead takes at most one in this many of the headroom."""


class BudgetSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the authority must know of a budget. `limit` is in `unit` (usd: nano-USD).

    `id` is namespace/name and outlives deletion: a budget made again under its old name goes on
    where it stood. `per` gives each user, session or agent an account of its own;
    `new_subjects` is how many of them one agent may bring into a window (None: no bound).
    """

    id: Name
    unit: Unit
    limit: Amount
    every: Every
    count: Annotated[int, msgspec.Meta(ge=1, le=10_000)]
    time_zone: Annotated[str, msgspec.Meta(max_length=64)]
    per: Per | None = None
    new_subjects: Annotated[int, msgspec.Meta(ge=1, le=MAX_AMOUNT)] | None = None

    @property
    def basis(self) -> str:
        """What its accounts count, over which windows: part of an account's identity."""
        return f"{self.unit}/{self.count}/{self.every}/{self.time_zone}"

    def window(self, instant: int) -> tuple[int, int]:
        """Start and end of the window at `instant`, in seconds since the epoch."""
        return window_of(self.every, self.count, self.time_zone, instant)


def check_spec(spec: BudgetSpec, now: int) -> None:
    """Raise ValueError for a budget that no authority takes: a value out of range, or a window
    that cannot be computed, as in a time zone that this machine does not know."""
    try:
        msgspec.convert(msgspec.to_builtins(spec), BudgetSpec)
    except msgspec.ValidationError as error:
        raise ValueError(f"budget {spec.id[:80]}: {error}") from None
    try:
        spec.window(spec.window(now)[1])
    except (KeyError, ValueError, OverflowError, OSError) as error:
        raise ValueError(f"budget {spec.id}: no window {spec.basis!r}: {error}") from error


class Figures(msgspec.Struct, frozen=True, array_like=True):
    """How one account stands, as the authority knows it. See the module's docstring.

    `held` is None where nobody had to look: it is summed over all open slices, and decides
    nothing while there is headroom.
    """

    limit: int
    granted: int
    held: int | None
    overrun: int

    @property
    def settled(self) -> int:
        """What runs have spent; what is granted, where nobody looked what of it is held."""
        return self.granted - (self.held or 0)

    @property
    def headroom(self) -> int:
        """What can be drawn now; negative after a limit was lowered or overrun."""
        return self.limit - self.granted - self.overrun

    @property
    def remaining(self) -> int:
        """What could be drawn if every hold were released and every idle slice came back; at
        least so much, where nobody looked what is held."""
        return self.limit - self.settled - self.overrun

    @property
    def state(self) -> State:
        """exhausted: spent. held: only open holds and idle slices stand in the way."""
        if self.remaining <= 0:
            return "exhausted"
        return "held" if self.headroom <= 0 else "free"


def grant_amount(
    headroom: int, *, needs: Sequence[int], free: int, want: int, exact: bool
) -> tuple[int, int]:
    """How large a slice to grant, and the smallest need that it leaves open (0: none).

    `needs` are holds that wait, first come first served; one that does not fit is passed over.
    `free` is what the holder still has of this account. Beyond the needs, `want` is granted up
    to the holder's share of the headroom, unless the account is drawn exactly.
    """
    covered = 0
    unmet = 0
    for need in needs:
        if covered + need - free <= max(0, headroom):
            covered += need
        elif unmet == 0 or need < unmet:
            unmet = need
    required = max(0, covered - free)
    if exact or unmet:
        return required, unmet
    return max(required, min(want, headroom // AHEAD_SHARE)), unmet
