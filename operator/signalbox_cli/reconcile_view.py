"""What `signalbox reconcile` shows: both sides by lane, what differs and why, the largest first.

Amounts to the nano-USD: where a ledger and a bill are compared, every digit counts.
"""

from datetime import UTC, datetime, timedelta
from typing import Final

from rich.console import Console
from rich.text import Text

from signalbox_cli import amounts
from signalbox_cli.terminal import Cell, Heading, out, print_table, styled
from signalbox_ledger.desk_protocol import Corrected
from signalbox_ledger.reconciliation import Comparison, Coverage, Difference, Kind
from signalbox_ledger.reconciliation_export import Export
from signalbox_ledger.reconciliation_values import nano_usd

SHOWN: Final = 10
"""Differences in the table; `-o json` has them all."""

_WHAT: Final[dict[Kind, str]] = {
    "resolved": "charged in full because the end was lost; this is what was billed",
    "unbilled": "charged in full because the end was lost, and never billed",
    "different": "billed otherwise than it was charged",
    "unmatched": "billed, and unknown to the ledger: spent outside the gateway",
    "lacking": "charged by its usage record, and not in the bill",
    "ambiguous": "several calls carry this request id",
    "undecided": "charged in full because the end was lost; the files do not prove it unbilled",
}
_STYLES: Final[dict[Kind, str]] = {
    "unmatched": "bold red",
    "lacking": "red",
    "ambiguous": "red",
    "undecided": "dim",
}
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_DAY: Final = timedelta(days=1)


def exact(nano: int, *, signed: bool = False) -> str:
    """nano-USD with all nine decimals, so that columns stand in line."""
    sign = "-" if nano < 0 else "+" if signed and nano > 0 else ""
    whole, fraction = divmod(abs(nano), 1_000_000_000)
    return f"{sign}${whole:,}.{fraction:09d}"


def counted(number: int, word: str) -> str:
    """A number of things: `1 request`, `2 requests`."""
    return f"{number:,} {word}{'' if number == 1 else 's'}"


def period_text(start: int, end: int) -> str:
    """A period in UTC, in dates where it is whole days; the end is not included."""
    first, last = (_EPOCH + timedelta(milliseconds=each) for each in (start, end))
    if (first - _EPOCH) % _DAY or (last - _EPOCH) % _DAY:
        return f"{amounts.instant(start)} to {amounts.instant(end)}"
    return (
        f"{first:%Y-%m-%d}"
        if last - first == _DAY
        else f"{first:%Y-%m-%d} to {last - _DAY:%Y-%m-%d}"
    )


def show(
    export: Export, coverage: Coverage, comparison: Comparison, booked: Corrected | None
) -> None:
    """Tables for people."""
    console = out()
    print_bill(console, export)
    if coverage.end:
        named = sorted(coverage.providers) + [f"lane {lane}" for lane in sorted(coverage.lanes)]
        _field(
            console, "covers", f"{period_text(coverage.start, coverage.end)}: {', '.join(named)}"
        )
    console.print()
    _lanes(console, comparison)
    _kinds(console, comparison)
    _differences(console, comparison)
    console.print()
    _verdict(console, comparison, booked)


def print_bill(console: Console, export: Export) -> None:
    """What the export is."""
    told = counted(
        len(export.requests) or len(export.sums), "request" if export.by_request else "sum"
    )
    _field(console, "bill", f"{', '.join(export.names)}: {export.format}, {told}")
    start, end = export.span()
    if start:
        _field(console, "billed", period_text(start, end))


def _field(console: Console, label: str, value: str) -> None:
    console.print(Text.assemble((f"{label:<8}", "dim"), value), soft_wrap=True)


def _lanes(console: Console, comparison: Comparison) -> None:
    rows: list[list[Cell]] = []
    ledger = billed = requests = 0
    for (model, lane), total in sorted(comparison.lanes.items()):
        name = f"{model.rpartition('/')[2]}/{lane}" if lane else "(not in the ledger)"
        rows.append(_lane(name, total.requests, total.ledger_nano, total.billed_pico))
        requests += total.requests
        ledger += total.ledger_nano
        billed += total.billed_pico
    if len(rows) > 1:
        rows.append(_lane("total", requests, ledger, billed))
    titles = ("REQUESTS", "LEDGER", "PROVIDER", "DIFFERENCE")
    headings = [Heading("MODEL/LANE"), *(Heading(title, number=True) for title in titles)]
    print_table(console, headings, rows)


