"""The ledger's tables in either database, from one text.

The text is `accounts.sql` and `runs.sql`, in the words of SQLite; what PostgreSQL spells otherwise
is replaced here word by word. Text is compared by its bytes in both. What is recorded is never
changed or removed: triggers see to that, against mistakes and careless tools.
"""

import re
from collections.abc import Callable
from importlib.resources import files

from signalbox_ledger.database import Dialect

_TEXTS = ("accounts.sql", "runs.sql", "desk.sql")
_COMMENT = re.compile(r"^\s*--.*\n", re.MULTILINE)

_POSTGRESQL_WORDS = (
    (
        r"\bposition(\s+)INTEGER PRIMARY KEY",
        r"position\1BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY",
    ),
    (r"\bINTEGER\b", "BIGINT"),
    (r"\bTEXT\b", 'TEXT COLLATE "C"'),
    (r"\bBLOB\b", "BYTEA"),
    (r"\) STRICT(, WITHOUT ROWID)?$", ")"),
    (
        r"utc_seconds\((\w+)\)",
        r"""to_char(to_timestamp(\1 / 1000) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS')""",
    ),
)
_SQLITE_WORDS = (
    (r"utc_seconds\((\w+)\)", r"strftime('%Y-%m-%dT%H:%M:%S', \1 / 1000, 'unixepoch')"),
)

_INSTEAD = {
    "inference_run": "post a correction charge instead",
    "run_data_asset": "rows are never changed",
    "attempt": "post a correction charge instead",
    "charge_record": "post a correction charge instead",
    "eval_result": "record a new verdict instead",
    "reconciliation": "book again instead",
    "correction": "book again instead",
    "desk_order": "what was ordered stays",
}
"""What only grows, and what to do instead of changing it."""

_NEVER_DELETED = "rows are never deleted"

_REFUSE_CHANGE = """CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION USING ERRCODE = 'integrity_constraint_violation',
    MESSAGE = TG_TABLE_NAME || ' is append-only: ' || TG_ARGV[0];
END $$"""


def create(execute: Callable[[str], object], dialect: Dialect) -> None:
    """Make all tables, indexes, views and triggers in an empty database."""
    for statement in (*_tables(dialect), *_triggers(dialect)):
        execute(statement)


def _tables(dialect: Dialect) -> list[str]:
    words = _SQLITE_WORDS if dialect == "sqlite" else _POSTGRESQL_WORDS
    statements = []
    for name in _TEXTS:
        text = _COMMENT.sub("", files(__package__).joinpath(name).read_text("utf-8"))
        for statement in filter(None, map(str.strip, text.split(";\n"))):
            translated = statement
            for pattern, replacement in words:
                translated = re.sub(pattern, replacement, translated)
            statements.append(translated)
    return statements


def _triggers(dialect: Dialect) -> list[str]:
    rules = [
        (table, change, reason)
        for table, instead in _INSTEAD.items()
        for change, reason in (("UPDATE", instead), ("DELETE", _NEVER_DELETED))
    ]
    if dialect == "sqlite":
        return [
            f"CREATE TRIGGER {table}_no_{change.lower()} BEFORE {change} ON {table} BEGIN"
            f" SELECT RAISE(ABORT, '{table} is append-only: {reason}'); END"
            for table, change, reason in rules
        ]
    rules += [(table, "TRUNCATE", _NEVER_DELETED) for table in _INSTEAD]
    return [
        _REFUSE_CHANGE,
        *(
            f"CREATE TRIGGER {table}_no_{change.lower()} BEFORE {change} ON {table}"
            f" FOR EACH STATEMENT EXECUTE FUNCTION refuse_change('{reason}')"
            for table, change, reason in rules
        ),
    ]
