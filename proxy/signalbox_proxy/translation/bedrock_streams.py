"""Reads streams of ConverseStream: binary messages in, neutral events out.

Source: Amazon Bedrock API Reference, ConverseStream. Each message is an event by its `:event-type`,
or an exception by its `:exception-type`, with JSON as payload. `messageStop` tells why the model
ended, `metadata` behind it is the bill; only both together end a stream.
"""

from base64 import b64decode, b64encode
from binascii import Error as BadBase64
from collections.abc import Iterator, Sequence
from typing import Any, Final, TypeVar

import msgspec

from signalbox_proxy.translation.answer import (
    Counted,
    Ended,
    Event,
    Failed,
    Finished,
    PartBegins,
    PartEnds,
    PartGrows,
    PartSigned,
)
from signalbox_proxy.translation.bedrock_answers import finish_of, stop_sequence_of, usage_of
from signalbox_proxy.translation.bedrock_content import ORIGIN
from signalbox_proxy.translation.contract import Unreadable
from signalbox_proxy.translation.event_stream import MAX_MESSAGE, Message, MessageSplitter
from signalbox_proxy.unreadable import UNREADABLE

_MAX_ERROR: Final = 500


class _ToolStart(msgspec.Struct, rename="camel"):
    tool_use_id: str
    name: str


class _Start(msgspec.Struct, rename="camel"):
    tool_use: _ToolStart | None = None


class _BlockStart(msgspec.Struct, rename="camel"):
    content_block_index: int
    start: _Start


class _ToolDelta(msgspec.Struct, rename="camel"):
    input: str


class _ReasoningDelta(msgspec.Struct, rename="camel"):
    text: str | None = None
    signature: str | None = None
    redacted_content: str | None = None


class _Delta(msgspec.Struct, rename="camel"):
    text: str | None = None
    tool_use: _ToolDelta | None = None
    reasoning_content: _ReasoningDelta | None = None
    citation: Any = None


class _BlockDelta(msgspec.Struct, rename="camel"):
    content_block_index: int
    delta: _Delta


class _BlockStop(msgspec.Struct, rename="camel"):
    content_block_index: int


class _Stop(msgspec.Struct, rename="camel"):
    stop_reason: str
    additional_model_response_fields: Any = None


class _Metadata(msgspec.Struct, rename="camel"):
    usage: Any = None


class _Exception(msgspec.Struct, rename="camel"):
    message: Any = None


_S = TypeVar("_S")


