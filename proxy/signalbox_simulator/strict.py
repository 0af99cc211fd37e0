"""Strict decoding of request bodies: JSON, depth, then types that refuse unknown fields."""

from __future__ import annotations

from typing import Annotated, TypeVar, cast

import msgspec
from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from .refusals import Refusal

MAX_DEPTH = 100


class Strict(BaseModel):
    """A part of a request: no unknown fields, no coercion of types."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


def _given(value: object) -> object:
    if value is None:
        raise ValueError("null is not allowed here; leave the field out")
    return value


_T = TypeVar("_T")
Given = Annotated[_T | None, BeforeValidator(_given)]
"""A field that may be absent but not null."""


def decode(body: bytes) -> dict[str, object]:
    """Decode a JSON object; raises Refusal for anything else, however it is broken."""
    try:
        document: object = msgspec.json.decode(body)
    except RecursionError:
        raise Refusal(400, "The JSON in the request body is nested too deeply.") from None
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError) as error:
        raise Refusal(400, f"We could not parse the JSON body of your request: {error}") from None
    if not isinstance(document, dict):
        raise Refusal(400, "The request body must be a JSON object.")
    if depth_exceeds(document, MAX_DEPTH):
        raise Refusal(400, f"The JSON in the request body is nested deeper than {MAX_DEPTH}.")
    return cast("dict[str, object]", document)


def depth_exceeds(document: object, limit: int) -> bool:
    """Tell whether containers nest deeper than ``limit``, without recursion."""
    level: list[object] = [document]
    depth = 0
    while level:
        depth += 1
        if depth > limit:
            return True
        inner: list[object] = []
        for value in level:
            if isinstance(value, dict):
                inner += [v for v in value.values() if isinstance(v, (dict, list))]
            elif isinstance(value, list):
                inner += [v for v in value if isinstance(v, (dict, list))]
        level = inner
    return False


_M = TypeVar("_M", bound=BaseModel)


def validate(model: type[_M], document: dict[str, object]) -> _M:
    """Validate a document; raises Refusal about the deepest error, naming its path."""
    try:
        return model.model_validate(document)
    except ValidationError as error:
        details = max(error.errors(include_url=False), key=lambda item: len(item["loc"]))
        raise _refusal(details, document) from None


CODES = {
    "extra_forbidden": "unknown_parameter",
    "missing": "missing_required_parameter",
    "literal_error": "invalid_value",
    "enum": "invalid_value",
    "union_tag_invalid": "invalid_value",
    "union_tag_not_found": "missing_required_parameter",
    "greater_than_equal": "integer_below_min_value",
    "greater_than": "integer_below_min_value",
    "less_than_equal": "integer_above_max_value",
    "too_long": "array_above_max_length",
    "too_short": "empty_array",
    "string_too_long": "string_above_max_length",
    "string_too_short": "empty_string",
    "value_error": "invalid_value",
}


def _refusal(details: ErrorDetails, document: object) -> Refusal:
    path = _path(details["loc"], document)
    code = CODES.get(details["type"], "invalid_type")
    name = _written(path)
    message = {
        "unknown_parameter": f"Unknown parameter: '{name}'.",
        "missing_required_parameter": f"Missing required parameter: '{name}'.",
    }.get(code, f"Invalid value for '{name}': {details['msg']}.")
    return Refusal(400, message, param=name or None, code=code)


def _path(location: tuple[int | str, ...], document: object) -> list[int | str]:
    """Keep the steps of pydantic's location that exist in the document, not names of unions."""
    path: list[int | str] = []
    value = document
    for position, step in enumerate(location):
        found, inner = _step(value, step)
        if found:
            value = inner
        elif position < len(location) - 1 or not isinstance(value, dict):
            continue
        path.append(step)
    return path


def _step(value: object, step: int | str) -> tuple[bool, object]:
    if isinstance(value, dict) and step in value:
        return True, value[step]
    if isinstance(value, list) and isinstance(step, int) and step < len(value):
        return True, value[step]
    return False, None


def _written(path: list[int | str]) -> str:
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text
