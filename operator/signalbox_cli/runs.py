"""`signalbox runs`: what was recorded, one line for each run, or one run whole.

Reads the ledger itself, so it works while Signalbox runs and after it has stopped.
"""

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, get_args

import click
from rich.console import Console

from signalbox_cli import amounts
from signalbox_cli.failure import Failure
from signalbox_cli.options import Duration, state_option
from signalbox_cli.run_view import print_run
from signalbox_cli.state import StateFolder
from signalbox_cli.terminal import Cell, Heading, aligned, err, out, plain, print_table, styled
from signalbox_ledger.documents import recorded_document, summary_document
from signalbox_ledger.opening import DSN_VARIABLE
from signalbox_ledger.read_store import LedgerUnreadableError
from signalbox_ledger.reading import LedgerReader, RunFilter, RunSummary
from signalbox_ledger.records import Outcome

POLL_S: Final = 0.5
"""How often `-w` looks for new runs."""

FULL_IDS: Final = 100
"""Columns of a terminal from which ids are shown whole."""

SHORT_ID: Final = 18
"""Characters of an id that tell runs apart: its milliseconds and 30 random bits."""

STYLES: Final = {
    "answered": "green",
    "incomplete": "yellow",
    "refused": "yellow",
    "rejected": "yellow",
    "failed": "red",
    "unknown": "red",
}


@click.command("runs", short_help="List runs, or show one whole.")
@click.argument("run_id", metavar="[ID]", required=False)
@click.option("-w", "--watch", is_flag=True, help="Show runs as they are recorded.")
@click.option("--agent", metavar="NAMESPACE/AGENT", help="Only runs of this agent.")
@click.option("--domain", metavar="NAMESPACE/DOMAIN", help="Only runs of this domain.")
@click.option(
    "--outcome", type=click.Choice(get_args(Outcome)), help="Only runs that ended this way."
)
@click.option("--since", type=Duration(), metavar="1h", help="Only runs of so long ago at most.")
@click.option(
    "--limit", type=click.IntRange(1, 10_000), default=20, show_default=True, help="Most runs."
)
@click.option(
    "-o", "--output", type=click.Choice(["json", "wide"]), help="Another form than the table."
)
@state_option
def command(  # noqa: PLR0913  one for each option
    run_id: str | None,
    watch: bool,
    agent: str | None,
    domain: str | None,
    outcome: Outcome | None,
    since: int | None,
    limit: int,
    output: str | None,
    state: Path,
) -> None:
    """List the newest runs, or show the run ID whole: decision, attempts, charges, verdicts.

    The beginning of an ID is enough, where it names one run.

    Exit codes: 0 shown, 1 no such run or no ledger, 2 wrong command line.
    """
    now_ms = time.time_ns() // 1_000_000
    wanted = RunFilter(
        agent=agent,
        domain=domain,
        outcome=outcome,
        since=None if since is None else now_ms - since * 1000,
    )
    with ledger(state) as reader:
        if run_id is not None:
            _show_one(reader, run_id, output)
        elif watch:
            _follow(reader, wanted, output)
        else:
            _list(reader.runs(wanted, limit=limit), output)


@contextmanager
def ledger(state: Path) -> Iterator[LedgerReader]:
    """The ledger that SIGNALBOX_LEDGER_DSN names, else that of a state folder; closed after use.

    Raises Failure when it cannot be read.
    """
    dsn = os.environ.get(DSN_VARIABLE)
    try:
        with LedgerReader(dsn or StateFolder.at(state).ledger) as reader:
            yield reader
    except LedgerUnreadableError as error:
        where = f"see {DSN_VARIABLE}" if dsn else "name the folder with --state or SIGNALBOX_STATE"
        raise Failure(f"{error}; {where}") from None


def _show_one(reader: LedgerReader, run_id: str, output: str | None) -> None:
    found = reader.ids(run_id)
    if len(found) > 1:
        raise Failure(f"{run_id} is the beginning of several runs: {', '.join(found)}")
    recorded = reader.run(found[0]) if found else None
    if recorded is None:
        raise Failure(
            f'run "{run_id}" not found; `signalbox runs` lists the newest (a run is recorded within'
            " a second of its end)"
        )
    if output == "json":
        click.echo(json.dumps(recorded_document(recorded), indent=2, ensure_ascii=False))
    else:
        print_run(out(), recorded)


