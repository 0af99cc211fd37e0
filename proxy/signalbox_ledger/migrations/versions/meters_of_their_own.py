"""Meters of images, audio, searches and characters beside those of tokens.

What may be recorded grows, what is recorded stays as it is. A new ledger has the wider rule from
its first revision on, which makes the newest tables: then there is nothing to do here.
"""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None
additive = False  # code of 0001 knows no price for the new meters

_BEFORE = "OR meter = 'cache_write_1h' OR meter = 'output'),"
_SINCE = """OR meter = 'cache_write_1h' OR meter = 'output' OR meter = 'audio_input'
                      OR meter = 'images' OR meter = 'searches' OR meter = 'audio_seconds'
                      OR meter = 'characters'),"""
_METERS = (
    *("input", "cached_input", "cache_write_5m", "cache_write_1h", "output"),
    *("audio_input", "images", "searches", "audio_seconds", "characters"),
)


def upgrade() -> None:
    """Widen the rule for `charge_record.meter`.

    The rows of before satisfy the narrower one: PostgreSQL is told not to look at them, for it
    would lock the table against the fleet's authorities, which still serve, as long as that takes.
    """
    if op.get_bind().dialect.name == "sqlite":
        _upgrade_sqlite()
        return
    rule = " OR ".join(f"meter = '{meter}'" for meter in _METERS)
    op.execute("ALTER TABLE charge_record DROP CONSTRAINT charge_record_meter_check")
    op.execute(
        f"ALTER TABLE charge_record ADD CONSTRAINT charge_record_meter_check CHECK ({rule})"
        " NOT VALID"
    )


def _upgrade_sqlite() -> None:
    """The rule stands in the schema's text alone, so that no row moves.

    The way that SQLite's documentation gives for a change of rules (ALTER TABLE, section 7).
    """
    execute = op.get_bind().exec_driver_sql
    version = int(execute("PRAGMA schema_version").scalar_one())
    execute("PRAGMA writable_schema = ON")
    execute(
        "UPDATE sqlite_schema SET sql = replace(sql, ?, ?)"
        " WHERE type = 'table' AND name = 'charge_record'",
        (_BEFORE, _SINCE),
    )
    execute(f"PRAGMA schema_version = {version + 1}")
    execute("PRAGMA writable_schema = OFF")
