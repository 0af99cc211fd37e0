"""Writes neutral events as Anthropic's stream, from `message_start` to `message_stop`."""

from typing import Any, Final

import msgspec

from signalbox_ledger.records import Usage
from signalbox_proxy.model_request import ModelRequest
from signalbox_proxy.refusals import Refusal
from signalbox_proxy.surfaces.errors import anthropic_stream_error
from signalbox_proxy.translation import answer as neutral
from signalbox_proxy.translation.anthropic_messages import (
    ThinkingView,
    new_message,
    running_usage,
    sealed,
    stop,
)
from signalbox_proxy.translation.anthropic_names import tool_id
from signalbox_proxy.translation.contract import Unreadable

_DELTA: Final = {
    "text": ("text_delta", "text"),
    "refusal": ("text_delta", "text"),
    "thinking": ("thinking_delta", "thinking"),
    "tool_call": ("input_json_delta", "partial_json"),
}
"""Type of a delta, and the member that holds its piece, by the kind of its part."""

MAX_UNASKED: Final = 8 * 1024 * 1024
"""Characters of signatures that are kept for a call which may follow them."""

_PART: Final = 512
"""Characters that a part counts besides its own: what its object weighs."""


class MessageEventWriter:
    """Writes one stream; see `contract.EventWriter`.

    The input's tokens are not known when `message_start` goes out: it says none, and the totals
    of `message_delta` replace them in every client that follows the format.
    """

    def __init__(self, request: ModelRequest, answer_id: str) -> None:
        self._message = new_message(answer_id, request.model)
        self._view = ThinkingView(request)
        self._index = -1
        self._open: neutral.PartBegins | None = None
        self._signature = ""
        self._unasked: list[tuple[neutral.PartBegins, str]] = []
        self._room = MAX_UNASKED
        self._finished = neutral.Finished("length")
        self._usage: Usage | None = None
        self._has_tool_calls = False
        self._has_refused = False
        self._is_over = False

    def start(self) -> bytes:
        """`message_start`."""
        return _event("message_start", message=self._message)

    def write(self, event: neutral.Event) -> bytes:
        """The bytes of one event."""
        if self._is_over:
            return b""
        match event:
            case neutral.PartGrows():
                return self._grow(event)
            case neutral.PartBegins():
                return self._end_part() + self._begin(event)
            case neutral.PartSigned():
                self._signature = event.signature
            case neutral.PartEnds():
                return self._end_part()
            case neutral.Finished():
                self._finished = event
            case neutral.Counted():
                self._usage = event.usage or self._usage
            case neutral.Ended():
                self._is_over = True
                return self._end_part() + self._end()
            case neutral.Failed():
                self._is_over = True
                refusal = Refusal("provider_failed", event.message)
                return self._end_part() + anthropic_stream_error(refusal, "")
        return b""

    def _begin(self, part: neutral.PartBegins) -> bytes:
        self._open, self._signature = part, ""
        if part.kind == "thinking":
            return self._begin_thinking(part) if self._view.shows_blocks else b""
        unasked, self._unasked, self._room = self._unasked, [], MAX_UNASKED
        if part.kind != "tool_call":
            self._has_refused = self._has_refused or part.kind == "refusal"
            return self._begin_block({"type": "text", "text": ""})
        self._has_tool_calls = True
        kept = b"".join(self._begin_thinking(p) + self._end_thinking(p, s) for p, s in unasked)
        block = {"type": "tool_use", "id": tool_id(part.id), "name": part.name, "input": {}}
        return kept + self._begin_block(block)

    def _begin_thinking(self, part: neutral.PartBegins) -> bytes:
        if part.redacted:
            data = sealed(part.origin, part.redacted)
            return self._begin_block({"type": "redacted_thinking", "data": data})
        return self._begin_block({"type": "thinking", "thinking": "", "signature": ""})

    def _begin_block(self, block: dict[str, Any]) -> bytes:
        self._index += 1
        return _event("content_block_start", index=self._index, content_block=block)

    def _grow(self, event: neutral.PartGrows) -> bytes:
        if self._open is None or not event.piece:
            return b""
        kind = self._open.kind
        if kind == "thinking" and not self._view.shows_text:
            return b""
        return self._delta(*_DELTA[kind], event.piece)

    def _delta(self, kind: str, member: str, piece: str) -> bytes:
        delta = {"type": kind, member: piece}
        return _event("content_block_delta", index=self._index, delta=delta)

    def _end_part(self) -> bytes:
        part, self._open = self._open, None
        if part is None:
            return b""
        if part.kind != "thinking":
            return self._end_block()
        if self._view.shows_blocks:
            return self._end_thinking(part, self._signature)
        if part.redacted or self._signature:
            self._keep(part, self._signature)
        return b""

    def _keep(self, part: neutral.PartBegins, signature: str) -> None:
        self._room -= _PART + len(part.redacted) + len(signature)
        if self._room < 0:
            raise Unreadable(f"its signatures are longer than {MAX_UNASKED} characters")
        self._unasked.append((part, signature))

    def _end_thinking(self, part: neutral.PartBegins, signature: str) -> bytes:
        """The signature, whole: clients take the last one that they see."""
        if part.redacted:
            return self._end_block()
        if not (signed := sealed(part.origin, signature)):
            return self._end_block()
        return self._delta("signature_delta", "signature", signed) + self._end_block()

    def _end_block(self) -> bytes:
        return _event("content_block_stop", index=self._index)

    def _end(self) -> bytes:
        delta = stop(
            self._finished.finish,
            self._finished.stop_sequence,
            has_tool_calls=self._has_tool_calls,
            has_refused=self._has_refused,
        )
        usage = running_usage(self._usage or Usage())
        return _event("message_delta", delta=delta, usage=usage) + _event("message_stop")


def _event(kind: str, **members: Any) -> bytes:
    data = msgspec.json.encode({"type": kind, **members})
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), data)
