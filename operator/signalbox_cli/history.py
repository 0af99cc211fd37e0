"""`signalbox history`: the latest releases, what each changed, and which one serves."""

import json
from pathlib import Path
from typing import Any

import click

from signalbox_cli import amounts
from signalbox_cli.options import (
    cluster_option,
    fleet_option,
    platform_namespace_option,
    state_option,
)
from signalbox_cli.releases import ClusterReleases, FolderReleases, Releases
from signalbox_cli.terminal import Cell, Heading, out, print_table, styled
from signalbox_operator.head import Entry, Head

_VERSION = 12


@click.command("history", short_help="List releases and what each changed.")
@click.option("-o", "--output", type=click.Choice(["json"]), help="Another form than the table.")
@cluster_option
@platform_namespace_option
@fleet_option
@state_option
def command(
    output: str | None, cluster: bool, platform_namespace: str, fleet: str, state: Path
) -> None:
    """List the latest releases, newest first, with what each changed and for whom.

    "written by" is the field manager that wrote an object last: the name that a tool gives itself
    (kubectl, argocd-controller). It tells tools apart and proves nothing. For what was deleted
    nobody is known; the audit log of the API server knows.

    Exit codes: 0 shown, 1 nothing was released, 2 wrong command line.
    """
    head = releases(cluster, platform_namespace, fleet, state).head()
    if output == "json":
        click.echo(json.dumps(_document(head), indent=2))
        return
    rows = [_row(entry, head) for entry in head.history]
    headings = [Heading("GENERATION", number=True), Heading("RELEASED"), Heading("")]
    headings += [Heading("VERSION", spare=1), Heading("CHANGES", wraps=True)]
    print_table(out(), headings, rows)
    if head.pin is not None:
        until = amounts.instant(head.pin.until * 1000)
        by = f" by {head.pin.by}" if head.pin.by else ""
        out().print(f"Generation {head.pin.generation} is pinned until {until}{by}.")


def releases(cluster: bool, namespace: str, fleet: str, state: Path) -> Releases:
    """Where the releases are that the options speak of."""
    return ClusterReleases(namespace, fleet) if cluster or fleet else FolderReleases(state)


def _row(entry: Entry, head: Head) -> list[Cell]:
    mark: Cell = ""
    if entry.generation == head.generation:
        mark = styled("serves", "green")
    elif head.pin is not None and entry.generation == head.pin.generation:
        mark = styled("pinned", "yellow")
    return [
        str(entry.generation),
        amounts.instant(entry.at * 1000) if entry.at else "-",
        mark,
        entry.version[:_VERSION],
        _changes(entry),
    ]


def _changes(entry: Entry) -> str:
    back = [f"back to generation {entry.restores}"] if entry.restores else []
    return "\n".join((*back, *entry.changes)) or "nothing that a request would notice"


def _document(head: Head) -> dict[str, Any]:
    pin = head.pin
    return {
        "fleetId": head.fleet_id,
        "generation": head.generation,
        "pinned": None
        if pin is None
        else {
            "generation": pin.generation,
            "until": amounts.instant(pin.until * 1000),
            "by": pin.by,
        },
        "releases": [
            {
                "generation": entry.generation,
                "version": entry.version,
                "at": amounts.instant(entry.at * 1000) if entry.at else None,
                "restores": entry.restores or None,
                "changes": list(entry.changes),
            }
            for entry in head.history
        ],
    }
