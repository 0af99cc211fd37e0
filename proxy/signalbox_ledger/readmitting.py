"""Whether draws may flow again after lost commits: not while live holders bring back what was lost.

Part of `desk`, inside the caller's transaction. What was granted counts as soon as its holder has
presented it; what was spent and given back since counts once the journal is settled again. Granted
before that, the same money could be spent twice.

A copy knows when holders were heard of before it was made, not which are live: those have `LIVE_MS`
to say so.
"""

from signalbox_ledger.database import Database
from signalbox_ledger.documents import timestamp_text

LIVE_MS = 30_000
"""A holder that was heard of so long ago at most is live."""

_NAMED = 3


def reason_to_wait(database: Database, now_ms: int) -> str:
    """Why draws that are frozen may not flow yet, and what to do; "" where they may.

    Who is silent for longer than `LIVE_MS` is waited for by nobody here: a person decides.
    """
    if behind := _behind(database):
        return (
            f"{_named(behind)} still settles again what this database has lost: wait until it has "
            "(each proxy logs it), or give up one that is gone with `signalbox proxies lost`"
        )
    if absent := _absent(database, now_ms):
        return (
            f"{_named(absent)} was heard of {LIVE_MS // 1000} s ago at most and has not presented "
            "what it holds to this database: wait until it has, or is silent for so long"
        )
    heard_by = _heard_by(database)
    if now_ms < heard_by:
        seconds = -((now_ms - heard_by) // 1000)
        return (
            "proxies that are live may still be on their way to present what they hold to this "
            f"database: ask again in {seconds} s (at {timestamp_text(heard_by)})"
        )
    return ""


def _heard_by(database: Database) -> int:
    """When every live holder has been heard of since draws froze, and since this database took the
    place of another one (milliseconds)."""
    ((frozen_at, since),) = database.query("SELECT frozen_at, identity_since FROM ledger_state")
    return int(max(frozen_at, since)) + LIVE_MS


def _behind(database: Database) -> list[str]:
    """Holders that were told of more of their journal than is settled here. Once what they left is
    recovered or written off, nothing is expected of them."""
    rows = database.query(
        "SELECT holder.id FROM holder LEFT JOIN settled_journal ON settled_journal.holder = "
        "holder.id WHERE holder.acknowledged > coalesce(settled_journal.journal_offset, 0) "
        "ORDER BY holder.id"
    )
    return [str(holder) for (holder,) in rows]


def _absent(database: Database, now_ms: int) -> list[str]:
    """Live holders that presented their slices to the database that this one took the place of."""
    rows = database.query(
        "SELECT holder.id FROM holder, ledger_state WHERE fenced = 0 AND seen_at >= ? "
        "AND presented_at < identity_since ORDER BY holder.id",
        (now_ms - LIVE_MS,),
    )
    return [str(holder) for (holder,) in rows]


def _named(holders: list[str]) -> str:
    more = f" and {len(holders) - _NAMED} more" if len(holders) > _NAMED else ""
    return f"each of {', '.join(holders[:_NAMED])}{more}" if holders[1:] else holders[0]
