"""What Anthropic refuses in a messages request although its types are right."""

from __future__ import annotations

import re
from collections.abc import Mapping

from .chat_rules import check_strict_schema
from .messages_blocks import Message, TextBlock, ToolResultBlock, ToolUseBlock
from .messages_request import (
    AutoChoice,
    CodeExecutionTool,
    CustomTool,
    MessagesRequest,
    ThinkingAdaptive,
    ThinkingBetweenTools,
    ThinkingEnabled,
    ToolChoice,
    WebFetchTool,
    WebSearchTool,
)
from .prompt import Prompt
from .refusals import Refusal
from .sheet import ModelSheet

VERSIONS = ("2023-01-01", "2023-06-01", "2026-10-21")
BETA = re.compile(r"^[a-z0-9][a-z0-9.-]{0,80}-(?:\d{4}-\d{2}-\d{2}|\d{8})$")
MAX_BREAKPOINTS = 4
UNAVAILABLE = ("container", "diagnostics", "user_profile_id", "workspace_id")
SERVER_TOOLS = (WebSearchTool, WebFetchTool, CodeExecutionTool)


def invalid(message: str) -> Refusal:
    """Give a 400."""
    return Refusal(400, message)


def check_headers(headers: Mapping[str, str]) -> None:
    """Hold the rules of ``anthropic-version`` and ``anthropic-beta``."""
    version = headers.get("anthropic-version")
    if version is None:
        raise invalid("anthropic-version: header is required")
    if version not in VERSIONS:
        raise invalid(f'anthropic-version: "{version[:40]}" is not a valid version')
    for beta in filter(None, (b.strip() for b in headers.get("anthropic-beta", "").split(","))):
        if not BETA.match(beta):
            raise invalid(f"Unexpected value(s) `{beta[:100]}` for the `anthropic-beta` header")


def check(request: MessagesRequest, model: ModelSheet) -> None:
    """Apply all rules; raises Refusal for the first that is broken."""
    _check_supported(request, model)
    _check_thinking(request, model)
    _check_tools(request)
    _check_turns(request.messages)
    _check_tool_results(request.messages)
    _check_breakpoints(request)


def _check_supported(request: MessagesRequest, model: ModelSheet) -> None:
    for name in UNAVAILABLE:
        if getattr(request, name) is not None:
            raise invalid(f"{name}: not available for this model")
    if request.speed == "fast":
        raise invalid("speed: fast mode is not supported for this model")
    if request.max_tokens > model.max_output_tokens:
        raise invalid(
            f"max_tokens: {request.max_tokens} > {model.max_output_tokens}, which is the maximum "
            "allowed number of output tokens for this model"
        )
    if request.temperature is not None and request.top_p is not None:
        raise invalid("`temperature` and `top_p` cannot both be specified for this model")
    for index, stop in enumerate(request.stop_sequences or ()):
        if not stop.strip():
            raise invalid(f"stop_sequences.{index}: must contain non-whitespace")
    if request.inference_geo not in (None, "global", *model.service_tiers):
        raise invalid(f"inference_geo: {request.inference_geo!r} is not offered for this model")
    _check_output(request, model)


def _check_output(request: MessagesRequest, model: ModelSheet) -> None:
    if request.output_config is not None:
        effort = request.output_config.effort
        if effort is not None and effort not in model.reasoning_efforts:
            raise invalid(f"output_config.effort: {effort!r} is not supported by this model")
        if request.output_config.format is not None:
            check_strict_schema(request.output_config.format.schema_, "output_config", None)


def _check_thinking(request: MessagesRequest, model: ModelSheet) -> None:
    thinking = request.thinking
    if isinstance(thinking, ThinkingBetweenTools):
        raise invalid("thinking.type: between_tools is not supported on this model")
    if isinstance(thinking, ThinkingAdaptive) and "adaptive_thinking" not in model.capabilities:
        raise invalid("thinking.type: adaptive is not supported on this model")
    if not isinstance(thinking, ThinkingEnabled):
        return
    if "thinking" not in model.capabilities:
        raise invalid("thinking: not supported on this model")
    if thinking.budget_tokens >= request.max_tokens:
        raise invalid("`max_tokens` must be greater than `thinking.budget_tokens`")
    if request.temperature not in (None, 1):
        raise invalid("`temperature` may only be set to 1 when thinking is enabled")
    if request.top_k is not None:
        raise invalid("`top_k` must be unset when thinking is enabled")
    choice = request.tool_choice
    if isinstance(choice, ToolChoice) or (isinstance(choice, AutoChoice) and choice.type == "any"):
        raise invalid("Thinking may not be enabled when tool_choice forces tool use.")


