"""`signalbox ledger`: what the ledger's database says of itself, and what only a person orders."""

import json

import click
from rich.console import Console
from rich.text import Text

from signalbox_cli import amounts
from signalbox_cli.desk_client import Desk, desk_options, who
from signalbox_cli.failure import Failure
from signalbox_cli.terminal import Heading, err, out, print_table, styled
from signalbox_ledger.desk_protocol import (
    Describe,
    Description,
    HolderList,
    ListHolders,
    ListRefused,
    ReadmitBy,
    RebuildSums,
    Rebuilt,
    RefusedList,
    Retried,
    RetryRefused,
)
from signalbox_ledger.documents import timestamp_text
from signalbox_ledger.protocol import Done

_DATABASES = {"sqlite": "SQLite, one file on this machine", "postgresql": "PostgreSQL"}

_output = click.option(
    "-o", "--output", type=click.Choice(["json"]), help="Another form than the table."
)


@click.group("ledger", short_help="Look at the ledger's database, and mend it.")
def command() -> None:
    """Look at the ledger's database, and mend it."""


@command.command("status", short_help="Which database, whether draws flow, what waits.")
@_output
@desk_options
def status(output: str | None, desk: Desk) -> None:
    """Show which database holds the ledger, whether draws flow, and what waits for a person.

    Exit codes: 0 all is well, 1 draws are frozen or records wait (or nothing runs), 2 wrong
    command line.
    """
    told = desk.ask(Describe(), Description)
    holders = desk.ask(ListHolders(), HolderList)
    states: list[str] = [one.state for one in holders.holders]
    if output == "json":
        click.echo(_document(told, states))
    else:
        _show(told, states)
    if told.frozen or told.refused:
        raise SystemExit(1)


def _show(told: Description, states: list[str]) -> None:
    console = out()
    identity = f" ({told.identity})" if told.identity else ""
    _field(console, "database", _DATABASES.get(told.dialect, told.dialect) + identity)
    _field(console, "schema", f"revision {told.revision}")
    minimum = f", proxies need {told.min_generation}" if told.min_generation else ""
    _field(console, "budgets", f"of generation {told.generation}{minimum}")
    live, silent = states.count("live"), states.count("silent")
    _field(console, "proxies", f"{live} live, {silent} silent")
    if told.frozen:
        since = amounts.instant(told.frozen_at)
        _field(console, "draws", styled(f"frozen since {since}: {told.frozen}", "bold red"))
        _field(console, "", "once every live proxy is connected again: signalbox ledger readmit")
    else:
        _field(console, "draws", styled("flow", "green"))
    waiting = f"{told.refused:,} wait: signalbox ledger refused" if told.refused else "none refused"
    _field(console, "records", styled(waiting, "red" if told.refused else "green"))
    _field(console, "booked", f"{told.corrections:,} corrections by providers' bills")


def _field(console: Console, label: str, value: str | Text) -> None:
    console.print(Text.assemble((f"{label:<10}", "dim"), value), soft_wrap=True)


def _document(told: Description, states: list[str]) -> str:
    return json.dumps(
        {
            "database": told.dialect,
            "revision": told.revision,
            "identity": told.identity,
            "generation": told.generation,
            "min_generation": told.min_generation,
            "frozen": told.frozen or None,
            "frozen_at": timestamp_text(told.frozen_at) if told.frozen else None,
            "refused_records": told.refused,
            "corrections": told.corrections,
            "proxies": {name: states.count(name) for name in ("live", "silent", "fenced")},
        },
        indent=2,
    )


@command.command("readmit", short_help="Let draws flow again after lost commits.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@desk_options
def readmit(yes: bool, desk: Desk) -> None:
    """Say that every live proxy has presented its slices: draws flow again.

    Draws freeze when the database may have lost what it had acknowledged, as after a failover to
    a copy that was behind. Live proxies present what they hold when they connect again; those
    that are silent hold more than the database may know. Refused for the 30 seconds that they
    have for that, and while one that is live has not.

    Exit codes: 0 draws flow, 1 not confirmed or nothing runs, 2 wrong command line.
    """
    told = desk.ask(Describe(), Description)
    if not told.frozen:
        out().print("draws flow already")
        return
    holders = desk.ask(ListHolders(), HolderList).holders
    silent = [one for one in holders if one.state == "silent"]
    live = sum(one.state == "live" for one in holders)
    console = err()
    console.print(f"frozen since {amounts.instant(told.frozen_at)}: {told.frozen}", soft_wrap=True)
    console.print(f"{live} proxies are live and have presented what they hold", soft_wrap=True)
    for one in silent:
        ago = amounts.age((told.now_ms - one.seen_at) // 1000)
        said = f"{one.holder} is silent for {ago}: what it holds may be unknown here"
        console.print(said, style="yellow", soft_wrap=True)
    if not yes and not click.confirm("Let draws flow again?", err=True):
        raise Failure("draws stay frozen")
    desk.ask(ReadmitBy(who()), Done)
    out().print("draws flow again")


@command.command("refused", short_help="List records that the tables did not take.")
@click.option("--retry", is_flag=True, help="Offer them to the tables again.")
@click.option(
    "--limit", type=click.IntRange(1, 1_000), default=100, show_default=True, help="Most records."
)
@_output
@desk_options
def refused(retry: bool, limit: int, output: str | None, desk: Desk) -> None:
    """List records of runs that the tables did not take. What they spent is counted already.

    Exit codes: 0 none waits, 1 some do (or nothing runs), 2 wrong command line.
    """
    taken = 0
    if retry:
        taken = desk.ask(RetryRefused(who(), limit), Retried).taken
    listed = desk.ask(ListRefused(limit), RefusedList)
    if output == "json":
        items = [
            {"run_id": one.run_id, "holder": one.holder, "reason": one.reason, "bytes": one.size}
            for one in listed.records
        ]
        click.echo(
            json.dumps({"taken": taken, "waiting": listed.waiting, "items": items}, indent=2)
        )
    else:
        if retry:
            out().print(f"{taken:,} taken, {listed.waiting:,} still wait")
        _refused_table(listed)
    if listed.waiting:
        raise SystemExit(1)


def _refused_table(listed: RefusedList) -> None:
    if not listed.records:
        err().print("No records wait.")
        return
    headings = [Heading("RUN"), Heading("HOLDER", spare=1)]
    headings += [Heading("BYTES", number=True, spare=2), Heading("REASON", wraps=True)]
    rows = [[one.run_id, one.holder, f"{one.size:,}", one.reason] for one in listed.records]
    print_table(out(), headings, rows)


@command.command("rebuild-sums", short_help="Compute the sums of reports anew from the facts.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@desk_options
def rebuild_sums(yes: bool, desk: Desk) -> None:
    """Compute the sums by hour and day anew, for a ledger that was restored or edited.

    Until it is done, no proxy draws: they serve from the slices that they have.

    Exit codes: 0 done, 1 not confirmed or nothing runs, 2 wrong command line.
    """
    said = "Nobody draws until it is done, about a minute for ten million runs. Go on?"
    if not yes and not click.confirm(said, err=True):
        raise Failure("the sums stay as they are")
    done = desk.ask(RebuildSums(who()), Rebuilt)
    out().print(f"the sums are as the facts say: {done.rows:,} rows")
