"""Accounts and slices in SQLite: what is granted, spent, given back.

Part of `sqlite_store`; every method is one step inside the caller's transaction. Statements keep
to what PostgreSQL understands too; the account rules themselves are pure and live in `accounts`.
"""

import sqlite3

from signalbox_ledger.accounts import BudgetSpec, Figures, enforced_after, grant_amount
from signalbox_ledger.protocol import DrawItem, Grant, ReturnItem

Account = tuple[str, str, str, int]
"""Identity of an account: budget, basis, subject, start of the window."""

_OF_ACCOUNT = "budget = ? AND basis = ? AND subject = ? AND window_start = ?"


class SqliteAccounts:
    """The tables `account` and `slice`."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def figures(self, account: Account) -> Figures | None:
        """How an account stands; None where nothing was ever drawn."""
        row = self._connection.execute(
            f"SELECT limit_amount, granted, overrun FROM account WHERE {_OF_ACCOUNT}",  # noqa: S608
            account,
        ).fetchone()
        if row is None:
            return None
        (held,) = self._connection.execute(
            f"SELECT COALESCE(SUM(amount - spent), 0) FROM slice WHERE {_OF_ACCOUNT}",  # noqa: S608
            account,
        ).fetchone()
        return Figures(limit=row[0], granted=row[1], held=held, overrun=row[2])

    def draw(self, holder: str, item: DrawItem, spec: BudgetSpec | None, *, now: int) -> Grant:
        """Grant a slice as the account's rules allow; the same slice again for the same id."""
        existing = self._connection.execute(
            "SELECT budget, basis, subject, window_start, amount FROM slice "
            "WHERE id = ? AND holder = ?",
            (item.slice_id, holder),
        ).fetchone()
        if existing is not None:
            return self._granted(item, existing[:4], existing[4])
        if spec is None:
            return Grant(item.slice_id, 0, 0, 0, None)
        start, end = spec.window(now)
        if item.upcoming and end:
            start, end = spec.window(end)
        account = (spec.id, spec.basis, item.subject, start)
        return self._draw_new(holder, item, spec, account=account, end=end)

    def _draw_new(
        self, holder: str, item: DrawItem, spec: BudgetSpec, *, account: Account, end: int
    ) -> Grant:
        figures = self.figures(account) or Figures(limit=spec.limit, granted=0, held=0, overrun=0)
        amount, unmet = grant_amount(
            figures.headroom,
            needs=item.needs,
            free=item.free,
            want=item.want,
            exact=spec.per is not None and item.subject != "",
        )
        if amount and not self._take(account, end, spec.limit, amount):
            amount, unmet = 0, max(item.needs, default=0)
        if amount:
            self._connection.execute(
                "INSERT INTO slice (id, holder, budget, basis, subject, window_start, amount) "
                "VALUES (?, ?, ?, ?, ?, ?, ?)",
                (item.slice_id, holder, *account, amount),
            )
            figures = Figures(
                limit=figures.limit,
                granted=figures.granted + amount,
                held=figures.held + amount,
                overrun=figures.overrun,
            )
        if unmet:
            self._recall(account, holder)
        return Grant(item.slice_id, amount, account[3], end, figures)

    def _granted(self, item: DrawItem, account: Account, amount: int) -> Grant:
        (end,) = self._connection.execute(
            f"SELECT window_end FROM account WHERE {_OF_ACCOUNT}",  # noqa: S608
            account,
        ).fetchone()
        return Grant(item.slice_id, amount, account[3], end, self.figures(account))

    def _take(self, account: Account, end: int, limit: int, amount: int) -> bool:
        self._connection.execute(
            "INSERT INTO account (budget, basis, subject, window_start, window_end, limit_amount, "
            "enforced) VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
            (*account, end, limit, limit),
        )
        taken = self._connection.execute(
            f"UPDATE account SET granted = granted + ? WHERE {_OF_ACCOUNT} "  # noqa: S608
            "AND granted + overrun + ? <= limit_amount",
            (amount, *account, amount),
        )
        return taken.rowcount == 1

    def _recall(self, account: Account, holder: str) -> None:
        self._connection.execute(
            f"UPDATE slice SET wanted = 1 WHERE {_OF_ACCOUNT} "  # noqa: S608
            "AND wanted = 0 AND holder <> ?",
            (*account, holder),
        )

    def give_back(self, holder: str, item: ReturnItem) -> None:
        """Shrink a slice to what its holder keeps, or close it. Idempotent."""
        row = self._connection.execute(
            "SELECT budget, basis, subject, window_start, amount, spent FROM slice "
            "WHERE id = ? AND holder = ?",
            (item.slice_id, holder),
        ).fetchone()
        if row is None:
            return
        keep = max(row[5], min(item.keep, row[4]))
        if keep < row[4]:
            self._connection.execute(
                "UPDATE slice SET amount = ? WHERE id = ?", (keep, item.slice_id)
            )
            self._release(row[:4], row[4] - keep)
        if item.close:
            self.close_slice(holder, item.slice_id)

    def close_slice(self, holder: str, slice_id: str) -> None:
        """Give back what it did not spend; what it spent stays in its account."""
        row = self._connection.execute(
            "DELETE FROM slice WHERE id = ? AND holder = ? "
            "RETURNING budget, basis, subject, window_start, amount - spent",
            (slice_id, holder),
        ).fetchone()
        if row is not None:
            self._release(row[:4], row[4])

    def _release(self, account: Account, amount: int) -> None:
        if amount == 0:
            return
        limit, granted = self._connection.execute(
            f"UPDATE account SET granted = granted - ? WHERE {_OF_ACCOUNT} "  # noqa: S608
            "RETURNING limit_amount, granted",
            (amount, *account),
        ).fetchone()
        self._connection.execute(
            f"UPDATE account SET enforced = ? WHERE {_OF_ACCOUNT}",  # noqa: S608
            (enforced_after(limit, granted), *account),
        )

    def spend(self, holder: str, slice_id: str, spent: int) -> int:
        """Add to what a slice spent; give what it could not bear. Unknown ones bear nothing."""
        row = self._connection.execute(
            "SELECT amount - spent FROM slice WHERE id = ? AND holder = ?", (slice_id, holder)
        ).fetchone()
        if row is None:
            return spent
        borne = min(spent, int(row[0]))
        self._connection.execute(
            "UPDATE slice SET spent = spent + ? WHERE id = ?", (borne, slice_id)
        )
        return spent - borne

    def account_of_slice(self, slice_id: str) -> Account | None:
        """The account of an open slice."""
        row: Account | None = self._connection.execute(
            "SELECT budget, basis, subject, window_start FROM slice WHERE id = ?", (slice_id,)
        ).fetchone()
        return row

    def add_overrun(self, account: Account, amount: int, *, end: int, limit: int) -> None:
        """Post what a provider billed above a hold; later draws subtract it.

        `end` and `limit` are those of an account that is not there yet.
        """
        self._connection.execute(
            "INSERT INTO account (budget, basis, subject, window_start, window_end, limit_amount, "
            "enforced, overrun) VALUES (?, ?, ?, ?, ?, ?, ?, ?) "
            "ON CONFLICT (budget, basis, subject, window_start) "
            "DO UPDATE SET overrun = account.overrun + excluded.overrun",
            (*account, end, limit, limit, amount),
        )

    def wanted(self, holder: str) -> list[str]:
        """Slices of the holder that are wanted back."""
        rows = self._connection.execute(
            "SELECT id FROM slice WHERE holder = ? AND wanted = 1 LIMIT 10000", (holder,)
        )
        return [id_ for (id_,) in rows]

    def totals_at(self, spec: BudgetSpec, start: int) -> tuple[int, int, int, int]:
        """In the window from `start`: accounts with a subject, granted, overrun, and subjects
        with nothing left to draw. The shared account is in the sums only."""
        row = self._connection.execute(
            "SELECT COALESCE(SUM(CASE WHEN subject <> '' THEN 1 ELSE 0 END), 0), "
            "COALESCE(SUM(granted), 0), COALESCE(SUM(overrun), 0), COALESCE(SUM(CASE WHEN "
            "subject <> '' AND granted + overrun >= limit_amount THEN 1 ELSE 0 END), 0) "
            "FROM account WHERE budget = ? AND basis = ? AND window_start = ?",
            (spec.id, spec.basis, start),
        ).fetchone()
        return (row[0], row[1], row[2], row[3])

    def held_at(self, spec: BudgetSpec, start: int) -> dict[str, int]:
        """What is held by subject, where anything is."""
        rows = self._connection.execute(
            "SELECT subject, SUM(amount - spent) FROM slice "
            "WHERE budget = ? AND basis = ? AND window_start = ? AND amount > spent "
            "GROUP BY subject",
            (spec.id, spec.basis, start),
        )
        return dict(rows.fetchall())

    def largest_at(
        self, spec: BudgetSpec, start: int, held: dict[str, int], count: int
    ) -> list[tuple[str, Figures]]:
        """The accounts with the least remaining, ascending; the shared one among them."""
        # What is held only adds to `remaining`: nobody beyond this many can come to the front.
        rows = self._connection.execute(
            "SELECT subject, limit_amount, granted, overrun FROM account "
            "WHERE budget = ? AND basis = ? AND window_start = ? "
            "ORDER BY granted + overrun DESC, subject LIMIT ?",
            (spec.id, spec.basis, start, count + len(held)),
        )
        found = [
            (subject, Figures(limit, granted, held.get(subject, 0), overrun))
            for subject, limit, granted, overrun in rows
        ]
        found.sort(key=lambda item: (item[1].remaining, item[0]))
        return found[:count]

    def forget_ended(self, before: int) -> int:
        """Drop accounts of users, sessions and agents whose window ended before; how many."""
        dropped = self._connection.execute(
            "DELETE FROM account WHERE subject <> '' AND window_end <> 0 AND window_end < ? "
            "AND NOT EXISTS (SELECT 1 FROM slice WHERE slice.budget = account.budget "
            "AND slice.basis = account.basis AND slice.subject = account.subject "
            "AND slice.window_start = account.window_start)",
            (before,),
        )
        return dropped.rowcount
