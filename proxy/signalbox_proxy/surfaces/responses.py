"""OpenAI's responses: `POST /v1/responses`. What the provider stores is the policies' to say."""

from collections.abc import Mapping
from typing import Any

from signalbox_proxy.model_request import ModelRequest, SurfaceName
from signalbox_proxy.refusals import Refusal
from signalbox_proxy.sealing import is_sealed
from signalbox_proxy.surfaces import errors, governed
from signalbox_proxy.surfaces import responses_types as types
from signalbox_proxy.surfaces.contract import AnswerFacts, StreamReader
from signalbox_proxy.surfaces.decoding import encode_body
from signalbox_proxy.surfaces.fields import no_bound
from signalbox_proxy.surfaces.openai_surface import OpenaiSurface
from signalbox_proxy.surfaces.responses_answers import ResponsesStreamReader, read_response
from signalbox_proxy.surfaces.responses_content import ResponsesContent
from signalbox_snapshot.snapshot import Lane, WireFormat

ENCRYPTED = "reasoning.encrypted_content"


class ResponsesSurface(OpenaiSurface):
    """The surface object; see `contract.Surface`."""

    name: SurfaceName = "responses"
    wire_format: WireFormat = "openai"
    path = "/v1/responses"

    def parse(self, body: dict[str, Any], headers: Mapping[str, str]) -> ModelRequest:
        """Understand a decoded body."""
        body, metadata = governed.take_metadata(body)
        asked = read(body)
        _check_governed(asked)
        content = ResponsesContent(asked)
        texts = content.texts
        return ModelRequest(
            surface="responses",
            body=body,
            model=asked.model,
            stream=bool(asked.stream),
            wants_stream_usage=True,
            text_bytes=texts.bytes,
            texts=tuple(texts.collected),
            messages=texts.messages,
            tools=texts.tools,
            images=texts.images,
            input_tokens=0,
            output_limit=asked.max_output_tokens,
            choices=1,
            needs=content.needs,
            tool_names=tuple(tool.name for tool in asked.tools or ()),
            cache_write=content.cache_write,
            output_schema=content.schema,
            has_sealed=content.has_sealed,
            user=asked.safety_identifier or asked.user or "",
            metadata=metadata,
            previous_response=asked.previous_response_id or "",
        )

    def upstream_path(self, lane: Lane) -> str:
        """Path below the lane's endpoint."""
        return governed.openai_path(lane, "/responses")

    def upstream_body(self, request: ModelRequest, lane: Lane, output_limit: int | None) -> bytes:
        """The body for one lane. Nothing is stored there unless a policy allows it.

        So that a reasoning model's thoughts can come back with the next request, they are asked
        for in their encrypted form. Thoughts that come back without it are ids of what was never
        stored, and those of another vendor mean nothing here: the provider would refuse both.
        """
        body = dict(request.body)
        body["model"] = lane.upstream_model
        body["store"] = request.stores
        body["input"] = _readable_there(body["input"])
        limit = output_limit if output_limit is not None else request.output_limit
        if limit is not None:
            body["max_output_tokens"] = limit
        if body.get("reasoning"):
            included = body.get("include") or []
            body["include"] = included if ENCRYPTED in included else [*included, ENCRYPTED]
        governed.write_openai_tier(body, lane)
        governed.write_cache_key(body, lane, request.cache_key)
        return encode_body(body)

    def read_answer(self, request: ModelRequest, body: bytes) -> AnswerFacts:
        """Read a whole answer."""
        return read_response(body, request.cache_write)

    def stream_reader(self, request: ModelRequest) -> StreamReader:
        """A reader for one streamed answer."""
        return ResponsesStreamReader(request.cache_write)

    def stream_error(self, refusal: Refusal, run_id: str) -> bytes:
        """A refusal as the last event of a stream."""
        return b"event: error\n" + errors.openai_stream_error(refusal, run_id)


def read(body: dict[str, Any]) -> Any:
    """A body as a typed object. An item without a type is a message, as OpenAI reads it."""
    items = body.get("input")
    if isinstance(items, list):
        named = [
            {**item, "type": "message"}
            if isinstance(item, dict) and item.get("type") is None and "role" in item
            else item
            for item in items
        ]
        body = {**body, "input": named}
    return types.RESPONSES.read(body)


def _readable_there(items: Any) -> Any:
    """Where thoughts stay behind, what they led to goes without its id: a provider that knows the
    id, as it stored the answer, demands the thoughts with it."""
    if isinstance(items, str):
        return items
    readable = [item for item in items if _is_readable(item)]
    if len(readable) == len(items):
        return items
    return [item if item.get("type") == "reasoning" else _without_id(item) for item in readable]


def _without_id(item: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in item.items() if name != "id"}


def _is_readable(item: dict[str, Any]) -> bool:
    """Whether an item says something to a provider that stored nothing."""
    if item.get("type") != "reasoning":
        return True
    encrypted = item.get("encrypted_content") or ""
    return bool(encrypted or item.get("content")) and not is_sealed(encrypted)


def _check_governed(asked: Any) -> None:
    if asked.background:
        raise no_bound("background", "an answer that nobody waits for cannot be settled")
    if asked.service_tier not in (None, "auto", "default"):
        raise no_bound("service_tier", "the lane decides the service tier and so the price")


RESPONSES = ResponsesSurface()
