"""The database that survives: SQLite in memory, which crashes of processes do not touch.

`SimulatedDatabase` is the real SQLite adapter on that one connection. Faults act at the
edges of a transaction: the database is away, the process dies before or after the commit, the
connection breaks in the commit. A copy that is promoted later has lost what came after it.
"""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from signalbox_ledger.database import DatabaseUnavailableError
from signalbox_ledger.sqlite_database import SqliteDatabase
from simulation.scheduler import Process, ProcessKilled, World

_STORED = (
    "SELECT limit_amount, enforced, granted, overrun, (SELECT COALESCE(SUM(amount - spent), 0)"
    " FROM slice WHERE slice.budget = account.budget AND slice.basis = account.basis"
    " AND slice.subject = account.subject AND slice.window_start = account.window_start)"
    " FROM account WHERE budget = ? AND basis = ? AND subject = ? AND window_start = ?"
)


class StoredAccount(NamedTuple):
    """A row of `account`, and what its open slices hold."""

    limit: int
    enforced: int
    granted: int
    overrun: int
    held: int

    @property
    def settled(self) -> int:
        """What runs have spent."""
        return self.granted - self.held


class Durable:
    """The committed state, and what is wrong with the server that has it."""

    def __init__(self, world: World, start_us: int) -> None:
        self.world = world
        self.start_us = start_us
        self.connection = _in_memory()
        self._former: list[sqlite3.Connection] = []
        self.timeline = 1
        self.is_down = False
        self.slow_us = 0
        self.crashes: dict[str, str] = {}
        """Processes that die at their next commit: `before` or `after` it, or lose it."""
        self.committed: list[Callable[[], None]] = []
        """What the open transaction tells once it is durable."""
        self.on_promote: list[Callable[[], None]] = []

    def account(self, key: tuple[str, str, str, int]) -> StoredAccount | None:
        """How an account stands in the database at this instant."""
        row = self.connection.execute(_STORED, key).fetchone()
        return None if row is None else StoredAccount(*row)

    def copy(self) -> sqlite3.Connection:
        """What a replica has received up to now."""
        replica = _in_memory()
        self.connection.backup(replica)
        return replica

    def promote(self, replica: sqlite3.Connection) -> None:
        """A replica that lags becomes the primary: the commits since then are gone."""
        self.timeline += 1
        self.world.note("promote", str(self.timeline))
        self._former.append(self.connection)
        self.connection = replica
        for hear in self.on_promote:
            hear()

    def close(self) -> None:
        for connection in (*self._former, self.connection):
            connection.close()


def _in_memory() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:", isolation_level=None, cached_statements=256)
    connection.execute("PRAGMA foreign_keys=ON")
    connection.execute("PRAGMA recursive_triggers=ON")
    return connection


class SimulatedDatabase(SqliteDatabase):
    """A connection of one authority process."""

    def __init__(self, durable: Durable, process: Process, *, on_postgres: bool) -> None:
        if durable.is_down:
            raise DatabaseUnavailableError("the database does not answer")
        self._durable = durable
        self._process = process
        self._on_postgres = on_postgres
        self._timeline = durable.timeline
        self._connection = durable.connection
        self._open = True

    def identity(self) -> str:
        """Which server this is: changes when another one takes over."""
        return f"timeline {self._durable.timeline}" if self._on_postgres else ""

    def now_ms(self) -> int:
        """The database's clock is true."""
        return (self._durable.start_us + self._durable.world.now) // 1000

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """See `Database`; told to the judge the moment that it is durable."""
        durable, name = self._durable, self._process.name
        if not self._process.alive:
            raise ProcessKilled
        if durable.is_down or not self._open or self._timeline != durable.timeline:
            self._open = False
            raise DatabaseUnavailableError("the connection is lost")
        fate = durable.crashes.pop(name, "")
        durable.committed.clear()
        with super().transaction():
            yield
            if fate == "before":
                self._process.kill()
                raise ProcessKilled
            if fate == "lost":
                self._open = False
                raise DatabaseUnavailableError("the connection is lost")
        told, durable.committed = durable.committed, []
        for tell in told:
            tell()
        if fate == "after":
            self._process.kill()
            raise ProcessKilled
        if fate == "unheard":
            self._open = False
            raise DatabaseUnavailableError("the connection is lost")

    def close(self) -> None:
        """The server goes on without this connection."""
        self._open = False
