"""Which wire format was spoken to a lane, beside each attempt.

Who writes without it, as the release before does while a fleet is renewed, leaves it empty. A new
ledger has the column from its first revision on, which makes the newest tables.
"""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None
additive = True


def upgrade() -> None:
    """Add `attempt.wire_format`; no row moves."""
    connection = op.get_bind()
    add = "ALTER TABLE attempt ADD COLUMN"
    if connection.dialect.name == "postgresql":
        kind = "TEXT COLLATE \"C\" NOT NULL DEFAULT ''"
        connection.exec_driver_sql(f"{add} IF NOT EXISTS wire_format {kind}")
        return
    columns = connection.exec_driver_sql("PRAGMA table_info(attempt)")
    if "wire_format" not in {column[1] for column in columns}:
        connection.exec_driver_sql(f"{add} wire_format TEXT NOT NULL DEFAULT ''")