def _check_tools(request: MessagesRequest) -> None:
    names = [tool.name for tool in request.tools or ()]
    if len(names) != len(set(names)):
        raise invalid("tools: Tool names must be unique.")
    if request.tool_choice is not None and not names:
        raise invalid("tool_choice may only be specified while providing tools.")
    if isinstance(request.tool_choice, ToolChoice) and request.tool_choice.name not in names:
        raise invalid(f"Tool '{request.tool_choice.name}' not found in provided tools")
    for index, tool in enumerate(request.tools or ()):
        if isinstance(tool, CustomTool):
            if tool.input_schema.get("type") != "object":
                raise invalid(f"tools.{index}.custom.input_schema.type: Input should be 'object'")
            if tool.strict:
                check_strict_schema(tool.input_schema, "tools", None)
        elif isinstance(tool, (WebSearchTool, WebFetchTool)) and (
            tool.allowed_domains and tool.blocked_domains
        ):
            raise invalid(f"tools.{index}: allowed_domains and blocked_domains exclude another")


def _check_turns(messages: list[Message]) -> None:
    if messages[0].role != "user":
        raise invalid('messages: first message must use the "user" role')
    last = len(messages) - 1
    for index, message in enumerate(messages):
        if not message.blocks and not (index == last and message.role == "assistant"):
            raise invalid(
                f"messages.{index}: all messages must have non-empty content except for the "
                "optional final assistant message"
            )
        for block in message.blocks:
            if isinstance(block, TextBlock) and not block.text.strip():
                raise invalid("messages: text content blocks must contain non-whitespace text")
            wrong = ToolUseBlock if message.role == "user" else ToolResultBlock
            if isinstance(block, wrong):
                raise invalid(
                    f"messages.{index}: `{block.type}` blocks cannot be in {message.role} messages"
                )
    final = messages[-1].blocks
    last_block = final[-1] if final and messages[-1].role == "assistant" else None
    if isinstance(last_block, TextBlock) and last_block.text != last_block.text.rstrip():
        raise invalid("messages: final assistant content cannot end with trailing whitespace")


def _check_tool_results(messages: list[Message]) -> None:
    """Every tool_use needs its tool_result in the next message, and the other way round."""
    open_uses: set[str] = set()
    for index, message in enumerate(messages):
        results = {b.tool_use_id for b in message.blocks if isinstance(b, ToolResultBlock)}
        unknown = results - open_uses
        if unknown:
            raise invalid(
                f"messages.{index}.content: unexpected `tool_use_id` found in `tool_result` "
                f"blocks: {min(unknown)}. Each `tool_result` block must have a corresponding "
                "`tool_use` block in the previous message."
            )
        if open_uses - results:
            raise invalid(
                f"messages.{index}: `tool_use` ids were found without `tool_result` blocks "
                f"immediately after: {min(open_uses - results)}."
            )
        open_uses = {b.id for b in message.blocks if isinstance(b, ToolUseBlock)}
    if open_uses:
        raise invalid(
            f"messages.{len(messages) - 1}: `tool_use` ids were found without `tool_result` blocks "
            f"immediately after: {min(open_uses)}."
        )


def _check_breakpoints(request: MessagesRequest) -> None:
    ttls = []
    blocks = [*(request.tools or ()), *request.system_blocks]
    for part in [*blocks, *(block for m in request.messages for block in m.blocks)]:
        control = getattr(part, "cache_control", None)
        if control is not None:
            ttls.append(control.ttl or "5m")
    if request.cache_control is not None:
        ttls.append(request.cache_control.ttl or "5m")
    if len(ttls) > MAX_BREAKPOINTS:
        raise invalid(
            f"A maximum of {MAX_BREAKPOINTS} blocks with cache_control may be provided. "
            f"Found {len(ttls)}."
        )
    if ttls != sorted(ttls):
        raise invalid("cache_control.ttl: a ttl='1h' block must not come after a ttl='5m' block")


def check_length(prompt: Prompt, model: ModelSheet) -> None:
    """Refuse what is longer than the model's window."""
    if prompt.total > model.max_input_tokens:
        raise invalid(
            f"prompt is too long: {prompt.total} tokens > {model.max_input_tokens} maximum"
        )
