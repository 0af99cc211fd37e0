"""Opens the ledger's file for reading, while the authority writes and after it has stopped.

The only module of the reading side that knows the database driver; `reading` and `reports` ask
through it.
"""

import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

Parameters = Sequence[object] | Mapping[str, object]


class LedgerUnreadableError(Exception):
    """There is no ledger at that path, or none that this release can read."""


class ReadOnlyDatabase:
    """A read-only connection. Readers never block the authority, nor it them (WAL)."""

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise LedgerUnreadableError(
                f"no ledger at {path}: is this the state folder of a Signalbox that has run?"
            )
        try:
            self._connection = _connect(path)
        except sqlite3.DatabaseError as error:
            raise LedgerUnreadableError(f"cannot read the ledger {path}: {error}") from error

    def query(self, statement: str, parameters: Parameters = ()) -> list[dict[str, Any]]:
        """All rows of one statement: a consistent view of the ledger at one instant."""
        try:
            cursor = self._connection.execute(statement, parameters)
            names = [column[0] for column in cursor.description]
            return [dict(zip(names, row, strict=True)) for row in cursor]
        except sqlite3.OperationalError as error:
            raise LedgerUnreadableError(f"cannot read the ledger: {error}") from error

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(
        f"file:{quote(str(path.absolute()))}?mode=ro", uri=True, isolation_level=None, timeout=5.0
    )
    try:
        connection.execute("PRAGMA query_only = ON")
        connection.execute("SELECT 1 FROM period_sum LIMIT 1").fetchone()
    except BaseException:
        connection.close()
        raise
    return connection
