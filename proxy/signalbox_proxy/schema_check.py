"""Checks an answer against the JSON Schema that its request asked for, within bounds.

Schema and answer both come from outside, and validation can take exponential time (references
that double, recursive alternatives). So the work is counted first, step by step as a validator
would do it, and given up beyond `MAX_STEPS`. No reference is ever fetched; patterns run in
linear time (the `regex` crate) and are bounded in number and size.
"""

from typing import Any, Final

import jsonschema_rs
import msgspec

MAX_SCHEMA_BYTES: Final = 64 * 1024
MAX_PATTERNS: Final = 32
MAX_STEPS: Final = 30_000
"""Most pairs of schema and value that are visited; counting them takes about 20 ms."""

_MAX_STEPS_TO_EXPLAIN: Final = 5_000
_PATTERN_BYTES: Final = 256 * 1024

_IN_PLACE_LISTS: Final = ("allOf", "anyOf", "oneOf")
_IN_PLACE: Final = ("not", "if", "then", "else")
_IN_PLACE_MAPS: Final = ("dependentSchemas", "dependencies")
_OF_MEMBERS: Final = ("additionalProperties", "unevaluatedProperties", "propertyNames")
_OF_ENTRIES: Final = ("items", "additionalItems", "unevaluatedItems", "contains")

Pair = tuple[Any, Any]


class NotCheckedError(ValueError):
    """The schema cannot be used, or using it would take too long; the message says which."""


def fault(schema: dict[str, Any], text: str) -> str:
    """What is wrong with a JSON text by the schema; "" if nothing. Raises NotCheckedError."""
    try:
        document = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return "the answer is not JSON"
    steps = _count_steps(schema, document)
    validator = _validator(schema)
    if validator.is_valid(document):
        return ""
    if steps > _MAX_STEPS_TO_EXPLAIN:
        return "the answer does not satisfy the schema"
    try:
        validator.validate(document)
    except jsonschema_rs.ValidationError as error:
        where = "/".join(map(str, error.instance_path))
        return f"at /{where}: {_first_line(error)}"
    return ""


def _validator(schema: dict[str, Any]) -> jsonschema_rs.Validator:
    if len(msgspec.json.encode(schema, enc_hook=str)) > MAX_SCHEMA_BYTES:
        raise NotCheckedError(f"the schema is larger than {MAX_SCHEMA_BYTES} bytes")
    if _count_patterns(schema) > MAX_PATTERNS:
        raise NotCheckedError(f"the schema has more than {MAX_PATTERNS} patterns")
    options = jsonschema_rs.RegexOptions(size_limit=_PATTERN_BYTES, dfa_size_limit=_PATTERN_BYTES)
    try:
        return jsonschema_rs.validator_for(schema, pattern_options=options, offline=True)
    except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError, ValueError) as error:
        raise NotCheckedError(f"the schema is not valid: {_first_line(error)}") from None


def _count_patterns(schema: dict[str, Any]) -> int:
    found = 0
    stack: list[Any] = [schema]
    while stack:
        value = stack.pop()
        if isinstance(value, dict):
            found += isinstance(value.get("pattern"), str)
            of_names = value.get("patternProperties")
            found += len(of_names) if isinstance(of_names, dict) else 0
            stack.extend(value.values())
        elif isinstance(value, list):
            stack.extend(value)
    return found


def _count_steps(schema: dict[str, Any], document: Any) -> int:
    """Visit all pairs of schema and value, every alternative included, up to `MAX_STEPS`."""
    stack: list[Pair] = [(schema, document)]
    steps = 0
    while stack:
        if steps + len(stack) > MAX_STEPS:
            raise NotCheckedError("checking the schema would take too long")
        steps += 1
        current, value = stack.pop()
        if not isinstance(current, dict):
            continue
        _push_in_place(stack, current, value, schema)
        if isinstance(value, dict):
            _push_members(stack, current, value)
        elif isinstance(value, list):
            _push_entries(stack, current, value)
    return steps


def _push_in_place(stack: list[Pair], current: dict[str, Any], value: Any, root: Any) -> None:
    for key, inner in current.items():
        if key in _IN_PLACE:
            stack.append((inner, value))
        elif key in _IN_PLACE_LISTS and isinstance(inner, list):
            stack.extend((branch, value) for branch in inner)
        elif key in _IN_PLACE_MAPS and isinstance(inner, dict):
            stack.extend((branch, value) for branch in inner.values())
        elif key == "$ref":
            stack.append((_resolve(root, inner), value))
        elif key in ("$id", "id") and current is not root and isinstance(inner, str):
            raise NotCheckedError("the schema has parts with identifiers of their own")
        elif key in ("$dynamicRef", "$recursiveRef"):
            raise NotCheckedError("the schema has dynamic references")


def _push_members(stack: list[Pair], current: dict[str, Any], value: dict[str, Any]) -> None:
    properties = current.get("properties")
    if isinstance(properties, dict):
        stack.extend((properties[name], value[name]) for name in value if name in properties)
    patterns = current.get("patternProperties")
    others = list(patterns.values()) if isinstance(patterns, dict) else []
    others += [current[key] for key in _OF_MEMBERS if isinstance(current.get(key), dict)]
    for other in others:
        stack.extend((other, member) for member in value.values())


def _push_entries(stack: list[Pair], current: dict[str, Any], value: list[Any]) -> None:
    for key in ("prefixItems", "items"):
        if isinstance(current.get(key), list):
            stack.extend(zip(current[key], value, strict=False))
    for key in _OF_ENTRIES:
        if isinstance(current.get(key), dict):
            stack.extend((current[key], entry) for entry in value)


def _resolve(root: Any, reference: object) -> Any:
    """Follow a JSON pointer within the schema (RFC 6901)."""
    if not isinstance(reference, str) or not (reference == "#" or reference.startswith("#/")):
        raise NotCheckedError("the schema refers to something outside itself")
    target = root
    for step in reference[2:].split("/") if len(reference) > 1 else ():
        name = step.replace("~1", "/").replace("~0", "~")
        if isinstance(target, list) and name.isdigit() and int(name) < len(target):
            target = target[int(name)]
        elif isinstance(target, dict) and name in target:
            target = target[name]
        else:
            raise NotCheckedError("a reference of the schema leads nowhere")
    return target


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
