"""Is this PostgreSQL one that can be trusted with money? And what a session sets for itself.

The ledger's promise holds if the database does not lose acknowledged commits. A server whose
settings allow that is refused by name, with the fix, even where a session could set its own value:
what others write there, and what a restart brings back, would still be at risk.
"""

from typing import Any

import psycopg

from signalbox_ledger.database import UnsafeDatabaseError

MIN_VERSION = 140_000

_SETTINGS = (
    *("server_version_num", "server_encoding", "fsync", "full_page_writes", "synchronous_commit"),
    *("synchronous_standby_names", "default_transaction_read_only"),
)
_IDLE_SECONDS = 3  # an authority never waits inside a transaction: one that does is gone


def prepare(connection: psycopg.Connection[Any], *, read_only: bool, answer_seconds: int) -> None:
    """Refuse a server that could lose commits (readers take any); set what the session needs.

    Raises UnsafeDatabaseError.
    """
    columns = ", ".join(f"current_setting('{name}')" for name in _SETTINGS)
    row = connection.execute(f"SELECT pg_is_in_recovery(), {columns}").fetchone()
    assert row is not None  # noqa: S101 - a SELECT without FROM has one row
    found = dict(zip(_SETTINGS, row[1:], strict=True))
    if wrong := refusal(found, in_recovery=row[0], read_only=read_only):
        raise UnsafeDatabaseError(wrong)
    milliseconds = answer_seconds * 1000
    session = {
        "statement_timeout": str(milliseconds),
        "lock_timeout": str(milliseconds * 4 // 5),
        "idle_in_transaction_session_timeout": str(_IDLE_SECONDS * 1000),
        "default_transaction_isolation": "read committed",
        "TimeZone": "UTC",
        "standard_conforming_strings": "on",
    }
    if read_only:
        session["default_transaction_read_only"] = "on"
    elif found["synchronous_commit"] != "remote_apply":
        session["synchronous_commit"] = "on"
    values = ", ".join(f"set_config('{name}', %s, false)" for name in session)
    connection.execute(f"SELECT {values}", list(session.values()))


def refusal(found: dict[str, str], *, in_recovery: bool, read_only: bool) -> str | None:
    """Why these settings are refused, and the fix; None where they are not."""
    if int(found["server_version_num"]) < MIN_VERSION:
        return "PostgreSQL is older than 14: upgrade the server"
    if found["server_encoding"] != "UTF8":
        return (
            f"the database has the encoding {found['server_encoding']}: "
            "create it with ENCODING 'UTF8'"
        )
    if read_only:
        return None
    if in_recovery:
        return "this PostgreSQL server is a standby: connect to the primary"
    if found["default_transaction_read_only"] == "on":
        return (
            "default_transaction_read_only is on: set it to off for the ledger's role and database"
        )
    return _losing(found)


def _losing(found: dict[str, str]) -> str | None:
    """Settings under which a crash takes back what was acknowledged.

    `local` waits for this server's disk alone, which is all there is without synchronous
    standbys; with them it would be lost in a failover to one. `remote_write` is made `on` for the
    session.
    """
    for name in ("fsync", "full_page_writes"):
        if found[name] != "on":
            return f"{name} is off, so a crash can lose acknowledged commits: set {name} = on"
    level = found["synchronous_commit"]
    if level == "off":
        return (
            "synchronous_commit is off, so a crash can lose acknowledged commits: "
            "set synchronous_commit = on for the server, the database and the role"
        )
    if level == "local" and found["synchronous_standby_names"]:
        return (
            "synchronous_commit is local although there are synchronous standbys, so a failover "
            "can lose acknowledged commits: set synchronous_commit = on"
        )
    return None
