"""Books what a reconciliation found: corrections in batches, through the authority."""

import secrets
from typing import Final

from signalbox_cli.desk_client import Desk, who
from signalbox_ledger.desk_protocol import (
    Correct,
    Corrected,
    CorrectionItem,
    CorrectionSource,
)
from signalbox_ledger.reconciliation import Comparison, Coverage, Difference
from signalbox_ledger.reconciliation_export import Export

BATCH: Final = 200
"""Corrections of one transaction: proxies that draw meanwhile wait for it."""


def book_corrections(
    export: Export, coverage: Coverage, comparison: Comparison, desk: Desk
) -> Corrected:
    """Post every correction that the comparison found; what the authority did. Raises Failure."""
    source = CorrectionSource(
        id=secrets.token_hex(32),
        by=who(),
        name=", ".join(export.names)[:4096],
        digest=export.digest,
        period_start=coverage.start if coverage.end else 0,
        period_end=coverage.end,
    )
    items = [_item(each, export) for each in comparison.bookable]
    batches = [items[at : at + BATCH] for at in range(0, len(items), BATCH)]
    total = Corrected(booked=0, known=0, changed=[], raised={}, returned={})
    for reply in desk.ask_all([Correct(source, batch) for batch in batches], Corrected):
        total = Corrected(
            booked=total.booked + reply.booked,
            known=total.known + reply.known,
            changed=[*total.changed, *reply.changed],
            raised=_added(total.raised, reply.raised),
            returned=_added(total.returned, reply.returned),
        )
    return total


def _item(difference: Difference, export: Export) -> CorrectionItem:
    attempt, billed = difference.attempt, difference.billed
    if attempt is None:
        raise ValueError("only attempts of the ledger can be corrected")
    return CorrectionItem(
        run_id=attempt.run_id,
        attempt=attempt.number,
        line=export.digest if billed is None else billed.digest,
        before=attempt.nano,
        after=difference.billed_nano,
        request_id=attempt.request_id,
        tokens=0 if billed is None else billed.tokens,
    )


def _added(first: dict[str, int], second: dict[str, int]) -> dict[str, int]:
    return {unit: first.get(unit, 0) + second.get(unit, 0) for unit in sorted({*first, *second})}
