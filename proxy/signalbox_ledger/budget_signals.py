"""What runs say of budgets: who was admitted, and which budget had nothing left for whom.

Read in the order of settlement by whoever shows the state of budgets. A refusal for lack of money
carries the authority's figures in its decision, under `shortage`.
"""

import msgspec

from signalbox_ledger.reading import LedgerReader

MAX_LIMIT = 10_000

_STATEMENT = (
    "SELECT position, timestamp, agent, lane <> '' AS admitted, "
    "CASE WHEN refusal IN ('budget_exhausted', 'rate_limited') "
    "THEN json_extract(decision, '$.shortage.budget') END AS short_budget, "
    "CASE WHEN refusal IN ('budget_exhausted', 'rate_limited') "
    "THEN json_extract(decision, '$.shortage.subject') END AS short_subject "
    "FROM inference_run WHERE position > ? ORDER BY position LIMIT ?"
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


def budget_signals(reader: LedgerReader, after: int, *, limit: int = 1000) -> list[BudgetSignal]:
    """Up to `limit` runs settled after the one at position `after`."""
    rows = reader.database.query(_STATEMENT, [after, max(1, min(limit, MAX_LIMIT))])
    return [msgspec.convert(row, BudgetSignal, strict=False) for row in rows]
