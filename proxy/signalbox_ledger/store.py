"""The ledger's database, as the authority uses it: budgets, holders, and what state it is in.

Every method is one step inside a transaction that the caller opened with `transaction()`; several
steps may share it (group commit). Accounts and slices are in `account_store` and `granting`,
holders in `holder_store`, runs in `run_store`. Several authorities may stand on one PostgreSQL
database: nothing is remembered between two transactions that another one could have changed.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import msgspec

from signalbox_ledger import idempotency, ledger_state, response_store
from signalbox_ledger.account_store import AccountStore
from signalbox_ledger.accounts import BudgetSpec, check_spec
from signalbox_ledger.database import (
    ConflictError,
    Database,
    DatabaseUnavailableError,
    Row,
    Statement,
)
from signalbox_ledger.granting import Granting
from signalbox_ledger.holder_store import HolderStore, Opened
from signalbox_ledger.migrate import SchemaError
from signalbox_ledger.protocol import Hello

_KEPT_SECONDS = 7 * 86_400

_KEPT_ACCOUNT_SECONDS = 60
"""An account of a user, session or agent stays so long after its window: its last holds settle."""

_DROPPED_AT_ONCE = 1_000


class Store:
    """Budgets and holders, on one connection that is renewed when it is lost."""

    def __init__(self, connect: Callable[[], Database]) -> None:
        self._connect = connect
        self._database: Database | None = None
        self._specs: dict[str, BudgetSpec] = {}
        self._specs_generation = -1
        self.state = ledger_state.UNKNOWN
        self._began_ms = 0
        self._open()

    @property
    def database(self) -> Database:
        """The connection. Raises DatabaseUnavailableError while it is lost."""
        if self._database is None:
            raise DatabaseUnavailableError("the database is not connected")
        return self._database

    @property
    def answered_ms(self) -> int:
        """As `Database.answered_ms`; 0 while there is no connection."""
        database = self._database  # another thread may be losing it
        return database.answered_ms if database is not None else 0

    def close(self) -> None:
        """Close the database."""
        if self._database is not None:
            self._database.close()
            self._database = None

    def now_ms(self) -> int:
        """Milliseconds since the epoch by the database's clock, when the transaction began."""
        return self._began_ms

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing, durable at the end. Connects anew where the connection was lost.

        Raises DatabaseUnavailableError: then it may have been committed all the same. Raises
        SchemaError where a newer release has upgraded the tables for itself alone.
        """
        if self._database is None:
            self._open()
        try:
            with self.database.transaction():
                self._read_state()
                yield
        except (DatabaseUnavailableError, SchemaError):
            self.close()
            raise
        except BaseException:
            self._specs_generation = -1
            raise

    def _open(self) -> None:
        database = self._connect()
        self._database = database
        self.accounts = AccountStore(database)
        self.granting = Granting(database, self.accounts)
        self.holders = HolderStore(database, self.accounts)
        self._specs_generation = -1
        try:
            with self.transaction():
                self._recognise(database.identity())
        except BaseException:
            self.close()
            raise

    def _recognise(self, identity: str) -> None:
        """Freeze draws where this is not the database that it was."""
        if self.state.identity == identity:
            return
        now_ms, since = self.now_ms(), 0
        if self.state.identity:
            self.freeze(
                f"the database is another one than before ({self.state.identity} then, "
                f"{identity} now): it may have lost what was drawn",
                now_ms,
            )
            since = now_ms
        self.database.execute(
            "UPDATE ledger_state SET identity = ?, identity_since = ?", (identity, since)
        )

    def _read_state(self) -> None:
        (row,), self._began_ms = self.database.query_now(ledger_state.ASKING)
        self.state = ledger_state.told(row)
        if self.state.generation != self._specs_generation:
            rows = self.database.query("SELECT id, spec FROM budget WHERE deleted = 0")
            self._specs = {id_: msgspec.json.decode(spec, type=BudgetSpec) for id_, spec in rows}
            self._specs_generation = self.state.generation

    # Freezing

    def hold_state(self) -> None:
        """Look again, and let nobody freeze or readmit before this transaction ends."""
        (row,) = self.database.query(ledger_state.ASKING + self.database.update_lock)
        self.state = ledger_state.told(row)

    def freeze(self, reason: str, now_ms: int) -> None:
        """Let nobody draw until somebody readmits. The first reason stays."""
        self.hold_state()
        self.database.execute(
            "UPDATE ledger_state SET frozen = ?, frozen_at = ? WHERE frozen = ''", (reason, now_ms)
        )
        self.state = self.state._replace(frozen=self.state.frozen or reason)

    def readmit(self) -> None:
        """A person says that every live holder has presented its slices: draws flow again."""
        self.database.execute("UPDATE ledger_state SET frozen = '', frozen_at = 0")
        self.state = self.state._replace(frozen="", frozen_at=0)

    # Budgets

    @property
    def specs(self) -> Mapping[str, BudgetSpec]:
        """The budgets in force, by id."""
        return self._specs

    @property
    def generation(self) -> int:
        """The generation of the snapshot that the budgets came with."""
        return self.state.generation

    def hold_specs(self) -> None:
        """Let no budget change before this transaction ends. Raises ConflictError if one did."""
        for statement in self.holding_specs():
            self.held_specs(self.database.query(*statement))

    def holding_specs(self) -> list[Statement]:
        """What `hold_specs` asks, to be asked with something else: nothing in SQLite."""
        lock = self.database.share_lock
        return [(ledger_state.ASKING + lock, ())] if lock else []

    def held_specs(self, rows: Sequence[Row]) -> None:
        """Take up what that gave. Raises ConflictError if a budget changed meanwhile."""
        self.state = ledger_state.told(rows[0])
        if self.state.generation != self._specs_generation:
            raise ConflictError("the budgets changed meanwhile")

    def configure(self, generation: int, specs: Sequence[BudgetSpec], now: int) -> int:
        """Take the budgets of a snapshot, if it is newer; give the generation in force.

        Raises ValueError for a window that cannot be computed.
        """
        if generation <= self.generation:
            return self.generation
        changed = self.database.execute(
            "UPDATE ledger_state SET generation = ? WHERE generation < ?", (generation, generation)
        )
        if not changed:
            raise ConflictError("another authority configured a newer generation")
        before = self._specs
        for spec in specs:
            if before.get(spec.id) != spec:
                check_spec(spec, now)
                self._write_budget(spec, generation)
                self._move_limit(spec, now)
        gone = before.keys() - {spec.id for spec in specs}
        self.database.execute_many(
            "UPDATE budget SET deleted = 1, generation = ? WHERE id = ?",
            [(generation, id_) for id_ in sorted(gone)],
        )
        self.database.execute_many(
            "UPDATE slice SET wanted = 1 WHERE budget = ?", [(id_,) for id_ in sorted(gone)]
        )
        self._specs = {spec.id: spec for spec in specs}
        self._specs_generation = generation
        self.state = self.state._replace(generation=generation)
        return generation

    def require_generation(self, generation: int) -> int:
        """Let only holders of this snapshot or a newer one draw; give what is needed now."""
        changed = self.database.execute(
            "UPDATE ledger_state SET min_generation = ? WHERE min_generation < ?",
            (generation, generation),
        )
        if changed:
            self.state = self.state._replace(min_generation=generation)
        return self.state.min_generation

    def counts_as(self, spec: BudgetSpec, generation: int, *, unknown: bool = True) -> bool:
        """Whether the budget counted under this generation what `spec` counts. `unknown` is the
        answer for a generation from before the first that is known."""
        rows = self.database.query(
            "SELECT basis FROM budget_basis WHERE budget = ? AND since <= ? "
            "ORDER BY since DESC LIMIT 1",
            (spec.id, generation),
        )
        return bool(rows[0][0] == spec.basis) if rows else unknown

    def _write_budget(self, spec: BudgetSpec, generation: int) -> None:
        if not self.counts_as(spec, generation, unknown=False):
            self.database.execute(
                "INSERT INTO budget_basis (budget, since, basis) VALUES (?, ?, ?)",
                (spec.id, generation, spec.basis),
            )
        self.database.execute(
            "INSERT INTO budget (id, spec, generation) VALUES (?, ?, ?) ON CONFLICT (id) DO "
            "UPDATE SET spec = excluded.spec, generation = excluded.generation, deleted = 0",
            (spec.id, msgspec.json.encode(spec).decode(), generation),
        )

    def _move_limit(self, spec: BudgetSpec, now: int) -> None:
        # Of a hundred thousand users, only those of whom somebody holds something: draws bring
        # the others up to date, and nobody has to wait for all of their rows.
        named = (spec.id, spec.basis)
        moved = [
            (*named, subject, start)
            for subject, start in self.database.query(
                "SELECT '', window_start FROM account "
                "WHERE budget = ? AND basis = ? AND subject = '' "
                "UNION SELECT subject, window_start FROM slice WHERE budget = ? AND basis = ?",
                named * 2,
            )
        ]
        self.accounts.move_limits(dict.fromkeys(moved, spec.limit), now)
        self.accounts.recall_above(moved)
        self.database.execute(
            "UPDATE slice SET wanted = 1 WHERE wanted = 0 AND budget = ? AND basis <> ?", named
        )

    # Holders

    def open_holder(self, hello: Hello, now_ms: int) -> tuple[Opened, list[str]]:
        """Register an incarnation, or a new session of one; and which of its slices it does not
        know, where commits were lost. Raises HolderRefusedError.

        A holder that was told of more than the database has freezes all draws: commits were lost
        that had been acknowledged.
        """
        opened = self.holders.open(hello, now_ms)
        lost = self.accounts.unknown(hello.holder, hello.slices)
        if lost or hello.acknowledged > opened.offset:
            self.freeze(
                f"holder {hello.holder} was told of commits that the database does not have: "
                f"{len(lost)} slices, {max(0, hello.acknowledged - opened.offset)} "
                "bytes of journal",
                now_ms,
            )
        if lost:
            self.hold_specs()
            self.accounts.adopt(hello.holder, lost, self._specs)
        if not self.state.frozen:
            return opened, []
        presented = {one.slice_id for one in hello.slices}
        return opened, [
            id_ for id_ in self.accounts.open_slices(hello.holder) if id_ not in presented
        ]

    def forget_ended(self, now: int) -> bool:
        """Drop what no decision needs any more, so much at a time that nobody has to wait; whether
        there is more of it."""
        most = _DROPPED_AT_ONCE
        self.granting.subjects.forget_ended(now - _KEPT_ACCOUNT_SECONDS)
        self.holders.forget_ended((now - _KEPT_SECONDS) * 1000)
        dropped = (
            self.accounts.forget_ended(now - _KEPT_ACCOUNT_SECONDS, most),
            idempotency.forget_expired(self.database, now * 1000, most),
            response_store.forget_expired(self.database, now * 1000, most),
        )
        return most in dropped
