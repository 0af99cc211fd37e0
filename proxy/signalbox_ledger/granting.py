"""Draws: slices granted to holders, in batches, by the one conditional update.

Part of `store`, inside the caller's transaction. What may be granted is decided by the pure rules
of `accounts` on figures that were just read; whether it is, by the database: the update raises
`granted` only where the account's limit still allows it, and a constraint stands behind that.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

from signalbox_ledger.account_store import OF_ACCOUNT, OF_HOLDER, Account, AccountStore
from signalbox_ledger.accounts import BudgetSpec, Figures, grant_amount
from signalbox_ledger.database import ConflictError, Database
from signalbox_ledger.new_subjects import NewSubjects
from signalbox_ledger.protocol import DrawItem, Grant

_ROUNDS = 3


@dataclass(frozen=True, slots=True)
class _Target:
    """Where one item of a draw draws from."""

    account: Account
    end: int
    spec: BudgetSpec
    agent: str


class Granting:
    """Grants slices of accounts."""

    def __init__(self, database: Database, accounts: AccountStore) -> None:
        self._database = database
        self._accounts = accounts
        self.subjects = NewSubjects(database)

    def draw(
        self,
        holder: str,
        items: Sequence[DrawItem],
        specs: Mapping[str, BudgetSpec],
        *,
        now: int,
    ) -> list[Grant]:
        """Grant slices as the rules of their accounts allow; the same slice again for an id that
        was granted before. Raises ConflictError where another authority was faster, again and
        again."""
        drawn = self._drawn_before(holder, items)
        targets = {
            item.slice_id: target
            for item in items
            if item.slice_id not in drawn and (target := _target(item, specs, now)) is not None
        }
        accounts = sorted({target.account for target in targets.values()})
        standing = self._standing(accounts, targets, now)
        too_many: set[Account] = set()
        amounts, unmet = self._take(items, targets, standing, too_many)
        self._database.execute_many(
            "INSERT INTO slice (id, holder, budget, basis, subject, window_start, amount) "
            "VALUES (?, ?, ?, ?, ?, ?, ?)",
            [(id_, holder, *targets[id_].account, amount) for id_, amount in amounts.items()],
        )
        lacking = sorted({targets[id_].account for id_ in unmet})
        self._recall(lacking, holder)
        never_drawn = {
            account: msgspec.structs.replace(standing[account], held=0) for account in lacking
        }
        standing.update(never_drawn | self._accounts.standing(lacking))
        return [
            drawn[item.slice_id]
            if item.slice_id in drawn
            else _grant(item, targets.get(item.slice_id), amounts, (standing, too_many))
            for item in items
        ]

    def _standing(
        self, accounts: Sequence[Account], targets: Mapping[str, _Target], now: int
    ) -> dict[Account, Figures]:
        """How accounts stand, under the limits in force."""
        standing = self._accounts.figures(accounts)
        limits = {target.account: target.spec.limit for target in targets.values()}
        moved = {
            account: limits[account]
            for account, figures in standing.items()
            if figures.limit != limits[account]
        }
        if moved:
            self._accounts.move_limits(moved, now)
            standing.update(self._accounts.figures(moved))
        return standing

    def _drawn_before(self, holder: str, items: Sequence[DrawItem]) -> dict[str, Grant]:
        of_slice = self._database.any_of("slice.id")
        rows = self._database.query(
            "SELECT slice.id, slice.amount, slice.window_start, window_end, limit_amount, granted, "  # noqa: S608
            "overrun FROM slice JOIN account ON account.budget = slice.budget "
            "AND account.basis = slice.basis AND account.subject = slice.subject "
            f"AND account.window_start = slice.window_start WHERE {of_slice} AND {OF_HOLDER}",
            (self._database.listed([item.slice_id for item in items]), holder),
        )
        return {
            id_: Grant(id_, amount, start, end, Figures(limit, granted, None, overrun))
            for id_, amount, start, end, limit, granted, overrun in rows
        }

    def _take(
        self,
        items: Sequence[DrawItem],
        targets: Mapping[str, _Target],
        standing: dict[Account, Figures],
        too_many: set[Account],
    ) -> tuple[dict[str, int], set[str]]:
        """Raise what is granted, account by account; amounts by slice, and slices whose needs
        are not all covered. `standing` is brought up to date, accounts that their agents may not
        open come into `too_many`."""
        amounts: dict[str, int] = {}
        unmet: set[str] = set()
        waiting = [item for item in items if item.slice_id in targets]
        for _ in range(_ROUNDS):
            sums = _share_out(waiting, targets, standing, amounts, unmet)
            refused = self._open({target.account: target for target in targets.values()}, sums)
            too_many |= refused
            for item in waiting:
                if targets[item.slice_id].account in refused:
                    amounts.pop(item.slice_id, None)
                    unmet.discard(item.slice_id)
            lost = self._raise_granted(sums, without=refused)
            if not lost:
                return {id_: amount for id_, amount in amounts.items() if amount}, unmet
            # Another authority drew between our look and our update: look again, under a lock.
            for account in lost:
                standing.pop(account, None)
            standing.update(self._accounts.figures(sorted(lost), for_update=True))
            waiting = [item for item in waiting if targets[item.slice_id].account in lost]
            for item in waiting:
                amounts.pop(item.slice_id, None)
                unmet.discard(item.slice_id)
        raise ConflictError("accounts change faster than they can be drawn from")

    def _open(
        self, targets: Mapping[Account, _Target], sums: Mapping[Account, int]
    ) -> set[Account]:
        """Make the accounts that something is drawn from and that are not there yet; those that
        their agent may not open."""
        made = self._accounts.open_accounts(
            {
                account: (targets[account].end, targets[account].spec.limit)
                for account, amount in sums.items()
                if amount
            }
        )
        counted = {
            account: (target.agent, target.spec.new_subjects)
            for account, target in targets.items()
            if account in made and account[2] and target.spec.new_subjects is not None
        }
        if not counted:
            return set()
        return self.subjects.count(counted, {account: targets[account].end for account in counted})

    def _raise_granted(self, sums: Mapping[Account, int], *, without: set[Account]) -> set[Account]:
        """Add to `granted` where the account's limit allows it; the accounts where it did not."""
        wanted = [
            (account, amount)
            for account, amount in sorted(sums.items())
            if amount and account not in without
        ]
        changed = self._database.execute_many(
            f"UPDATE account SET granted = granted + ? WHERE {OF_ACCOUNT} "  # noqa: S608
            "AND granted + overrun + ? <= limit_amount",
            [(amount, *account, amount) for account, amount in wanted],
        )
        return {account for (account, _), rows in zip(wanted, changed, strict=True) if rows == 0}

    def _recall(self, accounts: Sequence[Account], holder: str) -> None:
        # A holder that settles or returns right now waits for our accounts: to wait for its
        # slices would be a circle. Whoever lacks something asks, and so recalls, again.
        self._database.execute_many(
            "UPDATE slice SET wanted = 1 WHERE id IN (SELECT id FROM slice "  # noqa: S608
            f"WHERE {OF_ACCOUNT} AND wanted = 0 AND holder <> ?{self._database.passing_lock})",
            [(*account, holder) for account in accounts],
        )


