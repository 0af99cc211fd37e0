"""Anthropic's count of a message's tokens: `POST /v1/messages/count_tokens`.

Providers do not bill it. What is sent is a whole prompt all the same, and it uses up their limits
of requests, so it passes the same steps as the message itself: permission, residency, sensitivity,
budgets of requests. No money and no tokens are held for it.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from signalbox_ledger.records import Usage
from signalbox_proxy.model_request import ModelRequest, SurfaceName
from signalbox_proxy.surfaces import governed
from signalbox_proxy.surfaces.contract import AnswerFacts
from signalbox_proxy.surfaces.decoding import encode_body
from signalbox_proxy.surfaces.fields import Field, FieldTable, no_bound
from signalbox_proxy.surfaces.messages import MessagesSurface, check_betas
from signalbox_proxy.surfaces.messages_content import MessagesContent, without_sealed
from signalbox_proxy.surfaces.messages_types import MESSAGES
from signalbox_proxy.unreadable import UNREADABLE
from signalbox_snapshot.snapshot import Lane

_COUNTED: Final = (
    *("messages", "system", "tools", "tool_choice", "thinking"),
    *("output_config", "output_format", "cache_control"),
)
_PASSED: Final = (
    *("model", "speed", "container", "mcp_servers", "context_management"),
    *("user_profile_id", "workspace_id"),
)

TABLE: Final = FieldTable(
    "CountTokensBody",
    {key: Field("neutral", MESSAGES.fields[key].type, "counted, not billed") for key in _COUNTED}
    | {key: MESSAGES.fields[key] for key in _PASSED},
    ("model", "messages"),
)


class _Counted(msgspec.Struct):
    input_tokens: int


_DECODER: Final = msgspec.json.Decoder(_Counted)


class CountTokensSurface(MessagesSurface):
    """The surface object; see `contract.Surface`. Headers and errors are those of messages."""

    name: SurfaceName = "count_tokens"
    path = "/v1/messages/count_tokens"

    def parse(self, body: dict[str, Any], headers: Mapping[str, str]) -> ModelRequest:
        """Understand a decoded body."""
        check_betas(headers)
        asked = TABLE.read(body)
        if asked.speed not in (None, "standard"):
            raise no_bound("speed", "the lane decides the speed and so the price")
        content = MessagesContent(asked)
        texts = content.texts
        return ModelRequest(
            surface="count_tokens",
            body=body,
            model=asked.model,
            stream=False,
            wants_stream_usage=False,
            text_bytes=texts.bytes,
            texts=tuple(texts.collected),
            messages=texts.messages,
            tools=texts.tools,
            images=texts.images,
            input_tokens=texts.input_tokens,
            output_limit=None,
            choices=1,
            needs=frozenset(content.needs - {"promptCaching"}),
            tool_names=tuple(tool.name for tool in asked.tools or ()),
            cache_write="none",
            output_schema=None,
            user="",
            has_sealed=content.has_sealed,
        )

    def upstream_path(self, lane: Lane) -> str:
        """Path below the lane's endpoint."""
        return governed.anthropic_path(lane, "/messages/count_tokens")

    def upstream_body(self, request: ModelRequest, lane: Lane, output_limit: int | None) -> bytes:
        """The body for one lane; a count has no output."""
        body = {**request.body, "model": lane.upstream_model}
        if request.has_sealed:
            body["messages"] = without_sealed(body["messages"])
        return encode_body(body)

    def read_answer(self, request: ModelRequest, body: bytes) -> AnswerFacts:
        """Read the count. It is no usage: nothing of it is billed."""
        try:
            counted = _DECODER.decode(body)
        except UNREADABLE:
            return AnswerFacts(error="the answer is not a count of tokens")
        is_plausible = counted.input_tokens >= 0
        return AnswerFacts(usage=Usage(), ended=True, complete=is_plausible, items=1)


def counted_answer(input_tokens: int) -> bytes:
    """An answer with a count of the proxy's own."""
    return msgspec.json.encode(_Counted(input_tokens))


COUNT_TOKENS = CountTokensSurface()
