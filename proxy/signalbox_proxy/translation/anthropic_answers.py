"""Reads Anthropic's answers, whole and streamed, into the neutral form."""

from typing import Any, Final, Literal

import msgspec

from signalbox_proxy.surfaces.scrubbing import scrub
from signalbox_proxy.surfaces.sse import EventSplitter, EventTooLargeError, data_of
from signalbox_proxy.surfaces.usage import AnthropicTotals, anthropic_usage
from signalbox_proxy.translation import answer as neutral
from signalbox_proxy.translation.anthropic_names import FINISH, ORIGIN
from signalbox_proxy.translation.arguments import object_text
from signalbox_proxy.translation.contract import Unreadable
from signalbox_proxy.translation.conversation import Refused, Text, Thinking, ToolCall
from signalbox_proxy.unreadable import UNREADABLE

_MAX_ERROR: Final = 500
_MAX_WORD: Final = 64


class _Block(msgspec.Struct):
    type: str
    text: str = ""
    thinking: str = ""
    signature: str | None = None
    data: str = ""
    id: str = ""
    name: str = ""
    input: msgspec.Raw = msgspec.Raw(b"{}")


class _Message(msgspec.Struct):
    type: Literal["message"]
    id: str
    content: list[_Block]
    stop_reason: str | None = None
    stop_sequence: str | None = None
    usage: Any = None


class _Delta(msgspec.Struct):
    type: str | None = None
    text: str | None = None
    thinking: str | None = None
    signature: str | None = None
    partial_json: str | None = None
    stop_reason: str | None = None
    stop_sequence: str | None = None


class _Opening(msgspec.Struct):
    usage: Any = None


class _Event(msgspec.Struct):
    type: str
    index: int | None = None
    message: _Opening | None = None
    content_block: _Block | None = None
    delta: _Delta | None = None
    usage: Any = None
    error: Any = None


_EVENT: Final = msgspec.json.Decoder(_Event)
_MESSAGE: Final = msgspec.json.Decoder(_Message)


def read_message(body: bytes) -> neutral.Answer:
    """A whole answer. Raises `Unreadable`."""
    try:
        message = _MESSAGE.decode(body)
    except UNREADABLE:
        raise Unreadable("the answer is not a message") from None
    finish, word = _finish(message.stop_reason)
    return neutral.Answer(
        id=message.id,
        parts=tuple(_part(block) for block in message.content),
        finish=finish,
        usage=anthropic_usage(message.usage),
        stop_sequence=message.stop_sequence or "",
        provider_finish=word,
    )


def error_message(body: bytes) -> str:
    """The sentence in an error's body, without credentials in it."""
    try:
        document: object = msgspec.json.decode(body[: 256 * 1024])
    except UNREADABLE:
        return ""
    error = document.get("error") if isinstance(document, dict) else None
    message = error.get("message") if isinstance(error, dict) else error
    return scrub(message[: 2 * _MAX_ERROR])[:_MAX_ERROR] if isinstance(message, str) else ""


def _finish(stop_reason: str | None) -> tuple[neutral.FinishReason, str]:
    """An unknown reason is not taken for the end of a whole answer."""
    word = (stop_reason or "")[:_MAX_WORD]
    return FINISH.get(word, "length"), word


def _part(block: _Block) -> Text | Thinking | ToolCall | Refused:
    if block.type == "text":
        return Text(block.text)
    if block.type == "thinking":
        return Thinking(block.thinking, block.signature or "", origin=ORIGIN)
    if block.type == "redacted_thinking":
        return Thinking(redacted=block.data, origin=ORIGIN)
    if block.type == "tool_use":
        return ToolCall(block.id, block.name, object_text(block.input))
    raise Unreadable(f"the answer has a block of type {block.type[:_MAX_WORD]!r}")


