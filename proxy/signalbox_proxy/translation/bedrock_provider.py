"""Amazon Bedrock's Converse and ConverseStream: the provider format `bedrock`.

Sources: Amazon Bedrock API Reference (Converse, ConverseStream) and User Guide ("Using the Converse
API", "Prompt caching"). One body fits every model of the service but for what `bedrock_models`
writes by vendor. What is left out because it changes nothing in the answer: the end user's name,
an image's detail.
"""

import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

import msgspec

from signalbox_proxy.surfaces import governed
from signalbox_proxy.surfaces.decoding import encode_body
from signalbox_proxy.translation import bedrock_content as content
from signalbox_proxy.translation.answer import Answer
from signalbox_proxy.translation.anthropic_schemas import find_unheld, without_idle_bounds
from signalbox_proxy.translation.bedrock_answers import read_answer
from signalbox_proxy.translation.bedrock_models import (
    MIN_BUDGET,
    Wishes,
    additional_fields,
    effort_of,
    obstacle,
    takes_cache_points_in_tools,
)
from signalbox_proxy.translation.bedrock_streams import BedrockEventReader
from signalbox_proxy.translation.contract import Untranslatable
from signalbox_proxy.translation.conversation import (
    Conversation,
    OutputSchema,
    Sampling,
    Thinking,
    Tool,
    ToolChoice,
    ToolResult,
)
from signalbox_proxy.translation.written_text import Wording, text_bytes
from signalbox_proxy.unreadable import UNREADABLE
from signalbox_snapshot.snapshot import Lane, WireFormat

_WISHES: Final = ""
"""Where `write` keeps for `body` what each lane's model words differently."""

_LANES_OWN: Final = re.compile(
    r"model identifier is invalid|on-demand throughput isn|access to (?:the|this) model"
    r"|reached the end of its life|model is not supported in",
    re.IGNORECASE,
)
"""Sentences about the lane's model or account; their status is that of a client's fault."""

_COMBINED: Final = ("anyOf", "oneOf", "allOf")
_STOP_SEQUENCE: Final = "/stop_sequence"


class _Error(msgspec.Struct):
    message: Any = None
    capital: Any = msgspec.field(default=None, name="Message")


_WORDING: Final = Wording(
    json=frozenset({"input", "json", "schema"}),
    apart=frozenset(
        {"image", "cachePoint", "inferenceConfig", "additionalModelResponseFieldPaths", "format"}
    ),
    base64=frozenset({"bytes"}),
)


class BedrockFormat:
    """See `contract.ProviderFormat`, `contract.ModelDependent` and `contract.NamesFaults`."""

    @property
    def name(self) -> WireFormat:
        """See `ProviderFormat`."""
        return "bedrock"

    def write(self, conversation: Conversation) -> dict[str, Any]:
        """See `ProviderFormat`."""
        _check(conversation)
        written: dict[str, Any] = {"messages": content.messages(conversation.turns)}
        if system := content.texts(conversation.system):
            written["system"] = system
        if tools := _tool_config(conversation):
            written["toolConfig"] = tools
        content.bound_cache_points(
            tools["tools"] if tools else [],
            system,
            *(message["content"] for message in written["messages"]),
        )
        if inference := _inference(conversation.sampling, conversation.stop):
            written["inferenceConfig"] = inference
        if conversation.stop:
            written["additionalModelResponseFieldPaths"] = [_STOP_SEQUENCE]
        if conversation.output is not None:
            written["outputConfig"] = {"textFormat": _text_format(conversation.output)}
        written[_WISHES] = Wishes.of(conversation)
        return written

    def text_bytes(self, written: dict[str, Any]) -> int:
        """See `ProviderFormat`."""
        return text_bytes(written, _WORDING)

    def model_obstacle(self, written: dict[str, Any], lane: Lane) -> Untranslatable | None:
        """See `contract.ModelDependent`."""
        return obstacle(written[_WISHES], lane.upstream_model)

    def body(
        self, written: dict[str, Any], lane: Lane, *, output_limit: int | None, stream: bool
    ) -> bytes:
        """See `ProviderFormat`; model and stream are in the path."""
        body = dict(written)
        wishes: Wishes = body.pop(_WISHES)
        if output_limit is not None:
            body["inferenceConfig"] = {**body.get("inferenceConfig", {}), "maxTokens": output_limit}
        if fields := additional_fields(wishes, lane.upstream_model, output_limit):
            body["additionalModelRequestFields"] = fields
        if effort := effort_of(wishes, lane.upstream_model):
            body["outputConfig"] = {**body.get("outputConfig", {}), "effort": effort}
        if "toolConfig" in body and not takes_cache_points_in_tools(lane.upstream_model):
            tools = [tool for tool in body["toolConfig"]["tools"] if "cachePoint" not in tool]
            body["toolConfig"] = {**body["toolConfig"], "tools": tools}
        if lane.service_tier:
            body["serviceTier"] = {"type": lane.service_tier}
        return encode_body(body)

    def path(self, lane: Lane, *, stream: bool) -> str:
        """See `ProviderFormat`; an id or ARN of a model is one segment."""
        operation = "converse-stream" if stream else "converse"
        return f"/model/{quote(lane.upstream_model, safe='')}/{operation}"

    def headers(self, client: Mapping[str, str], lane: Lane, credential: str) -> dict[str, str]:
        """See `ProviderFormat`; an API key of Bedrock is a bearer token."""
        headers = governed.common_headers(client, stream_capable=False)
        headers["accept"] = "application/json, application/vnd.amazon.eventstream"
        if lane.auth == "apiKey":
            headers["authorization"] = f"Bearer {credential}"
        return headers

    def read_answer(self, body: bytes) -> Answer:
        """See `ProviderFormat`."""
        return read_answer(body)

    def event_reader(self) -> BedrockEventReader:
        """See `ProviderFormat`."""
        return BedrockEventReader()

    def error_message(self, body: bytes) -> str:
        """See `ProviderFormat`."""
        try:
            error = msgspec.json.decode(body, type=_Error)
        except UNREADABLE:
            return ""
        message = error.message or error.capital
        return message if isinstance(message, str) else ""

    def is_lanes_own(self, body: bytes) -> bool:
        """See `contract.NamesFaults`: Bedrock says 400 or 404 of a model that is not to be had."""
        return _LANES_OWN.search(self.error_message(body)) is not None


