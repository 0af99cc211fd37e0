"""Gives a ledger the tables that this release works with, when the authority opens it.

A ledger that has them costs one query. A new one gets them at once, from `migrations.tables`; an
older one is upgraded by Alembic, which is imported for that alone. Authorities that start at the
same time wait for each other.
"""

from pathlib import Path

from signalbox_ledger.database import Database, DatabaseError
from signalbox_ledger.migrations import tables

HEAD = "0003"
"""The newest revision: what `migrations.tables` makes and what `migrations/versions` lead to."""

VERSION_TABLE = "ledger_revision"
"""Where the revision stands: a name of its own, for others use Alembic in the same database."""

MIGRATION_LOCK = 0x5349474E
"""Advisory lock of PostgreSQL under which tables are made and changed ("SIGN" in ASCII)."""

MIGRATION_SECONDS = 3600
"""The longest that one statement of an upgrade may take: it may move every row."""

_SQLITE_BEFORE_MIGRATIONS = 1
_SQLITE_SINCE = 2


class SchemaError(DatabaseError):
    """The ledger was written by another release, or is none."""


def ensure_schema(database: Database, where: Path | str) -> None:
    """Make or upgrade the tables of `database`, which is open at `where` (a path or a DSN).

    Raises SchemaError for a ledger of a newer release and for a SQLite file that is no ledger.
    """
    with database.transaction():
        revision = _revision(database)
    if revision == HEAD:
        return
    if revision is None and not _is_from_before_migrations(database):
        _create(database)
        return
    _upgrade(revision, where)


def check_schema(database: Database) -> None:
    """Whether a reader of this release understands the tables. Raises SchemaError."""
    revision = _revision(database)
    if revision == HEAD:
        return
    if revision is None:
        raise SchemaError("there are no tables of a ledger: start its authority once")
    raise SchemaError(
        f"it is at revision {revision}, this release reads {HEAD}: "
        "start the authority of this release to upgrade it, or use the release that wrote it"
    )


def _revision(database: Database) -> str | None:
    """The revision that the ledger is at; None where it has none yet."""
    if database.dialect == "sqlite":
        present = "SELECT name FROM sqlite_master WHERE name = ?"
    else:
        present = "SELECT 1 WHERE to_regclass(?) IS NOT NULL"
    if not database.query(present, (VERSION_TABLE,)):
        return None
    rows = database.query(f"SELECT version_num FROM {VERSION_TABLE}")  # noqa: S608
    return str(rows[0][0]) if rows else None


def _is_from_before_migrations(database: Database) -> bool:
    if database.dialect != "sqlite":
        return False
    ((version,),) = database.query("PRAGMA user_version")
    if version not in (0, _SQLITE_BEFORE_MIGRATIONS):
        raise SchemaError(f"the file has user_version {version}: it is not a ledger of Signalbox")
    return bool(version == _SQLITE_BEFORE_MIGRATIONS)


def _create(database: Database) -> None:
    with database.transaction():
        if database.dialect == "postgresql":
            database.query("SELECT pg_advisory_xact_lock(?)", (MIGRATION_LOCK,))
        if _revision(database) is not None:
            return
        tables.create(database.execute, database.dialect)
        database.execute(
            f"CREATE TABLE {VERSION_TABLE} (version_num VARCHAR(32) NOT NULL, "
            f"CONSTRAINT {VERSION_TABLE}_pkc PRIMARY KEY (version_num))"
        )
        database.execute(f"INSERT INTO {VERSION_TABLE} (version_num) VALUES (?)", (HEAD,))  # noqa: S608
        if database.dialect == "sqlite":
            database.execute(f"PRAGMA user_version = {_SQLITE_SINCE}")


def _upgrade(revision: str | None, where: Path | str) -> None:
    from signalbox_ledger.migrations import upgrade  # noqa: PLC0415 - costs most of a second

    if revision is not None and revision not in upgrade.revisions():
        raise SchemaError(
            f"the ledger is at revision {revision}, this release knows {HEAD}: "
            "a newer release wrote it, use that one"
        )
    upgrade.upgrade(where)
