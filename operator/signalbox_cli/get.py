"""`signalbox get`: objects with their status, as kubectl would show them.

Objects and status come from the running `up`. Without `-n` all namespaces are shown: one machine
has no current namespace.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from signalbox_api.kinds import KINDS, Kind
from signalbox_cli import printer
from signalbox_cli.desk_client import warn
from signalbox_cli.failure import Failure
from signalbox_cli.options import state_option
from signalbox_cli.printer import document, name_line
from signalbox_cli.terminal import Heading, err, out, print_table
from signalbox_cli.up_client import UpClient
from signalbox_cli.watching import Wanted, follow

_ALL = ("all", "signalbox")


@click.command("get", short_help="Show objects with their status.")
@click.argument("kind")
@click.argument("name", required=False)
@click.option("-n", "--namespace", help="Only this namespace.")
@click.option("-A", "--all-namespaces", is_flag=True, help="All namespaces (the default).")
@click.option(
    "-o",
    "--output",
    type=click.Choice(["json", "yaml", "wide", "name"]),
    help="Another form than the table.",
)
@click.option("-w", "--watch", is_flag=True, help="Show changes as they happen.")
@state_option
def command(
    kind: str,
    name: str | None,
    namespace: str | None,
    all_namespaces: bool,
    output: str | None,
    watch: bool,
    state: Path,
) -> None:
    """Show objects of a KIND with their status: all, or the one called NAME.

    KIND is a plural, singular or short name (budgets, budget, bud), or `all`. NAME may be
    NAMESPACE/NAME; KIND/NAME works too.

    Exit codes: 0 shown, 1 not found or nothing runs, 2 wrong command line.
    """
    if "/" in kind and name is None:
        kind, _, name = kind.partition("/")
    if name is not None and "/" in name:
        namespace, _, name = name.partition("/")
    namespace = None if all_namespaces else namespace
    kinds = list(KINDS.values()) if kind in _ALL and name is None else [_kind(kind)]
    wanted = Wanted(name, namespace)
    client = UpClient(state)
    if watch:
        if len(kinds) > 1:
            raise click.UsageError("-w watches one kind, not all")
        follow(client, kinds[0], wanted, output)
        return
    items = [
        item
        for item in client.objects()
        if item["kind"] in {each.name for each in kinds} and wanted.includes(item)
    ]
    if name is not None and not items:
        raise Failure(
            f'Error from server (NotFound): {kinds[0].plural}.signalbox.dev "{name}" not found',
            prefix="",
        )
    _show(kinds, items, output, single=name is not None and len(items) == 1, namespace=namespace)
    warn(state)


def _kind(word: str) -> Kind:
    kind = printer.find_kind(word)
    if kind is None:
        known = ", ".join(each.plural for each in KINDS.values())
        raise Failure(
            f'error: the server doesn\'t have a resource type "{word}"; there are {known}',
            prefix="",
        )
    return kind


def _show(
    kinds: Sequence[Kind],
    items: list[dict[str, Any]],
    output: str | None,
    *,
    single: bool,
    namespace: str | None,
) -> None:
    if output in ("json", "yaml"):
        listed = {"apiVersion": "v1", "kind": "List", "metadata": {}, "items": items}
        click.echo(document(items[0] if single else listed, output), nl=False)
    elif not items:
        where = f" in {namespace} namespace" if namespace else ""
        err().print(f"No resources found{where}.")
    elif output == "name":
        for item in items:
            click.echo(name_line(item))
    else:
        _tables(kinds, items, wide=output == "wide")


def _tables(kinds: Sequence[Kind], items: list[dict[str, Any]], *, wide: bool) -> None:
    console, now, first = out(), printer.now(), True
    for kind in kinds:
        listed = [item for item in items if item["kind"] == kind.name]
        if not listed:
            continue
        rows = [printer.row(kind, item, wide=wide, now=now) for item in listed]
        titles = printer.headings(kind, listed, wide=wide)
        if len(kinds) > 1:
            if not first:
                console.print()
            titles[1] = Heading(kind.name.upper())
        print_table(console, titles, rows)
        first = False
