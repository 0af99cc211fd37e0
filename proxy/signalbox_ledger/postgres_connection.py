"""Connections to PostgreSQL: bounded in time, checked, and silent about their DSN.

Beside `postgres_database`, the one other module that knows its driver. What is checked stands in
`postgres_settings`.
"""

from typing import TypeVar

import psycopg
from psycopg.abc import PQGen
from psycopg.adapt import Loader
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from signalbox_ledger import postgres_settings
from signalbox_ledger.database import DatabaseUnavailableError, Row, UnsafeDatabaseError

ANSWER_SECONDS = 5
"""How long a connection attempt, a statement or a silent server is waited for."""

Returned = TypeVar("Returned")


class BoundedConnection(psycopg.Connection[Row]):
    """Gives up on a server that went silent: statement_timeout is the server's, and it may hang."""

    answer_seconds: float = ANSWER_SECONDS

    def wait(
        self, gen: PQGen[Returned], interval: float = 0.1, timeout: float | None = None
    ) -> Returned:
        """As psycopg's, with a bound; the connection is of no use after it."""
        return super().wait(gen, interval, timeout or self.answer_seconds)


def connect(
    dsn: str, *, read_only: bool, answer_seconds: int, lock_ms: int | None = None
) -> BoundedConnection:
    """A connection that commits each statement, unless a transaction was begun.

    Raises DatabaseUnavailableError, and UnsafeDatabaseError for a server that could lose commits
    (readers take any).
    """
    connection = _open(dsn, answer_seconds)
    try:
        _prepare(connection, read_only=read_only, answer_seconds=answer_seconds, lock_ms=lock_ms)
    except psycopg.Error as error:
        connection.close()
        raise DatabaseUnavailableError(f"PostgreSQL: {sentence(error)}") from error
    except BaseException:
        connection.close()
        raise
    return connection


def connect_to_migrate(dsn: str, answer_seconds: int, lock_ms: int) -> BoundedConnection:
    """A connection of the driver's for Alembic, which begins and ends transactions itself."""
    connection = connect(dsn, read_only=False, answer_seconds=answer_seconds, lock_ms=lock_ms)
    connection.autocommit = False
    return connection


def sentence(error: Exception) -> str:
    """What the server said, without the values of rows."""
    if isinstance(error, psycopg.Error) and error.diag.message_primary:
        return error.diag.message_primary
    if isinstance(error, UnicodeEncodeError):
        return "text that is not Unicode"
    return str(error).strip().replace("\n", "; ")


def _prepare(
    connection: psycopg.Connection[Row],
    *,
    read_only: bool,
    answer_seconds: int,
    lock_ms: int | None,
) -> None:
    """Refuse a server that could lose commits (readers take any); set what the session needs."""
    (row,) = connection.execute(postgres_settings.QUERY.encode()).fetchall()
    found = postgres_settings.found(row)
    if wrong := postgres_settings.refusal(found, read_only=read_only):
        raise UnsafeDatabaseError(wrong)
    chosen = postgres_settings.session(
        found, read_only=read_only, answer_seconds=answer_seconds, lock_ms=lock_ms
    )
    values = ", ".join(f"set_config('{name}', %s, false)" for name in chosen)
    connection.execute(f"SELECT {values}".encode(), list(chosen.values()))


class _WholeNumberLoader(Loader):
    """Sums of bigint come as numeric, but they are whole: nothing here is a fraction."""

    def load(self, data: bytes | bytearray | memoryview) -> int:
        return int(bytes(data))


def _open(dsn: str, answer_seconds: int) -> BoundedConnection:
    try:
        words = conninfo_to_dict(dsn)
    except psycopg.Error:
        raise DatabaseUnavailableError(
            "the DSN cannot be read: write postgresql://USER@HOST:PORT/DATABASE"
        ) from None
    patience = {
        "connect_timeout": str(ANSWER_SECONDS),
        "tcp_user_timeout": str(ANSWER_SECONDS * 1000),
        "keepalives": "1",
        "keepalives_idle": "2",
        "keepalives_interval": "1",
        "keepalives_count": "3",
    }
    # Ours come last: a DSN cannot make the authority wait for ever.
    given = {name: str(value) for name, value in words.items()}
    fixed = {"application_name": "signalbox", "client_encoding": "UTF8"}
    conninfo = make_conninfo(**(given | patience | fixed))
    try:
        connection = BoundedConnection.connect(conninfo, autocommit=True)
    except psycopg.Error as error:
        raise DatabaseUnavailableError(f"PostgreSQL: {_why_not(error)}") from None
    # The server's own timeouts come first, so that its words tell what happened.
    connection.answer_seconds = answer_seconds + 1
    connection.adapters.register_loader("numeric", _WholeNumberLoader)
    return connection


def _why_not(error: psycopg.Error) -> str:
    """Why there is no connection: libpq's words may repeat any part of a DSN that was mistyped."""
    text = str(error)
    if "FATAL:" in text:
        return text.partition("FATAL:")[2].strip().splitlines()[0]
    if "certificate" in text or "SSL error" in text:
        return text.strip().splitlines()[0]
    for words, reason in (
        ("refused", "nobody listens there: check host and port of the DSN"),
        ("timeout", f"no answer within {ANSWER_SECONDS} s"),
        ("host name", "the host of the DSN is not known"),
        ("resolve", "the host of the DSN is not known"),
    ):
        if words in text:
            return reason
    return "no connection: check host, port and sslmode of the DSN"
