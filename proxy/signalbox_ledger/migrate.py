"""Gives a ledger the tables that this release works with, when the authority opens it.

A ledger that has them costs one query. A new one gets them at once, from `migrations.tables`; an
older one is upgraded by Alembic, which is imported for that alone. Authorities that start at the
same time wait for each other.

A fleet is renewed one proxy after the other, so authorities of the release before go on beside
those that upgraded the tables. The ledger says which of them may: `ledger_state.oldest_writer`.
"""

from pathlib import Path

from signalbox_ledger.database import Database, DatabaseError
from signalbox_ledger.migrations import tables

HEAD = "0006"
"""The newest revision: what `migrations.tables` makes and what `migrations/versions` lead to.
Revisions are numbers of four digits: text that sorts as they follow each other."""

OLDEST_WRITER = "0002"
"""The oldest revision whose code may work on the tables of `HEAD`: what `upgrade.oldest_writer`
finds in the revisions, which nobody imports to open a ledger."""

VERSION_TABLE = "ledger_revision"
"""Where the revision stands: a name of its own, for others use Alembic in the same database."""

MIGRATION_LOCK = 0x5349474E
"""Advisory lock of PostgreSQL under which tables are made and changed ("SIGN" in ASCII)."""

MIGRATION_SECONDS = 3600
"""The longest that one statement of an upgrade may take: it may move every row. Waits for others
are much shorter: see `upgrade`."""

_SQLITE_BEFORE_MIGRATIONS = 1
_SQLITE_SINCE = 2


class SchemaError(DatabaseError):
    """The ledger is not one that this release may work on, or none at all."""


def ensure_schema(database: Database, where: Path | str) -> None:
    """Make or upgrade the tables of `database`, which is open at `where` (a path or a DSN).

    A newer release's are left as they are. Raises SchemaError where it says that this one may not
    work on them, and for a SQLite file that is no ledger.
    """
    with database.transaction():
        revision = revision_of(database)
        if revision is not None and revision > HEAD:
            check_writer(_oldest_writer(database, revision))
            return
    if revision == HEAD:
        return
    if revision is None and not _is_from_before_migrations(database):
        _create(database)
        return
    _upgrade(revision, where)


def check_schema(database: Database) -> None:
    """Whether a reader of this release understands the tables. Raises SchemaError."""
    revision = revision_of(database)
    if revision == HEAD:
        return
    if revision is None:
        raise SchemaError("there are no tables of a ledger: start its authority once")
    if revision > HEAD:
        check_writer(_oldest_writer(database, revision))
        return
    raise SchemaError(
        f"it is at revision {revision}, this release reads {HEAD}: "
        "start the authority of this release to upgrade it, or use the release that wrote it"
    )


def check_writer(oldest: str) -> None:
    """Whether this release may work on tables that are for `oldest` and whatever is newer: what a
    ledger says in `ledger_state.oldest_writer`. Raises SchemaError."""
    if oldest > HEAD:
        raise SchemaError(
            f"a newer release upgraded the ledger for revision {oldest} or newer, this one has "
            f"{HEAD}: replace it by the newer one"
        )


def _oldest_writer(database: Database, revision: str) -> str:
    """Who may work on tables of a newer revision."""
    try:
        ((oldest,),) = database.query("SELECT oldest_writer FROM ledger_state")
    except (DatabaseError, ValueError):
        raise SchemaError(
            f"the ledger is at revision {revision}, this release knows {HEAD}, and it does not say "
            "which releases may work on it: use the one that wrote it"
        ) from None
    return str(oldest)


def revision_of(database: Database) -> str | None:
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
        if revision_of(database) is not None:
            return
        tables.create(database.execute, database.dialect)
        database.execute(
            f"CREATE TABLE {VERSION_TABLE} (version_num VARCHAR(32) NOT NULL, "
            f"CONSTRAINT {VERSION_TABLE}_pkc PRIMARY KEY (version_num))"
        )
        database.execute(f"INSERT INTO {VERSION_TABLE} (version_num) VALUES (?)", (HEAD,))  # noqa: S608
        database.execute("UPDATE ledger_state SET oldest_writer = ?", (OLDEST_WRITER,))
        if database.dialect == "sqlite":
            database.execute(f"PRAGMA user_version = {_SQLITE_SINCE}")


def _upgrade(revision: str | None, where: Path | str) -> None:
    from signalbox_ledger.migrations import upgrade  # noqa: PLC0415 - costs most of a second

    if revision is not None and revision not in upgrade.revisions():
        raise SchemaError(
            f"the ledger is at revision {revision}, which this release does not know (it has "
            f"{HEAD}): use the one that wrote it"
        )
    upgrade.upgrade(where)
