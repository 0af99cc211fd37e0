"""Runs Alembic on a ledger. Imported only when there is something to run: it costs a second.

All in one transaction: either a ledger is as the newest release wants it, or it is as it was.

In PostgreSQL a change of a table waits for whoever reads it, a backup for hours, and whoever comes
after waits behind the change: every draw of every authority. So it waits for a moment only, lets
the others through, and is tried again.
"""

import logging
import time
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

_log = logging.getLogger("signalbox.authority")

LOCK_MS = 1_000
"""For how long an upgrade may wait for a table, and hold up draws: shorter than what these wait for
at most, and than what proxies have in hand."""

PAUSE_S = 5.0
"""How long others have the tables to themselves between two tries."""

BUSY_S = 3600.0
"""For how long it is tried again while others use the tables."""

_IN_THE_WAY = {"55P03", "40P01"}
"""lock_not_available and deadlock_detected.
https://www.postgresql.org/docs/current/errcodes-appendix.html"""


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
    """Bring the ledger at `where` to the newest revision, which may take until others let go of
    its tables. Raises DatabaseError."""
    engine = _engine(where)
    until = time.monotonic() + BUSY_S
    try:
        while not _is_upgraded(engine, is_last=time.monotonic() >= until):
            time.sleep(PAUSE_S)
    finally:
        engine.dispose()


def _is_upgraded(engine: Engine, *, is_last: bool) -> bool:
    """Whether it is by now; otherwise somebody else was in the way. Raises DatabaseError."""
    try:
        with engine.begin() as connection:
            command.upgrade(_config(connection), "head")
            connection.exec_driver_sql(
                f"UPDATE ledger_state SET oldest_writer = '{oldest_writer()}'"  # noqa: S608
            )
    except DBAPIError as error:
        if is_last or getattr(error.orig, "sqlstate", None) not in _IN_THE_WAY:
            raise DatabaseError(f"the tables cannot be brought up to date: {error.orig}") from error
        _log.warning(
            "the tables cannot be brought up to date while others use them, such as a backup, a "
            "report or another upgrade (%s): tried again in %g s",
            error.orig,
            PAUSE_S,
        )
        return False
    return True


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
            creator=lambda: postgres_connection.connect_to_migrate(where, seconds, LOCK_MS),
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
