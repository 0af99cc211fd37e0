"""What `signalbox reconcile` shows of sums: each day and model, both sides, whether they agree."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from signalbox_cli.reconcile_document import as_json, bill_document
from signalbox_cli.reconcile_view import delta, exact, print_bill
from signalbox_cli.terminal import Cell, Heading, out, print_table, styled
from signalbox_ledger.documents import timestamp_text
from signalbox_ledger.money import format_usd
from signalbox_ledger.reconciliation_export import Export
from signalbox_ledger.reconciliation_sums import Side, SumLine
from signalbox_ledger.reconciliation_values import PICO_PER_NANO, nano_usd

SUM_TOLERANCE: Final = 10_000_000
"""A cent: consoles round sums of a day to it."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def show(export: Export, lines: Sequence[SumLine], tolerance: int, *, keys: Sequence[str]) -> None:
    """Tables for people."""
    console = out()
    print_bill(console, export)
    console.print()
    differing = sum(line.differs(tolerance) for line in lines)
    print_table(console, _sum_headings(lines), [_sum_row(line, tolerance) for line in lines])
    console.print()
    unknown = sum(line.unknown for line in lines)
    if unknown:
        nano = sum(line.unknown_nano for line in lines)
        console.print(f"{unknown:,} calls of {exact(nano)} are charged in full: their end was lost")
    others = sorted({one.key for one in export.sums if one.key})
    if len(others) > 1 and not keys:
        console.print(f"the export has {len(others)} keys; --key ID takes those of the gateway")
    if export.incomplete:
        console.print("pages are missing: has_more is true on the last one", style="red")
    if differing:
        said = f"{differing:,} of {len(lines):,} days and models differ; an export with request ids"
        console.print(f"{said} tells which requests, and can be booked", style="yellow")
    elif not export.incomplete:
        console.print("equal within rounding", style="green")


_COUNTS: Final = ("requests", "input", "cached", "output")


def _sum_headings(lines: Sequence[SumLine]) -> list[Heading]:
    headings = [Heading("DAY"), Heading("MODEL"), Heading("")]
    first = lines[0].billed
    names = [name for name in _COUNTS if getattr(first, name) is not None]
    headings += [Heading(name.upper(), number=True) for name in names]
    if first.pico is not None:
        headings += [Heading(title, number=True) for title in ("LEDGER", "PROVIDER", "DIFFERENCE")]
    return headings


def _sum_row(line: SumLine, tolerance: int) -> list[Cell]:
    differs = line.differs(tolerance)
    day = _EPOCH + timedelta(milliseconds=line.day)
    row: list[Cell] = [f"{day:%Y-%m-%d}", line.model or "(all)"]
    row.append(styled("differs", "red") if differs else styled("equal", "green"))
    for name in _COUNTS:
        billed, charged = getattr(line.billed, name), getattr(line.ledger, name)
        if billed is not None:
            same = billed == charged
            row.append(f"{billed:,}" if same else f"{charged:,} / {billed:,}")
    if line.billed.pico is not None and line.ledger.pico is not None:
        ledger, billed = line.ledger.pico // PICO_PER_NANO, nano_usd(line.billed.pico)
        row += [exact(ledger), exact(billed), delta(billed - ledger)]
    return row


def document(export: Export, lines: Sequence[SumLine], tolerance: int) -> str:
    """The same for programs."""
    return as_json(
        {
            "bill": bill_document(export),
            "complete": not export.incomplete,
            "equal": not any(line.differs(tolerance) for line in lines),
            "days": [
                {
                    "day": timestamp_text(line.day)[:10],
                    "model": line.model or None,
                    "equal": not line.differs(tolerance),
                    "ledger": _side(line.ledger),
                    "provider": _side(line.billed),
                    "charged_in_full": line.unknown,
                }
                for line in lines
            ],
        }
    )


def _side(side: Side) -> dict[str, Any]:
    told: dict[str, Any] = {name: getattr(side, name) for name in _COUNTS}
    if side.pico is not None:
        told["usd"] = format_usd(nano_usd(side.pico))
    return {name: value for name, value in told.items() if value is not None}
