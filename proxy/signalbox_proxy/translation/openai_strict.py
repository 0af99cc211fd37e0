"""What OpenAI's strict schemas demand, so that a guarantee is never sent where it is refused.

Objects are closed and all their properties required
(https://platform.openai.com/docs/guides/structured-outputs, "Supported schemas").
"""

from typing import Any, Final

MAX_PARTS: Final = 10_000
"""Parts of one schema that are looked at; the decoder admits no more members than that."""

_BY_NAME: Final = frozenset({"properties", "patternProperties", "$defs", "definitions"})
"""Members whose own members are schemas under names that the client chose."""

_DATA: Final = frozenset({"enum", "const", "default", "examples", "required"})
"""Members that hold no schema, whatever they look like."""


def strict_fault(schema: dict[str, Any]) -> str:
    """Why a schema cannot be strict at OpenAI, as a clause, or ""."""
    waiting: list[Any] = [schema]
    seen = 0
    while waiting:
        part = waiting.pop()
        seen += 1
        if seen > MAX_PARTS:
            return "it is too large to be checked"
        if isinstance(part, list):
            waiting += part
        if not isinstance(part, dict):
            continue
        for key, value in part.items():
            is_named = key in _BY_NAME and isinstance(value, dict)
            if key not in _DATA:
                waiting += value.values() if is_named else [value]
        properties = part.get("properties")
        if not isinstance(properties, dict):
            continue
        if part.get("additionalProperties") is not False:
            return "OpenAI's strict schemas close each object with additionalProperties: false"
        required = part.get("required")
        listed = {name for name in required or () if isinstance(name, str)}
        if set(properties) - listed:
            return "OpenAI's strict schemas require every property"
    return ""
