"""What holders said when they connected: by it a ledger that lost commits knows what it lacks.

Who writes without it, as the release before does while a fleet is renewed, leaves zeros: of such a
holder no journal is expected, and to a database that took the place of another one it has not
presented anything. A new ledger has the columns from its first revision on.
"""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None
additive = True

_COLUMNS = (
    ("holder", "acknowledged"),
    ("holder", "presented_at"),
    ("ledger_state", "identity_since"),
)


def upgrade() -> None:
    """Add `holder.acknowledged`, `holder.presented_at` and `ledger_state.identity_since`."""
    connection = op.get_bind()
    for table, name in _COLUMNS:
        add = f"ALTER TABLE {table} ADD COLUMN"
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql(f"{add} IF NOT EXISTS {name} BIGINT NOT NULL DEFAULT 0")
            continue
        columns = connection.exec_driver_sql(f"PRAGMA table_info({table})")
        if name not in {column[1] for column in columns}:
            connection.exec_driver_sql(f"{add} {name} INTEGER NOT NULL DEFAULT 0")
