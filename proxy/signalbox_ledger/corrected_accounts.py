"""Accounts after a correction: what a provider billed more or less than they were charged.

Part of `correcting`, inside the authority's transaction. Only the present window moves. More goes
to `overrun`, so that later draws subtract it. Less is given back out of what this very attempt had
put there: its overrun first, then what its slices bore, the last one first. A slice that is open
has spent less, which comes back when it is closed; for one that is closed its account was granted
less, though never less than what open slices hold.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import msgspec

from signalbox_ledger.account_store import OF_ACCOUNT, Account
from signalbox_ledger.accounts import BudgetSpec
from signalbox_ledger.desk_protocol import CorrectionItem
from signalbox_ledger.records import HoldPart
from signalbox_ledger.store import Store


class Charged(NamedTuple):
    """What is recorded of one attempt: nano-USD and, where corrected, tokens as they are now and
    as the least that they ever were. `started_at` and `run_at` enclose the hold, milliseconds."""

    cost: int
    holds: list[HoldPart]
    started_at: int
    run_at: int
    generation: int
    now_nano: int
    low_nano: int
    now_tokens: int | None
    low_tokens: int | None
    digests: frozenset[str]


class Taken(NamedTuple):
    """What comes back of one attempt's part in a budget: out of its overrun, and by hold."""

    overrun: int
    holds: list[tuple[HoldPart, int]]


def taken_back(parts: Sequence[HoldPart], *, now: int, low: int, after: int) -> Taken:
    """What comes back when an attempt that is charged `now` in this budget costs `after` only.

    `low` is the least that it was ever charged: what its slices bore above that came back then.
    """
    borne = sum(min(part.spent, part.amount) for part in parts)
    within = max(0, min(borne, low))
    overrun = min(now - after, max(0, now - within))
    passed, left = borne - within, min(now - after - overrun, within)
    holds: list[tuple[HoldPart, int]] = []
    for part in reversed(parts):
        bore = min(part.spent, part.amount)
        skipped = min(bore, passed)
        amount = min(bore - skipped, left)
        passed -= skipped
        left -= amount
        if amount:
            holds.append((part, amount))
    return Taken(overrun, holds)


