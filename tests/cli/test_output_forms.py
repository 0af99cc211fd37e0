"""Tables for people, lines for programs, columns from one source."""

import io
from datetime import UTC, datetime

import pytest
import yaml
from rich.console import Console

from signalbox_api.jurisdictions import GROUPS
from signalbox_api.kinds import KINDS
from signalbox_cli import amounts, printer
from signalbox_cli.main import main
from signalbox_cli.terminal import Heading, print_table
from support.running import ROOT

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
BUDGET = {
    "kind": "Budget",
    "metadata": {"name": "day", "namespace": "shop", "creationTimestamp": "2026-11-21T11:00:00Z"},
    "spec": {"window": {"every": "day"}, "scope": {"all": True}},
    "status": {
        "limit": "5.00",
        "percent": 40,
        "conditions": [{"type": "Exhausted", "status": "False"}],
    },
}


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_columns_are_those_of_the_custom_resource_definition(kind: str) -> None:
    path = next((ROOT / "crds").glob(f"*{KINDS[kind].plural}*.yaml"))
    (version,) = yaml.safe_load(path.read_text())["spec"]["versions"]
    written = [column["name"].upper() for column in version["additionalPrinterColumns"]]
    shown = [heading.title for heading in printer.headings(KINDS[kind], wide=True)]
    assert shown == ["NAMESPACE", "NAME", *written]


@pytest.mark.parametrize("word", ["budget", "Budgets", "BUD", "budgets.signalbox.dev", "bud"])
def test_a_kind_may_be_named_as_kubectl_allows(word: str) -> None:
    assert printer.find_kind(word) is KINDS["Budget"]


def test_every_path_of_a_column_can_be_read() -> None:
    for kind in KINDS.values():
        for column in printer.columns(kind, wide=True):
            printer.value_at({}, column.path)
    with pytest.raises(ValueError, match="is not a path"):
        printer.value_at({}, ".spec[*].name")


def test_cells_show_values_ages_and_what_is_missing() -> None:
    titles = [heading.title for heading in printer.headings(KINDS["Budget"], wide=False)]
    cells = [str(cell) for cell in printer.row(KINDS["Budget"], BUDGET, wide=False, now=NOW)]
    shown = dict(zip(titles, cells, strict=True))
    assert shown["LIMIT"] == "5.00"
    assert shown["USED%"] == "40"
    assert shown["EXHAUSTED"] == "False"
    assert shown["SPENT"] == printer.NONE
    assert shown["AGE"] == "60m"


@pytest.mark.parametrize(
    ("accepted", "programmed", "reason", "message"),
    [
        ("True", "True", "WithinLimit", "Spent: little."),
        ("True", "False", "Pinned", "Generation 3 serves."),
        ("True", "Unknown", "Pinned", "Generation 3 serves."),
        ("False", "False", "Invalid", "spec.limit: wrong."),
    ],
)
def test_reason_and_message_are_those_of_what_is_not_well(
    accepted: str, programmed: str, reason: str, message: str
) -> None:
    found = (
        ("Accepted", accepted, "Invalid", "spec.limit: wrong."),
        ("Programmed", programmed, "Pinned", "Generation 3 serves."),
        ("Exhausted", "False", "WithinLimit", "Spent: little."),
    )
    names = ("type", "status", "reason", "message")
    status = {"conditions": [dict(zip(names, each, strict=True)) for each in found]}
    item = BUDGET | {"status": status}
    titles = [heading.title for heading in printer.headings(KINDS["Budget"], wide=True)]
    cells = [str(cell) for cell in printer.row(KINDS["Budget"], item, wide=True, now=NOW)]
    shown = dict(zip(titles, cells, strict=True))
    assert (shown["REASON"], shown["MESSAGE"]) == (reason, message)
    assert shown["NOTE"] == "spec.limit: wrong."


def test_a_pipe_gets_aligned_lines_without_colour_that_never_wrap() -> None:
    text = io.StringIO()
    console = Console(file=text, width=20)
    long = "a-name-that-is-longer-than-the-terminal-is-wide"
    print_table(
        console, [Heading("NAME"), Heading("COUNT", number=True)], [[long, "7"], ["b", "12"]]
    )
    assert text.getvalue().splitlines() == [
        f"NAME{' ' * 46}COUNT",
        f"{long}       7",
        f"b{' ' * 49}   12",
    ]


def shown_in(width: int, headings: list[Heading], rows: list[list[str]]) -> str:
    text = io.StringIO()
    console = Console(file=text, width=width, force_terminal=True, color_system=None)
    print_table(console, headings, rows)
    return text.getvalue()


def test_a_narrow_terminal_does_without_spare_columns_and_says_so() -> None:
    headings = [Heading("NAME"), Heading("ROOM", spare=1), Heading("AGE", spare=2)]
    row = ["n" * 10, "r" * 10, "a" * 10]
    assert "hidden" not in shown_in(40, headings, [row])
    narrower = shown_in(30, headings, [row])
    assert "hidden, as the terminal is" in narrower
    assert "r" * 10 in narrower
    assert "a" * 10 not in narrower


def test_a_long_reason_wraps_in_its_column_or_stands_below_its_row() -> None:
    headings = [Heading("NAME"), Heading("WHY", wraps=True)]
    rows = [["n" * 10, "because of many words " * 4]]
    for width in (40, 30):
        lines = shown_in(width, headings, rows).splitlines()
        assert max(len(line.rstrip()) for line in lines) <= width
    assert lines[1].rstrip() == "n" * 10
    assert lines[2].startswith("    because of many words")


@pytest.mark.parametrize(
    ("nano", "short", "full"),
    [
        (0, "$0.00", "$0.000000"),
        (1, "$0.000001", "$0.000001"),
        (20_000_000, "$0.02", "$0.020000"),
        (1_234_567_891_000, "$1,234.567891", "$1,234.567891"),
        (-1_500_000, "-$0.0015", "-$0.001500"),
    ],
)
def test_money_is_never_shown_as_less_than_it_is(nano: int, short: str, full: str) -> None:
    assert (amounts.usd(nano), amounts.cost(nano)) == (short, full)


def test_places_are_named_by_group() -> None:
    assert amounts.places(GROUPS["EU"]) == "EU"
    assert amounts.places({*GROUPS["EU"], "CH"}) == "EU, CH"
    assert amounts.places(()) == "nowhere"


@pytest.mark.parametrize(
    "words",
    [(), ("up",), ("check",), ("get",), ("explain",), ("key",), ("key", "new"), ("key", "adopt"),
     ("runs",), ("report",), ("report", "spend")],
)  # fmt: skip
def test_help_tells_the_exit_codes(words: tuple[str, ...], command) -> None:
    result = command(*words, "--help")
    assert result.exit_code == 0
    if words not in (("key",), ("report",)):
        assert "Exit codes:" in result.output
    assert main.name
