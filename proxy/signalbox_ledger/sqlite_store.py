"""The ledger's database on one machine: SQLite, owned by the authority's process.

The one writer. Every method is one step inside a transaction that the caller opened with
`transaction()`; several steps may share it (group commit). Here: budgets and holders; accounts
and slices are in `sqlite_accounts`, runs in `run_store`.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path

import msgspec

from signalbox_ledger import run_store
from signalbox_ledger.accounts import BudgetSpec
from signalbox_ledger.sqlite_accounts import SqliteAccounts

SCHEMA_VERSION = 1

_KEPT_SECONDS = 7 * 86_400


class StoreError(Exception):
    """The database is not one that this release can use."""


class FencedError(Exception):
    """The holder is unknown, or fenced: its process is held to be gone."""


class SqliteStore:
    """Accounts, slices and holders in SQLite, beside the tables of runs."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None, cached_statements=256)
        self.accounts = SqliteAccounts(self._connection)
        self._specs: dict[str, BudgetSpec] = {}
        self._is_ready = False
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
            self._connection.execute(f"PRAGMA {pragma}")
        self._connection.execute("PRAGMA busy_timeout=5000")
        with self.transaction():
            self._migrate()
            run_store.create_tables(self._connection)
        self._is_ready = True
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
            self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:  # a full disk ends it by itself
                self._connection.execute("ROLLBACK")
            if self._is_ready:
                self._load_specs()
            raise

    def _migrate(self) -> None:
        (version,) = self._connection.execute("PRAGMA user_version").fetchone()
        if version == SCHEMA_VERSION:
            return
        if version != 0:
            raise StoreError(f"database has schema {version}, this release knows {SCHEMA_VERSION}")
        schema = files("signalbox_ledger").joinpath("accounts_schema.sql").read_text("utf-8")
        for statement in schema.split(";\n"):
            if statement.strip():
                self._connection.execute(statement)
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
        """Take the budgets of a snapshot, if it is newer; give the generation in force.

        Raises ValueError for a window that cannot be computed.
        """
        if generation <= (current := self.generation):
            return current
        execute = self._connection.execute
        execute("UPDATE ledger_state SET generation = ?", (generation,))
        for spec in specs:
            if self._specs.get(spec.id) == spec:
                continue
            _check_window(spec, now)
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
            self.accounts.close_slice(holder, slice_id)
        self._connection.execute("UPDATE holder SET fenced = 1 WHERE id = ?", (holder,))

    def post_loss(self, holder: str, now_ms: int) -> dict[str, tuple[int, int]]:
        """Charge the open slices of a holder in full; give (slices, amount) by unit."""
        self.offset(holder)
        lost = self._connection.execute(
            "INSERT INTO slice_loss (slice_id, holder, budget, basis, subject, window_start, "
            "amount, posted_at) SELECT id, holder, budget, basis, subject, window_start, "
            "amount - spent, ? FROM slice WHERE holder = ? AND amount > spent "
            "RETURNING slice_id, budget, basis, amount",
            (now_ms, holder),
        ).fetchall()
        self._connection.execute("UPDATE slice SET spent = amount WHERE holder = ?", (holder,))
        self.finish_holder(holder)
        charges = [
            run_store.SliceLoss(
                slice_id=id_, budget=budget, holder=holder, amount_nano=amount, posted_at=now_ms
            )
            for id_, budget, basis, amount in lost
            if _unit(basis) == "usd"
        ]
        run_store.insert_slice_losses(self._connection, charges)
        return self._losses(holder)

    def _losses(self, holder: str) -> dict[str, tuple[int, int]]:
        rows = self._connection.execute(
            "SELECT basis, COUNT(*), SUM(amount) FROM slice_loss WHERE holder = ? GROUP BY basis",
            (holder,),
        )
        totals: dict[str, tuple[int, int]] = {}
        for basis, count, amount in rows:
            slices, amounts = totals.get(_unit(basis), (0, 0))
            totals[_unit(basis)] = (slices + count, amounts + amount)
        return totals

    def set_aside(self, holder: str, end: int, record: tuple[str, str, bytes]) -> None:
        """Keep a record (run id, reason, body) that the tables of runs do not take."""
        self._connection.execute(
            "INSERT INTO refused_record (holder, journal_end, run_id, reason, body) "
            "VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
            (holder, end, *record),
        )

    def forget_ended(self, now: int) -> None:
        """Drop what no decision needs any more: small accounts and holders that ended long ago."""
        before = now - _KEPT_SECONDS
        self.accounts.forget_ended(before)
        self._connection.execute(
            "DELETE FROM holder WHERE fenced = 1 AND opened_at < ? "
            "AND NOT EXISTS (SELECT 1 FROM slice WHERE slice.holder = holder.id)",
            (before * 1000,),
        )


def _check_window(spec: BudgetSpec, now: int) -> None:
    try:
        spec.window(spec.window(now)[1])
    except (KeyError, ValueError, OverflowError, OSError) as error:
        raise ValueError(f"budget {spec.id}: no window {spec.basis!r}: {error}") from error


def _unit(basis: str) -> str:
    return basis.partition("/")[0]
