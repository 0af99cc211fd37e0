"""`signalbox proxies`: who holds slices of budgets, and giving up a machine that is gone.

A holder is one incarnation of a proxy. What a silent one holds is never released by time: it may
still be spending. A person who knows that the machine is gone says so here.
"""

import json
from typing import Any, Final

import click
from click.core import ParameterSource

from signalbox_cli import amounts
from signalbox_cli.desk_client import Desk, desk_options, who
from signalbox_cli.failure import Failure
from signalbox_cli.terminal import Cell, Heading, err, out, print_table, styled
from signalbox_ledger.desk_protocol import HolderList, HolderStatus, ListHolders, PostLossFor
from signalbox_ledger.documents import timestamp_text
from signalbox_ledger.money import format_usd
from signalbox_ledger.protocol import Lost

_STYLES: Final = {"live": "green", "silent": "yellow", "fenced": "dim"}


@click.group("proxies", invoke_without_command=True, short_help="Show who holds slices of budgets.")
@click.option("-a", "--all", "everybody", is_flag=True, help="Fenced ones that hold nothing, too.")
@click.option("-o", "--output", type=click.Choice(["json"]), help="Another form than the table.")
@desk_options
@click.pass_context
def command(ctx: click.Context, everybody: bool, output: str | None, desk: Desk) -> None:
    """Show the proxies that hold slices of budgets, by the ledger's database.

    live: connected within the last half minute. silent: not heard of since; what it holds stays
    its own until its journal is settled, or somebody says that it is lost. fenced: taken to be
    gone, and refused.

    Exit codes: 0 shown, 1 nothing runs, 2 wrong command line.
    """
    ctx.obj = desk
    if ctx.invoked_subcommand is not None:
        return
    listed = desk.ask(ListHolders(), HolderList)
    shown = [one for one in listed.holders if everybody or one.state != "fenced" or one.slices]
    if output == "json":
        items = [_document(one) for one in shown]
        click.echo(json.dumps({"items": items}, indent=2))
    elif not shown:
        err().print("No proxies found.")
    else:
        _table(shown, listed.now_ms)


@command.command("lost", short_help="Give up a machine: post what it holds in full.")
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask.")
@desk_options
@click.pass_context
def lost(ctx: click.Context, name: str, yes: bool, desk: Desk) -> None:
    """Say that the machine of proxy NAME (or the holder of that id) is gone with its journal.

    Everything that it holds is charged in full, as `slice_loss`, and it is refused from now on,
    should it come back. Who said so is kept. Where its journal still exists, start the proxy
    there instead: then only what it really spent is charged.

    Exit codes: 0 posted, 1 no such proxy, it is live, or not confirmed; 2 wrong command line.
    """
    named = {ctx.get_parameter_source(name) for name in ("state", "socket")}
    if ParameterSource.COMMANDLINE not in named:
        desk = ctx.obj  # where it is may stand before `lost`, too
    listed = desk.ask(ListHolders(), HolderList)
    meant = [one for one in listed.holders if name in (one.name, one.holder)]
    if not meant:
        raise Failure(f'proxy "{name}" not found; `signalbox proxies --all` lists them')
    live = [one for one in meant if one.state == "live"]
    gone = [one for one in meant if one.state == "silent"]
    if live and not gone:
        seen = amounts.age((listed.now_ms - live[0].seen_at) // 1000)
        raise Failure(f"{live[0].holder} is live: it was heard of {seen} ago; stop it first")
    if not gone:
        raise Failure(f"{name} is fenced already, and holds nothing")
    _table(gone, listed.now_ms)
    if not yes:
        said = "Charge what is held in full, and refuse these holders from now on?"
        if not click.confirm(said, err=True):
            raise Failure("nothing was posted")
    by = who()
    for holder, posted in zip(
        gone, desk.ask_all([PostLossFor(one.holder, by) for one in gone], Lost), strict=True
    ):
        told = _held(posted.amounts) or "nothing"
        out().print(f"{holder.holder}: {told} posted as lost (slices: {posted.slices}); fenced")


def _table(holders: list[HolderStatus], now_ms: int) -> None:
    headings = [Heading("NAME"), Heading("STATE"), Heading("SEEN")]
    headings += [Heading("SLICES", number=True), Heading("HELD")]
    headings += [Heading("JOURNAL", number=True, spare=2), Heading("AGE", spare=1)]
    headings += [Heading("HOLDER", spare=3)]
    print_table(out(), headings, [_row(one, now_ms) for one in holders])


def _row(one: HolderStatus, now_ms: int) -> list[Cell]:
    seen = "-" if not one.seen_at else amounts.age((now_ms - one.seen_at) // 1000)
    return [
        one.name,
        styled(one.state, _STYLES[one.state]),
        seen,
        f"{one.slices:,}",
        _held(one.held) or "-",
        f"{one.offset:,}",
        amounts.age((now_ms - one.opened_at) // 1000),
        one.holder,
    ]


def _held(units: dict[str, int]) -> str:
    """Amounts by unit; money first."""
    ordered = sorted(units.items(), key=lambda each: (each[0] != "usd", each[0]))
    return ", ".join(amounts.amount(value, unit) for unit, value in ordered)


def _document(one: HolderStatus) -> dict[str, Any]:
    return {
        "name": one.name,
        "holder": one.holder,
        "state": one.state,
        "seen_at": timestamp_text(one.seen_at) if one.seen_at else None,
        "opened_at": timestamp_text(one.opened_at),
        "journal_settled": one.offset,
        "slices": one.slices,
        "held": {
            unit: format_usd(value) if unit == "usd" else str(value)
            for unit, value in sorted(one.held.items())
        },
    }
