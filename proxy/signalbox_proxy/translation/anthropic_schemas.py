"""What Anthropic's structured outputs demand of a schema, so that none is sent which is refused.

Source: https://platform.claude.com/docs/en/build-with-claude/structured-outputs, "JSON Schema
limitations".
"""

from collections.abc import Iterator
from typing import Any, Final

MAX_PARTS: Final = 10_000
"""Parts of one schema that are looked at; the decoder admits no more members than that."""

_BY_NAME: Final = ("properties", "$defs", "definitions")
_IN_LISTS: Final = ("anyOf", "allOf", "prefixItems")
_NOT_HELD: Final = (
    *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
    *("minLength", "maxLength", "maxItems", "uniqueItems", "contains"),
    *("minProperties", "maxProperties", "patternProperties", "propertyNames"),
    *("oneOf", "not", "if", "dependentSchemas", "dependentRequired"),
)

_FARTHEST: Final = 2**53 - 1
"""Integers beyond it are none that JSON's readers agree on (RFC 8259, section 6)."""


def without_idle_bounds(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema without bounds of integers that bound nothing, as some libraries write them.

    A minimum of -(2^53 - 1), or a maximum of 2^53 - 1, holds for every integer of JSON.
    """
    idle = schema.get("type") == "integer"
    return {
        key: _kept(key, value)
        for key, value in schema.items()
        if not (
            idle
            and isinstance(value, int)
            and (
                (key == "minimum" and value <= -_FARTHEST)
                or (key == "maximum" and value >= _FARTHEST)
            )
        )
    }


def _kept(key: str, value: Any) -> Any:
    if key in _BY_NAME and isinstance(value, dict):
        return {name: _within(part) for name, part in value.items()}
    if key in _IN_LISTS and isinstance(value, list):
        return [_within(part) for part in value]
    return _within(value) if key == "items" else value


def _within(part: Any) -> Any:
    return without_idle_bounds(part) if isinstance(part, dict) else part


def find_unheld(schema: dict[str, Any], who: str = "Anthropic") -> str:
    """Why Anthropic, or who else has its limits, cannot hold a model to a schema, or ""."""
    waiting: list[Any] = [schema]
    seen = 0
    while waiting:
        part = waiting.pop()
        seen += 1
        if seen > MAX_PARTS:
            return "it is too large to be checked"
        if not isinstance(part, dict):
            continue
        if fault := _fault(part, who):
            return fault
        waiting += _inner(part)
    return ""


def _fault(part: dict[str, Any], who: str) -> str:
    kind = part.get("type")
    is_object = kind == "object" or (isinstance(kind, list) and "object" in kind)
    if (is_object or "properties" in part) and part.get("additionalProperties") is not False:
        return f"{who} takes objects that are closed with additionalProperties: false"
    for key in _NOT_HELD:
        if key in part:
            return f"{who} does not know {key!r} in a schema of the answer"
    if part.get("minItems", 0) not in (0, 1):
        return f"{who} knows 'minItems' of 0 or 1 only"
    ref = part.get("$ref", "#/")
    if not isinstance(ref, str) or not ref.startswith("#/"):
        return f"{who} follows references within the schema only, and no recursion"
    return ""


def _inner(part: dict[str, Any]) -> Iterator[Any]:
    for key in _BY_NAME:
        if isinstance(named := part.get(key), dict):
            yield from named.values()
    for key in _IN_LISTS:
        if isinstance(listed := part.get(key), list):
            yield from listed
    if "items" in part:
        yield part["items"]
