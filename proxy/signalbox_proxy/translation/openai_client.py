"""OpenAI's chat completions as a client's format: what an application says and wants to hear."""

from typing import Any, Final, cast

from signalbox_proxy.model_request import ModelRequest
from signalbox_proxy.surfaces import chat_types as types
from signalbox_proxy.translation.answer import Answer
from signalbox_proxy.translation.contract import ClientFormat, EventWriter, Untranslatable
from signalbox_proxy.translation.conversation import (
    Conversation,
    Effort,
    OutputSchema,
    Reasoning,
    Sampling,
    Tool,
    ToolChoice,
)
from signalbox_proxy.translation.openai_answers import ChatEventWriter, write_chat_answer
from signalbox_proxy.translation.openai_messages import (
    NO_ARGUMENTS,
    ChatMessages,
    custom_tool,
)

_ONLY_HERE: Final = {
    "logit_bias": "only OpenAI's format has it",
    "logprobs": "only OpenAI's format returns them",
    "top_logprobs": "only OpenAI's format returns them",
    "min_p": "only open-weight servers of OpenAI's format have it",
    "repetition_penalty": "only open-weight servers of OpenAI's format have it",
}


class ChatClient:
    """The format object; see `contract.ClientFormat`.

    Left out because they change nothing in an answer: metadata, store, prompt_cache_key,
    prompt_cache_retention, prompt_cache_options, stream_options, service_tier, annotations.
    """

    def read(self, body: dict[str, Any]) -> Conversation:
        """The neutral form of an accepted body."""
        asked = types.CHAT.read(body)
        _check(asked)
        messages = ChatMessages()
        for index, message in enumerate(asked.messages):
            messages.take(message, f"messages[{index}]")
        tools = _tools(asked)
        return Conversation(
            system=tuple(messages.system),
            turns=messages.turns,
            tools=tools,
            tool_choice=_tool_choice(asked, tools),
            parallel_tools=_parallel(asked) if tools else None,
            output=_output(asked.response_format),
            reasoning=_reasoning(asked.reasoning_effort),
            sampling=Sampling(
                temperature=asked.temperature,
                top_p=asked.top_p,
                top_k=asked.top_k,
                frequency_penalty=asked.frequency_penalty or None,
                presence_penalty=asked.presence_penalty or None,
                seed=asked.seed,
            ),
            stop=(asked.stop,) if isinstance(asked.stop, str) else tuple(asked.stop or ()),
            user=asked.safety_identifier or asked.user or "",
        )

    def write_answer(self, request: ModelRequest, answer: Answer, answer_id: str) -> bytes:
        """A `chat.completion`."""
        return write_chat_answer(request, answer, answer_id)

    def event_writer(self, request: ModelRequest, answer_id: str) -> EventWriter:
        """A writer of `chat.completion.chunk` events."""
        return ChatEventWriter(request, answer_id)


def _check(asked: Any) -> None:
    for field, why in _ONLY_HERE.items():
        if getattr(asked, field):
            raise Untranslatable(field, why)
    if (asked.n or 1) > 1:
        raise Untranslatable("n", "other vendors give one answer to a request")
    if asked.verbosity not in (None, "medium"):
        raise Untranslatable("verbosity", "only OpenAI's models have it")


def _tools(asked: Any) -> tuple[Tool, ...]:
    defined: list[types.FunctionDefinition] = []
    for index, tool in enumerate(asked.tools or ()):
        if isinstance(tool, types.CustomTool):
            raise custom_tool(f"tools[{index}]")
        defined.append(tool.function)
    return tuple(
        Tool(
            name=function.name,
            description=function.description or "",
            schema=NO_ARGUMENTS if function.parameters is None else function.parameters,
            strict=bool(function.strict),
        )
        for function in (*defined, *(asked.functions or ()))
    )


def _tool_choice(asked: Any, tools: tuple[Tool, ...]) -> ToolChoice | None:
    asks_for_functions = asked.tool_choice is None and asked.function_call is not None
    field = "function_call" if asks_for_functions else "tool_choice"
    choice = asked.function_call if asks_for_functions else asked.tool_choice
    if isinstance(choice, types.FunctionName):
        name: object = choice.name
    elif isinstance(choice, dict):
        called = choice.get("function")
        name = called.get("name") if isinstance(called, dict) else None
        if choice.get("type") != "function" or not isinstance(name, str):
            raise Untranslatable(field, "other vendors take a mode or the name of one function")
    else:
        if choice is None or (not tools and choice != "required"):
            return None
        if not tools:
            raise Untranslatable(field, "there is no tool to be called")
        return ToolChoice(choice)
    if name not in {tool.name for tool in tools}:
        raise Untranslatable(field, "there is no tool of this name")
    return ToolChoice("tool", str(name))


def _parallel(asked: Any) -> bool | None:
    """An answer in the old form of functions holds one call."""
    return cast("bool | None", False if asked.functions else asked.parallel_tool_calls)


def _output(wanted: Any) -> OutputSchema | None:
    if isinstance(wanted, types.JsonObjectFormat):
        return OutputSchema("", None)
    if not isinstance(wanted, types.JsonSchemaFormat):
        return None
    described = wanted.json_schema
    return OutputSchema(
        described.name, described.schema, described.description or "", bool(described.strict)
    )


def _reasoning(effort: Effort | None) -> Reasoning | None:
    return None if effort is None else Reasoning(effort=effort)


CHAT_CLIENT: Final[ClientFormat] = ChatClient()