class MessageEventReader:
    """Reads one stream; see `contract.EventReader`.

    What is wrong with the stream is told once everything before it was given: how the network
    cut the bytes makes no difference to what is heard.
    """

    def __init__(self) -> None:
        self._splitter = EventSplitter()
        self._totals = AnthropicTotals()
        self._fault: Unreadable | None = None
        self._index = -1
        self._block: int | None = None
        self._input: str | None = None

    def feed(self, data: bytes) -> list[neutral.Event]:
        """Take the next bytes."""
        if self._fault is not None:
            raise self._fault
        try:
            events = self._splitter.split(data)
        except EventTooLargeError as error:
            raise Unreadable(str(error)) from None
        return self._read_all(events)

    def end(self) -> list[neutral.Event]:
        """The connection ended: an event that only lacks its blank line is read."""
        if self._fault is not None:
            raise self._fault
        rest = self._splitter.rest()
        return self._read_all([rest.rstrip(b"\r\n") + b"\n\n"]) if rest.strip() else []

    def _read_all(self, events: list[bytes]) -> list[neutral.Event]:
        read: list[neutral.Event] = []
        for event in events:
            data = data_of(event)
            if not data:
                continue
            try:
                read += self._read(data)
            except Unreadable as fault:
                self._fault = fault
                if not read:
                    raise
                break
        return read

    def _read(self, data: bytes) -> list[neutral.Event]:
        try:
            event = _EVENT.decode(data)
        except UNREADABLE:
            raise Unreadable("an event of the stream is malformed") from None
        match event.type:
            case "content_block_delta":
                return self._grow(event)
            case "content_block_start":
                return self._end_part() + self._begin(event)
            case "content_block_stop":
                return self._end_part()
            case "message_start":
                self._totals.begin(event.message.usage if event.message else None)
                return [self._counted()]
            case "message_delta":
                return self._total(event)
            case "message_stop":
                return [*self._end_part(), neutral.Ended()]
            case "error":
                return [neutral.Failed(_error_of(event.error))]
        return []  # pings, and events that do not exist yet: Anthropic adds some unannounced

    def _check_going_on(self) -> None:
        if self._totals.stop_reason is not None:
            raise Unreadable("the answer goes on after its end")

    def _begin(self, event: _Event) -> list[neutral.Event]:
        self._check_going_on()
        block = event.content_block
        if block is None or event.index is None:
            raise Unreadable("a block begins without saying what it is")
        part = _part(block)
        self._index, self._block = self._index + 1, event.index
        begun = self._begun(part)
        if isinstance(part, ToolCall):
            self._input = part.arguments
            return [begun]
        grown: list[neutral.Event] = [begun]
        if part.text:
            grown.append(neutral.PartGrows(self._index, part.text))
        if isinstance(part, Thinking) and part.signature:
            grown.append(neutral.PartSigned(self._index, part.signature))
        return grown

    def _begun(self, part: Text | Thinking | ToolCall | Refused) -> neutral.PartBegins:
        if isinstance(part, ToolCall):
            return neutral.PartBegins(self._index, "tool_call", id=part.id, name=part.name)
        if isinstance(part, Thinking):
            return neutral.PartBegins(
                self._index, "thinking", redacted=part.redacted, origin=ORIGIN
            )
        return neutral.PartBegins(self._index, "text")

    def _grow(self, event: _Event) -> list[neutral.Event]:
        self._check_going_on()
        delta = event.delta
        if delta is None or self._block is None or event.index != self._block:
            raise Unreadable("a piece belongs to no block that has begun")
        if delta.type == "signature_delta" and delta.signature is not None:
            return [neutral.PartSigned(self._index, delta.signature)]
        piece = {
            "text_delta": delta.text,
            "thinking_delta": delta.thinking,
            "input_json_delta": delta.partial_json,
        }.get(delta.type or "")
        if piece is None:
            raise Unreadable(f"a piece of type {(delta.type or '')[:_MAX_WORD]!r}")
        if not piece:
            return []
        self._input = None
        return [neutral.PartGrows(self._index, piece)]

    def _end_part(self) -> list[neutral.Event]:
        """A call whose arguments did not come in pieces has them in its first event."""
        if self._block is None:
            return []
        ended: list[neutral.Event] = [neutral.PartEnds(self._index)]
        if self._input is not None:
            ended.insert(0, neutral.PartGrows(self._index, self._input))
        self._block = self._input = None
        return ended

    def _total(self, event: _Event) -> list[neutral.Event]:
        stop_reason = event.delta.stop_reason if event.delta else None
        is_first = self._totals.stop_reason is None
        self._totals.take(event.usage, stop_reason)
        if stop_reason is None or not is_first:
            return [self._counted()]
        finish, word = _finish(stop_reason)
        sequence = (event.delta.stop_sequence if event.delta else None) or ""
        return [*self._end_part(), neutral.Finished(finish, sequence, word), self._counted()]

    def _counted(self) -> neutral.Counted:
        return neutral.Counted(self._totals.usage(), self._totals.is_final)


def _error_of(error: object) -> str:
    message = error.get("message") if isinstance(error, dict) else error
    return scrub(str(message or "the provider reported an error"))[:_MAX_ERROR]
