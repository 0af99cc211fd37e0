"""What OpenAI refuses in a chat completions request although its types are right."""

from __future__ import annotations

from typing import cast

from .chat_messages import AssistantMessage, ToolMessage
from .chat_request import (
    AllowedToolChoice,
    ChatRequest,
    FunctionTool,
    JsonObjectResponse,
    JsonSchemaResponse,
    NamedCustom,
    NamedFunction,
)
from .prompt import Prompt
from .refusals import Refusal
from .sheet import ModelSheet

MAX_SCHEMA_NODES = 5000


def invalid(message: str, param: str | None = None, code: str | None = None) -> Refusal:
    """Give a 400."""
    return Refusal(400, message, param=param, code=code)


def check(request: ChatRequest, model: ModelSheet) -> None:
    """Apply all rules; raises Refusal for the first that is broken."""
    _check_supported(request, model)
    _check_pairs(request)
    _check_tools(request, model)
    _check_calls(request)
    _check_format(request, model)


def _check_supported(request: ChatRequest, model: ModelSheet) -> None:
    """Refuse what this model does not take, as the sheet says."""
    given = request.model_fields_set
    for name, instead in model.refuses.items():
        if name in given and getattr(request, name) is not None:
            hint = f" Use '{instead}' instead." if instead else ""
            raise invalid(
                f"Unsupported parameter: '{name}' is not supported with this model.{hint}",
                name,
                "unsupported_parameter",
            )
    for name, value in model.fixed.items():
        wanted = getattr(request, name)
        if wanted is not None and wanted != value:
            raise invalid(
                f"Unsupported value: '{name}' does not support {wanted} with this model. "
                f"Only the default ({value}) value is supported.",
                name,
                "unsupported_value",
            )
    if request.reasoning_effort and request.reasoning_effort not in model.reasoning_efforts:
        raise invalid(
            f"Unsupported value: 'reasoning_effort' does not support {request.reasoning_effort!r} "
            f"with this model.",
            "reasoning_effort",
            "unsupported_value",
        )
    for name in ("audio", "prediction", "web_search_options"):
        if getattr(request, name) is not None:
            raise invalid(f"'{name}' is not supported with this model.", name, "invalid_value")
    if request.modalities is not None and request.modalities != ["text"]:
        raise invalid("This model supports the text modality only.", "modalities", "invalid_value")


def _check_pairs(request: ChatRequest) -> None:
    if request.max_tokens is not None and request.max_completion_tokens is not None:
        raise invalid(
            "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported.",
            "max_tokens",
            "invalid_value",
        )
    if request.stream_options is not None and not request.stream:
        raise invalid(
            "The 'stream_options' parameter is only allowed when 'stream' is enabled.",
            "stream_options",
        )
    if request.top_logprobs is not None and not request.logprobs:
        raise invalid(
            "The 'top_logprobs' parameter is only allowed when 'logprobs' is enabled.",
            "top_logprobs",
        )


def _check_tools(request: ChatRequest, model: ModelSheet) -> None:
    if (request.tools or request.functions) and "tools" not in model.capabilities:
        raise invalid("This model does not support tools.", "tools", "invalid_value")
    _check_thinking_with_tools(request, model)
    if request.tools is None:
        for name in ("tool_choice", "parallel_tool_calls"):
            if getattr(request, name) is not None:
                raise invalid(f"'{name}' is only allowed when 'tools' are specified.", name)
        if request.functions is None and request.function_call is not None:
            raise invalid("'function_call' needs 'functions'.", "function_call")
    for index, tool in enumerate(request.tools or ()):
        if isinstance(tool, FunctionTool):
            _check_parameters(tool, f"tools[{index}].function.parameters")
    _check_choice(request)


def _check_thinking_with_tools(request: ChatRequest, model: ModelSheet) -> None:
    """Newer models think while they call functions at the responses path alone."""
    effort = request.reasoning_effort or model.default_effort
    if request.tools and model.chat_tools_need_no_effort and effort != "none":
        raise invalid(
            f"Function tools with reasoning_effort are not supported for {request.model} in "
            "/v1/chat/completions. Use /v1/responses, or 'none'.",
            "reasoning_effort",
        )


def _check_choice(request: ChatRequest) -> None:
    """A tool choice must name tools that are there."""
    known = tool_names(request)
    choice = request.tool_choice
    wanted: list[str] = []
    if isinstance(choice, NamedFunction):
        wanted = [choice.function.name]
    elif isinstance(choice, NamedCustom):
        wanted = [choice.custom.name]
    elif isinstance(choice, AllowedToolChoice):
        wanted = [allowed_name(tool) for tool in choice.allowed_tools.tools]
    for name in wanted:
        if name not in known:
            raise invalid(f"Tool choice '{name}' not found in 'tools' parameter.", "tool_choice")


def tool_names(request: ChatRequest) -> list[str]:
    """Give the names of the request's tools."""
    return [
        tool.function.name if isinstance(tool, FunctionTool) else tool.custom.name
        for tool in request.tools or ()
    ]


