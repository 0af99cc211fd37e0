"""OpenAI's chat completions as a provider's format: OpenAI, Azure, vLLM, Ollama, Mistral, Groq.

Written is what every server of this format takes. What only some take is not: they answer a field
that they do not know with an error.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

from signalbox_proxy.surfaces import governed
from signalbox_proxy.surfaces.decoding import encode_body
from signalbox_proxy.translation.answer import Answer
from signalbox_proxy.translation.contract import EventReader, Untranslatable
from signalbox_proxy.translation.conversation import (
    Conversation,
    Effort,
    OutputSchema,
    Reasoning,
    Tool,
    ToolChoice,
)
from signalbox_proxy.translation.openai_events import ChatEventReader
from signalbox_proxy.translation.openai_reading import error_message, read_chat_answer
from signalbox_proxy.translation.openai_strict import strict_fault
from signalbox_proxy.translation.openai_words import chat_messages
from signalbox_proxy.translation.written_text import Wording, text_bytes
from signalbox_snapshot.snapshot import Lane, WireFormat

MAX_STOPS: Final = 4
"""Stop sequences of one request, as OpenAI states it."""

LOW_BUDGET: Final = 4_096
MEDIUM_BUDGET: Final = 16_384
"""Thinking budgets up to these are low and medium effort, larger ones are high."""

_OPENAI: Final = ("openai", "azure")
_THINKS_OR_CALLS: Final = re.compile(r"^gpt-(?:5\.([4-9]|[1-9]\d)|[6-9](?:\.\d+)?)(?=$|-)")
_THINKS_ASKED: Final = ("4",)
"""Of those, the minor versions of GPT-5 that think only where an effort is named."""

_WORDING: Final = Wording(
    json=frozenset({"parameters", "schema"}),
    apart=frozenset({"image_url", "stop", "reasoning_effort"}),
)


class OpenaiProvider:
    """The format object; see `contract.ProviderFormat`.

    Left out because they change nothing in an answer: cache points, the user, and whether
    reasoning is to be shown.
    """

    name: WireFormat = "openai"

    def write(self, conversation: Conversation) -> dict[str, Any]:
        """The body without model, limit, stream and tier."""
        body: dict[str, Any] = {"messages": chat_messages(conversation)}
        if conversation.choices != 1:
            raise Untranslatable("n", "a translated answer has one choice")
        if conversation.tools:
            body["tools"] = [
                _tool(tool, f"tools[{n}]") for n, tool in enumerate(conversation.tools)
            ]
            if conversation.tool_choice is not None:
                body["tool_choice"] = _tool_choice(conversation.tool_choice)
            if conversation.parallel_tools is not None:
                body["parallel_tool_calls"] = conversation.parallel_tools
        if conversation.output is not None:
            body["response_format"] = _response_format(conversation.output)
        effort = _effort(conversation.reasoning)
        if effort is not None:
            body["reasoning_effort"] = effort
        if len(conversation.stop) > MAX_STOPS:
            raise Untranslatable("stop", f"OpenAI's format takes at most {MAX_STOPS} sequences")
        if conversation.stop:
            body["stop"] = list(conversation.stop)
        return body | _sampling(conversation)

    def text_bytes(self, written: dict[str, Any]) -> int:
        """Most tokens of the text that is sent."""
        return text_bytes(written, _WORDING)

    def body(
        self, written: dict[str, Any], lane: Lane, *, output_limit: int | None, stream: bool
    ) -> bytes:
        """The bytes for one lane."""
        body = dict(written)
        if stream:
            body["stream"] = True
        governed.write_openai_lane(body, lane, output_limit=output_limit, stream=stream)
        return encode_body(body)

    def model_obstacle(self, written: dict[str, Any], lane: Lane) -> Untranslatable | None:
        """What the lane's model cannot be told: see `contract.ModelDependent`.

        OpenAI's models from GPT-5.4 on think or call functions at this path, not both; from
        GPT-5.5 on they think unless told not to.
        """
        model = _THINKS_OR_CALLS.search(lane.upstream_model)
        if model is None or "tools" not in written or lane.provider not in _OPENAI:
            return None
        effort = written.get("reasoning_effort")
        if effort == "none" or (effort is None and model[1] in _THINKS_ASKED):
            return None
        why = f"{lane.upstream_model} takes no tools at /chat/completions unless it is none"
        return Untranslatable("reasoning_effort", why)

    def path(self, lane: Lane, *, stream: bool) -> str:
        """Path below the lane's endpoint."""
        return governed.openai_path(lane, "/chat/completions")

    def headers(self, client: Mapping[str, str], lane: Lane, credential: str) -> dict[str, str]:
        """All headers of the call."""
        return governed.common_headers(client, stream_capable=True) | governed.openai_credential(
            lane, credential
        )

    def read_answer(self, body: bytes) -> Answer:
        """A whole answer."""
        return read_chat_answer(body)

    def event_reader(self) -> EventReader:
        """A reader for one stream."""
        return ChatEventReader()

    def error_message(self, body: bytes) -> str:
        """The sentence in an error's body."""
        return error_message(body)


def _tool(tool: Tool, field: str) -> dict[str, Any]:
    function: dict[str, Any] = {"name": tool.name, "parameters": tool.schema}
    if tool.description:
        function["description"] = tool.description
    if tool.strict:
        _check_strict(tool.schema, field)
        function["strict"] = True
    return {"type": "function", "function": function}


def _tool_choice(choice: ToolChoice) -> str | dict[str, Any]:
    if choice.mode != "tool":
        return choice.mode
    return {"type": "function", "function": {"name": choice.name}}


def _response_format(output: OutputSchema) -> dict[str, Any]:
    if output.schema is None:
        return {"type": "json_object"}
    described: dict[str, Any] = {"name": output.name or "answer", "schema": output.schema}
    if output.description:
        described["description"] = output.description
    if output.strict:
        _check_strict(output.schema, "response_format.json_schema.schema")
        described["strict"] = True
    return {"type": "json_schema", "json_schema": described}


def _check_strict(schema: dict[str, Any], field: str) -> None:
    fault = strict_fault(schema)
    if fault:
        raise Untranslatable(field, fault)


def _effort(reasoning: Reasoning | None) -> Effort | None:
    """The effort; a budget in tokens by the table above. As the model likes: the default."""
    if reasoning is None or reasoning.effort is not None:
        return reasoning.effort if reasoning is not None else None
    budget = reasoning.budget_tokens
    if budget is None:
        return None
    if budget <= LOW_BUDGET:
        return "low"
    return "medium" if budget <= MEDIUM_BUDGET else "high"


def _sampling(conversation: Conversation) -> dict[str, Any]:
    sampling = conversation.sampling
    if sampling.top_k is not None:
        raise Untranslatable("top_k", "OpenAI's format has no such field")
    said = {
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "frequency_penalty": sampling.frequency_penalty,
        "presence_penalty": sampling.presence_penalty,
        "seed": sampling.seed,
    }
    return {name: value for name, value in said.items() if value is not None}


OPENAI: Final = OpenaiProvider()
