"""Google's own types of requests and answers, as the official SDK declares them."""

import warnings
from typing import Any

import msgspec

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # the SDK's declarations, not ours, make pydantic warn
    from google import genai
    from google.genai import errors, types

__all__ = ["accept", "errors", "genai", "types"]

FIELDS: dict[str, Any] = {
    "systemInstruction": types.Content,
    "toolConfig": types.ToolConfig,
    "generationConfig": types.GenerationConfig,
    "serviceTier": None,
}


def accept(body: dict[str, Any]) -> None:
    """Raises ValidationError, or AssertionError, for a body that is not of these types."""
    rest = dict(body)
    for content in rest.pop("contents"):
        types.Content.model_validate_json(msgspec.json.encode(content))
    for tool in rest.pop("tools", ()):
        types.Tool.model_validate_json(msgspec.json.encode(tool))
    for name, value in rest.items():
        declared = FIELDS[name]
        if declared is None:
            assert types.ServiceTier(value)
        else:
            declared.model_validate_json(msgspec.json.encode(value))
