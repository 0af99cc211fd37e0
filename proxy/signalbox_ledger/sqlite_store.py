"""The ledger's database on one machine: SQLite, owned by the authority's process.

The one writer. Every method is one step inside a transaction that the caller opened with
`transaction()`; several steps may share it (group commit). Statements keep to what PostgreSQL
understands too; the account rules themselves are pure and live in `accounts`.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path

import msgspec

from signalbox_ledger import run_store
from signalbox_ledger.accounts import BudgetSpec, Figures, enforced_after, grant_amount
from signalbox_ledger.protocol import DrawItem, Grant, ReturnItem

SCHEMA_VERSION = 1

Account = tuple[str, str, str, int]
"""Identity of an account: budget, basis, subject, start of the window."""

_OF_ACCOUNT = "budget = ? AND basis = ? AND subject = ? AND window_start = ?"


class StoreError(Exception):
    """The database is not one that this release can use."""


class FencedError(Exception):
    """The holder is unknown, or fenced: its process is held to be gone."""


class SqliteStore:
    """Accounts, slices and holders in SQLite, beside the tables of runs."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None, cached_statements=256)
        self._specs: dict[str, BudgetSpec] = {}
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
            self._connection.execute(f"PRAGMA {pragma}")
        self._connection.execute("PRAGMA busy_timeout=5000")
        self._migrate()
        self._load_specs()

    @property
    def connection(self) -> sqlite3.Connection:
        """The connection, for settlement within the same transaction."""
        return self._connection

    def close(self) -> None:
        """Close the database."""
        self._connection.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing, durable at the end."""
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._connection.execute("ROLLBACK")
            self._load_specs()
            raise
        self._connection.execute("COMMIT")

    def _migrate(self) -> None:
        (version,) = self._connection.execute("PRAGMA user_version").fetchone()
        if version == SCHEMA_VERSION:
            return
        if version != 0:
            raise StoreError(f"database has schema {version}, this release knows {SCHEMA_VERSION}")
        schema = files("signalbox_ledger").joinpath("accounts_schema.sql").read_text("utf-8")
        with self.transaction():
            for statement in schema.split(";\n"):
                if statement.strip():
                    self._connection.execute(statement)
            run_store.create_tables(self._connection)
            self._connection.execute(f"PRAGMA user_version={SCHEMA_VERSION}")

    def _load_specs(self) -> None:
        rows = self._connection.execute("SELECT id, spec FROM budget WHERE deleted = 0")
        self._specs = {id_: msgspec.json.decode(spec, type=BudgetSpec) for id_, spec in rows}

    # Budgets

    @property
    def specs(self) -> dict[str, BudgetSpec]:
        """The budgets in force, by id."""
        return self._specs

    @property
    def generation(self) -> int:
        """The generation of the snapshot that the budgets came with."""
        row = self._connection.execute("SELECT generation FROM ledger_state").fetchone()
        return int(row[0])

    def configure(self, generation: int, specs: Sequence[BudgetSpec], now: int) -> int:
        """Take the budgets of a snapshot, if it is newer; give the generation in force."""
        if generation <= (current := self.generation):
            return current
        execute = self._connection.execute
        execute("UPDATE ledger_state SET generation = ?", (generation,))
        for spec in specs:
            if self._specs.get(spec.id) == spec:
                continue
            execute(
                "INSERT INTO budget (id, spec, generation) VALUES (?, ?, ?) ON CONFLICT (id) DO "
                "UPDATE SET spec = excluded.spec, generation = excluded.generation, deleted = 0",
                (spec.id, msgspec.json.encode(spec).decode(), generation),
            )
            self._move_limit(spec, now)
        kept = {spec.id for spec in specs}
        for id_ in self._specs.keys() - kept:
            execute("UPDATE budget SET deleted = 1, generation = ? WHERE id = ?", (generation, id_))
            execute("UPDATE slice SET wanted = 1 WHERE budget = ?", (id_,))
        self._specs = {spec.id: spec for spec in specs}
        return generation

    def _move_limit(self, spec: BudgetSpec, now: int) -> None:
        execute = self._connection.execute
        execute(
            "UPDATE account SET limit_amount = ?, "
            "enforced = CASE WHEN granted > ? THEN granted ELSE ? END "
            "WHERE budget = ? AND basis = ? AND (window_end = 0 OR window_end > ?)",
            (spec.limit, spec.limit, spec.limit, spec.id, spec.basis, now),
        )
        execute(
            "UPDATE slice SET wanted = 1 WHERE wanted = 0 AND budget = ? AND (basis <> ? OR EXISTS "
            "(SELECT 1 FROM account WHERE account.budget = slice.budget "
            "AND account.basis = slice.basis AND account.subject = slice.subject "
            "AND account.window_start = slice.window_start AND granted + overrun > limit_amount))",
            (spec.id, spec.basis),
        )

    # Holders

    def open_holder(self, holder: str, name: str, now_ms: int) -> int:
        """Register an incarnation, once; give its settled offset. Raises FencedError."""
        self._connection.execute(
            "INSERT INTO holder (id, name, opened_at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
            (holder, name, now_ms),
        )
        return self.check_holder(holder)

    def check_holder(self, holder: str) -> int:
        """Its settled offset. Raises FencedError."""
        row = self._connection.execute(
            "SELECT journal_offset, fenced FROM holder WHERE id = ?", (holder,)
        ).fetchone()
        if row is None:
            raise FencedError(f"holder {holder} is not known; say hello first")
        if row[1]:
            raise FencedError(f"holder {holder} is fenced: its process was taken to be gone")
        return int(row[0])

    def fence(self, holder: str, name: str, now_ms: int) -> int:
        """Refuse the incarnation from now on; give its settled offset. Idempotent."""
        self._connection.execute(
            "INSERT INTO holder (id, name, opened_at, fenced) VALUES (?, ?, ?, 1) "
            "ON CONFLICT (id) DO UPDATE SET fenced = 1",
            (holder, name, now_ms),
        )
        return self.offset(holder)

    def offset(self, holder: str) -> int:
        """How much of its journal is settled, fenced or not. Raises FencedError if unknown."""
        row = self._connection.execute(
            "SELECT journal_offset FROM holder WHERE id = ?", (holder,)
        ).fetchone()
        if row is None:
            raise FencedError(f"holder {holder} is not known; say hello first")
        return int(row[0])

    def advance_offset(self, holder: str, start: int, end: int) -> bool:
        """Compare and set the settled offset."""
        changed = self._connection.execute(
            "UPDATE holder SET journal_offset = ? WHERE id = ? AND journal_offset = ?",
            (end, holder, start),
        )
        return changed.rowcount == 1

    def finish_holder(self, holder: str) -> None:
        """Close every slice of the incarnation and fence it."""
        rows = self._connection.execute("SELECT id FROM slice WHERE holder = ?", (holder,))
        for (slice_id,) in rows.fetchall():
            self._close_slice(holder, slice_id)
        self._connection.execute("UPDATE holder SET fenced = 1 WHERE id = ?", (holder,))

    def post_loss(self, holder: str, now_ms: int) -> dict[str, tuple[int, int]]:
        """Charge the open slices of a holder in full; give (slices, amount) by unit."""
        self.offset(holder)
        self._connection.execute(
            "INSERT INTO slice_loss (slice_id, holder, budget, basis, subject, window_start, "
            "amount, posted_at) SELECT id, holder, budget, basis, subject, window_start, "
            "amount - spent, ? FROM slice WHERE holder = ? AND amount > spent",
            (now_ms, holder),
        )
        self._connection.execute("UPDATE slice SET spent = amount WHERE holder = ?", (holder,))
        self.finish_holder(holder)
        rows = self._connection.execute(
            "SELECT basis, COUNT(*), SUM(amount) FROM slice_loss WHERE holder = ? GROUP BY basis",
            (holder,),
        )
        totals: dict[str, tuple[int, int]] = {}
        for basis, count, amount in rows:
            unit = str(basis).partition("/")[0]
            slices, amounts = totals.get(unit, (0, 0))
            totals[unit] = (slices + count, amounts + amount)
        return totals

    # Accounts and slices

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

    def draw(self, holder: str, item: DrawItem, now: int) -> Grant:
        """Grant a slice as the account's rules allow; the same slice again for the same id."""
        spec = self._specs.get(item.budget)
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
        if unmet and unmet <= figures.remaining:
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
            self._close_slice(holder, item.slice_id)

    def _close_slice(self, holder: str, slice_id: str) -> None:
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

    def add_overrun(self, account: Account, end: int, amount: int) -> None:
        """Post what a provider billed above a hold; later draws subtract it."""
        spec = self._specs.get(account[0])
        limit = spec.limit if spec is not None else 0
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

    def accounts_at(self, spec: BudgetSpec, start: int) -> list[tuple[str, Figures]]:
        """Every account of a budget in the window that begins at `start`."""
        rows = self._connection.execute(
            "SELECT subject, limit_amount, granted, overrun, (SELECT COALESCE(SUM(amount - spent), "
            "0) FROM slice WHERE slice.budget = account.budget AND slice.basis = account.basis "
            "AND slice.subject = account.subject AND slice.window_start = account.window_start) "
            "FROM account WHERE budget = ? AND basis = ? AND window_start = ?",
            (spec.id, spec.basis, start),
        )
        return [
            (subject, Figures(limit=limit, granted=granted, held=held, overrun=overrun))
            for subject, limit, granted, overrun, held in rows
        ]
