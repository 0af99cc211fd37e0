"""How far the record may be followed by position without missing a run.

In SQLite there is one writer, and positions become visible in their order. In PostgreSQL they are
handed out before their transactions commit, so that a later position can be seen earlier. Each
settlement therefore announces, by a shared advisory lock that ends with its transaction, the
position behind which it will write; whoever follows the record stops before the lowest of these.

Why nothing is missed: a settlement takes its positions after its lock, and lets go of the lock
after its rows are visible. So one whose lock is not seen either has all its rows visible to the
next statement, or takes positions behind the last one that was handed out before.
"""

from signalbox_ledger.database import Database, DatabaseError

_MARK = 1 << 62
"""Set in the keys of these locks, apart from any other advisory lock in the database."""

_FACTS = ("inference_run", "charge_record")
"""The tables with positions."""

_LOWEST_ANNOUNCED = (
    "SELECT pg_is_in_recovery(), min((classid::bigint << 32) + objid::bigint) FROM pg_locks"
    " WHERE locktype = 'advisory' AND mode = 'ShareLock' AND granted AND objsubid = 1"
    " AND classid::bigint >> 30 = 1"
    " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)


def announce(database: Database) -> tuple[int, int]:
    """Say that this transaction is about to write runs; before it does.

    The positions of runs and of charges behind which it will write.
    """
    runs, charges = (_last(database, table) for table in _FACTS)
    lock = f"pg_advisory_xact_lock_shared({_MARK} + ({runs}))"
    locked = f", {lock}" if database.dialect == "postgresql" else ""
    # Read first, lock afterwards: another one's settlement in between only makes it too careful.
    ((run, charge, *_),) = database.query(f"SELECT ({runs}), ({charges}){locked}")
    return int(run), int(charge)


def settled(database: Database) -> int:
    """The position up to which every run is there that ever will be. Ask before reading.

    Outside of a transaction, or in a READ COMMITTED one, and on the primary: a standby does not
    know its primary's locks. Raises DatabaseError there.
    """
    ((last,),) = database.query(_last(database, "inference_run"))
    if database.dialect != "postgresql":
        return int(last)
    ((is_standby, lowest),) = database.query(_LOWEST_ANNOUNCED)
    if is_standby:
        raise DatabaseError("runs are followed on the primary, this server is a standby")
    return int(last) if lowest is None else min(int(last), int(lowest) - _MARK)


def _last(database: Database, table: str) -> str:
    """The query for the last position that was handed out."""
    if database.dialect == "sqlite":
        return f"SELECT coalesce(max(position), 0) FROM {table}"  # noqa: S608
    sequence = f"{table}_position_seq"
    return f"SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM {sequence}"  # noqa: S608
