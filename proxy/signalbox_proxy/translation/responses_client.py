"""OpenAI's responses as a client's format: items in, output items out, nothing stored."""

from typing import Any, Final

from signalbox_proxy.model_request import ModelRequest
from signalbox_proxy.surfaces import responses as surface
from signalbox_proxy.surfaces import responses_items as items
from signalbox_proxy.surfaces import responses_types as types
from signalbox_proxy.translation.answer import Answer
from signalbox_proxy.translation.contract import ClientFormat, EventWriter, Untranslatable
from signalbox_proxy.translation.conversation import (
    Conversation,
    OutputSchema,
    Reasoning,
    Sampling,
    Text,
    Tool,
    ToolChoice,
)
from signalbox_proxy.translation.openai_messages import NO_ARGUMENTS, custom_tool
from signalbox_proxy.translation.responses_answers import write_response
from signalbox_proxy.translation.responses_events import ResponsesEventWriter
from signalbox_proxy.translation.responses_reading import ResponseItems


class ResponsesClient:
    """The format object; see `contract.ClientFormat`.

    Left out because they change nothing in an answer: metadata, prompt_cache_key,
    prompt_cache_retention, prompt_cache_options, stream_options, service_tier, client_metadata,
    max_tool_calls (it counts the provider's own tools), include of what does not occur,
    annotations, phase.
    """

    def read(self, body: dict[str, Any]) -> Conversation:
        """The neutral form of an accepted body."""
        asked = surface.read(body)
        _check(asked)
        said = ResponseItems()
        if asked.instructions:
            said.system.append(Text(asked.instructions))
        if isinstance(asked.input, str):
            message = items.Message(role="user", content=asked.input)
            said.take(message, "input")
        else:
            for index, item in enumerate(asked.input):
                said.take(item, f"input[{index}]")
        tools = _tools(asked)
        return Conversation(
            system=tuple(said.system),
            turns=said.turns,
            tools=tools,
            tool_choice=_tool_choice(asked.tool_choice, tools),
            parallel_tools=asked.parallel_tool_calls if tools else None,
            output=_output(asked.text),
            reasoning=_reasoning(asked.reasoning),
            sampling=Sampling(temperature=asked.temperature, top_p=asked.top_p),
            user=asked.safety_identifier or asked.user or "",
        )

    def write_answer(self, request: ModelRequest, answer: Answer, answer_id: str) -> bytes:
        """A `response`."""
        return write_response(request, answer, answer_id)

    def event_writer(self, request: ModelRequest, answer_id: str) -> EventWriter:
        """A writer of named events."""
        return ResponsesEventWriter(request, answer_id)


def _check(asked: Any) -> None:
    if asked.store:
        raise Untranslatable("store", "only OpenAI's own format stores answers")
    if asked.previous_response_id is not None:
        raise Untranslatable("previous_response_id", "only OpenAI's own format continues answers")
    if asked.top_logprobs or "message.output_text.logprobs" in (asked.include or ()):
        raise Untranslatable("top_logprobs", "only OpenAI's format returns them")
    if asked.truncation == "auto":
        raise Untranslatable("truncation", "other vendors cut nothing out of a conversation")
    if asked.text is not None and asked.text.verbosity not in (None, "medium"):
        raise Untranslatable("text.verbosity", "only OpenAI's models have it")
    if asked.reasoning is not None and asked.reasoning.context not in (None, "auto"):
        raise Untranslatable("reasoning.context", "only OpenAI's models choose what they recall")


def _tools(asked: Any) -> tuple[Tool, ...]:
    tools: list[Tool] = []
    for index, tool in enumerate(asked.tools or ()):
        if isinstance(tool, types.CustomTool):
            raise custom_tool(f"tools[{index}]")
        schema = NO_ARGUMENTS if tool.parameters is None else tool.parameters
        tools.append(Tool(tool.name, tool.description or "", schema, strict=bool(tool.strict)))
    return tuple(tools)


def _tool_choice(choice: Any, tools: tuple[Tool, ...]) -> ToolChoice | None:
    if isinstance(choice, dict):
        name = choice.get("name")
        if choice.get("type") != "function" or not isinstance(name, str):
            raise Untranslatable(
                "tool_choice", "other vendors take a mode or the name of one function"
            )
        if name not in {tool.name for tool in tools}:
            raise Untranslatable("tool_choice", "there is no tool of this name")
        return ToolChoice("tool", name)
    if choice == "required" and not tools:
        raise Untranslatable("tool_choice", "there is no tool to be called")
    return None if choice is None or not tools else ToolChoice(choice)


def _output(config: types.TextConfig | None) -> OutputSchema | None:
    wanted = config.format if config is not None else None
    if isinstance(wanted, types.JsonObjectFormat):
        return OutputSchema("", None)
    if not isinstance(wanted, types.JsonSchemaFormat):
        return None
    return OutputSchema(
        wanted.name, wanted.schema, wanted.description or "", strict=bool(wanted.strict)
    )


def _reasoning(asked: types.Reasoning | None) -> Reasoning | None:
    """Reasoning is shown where a summary of it was asked for."""
    if asked is None:
        return None
    is_shown = bool(asked.summary or asked.generate_summary)
    if asked.effort is None and not is_shown:
        return None
    return Reasoning(effort=asked.effort, visible=is_shown)


RESPONSES_CLIENT: Final[ClientFormat] = ResponsesClient()
