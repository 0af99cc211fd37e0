"""`signalbox get -w`: the objects that are there, then each change as it happens.

The stream begins with the objects that exist, closes that part with a bookmark, and goes on with
changes, as the API server's watch does.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import click
from rich.text import Text

from signalbox_api.kinds import Kind
from signalbox_cli import printer
from signalbox_cli.terminal import Cell, out, plain
from signalbox_cli.up_client import UpClient


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which objects are asked for; None stands for any."""

    name: str | None
    namespace: str | None

    def includes(self, item: Mapping[str, Any]) -> bool:
        """Whether an object is asked for."""
        metadata = item["metadata"]
        return (
            self.name in (None, metadata["name"])
            and self.namespace in (None, metadata["namespace"])
        )  # fmt: skip


def follow(client: UpClient, kind: Kind, wanted: Wanted, output: str | None) -> None:
    """Shows changes until the running `up` ends or the user does."""
    lines = _Lines(kind, wide=output == "wide")
    for event in client.watch(kind.name):
        if event["type"] == "BOOKMARK":
            if output in (None, "wide"):
                lines.begin()
            continue
        item = event["object"]
        if not wanted.includes(item):
            continue
        if output in ("json", "yaml"):
            click.echo(("---\n" if output == "yaml" else "") + printer.document(item, output))
        elif output == "name":
            click.echo(printer.name_line(item))
        else:
            lines.add(item)


class _Lines:
    """Rows whose columns stay where the first ones put them."""

    def __init__(self, kind: Kind, *, wide: bool) -> None:
        self._kind = kind
        self._wide = wide
        self._console = out()
        self._rows: list[list[Cell]] = []
        self._widths: list[int] | None = None

    def begin(self) -> None:
        titles = printer.headings(self._kind, wide=self._wide)
        texts = [[plain(cell) for cell in row] for row in self._rows]
        columns = zip([title.title for title in titles], *texts, strict=True)
        self._widths = [max(len(text) for text in column) for column in columns]
        self._numbers = [title.number for title in titles]
        self._write([Text(title.title, style="bold") for title in titles])
        for row in self._rows:
            self._write(row)

    def add(self, item: Mapping[str, Any]) -> None:
        row = printer.row(self._kind, item, wide=self._wide, now=printer.now())
        if self._widths is None:
            self._rows.append(row)
        else:
            self._write(row)

    def _write(self, row: Sequence[Cell]) -> None:
        line = Text()
        for cell, width, number in zip(row, self._widths or (), self._numbers, strict=True):
            text = cell if isinstance(cell, Text) else Text(cell)
            blank = " " * (width - len(text))
            line += Text.assemble(blank, text) if number else Text.assemble(text, blank)
            line += "   "
        line.rstrip()
        self._console.print(line, soft_wrap=True)
