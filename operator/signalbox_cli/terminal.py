"""What a command writes: tables and colours where a terminal is, plain aligned lines where not.

Scripts get lines that never wrap, are never cut and carry no colour. `NO_COLOR` is honoured.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

_GAP: Final = "   "


@dataclass(frozen=True, slots=True)
class Heading:
    """A column: its title, and whether its cells are numbers, which stand at the right."""

    title: str
    number: bool = False


Cell = str | Text


def out() -> Console:
    """The console of standard output."""
    return Console(highlight=False, emoji=False)


def err() -> Console:
    """The console of standard error: progress and warnings."""
    return Console(stderr=True, highlight=False, emoji=False)


def plain(cell: Cell) -> str:
    """The text of a cell without its style."""
    return cell if isinstance(cell, str) else cell.plain


def styled(text: str, style: str) -> Text:
    """A cell in a style of rich, such as `red` or `bold`."""
    return Text(text, style=style)


def print_table(
    console: Console, headings: Sequence[Heading], rows: Sequence[Sequence[Cell]]
) -> None:
    """Writes rows under their headings, fitted to the terminal or, in a pipe, as aligned lines."""
    if console.is_terminal:
        console.print(_fitted(headings, rows))
        return
    for line in aligned(headings, rows):
        console.out(line, highlight=False)


def aligned(
    headings: Sequence[Heading], rows: Sequence[Sequence[Cell]], *, header: bool = True
) -> list[str]:
    """The rows as lines of equal columns, without trailing blanks."""
    texts = [[plain(cell) for cell in row] for row in rows]
    titles = [heading.title for heading in headings]
    widths = [max(len(row[index]) for row in [titles, *texts]) for index in range(len(titles))]
    numbers = [heading.number for heading in headings]
    return [
        _GAP.join(
            text.rjust(width) if number else text.ljust(width)
            for text, width, number in zip(row, widths, numbers, strict=True)
        ).rstrip()
        for row in ([titles, *texts] if header else texts)
    ]


def _fitted(headings: Sequence[Heading], rows: Sequence[Sequence[Cell]]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for heading in headings:
        table.add_column(
            heading.title, justify="right" if heading.number else "left", overflow="fold"
        )
    for row in rows:
        table.add_row(*(Text(cell) if isinstance(cell, str) else cell for cell in row))
    return table
