"""Writes the settings of a neutral conversation as Anthropic's: tools, thinking, output."""

import re
from typing import Any, Final

from signalbox_proxy.translation import conversation as neutral
from signalbox_proxy.translation.anthropic_names import cache_control
from signalbox_proxy.translation.anthropic_schemas import find_unheld, without_idle_bounds
from signalbox_proxy.translation.contract import Untranslatable

_TOOL_NAME: Final = re.compile(r"[a-zA-Z0-9_-]{1,128}", re.ASCII)
_CHOICES: Final = {"auto": "auto", "required": "any", "none": "none", "tool": "tool"}
_COMBINED: Final = ("anyOf", "oneOf", "allOf")
_MAX_USER: Final = 256

_EFFORT: Final[dict[neutral.Effort, str]] = {
    "minimal": "low",
    "low": "low",
    "medium": "medium",
    "high": "high",
    "xhigh": "xhigh",
    "max": "max",
}


def write_options(conversation: neutral.Conversation) -> dict[str, Any]:
    """Everything but system prompt and messages. Raises `Untranslatable`."""
    if conversation.choices != 1:
        raise Untranslatable("n", "Anthropic gives one answer")
    options: dict[str, Any] = {}
    if conversation.tools:
        options["tools"] = [_tool(tool, f"tools[{n}]") for n, tool in enumerate(conversation.tools)]
    _write_choice(conversation, options)
    _write_sampling(conversation.sampling, options)
    _write_reasoning(conversation, options)
    if conversation.output is not None:
        schema = _output_schema(conversation.output)
        form = {"type": "json_schema", "schema": schema}
        options["output_config"] = options.get("output_config", {}) | {"format": form}
    if conversation.stop:
        if not all(sequence.strip() for sequence in conversation.stop):
            raise Untranslatable("stop", "Anthropic takes no stop sequence of white space alone")
        options["stop_sequences"] = list(conversation.stop)
    if 0 < len(conversation.user) <= _MAX_USER:
        options["metadata"] = {"user_id": conversation.user}
    return options


def _tool(tool: neutral.Tool, path: str) -> dict[str, Any]:
    if not _TOOL_NAME.fullmatch(tool.name):
        why = "Anthropic takes names of up to 128 letters, digits, underscores and hyphens"
        raise Untranslatable(f"{path}.name", why)
    if any(key in tool.schema for key in _COMBINED):
        raise Untranslatable(
            f"{path}.parameters", "Anthropic takes no choice of schemas at the top"
        )
    written: dict[str, Any] = {"name": tool.name}
    if tool.description:
        written["description"] = tool.description
    written["input_schema"] = {"type": "object"} | tool.schema
    if tool.strict:
        written["strict"] = True
    return written | cache_control(tool.cache)


def _write_choice(conversation: neutral.Conversation, options: dict[str, Any]) -> None:
    """A choice needs tools; whether calls may run in parallel is part of it."""
    choice, parallel = conversation.tool_choice, conversation.parallel_tools
    if not conversation.tools:
        if choice is not None and choice.mode in ("required", "tool"):
            raise Untranslatable("tool_choice", "there are no tools to choose from")
        return
    if choice is None and parallel is None:
        return
    mode = choice.mode if choice is not None else "auto"
    written: dict[str, Any] = {"type": _CHOICES[mode]}
    if choice is not None and mode == "tool":
        written["name"] = choice.name
    if parallel is not None and mode != "none":
        written["disable_parallel_tool_use"] = not parallel
    options["tool_choice"] = written


def _write_sampling(sampling: neutral.Sampling, options: dict[str, Any]) -> None:
    for name in ("frequency_penalty", "presence_penalty"):
        if getattr(sampling, name):
            raise Untranslatable(name, "Anthropic has no penalties")
    if sampling.seed is not None:
        raise Untranslatable("seed", "Anthropic takes none")
    if sampling.temperature is not None:
        if sampling.temperature > 1:
            raise Untranslatable("temperature", "Anthropic's ends at 1")
        options["temperature"] = sampling.temperature
    if sampling.top_p not in (None, 1):  # 1 is its default, and not taken beside a temperature
        options["top_p"] = sampling.top_p
    if sampling.top_k is not None and sampling.top_k >= 0:  # a negative one is no limit, as none
        options["top_k"] = sampling.top_k


def _write_reasoning(conversation: neutral.Conversation, options: dict[str, Any]) -> None:
    """An effort, and thinking beside it; where a tool must be called there can be none.

    Source: Anthropic's pages on thinking and on effort.
    """
    wanted = conversation.reasoning
    if wanted is None:
        return
    if wanted.effort == "none":
        options["thinking"] = {"type": "disabled"}
        return
    if wanted.effort is not None:
        options["output_config"] = {"effort": _EFFORT[wanted.effort]}
    choice = conversation.tool_choice
    if choice is not None and choice.mode in ("required", "tool"):
        if wanted.budget_tokens is not None:
            raise Untranslatable("tool_choice", "Anthropic forces no call of a tool while thinking")
        return
    if (
        conversation.sampling.temperature not in (None, 1)
        or conversation.sampling.top_k is not None
    ):
        raise Untranslatable("temperature", "Anthropic draws its thoughts its own way only")
    display = "summarized" if wanted.visible else "omitted"
    if wanted.budget_tokens is not None:
        budget = {"type": "enabled", "budget_tokens": wanted.budget_tokens}
        options["thinking"] = budget | {"display": display}
    else:
        options["thinking"] = {"type": "adaptive", "display": display}


def _output_schema(output: neutral.OutputSchema) -> dict[str, Any]:
    """The schema of the answer, which the API holds the model to; so it must be able to."""
    field = "response_format"
    if output.schema is None:
        raise Untranslatable(field, "Anthropic needs a schema, any JSON object is not one")
    schema = without_idle_bounds(output.schema)
    if unheld := find_unheld(schema):
        raise Untranslatable(f"{field}.json_schema.schema", unheld)
    return output.with_description(schema)