class BedrockEventReader:
    """Reads one stream; see `contract.EventReader`.

    Blocks are counted anew, in the order in which they begin: only a tool's block says so itself.
    """

    __slots__ = (
        "_block",
        "_kind",
        "_last",
        "_parts",
        "_redacted",
        "_splitter",
        "_stopped",
        "_used",
    )

    def __init__(self) -> None:
        self._splitter = MessageSplitter()
        self._parts = 0
        self._block: int | None = None
        self._last = -1
        self._kind = ""
        self._redacted = bytearray()
        self._stopped = False
        self._used = False

    def feed(self, data: bytes) -> Sequence[Event]:
        """See `EventReader`."""
        return [event for message in self._splitter.split(data) for event in self._read(message)]

    def end(self) -> Sequence[Event]:
        """Nothing is in hand that could be trusted: half a message has no checksum."""
        return ()

    def _read(self, message: Message) -> Iterator[Event]:
        kind = message.headers.get(":message-type", "")
        if kind == "exception":
            yield self._failed(message.headers.get(":exception-type", "exception"), message.payload)
        elif kind == "error":
            name = message.headers.get(":error-code", "error")
            yield Failed(f"{name}: {message.headers.get(':error-message', '')}"[:_MAX_ERROR])
        elif kind == "event":
            yield from self._event(message.headers.get(":event-type", ""), message.payload)
        else:
            raise Unreadable("a message of the stream is no event")

    def _event(self, name: str, payload: bytes) -> Iterator[Event]:
        if name == "contentBlockDelta":
            yield from self._grow(_decoded(payload, _BlockDelta))
        elif name == "contentBlockStart":
            yield from self._start(_decoded(payload, _BlockStart))
        elif name == "contentBlockStop":
            yield from self._stop_block(_decoded(payload, _BlockStop))
        elif name == "messageStop":
            yield from self._stop(_decoded(payload, _Stop))
        elif name == "metadata":
            yield from self._count(_decoded(payload, _Metadata))

    def _start(self, event: _BlockStart) -> Iterator[Event]:
        called = event.start.tool_use
        if called is None:
            raise Unreadable("the stream begins a block of a kind that was not asked for")
        self._begin(event.content_block_index, "tool_call")
        yield PartBegins(self._parts, "tool_call", id=called.tool_use_id, name=called.name)

    def _grow(self, event: _BlockDelta) -> Iterator[Event]:
        delta, index = event.delta, event.content_block_index
        if delta.text is not None:
            if self._is_new(index, "text"):
                yield PartBegins(self._parts, "text")
            yield PartGrows(self._parts, delta.text)
        elif delta.tool_use is not None:
            if self._is_new(index, "tool_call"):
                raise Unreadable("the stream goes on with a call that did not begin")
            yield PartGrows(self._parts, delta.tool_use.input)
        elif delta.reasoning_content is not None:
            yield from self._think(index, delta.reasoning_content)
        elif delta.citation is None:
            raise Unreadable("the stream has a piece of a kind that was not asked for")

    def _think(self, index: int, delta: _ReasoningDelta) -> Iterator[Event]:
        if delta.redacted_content is not None:
            self._is_new(index, "redacted")
            self._keep(delta.redacted_content)
            return
        if self._is_new(index, "thinking"):
            yield PartBegins(self._parts, "thinking", origin=ORIGIN)
        if delta.text is not None:
            yield PartGrows(self._parts, delta.text)
        if delta.signature is not None:
            yield PartSigned(self._parts, delta.signature)

    def _stop_block(self, event: _BlockStop) -> Iterator[Event]:
        index = event.content_block_index
        if self._block is None and index == self._last + 1 and not self._stopped:
            self._begin(index, "text")  # a block in which nothing was said
            yield PartBegins(self._parts, "text")
        if self._block != index:
            raise Unreadable("the stream ends a block that is not open")
        if self._kind == "redacted":
            redacted = b64encode(self._redacted).decode()
            self._redacted.clear()
            yield PartBegins(self._parts, "thinking", redacted=redacted, origin=ORIGIN)
        yield PartEnds(self._parts)
        self._block = None
        self._parts += 1

    def _stop(self, event: _Stop) -> Iterator[Event]:
        if self._stopped or self._block is not None:
            raise Unreadable("the stream stops twice, or within a block")
        self._stopped = True
        reason = event.stop_reason
        sequence = stop_sequence_of(event.additional_model_response_fields)
        yield Finished(finish_of(reason), stop_sequence=sequence, provider_finish=reason[:64])

    def _count(self, event: _Metadata) -> Iterator[Event]:
        if self._used or not self._stopped:
            raise Unreadable("the stream's bill is not where it belongs")
        self._used = True
        yield Counted(usage_of(event.usage), is_final=True)
        yield Ended()

    def _begin(self, index: int, kind: str) -> None:
        if self._block is not None or index <= self._last or self._stopped:
            raise Unreadable("the blocks of the stream are not in order")
        self._block = self._last = index
        self._kind = kind

    def _is_new(self, index: int, kind: str) -> bool:
        """Whether a piece begins its block, which is then begun."""
        if self._block is None:
            self._begin(index, kind)
            return True
        if index != self._block or kind != self._kind:
            raise Unreadable("the blocks of the stream are mixed up")
        return False

    def _keep(self, piece: str) -> None:
        try:
            self._redacted += b64decode(piece, validate=True)
        except (BadBase64, ValueError):
            raise Unreadable("the stream has encrypted reasoning that is not base64") from None
        if len(self._redacted) > MAX_MESSAGE:
            raise Unreadable(f"encrypted reasoning is larger than {MAX_MESSAGE} bytes")

    def _failed(self, name: str, payload: bytes) -> Failed:
        try:
            message = msgspec.json.decode(payload, type=_Exception).message
        except UNREADABLE:
            message = None
        return Failed(f"{name}: {message if isinstance(message, str) else ''}"[:_MAX_ERROR])


def _decoded(payload: bytes, kind: type[_S]) -> _S:
    try:
        return msgspec.json.decode(payload, type=kind)
    except UNREADABLE:
        raise Unreadable(f"an event of the stream is no {kind.__name__.strip('_')}") from None