def allowed_name(tool: dict[str, object]) -> str:
    """Give the name of an entry of ``allowed_tools``."""
    inner = tool.get(str(tool.get("type")))
    return str(cast("dict[str, object]", inner).get("name")) if isinstance(inner, dict) else ""


def _check_parameters(tool: FunctionTool, param: str) -> None:
    parameters = tool.function.parameters
    if parameters and parameters.get("type", "object") != "object":
        raise invalid(
            f"Invalid schema for function '{tool.function.name}': schema must be a JSON Schema of "
            f"'type: \"object\"', got 'type: {parameters.get('type')!r}'.",
            param,
            "invalid_function_parameters",
        )
    if tool.function.strict:
        check_strict_schema(parameters or {}, param, "invalid_function_parameters")


def _check_calls(request: ChatRequest) -> None:
    """Every tool call needs its answer directly behind it, and every answer its call."""
    open_calls: set[str] = set()
    for index, message in enumerate(request.messages):
        if isinstance(message, ToolMessage):
            if message.tool_call_id not in open_calls:
                raise invalid(
                    "Invalid parameter: messages with role 'tool' must be a response to a "
                    "preceding message with 'tool_calls'.",
                    f"messages[{index}].role",
                )
            open_calls.discard(message.tool_call_id)
            continue
        _require_answered(open_calls, index)
        if isinstance(message, AssistantMessage):
            open_calls = {call.id for call in message.tool_calls or ()}
            if message.content is None and not (
                message.tool_calls or message.function_call or message.refusal or message.audio
            ):
                raise invalid(
                    f"Invalid value for 'messages[{index}].content': expected a string, got null.",
                    f"messages[{index}].content",
                    "invalid_type",
                )
    _require_answered(open_calls, len(request.messages))


def _require_answered(open_calls: set[str], index: int) -> None:
    if open_calls:
        raise invalid(
            "An assistant message with 'tool_calls' must be followed by tool messages responding "
            f"to each 'tool_call_id'. Without response: {', '.join(sorted(open_calls))}.",
            f"messages[{index - 1}].role",
        )


def _check_format(request: ChatRequest, model: ModelSheet) -> None:
    wanted = request.response_format
    if isinstance(wanted, JsonObjectResponse):
        text = str([m.content for m in request.messages]).lower()
        if "json" not in text:
            raise invalid(
                "'messages' must contain the word 'json' in some form, to use 'response_format' "
                "of type 'json_object'.",
                "messages",
            )
    if isinstance(wanted, JsonSchemaResponse):
        if "structured_output" not in model.capabilities:
            raise invalid("'response_format' is not supported with this model.", "response_format")
        if wanted.json_schema.schema_ is None:
            raise invalid(
                "Missing required parameter: 'response_format.json_schema.schema'.",
                "response_format.json_schema.schema",
                "missing_required_parameter",
            )
        if wanted.json_schema.strict:
            check_strict_schema(
                wanted.json_schema.schema_, "response_format", "invalid_json_schema"
            )


def check_strict_schema(schema: dict[str, object], param: str, code: str | None) -> None:
    """Hold the rules of strict schemas: closed objects and, with a code, all required."""
    waiting: list[object] = [schema]
    seen = 0
    while waiting:
        part = waiting.pop()
        seen += 1
        if seen > MAX_SCHEMA_NODES:
            raise invalid("Invalid schema: too large.", param, code)
        if isinstance(part, list):
            waiting += part
        if not isinstance(part, dict):
            continue
        waiting += part.values()
        properties = part.get("properties")
        if not isinstance(properties, dict):
            continue
        if part.get("additionalProperties") is not False:
            raise invalid(
                "Invalid schema: 'additionalProperties' is required to be false.",
                param,
                code,
            )
        missing = set(properties) - set(cast("list[str]", part.get("required") or []))
        if missing and code is not None:
            raise invalid(
                "Invalid schema: 'required' must include every key in properties. "
                f"Missing '{min(missing)}'.",
                param,
                code,
            )


def output_limit(request: ChatRequest, model: ModelSheet, prompt: Prompt) -> int:
    """Give the tokens that each choice may have; raises Refusal where they do not fit the model."""
    if prompt.total > model.max_input_tokens:
        raise invalid(
            f"Input tokens exceed the configured limit of {model.max_input_tokens} tokens. "
            f"Your messages resulted in {prompt.total} tokens. Please reduce their length.",
            "messages",
            "context_length_exceeded",
        )
    wanted = request.output_limit
    room = model.output_room(prompt.total)
    if wanted is None:
        return max(1, room)
    name = "max_tokens" if request.max_tokens is not None else "max_completion_tokens"
    if wanted > model.max_output_tokens:
        raise invalid(
            f"{name} is too large: {wanted}. This model supports at most "
            f"{model.max_output_tokens} completion tokens, whereas you provided {wanted}.",
            name,
            "invalid_value",
        )
    if wanted > room:
        raise invalid(
            f"This model's maximum context length is {model.context_window} tokens. However, you "
            f"requested {prompt.total + wanted} tokens ({prompt.total} in the messages, {wanted} "
            "in the completion).",
            "messages",
            "context_length_exceeded",
        )
    return wanted
