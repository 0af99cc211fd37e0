"""Opens the ledger for reading, while authorities write and after they have stopped.

A SQLite file or a PostgreSQL database; `reading` and `reports` ask through it.
"""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, Self

from signalbox_ledger import migrate, opening, positions
from signalbox_ledger.database import Database, DatabaseError, Dialect, Parameters

_ANSWER_SECONDS = 60
"""How long a report may take in PostgreSQL."""


class LedgerUnreadableError(Exception):
    """There is no ledger there, or none that this release can read."""


class Closing(ABC):
    """Closed at the end of a `with`."""

    @abstractmethod
    def close(self) -> None:
        """Close the connection."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class ReadOnlyDatabase(Closing):
    """A read-only connection. Readers never block an authority, nor it them.

    `where` is the path of a SQLite file or the DSN of a PostgreSQL database.
    """

    def __init__(self, where: Path | str) -> None:
        if isinstance(where, Path) and not where.is_file():
            raise LedgerUnreadableError(
                f"no ledger at {where}: is this the state folder of a Signalbox that has run?"
            )
        name = str(where) if isinstance(where, Path) else "in PostgreSQL"
        try:
            self._database = _connect(where)
        except DatabaseError as error:
            raise LedgerUnreadableError(f"cannot read the ledger {name}: {error}") from error

    @property
    def dialect(self) -> Dialect:
        """Which SQL it speaks, where the two differ."""
        return self._database.dialect

    def query(self, statement: str, parameters: Parameters = ()) -> list[dict[str, Any]]:
        """All rows of one statement: a consistent view of the ledger at one instant."""
        try:
            return self._database.query_named(statement, parameters)
        except DatabaseError as error:
            raise LedgerUnreadableError(f"cannot read the ledger: {error}") from error

    def settled(self) -> int:
        """The position up to which every run is there that ever will be. Ask before reading."""
        try:
            return positions.settled(self._database)
        except DatabaseError as error:
            raise LedgerUnreadableError(f"cannot follow the ledger: {error}") from error

    def close(self) -> None:
        """Close the connection."""
        self._database.close()


def _connect(where: Path | str) -> Database:
    database = opening.connect(where, read_only=True, answer_seconds=_ANSWER_SECONDS)
    try:
        migrate.check_schema(database)
    except BaseException:
        database.close()
        raise
    return database
