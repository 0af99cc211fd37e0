"""Answers that providers store, which requests may continue: a table of its own.

A new ledger has it from its first revision on, which makes the newest tables.
"""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None
additive = True


def upgrade() -> None:
    """Make `stored_response`; nothing else changes."""
    connection = op.get_bind()
    blob, integer, text, end = "BLOB", "INTEGER", "TEXT", " STRICT, WITHOUT ROWID"
    if connection.dialect.name == "postgresql":
        blob, integer, text, end = "BYTEA", "BIGINT", 'TEXT COLLATE "C"', ""
    connection.exec_driver_sql(
        "CREATE TABLE IF NOT EXISTS stored_response (\n"
        f"  owner {blob} NOT NULL CHECK (length(owner) = 32),\n"
        f"  response {blob} NOT NULL CHECK (length(response) = 32),\n"
        f"  run_id {text} NOT NULL,\n"
        f"  model {text} NOT NULL,\n"
        f"  lane {text} NOT NULL,\n"
        f"  tokens {integer} NOT NULL CHECK (tokens >= 0),\n"
        f"  sensitivity {integer} NOT NULL,\n"
        f"  data_assets {text} NOT NULL,\n"
        f"  cache_write {text} NOT NULL,\n"
        f"  expires_at {integer} NOT NULL,\n"
        "  PRIMARY KEY (owner, response)\n"
        f"){end}"
    )
    connection.exec_driver_sql(
        "CREATE INDEX IF NOT EXISTS stored_response_by_expiry ON stored_response (expires_at)"
    )
