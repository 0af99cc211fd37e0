"""What was written off with proxies that were lost with their journals, by account.

No spend: one call holds money in every budget that applies to it, so amounts of several budgets do
not add up. Each account was charged its own; what the provider billed is found by reconciliation.
"""

import msgspec

from signalbox_ledger.reading import LedgerReader


class Loss(msgspec.Struct, frozen=True, kw_only=True):
    """One account's part of what a holder took with it, in `unit` (usd: nano-USD)."""

    budget: str
    subject: str
    unit: str
    holder: str
    posted_at: int
    slices: int
    amount: int


def losses(reader: LedgerReader, *, since: int, until: int) -> list[Loss]:
    """Losses that were posted in that span (milliseconds), the latest first."""
    rows = reader.database.query(
        "SELECT budget, basis, subject, holder, posted_at, COUNT(*) AS slices,"
        " CAST(SUM(amount) AS BIGINT) AS amount FROM slice_loss"
        " WHERE posted_at >= ? AND posted_at < ?"
        " GROUP BY budget, basis, subject, holder, posted_at"
        " ORDER BY posted_at DESC, budget, basis, subject, holder LIMIT 1000",
        (since, until),
    )
    return [
        Loss(
            budget=row["budget"],
            subject=row["subject"],
            unit=row["basis"].partition("/")[0],
            holder=row["holder"],
            posted_at=row["posted_at"],
            slices=row["slices"],
            amount=row["amount"],
        )
        for row in rows
    ]
