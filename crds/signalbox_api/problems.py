"""What is wrong with a manifest, in sentences that name the field, the value and the fix.

Turns pydantic's errors into what the person who wrote the YAML needs to read. Values below
`credentials` and `auth` are never quoted: somebody may have pasted a key there.
"""

import difflib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from signalbox_api.conditions import Reason
from signalbox_api.crd_schema import structural
from signalbox_api.kinds import KINDS
from signalbox_api.pattern_hints import PATTERN_HINTS
from signalbox_api.yaml_document import Path
from signalbox_api.yaml_scalars import WrittenFloat

_SECRET_PARTS: Final = frozenset({"credentials", "auth"})
_SHOWN: Final = 80


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with one object. `line` counts from 1, 0 where there is no file."""

    file: str
    line: int
    kind: str
    namespace: str
    name: str
    path: str
    message: str
    fix: str
    reason: Reason = Reason.INVALID

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}: " if self.file else ""
        owner = f"{self.kind} {self.namespace}/{self.name}: " if self.kind else ""
        field = f"{self.path}: " if self.path else ""
        return f"{place}{owner}{field}{self.message}; {self.fix}"


@dataclass(frozen=True, slots=True)
class Sentence:
    """Message and fix for one place in an object."""

    path: Path
    message: str
    fix: str


def spelt(path: Path) -> str:
    """A path as people write it: `spec.lanes[0].endpoint`."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text


def sentences(kind: str, error: ValidationError) -> Iterator[Sentence]:
    """Every error of a validation as message and fix."""
    for detail in error.errors(include_url=False):
        if detail["type"] == "too_short" and detail["input"]:
            continue  # pydantic counts valid items only; the invalid ones are reported themselves
        yield _sentence(kind, detail)


def closest(word: str, choices: Sequence[str]) -> str | None:
    """The choice that was probably meant."""
    folded = {choice.lower().replace("_", ""): choice for choice in choices}
    found = difflib.get_close_matches(word.lower().replace("_", ""), folded, n=1, cutoff=0.7)
    return folded[found[0]] if found else None


def _sentence(kind: str, detail: ErrorDetails) -> Sentence:
    path = tuple(step for step in detail["loc"] if step != "[key]")
    schema = _schema_at(kind, path)
    value, context = detail["input"], detail.get("ctx", {})
    shown = "the value" if _SECRET_PARTS & set(path) else _shown(value)
    match detail["type"]:
        case "value_error":
            return _own(path, str(context["error"]))
        case "missing":
            return Sentence(path, "is missing", _described("add it", schema))
        case "extra_forbidden":
            return _unknown_field(path, _schema_at(kind, path[:-1]))
        case "enum" | "literal_error":
            return _not_a_choice(path, value, shown, schema)
        case "string_pattern_mismatch":
            hint = PATTERN_HINTS.get(context["pattern"], f"match {context['pattern']}")
            return Sentence(path, f"{shown} does not fit", hint)
        case "string_type":
            return _not_text(path, value, shown)
        case other if other.endswith("_type") or other == "int_from_float":
            return _wrong_type(path, detail, shown, schema)
        case _:
            return _bounded(path, detail, shown)


def _own(path: Path, text: str) -> Sentence:
    """A rule of ours: what is wrong, then after a semicolon what to do."""
    message, _, fix = text.partition("; ")
    if message.startswith("metadata.name "):
        path, message = ("metadata", "name"), message.removeprefix("metadata.name ")
    return Sentence(path, message, fix)


def _unknown_field(path: Path, schema: Mapping[str, Any]) -> Sentence:
    known = sorted(schema.get("properties", {}))
    meant = closest(str(path[-1]), known)
    listed = ", ".join(known) or "none"
    fix = f"write {meant}" if meant else f"remove it; known here: {listed}"
    return Sentence(path, "is not a known field", fix)


def _not_a_choice(path: Path, value: object, shown: str, schema: Mapping[str, Any]) -> Sentence:
    choices = [json.dumps(choice).strip('"') for choice in schema.get("enum", ())]
    meant = closest(value, choices) if isinstance(value, str) else None
    fix = f"write {meant}" if meant else f"write one of {', '.join(choices)}"
    return Sentence(path, f"{shown} is not known here", fix)


def _not_text(path: Path, value: object, shown: str) -> Sentence:
    if isinstance(value, WrittenFloat):
        return Sentence(path, f"{value.text} is a number", f'write it as text: "{value.text}"')
    if isinstance(value, bool | int | float):
        text = json.dumps(value)
        what = "true or false" if isinstance(value, bool) else "a number"
        return Sentence(path, f"{text} is {what}", f'write it as text: "{text}"')
    return Sentence(path, f"{shown} is not text", "write one word or a text in quotes")


def _wrong_type(
    path: Path, detail: ErrorDetails, shown: str, schema: Mapping[str, Any]
) -> Sentence:
    match detail["type"]:
        case "int_type" | "int_from_float":
            fix = _whole_number(detail["input"])
            return Sentence(path, f"{shown} is not a whole number", fix)
        case "bool_type":
            return Sentence(path, f"{shown} is neither true nor false", "write true or false")
        case "tuple_type":
            return Sentence(path, f"{shown} is not a list", "write a list, such as [a, b]")
        case _:
            return Sentence(path, f"{shown} is not a map of fields", _fields(schema))


def _whole_number(value: object) -> str:
    if isinstance(value, str) and value.isascii() and value.isdecimal():
        return f"write {value} without quotes"
    return "write digits without quotes"


def _bounded(path: Path, detail: ErrorDetails, shown: str) -> Sentence:
    context = detail.get("ctx", {})
    match detail["type"]:
        case "greater_than_equal":
            return Sentence(path, f"{shown} is too low", f"write at least {context['ge']}")
        case "less_than_equal":
            return Sentence(path, f"{shown} is too high", f"write at most {context['le']}")
        case "string_too_long":
            return Sentence(path, "is too long", f"at most {context['max_length']} characters")
        case "string_too_short":
            return Sentence(path, "is too short", f"at least {context['min_length']} characters")
        case "too_long":
            return Sentence(path, "has too many items", f"at most {context['max_length']}")
        case "too_short":
            return Sentence(path, "is empty", "add an item, or remove the field to allow all")
        case _:
            return Sentence(path, detail["msg"], "correct it")


def _described(fix: str, schema: Mapping[str, Any]) -> str:
    description = schema.get("description")
    return f"{fix} ({description.rstrip('.')})" if description else fix


def _fields(schema: Mapping[str, Any]) -> str:
    known = ", ".join(sorted(schema.get("properties", {})))
    return f"write fields below it: {known}" if known else "write fields below it"


def _shown(value: object) -> str:
    if isinstance(value, WrittenFloat):
        return value.text
    if isinstance(value, dict | BaseModel):
        return "a map"
    if isinstance(value, list | tuple):
        return "a list"
    if value is None:
        return "nothing"
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


@cache
def _spec_schema(kind: str) -> dict[str, Any]:
    return structural(KINDS[kind].spec, defaults=True)


def _schema_at(kind: str, path: Path) -> Mapping[str, Any]:
    """The schema of the field at a path below `spec`; empty where there is none."""
    if path[:1] != ("spec",):
        return {}
    here: Mapping[str, Any] = _spec_schema(kind)
    for step in path[1:]:
        if isinstance(step, int):
            here = here.get("items", {})
        else:
            here = here.get("properties", {}).get(step) or here.get("additionalProperties", {})
    return here
