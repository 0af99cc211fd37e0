"""What a newer release may make of a ledger's tables while this one still works on them.

`upgrade_further` is a made-up revision that follows the newest one: it adds all that an additive
one may add, everywhere at once. A breaking one takes away besides, and says so in the ledger.
"""

from signalbox_ledger.database import Database
from signalbox_ledger.migrate import HEAD, VERSION_TABLE

NEWER = f"{int(HEAD) + 1:04}"


def upgrade_further(database: Database, *, oldest_writer: str = HEAD) -> None:
    """The upgrade that the next release brings: a column with a default in every table that
    nobody writes, and tables and indexes that this release has never heard of."""
    with database.transaction():
        for table in _tables(database):
            database.execute(
                f"ALTER TABLE {table} ADD COLUMN made_up TEXT NOT NULL DEFAULT 'later'"
            )
            database.execute(f"CREATE INDEX {table}_by_made_up ON {table} (made_up)")
        database.execute("CREATE TABLE made_up_later (id TEXT PRIMARY KEY, made_up TEXT NOT NULL)")
        database.execute(f"UPDATE {VERSION_TABLE} SET version_num = ?", (NEWER,))
        database.execute("UPDATE ledger_state SET oldest_writer = ?", (oldest_writer,))


def _tables(database: Database) -> list[str]:
    if database.dialect == "sqlite":
        asking = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
    else:
        asking = "SELECT tablename FROM pg_tables WHERE schemaname = current_schema()"
    found = [str(name) for (name,) in database.query(f"{asking} ORDER BY 1")]
    return [name for name in found if name != VERSION_TABLE]
