"""What the ledger asks of a database, whichever it is.

The stores above write one SQL that SQLite and PostgreSQL both understand, with `?` for
parameters; only the two adapters beside this file (`sqlite_database`; `postgres_database` with
`postgres_connection`) know a driver. An adapter is one connection, used by one thread at a time.
"""

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Literal, NamedTuple, Protocol

Row = tuple[Any, ...]
Parameters = Sequence[object]
Statement = tuple[str, Parameters]
Dialect = Literal["sqlite", "postgresql"]


class Outcome(NamedTuple):
    """What one statement gave: its rows, and how many it changed."""

    rows: list[Row]
    changed: int


class DatabaseError(Exception):
    """The database did not do what was asked; the transaction is void."""


class RuleBrokenError(DatabaseError):
    """A constraint, a trigger or a type of the tables refuses these values."""


class ConflictError(DatabaseError):
    """Another transaction stood in the way (deadlock, serialization): repeat the transaction."""


class DatabaseUnavailableError(DatabaseError):
    """The connection is lost or never came about.

    If it was lost in a commit, the transaction may have been committed all the same: whatever is
    repeated on the next connection has to be idempotent.
    """


class UnsafeDatabaseError(DatabaseError):
    """The database is not one that this release can trust with money: the message says why."""


class Database(Protocol):
    """One connection. Every method but `transaction`, `now_ms` and `close` stands inside a
    transaction. Raises `DatabaseError` and its kinds, never an exception of the driver."""

    @property
    def dialect(self) -> Dialect:
        """Which SQL it speaks, where the two differ."""
        ...

    @property
    def answered_ms(self) -> int:
        """When it last gave a prompt answer, by the monotonic clock of this machine; 0 if it never
        did, or where that says nothing: a file is no server."""
        ...

    @property
    def share_lock(self) -> str:
        """What ends a SELECT whose rows must not change before this transaction ends."""
        ...

    @property
    def update_lock(self) -> str:
        """What ends a SELECT whose rows this transaction is about to change."""
        ...

    @property
    def prompt_lock(self) -> str:
        """As `update_lock`, for who holds rows that others may wait for: where somebody else has
        locked one, nobody waits (ConflictError)."""
        ...

    @property
    def passing_lock(self) -> str:
        """As `update_lock`, but rows that others have locked are passed over."""
        ...

    def any_of(self, column: str) -> str:
        """A condition with one parameter, made by `listed`: the text column is in that list."""
        ...

    def listed(self, values: Sequence[str]) -> object:
        """The parameter of `any_of`."""
        ...

    def query(self, statement: str, parameters: Parameters = ()) -> list[Row]:
        """All rows."""
        ...

    def query_named(self, statement: str, parameters: Parameters = ()) -> list[dict[str, Any]]:
        """All rows, each by the names of its columns."""
        ...

    def execute(self, statement: str, parameters: Parameters = ()) -> int:
        """How many rows were changed."""
        ...

    def execute_many(self, statement: str, rows: Iterable[Parameters]) -> list[int]:
        """The statement for each of `rows`, in order: what each changed. One round trip."""
        ...

    def query_many(self, statement: str, rows: Iterable[Parameters]) -> list[list[Row]]:
        """The statement for each of `rows`, in order: what each gave. One round trip."""
        ...

    def together(self, statements: Sequence[Statement]) -> list[Outcome]:
        """Several statements, in order: what each gave. One round trip; none may depend on what
        another one gives."""
        ...

    def query_now(self, statement: str) -> tuple[list[Row], int]:
        """All rows of a query without parameters, and `now_ms`. One round trip, the begin of a
        transaction included."""
        ...

    def insert(self, table: str, columns: Sequence[str], rows: Iterable[Row]) -> None:
        """New rows in bulk, by the fastest way there is."""
        ...

    def transaction(self) -> AbstractContextManager[None]:
        """All or nothing, durable at the end."""
        ...

    def savepoint(self) -> AbstractContextManager[None]:
        """All or nothing within a transaction: on an error, only what is inside is undone."""
        ...

    def now_ms(self) -> int:
        """Milliseconds since the Unix epoch by the clock that decides about windows."""
        ...

    def identity(self) -> str:
        """Which server, and which branch of its history, this is: it differs after a failover to
        a copy and after a restore. "" where nothing of the kind can happen."""
        ...

    def close(self) -> None:
        """Close the connection."""
        ...
