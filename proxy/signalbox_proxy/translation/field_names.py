"""What each client calls the field that a provider's format cannot say.

Provider formats name fields as OpenAI's chat completions do: they know no client. A client is told
its own name of it.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from signalbox_proxy.model_request import SurfaceName
from signalbox_proxy.translation.contract import Untranslatable

_Names = Sequence[tuple[str, str]]

_NAMES: Final[Mapping[SurfaceName, _Names]] = {
    "chat": (
        ("thinking.budget_tokens", "reasoning_effort"),
        ("thinking", "reasoning_effort"),
        ("reasoning", "reasoning_effort"),
    ),
    "messages": (
        ("response_format.json_schema.schema", "output_config.format.schema"),
        ("response_format", "output_config.format"),
        ("reasoning_effort", "output_config.effort"),
        ("parallel_tool_calls", "tool_choice.disable_parallel_tool_use"),
        ("stop", "stop_sequences"),
    ),
    "responses": (
        ("response_format.json_schema.schema", "text.format.schema"),
        ("response_format", "text.format"),
        ("reasoning_effort", "reasoning.effort"),
        ("thinking.budget_tokens", "reasoning.effort"),
        ("thinking", "reasoning.effort"),
        ("messages", "input"),
    ),
}
"""The client's own names by surface, longer ones first; whatever is not here is called alike."""

_TOOL_SCHEMAS: Final[Mapping[SurfaceName, str]] = {"messages": "input_schema"}


def named_by(surface: SurfaceName, obstacle: Untranslatable) -> Untranslatable:
    """The same obstacle with the field as clients of this surface call it."""
    field = _client_name(surface, obstacle.field)
    return obstacle if field == obstacle.field else Untranslatable(field, obstacle.why)


def _client_name(surface: SurfaceName, field: str) -> str:
    for neutral, own in _NAMES.get(surface, ()):
        if field == neutral:
            return own
        if field.startswith((f"{neutral}.", f"{neutral}[")):
            return own + field[len(neutral) :]
    schema = _TOOL_SCHEMAS.get(surface)
    if schema is not None and field.startswith("tools["):
        return field.replace("].parameters", f"].{schema}", 1)
    return field