def _list(runs: list[RunSummary], output: str | None) -> None:
    if output == "json":
        items = [summary_document(run) for run in runs]
        click.echo(json.dumps({"items": items}, indent=2, ensure_ascii=False))
    elif not runs:
        err().print("No runs found.")
    else:
        wide = output == "wide"
        console = out()
        rows = [_row(run, wide=wide) for run in runs]
        for row in rows if _ids_are_short(console) else ():
            row[0] = plain(row[0])[:SHORT_ID]
        print_table(console, _headings(wide=wide), rows)


def _ids_are_short(console: Console) -> bool:
    """The beginning of an id is enough to ask for it, and fits where the whole does not."""
    return console.is_terminal and console.width < FULL_IDS


def _follow(reader: LedgerReader, wanted: RunFilter, output: str | None) -> None:
    position = reader.last_position()
    console, wide = out(), output == "wide"
    short = _ids_are_short(console)
    widths: list[int] = [SHORT_ID if short else 28, 4, 16, 20, 9, 8]
    if output != "json":
        console.print(_line(_headings(wide=wide), None, widths), style="bold", soft_wrap=True)
    while True:
        for run in reader.follow(position, wanted):
            position = run.position
            _show_line(console, run, output, widths)
        time.sleep(POLL_S)


def _show_line(console: Console, run: RunSummary, output: str | None, widths: list[int]) -> None:
    if output == "json":
        click.echo(json.dumps(summary_document(run), ensure_ascii=False))
        return
    wide = output == "wide"
    row = _row(run, wide=wide)
    if _ids_are_short(console):
        row[0] = plain(row[0])[:SHORT_ID]
    text = _line(_headings(wide=wide), row, widths)
    style = STYLES[run.outcome] if run.outcome != "answered" else ""
    console.print(text, style=style, soft_wrap=True, markup=False)


def _line(headings: list[Heading], row: list[Cell] | None, widths: list[int]) -> str:
    """A row, or the titles, in columns that only ever grow."""
    shown = [heading.title for heading in headings] if row is None else [plain(c) for c in row]
    widths += [0] * (len(shown) - len(widths))
    widths[:] = [max(width, len(text)) for width, text in zip(widths, shown, strict=False)]
    padded = [
        text.rjust(width) if heading.number else text.ljust(width)
        for heading, text, width in zip(headings, shown, widths, strict=False)
    ]
    return aligned([Heading("")] * len(padded), [padded], header=False)[0]


def _headings(*, wide: bool) -> list[Heading]:
    titles = [
        Heading("RUN"),
        Heading("AGE"),
        Heading("AGENT"),
        Heading("MODEL/LANE"),
        Heading("COST", number=True),
        Heading("OUTCOME"),
    ]
    more = ("INPUT", "CACHED", "OUTPUT", "TIME")
    texts = ("WORKLOAD", "SESSION", "USER", "CLASS")
    return (
        titles
        + ([Heading(title, number=True) for title in more] if wide else [])
        + ([Heading(title) for title in texts] if wide else [])
    )


def _row(run: RunSummary, *, wide: bool) -> list[Cell]:
    age = amounts.age((time.time_ns() // 1_000_000 - run.timestamp) // 1000)
    model = run.model.rpartition("/")[2] or run.model_asked
    outcome = f"{run.outcome}: {run.refusal}" if run.refusal else run.outcome
    row: list[Cell] = [
        run.run_id,
        age,
        run.agent,
        f"{model}/{run.lane}" if run.lane else f"({model})",
        amounts.cost(run.cost_nano_usd),
        styled(outcome, STYLES[run.outcome]),
    ]
    if wide:
        row += [str(run.tokens_input), str(run.tokens_cached), str(run.tokens_output)]
        row += [amounts.milliseconds(run.duration_us), run.workload, run.session or "-"]
        row += [run.user_id or "-", summary_document(run)["sensitivity"]]
    return row
