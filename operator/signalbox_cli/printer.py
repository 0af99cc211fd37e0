"""Objects as tables: the CRDs' own printer columns, read from the kinds, never written twice.

A column's path is the JSONPath subset that printer columns use: `.a.b.c`, and
`[?(@.type=='X')]` to pick from a list.
"""

import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import yaml

from signalbox_api.kinds import KINDS, Column, Kind
from signalbox_cli import amounts
from signalbox_cli.terminal import Cell, Heading, styled

NONE: Final = "<none>"

_STEP: Final = re.compile(
    r"\.(?P<field>\w+)|\[\?\(@\.(?P<by>\w+)(?P<sign>[=!])='(?P<value>[^']*)'\)\]"
)
_SPARE: Final = {
    "Age": 9,
    "Reason": 8,
    "Programmed": 7,
    "Accepted": 6,
    "Enforcement": 5,
    "Resets": 4,
    "Unit": 3,
    "Context": 2,
    "Objective": 1,
}
"""What a narrow terminal can do without. Conditions are not spared where one is not as wished."""

_WRAPS: Final = frozenset({"Candidates", "Budgets", "Capabilities"})

_GOOD: Final = {
    "Accepted": "True",
    "Programmed": "True",
    "Exhausted": "False",
    "Conflicted": "False",
}


def find_kind(name: str) -> Kind | None:
    """The kind that a word names: kind, plural, singular or short name, in any case."""
    wanted = name.lower().removesuffix(".signalbox.dev")
    for kind in KINDS.values():
        if wanted in {kind.name.lower(), kind.plural, kind.short}:
            return kind
    return None


def columns(kind: Kind, *, wide: bool) -> list[Column]:
    """The columns of `kubectl get`, with those of `-o wide` when asked for."""
    return [column for column in kind.columns if wide or not column.wide]


def headings(
    kind: Kind, items: Sequence[Mapping[str, Any]] = (), *, wide: bool = False
) -> list[Heading]:
    """Titles of namespace, name and the kind's columns."""
    return [
        Heading("NAMESPACE"),
        Heading("NAME"),
        *(
            Heading(
                column.title.upper(),
                number=column.kind == "integer",
                spare=_spare(column, items),
                wraps=column.title in _WRAPS,
            )
            for column in columns(kind, wide=wide)
        ),
    ]


def row(kind: Kind, item: Mapping[str, Any], *, wide: bool, now: datetime) -> list[Cell]:
    """The cells of one object under `headings`."""
    metadata = item["metadata"]
    cells: list[Cell] = [metadata.get("namespace", ""), metadata["name"]]
    return cells + [_cell(column, item, now) for column in columns(kind, wide=wide)]


def value_at(item: object, path: str) -> object:
    """What a path leads to, None where it leads nowhere. Raises ValueError for other syntax."""
    position = 0
    for step in _STEP.finditer(path):
        if step.start() != position:
            break
        position = step.end()
        if step["field"]:
            item = item.get(step["field"]) if isinstance(item, Mapping) else None
        else:
            item = _picked(item, step)
    if position != len(path):
        raise ValueError(f"{path!r} is not a path that printer columns use")
    return item


def _spare(column: Column, items: Sequence[Mapping[str, Any]]) -> int:
    good = _GOOD.get(column.title)
    if good is not None and any(value_at(item, column.path) != good for item in items):
        return 0
    return _SPARE.get(column.title, 0)


def _picked(items: object, step: re.Match[str]) -> object:
    """The first that fits: as kubectl shows one of several."""
    if not isinstance(items, Sequence):
        return None
    wanted = step["sign"] == "="
    fits = (each for each in items if (each.get(step["by"]) == step["value"]) is wanted)
    return next(fits, None)


def _cell(column: Column, item: Mapping[str, Any], now: datetime) -> Cell:
    found = value_at(item, column.path)
    if found is None or found == []:
        return NONE
    if column.kind == "date":
        return amounts.age(int((now - datetime.fromisoformat(str(found))).total_seconds()))
    if isinstance(found, list | tuple):
        return ",".join(str(each) for each in found)
    text = str(found)
    good = _GOOD.get(column.title)
    if good is None:
        return text
    return styled(text, "green" if text == good else "yellow" if text == "Unknown" else "red")


def now() -> datetime:
    """This machine's clock, for ages."""
    return datetime.now(tz=UTC)


def document(content: Mapping[str, Any], form: str) -> str:
    """An object or list as `json` (as kubectl indents it) or `yaml`."""
    if form == "json":
        return json.dumps(content, indent=4, ensure_ascii=False) + "\n"
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True)


def name_line(item: Mapping[str, Any]) -> str:
    """The object as `-o name` writes it: `budget.signalbox.dev/company-day`."""
    return f"{item['kind'].lower()}.signalbox.dev/{item['metadata']['name']}"
