"""What runs say of budgets: who was admitted, and which budget had nothing left for whom.

Read in the order of settlement by whoever shows the state of budgets (`refusing`). A refusal for
lack of money carries the authority's figures in its decision, under `shortage`.
"""

from collections.abc import Iterable
from typing import Any

import msgspec

from signalbox_ledger import positions
from signalbox_ledger.database import Database
from signalbox_ledger.protocol import BudgetSignal, SignalList
from signalbox_ledger.reading import LedgerReader

MAX_LIMIT = 10_000

_STATEMENT = (
    "SELECT position, timestamp, agent, user_id, session, lane <> '' AS admitted, "
    "CASE WHEN refusal IN ('budget_exhausted', 'rate_limited') THEN decision END AS decision "
    "FROM inference_run WHERE position > ? AND position <= ? ORDER BY position LIMIT ?"
)


class _Shortage(msgspec.Struct, frozen=True):
    budget: str | None = None
    subject: str | None = None
    needed: int = 0


class _Decision(msgspec.Struct, frozen=True):
    shortage: _Shortage = _Shortage()


def budget_signals(reader: LedgerReader, after: int, *, limit: int = 1000) -> list[BudgetSignal]:
    """Up to `limit` runs settled after the one at position `after`; none is ever skipped."""
    settled = reader.database.settled()
    values = (after, settled, max(1, min(limit, MAX_LIMIT)))
    return _signals(reader.database.query(_STATEMENT, values))


def newest(database: Database, after: int | None, limit: int) -> SignalList:
    """As `budget_signals`, inside the authority's transaction."""
    settled = positions.settled(database)
    begin = max(0, settled - limit) if after is None else after
    found = _signals(database.query_named(_STATEMENT, (begin, settled, limit)))
    return SignalList(found[-1].position if found else max(begin, 0), found)


def _signals(rows: Iterable[dict[str, Any]]) -> list[BudgetSignal]:
    return [_signal(row) for row in rows]


def _signal(row: dict[str, Any]) -> BudgetSignal:
    shortage = _Shortage()
    if row["decision"]:
        shortage = msgspec.json.decode(row["decision"], type=_Decision).shortage
    return BudgetSignal(
        position=int(row["position"]),
        timestamp=int(row["timestamp"]),
        agent=row["agent"],
        user=row["user_id"],
        session=row["session"],
        admitted=bool(row["admitted"]),
        short_budget=shortage.budget,
        short_subject=shortage.subject,
        needed=shortage.needed,
    )
