"""What runs say of budgets: who was admitted, and which budget had nothing left for whom.

Read in the order of settlement by whoever shows the state of budgets. A refusal for lack of money
carries the authority's figures in its decision, under `shortage`.
"""

from typing import Any

import msgspec

from signalbox_ledger.reading import LedgerReader

MAX_LIMIT = 10_000

_STATEMENT = (
    "SELECT position, timestamp, agent, lane <> '' AS admitted, "
    "CASE WHEN refusal IN ('budget_exhausted', 'rate_limited') THEN decision END AS decision "
    "FROM inference_run WHERE position > ? AND position <= ? ORDER BY position LIMIT ?"
)


class BudgetSignal(msgspec.Struct, frozen=True, kw_only=True):
    """One run. `timestamp` is in milliseconds; `short_budget` is None unless one refused it, and
    `short_subject` is then whose account of it, "" for the one that all share."""

    position: int
    timestamp: int
    agent: str
    admitted: bool
    short_budget: str | None
    short_subject: str | None


class _Shortage(msgspec.Struct, frozen=True):
    budget: str | None = None
    subject: str | None = None


class _Decision(msgspec.Struct, frozen=True):
    shortage: _Shortage = _Shortage()


def budget_signals(reader: LedgerReader, after: int, *, limit: int = 1000) -> list[BudgetSignal]:
    """Up to `limit` runs settled after the one at position `after`; none is ever skipped."""
    settled = reader.database.settled()
    values = (after, settled, max(1, min(limit, MAX_LIMIT)))
    return [_signal(row) for row in reader.database.query(_STATEMENT, values)]


def _signal(row: dict[str, Any]) -> BudgetSignal:
    shortage = _Shortage()
    if decision := row.pop("decision"):
        shortage = msgspec.json.decode(decision, type=_Decision).shortage
    row.update(short_budget=shortage.budget, short_subject=shortage.subject)
    return msgspec.convert(row, BudgetSignal, strict=False)
