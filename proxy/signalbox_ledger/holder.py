"""What a proxy holds of accounts: slices, and the holds inside them.

In memory and without I/O: this is the part of money that runs once or twice per request. A slice
is split into what is free, what open holds took, what settled holds spent and the authority does
not know yet (`pending`), and what it does (`spent`).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import msgspec

from signalbox_ledger.accounts import AHEAD_SECONDS, AHEAD_SHARE, Figures
from signalbox_ledger.protocol import Grant, ReturnItem
from signalbox_ledger.records import HoldPart

ENDLESS = 2**62
"""The end of a window that has none."""

IDLE_SECONDS = 10
IDLE_SECONDS_EXACT = 2
"""An account that was not used for so long gives its free amounts back."""

Key = tuple[str, str]
"""Budget and subject."""


class Claim(msgspec.Struct, frozen=True):
    """What one attempt may cost one account, in its unit. Subject "" is the shared account."""

    budget: str
    subject: str
    amount: int


@dataclass(slots=True, eq=False)
class Hold:
    """What was taken for one attempt. `claims` tells which claim each part belongs to."""

    parts: tuple[HoldPart, ...]
    claims: tuple[int, ...]
    is_open: bool = True


@dataclass(slots=True, eq=False)
class HeldSlice:
    """One slice of one account, pinned to its window."""

    id: str
    start: int
    end: int
    free: int
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
    """The slices of one account, and how fast they are used."""

    budget: str
    subject: str
    exact: bool
    slices: list[HeldSlice] = field(default_factory=list)
    used_at: int = 0
    taken: int = 0
    rate: int = 0
    largest: int = 0
    figures: Figures | None = None
    spent_since: int = 0

    def free_at(self, now: int) -> int:
        """What can be held without a draw."""
        return sum(s.free for s in self.slices if not s.draining and s.start <= now < s.end)

    @property
    def is_tight(self) -> bool:
        """Near its limit: a slice drawn ahead would not cover one hold."""
        figures = self.figures
        return figures is None or figures.headroom // AHEAD_SHARE < self.largest

    @property
    def wanted_ahead(self) -> int:
        """What the present rate uses up in the time that a slice should last."""
        return 0 if self.exact else AHEAD_SECONDS * max(self.rate, self.taken)

    def measure(self) -> None:
        """Once a second: the rate of holds, smoothed over about three seconds."""
        self.rate = (2 * self.rate + self.taken) // 3
        self.taken = 0


class Holdings:
    """Every slice of one holder."""

    def __init__(self) -> None:
        self.accounts: dict[Key, HeldAccount] = {}
        self._slices: dict[str, tuple[HeldAccount, HeldSlice]] = {}

    def account(self, budget: str, subject: str, *, exact: bool) -> HeldAccount:
        """The account, empty where nothing was drawn yet."""
        found = self.accounts.get((budget, subject))
        if found is None:
            found = HeldAccount(budget, subject, exact)
            self.accounts[budget, subject] = found
        return found

    def try_hold(self, claims: Sequence[Claim], now: int) -> Hold | None:
        """Take every claim, or nothing. `now` in seconds by the authority's clock."""
        taken: list[tuple[HeldSlice, int]] = []
        parts: list[HoldPart] = []
        indices: list[int] = []
        for index, claim in enumerate(claims):
            rest = claim.amount
            budget = claim.budget
            subject = claim.subject
            if rest == 0:
                parts.append(HoldPart(slice_id="", budget=budget, subject=subject, amount=0))
                indices.append(index)
                continue
            account = self.accounts.get((budget, subject))
            for held in account.slices if account is not None else ():
                free = held.free
                if free == 0 or held.draining or not held.start <= now < held.end:
                    continue
                amount = rest if rest < free else free  # noqa: FURB136 - min() costs a call
                held.free = free - amount
                held.open += amount
                taken.append((held, amount))
                parts.append(
                    HoldPart(slice_id=held.id, budget=budget, subject=subject, amount=amount)
                )
                indices.append(index)
                rest -= amount
                if rest == 0:
                    break
            if rest or account is None:
                _undo(taken)
                return None
        self._count(claims, now)
        return Hold(tuple(parts), tuple(indices))

    def _count(self, claims: Sequence[Claim], now: int) -> None:
        for claim in claims:
            account = self.accounts.get((claim.budget, claim.subject))
            if account is not None:
                account.used_at = now
                account.taken += claim.amount
                if claim.amount > account.largest:
                    account.largest = claim.amount

    def settle(self, hold: Hold, spent: Sequence[int]) -> tuple[HoldPart, ...]:
        """Close a hold: `spent` by claim. What is above the hold stays on its last part."""
        if not hold.is_open:
            raise ValueError("this hold is settled already")
        if any(amount < 0 for amount in spent) or len(spent) <= max(hold.claims, default=-1):
            raise ValueError("settle needs one amount of zero or more for each claim")
        hold.is_open = False
        rest = list(spent)
        last = {claim: position for position, claim in enumerate(hold.claims)}
        parts: list[HoldPart] = []
        for position, (part, claim) in enumerate(zip(hold.parts, hold.claims, strict=True)):
            within = min(rest[claim], part.amount)
            rest[claim] -= within
            above = rest[claim] if last[claim] == position else 0
            parts.append(self._close(part, within, above))
        return tuple(parts)

    def _close(self, part: HoldPart, within: int, above: int) -> HoldPart:
        found = self._slices.get(part.slice_id)
        if found is not None:
            account, held = found
            held.open -= part.amount
            held.pending += within
            held.free += part.amount - within
            account.spent_since += within + above
        return HoldPart(
            slice_id=part.slice_id,
            budget=part.budget,
            subject=part.subject,
            amount=part.amount,
            spent=within + above,
        )

    def acknowledge(self, parts: Iterable[HoldPart]) -> None:
        """The authority settled runs with these parts."""
        for part in parts:
            found = self._slices.get(part.slice_id)
            if found is not None:
                within = min(part.spent, part.amount)
                found[1].pending -= within
                found[1].spent += within

    def granted(self, account: HeldAccount, grant: Grant) -> None:
        """Take up what the authority answered to a draw."""
        account = self.accounts.setdefault((account.budget, account.subject), account)
        account.figures = grant.figures
        account.spent_since = 0
        if grant.amount == 0 or grant.slice_id in self._slices:
            return
        held = HeldSlice(
            grant.slice_id, grant.window_start, grant.window_end or ENDLESS, grant.amount
        )
        account.slices.append(held)
        self._slices[held.id] = (account, held)

    def drain(self, slice_ids: Iterable[str]) -> bool:
        """Others wait for these slices: use them no more. Whether any is held here."""
        found = [self._slices[id_] for id_ in slice_ids if id_ in self._slices]
        for _, held in found:
            held.draining = True
        return bool(found)

    def drain_budget(self, budget: str) -> None:
        """The budget counts otherwise from now on, or is gone."""
        for account in self.accounts.values():
            if account.budget == budget:
                for held in account.slices:
                    held.draining = True

    def drain_all(self) -> None:
        """This holder is fenced: its slices are no longer its own."""
        for account in self.accounts.values():
            for held in account.slices:
                held.draining = True

    def collect(self, now: int, *, everything: bool = False) -> list[ReturnItem]:
        """What goes back: of slices that are wanted, over, idle; and those that are used up."""
        items: list[ReturnItem] = []
        for key, account in list(self.accounts.items()):
            limit = IDLE_SECONDS_EXACT if account.exact else IDLE_SECONDS
            idle = everything or now - account.used_at > limit
            for held in list(account.slices):
                if held.free and (idle or held.draining or held.end <= now):
                    held.free = 0
                    items.append(ReturnItem(held.id, held.kept, close=False))
                if held.free == 0 and held.is_settled:
                    account.slices.remove(held)
                    del self._slices[held.id]
                    items.append(ReturnItem(held.id, held.spent, close=True))
            if idle and not account.slices and account.taken == 0 and account.rate == 0:
                del self.accounts[key]
        return items

    def remaining(self, budget: str, subject: str) -> int | None:
        """What the authority last said, less what was spent here since."""
        account = self.accounts.get((budget, subject))
        if account is None or account.figures is None:
            return None
        return max(0, account.figures.remaining - account.spent_since)


def _undo(taken: Iterable[tuple[HeldSlice, int]]) -> None:
    for held, amount in taken:
        held.open -= amount
        held.free += amount
