"""The ledger's database for a fleet: PostgreSQL, which alone decides, whoever asks.

Knows its driver, with `postgres_connection` (psycopg 3, blocking: the authority runs it in
a thread of its own). Transactions are READ COMMITTED: what must not change is locked by the
statement that reads it, and the account's rule is a condition of the update and a constraint of
the table. Nothing waits longer than `ANSWER_SECONDS` for the server, whatever became of it.
"""

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import lru_cache
from typing import Any, Literal

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from signalbox_ledger.database import (
    ConflictError,
    DatabaseError,
    DatabaseUnavailableError,
    Outcome,
    Parameters,
    Row,
    RuleBrokenError,
    Statement,
)
from signalbox_ledger.postgres_connection import ANSWER_SECONDS, connect, sentence

_CONFLICTS = (
    psycopg.errors.DeadlockDetected,
    psycopg.errors.SerializationFailure,
    psycopg.errors.LockNotAvailable,
)
_GONE = (
    *(psycopg.errors.QueryCanceled, psycopg.errors.AdminShutdown, psycopg.errors.CrashShutdown),
    *(psycopg.errors.CannotConnectNow, psycopg.errors.ReadOnlySqlTransaction),
    *(psycopg.errors.IdleInTransactionSessionTimeout, psycopg.errors.TooManyConnections),
    psycopg.errors.InvalidSqlStatementName,
)
_PROMPT_NS = 500_000_000
"""An answer that took longer is no sign that the next one will come."""

_NOW_MS = "floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint"
_BROKEN_RULES = (
    *(psycopg.IntegrityError, psycopg.DataError, OverflowError, UnicodeEncodeError),
    psycopg.errors.ProgramLimitExceeded,  # a text that is too long for an index
)


