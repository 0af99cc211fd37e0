"""Runs Alembic on a ledger. Imported only when there is something to run: it costs a second.

All in one transaction: either a ledger is as the newest release wants it, or it is as it was.
"""

from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from signalbox_ledger import migrate
from signalbox_ledger.database import DatabaseError


def revisions() -> list[str]:
    """All that this release knows, newest first."""
    return [script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()]


def oldest_writer() -> str:
    """The oldest revision whose code may work on the newest tables: as far back as every step
    since is `additive`, which each revision says of itself."""
    oldest = migrate.HEAD
    for script in ScriptDirectory.from_config(_config()).walk_revisions():
        oldest = script.revision
        if not script.module.additive:
            break
    return oldest


def upgrade(where: Path | str) -> None:
    """Bring the ledger at `where` to the newest revision. Raises DatabaseError."""
    engine = _engine(where)
    try:
        with engine.begin() as connection:
            command.upgrade(_config(connection), "head")
            connection.exec_driver_sql(
                f"UPDATE ledger_state SET oldest_writer = '{oldest_writer()}'"  # noqa: S608
            )
    except DBAPIError as error:
        raise DatabaseError(f"the tables cannot be brought up to date: {error.orig}") from error
    finally:
        engine.dispose()


def _engine(where: Path | str) -> Engine:
    """Transactions that begin with the lock: an authority that starts later finds it done."""
    if isinstance(where, Path):
        from signalbox_ledger import sqlite_database  # noqa: PLC0415

        begin = "BEGIN IMMEDIATE"
        engine = create_engine(
            "sqlite://",
            creator=lambda: sqlite_database.connect_to_migrate(where),
            poolclass=NullPool,
        )
    else:
        from signalbox_ledger import postgres_connection  # noqa: PLC0415

        seconds = migrate.MIGRATION_SECONDS
        begin = f"SELECT pg_advisory_xact_lock({migrate.MIGRATION_LOCK})"
        engine = create_engine(
            "postgresql+psycopg://",
            creator=lambda: postgres_connection.connect_to_migrate(where, seconds),
            poolclass=NullPool,
        )

    @event.listens_for(engine, "begin")
    def lock(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine


def _config(connection: Connection | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.set_main_option("path_separator", "os")
    attributes: dict[str, Any] = config.attributes
    attributes["connection"] = connection
    return config
