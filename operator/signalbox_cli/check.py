"""`signalbox check`: what `up` or the operator would say to manifests, for people and for CI."""

import dataclasses
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import click
from rich.console import Console
from rich.text import Text

from signalbox_cli.manifest_folder import Remark, compiled, read, remarks
from signalbox_cli.options import manifests_argument, platform_namespace_option
from signalbox_cli.terminal import out

STYLES: Final = {"error": "bold red", "warning": "yellow", "info": "cyan"}


@click.command("check", short_help="Validate and compile manifests.")
@manifests_argument
@click.option("--strict", is_flag=True, help="Warnings fail too.")
@click.option(
    "--syntax", is_flag=True, help="Each object by itself only; what it names may be missing."
)
@click.option("-v", "--verbose", is_flag=True, help="Show notes that need no action, too.")
@click.option("-o", "--output", type=click.Choice(["json"]), help="Another form than lines.")
@platform_namespace_option
def command(
    manifests: Path,
    strict: bool,
    syntax: bool,
    verbose: bool,
    output: str | None,
    platform_namespace: str,
) -> None:
    """Validate and compile the manifests in DIR (or one file) as a running Signalbox would.

    Each finding names file, object, field, reason and fix. Objects of other API groups are left
    alone.

    Exit codes: 0 nothing wrong, 1 errors (with --strict warnings too), 2 wrong command line.
    """
    loaded = read(manifests)
    if syntax:
        found = remarks(loaded)
    else:
        whole = compiled(loaded, loaded.resources, platform_namespace=platform_namespace)
        found = whole.remarks
    objects = len(loaded.found)
    files = len({each.file for each in loaded.found} | {each.file for each in loaded.problems})
    errors = sum(each.severity == "error" for each in found)
    warnings = sum(each.severity == "warning" for each in found)
    if output == "json":
        summary = {"objects": objects, "errors": errors, "warnings": warnings}
        findings = [dataclasses.asdict(each) for each in found]
        click.echo(json.dumps(summary | {"findings": findings}, indent=2, ensure_ascii=False))
    else:
        console = out()
        print_remarks(console, [each for each in found if verbose or each.severity != "info"])
        style = STYLES["error"] if errors else STYLES["warning"] if warnings else "green"
        counted = f"{_many(errors, 'error')}, {_many(warnings, 'warning')}"
        console.print(
            f"{_many(objects, 'valid object')} in {_many(files, 'file')}: {counted}", style=style
        )
    if not objects and not errors and not output:
        click.echo(f"No objects of signalbox.dev found in {manifests}.", err=True)
    if errors or (strict and warnings):
        raise SystemExit(1)


def print_remarks(console: Console, found: Iterable[Remark]) -> None:
    """Writes findings: in a pipe one line each, as compilers do; on a terminal easier to read."""
    for each in found:
        style = STYLES[each.severity]
        if console.is_terminal:
            console.print(
                Text.assemble((each.severity, style), "  ", (each.owner, "bold"), "  ", each.field)
            )
            console.print(f"  {each.message}; {each.fix}", markup=False)
            console.print(Text(f"  {each.place}  {each.reason}\n", style="dim"))
        else:
            place = f"{each.place}: " if each.place else ""
            owner = f"{each.owner}: " if each.owner else ""
            console.out(
                f"{place}{each.severity}: {owner}{each.sentence} [{each.reason}]", highlight=False
            )


def _many(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
