"""Which tools an answer must call, and which form it must have."""

from __future__ import annotations

from . import chat_rules
from .behaviour import Effects
from .chat_request import (
    AllowedToolChoice,
    ChatRequest,
    FunctionTool,
    JsonObjectResponse,
    JsonSchemaResponse,
    NamedCustom,
    NamedFunction,
    ToolName,
)
from .composition import ToolWish
from .structured import Schema

ANY_OBJECT: Schema = {
    "type": "object",
    "properties": {"answer": {"type": "string"}, "confident": {"type": "boolean"}},
}


def wanted_schema(request: ChatRequest) -> Schema | None:
    """Give the schema that the answer must satisfy, if it must."""
    wanted = request.response_format
    if isinstance(wanted, JsonSchemaResponse):
        return wanted.json_schema.schema_
    return ANY_OBJECT if isinstance(wanted, JsonObjectResponse) else None


def tool_wishes(request: ChatRequest, effects: Effects) -> tuple[ToolWish, ...]:
    """Give the tools that the answer must call, by ``tool_choice`` or by a directive."""
    tools: dict[str, Schema | None] = {}
    for tool in request.tools or ():
        if isinstance(tool, FunctionTool):
            tools[tool.function.name] = tool.function.parameters or ANY_OBJECT
        else:
            tools[tool.custom.name] = None
    for function in request.functions or ():
        tools[function.name] = function.parameters or ANY_OBJECT
    called = _forced(request)
    count = max(effects.call_tools or 0, 1 if called else 0)
    if not tools or not count or request.tool_choice == "none" or request.function_call == "none":
        return ()
    names = called or list(tools)
    if request.parallel_tool_calls is False or request.functions:
        count = 1
    return tuple(ToolWish(name, tools[name]) for name in (names * count)[:count])


def _forced(request: ChatRequest) -> list[str]:
    choice = request.tool_choice
    if choice == "required":
        return chat_rules.tool_names(request)
    if isinstance(choice, NamedFunction):
        return [choice.function.name]
    if isinstance(choice, NamedCustom):
        return [choice.custom.name]
    if isinstance(choice, AllowedToolChoice) and choice.allowed_tools.mode == "required":
        return [chat_rules.allowed_name(tool) for tool in choice.allowed_tools.tools]
    if isinstance(request.function_call, ToolName):
        return [request.function_call.name]
    return []
