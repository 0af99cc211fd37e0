"""Opens the ledger's database, wherever it is: a path is a SQLite file, text is a DSN.

The driver of PostgreSQL is imported only where one is asked for.
"""

from pathlib import Path

from signalbox_ledger import migrate
from signalbox_ledger.database import Database

DSN_VARIABLE = "SIGNALBOX_LEDGER_DSN"
"""Environment variable with the DSN of PostgreSQL: it holds a password, so it is no option."""


def open_database(where: Path | str) -> Database:
    """The ledger, to write to it, with the tables of this release.

    Raises DatabaseError and its kinds: see `postgres_settings` for servers that are refused and
    `migrate` for ledgers that are.
    """
    database = connect(where)
    try:
        migrate.ensure_schema(database, where)
    except BaseException:
        database.close()
        raise
    return database


def connect(
    where: Path | str, *, read_only: bool = False, answer_seconds: int | None = None
) -> Database:
    """A connection, whatever tables there are. `answer_seconds` bounds waits for PostgreSQL."""
    if isinstance(where, Path):
        from signalbox_ledger.sqlite_database import SqliteDatabase  # noqa: PLC0415 - as below

        return SqliteDatabase(where, read_only=read_only)
    from signalbox_ledger.postgres_database import PostgresDatabase  # noqa: PLC0415 - dear

    if answer_seconds is None:
        return PostgresDatabase(where, read_only=read_only)
    return PostgresDatabase(where, read_only=read_only, answer_seconds=answer_seconds)
