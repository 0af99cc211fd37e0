"""The first tables of both databases; a SQLite ledger from before migrations is brought along.

That ledger (`PRAGMA user_version` 1) has the same tables with fewer columns: they step aside, the
new ones are made, and every row moves over.
"""

from alembic import op

from signalbox_ledger.migrate import VERSION_TABLE
from signalbox_ledger.migrations import tables

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None
additive = False

_BEFORE_MIGRATIONS = 1
_SINCE = 2
"""`user_version` from now on: the release before refuses it, instead of writing beside it."""

_OFFSET = ("holder", "journal_offset")
"""What stands in a table of its own now."""


def upgrade() -> None:
    """Make the tables; move what was there."""
    connection = op.get_bind()
    dialect = connection.dialect.name
    if dialect == "postgresql":
        # The driver takes a % for the beginning of a parameter.
        tables.create(
            lambda text: connection.exec_driver_sql(text.replace("%", "%%")), "postgresql"
        )
        return
    old = _set_aside() if _version() == _BEFORE_MIGRATIONS else []
    tables.create(connection.exec_driver_sql, "sqlite")
    for table in old:
        _move(table)
    connection.exec_driver_sql(f"PRAGMA user_version = {_SINCE}")


def _version() -> int:
    return int(op.get_bind().exec_driver_sql("PRAGMA user_version").scalar_one())


def _set_aside() -> list[str]:
    """Rename the tables of before, drop what hangs on them; their names, parents first."""
    execute = op.get_bind().exec_driver_sql
    found = execute(
        "SELECT type, name FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%'"
        " AND name <> ? ORDER BY rowid",
        (VERSION_TABLE,),
    ).all()
    for kind in ("trigger", "view", "index"):
        for name in [name for type_, name in found if type_ == kind]:
            execute(f"DROP {kind} {name}")
    names = [name for type_, name in found if type_ == "table"]
    for name in names:
        execute(f"ALTER TABLE {name} RENAME TO old_{name}")
    return names


def _move(table: str) -> None:
    """Every column, or none: one that is unknown here fails the upgrade."""
    execute = op.get_bind().exec_driver_sql
    found = [row[1] for row in execute(f"PRAGMA table_info(old_{table})")]
    columns = ", ".join(name for name in found if (table, name) != _OFFSET)
    execute(f"INSERT OR REPLACE INTO {table} ({columns}) SELECT {columns} FROM old_{table}")  # noqa: S608
    if table == _OFFSET[0]:
        execute("INSERT INTO settled_journal SELECT id, journal_offset FROM old_holder")
    execute(f"DROP TABLE old_{table}")