def _check(conversation: Conversation) -> None:
    """What Converse has no word for."""
    sampling = conversation.sampling
    if conversation.choices != 1:
        raise Untranslatable("n", "Converse gives one answer")
    for field in ("frequency_penalty", "presence_penalty"):
        if getattr(sampling, field):
            raise Untranslatable(field, "Converse has no such field")
    if sampling.seed is not None:
        raise Untranslatable("seed", "Converse has no such field")
    if conversation.parallel_tools is False and conversation.tools:
        raise Untranslatable("parallel_tool_calls", "Converse cannot keep a model to one call")
    reasoning = conversation.reasoning
    if reasoning is not None and reasoning.budget_tokens is not None:
        _check_budget(conversation, reasoning.budget_tokens)


def _check_budget(conversation: Conversation, budget: int) -> None:
    """Thinking within a budget: at least 1,024 tokens, and never without what was thought before.

    Source: Anthropic, "Extended thinking with tool use": a turn of tool calls goes back with the
    thinking in front of it.
    """
    if budget < MIN_BUDGET:
        why = f"Converse takes {MIN_BUDGET} tokens or more"
        raise Untranslatable("thinking.budget_tokens", why)
    turns = conversation.turns
    if len(turns) < 2 or not any(isinstance(part, ToolResult) for part in turns[-1].parts):
        return
    first = turns[-2].parts[0] if turns[-2].parts else None
    if not isinstance(first, Thinking) or first.origin != content.ORIGIN:
        raise Untranslatable("thinking", "what was thought before the last call is another's")


def _tool_config(conversation: Conversation) -> dict[str, Any] | None:
    """Tools and the choice among them. None may be called: they are left out, where none were."""
    has_calls = content.has_calls(conversation.turns)
    choice = conversation.tool_choice
    if choice is not None and choice.mode == "none":
        if has_calls:
            raise Untranslatable("tool_choice", "Converse cannot forbid tools once they were used")
        return None
    if not conversation.tools:
        if choice is not None and choice.mode in ("required", "tool"):
            raise Untranslatable("tool_choice", "there are no tools to choose from")
        if has_calls:
            raise Untranslatable("tools", "Converse needs the tools that were used before")
        return None
    tools: list[dict[str, Any]] = []
    for tool in conversation.tools:
        tools.append({"toolSpec": _tool(tool)})
        if tool.cache:
            tools.append(content.cache_point(tool.cache))
    if choice is None:
        return {"tools": tools}
    return {"tools": tools, "toolChoice": _choice(choice)}


def _tool(tool: Tool) -> dict[str, Any]:
    if any(key in tool.schema for key in _COMBINED):
        raise Untranslatable("tools", "Converse takes no choice of schemas at the top of one")
    written: dict[str, Any] = {
        "name": content.tool_name(tool.name, "tools"),
        "inputSchema": {"json": {"type": "object"} | tool.schema},
    }
    if tool.description:
        written["description"] = tool.description
    if tool.strict:
        written["strict"] = True
    return written


def _choice(choice: ToolChoice) -> dict[str, Any]:
    if choice.mode == "tool":
        return {"tool": {"name": content.tool_name(choice.name, "tool_choice")}}
    return {"any": {}} if choice.mode == "required" else {"auto": {}}


def _inference(sampling: Sampling, stop: tuple[str, ...]) -> dict[str, Any]:
    inference: dict[str, Any] = {}
    for field, name, value in (
        ("temperature", "temperature", sampling.temperature),
        ("top_p", "topP", sampling.top_p),
    ):
        if value is None:
            continue
        if not 0 <= value <= 1:
            raise Untranslatable(field, "Converse takes 0 to 1")
        inference[name] = value
    if len(stop) > 2500 or not all(sequence.strip() for sequence in stop):
        raise Untranslatable("stop", "Converse takes at most 2500 sequences, none of them blank")
    if stop:
        inference["stopSequences"] = list(stop)
    return inference


def _text_format(output: OutputSchema) -> dict[str, Any]:
    if output.schema is None:
        raise Untranslatable("response_format", "Converse gives JSON by a schema only")
    held = without_idle_bounds(output.schema)
    if unheld := find_unheld(held, "Converse"):
        raise Untranslatable("response_format.json_schema.schema", unheld)
    schema: dict[str, Any] = {"schema": encode_body(held).decode()}
    if output.name:
        schema["name"] = output.name
    if output.description:
        schema["description"] = output.description
    return {"type": "json_schema", "structure": {"jsonSchema": schema}}


BEDROCK: Final = BedrockFormat()
