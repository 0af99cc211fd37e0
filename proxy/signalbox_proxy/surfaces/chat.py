"""OpenAI's chat completions: `POST /v1/chat/completions`."""

from collections.abc import Mapping
from typing import Any, Final

from signalbox_proxy.model_request import CacheWrite, ModelRequest, SurfaceName
from signalbox_proxy.surfaces import chat_types as types
from signalbox_proxy.surfaces import governed
from signalbox_proxy.surfaces.chat_answers import ChatStreamReader, read_chat_answer
from signalbox_proxy.surfaces.contract import AnswerFacts, StreamReader
from signalbox_proxy.surfaces.decoding import encode_body
from signalbox_proxy.surfaces.fields import invalid, no_bound
from signalbox_proxy.surfaces.openai_surface import OpenaiSurface
from signalbox_proxy.surfaces.texts import Texts
from signalbox_snapshot.snapshot import Lane, WireFormat

GOOGLES: Final = frozenset({"google", "vertex"})
"""Providers of lanes that are sent what Google signed; to others it means nothing."""


class ChatSurface(OpenaiSurface):
    """The surface object; see `contract.Surface`."""

    name: SurfaceName = "chat"
    wire_format: WireFormat = "openai"
    path = "/v1/chat/completions"

    def parse(self, body: dict[str, Any], headers: Mapping[str, str]) -> ModelRequest:
        """Understand a decoded body."""
        body, metadata = governed.take_metadata(body)
        asked = types.CHAT.read(body)
        _check_pairs(asked)
        _check_governed(asked)
        texts = Texts()
        _collect_tools(texts, asked)
        for index, message in enumerate(asked.messages):
            _collect_message(texts, message, f"messages[{index}]")
        schema = _output_schema(texts, asked)
        limit = asked.max_completion_tokens or asked.max_tokens
        return ModelRequest(
            surface="chat",
            body=body,
            model=asked.model,
            stream=bool(asked.stream),
            wants_stream_usage=bool(asked.stream_options and asked.stream_options.include_usage),
            text_bytes=texts.bytes,
            texts=tuple(texts.collected),
            messages=texts.messages,
            tools=texts.tools,
            images=texts.images,
            input_tokens=0,
            output_limit=limit,
            choices=asked.n or 1,
            needs=_needs(asked, texts, schema),
            tool_names=_tool_names(asked),
            cache_write=_cache_write(asked),
            output_schema=schema,
            user=asked.safety_identifier or asked.user or "",
            metadata=metadata,
            has_sealed=any(map(_is_signed, asked.messages)),
        )

    def upstream_path(self, lane: Lane) -> str:
        """Path below the lane's endpoint."""
        return governed.openai_path(lane, "/chat/completions")

    def upstream_body(self, request: ModelRequest, lane: Lane, output_limit: int | None) -> bytes:
        """The body for one lane."""
        body = dict(request.body)
        if request.has_sealed and lane.provider not in GOOGLES:
            body["messages"] = [_without_signatures(message) for message in body["messages"]]
        limit = output_limit if output_limit is not None else request.output_limit
        governed.write_openai_lane(body, lane, output_limit=limit, stream=request.stream)
        governed.write_cache_key(body, lane, request.cache_key)
        return encode_body(body)

    def read_answer(self, request: ModelRequest, body: bytes) -> AnswerFacts:
        """Read a whole answer."""
        return read_chat_answer(body, request.cache_write)

    def stream_reader(self, request: ModelRequest) -> StreamReader:
        """A reader for one streamed answer."""
        return ChatStreamReader(
            wants_usage=request.wants_stream_usage, cache_write=request.cache_write
        )


def _check_pairs(asked: Any) -> None:
    if asked.max_tokens is not None and asked.max_completion_tokens is not None:
        raise invalid(
            "max_tokens",
            "max_tokens and max_completion_tokens cannot be given together. Send one of them.",
        )
    if asked.stream_options is not None and not asked.stream:
        raise invalid(
            "stream_options", "stream_options is allowed only with stream: true. Leave it out."
        )
    if asked.top_logprobs is not None and not asked.logprobs:
        raise invalid("top_logprobs", "top_logprobs needs logprobs: true. Add it.")


def _check_governed(asked: Any) -> None:
    if asked.service_tier not in (None, "auto", "default"):
        raise no_bound("service_tier", "the lane decides the service tier and so the price")
    if asked.modalities is not None and asked.modalities != ["text"]:
        raise no_bound("modalities", "only text output has a known price")