class CorrectedAccounts:
    """Moves accounts and slices after the corrections of one batch."""

    def __init__(self, store: Store, now: int) -> None:
        self._store = store
        self._now = now
        self._specs: dict[str, BudgetSpec] = {}
        self._slices: dict[str, Account] = {}
        self._raised: dict[Account, int] = {}
        self._spent: dict[str, int] = {}
        self._owed: dict[Account, tuple[int, int]] = {}

    def post(
        self, fresh: Sequence[tuple[CorrectionItem, Charged]]
    ) -> tuple[dict[str, int], dict[str, int]]:
        """By unit, what later draws subtract in addition, and what they may draw again."""
        self._learn([part for _, charged in fresh for part in charged.holds])
        for item, charged in fresh:
            budgets: dict[tuple[str, str], list[HoldPart]] = {}
            for part in charged.holds:
                budgets.setdefault((part.budget, part.subject), []).append(part)
            for parts in budgets.values():
                self._move(item, charged, parts)
        self._raise()
        returned = self._unspend()
        for account, amount in self._release().items():
            returned[account] = returned.get(account, 0) + amount
        return _by_unit(self._raised), _by_unit(returned)

    def _learn(self, parts: Iterable[HoldPart]) -> None:
        database = self._store.database
        listed = list(parts)
        rows = database.query(
            "SELECT id, budget, basis, subject, window_start FROM slice "  # noqa: S608
            f"WHERE {database.any_of('id')}",
            (database.listed(sorted({part.slice_id for part in listed})),),
        )
        self._slices = {id_: (budget, basis, who, at) for id_, budget, basis, who, at in rows}
        rows = database.query(
            f"SELECT id, spec FROM budget WHERE {database.any_of('id')}",  # noqa: S608
            (database.listed(sorted({part.budget for part in listed})),),
        )
        self._specs = {id_: msgspec.json.decode(spec, type=BudgetSpec) for id_, spec in rows}

    def _move(self, item: CorrectionItem, charged: Charged, parts: Sequence[HoldPart]) -> None:
        """What one budget owes, or is owed, for one attempt."""
        spec = self._specs.get(parts[0].budget)
        spent = sum(part.spent for part in parts)
        if spec is None or spec.unit == "requests":
            return
        if spec.unit == "usd":
            beside = spent - charged.cost
            now, low = charged.now_nano + beside, charged.low_nano + beside
            after = item.after + beside
        elif item.tokens is None:
            return
        else:
            now = spent if charged.now_tokens is None else charged.now_tokens
            low = spent if charged.low_tokens is None else min(spent, charged.low_tokens)
            after = item.tokens
        if after > now:
            if (account := self._account(parts[-1], spec, charged)) is not None:
                self._raised[account] = self._raised.get(account, 0) + after - now
            return
        taken = taken_back(parts, now=now, low=low, after=after)
        for part, amount in taken.holds:
            if part.slice_id in self._slices:
                self._spent[part.slice_id] = self._spent.get(part.slice_id, 0) + amount
            else:
                self._owe(self._account(part, spec, charged, exactly=True), 0, amount)
        if taken.overrun:
            self._owe(self._account(parts[-1], spec, charged, exactly=True), taken.overrun, 0)

    def _owe(self, account: Account | None, overrun: int, within: int) -> None:
        if account is not None:
            before = self._owed.get(account, (0, 0))
            self._owed[account] = (before[0] + overrun, before[1] + within)

    def _account(
        self, part: HoldPart, spec: BudgetSpec, charged: Charged, *, exactly: bool = False
    ) -> Account | None:
        """The account that the hold was in, while its window is the present one.

        `exactly`: only where it cannot have been another one.
        """
        present = spec.window(self._now)
        if part.slice_id in self._slices:
            account = self._slices[part.slice_id]
            return account if account[1] == spec.basis and account[3] == present[0] else None
        if spec.window(charged.started_at // 1000) != present:
            return None
        if exactly and spec.window(charged.run_at // 1000) != present:
            return None
        if not self._store.counts_as(spec, charged.generation):
            return None
        return (spec.id, spec.basis, part.subject, present[0])

    def _raise(self) -> None:
        if self._raised:
            self._store.hold_specs()
        limits = {
            account: (self._specs[account[0]].window(self._now)[1], self._specs[account[0]].limit)
            for account in self._raised
        }
        self._store.accounts.open_accounts(limits)
        self._store.accounts.add_overrun(self._raised)

    def _unspend(self) -> dict[Account, int]:
        """Open slices have spent less. One that was closed meanwhile is owed by its account."""
        changed = self._store.database.execute_many(
            "UPDATE slice SET spent = spent - ?, wanted = 1 WHERE id = ? AND spent >= ?",
            [(amount, id_, amount) for id_, amount in sorted(self._spent.items())],
        )
        returned: dict[Account, int] = {}
        for (id_, amount), count in zip(sorted(self._spent.items()), changed, strict=True):
            account = self._slices[id_]
            if count:
                returned[account] = returned.get(account, 0) + amount
            else:
                self._owe(account, 0, amount)
        return returned

    def _release(self) -> dict[Account, int]:
        database = self._store.database
        figures = self._store.accounts.figures(sorted(self._owed), lock=database.update_lock)
        open_sums = database.query_many(
            "SELECT CAST(COALESCE(SUM(amount), 0) AS BIGINT) FROM slice "  # noqa: S608
            f"WHERE {OF_ACCOUNT}",
            sorted(figures),
        )
        returned: dict[Account, int] = {}
        changes: list[tuple[object, ...]] = []
        for account, ((held,),) in zip(sorted(figures), open_sums, strict=True):
            overrun, within = self._owed[account]
            stands = figures[account]
            granted_less = max(0, min(within, stands.granted - held))
            overrun_less = min(overrun + within - granted_less, stands.overrun)
            returned[account] = overrun_less + granted_less
            granted = stands.granted - granted_less
            changes.append((granted, max(stands.limit, granted), overrun_less, *account))
        database.execute_many(
            "UPDATE account SET granted = ?, enforced = ?, overrun = overrun - ? "  # noqa: S608
            f"WHERE {OF_ACCOUNT}",
            changes,
        )
        return returned


def _by_unit(amounts: Mapping[Account, int]) -> dict[str, int]:
    totals: dict[str, int] = {}
    for (_, basis, _, _), amount in amounts.items():
        if amount:
            unit = basis.partition("/")[0]
            totals[unit] = totals.get(unit, 0) + amount
    return totals