class PostgresDatabase:
    """A connection to the server that `dsn` names (a URL or libpq's `key=value` words).

    `answer_seconds` bounds every wait; readers of long reports raise it. Raises
    DatabaseUnavailableError where nobody answers, UnsafeDatabaseError where the server's settings
    could lose what it acknowledged (see `postgres_settings`).
    """

    dialect: Literal["sqlite", "postgresql"] = "postgresql"
    share_lock = " FOR SHARE"
    update_lock = " FOR NO KEY UPDATE"
    prompt_lock = " FOR NO KEY UPDATE NOWAIT"
    passing_lock = " FOR NO KEY UPDATE SKIP LOCKED"

    def __init__(
        self, dsn: str, *, read_only: bool = False, answer_seconds: int = ANSWER_SECONDS
    ) -> None:
        self._connection = connect(dsn, read_only=read_only, answer_seconds=answer_seconds)
        self._cursor = self._connection.cursor()
        self._begins = False
        self.answered_ms = 0

    def any_of(self, column: str) -> str:
        """A condition with one parameter, made by `listed`: the text column is in that list."""
        return f"{column} = ANY(?)"

    def listed(self, values: Sequence[str]) -> object:
        """The parameter of `any_of`."""
        return list(values)

    def query(self, statement: str, parameters: Parameters = ()) -> list[Row]:
        """All rows."""
        with self._told():
            self._begin()
            return self._cursor.execute(_translated(statement), parameters).fetchall()

    def query_named(self, statement: str, parameters: Parameters = ()) -> list[dict[str, Any]]:
        """All rows, each by the names of its columns."""
        with self._told(), self._connection.cursor(row_factory=dict_row) as cursor:
            self._begin()
            return cursor.execute(_translated(statement), parameters).fetchall()

    def execute(self, statement: str, parameters: Parameters = ()) -> int:
        """How many rows were changed."""
        with self._told():
            self._begin()
            return self._cursor.execute(_translated(statement), parameters).rowcount

    def execute_many(self, statement: str, rows: Iterable[Parameters]) -> list[int]:
        """The statement for each of `rows`, in order: how many rows each changed."""
        with self._told():
            return [self._cursor.rowcount for _ in self._each(statement, rows)]

    def query_many(self, statement: str, rows: Iterable[Parameters]) -> list[list[Row]]:
        """The statement for each of `rows`, in order: what each gave."""
        with self._told():
            return [self._cursor.fetchall() for _ in self._each(statement, rows)]

    def _each(self, statement: str, rows: Iterable[Parameters]) -> Iterator[None]:
        """Run all in one round trip (libpq's pipeline), then go from result to result."""
        listed = list(rows)
        if not listed:
            return
        self._begin()
        self._cursor.executemany(_translated(statement), listed, returning=True)
        yield
        while self._cursor.nextset():
            yield

    def together(self, statements: Sequence[Statement]) -> list[Outcome]:
        """Several statements in one round trip (libpq's pipeline): what each gave."""
        with self._told():
            self._begin()
            with self._connection.pipeline() if len(statements) > 1 else nullcontext():
                cursors = [
                    self._connection.cursor().execute(_translated(statement), parameters)
                    for statement, parameters in statements
                ]
            return [
                Outcome(cursor.fetchall() if cursor.description else [], cursor.rowcount)
                for cursor in cursors
            ]

    def query_now(self, statement: str) -> tuple[list[Row], int]:
        """All rows of a query without parameters, and the present by the server's clock."""
        begin = "BEGIN; " if self._begins else ""
        asked = f"{begin}SELECT asked.*, {_NOW_MS} FROM ({statement}) AS asked"  # noqa: S608
        with self._told():
            self._begins = False
            # Two statements in one message: libpq's simple protocol, which prepares nothing.
            self._cursor.execute(asked.encode(), prepare=False)
            while self._cursor.nextset():
                pass
            rows = self._cursor.fetchall()
        return [row[:-1] for row in rows], int(rows[0][-1])

    def insert(self, table: str, columns: Sequence[str], rows: Iterable[Row]) -> None:
        """New rows in bulk, by COPY."""
        into = sql.SQL("COPY {} ({}) FROM STDIN").format(
            sql.Identifier(table), sql.SQL(", ").join(map(sql.Identifier, columns))
        )
        with self._told():
            if not (listed := list(rows)):
                return
            self._begin()
            with self._cursor.copy(into) as copy:
                for row in listed:
                    copy.write_row(row)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing; durable at the end, as far as the server's settings were checked.

        Begins with its first statement, in the same round trip if that is `query_now`.
        """
        self._begins = True
        try:
            yield
            with self._told():
                self._commit()
        except BaseException:
            self._roll_back("ROLLBACK")
            raise
        finally:
            self._begins = False

    def _begin(self) -> None:
        if self._begins:
            self._begins = False
            self._connection.execute("BEGIN")

    def _commit(self) -> None:
        if self._begins:
            return
        # After an error that somebody swallowed, the server answers a COMMIT by rolling back.
        if self._cursor.execute("COMMIT").statusmessage != "COMMIT":
            raise DatabaseError("the transaction was rolled back: a statement in it had failed")

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        """All or nothing within a transaction: on an error, only what is inside is undone."""
        with self._told():
            self._begin()
            self._connection.execute("SAVEPOINT inner_part")
        try:
            yield
        except BaseException:
            self._roll_back("ROLLBACK TO inner_part")
            self._roll_back("RELEASE inner_part")
            raise
        with self._told():
            self._connection.execute("RELEASE inner_part")

    def _roll_back(
        self, statement: Literal["ROLLBACK", "ROLLBACK TO inner_part", "RELEASE inner_part"]
    ) -> None:
        """A connection that cannot do that is closed: the server then rolls back by itself."""
        try:
            if self._connection.closed:
                return
            if statement == "ROLLBACK":
                # The driver's own: it forgets statements that a failed pipeline left half prepared.
                self._connection.rollback()
            else:
                self._connection.execute(statement)
        except psycopg.Error:
            self._connection.close()

    def now_ms(self) -> int:
        """Milliseconds since the Unix epoch by the server's clock, whatever this machine's says."""
        rows = self.query(f"SELECT {_NOW_MS}")
        return int(rows[0][0])

    def identity(self) -> str:
        """The cluster's system identifier and its timeline, which a promotion changes at once."""
        ((identity,),) = self.query(
            "SELECT system_identifier || '/' || left(pg_walfile_name(pg_current_wal_lsn()), 8)"
            " FROM pg_control_system()"
        )
        return str(identity)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Errors of the driver, as the stores know them; a connection in doubt is closed."""
        asked_ns = time.monotonic_ns()
        try:
            yield
            now_ns = time.monotonic_ns()
            if now_ns - asked_ns < _PROMPT_NS:
                self.answered_ms = now_ns // 1_000_000
        except _BROKEN_RULES as error:
            raise RuleBrokenError(sentence(error)) from error
        except _CONFLICTS as error:
            raise ConflictError(sentence(error)) from error
        except _GONE as error:
            self._connection.close()
            raise DatabaseUnavailableError(f"PostgreSQL: {sentence(error)}") from error
        except psycopg.Error as error:
            if error.sqlstate is None:  # not the server's words: the connection's
                self._connection.close()
                raise DatabaseUnavailableError(f"PostgreSQL: {sentence(error)}") from error
            raise DatabaseError(sentence(error)) from error


@lru_cache(maxsize=1024)
def _translated(statement: str) -> bytes:
    """With the driver's marks for parameters. No statement has a `?` or a `%` in a literal."""
    return statement.replace("%", "%%").replace("?", "%s").encode()
