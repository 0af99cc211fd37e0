"""What OpenAI refuses in a responses request although its types are right."""

from __future__ import annotations

from .chat_request import JsonObjectResponse
from .chat_rules import check_strict_schema, invalid
from .prompt import Prompt
from .refusals import Refusal
from .responses_request import (
    CallOutputItem,
    CustomCallItem,
    FunctionCallItem,
    FunctionTool,
    JsonSchemaText,
    NamedTool,
    ReasoningItem,
    ResponsesRequest,
)
from .sealed_reasoning import opened
from .sheet import ModelSheet

INCLUDABLE = {
    "reasoning.encrypted_content",
    "message.output_text.logprobs",
    "message.input_image.image_url",
    "file_search_call.results",
    "web_search_call.results",
    "web_search_call.action.sources",
    "computer_call_output.output.image_url",
    "code_interpreter_call.outputs",
}


def check(request: ResponsesRequest, model: ModelSheet, account: str) -> None:
    """Apply all rules; raises Refusal for the first that is broken."""
    _check_state(request)
    _check_supported(request, model)
    _check_tools(request, model)
    _check_calls(request)
    _check_reasoning(request, account)
    _check_format(request, model)


def _check_state(request: ResponsesRequest) -> None:
    """Responses are stored, conversations are not; nothing runs on unseen."""
    if request.conversation is not None:
        raise Refusal(404, "Conversation not found.", param="conversation")
    if request.background:
        raise invalid("Background responses need 'store' and are not simulated.", "background")


def _check_supported(request: ResponsesRequest, model: ModelSheet) -> None:
    """Refuse what this model does not take, as the sheet says."""
    for name in ("top_logprobs",):
        if name in model.refuses and getattr(request, name):
            raise _unsupported(name)
    for name, value in model.fixed.items():
        wanted = getattr(request, name, None)
        if wanted is not None and wanted != value:
            raise _unsupported(name)
    effort = request.reasoning.effort if request.reasoning else None
    if effort and effort not in model.reasoning_efforts:
        raise invalid(
            f"Unsupported value: '{effort}' is not supported with this model.",
            "reasoning.effort",
            "unsupported_value",
        )
    for entry in request.include or ():
        if entry not in INCLUDABLE:
            raise invalid(f"Invalid value: '{entry[:100]}'.", "include", "invalid_value")
    if request.wants_encrypted and not model.reasoning_efforts:
        raise invalid("Encrypted content is not supported with this model.", "include")
    if request.stream_options is not None and not request.stream:
        raise invalid(
            "'stream_options' is only allowed when 'stream' is enabled.", "stream_options"
        )


def _unsupported(name: str) -> Refusal:
    return invalid(
        f"Unsupported parameter: '{name}' is not supported with this model.",
        name,
        "unsupported_parameter",
    )


def _check_tools(request: ResponsesRequest, model: ModelSheet) -> None:
    if request.tools and "tools" not in model.capabilities:
        raise invalid("This model does not support tools.", "tools", "invalid_value")
    for index, tool in enumerate(request.tools or ()):
        if not isinstance(tool, FunctionTool):
            continue
        param = f"tools[{index}].parameters"
        if tool.parameters and tool.parameters.get("type", "object") != "object":
            raise invalid(
                f"Invalid schema for function '{tool.name}': it must be of 'type: \"object\"'.",
                param,
                "invalid_function_parameters",
            )
        if tool.strict:
            check_strict_schema(tool.parameters or {}, param, "invalid_function_parameters")
    names = {tool.name for tool in request.tools or ()}
    choice = request.tool_choice
    if isinstance(choice, NamedTool) and choice.name not in names:
        raise invalid(f"Tool choice '{choice.name}' not found in 'tools'.", "tool_choice")
    if choice == "required" and not names:
        raise invalid("Tool choice 'required' must be specified with 'tools'.", "tool_choice")


def _check_calls(request: ResponsesRequest) -> None:
    """Every call needs its output, and every output its call."""
    calls: set[str] = set()
    answered: set[str] = set()
    for index, item in enumerate(request.items):
        if isinstance(item, FunctionCallItem | CustomCallItem):
            calls.add(item.call_id)
        elif isinstance(item, CallOutputItem):
            if item.call_id not in calls:
                raise invalid(
                    f"No tool call found for function call output with call_id {item.call_id}.",
                    f"input[{index}]",
                )
            answered.add(item.call_id)
    if calls - answered:
        raise invalid(f"No tool output found for function call {min(calls - answered)}.", "input")


def _check_reasoning(request: ResponsesRequest, account: str) -> None:
    """Reasoning that is not stored must come back in the form in which it was given."""
    for index, item in enumerate(request.items):
        if not isinstance(item, ReasoningItem):
            continue
        if item.encrypted_content is None:
            raise Refusal(
                404,
                f"Item with id '{item.id}' not found. Items are not persisted when `store` is set "
                "to false. Try again with `store` set to true, or remove this item from your "
                "input.",
                param=f"input[{index}]",
            )
        if opened(item.encrypted_content, account) is None:
            raise invalid(
                f"The encrypted content for item {item.id} could not be verified.",
                f"input[{index}].encrypted_content",
                "invalid_encrypted_content",
            )


def _check_format(request: ResponsesRequest, model: ModelSheet) -> None:
    wanted = request.text.format if request.text else None
    if isinstance(wanted, JsonObjectResponse) and "json" not in str(request.input).lower():
        raise invalid(
            "Response input messages must contain the word 'json' in some form to use "
            "'text.format' of type 'json_object'.",
            "input",
        )
    if isinstance(wanted, JsonSchemaText):
        if "structured_output" not in model.capabilities:
            raise invalid("'text.format' is not supported with this model.", "text.format")
        if wanted.strict is not False:
            check_strict_schema(wanted.schema_, "text.format.schema", "invalid_json_schema")


def output_limit(request: ResponsesRequest, model: ModelSheet, prompt: Prompt) -> int:
    """Give the tokens that the answer may have; raises Refusal where they do not fit the model."""
    room = model.output_room(prompt.total)
    if prompt.total > model.max_input_tokens or room < 1:
        raise invalid(
            "Your input exceeds the context window of this model. Please adjust your input and "
            "try again.",
            "input",
            "context_length_exceeded",
        )
    wanted = request.max_output_tokens
    if wanted is None:
        return room
    if wanted > model.max_output_tokens:
        raise invalid(
            f"max_output_tokens is too large: {wanted}. This model supports at most "
            f"{model.max_output_tokens} output tokens.",
            "max_output_tokens",
            "invalid_value",
        )
    return min(wanted, room)
