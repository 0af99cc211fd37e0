"""What `signalbox reconcile -o json` tells programs: the comparison whole, amounts as decimals."""

import json
from typing import Any

from signalbox_ledger.desk_protocol import Corrected
from signalbox_ledger.documents import timestamp_text
from signalbox_ledger.money import format_usd
from signalbox_ledger.reconciliation import BOOKED, Comparison, Coverage, Difference
from signalbox_ledger.reconciliation_export import Export
from signalbox_ledger.reconciliation_values import nano_usd


def document(
    export: Export, coverage: Coverage, comparison: Comparison, booked: Corrected | None
) -> str:
    """One document: bill, what it covers, both sides by lane, every difference that was kept."""
    listed = [*comparison.bookable, *comparison.told, *comparison.undecided]
    covers = None
    if coverage.end:
        covers = {
            "from": timestamp_text(coverage.start),
            "until": timestamp_text(coverage.end),
            "providers": sorted(coverage.providers),
            "lanes": sorted(coverage.lanes),
        }
    return as_json(
        {
            "bill": bill_document(export),
            "covers": covers,
            "equal": not comparison.has_differences,
            "matched": comparison.matched,
            "lanes": [
                {
                    "model": model,
                    "lane": lane,
                    "requests": total.requests,
                    "ledger_usd": format_usd(total.ledger_nano),
                    "provider_usd": format_usd(nano_usd(total.billed_pico)),
                }
                for (model, lane), total in sorted(comparison.lanes.items())
            ],
            "counts": comparison.counts,
            "differences": [_difference_document(one) for one in listed],
            "booked": None if booked is None else _booked(booked),
        }
    )


def bill_document(export: Export) -> dict[str, Any]:
    """What the export is, for programs."""
    start, end = export.span()
    return {
        "files": export.names,
        "format": export.format,
        "sha256": export.digest,
        "lines": len(export.requests) or len(export.sums),
        "from": timestamp_text(start) if start else None,
        "until": timestamp_text(end) if start else None,
    }


def _difference_document(one: Difference) -> dict[str, Any]:
    attempt, billed = one.attempt, one.billed
    return {
        "kind": one.kind,
        "bookable": one.kind in BOOKED,
        "run_id": None if attempt is None else attempt.run_id,
        "attempt": None if attempt is None else attempt.number,
        "agent": None if attempt is None else attempt.agent,
        "model": None if attempt is None else attempt.model,
        "lane": None if attempt is None else attempt.lane,
        "ledger_usd": None if attempt is None else format_usd(attempt.nano),
        "provider_usd": None if billed is None else format_usd(nano_usd(billed.pico)),
        "difference_usd": format_usd(one.delta_nano),
        "request_id": billed.request_id if billed else attempt.request_id if attempt else "",
        "line": None if billed is None else f"{billed.source}:{billed.line}",
    }


def _booked(booked: Corrected) -> dict[str, Any]:
    return {
        "corrections": booked.booked,
        "booked_before": booked.known,
        "changed_meanwhile": booked.changed,
        "taken": _by_unit(booked.raised),
        "given_back": _by_unit(booked.returned),
    }


def _by_unit(units: dict[str, int]) -> dict[str, str]:
    return {
        unit: format_usd(value) if unit == "usd" else str(value) for unit, value in units.items()
    }


def as_json(content: dict[str, Any]) -> str:
    """A document as it is printed."""
    return json.dumps(content, indent=2, ensure_ascii=False)
