"""The ledger's database on one machine: a SQLite file, owned by the authority's process.

The one module that knows its driver. There is one writer, so that nothing waits for
a lock but a reader that copies the file; readers open it with `read_only` and never block it (WAL).
"""

import json
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

from signalbox_ledger.database import (
    ConflictError,
    DatabaseError,
    Outcome,
    Parameters,
    Row,
    RuleBrokenError,
    Statement,
)

_BROKEN_RULES = (sqlite3.IntegrityError, sqlite3.DataError, OverflowError, UnicodeEncodeError)
_IN_THE_WAY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_NS_PER_MS = 1_000_000

_SETTINGS = (
    "journal_mode=WAL",
    "synchronous=FULL",  # a commit is on the disk before it is acknowledged
    "foreign_keys=ON",
    "recursive_triggers=ON",  # INSERT OR REPLACE deletes, too: what is append-only stays so
    "busy_timeout=5000",
)


class SqliteDatabase:
    """A connection to the file at `path`, which is created where there is none.

    `read_only` opens an existing file and cannot write. Raises DatabaseError where it cannot be
    opened.
    """

    dialect: Literal["sqlite", "postgresql"] = "sqlite"
    answered_ms = 0
    share_lock = ""
    update_lock = ""
    prompt_lock = ""
    passing_lock = ""

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        with _told():
            self._connection = _reading(path) if read_only else _writing(path)

    def any_of(self, column: str) -> str:
        """A condition with one parameter, made by `listed`: the text column is in that list."""
        return f"{column} IN (SELECT value FROM json_each(?))"  # noqa: S608

    def listed(self, values: Sequence[str]) -> object:
        """The parameter of `any_of`."""
        return json.dumps(list(values))

    def query(self, statement: str, parameters: Parameters = ()) -> list[Row]:
        """All rows."""
        with _told():
            return self._connection.execute(statement, parameters).fetchall()

    def query_named(self, statement: str, parameters: Parameters = ()) -> list[dict[str, Any]]:
        """All rows, each by the names of its columns."""
        with _told():
            cursor = self._connection.execute(statement, parameters)
            names = [column[0] for column in cursor.description]
            return [dict(zip(names, row, strict=True)) for row in cursor]

    def execute(self, statement: str, parameters: Parameters = ()) -> int:
        """How many rows were changed."""
        with _told():
            return self._connection.execute(statement, parameters).rowcount

    def execute_many(self, statement: str, rows: Iterable[Parameters]) -> list[int]:
        """The statement for each of `rows`, in order: how many rows each changed."""
        with _told():
            return [self._connection.execute(statement, row).rowcount for row in rows]

    def query_many(self, statement: str, rows: Iterable[Parameters]) -> list[list[Row]]:
        """The statement for each of `rows`, in order: what each gave."""
        with _told():
            return [self._connection.execute(statement, row).fetchall() for row in rows]

    def together(self, statements: Sequence[Statement]) -> list[Outcome]:
        """Several statements, in order: what each gave."""
        with _told():
            cursors = (self._connection.execute(*statement) for statement in statements)
            return [Outcome(cursor.fetchall(), cursor.rowcount) for cursor in cursors]

    def query_now(self, statement: str) -> tuple[list[Row], int]:
        """All rows of a query without parameters, and the present."""
        return self.query(statement), self.now_ms()

    def insert(self, table: str, columns: Sequence[str], rows: Iterable[Row]) -> None:
        """New rows in bulk."""
        places = ", ".join("?" * len(columns))
        statement = f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({places})"  # noqa: S608
        with _told():
            self._connection.executemany(statement, rows)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing, on the disk at the end."""
        with _told():
            self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            with _told():
                self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:  # a full disk ends it by itself
                self._connection.execute("ROLLBACK")
            raise

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        """All or nothing within a transaction: on an error, only what is inside is undone."""
        with _told():
            self._connection.execute("SAVEPOINT inner_part")
        try:
            yield
        except BaseException:
            if self._connection.in_transaction:  # a full disk ends the whole transaction by itself
                self._connection.execute("ROLLBACK TO inner_part")
                self._connection.execute("RELEASE inner_part")
            raise
        with _told():
            self._connection.execute("RELEASE inner_part")

    def now_ms(self) -> int:
        """Milliseconds since the Unix epoch by this machine's clock."""
        return time.time_ns() // _NS_PER_MS

    def identity(self) -> str:
        """Nothing: a file does not fail over to another one behind its owner's back."""
        return ""

    def close(self) -> None:
        """Close the file."""
        self._connection.close()


def connect_to_migrate(path: Path) -> sqlite3.Connection:
    """A connection of the driver's for Alembic: tables may step aside without their references."""
    connection = _writing(path)
    connection.execute("PRAGMA foreign_keys=OFF")
    connection.execute("PRAGMA legacy_alter_table=ON")
    return connection


def _writing(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, cached_statements=256)
    try:
        for setting in _SETTINGS:
            connection.execute(f"PRAGMA {setting}")
    except BaseException:
        connection.close()
        raise
    return connection


def _reading(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(
        f"file:{quote(str(path.absolute()))}?mode=ro", uri=True, isolation_level=None, timeout=5.0
    )
    try:
        connection.execute("PRAGMA query_only = ON")
        connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone()
    except BaseException:
        connection.close()
        raise
    return connection


class _told:  # noqa: N801 - a context manager; a generator would cost as much as a statement
    """Errors of the driver, as the stores know them."""

    __slots__ = ()

    def __enter__(self) -> None:
        """Nothing to begin."""

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if error is None:
            return
        if isinstance(error, _BROKEN_RULES):
            raise RuleBrokenError(str(error)) from error
        if isinstance(error, sqlite3.Error):
            if getattr(error, "sqlite_errorcode", None) in _IN_THE_WAY:
                raise ConflictError(str(error)) from error
            raise DatabaseError(str(error)) from error
