"""Anthropic's messages: `POST /v1/messages`."""

from collections.abc import Mapping
from typing import Any, Final

from signalbox_proxy.model_request import ModelRequest, SurfaceName
from signalbox_proxy.refusals import Refusal
from signalbox_proxy.surfaces import errors, governed
from signalbox_proxy.surfaces.contract import AnswerFacts, StreamReader
from signalbox_proxy.surfaces.decoding import encode_body
from signalbox_proxy.surfaces.fields import invalid, no_bound
from signalbox_proxy.surfaces.messages_answers import MessagesStreamReader, read_message
from signalbox_proxy.surfaces.messages_content import MessagesContent, without_sealed
from signalbox_proxy.surfaces.messages_types import MESSAGES as TABLE
from signalbox_proxy.surfaces.messages_types import ThinkingAdaptive, ThinkingEnabled
from signalbox_snapshot.snapshot import Lane, WireFormat

NEUTRAL_BETAS: Final = frozenset(
    {
        "claude-code-20250219",
        "fine-grained-tool-streaming-2025-05-14",
        "interleaved-thinking-2025-05-14",
        "prompt-caching-2024-07-31",
        "extended-cache-ttl-2025-04-11",
        "structured-outputs-2025-09-17",
        "structured-outputs-2025-11-13",
        "structured-outputs-2025-12-15",
        "token-efficient-tools-2025-02-19",
        "effort-2025-11-24",
        "search-results-2025-06-09",
        "max-tokens-3-5-sonnet-2024-07-15",
        "message-batches-2024-09-24",
        "output-128k-2025-02-19",
        "token-counting-2024-11-01",
    }
)
"""Values of `anthropic-beta` that cannot change the bill beyond the fields that they allow."""


class MessagesSurface:
    """The surface object; see `contract.Surface`."""

    name: SurfaceName = "messages"
    wire_format: WireFormat = "anthropic"
    path = "/v1/messages"

    def parse(self, body: dict[str, Any], headers: Mapping[str, str]) -> ModelRequest:
        """Understand a decoded body."""
        check_betas(headers)
        body, metadata = governed.take_metadata(body)
        asked = TABLE.read(body)
        _check(asked)
        content = MessagesContent(asked)
        texts = content.texts
        thinks = isinstance(asked.thinking, ThinkingEnabled | ThinkingAdaptive)
        return ModelRequest(
            surface="messages",
            body=body,
            model=asked.model,
            stream=bool(asked.stream),
            wants_stream_usage=True,
            text_bytes=texts.bytes,
            texts=tuple(texts.collected),
            messages=texts.messages,
            tools=texts.tools,
            images=texts.images,
            input_tokens=texts.input_tokens,
            output_limit=asked.max_tokens,
            choices=1,
            needs=frozenset(content.needs | ({"reasoning"} if thinks else set())),
            tool_names=tuple(tool.name for tool in asked.tools or ()),
            cache_write=content.cache_write,
            output_schema=content.schema,
            user=(asked.metadata.user_id or "") if asked.metadata else "",
            metadata=metadata,
            has_sealed=content.has_sealed,
        )

    def upstream_path(self, lane: Lane) -> str:
        """Path below the lane's endpoint."""
        return governed.anthropic_path(lane, "/messages")

    def upstream_headers(
        self, client: Mapping[str, str], lane: Lane, credential: str
    ) -> dict[str, str]:
        """All headers of the upstream call; the client's version is passed on, never pinned."""
        headers = governed.anthropic_headers(client, lane, credential)
        if betas := _betas(client):
            headers["anthropic-beta"] = ",".join(betas)
        return headers

    def upstream_body(self, request: ModelRequest, lane: Lane, output_limit: int | None) -> bytes:
        """The body for one lane."""
        body = dict(request.body)
        body["model"] = lane.upstream_model
        if request.has_sealed:
            body["messages"] = without_sealed(body["messages"])
        if output_limit is not None:
            body["max_tokens"] = output_limit
        if lane.service_tier:
            body["service_tier"] = lane.service_tier
        elif body.get("service_tier") is not None:
            body["service_tier"] = "standard_only"
        return encode_body(body)

    def read_answer(self, request: ModelRequest, body: bytes) -> AnswerFacts:
        """Read a whole answer."""
        return read_message(body)

    def stream_reader(self, request: ModelRequest) -> StreamReader:
        """A reader for one streamed answer."""
        return MessagesStreamReader()

    def rejection(self, status: int, body: bytes) -> Refusal:
        """A provider's own 4xx."""
        return errors.provider_rejection(status, body)

    def error(self, refusal: Refusal, run_id: str) -> tuple[int, dict[str, str], bytes]:
        """A refusal in Anthropic's error shape."""
        return errors.anthropic_error(refusal, run_id)

    def stream_error(self, refusal: Refusal, run_id: str) -> bytes:
        """A refusal as the last event of a stream."""
        return errors.anthropic_stream_error(refusal, run_id)


def _check(asked: Any) -> None:
    if asked.service_tier not in (None, "auto", "standard_only"):
        raise invalid("service_tier", "service_tier must be auto or standard_only.")
    if asked.speed not in (None, "standard"):
        raise no_bound("speed", "the lane decides the speed and so the price")
    if asked.output_format is not None and asked.output_config and asked.output_config.format:
        raise invalid(
            "output_format", "Send output_config.format or output_format, not both of them."
        )
    _check_thinking(asked)
    if asked.tool_choice and asked.tool_choice.type == "tool" and not asked.tool_choice.name:
        raise invalid("tool_choice.name", "tool_choice of type tool needs a name. Add it.")


def _check_thinking(asked: Any) -> None:
    """The budget lies within max_tokens; with tools a larger one is valid, and without a bound."""
    thinking = asked.thinking
    if not isinstance(thinking, ThinkingEnabled) or thinking.budget_tokens < asked.max_tokens:
        return
    field = "thinking.budget_tokens"
    if asked.tools:
        raise no_bound(field, f"{field} is not below max_tokens and spans several answers")
    raise invalid(
        field,
        f"{field} must be less than max_tokens ({asked.max_tokens}). "
        "Raise max_tokens or lower the budget.",
    )


def _betas(headers: Mapping[str, str]) -> list[str]:
    return [beta for part in headers.get("anthropic-beta", "").split(",") if (beta := part.strip())]


def check_betas(headers: Mapping[str, str]) -> None:
    """Refuse betas that are not known to leave the bill alone."""
    for beta in _betas(headers):
        if beta not in NEUTRAL_BETAS:
            raise no_bound(
                "anthropic-beta", f"the beta {beta[:100]!r} is not known to leave the bill alone"
            )


MESSAGES = MessagesSurface()
