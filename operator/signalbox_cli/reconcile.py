"""`signalbox reconcile`: a provider's bill against the ledger, and what differs booked.

Reads the ledger by itself; bookings go through the running authority, which owns it.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import click
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from signalbox_cli import reconcile_sums_view as sums_view
from signalbox_cli import reconcile_view as view
from signalbox_cli.desk_client import Desk
from signalbox_cli.failure import Failure
from signalbox_cli.options import Duration, socket_option, state_option
from signalbox_cli.reconcile_booking import book_corrections
from signalbox_cli.reconcile_document import document
from signalbox_cli.reconcile_options import Dollars, Period
from signalbox_cli.runs import ledger
from signalbox_cli.terminal import err
from signalbox_ledger import reconciliation, reconciliation_ledger, reconciliation_sums
from signalbox_ledger.desk_protocol import Corrected
from signalbox_ledger.reconciliation import Comparison, Coverage
from signalbox_ledger.reconciliation_export import Export, ExportError
from signalbox_ledger.reconciliation_files import read

_DAY_MS: Final = 86_400_000


class BadInput(Failure):
    """An export or an option that cannot be used; the command ends with exit code 2."""

    exit_code = 2


@dataclass(frozen=True, slots=True)
class Wanted:
    """What was asked for."""

    period: tuple[int, int] | None
    providers: tuple[str, ...]
    lanes: tuple[str, ...]
    keys: tuple[str, ...]
    lag_s: int
    tolerance: int | None

    def coverage(self, export: Export) -> Coverage:
        """What the export is said to hold all of."""
        start, end = self.period or (0, 0)
        named = self.providers or ((export.provider,) if export.provider else ())
        return Coverage(
            start=start,
            end=min(end, time.time_ns() // 1_000_000),
            providers=frozenset(named),
            lanes=frozenset(self.lanes),
            lag=self.lag_s * 1000,
        )


@click.command("reconcile", short_help="Compare a provider's bill with the ledger, and book it.")
@click.argument(
    "files",
    metavar="FILE...",
    nargs=-1,
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
)
@click.option("--book", is_flag=True, help="Post what differs as corrections.")
@click.option(
    "--period",
    type=Period(),
    metavar="FROM/TO",
    help="The files hold everything that was billed then, dates included.",
)
@click.option(
    "--provider", "providers", multiple=True, metavar="NAME", help="Whose bill it is, as lanes say."
)
@click.option(
    "--lane", "lanes", multiple=True, metavar="[MODEL/]LANE", help="Only these lanes' bill it is."
)
@click.option(
    "--key", "keys", multiple=True, metavar="ID", help="Of sums by key, only this provider's key."
)
@click.option(
    "--tolerance",
    type=Dollars(),
    metavar="USD",
    help="Differences that are none.  [default: 0; 0.01 for sums of a day]",
)
@click.option(
    "--lag",
    type=Duration(),
    default="1h",
    show_default=True,
    metavar="1h",
    help="After this a provider has billed a request.",
)
@click.option("-o", "--output", type=click.Choice(["json"]), help="Another form than the tables.")
@state_option
@socket_option
def command(  # noqa: PLR0913  one for each option
    files: tuple[Path, ...],
    book: bool,
    period: tuple[int, int] | None,
    providers: tuple[str, ...],
    lanes: tuple[str, ...],
    keys: tuple[str, ...],
    tolerance: int | None,
    lag: int,
    output: str | None,
    state: Path,
    socket: Path | None,
) -> None:
    """Compare what a provider billed (FILE) with what the ledger charged.

    A FILE lists requests with the provider's request ids, as CSV or JSON lines, or is a usage or
    cost export of OpenAI or Anthropic, CSV or JSON. Requests are matched one by one, and --book
    posts what differs beside what was charged; sums by day and model are compared only.

    With --period and --provider (or --lane) the files are said to hold all that was billed then:
    calls that were charged in full because their end was lost, and that were never billed, are
    then given back.

    Exit codes: 0 equal, or all booked; 1 differences that are not booked; 2 wrong command line
    or an export that cannot be believed.
    """
    wanted = Wanted(period, providers, lanes, keys, lag, tolerance)
    try:
        export = _read(files)
        if not export.sums and not export.requests:
            raise BadInput(f"{', '.join(export.names)}: nothing was billed in there")
        if period is not None and not (export.provider or providers or lanes):
            raise BadInput("--period needs --provider or --lane: whose bill is this?")
        if export.by_request:
            desk = Desk(state, socket) if book else None
            _by_request(export, wanted, state, desk, output=output)
        elif book:
            raise BadInput(
                "sums by day and model cannot be booked: they do not tell which request differs;"
                " book an export with request ids"
            )
        else:
            _by_sum(export, wanted, state, output=output)
    except ExportError as error:
        raise BadInput(str(error)) from None


def _read(files: Sequence[Path]) -> Export:
    console = err()
    size = sum(path.stat().st_size for path in files)
    columns = (TextColumn("reading"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as progress:
        task = progress.add_task("reading", total=size)
        return read(files, lambda count: progress.advance(task, count))


def _by_request(
    export: Export, wanted: Wanted, state: Path, desk: Desk | None, *, output: str | None
) -> None:
    coverage = wanted.coverage(export)
    with ledger(state) as reader:
        source = reader.database
        first, last = export.span()
        known_first, known_last = reconciliation_ledger.reach(source)
        times = [each for each in (first, coverage.start if coverage.end else 0) if each]
        since = max(known_first, min(times) - _DAY_MS) if times and first else known_first
        until = min(known_last, max(last, coverage.end) + _DAY_MS) if first else known_last
        comparison = reconciliation.compare(
            export,
            reconciliation_ledger.attempts(source, since, until),
            coverage,
            tolerance_nano=wanted.tolerance or 0,
        )
    booked = None
    if desk is not None and comparison.bookable:
        booked = book_corrections(export, coverage, comparison, desk)
    if output == "json":
        click.echo(document(export, coverage, comparison, booked))
    else:
        view.show(export, coverage, comparison, booked)
    if _is_left(comparison, booked):
        raise SystemExit(1)


def _is_left(comparison: Comparison, booked: Corrected | None) -> bool:
    """Whether differences remain that nobody has booked."""
    counts = comparison.counts
    if any(counts.get(kind) for kind in reconciliation.OPEN):
        return True
    return bool(comparison.bookable) and (booked is None or bool(booked.changed))


def _by_sum(export: Export, wanted: Wanted, state: Path, *, output: str | None) -> None:
    tolerance = sums_view.SUM_TOLERANCE if wanted.tolerance is None else wanted.tolerance
    billed = [one for one in export.sums if not wanted.keys or one.key in wanted.keys]
    if wanted.keys and not billed:
        keys = ", ".join(sorted({one.key for one in export.sums if one.key})) or "none"
        raise BadInput(f"the export has no sums of {', '.join(wanted.keys)}; it has: {keys}")
    coverage = wanted.coverage(export)
    try:
        since, until = reconciliation_sums.days_of(billed)
        with ledger(state) as reader:
            charged = [
                one
                for one in reconciliation_ledger.sums(reader.database, since, until)
                if coverage.names_lane(one.provider, one.model, one.lane)
            ]
        lines = reconciliation_sums.compare(billed, charged)
    except ValueError as error:
        raise BadInput(f"{export.names[0]}: {error}") from None
    if output == "json":
        click.echo(sums_view.document(export, lines, tolerance))
    else:
        sums_view.show(export, lines, tolerance, keys=wanted.keys)
    if export.incomplete or any(line.differs(tolerance) for line in lines):
        raise SystemExit(1)