def _lane(name: str, requests: int, ledger: int, billed_pico: int) -> list[Cell]:
    billed = nano_usd(billed_pico)
    return [name, f"{requests:,}", exact(ledger), exact(billed), delta(billed - ledger)]


def delta(nano: int) -> Cell:
    """A difference: red where the provider billed more."""
    return styled(exact(nano, signed=True), "red" if nano > 0 else "green" if nano < 0 else "dim")


def _kinds(console: Console, comparison: Comparison) -> None:
    rows: list[list[Cell]] = [
        [
            styled(kind, _STYLES.get(kind, "")),
            f"{comparison.counts[kind]:,}",
            delta(comparison.amounts[kind]),
            what,
        ]
        for kind, what in _WHAT.items()
        if comparison.counts.get(kind)
    ]
    if rows:
        console.print()
        headings = [Heading("WHAT"), Heading("REQUESTS", number=True)]
        headings += [Heading("DIFFERENCE", number=True), Heading("MEANS", wraps=True)]
        print_table(console, headings, rows)


def _differences(console: Console, comparison: Comparison) -> None:
    largest = sorted(
        [*comparison.told, *comparison.bookable, *comparison.undecided],
        key=lambda one: (one.kind != "unmatched", -abs(one.delta_nano), -one.ledger_nano),
    )
    if not largest:
        return
    console.print()
    headings = [Heading("WHAT"), Heading("RUN"), Heading("REQUEST", spare=2)]
    headings += [Heading("MODEL/LANE", spare=1), Heading("LEDGER", number=True)]
    headings += [Heading("PROVIDER", number=True), Heading("LINE", spare=3)]
    print_table(console, headings, [_difference(one) for one in largest[:SHOWN]])
    if len(largest) > SHOWN:
        more = sum(comparison.counts.values()) - SHOWN
        console.print(f"and {more:,} more; -o json has them", style="dim")


def _difference(one: Difference) -> list[Cell]:
    attempt, billed = one.attempt, one.billed
    lane = billed.model if attempt is None and billed is not None else ""
    if attempt is not None:
        lane = f"{attempt.model.rpartition('/')[2]}/{attempt.lane}"
    request_id = attempt.request_id if attempt is not None else ""
    billed_id = billed.request_id if billed is not None else ""
    return [
        styled(one.kind, _STYLES.get(one.kind, "")),
        f"{attempt.run_id}/{attempt.number}" if attempt is not None else f"({billed_id})",
        billed_id or request_id or "-",
        lane,
        "-" if attempt is None else exact(attempt.nano),
        "-" if billed is None else exact(nano_usd(billed.pico)),
        "-" if billed is None else f"{billed.source}:{billed.line}",
    ]


def _verdict(console: Console, comparison: Comparison, booked: Corrected | None) -> None:
    bookable = len(comparison.bookable)
    amount = sum(one.delta_nano for one in comparison.bookable)
    if booked is not None:
        _told_booking(console, booked, amount)
    elif bookable:
        said = f"{counted(bookable, 'correction')} of {exact(amount, signed=True)}"
        said += " can be booked: add --book"
        console.print(said, style="yellow")
    unmatched = comparison.counts.get("unmatched", 0)
    if unmatched:
        nano = comparison.amounts["unmatched"]
        said = f"{counted(unmatched, 'request')} of {exact(nano)} did not come through the gateway:"
        console.print(f"{said} who has the provider's key?", style="bold red")
    if comparison.counts.get("undecided"):
        said = "undecided calls stay charged in full; state --period and --provider once the"
        console.print(f"{said} provider has billed that time", style="dim")
    if not comparison.has_differences:
        said = f"equal: {counted(comparison.matched, 'request')} charged as billed"
        console.print(said, style="green")


def _told_booking(console: Console, booked: Corrected, amount: int) -> None:
    known = f", {booked.known:,} were booked before" if booked.known else ""
    console.print(
        f"booked {counted(booked.booked, 'correction')} of {exact(amount, signed=True)}{known}",
        style="green",
    )
    for what, units in (("give back", booked.returned), ("bear", booked.raised)):
        told = ", ".join(amounts.amount(value, unit) for unit, value in sorted(units.items()))
        if told:
            console.print(f"budgets in their present windows {what} {told}, each its own part")
    if booked.changed:
        said = f"{len(booked.changed):,} were corrected by somebody else meanwhile; run it again"
        console.print(said, style="red")
