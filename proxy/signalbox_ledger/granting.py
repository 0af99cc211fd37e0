"""Draws: slices granted to holders, in batches, by the one conditional update.

Part of `store`, inside the caller's transaction. What may be granted is decided by the pure rules
of `accounts` on figures that were just read; whether it is, by the database: the update raises
`granted` only where the account's limit still allows it, and a constraint stands behind that.

Draws of several holders are granted together, as if one came after the other: three round trips
for all of them where nothing is lacking, and accounts locked in the order of their keys.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec

from signalbox_ledger.account_store import (
    OF_ACCOUNT,
    Account,
    AccountStore,
    asking_figures,
    asking_standing,
    told_figures,
)
from signalbox_ledger.accounts import BudgetSpec, Figures
from signalbox_ledger.database import ConflictError, Database, Outcome, Row, Statement
from signalbox_ledger.drafting import Draft, Order, Target, grant_of, share_out, target_of
from signalbox_ledger.new_subjects import NewSubjects
from signalbox_ledger.protocol import DrawItem, Grant

_ROUNDS = 3
_ROWS_AT_ONCE = 500

_SLICE = "(id, holder, budget, basis, subject, window_start, amount)"
_SLICE_VALUES = "(?, ?, ?, ?, ?, ?, ?)"


class Granted(NamedTuple):
    """The grants of each order, and the slices that are wanted back of each holder."""

    grants: list[list[Grant]]
    wanted: dict[str, list[str]]


class Granting:
    """Grants slices of accounts."""

    def __init__(self, database: Database, accounts: AccountStore) -> None:
        self._database = database
        self._accounts = accounts
        self.subjects = NewSubjects(database)
        self._contended: set[Account] = set()

    def draw(
        self, holder: str, items: Sequence[DrawItem], specs: Mapping[str, BudgetSpec], *, now: int
    ) -> list[Grant]:
        """One draw; see `draw_all`."""
        return self.draw_all([Order(holder, items)], specs, now=now).grants[0]

    def draw_all(
        self, orders: Sequence[Order], specs: Mapping[str, BudgetSpec], *, now: int
    ) -> Granted:
        """Grant slices as the rules of their accounts allow, order after order; the same slice
        again for an id that was granted before.

        Raises ConflictError where another authority was faster, again and again, and ValueError
        for a slice that is asked for twice.
        """
        items = [item for _, asked in orders for item in asked]
        targets = {
            item.slice_id: target
            for holder, asked in orders
            for item in asked
            if (target := target_of(item, specs, now, holder)) is not None
        }
        if len({item.slice_id for item in items}) < len(items):
            raise ValueError("a slice is asked for twice at once")
        draft = self._look(orders, targets, now)
        holders = sorted({holder for holder, _ in orders})
        wanted = self._take(
            draft, [item for item in items if item.slice_id in draft.targets], holders
        )
        if draft.unmet:
            wanted = self._recall(draft, holders)
        slices: dict[str, list[str]] = {holder: [] for holder in holders}
        for holder, slice_id in wanted:
            slices[holder].append(slice_id)
        return Granted([[grant_of(item, draft) for item in asked] for _, asked in orders], slices)

    def _look(self, orders: Sequence[Order], targets: dict[str, Target], now: int) -> Draft:
        """What was granted before, and how accounts stand, under the limits in force.

        All are locked at once, in the order of their keys, where one was fought for in vain before.
        """
        accounts = sorted({target.account for target in targets.values()})
        lock = "" if self._contended.isdisjoint(accounts) else self._database.update_lock
        before, *found = self._database.together(
            [self._asking_drawn(orders), *(asking_figures(each, lock) for each in accounts)]
        )
        self._contended.clear()
        drawn = _drawn(orders, before)
        standing = told_figures(found)
        limits = {target.account: target.spec.limit for target in targets.values()}
        moved = {
            account: limits[account]
            for account, figures in standing.items()
            if figures.limit != limits[account]
        }
        if moved:
            self._accounts.figures(accounts, lock=self._database.update_lock)
            self._accounts.move_limits(moved, now)
            standing.update(self._accounts.figures(moved))
        fresh = {id_: target for id_, target in targets.items() if id_ not in drawn}
        return Draft(fresh, drawn, standing)

    def _asking_drawn(self, orders: Sequence[Order]) -> Statement:
        asking = (
            "SELECT slice.id, holder, slice.amount, slice.window_start, window_end, limit_amount, "  # noqa: S608
            "granted, overrun FROM slice JOIN account ON account.budget = slice.budget "
            "AND account.basis = slice.basis AND account.subject = slice.subject "
            "AND account.window_start = slice.window_start "
            f"WHERE {self._database.any_of('slice.id')}"
        )
        ids = [item.slice_id for order in orders for item in order.items]
        return asking, (self._database.listed(ids),)

    def _take(
        self, draft: Draft, waiting: Sequence[DrawItem], holders: Sequence[str]
    ) -> Sequence[Row]:
        """Raise what is granted, account by account, and make the slices; what is wanted back
        of the holders."""
        for _ in range(_ROUNDS):
            new = {draft.targets[item.slice_id].account for item in waiting} - draft.standing.keys()
            sums = share_out(waiting, draft)
            self._open(draft, {account: sums[account] for account in new if sums[account]})
            lost, wanted = self._write(draft, waiting, sums, holders)
            if not lost:
                return wanted
            # Another authority drew between our look and our update: look again, under a lock. Who
            # waited for one now, with rows locked that come after it, might wait in a circle: the
            # transaction is given up instead, and its next try locks before it looks.
            for account in lost:
                draft.standing.pop(account, None)
            self._contended = set(lost)
            locked = self._accounts.figures(sorted(lost), lock=self._database.prompt_lock)
            self._contended.clear()
            draft.standing.update(locked)
            waiting = [item for item in waiting if draft.targets[item.slice_id].account in lost]
        raise ConflictError("accounts change faster than they can be drawn from")

    def _open(self, draft: Draft, sums: Mapping[Account, int]) -> None:
        """Make the accounts that something is drawn from and that are not there yet, but for
        those that their agent may not open."""
        if not sums:
            return
        # By whoever draws first; an agent that gets nothing of it brings nobody.
        targets: dict[Account, Target] = {}
        for id_, target in draft.targets.items():
            if target.account in sums and draft.amounts.get(id_):
                targets.setdefault(target.account, target)
        made = self._accounts.open_accounts(
            {account: (target.end, target.spec.limit) for account, target in targets.items()}
        )
        counted = {
            account: (target.agent, target.spec.new_subjects)
            for account, target in targets.items()
            if account in made and account[2] and target.spec.new_subjects is not None
        }
        if not counted:
            return
        refused = self.subjects.count(
            counted, {account: targets[account].end for account in counted}
        )
        if any(
            target.account in refused and target.agent != targets[target.account].agent
            for target in draft.targets.values()
        ):
            raise ConflictError("several agents bring one user at once: each has its own bound")
        draft.too_many |= refused
        for id_, target in draft.targets.items():
            if target.account in refused:
                draft.amounts.pop(id_, None)
                draft.unmet.discard(id_)

    def _write(
        self,
        draft: Draft,
        waiting: Sequence[DrawItem],
        sums: Mapping[Account, int],
        holders: Sequence[str],
    ) -> tuple[set[Account], Sequence[Row]]:
        """Add to `granted` where the account's limit allows it, and make the slices; the accounts
        where it did not, of which nothing stays, and what is wanted back of the holders."""
        raised = [
            (account, amount)
            for account, amount in sorted(sums.items())
            if amount and account not in draft.too_many
        ]
        slices = [
            (item.slice_id, target.holder, *target.account, amount)
            for item in waiting
            if (amount := draft.amounts.get(item.slice_id))
            and (target := draft.targets[item.slice_id])
        ]
        outcomes = self._database.together(
            [
                *(_raising(account, amount) for account, amount in raised),
                *_inserting(slices),
                self._accounts.asking_wanted(holders),
            ]
        )
        lost = {
            account
            for (account, _), outcome in zip(raised, outcomes, strict=False)
            if outcome.changed == 0
        }
        self._unmake(draft, lost)
        return lost, outcomes[-1].rows

    def _unmake(self, draft: Draft, lost: set[Account]) -> None:
        """Nothing was granted of these accounts."""
        ids = [id_ for id_, target in draft.targets.items() if target.account in lost]
        if not ids:
            return
        self._database.execute(
            f"DELETE FROM slice WHERE {self._database.any_of('id')}",  # noqa: S608
            (self._database.listed(ids),),
        )
        for id_ in ids:
            draft.amounts.pop(id_, None)
            draft.unmet.discard(id_)

    def _recall(self, draft: Draft, holders: Sequence[str]) -> Sequence[Row]:
        """Want slices of accounts back that lack something, and look how these stand; what is
        wanted back of the holders."""
        lacking = sorted(
            {(draft.targets[id_].account, draft.targets[id_].holder) for id_ in draft.unmet}
        )
        accounts = sorted({account for account, _ in lacking})
        # A holder that settles or returns right now waits for our accounts: to wait for its
        # slices would be a circle. Whoever lacks something asks, and so recalls, again.
        recall = (
            "UPDATE slice SET wanted = 1 WHERE id IN (SELECT id FROM slice "  # noqa: S608
            f"WHERE {OF_ACCOUNT} AND wanted = 0 AND holder <> ?{self._database.passing_lock})"
        )
        recalls: list[Statement] = [(recall, (*account, holder)) for account, holder in lacking]
        outcomes = self._database.together(
            [
                *recalls,
                *map(asking_standing, accounts),
                self._accounts.asking_wanted(holders),
            ]
        )
        never_drawn = {
            account: msgspec.structs.replace(draft.standing[account], held=0)
            for account in accounts
        }
        draft.standing.update(never_drawn | told_figures(outcomes[len(recalls) : -1]))
        return outcomes[-1].rows


def _raising(account: Account, amount: int) -> Statement:
    update = (
        f"UPDATE account SET granted = granted + ? WHERE {OF_ACCOUNT} "  # noqa: S608
        "AND granted + overrun + ? <= limit_amount"
    )
    return update, (amount, *account, amount)


def _inserting(slices: Sequence[Row]) -> list[Statement]:
    statements: list[Statement] = []
    for start in range(0, len(slices), _ROWS_AT_ONCE):
        rows = slices[start : start + _ROWS_AT_ONCE]
        values = ", ".join([_SLICE_VALUES] * len(rows))
        parameters = [value for row in rows for value in row]
        statements.append((f"INSERT INTO slice {_SLICE} VALUES {values}", parameters))  # noqa: S608
    return statements


def _drawn(orders: Sequence[Order], before: Outcome) -> dict[str, Grant]:
    """Slices that these holders drew before."""
    holders = {item.slice_id: order.holder for order in orders for item in order.items}
    return {
        id_: Grant(id_, amount, start, end, Figures(limit, granted, None, overrun))
        for id_, holder, amount, start, end, limit, granted, overrun in before.rows
        if holder == holders[id_]
    }
