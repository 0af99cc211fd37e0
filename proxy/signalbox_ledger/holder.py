"""What a proxy holds of accounts: slices, and the holds inside them.

In memory and without I/O: this is the part of money that runs once or twice per request. What is
done besides costs as much as accounts were touched since, not as many as there are: a proxy may
hold slices of a hundred thousand users.
"""

from collections.abc import Iterable, Iterator, Sequence

from signalbox_ledger.claims import Claim, Hold, Key
from signalbox_ledger.held_account import ENDLESS, HeldAccount, HeldSlice
from signalbox_ledger.protocol import Grant, PresentedSlice, ReturnItem
from signalbox_ledger.records import HoldPart

__all__ = ["ENDLESS", "Claim", "HeldAccount", "HeldSlice", "Hold", "Holdings", "Key"]


class Holdings:
    """Every slice of one holder."""

    def __init__(self) -> None:
        self.accounts: dict[Key, HeldAccount] = {}
        self.shared: dict[Key, HeldAccount] = {}
        self._slices: dict[str, tuple[HeldAccount, HeldSlice]] = {}
        self._touched: dict[HeldAccount, None] = {}
        self._calendar: dict[int, list[HeldAccount]] = {}
        self.near_limit = False

    @property
    def is_empty(self) -> bool:
        """Whether no slice is held: nothing that others could want."""
        return not self._slices

    def account(self, budget: str, subject: str, *, exact: bool) -> HeldAccount:
        """The account, empty where nothing was drawn yet."""
        found = self.accounts.get((budget, subject))
        if found is None:
            found = HeldAccount(budget, subject, exact)
            self._keep(found)
        return found

    def _keep(self, account: HeldAccount) -> None:
        self.accounts[account.budget, account.subject] = account
        if not account.exact:
            self.shared[account.budget, account.subject] = account
        self._touched[account] = None

    def touch(self, account: HeldAccount) -> None:
        """Look at it in the next `collect`."""
        self._touched[account] = None

    def try_hold(self, claims: Sequence[Claim], now: int) -> Hold | None:
        """Take every claim, or nothing. `now` in seconds by the authority's clock."""
        taken: list[tuple[HeldSlice, int]] = []
        parts: list[HoldPart] = []
        indices: list[int] = []
        found: list[HeldAccount | None] = []
        for index, claim in enumerate(claims):
            rest = claim.amount
            budget = claim.budget
            subject = claim.subject
            account = self.accounts.get((budget, subject))
            found.append(account)
            if rest == 0:
                parts.append(HoldPart("", budget, subject, 0))
                indices.append(index)
                continue
            for held in account.slices if account is not None else ():
                free = held.free
                if free == 0 or held.draining or not held.start <= now < held.end:
                    continue
                amount = rest if rest < free else free  # noqa: FURB136 - min() costs a call
                held.free = free - amount
                held.open += amount
                taken.append((held, amount))
                parts.append(HoldPart(held.id, budget, subject, amount))
                indices.append(index)
                rest -= amount
                if rest == 0:
                    break
            if rest or account is None:
                _undo(taken)
                return None
        self._count(found, claims, now)
        return Hold(tuple(parts), tuple(indices))

    def _count(
        self, accounts: Sequence[HeldAccount | None], claims: Sequence[Claim], now: int
    ) -> None:
        for account, claim in zip(accounts, claims, strict=True):
            if account is not None:
                amount = claim.amount
                account.used_at = now
                account.taken += amount
                if amount > account.largest:
                    account.largest = amount

    def settle(self, hold: Hold, spent: Sequence[int]) -> tuple[HoldPart, ...]:
        """Close a hold: `spent` by claim. What is above the hold stays on its last part."""
        if not hold.is_open:
            raise ValueError("this hold is settled already")
        claims = hold.claims
        if (spent and min(spent) < 0) or (claims and len(spent) <= claims[-1]):
            raise ValueError("settle needs one amount of zero or more for each claim")
        hold.is_open = False
        rest = list(spent)
        parts: list[HoldPart] = []
        for part, claim, following in zip(hold.parts, claims, (*claims[1:], -1), strict=True):
            left = rest[claim]
            amount = part.amount
            within = left if left < amount else amount  # noqa: FURB136 - min() costs a call
            if following == claim:
                rest[claim] = left - within
                left = within
            parts.append(self._close(part, within, left))
        return tuple(parts)

    def _close(self, part: HoldPart, within: int, spent: int) -> HoldPart:
        """`within` of what was `spent` lies in the part; what is above is not held anywhere."""
        found = self._slices.get(part.slice_id)
        amount = part.amount
        if found is not None:
            account, held = found
            back = amount - within
            held.open -= amount
            held.pending += within
            held.free += back
            account.returned += back
            account.settled += within
            account.spent_since += spent
            self._touched[account] = None
        return HoldPart(part.slice_id, part.budget, part.subject, amount, spent)

    def acknowledge(self, parts: Iterable[HoldPart]) -> None:
        """The authority settled runs with these parts."""
        for part in parts:
            found = self._slices.get(part.slice_id)
            if found is not None:
                account, held = found
                spent, amount = part.spent, part.amount
                within = spent if spent < amount else amount  # noqa: FURB136 - min() costs a call
                held.pending -= within
                held.spent += within
                self._touched[account] = None

    def granted(
        self, account: HeldAccount, grant: Grant, *, upcoming: bool = False, basis: str = ""
    ) -> None:
        """Take up what the authority answered to a draw of a budget that counts `basis`."""
        known = self.accounts.get((account.budget, account.subject))
        if known is None:
            self._keep(account)
        else:
            account = known
        if not upcoming:
            account.figures = grant.figures
            account.window = grant.window_start
            account.spent_since = 0
            self.near_limit = self.near_limit or (account.is_tight and not account.exact)
        elif grant.figures is not None:
            account.coming = (grant.window_start, grant.figures)
        self._touched[account] = None
        if grant.amount == 0 or grant.slice_id in self._slices:
            return
        end = grant.window_end or ENDLESS
        held = HeldSlice(grant.slice_id, grant.window_start, end, grant.amount, basis)
        account.slices.append(held)
        self._slices[held.id] = (account, held)

    def presented(self) -> list[PresentedSlice]:
        """Every slice that is held, as the authority should know it."""
        return [
            PresentedSlice(
                slice_id=held.id,
                budget=account.budget,
                basis=held.basis,
                subject=account.subject,
                window_start=held.start,
                window_end=held.end if held.end < ENDLESS else 0,
                amount=held.free + held.kept,
            )
            for account, held in self._slices.values()
        ]

    def settled(self) -> dict[str, int]:
        """What the authority knows to be spent of every slice that is held."""
        return {id_: held.spent for id_, (_, held) in self._slices.items()}

    def close_strays(self, slice_ids: Iterable[str]) -> list[ReturnItem]:
        """What closes those of these slices that are not held here any more."""
        return [ReturnItem(id_, 0, close=True) for id_ in slice_ids if id_ not in self._slices]

    def drain(self, slice_ids: Iterable[str]) -> bool:
        """Others wait for these slices: use them no more. Whether any is held here."""
        found = [self._slices[id_] for id_ in slice_ids if id_ in self._slices]
        for account, held in found:
            held.draining = True
            self._touched[account] = None
        return bool(found)

    def drain_budgets(self, budgets: Iterable[str]) -> None:
        """These budgets count otherwise from now on, or are gone."""
        changed = set(budgets)
        for account, held in self._slices.values():
            if account.budget in changed:
                held.draining = True
                self._touched[account] = None

    def drain_all(self) -> None:
        """This holder is fenced: its slices are no longer its own."""
        self.drain(list(self._slices))

    def collect(self, now: int, *, everything: bool = False) -> list[ReturnItem]:
        """What goes back: of slices that are wanted, over, idle; and those that are used up."""
        due = list(self.accounts.values()) if everything else list(self._due(now))
        self._touched = {}
        items: list[ReturnItem] = []
        for account in due:
            if self.accounts.get((account.budget, account.subject)) is account:
                self._collect(account, now, everything, items)
        return items

    def _due(self, now: int) -> Iterator[HeldAccount]:
        """Accounts that were touched, and those whose time has come. Each once."""
        yield from self._touched
        for second in [second for second in self._calendar if second <= now]:
            for account in self._calendar.pop(second):
                if account.look_at == second:
                    account.look_at = 0
                    if account not in self._touched:
                        yield account

    def _collect(
        self, account: HeldAccount, now: int, everything: bool, items: list[ReturnItem]
    ) -> None:
        idle = everything or now >= account.idle_after()
        look_at = max(now + 1, account.idle_after())
        for held in list(account.slices):
            if held.free and (idle or held.draining or held.end <= now):
                held.free = 0
                items.append(ReturnItem(held.id, held.kept, close=False))
            if held.free == 0 and held.is_settled:
                account.slices.remove(held)
                del self._slices[held.id]
                items.append(ReturnItem(held.id, held.spent, close=True))
            elif now < held.end < look_at:
                look_at = held.end
        if idle and not account.slices:
            key = (account.budget, account.subject)
            del self.accounts[key]
            self.shared.pop(key, None)
        elif not account.look_at or look_at < account.look_at:
            account.look_at = look_at
            self._calendar.setdefault(look_at, []).append(account)

    def shed(self, now: int) -> list[ReturnItem]:
        """Once a second: what is free beyond thrice of what should be goes back, down to that."""
        items: list[ReturnItem] = []
        self.near_limit = False
        for account in self.shared.values():
            if account.is_tight:
                self.near_limit = self.near_limit or bool(account.slices)
            else:
                excess = account.free_at(now) - account.ahead
                if excess > 2 * account.ahead + account.largest:
                    self._shed(account, excess, now, items)
        return items

    def _shed(self, account: HeldAccount, excess: int, now: int, items: list[ReturnItem]) -> None:
        for held in reversed(account.slices):
            part = min(held.free, excess)
            if part and not held.draining and held.start <= now < held.end:
                held.free -= part
                excess -= part
                items.append(ReturnItem(held.id, held.kept + held.free, close=False))
        self._touched[account] = None

    def remaining(self, budget: str, subject: str) -> int | None:
        """What the authority last said, less what was spent here since.

        Where it did not look what others hold, that counts as spent; what is held here does not.
        """
        account = self.accounts.get((budget, subject))
        if account is None or account.figures is None:
            return None
        figures = account.figures
        if figures.held is not None:
            return max(0, figures.remaining - account.spent_since)
        left = figures.headroom
        for one in account.slices:
            if one.start == account.window:
                left += one.free + one.open
        return max(0, min(figures.limit, left))


def _undo(taken: Iterable[tuple[HeldSlice, int]]) -> None:
    for held, amount in taken:
        held.open -= amount
        held.free += amount
