"""Accounts and slices in the database: what is granted, spent, given back.

Part of `store`; every method is one step inside the caller's transaction. The rules themselves
are pure and live in `accounts`, draws in `granting`. Statements go out in batches, one round trip
each, and rows of accounts are touched in the order of their keys, so that two authorities on one
database do not wait for each other in a circle.
"""

from collections.abc import Iterable, Mapping, Sequence

from signalbox_ledger.accounts import BudgetSpec, Figures
from signalbox_ledger.database import Database, Outcome, Statement
from signalbox_ledger.protocol import PresentedSlice, ReturnItem

Account = tuple[str, str, str, int]
"""Identity of an account: budget, basis, subject, start of the window."""

OF_HOLDER = "holder || '' = ?"
"""The holder of slices that are sought by their ids: never by an index of the holder's slices, of
which there may be tens of thousands."""

OF_ACCOUNT = "budget = ? AND basis = ? AND subject = ? AND window_start = ?"


_HELD = (
    "(SELECT CAST(COALESCE(SUM(amount - spent), 0) AS BIGINT) FROM slice"
    " WHERE slice.budget = account.budget AND slice.basis = account.basis"
    " AND slice.subject = account.subject AND slice.window_start = account.window_start)"
)
_NOT_HELD = "CAST(NULL AS BIGINT)"


def asking_figures(account: Account, lock: str = "") -> Statement:
    """Asks how an account stands, without what is held."""
    return _asking(account, _NOT_HELD, lock)


def asking_standing(account: Account) -> Statement:
    """Asks how an account stands, with what is held."""
    return _asking(account, _HELD, "")


def _asking(account: Account, held: str, lock: str) -> Statement:
    columns = f"budget, basis, subject, window_start, limit_amount, granted, {held}, overrun"
    return f"SELECT {columns} FROM account WHERE {OF_ACCOUNT}{lock}", account  # noqa: S608


def told_figures(outcomes: Iterable[Outcome]) -> dict[Account, Figures]:
    """What such statements gave; accounts where nothing was ever drawn are absent."""
    rows = (row for outcome in outcomes for row in outcome.rows)
    return {(row[0], row[1], row[2], row[3]): Figures(*row[4:]) for row in rows}


def _releases(released: Mapping[Account, int]) -> list[Statement]:
    """Take back what was granted; the bound that is enforced falls with it to the limit."""
    release = (
        "UPDATE account SET granted = granted - ?, enforced = CASE "  # noqa: S608
        "WHEN granted - ? > limit_amount THEN granted - ? ELSE limit_amount END "
        f"WHERE {OF_ACCOUNT}"
    )
    return [
        (release, (amount, amount, amount, *account))
        for account, amount in sorted(released.items())
        if amount
    ]


