"""Who may work on the ledger, in the ledger: the oldest revision whose code may, beside its state.

What it says is written by `upgrade`, with every upgrade. A new ledger has the column from its first
revision on, which makes the newest tables.
"""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None
additive = True


def upgrade() -> None:
    """Add `ledger_state.oldest_writer`."""
    connection = op.get_bind()
    add = "ALTER TABLE ledger_state ADD COLUMN"
    if connection.dialect.name == "postgresql":
        kind = "TEXT COLLATE \"C\" NOT NULL DEFAULT ''"
        connection.exec_driver_sql(f"{add} IF NOT EXISTS oldest_writer {kind}")
        return
    columns = connection.exec_driver_sql("PRAGMA table_info(ledger_state)")
    if "oldest_writer" not in {column[1] for column in columns}:
        connection.exec_driver_sql(f"{add} oldest_writer TEXT NOT NULL DEFAULT ''")
