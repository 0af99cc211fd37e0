"""Answers that providers store, as the authority's database remembers them.

The primary key is whose an answer is and what it is called: there is no way to ask for another's.
Every function is one step inside the caller's transaction.
"""

import json

from signalbox_ledger.database import Database
from signalbox_ledger.replies import FoundResponse, StoredResponse
from signalbox_ledger.stored_response import FindResponse, KeepResponse

KEPT_MS = 30 * 24 * 3600 * 1000
"""How long an answer is remembered: as long as OpenAI stores it.
https://developers.openai.com/api/docs/guides/conversation-state"""

_COLUMNS = "run_id, model, lane, tokens, sensitivity, data_assets, cache_write"


def keep(database: Database, request: KeepResponse, now_ms: int) -> None:
    """Remember an answer; under a name that was known before, the newest, which is what its
    provider has by now. Idempotent."""
    stored = request.stored
    database.execute(
        f"INSERT INTO stored_response (owner, response, {_COLUMNS}, expires_at) "  # noqa: S608
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (owner, response) DO UPDATE SET "
        "run_id = excluded.run_id, model = excluded.model, lane = excluded.lane, "
        "tokens = excluded.tokens, sensitivity = excluded.sensitivity, "
        "data_assets = excluded.data_assets, cache_write = excluded.cache_write, "
        "expires_at = excluded.expires_at",
        (
            request.owner,
            request.response,
            stored.run_id,
            stored.model,
            stored.lane,
            stored.tokens,
            stored.sensitivity,
            json.dumps(stored.data_assets),
            stored.cache_write,
            now_ms + KEPT_MS,
        ),
    )


def find(database: Database, request: FindResponse, now_ms: int) -> FoundResponse:
    """What is remembered and has not expired."""
    rows = database.query(
        f"SELECT {_COLUMNS} FROM stored_response "  # noqa: S608
        "WHERE owner = ? AND response = ? AND expires_at > ?",
        (request.owner, request.response, now_ms),
    )
    if not rows:
        return FoundResponse(None)
    run_id, model, lane, tokens, sensitivity, data_assets, cache_write = rows[0]
    assets = json.loads(data_assets)
    return FoundResponse(
        StoredResponse(run_id, model, lane, tokens, sensitivity, assets, cache_write)
    )


def forget_expired(database: Database, now_ms: int, most: int) -> int:
    """Drop up to `most` answers that no provider stores any more; how many."""
    # Looked at twice: one that is kept anew at this moment is no longer expired.
    return database.execute(
        "DELETE FROM stored_response WHERE (owner, response) IN (SELECT owner, response "
        "FROM stored_response WHERE expires_at <= ? LIMIT ?) AND expires_at <= ?",
        (now_ms, most, now_ms),
    )
