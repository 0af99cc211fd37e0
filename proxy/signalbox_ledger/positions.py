"""How far the record may be followed by position without missing a run.

In SQLite there is one writer, and positions become visible in their order. In PostgreSQL they are
handed out before their transactions commit, so that a later position can be seen earlier. Each
settlement therefore announces, by a shared advisory lock that ends with its transaction, the
position behind which it will write; whoever follows the record stops before the lowest of these.

Why nothing is missed: a settlement takes its positions after its lock, and lets go of the lock
after its rows are visible. So one whose lock is not seen either has all its rows visible to the
next statement, or takes positions behind the last one that was handed out before.
"""

from signalbox_ledger.database import Database

_MARK = 1 << 62
"""Set in the keys of these locks, apart from any other advisory lock in the database."""

_SEQUENCE = "inference_run_position_seq"

_ANNOUNCE = (
    "SELECT pg_advisory_xact_lock_shared("  # noqa: S608 - a constant
    f"{_MARK} + (SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM {_SEQUENCE}))"
)
_LAST = f"SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM {_SEQUENCE}"  # noqa: S608
_LOWEST_ANNOUNCED = (
    "SELECT min((classid::bigint << 32) + objid::bigint) FROM pg_locks"
    " WHERE locktype = 'advisory' AND mode = 'ShareLock' AND granted AND objsubid = 1"
    " AND classid::bigint >> 30 = 1"
    " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)


def announce(database: Database) -> None:
    """Say that this transaction is about to write runs; before it does."""
    if database.dialect == "postgresql":
        database.query(_ANNOUNCE)


def settled(database: Database) -> int:
    """The position up to which every run is there that ever will be. Ask before reading.

    Outside of a transaction, or in a READ COMMITTED one, and on the primary: a standby does not
    know its primary's locks.
    """
    if database.dialect != "postgresql":
        return int(database.query("SELECT coalesce(max(position), 0) FROM inference_run")[0][0])
    last = int(database.query(_LAST)[0][0])
    lowest = database.query(_LOWEST_ANNOUNCED)[0][0]
    return last if lowest is None else min(last, int(lowest) - _MARK)
