"""Idempotency keys at the authority: one request, one charge, over the whole fleet.

A run claims the key of its request before it dispatches anything, and the primary key of the
table decides which of several did. It stays the run's for a day if any of its attempts may have
been billed; a run of which nothing was billed gives it back. Keys are scoped to an agent; only
digests are kept. Every function is one step inside the caller's transaction.
"""

from signalbox_ledger.database import Database
from signalbox_ledger.protocol import Claimed, ClaimKey

KEPT_MS = 24 * 3600 * 1000
"""How long a key is remembered from its claim: what users know from Stripe."""

_BILLED = (
    "EXISTS (SELECT 1 FROM attempt WHERE attempt.run_id = idempotency_key.run_id "
    "AND (attempt.settlement = 'usage' OR attempt.settlement = 'full')) "
    "OR EXISTS (SELECT 1 FROM refused_record "
    "WHERE refused_record.run_id = idempotency_key.run_id)"
)
"""A run may have been billed if its record says so, or could not be read into the tables."""


def claim(database: Database, request: ClaimKey, holder: str, now_ms: int) -> Claimed:
    """Give the key to the run unless another has it; the same answer for the same run again."""
    database.execute(
        "INSERT INTO idempotency_key (agent, key_digest, body_digest, run_id, holder, expires_at) "
        "VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (agent, key_digest) DO UPDATE SET "
        "body_digest = excluded.body_digest, run_id = excluded.run_id, holder = excluded.holder, "
        "expires_at = excluded.expires_at WHERE idempotency_key.expires_at <= ?",
        (
            request.agent,
            request.key_digest,
            request.body_digest,
            request.run_id,
            holder,
            now_ms + KEPT_MS,
            now_ms,
        ),
    )
    ((run_id, body_digest),) = database.query(
        "SELECT run_id, body_digest FROM idempotency_key WHERE agent = ? AND key_digest = ?",
        (request.agent, request.key_digest),
    )
    ended = database.query(
        "SELECT 1 FROM inference_run WHERE run_id = ? "
        "UNION ALL SELECT 1 FROM refused_record WHERE run_id = ?",
        (run_id, run_id),
    )
    return Claimed(run_id, body_digest == request.body_digest, bool(ended))


def release(database: Database, agent: str, key_digest: bytes, run_id: str) -> None:
    """Nothing of the run was billed: the next request may use the key. Idempotent."""
    database.execute(
        "DELETE FROM idempotency_key WHERE agent = ? AND key_digest = ? AND run_id = ?",
        (agent, key_digest, run_id),
    )


def release_unbilled(database: Database, holder: str) -> None:
    """The holder's journal is settled to its end: what its runs claimed and was not dispatched,
    or not billed, is free again."""
    database.execute(
        f"DELETE FROM idempotency_key WHERE holder = ? AND NOT ({_BILLED})",  # noqa: S608
        (holder,),
    )


def forget_expired(database: Database, now_ms: int, most: int) -> int:
    """Drop up to `most` keys that were remembered long enough; how many."""
    # Looked at twice: one that is claimed anew at this moment is no longer expired.
    return database.execute(
        "DELETE FROM idempotency_key WHERE (agent, key_digest) IN (SELECT agent, key_digest "
        "FROM idempotency_key WHERE expires_at <= ? LIMIT ?) AND expires_at <= ?",
        (now_ms, most, now_ms),
    )