def _target(item: DrawItem, specs: Mapping[str, BudgetSpec], now: int) -> _Target | None:
    """The account of a draw; None where the budget is unknown, or counts otherwise by now."""
    spec = specs.get(item.budget)
    if spec is None or spec.basis != item.basis:
        return None
    start, end = spec.window(now)
    if item.upcoming and end:
        start, end = spec.window(end)
    return _Target((spec.id, spec.basis, item.subject, start), end, spec, item.agent)


def _share_out(
    items: Sequence[DrawItem],
    targets: Mapping[str, _Target],
    standing: dict[Account, Figures],
    amounts: dict[str, int],
    unmet: set[str],
) -> dict[Account, int]:
    """What each item gets, in order, as if it were alone with the figures that `standing` has
    by then; the sums by account."""
    sums: dict[Account, int] = {}
    for item in items:
        target = targets[item.slice_id]
        figures = standing.get(target.account) or Figures(target.spec.limit, 0, None, 0)
        amount, lacks = grant_amount(
            figures.headroom,
            needs=item.needs,
            free=item.free,
            want=item.want,
            exact=target.spec.per is not None and item.subject != "",
        )
        amounts[item.slice_id] = amount
        if lacks:
            unmet.add(item.slice_id)
        sums[target.account] = sums.get(target.account, 0) + amount
        standing[target.account] = msgspec.structs.replace(
            figures, granted=figures.granted + amount
        )
    return sums


def _grant(
    item: DrawItem,
    target: _Target | None,
    amounts: Mapping[str, int],
    found: tuple[Mapping[Account, Figures], set[Account]],
) -> Grant:
    if target is None:
        return Grant(item.slice_id, 0, 0, 0, None)
    standing, too_many = found
    start = target.account[3]
    if target.account in too_many:
        figures = Figures(target.spec.limit, 0, None, 0)
        most = target.spec.new_subjects or 0
        return Grant(item.slice_id, 0, start, target.end, figures, most)
    figures = standing[target.account]
    amount = amounts.get(item.slice_id, 0)
    return Grant(item.slice_id, amount, start, target.end, figures)
