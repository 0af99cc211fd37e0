"""What a command writes: tables and colours where a terminal is, plain aligned lines where not.

Scripts get lines that never wrap, are never cut and carry no colour. `NO_COLOR` is honoured.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

_GAP: Final = "   "

LEAST_ROOM: Final = 24
"""Columns that a cell needs to be wrapped in; with less it goes on a line of its own."""


@dataclass(frozen=True, slots=True)
class Heading:
    """A column. Cells of numbers stand at the right.

    Where a terminal is too narrow, columns with a `spare` go first, the highest before the others;
    then one that `wraps` takes several lines. 0: the column always stays.
    """

    title: str
    number: bool = False
    spare: int = 0
    wraps: bool = False


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
    if not console.is_terminal:
        for line in aligned(headings, rows):
            console.out(line, highlight=False)
        return
    shown = _fitting(headings, rows, console.width)
    titles = [headings[index] for index in shown]
    cells = [[row[index] for index in shown] for row in rows]
    hidden = [heading.title for heading in headings if heading not in titles]
    if _width(titles, cells) <= console.width or _room(titles, cells, console.width) >= LEAST_ROOM:
        console.print(_table(titles, cells))
    else:
        _print_stacked(console, titles, cells)
    if hidden:
        console.print(f"hidden, as the terminal is narrow: {', '.join(hidden)}", style="dim")


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


def _fitting(headings: Sequence[Heading], rows: Sequence[Sequence[Cell]], width: int) -> list[int]:
    """The columns that stay, by number."""
    shown = list(range(len(headings)))
    by_need = sorted(shown, key=lambda index: -headings[index].spare)
    for index in (each for each in by_need if headings[each].spare):
        titles = [headings[each] for each in shown]
        if _width(titles, [[row[each] for each in shown] for row in rows]) <= width:
            break
        shown.remove(index)
    return shown


def _width(headings: Sequence[Heading], rows: Sequence[Sequence[Cell]]) -> int:
    lines = aligned(headings, rows)
    return max(len(line) for line in lines)


def _room(headings: Sequence[Heading], rows: Sequence[Sequence[Cell]], width: int) -> int:
    """How wide the wrapping columns can be; 0 where there is none."""
    fixed = [index for index, heading in enumerate(headings) if not heading.wraps]
    if len(fixed) == len(headings):
        return 0
    taken = _width([headings[at] for at in fixed], [[row[at] for at in fixed] for row in rows])
    return width - taken - len(_GAP)


def _print_stacked(
    console: Console, headings: Sequence[Heading], rows: Sequence[Sequence[Cell]]
) -> None:
    """Each row on a line, what would have to wrap on a line of its own below."""
    fixed = [index for index, heading in enumerate(headings) if not heading.wraps]
    wrapping = [index for index, heading in enumerate(headings) if heading.wraps]
    lines = aligned([headings[at] for at in fixed], [[row[at] for at in fixed] for row in rows])
    details = [[plain(row[at]) for at in wrapping if plain(row[at])] for row in rows]
    for number, line in enumerate(lines):
        console.print(line, soft_wrap=True, markup=False, style="" if number else "bold")
        below = details[number - 1] if number else []
        for detail in below:
            console.print(Padding(Text(_breakable(detail), style="dim"), (0, 0, 0, 4)))


def _breakable(text: str) -> str:
    """Lists may be broken behind a comma."""
    return text if ", " in text else text.replace(",", ", ")


def _table(headings: Sequence[Heading], rows: Sequence[Sequence[Cell]]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, len(_GAP), 0, 0), header_style="bold")
    for heading in headings:
        table.add_column(
            heading.title,
            justify="right" if heading.number else "left",
            overflow="fold",
            no_wrap=not heading.wraps,
        )
    for row in rows:
        table.add_row(
            *(
                Text(_breakable(cell) if heading.wraps else cell) if isinstance(cell, str) else cell
                for heading, cell in zip(headings, row, strict=True)
            )
        )
    return table