def _collect_message(texts: Texts, message: types.Message, path: str) -> None:
    texts.messages += 1
    texts.add(message.name)
    content = message.content
    if isinstance(content, str):
        texts.add(content)
    elif content is not None:
        texts.messages += len(content) - 1
        for part in content:
            _collect_part(texts, part)
    elif message.role in ("system", "developer", "user", "tool"):
        raise invalid(f"{path}.content", f"Missing required field '{path}.content'. Add it.")
    for text in (message.refusal, message.reasoning, message.reasoning_content):
        texts.add(text)
    for call in message.tool_calls or ():
        texts.messages += 1
        texts.add(call.id)
        if isinstance(call, types.FunctionCall):
            texts.add(call.function.name)
            texts.add(call.function.arguments)
            texts.add(call.googles_signature)
        else:
            texts.add(call.custom.name)
            texts.add(call.custom.input)
    if message.function_call is not None:
        texts.messages += 1
        texts.add(message.function_call.name)
        texts.add(message.function_call.arguments)
    texts.add(message.tool_call_id)
    if message.annotations:
        texts.add_json(message.annotations)


def _is_signed(message: types.Message) -> bool:
    return any(
        isinstance(call, types.FunctionCall) and call.extra_content is not None
        for call in message.tool_calls or ()
    )


def _without_signatures(message: dict[str, Any]) -> dict[str, Any]:
    calls = message.get("tool_calls")
    if not calls:
        return message
    bare = [
        {name: each for name, each in call.items() if name != "extra_content"} for call in calls
    ]
    return message | {"tool_calls": bare}


def _collect_part(texts: Texts, part: types.ContentPart) -> None:
    if isinstance(part, types.TextPart):
        texts.add(part.text)
    elif isinstance(part, types.RefusalPart):
        texts.add(part.refusal)
    else:
        texts.images += 1


def _collect_tools(texts: Texts, asked: Any) -> None:
    definitions = [
        tool.function if isinstance(tool, types.FunctionTool) else tool.custom
        for tool in asked.tools or ()
    ]
    for definition in (*definitions, *(asked.functions or ())):
        texts.tools += 1
        texts.add(definition.name)
        texts.add(definition.description)
        is_custom = isinstance(definition, types.CustomDefinition)
        texts.add_json(definition.format if is_custom else definition.parameters)
    if isinstance(asked.tool_choice, dict):
        texts.add_json(asked.tool_choice)


def _output_schema(texts: Texts, asked: Any) -> dict[str, Any] | None:
    wanted = asked.response_format
    if not isinstance(wanted, types.JsonSchemaFormat):
        return None
    texts.tools += 1
    texts.add(wanted.json_schema.name)
    texts.add(wanted.json_schema.description)
    texts.add_json(wanted.json_schema.schema)
    return wanted.json_schema.schema


def _needs(asked: Any, texts: Texts, schema: dict[str, Any] | None) -> frozenset[str]:
    needs = {"chat"}
    if asked.tools or asked.functions:
        needs.add("tools")
    if texts.images:
        needs.add("images")
    if schema is not None:
        needs.add("structuredOutput")
    if asked.reasoning_effort not in (None, "none"):
        needs.add("reasoning")
    if _cache_write(asked) in ("5m", "1h"):
        needs.add("promptCaching")
    return frozenset(needs)


def _tool_names(asked: Any) -> tuple[str, ...]:
    names = [
        tool.function.name if isinstance(tool, types.FunctionTool) else tool.custom.name
        for tool in asked.tools or ()
    ]
    return (*names, *(function.name for function in asked.functions or ()))


def _cache_write(asked: Any) -> CacheWrite:
    """The dearest cache write. Unless told otherwise, providers may write the cache unasked."""
    marks = [
        part.prompt_cache_breakpoint
        for message in asked.messages
        if isinstance(message.content, list)
        for part in message.content
        if not isinstance(part, types.RefusalPart) and part.prompt_cache_breakpoint is not None
    ]
    if marks:
        return "1h" if any(mark.ttl == "12h" for mark in marks) else "5m"
    options = asked.prompt_cache_options
    return "none" if options is not None and options.mode == "explicit" else "implicit"


CHAT = ChatSurface()
