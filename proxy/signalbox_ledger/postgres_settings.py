"""Is this PostgreSQL one that can be trusted with money? And what a session sets for itself.

The ledger's promise holds if the database does not lose acknowledged commits. A server whose
settings allow that is refused by name, with the fix, even where a session could set its own value:
what others write there, and what a restart brings back, would still be at risk. Pure.
"""

from collections.abc import Mapping, Sequence

MIN_VERSION = 140_000
"""PostgreSQL 14, as `server_version_num` writes it: the oldest that is still maintained."""

_SETTINGS = (
    *("server_version_num", "server_encoding", "fsync", "full_page_writes", "synchronous_commit"),
    *("synchronous_standby_names", "default_transaction_read_only"),
)
_IDLE_SECONDS = 10

QUERY = "SELECT pg_is_in_recovery()::text, " + ", ".join(
    f"current_setting('{name}')" for name in _SETTINGS
)
"""What `found` is made of."""


def found(row: Sequence[str]) -> dict[str, str]:
    """What the one row of QUERY says, by name."""
    return dict(zip(("in_recovery", *_SETTINGS), row, strict=True))


def session(
    found: Mapping[str, str], *, read_only: bool, answer_seconds: int, lock_ms: int | None = None
) -> dict[str, str]:
    """What a session sets for itself, by name of the setting. `lock_ms` bounds waits for locks
    where these end earlier than an answer has to be there."""
    values = {
        "statement_timeout": str(answer_seconds * 1000),
        "lock_timeout": str(answer_seconds * 800 if lock_ms is None else lock_ms),
        "idle_in_transaction_session_timeout": str(_IDLE_SECONDS * 1000),
        "default_transaction_isolation": "read committed",
        "TimeZone": "UTC",
        "standard_conforming_strings": "on",
    }
    if read_only:
        values["default_transaction_read_only"] = "on"
        return values
    # A plan that was made while a table was small is kept: it must not be one that reads it whole.
    values["enable_seqscan"] = "off"
    if found["synchronous_commit"] != "remote_apply":
        values["synchronous_commit"] = "on"
    return values


def refusal(found: Mapping[str, str], *, read_only: bool) -> str | None:
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
    if found["in_recovery"] == "true":
        return "this PostgreSQL server is a standby: connect to the primary"
    if found["default_transaction_read_only"] == "on":
        return (
            "default_transaction_read_only is on: set it to off for the ledger's role and database"
        )
    return _losing(found)


def _losing(found: Mapping[str, str]) -> str | None:
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