class AccountStore:
    """The tables `account` and `slice`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    # Figures

    def figures(self, accounts: Iterable[Account], *, lock: str = "") -> dict[Account, Figures]:
        """How accounts stand, without what is held; those where nothing was ever drawn are
        absent. `lock` is one of the database's."""
        found = self._database.together([asking_figures(account, lock) for account in accounts])
        return told_figures(found)

    def standing(self, accounts: Iterable[Account]) -> dict[Account, Figures]:
        """How accounts stand, with what open slices hold and have not spent; those where nothing
        was ever drawn are absent.

        Both at one instant, in one statement: what comes back in between would count as spent.
        """
        return told_figures(
            self._database.together([asking_standing(account) for account in accounts])
        )

    def open_accounts(self, accounts: Mapping[Account, tuple[int, int]]) -> set[Account]:
        """Make rows for accounts that have none yet, with the end of their window and their
        limit; which ones were made."""
        wanted = sorted(accounts.items())
        made = self._database.execute_many(
            "INSERT INTO account (budget, basis, subject, window_start, window_end, limit_amount, "
            "enforced) VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
            [(*account, end, limit, limit) for account, (end, limit) in wanted],
        )
        return {account for (account, _), rows in zip(wanted, made, strict=True) if rows}

    def move_limits(self, limits: Mapping[Account, int], now: int) -> None:
        """Bring accounts up to date whose budgets have other limits by now, and whose windows have
        not ended."""
        self._database.execute_many(
            "UPDATE account SET limit_amount = ?, "  # noqa: S608
            "enforced = CASE WHEN granted > ? THEN granted ELSE ? END "
            f"WHERE {OF_ACCOUNT} AND (window_end = 0 OR window_end > ?)",
            [(limit, limit, limit, *account, now) for account, limit in sorted(limits.items())],
        )

    def recall_above(self, accounts: Iterable[Account]) -> None:
        """Want back what is held of accounts that have more out than their limits."""
        above = [
            account
            for account, figures in sorted(self.figures(accounts).items())
            if figures.headroom < 0
        ]
        self._database.execute_many(
            f"UPDATE slice SET wanted = 1 WHERE wanted = 0 AND {OF_ACCOUNT}",  # noqa: S608
            above,
        )

    def wanted(self, holder: str) -> list[str]:
        """Slices of the holder that are wanted back."""
        rows = self._database.query(*self.asking_wanted([holder]))
        return [id_ for _, id_ in rows]

    def asking_wanted(self, holders: Sequence[str]) -> Statement:
        """Asks for the slices of several holders that are wanted back: holder and id of each."""
        of_holder = self._database.any_of("holder")
        asking = f"SELECT holder, id FROM slice WHERE {of_holder} AND wanted = 1 LIMIT 10000"  # noqa: S608
        return asking, (self._database.listed(holders),)

    def open_slices(self, holder: str) -> list[str]:
        """The holder's open slices."""
        rows = self._database.query("SELECT id FROM slice WHERE holder = ? ORDER BY id", (holder,))
        return [id_ for (id_,) in rows]

    # Returns

    def give_back(self, holder: str, items: Sequence[ReturnItem]) -> None:
        """Shrink slices to what their holder keeps, or close them. Idempotent."""
        slices = self._slices(holder, [item.slice_id for item in items])
        released: dict[Account, int] = {}
        shrunk: dict[str, int] = {}
        closed: set[str] = set()
        for item in items:
            found = slices.get(item.slice_id)
            if found is None or item.slice_id in closed:
                continue
            account, amount, spent = found
            amount = shrunk.get(item.slice_id, amount)
            keep = spent if item.close else max(spent, min(item.keep, amount))
            if keep < amount:
                released[account] = released.get(account, 0) + amount - keep
                shrunk[item.slice_id] = keep
            if item.close:
                closed.add(item.slice_id)
        writes: list[Statement] = [
            ("UPDATE slice SET amount = ? WHERE id = ?", (amount, id_))
            for id_, amount in sorted(shrunk.items())
            if id_ not in closed
        ]
        if closed:
            of_slice = self._database.any_of("id")
            ids = self._database.listed(sorted(closed))
            writes.append((f"DELETE FROM slice WHERE {of_slice}", (ids,)))  # noqa: S608
        # Accounts before their slices, as everybody who locks both: a limit that moves would
        # otherwise wait for a return that waits for it.
        self._database.together([*_releases(released), *writes])

    def close_all(self, holder: str) -> None:
        """Give back what the holder's slices did not spend; what they spent stays."""
        rows = self._database.query(
            "DELETE FROM slice WHERE holder = ? "
            "RETURNING budget, basis, subject, window_start, amount - spent",
            (holder,),
        )
        released: dict[Account, int] = {}
        for budget, basis, subject, start, amount in rows:
            account = (budget, basis, subject, start)
            released[account] = released.get(account, 0) + amount
        self._database.together(_releases(released))

    def _slices(self, holder: str, slice_ids: Sequence[str]) -> dict[str, tuple[Account, int, int]]:
        rows = self._database.query(
            "SELECT id, budget, basis, subject, window_start, amount, spent FROM slice "  # noqa: S608
            f"WHERE {self._database.any_of('id')} AND {OF_HOLDER}",
            (self._database.listed(slice_ids), holder),
        )
        return {row[0]: ((row[1], row[2], row[3], row[4]), row[5], row[6]) for row in rows}

    # Spending

    def spend(self, holder: str, spent: Mapping[str, int]) -> dict[str, int]:
        """Add to what slices spent; what each could not bear. Unknown ones bear nothing."""
        slices = self._slices(holder, list(spent))
        borne = {
            id_: min(spent[id_], amount - already) for id_, (_, amount, already) in slices.items()
        }
        self._database.execute_many(
            "UPDATE slice SET spent = spent + ? WHERE id = ?",
            [(amount, id_) for id_, amount in borne.items() if amount],
        )
        return {
            id_: amount - borne.get(id_, 0)
            for id_, amount in spent.items()
            if amount > borne.get(id_, 0)
        }

    def accounts_of(self, holder: str, slice_ids: Sequence[str]) -> dict[str, Account]:
        """The accounts of open slices."""
        return {id_: found[0] for id_, found in self._slices(holder, slice_ids).items()}

    def add_overrun(self, overruns: Mapping[Account, int]) -> None:
        """Post what providers billed above holds; later draws subtract it. The accounts exist."""
        self._database.execute_many(
            f"UPDATE account SET overrun = overrun + ? WHERE {OF_ACCOUNT}",  # noqa: S608
            [(amount, *account) for account, amount in sorted(overruns.items())],
        )

    # What a database that lost commits does not know any more

    def unknown(self, holder: str, presented: Sequence[PresentedSlice]) -> list[PresentedSlice]:
        """Slices that a live holder has and the database does not."""
        known = self._slices(holder, [one.slice_id for one in presented])
        return [one for one in presented if one.slice_id not in known]

    def adopt(
        self, holder: str, lost: Sequence[PresentedSlice], specs: Mapping[str, BudgetSpec]
    ) -> None:
        """Take up such slices. The caller holds the budgets: accounts are made under their limits.

        They were granted, so they count, above the limit if need be: draws have to wait for them.
        What was spent of them comes with the journal, which is settled again.
        """
        limits: dict[Account, tuple[int, int]] = {}
        amounts: dict[Account, int] = {}
        for one in lost:
            account = (one.budget, one.basis, one.subject, one.window_start)
            spec = specs.get(one.budget)
            limit = spec.limit if spec is not None and spec.basis == one.basis else 0
            limits[account] = (one.window_end, limit)
            amounts[account] = amounts.get(account, 0) + one.amount
        self.open_accounts(limits)
        self._database.execute_many(
            "UPDATE account SET granted = granted + ?, enforced = CASE "  # noqa: S608
            "WHEN granted + ? > limit_amount THEN granted + ? ELSE limit_amount END "
            f"WHERE {OF_ACCOUNT}",
            [(amount, amount, amount, *account) for account, amount in sorted(amounts.items())],
        )
        self._database.execute_many(
            "INSERT INTO slice (id, holder, budget, basis, subject, window_start, amount) "
            "VALUES (?, ?, ?, ?, ?, ?, ?)",
            [
                (
                    *(one.slice_id, holder, one.budget, one.basis, one.subject),
                    *(one.window_start, one.amount),
                )
                for one in lost
            ],
        )

    def set_spent(self, holder: str, spent: Mapping[str, int]) -> None:
        """What slices have spent by the word of their holder; those that it does not name, all."""
        self._database.execute("UPDATE slice SET spent = amount WHERE holder = ?", (holder,))
        self._database.execute_many(
            "UPDATE slice SET spent = CASE WHEN amount < ? THEN amount ELSE ? END "
            "WHERE id = ? AND holder = ?",
            [(amount, amount, id_, holder) for id_, amount in spent.items()],
        )

    def forget_ended(self, before: int, most: int) -> int:
        """Drop up to `most` accounts of users, sessions and agents whose window ended before and
        of which nobody holds anything; how many."""
        ended = self._database.query(
            "SELECT budget, basis, subject, window_start FROM account "
            "WHERE subject <> '' AND window_end > 0 AND window_end < ? "
            "AND NOT EXISTS (SELECT 1 FROM slice WHERE slice.budget = account.budget "
            "AND slice.basis = account.basis AND slice.subject = account.subject "
            "AND slice.window_start = account.window_start) LIMIT ?",
            (before, most),
        )
        self._database.execute_many(f"DELETE FROM account WHERE {OF_ACCOUNT}", sorted(ended))  # noqa: S608
        return len(ended)
