"""Reads the settings of a messages request into the neutral form: tools, thinking, output."""

from typing import Any

from signalbox_proxy.surfaces import messages_types as types
from signalbox_proxy.translation import conversation as neutral
from signalbox_proxy.translation.anthropic_reading import lifetime
from signalbox_proxy.translation.contract import Untranslatable

_ANSWER = "answer"
"""Name of the form that an answer must have; Anthropic gives it none, others need one."""


def read_tools(asked: Any) -> tuple[neutral.Tool, ...]:
    """The tools of a request. Raises `Untranslatable` for those that Anthropic defines."""
    return tuple(_tool(tool, f"tools[{n}]") for n, tool in enumerate(asked.tools or ()))


def _tool(tool: types.Tool, path: str) -> neutral.Tool:
    if tool.type not in (None, "custom"):
        raise Untranslatable(f"{path}.type", f"Anthropic alone defines {tool.type}")
    if tool.input_examples:
        raise Untranslatable(f"{path}.input_examples", "others have no place for examples")
    if tool.max_characters is not None:
        raise Untranslatable(f"{path}.max_characters", "it belongs to tools of Anthropic's own")
    return neutral.Tool(
        name=tool.name,
        description=tool.description or "",
        schema=tool.input_schema or {},
        strict=bool(tool.strict),
        cache=lifetime(tool.cache_control),
    )


def read_tool_choice(asked: Any) -> tuple[neutral.ToolChoice | None, bool | None]:
    """Which tools may be called, and whether several at once."""
    choice: types.ToolChoice | None = asked.tool_choice
    if choice is None:
        return None, None
    single = choice.disable_parallel_tool_use
    parallel = None if single is None else not single
    if choice.type == "tool":
        return neutral.ToolChoice("tool", choice.name or ""), parallel
    if choice.type == "any":
        return neutral.ToolChoice("required"), parallel
    return neutral.ToolChoice(choice.type), parallel


def read_output(asked: Any) -> neutral.OutputSchema | None:
    """The form of the answer; Anthropic always holds the model to it."""
    wanted = asked.output_format or (asked.output_config and asked.output_config.format)
    if not wanted:
        return None
    return neutral.OutputSchema(_ANSWER, wanted.schema, strict=True)


def read_reasoning(asked: Any) -> neutral.Reasoning | None:
    """How much may be thought.

    An effort of high is what Anthropic takes where none is stated, so it adds nothing to a
    budget; any other effort beside a budget, or with thinking switched off, has no counterpart.
    """
    thinking: types.Thinking | None = asked.thinking
    effort: neutral.Effort | None = asked.output_config.effort if asked.output_config else None
    if thinking is None:
        return neutral.Reasoning(effort=effort, visible=False) if effort else None
    if isinstance(thinking, types.ThinkingBetweenTools):
        raise Untranslatable("thinking.type", "thinking between tool calls alone")
    if isinstance(thinking, types.ThinkingAdaptive):
        return neutral.Reasoning(effort=effort, visible=thinking.display != "omitted")
    if effort not in (None, "high"):
        what = "a budget" if isinstance(thinking, types.ThinkingEnabled) else "thinking disabled"
        raise Untranslatable("output_config.effort", f"an effort together with {what}")
    if isinstance(thinking, types.ThinkingDisabled):
        return neutral.Reasoning(effort="none", visible=False)
    visible = thinking.display != "omitted"
    return neutral.Reasoning(budget_tokens=thinking.budget_tokens, visible=visible)


def read_sampling(asked: Any) -> neutral.Sampling:
    """How tokens are drawn."""
    return neutral.Sampling(temperature=asked.temperature, top_p=asked.top_p, top_k=asked.top_k)
