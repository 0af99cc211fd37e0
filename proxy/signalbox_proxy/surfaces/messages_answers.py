"""Reads answers of the messages API, whole and streamed, for charge and evaluation."""

from typing import Any, Final

import msgspec

from signalbox_proxy.surfaces.contract import AnswerFacts
from signalbox_proxy.surfaces.streams import BaseStreamReader, TextKeeper
from signalbox_proxy.surfaces.usage import AnthropicTotals, anthropic_usage
from signalbox_proxy.unreadable import UNREADABLE

_WHOLE: Final = frozenset({"end_turn", "stop_sequence", "tool_use"})


class _Piece(msgspec.Struct):
    type: Any = None
    text: Any = None
    stop_reason: Any = None


class _Event(msgspec.Struct):
    type: Any = None
    message: Any = None
    content_block: _Piece | None = None
    delta: _Piece | None = None
    usage: Any = None
    error: Any = None


class _Message(msgspec.Struct):
    type: Any = None
    content: list[_Piece] = []
    stop_reason: Any = None
    usage: Any = None


_EVENT: Final = msgspec.json.Decoder(_Event)
_MESSAGE: Final = msgspec.json.Decoder(_Message)


def read_message(body: bytes) -> AnswerFacts:
    """Read a whole answer; whatever is wrong with its form is told in `error`."""
    facts = AnswerFacts()
    try:
        message = _MESSAGE.decode(body)
    except UNREADABLE:
        facts.error = "the answer is not a message"
        return facts
    if message.type != "message":
        facts.error = "the answer is not a message"
    facts.usage = anthropic_usage(message.usage)
    facts.ended = not facts.error
    keeper = TextKeeper()
    for block in message.content:
        _take_block(facts, keeper, block)
    facts.text, facts.truncated = keeper.text(), keeper.truncated
    _finish(facts, message.stop_reason)
    return facts


def _take_block(facts: AnswerFacts, keeper: TextKeeper, block: _Piece) -> None:
    facts.items += 1
    if block.type == "tool_use":
        facts.has_tool_calls = True
    elif block.type == "text" and isinstance(block.text, str):
        keeper.add(block.text)


def _finish(facts: AnswerFacts, stop_reason: object) -> None:
    if isinstance(stop_reason, str):
        facts.finish = stop_reason[:64]
    facts.complete = facts.ended and facts.finish in _WHOLE


class MessagesStreamReader(BaseStreamReader):
    """Reads a stream of named events from `message_start` to `message_stop`."""

    def __init__(self) -> None:
        super().__init__()
        self._keeper = TextKeeper()
        self._totals = AnthropicTotals()

    def _read(self, event: bytes, data: bytes) -> bytes:
        try:
            piece = _EVENT.decode(data)
        except UNREADABLE:
            return self._malformed(event)
        if piece.type == "content_block_delta":
            self._totals.go_on()
            if piece.delta is not None and isinstance(piece.delta.text, str):
                self._keeper.add(piece.delta.text)
        elif piece.type == "content_block_start" and piece.content_block is not None:
            self._totals.go_on()
            _take_block(self._facts, self._keeper, piece.content_block)
        elif piece.type == "message_start" and isinstance(piece.message, dict):
            self._totals.begin(piece.message.get("usage"))
        elif piece.type == "message_delta":
            self._totals.take(piece.usage, piece.delta.stop_reason if piece.delta else None)
        elif piece.type == "message_stop":
            self._facts.ended = True
        elif piece.type == "error":
            return self._error_event(event, piece.error)
        return event

    def _write_facts(self) -> None:
        facts = self._facts
        facts.text, facts.truncated = self._keeper.text(), self._keeper.truncated
        facts.usage = self._totals.usage() if self._totals.is_final else None
        _finish(facts, self._totals.stop_reason)
