"""Reads answers of the responses API, whole and streamed, for charge and evaluation."""

from typing import Any, Final

import msgspec

from signalbox_proxy.model_request import CacheWrite
from signalbox_proxy.surfaces.contract import AnswerFacts
from signalbox_proxy.surfaces.scrubbing import scrub
from signalbox_proxy.surfaces.streams import BaseStreamReader, TextKeeper
from signalbox_proxy.surfaces.usage import responses_usage
from signalbox_proxy.unreadable import UNREADABLE

_ENDED: Final = frozenset({"completed", "incomplete"})
_LAST_EVENTS: Final = frozenset(
    {"response.completed", "response.incomplete", "response.failed", "response.cancelled"}
)
_CALLS: Final = frozenset({"function_call", "custom_tool_call"})


class _Part(msgspec.Struct):
    type: Any = None
    text: Any = None


class _Item(msgspec.Struct):
    type: Any = None
    content: Any = None


class _Details(msgspec.Struct):
    reason: Any = None


class _Response(msgspec.Struct):
    id: Any = None
    store: Any = None
    status: Any = None
    output: list[_Item] | None = None
    usage: Any = None
    error: Any = None
    incomplete_details: _Details | None = None


class _Event(msgspec.Struct):
    type: Any = None
    delta: Any = None
    item: _Item | None = None
    response: _Response | None = None
    error: Any = None
    message: Any = None


_RESPONSE: Final = msgspec.json.Decoder(_Response)
_EVENT: Final = msgspec.json.Decoder(_Event)


def read_response(body: bytes, cache_write: CacheWrite) -> AnswerFacts:
    """Read a whole answer; whatever is wrong with its form is told in `error`."""
    facts = AnswerFacts()
    try:
        response = _RESPONSE.decode(body)
    except UNREADABLE:
        facts.error = "the answer is not a response"
        return facts
    if response.output is None:
        facts.error = "the answer has no output"
        return facts
    keeper = TextKeeper()
    for item in response.output:
        _take_item(facts, item)
        for part in item.content if isinstance(item.content, list) else ():
            if isinstance(part, dict) and part.get("type") == "output_text":
                text = part.get("text")
                keeper.add(text if isinstance(text, str) else "")
    facts.text, facts.truncated = keeper.text(), keeper.truncated
    _take_end(facts, response, cache_write)
    return facts


class ResponsesStreamReader(BaseStreamReader):
    """Reads a stream of named events from `response.created` to the one that ends it."""

    def __init__(self, cache_write: CacheWrite) -> None:
        super().__init__()
        self._cache_write = cache_write
        self._keeper = TextKeeper()

    def _read(self, event: bytes, data: bytes) -> bytes:
        if data == b"[DONE]":
            return event
        try:
            piece = _EVENT.decode(data)
        except UNREADABLE:
            return self._malformed(event)
        if piece.type == "response.output_text.delta":
            if isinstance(piece.delta, str):
                self._keeper.add(piece.delta)
        elif piece.type == "response.output_item.added" and piece.item is not None:
            _take_item(self._facts, piece.item)
        elif piece.type in _LAST_EVENTS and piece.response is not None:
            _take_end(self._facts, piece.response, self._cache_write)
            if piece.response.error is not None:
                return self._error_event(event, piece.response.error)
        elif piece.type == "error" or piece.error is not None:
            return self._error_event(event, piece.error or {"message": piece.message})
        return event

    def _write_facts(self) -> None:
        self._facts.text, self._facts.truncated = self._keeper.text(), self._keeper.truncated


def _take_item(facts: AnswerFacts, item: _Item) -> None:
    facts.items += 1
    if item.type in _CALLS:
        facts.has_tool_calls = True


def _take_end(facts: AnswerFacts, response: _Response, cache_write: CacheWrite) -> None:
    """What the response says of its own end. Only then is its usage the bill."""
    status = response.status if isinstance(response.status, str) else ""
    reason = response.incomplete_details.reason if response.incomplete_details else None
    facts.finish = (reason if isinstance(reason, str) else status)[:64]
    facts.ended = status in _ENDED
    facts.complete = status == "completed"
    facts.usage = responses_usage(response.usage, cache_write)
    if facts.ended and response.store is not False and isinstance(response.id, str):
        facts.stored_id = response.id
    if status == "failed" and not facts.error:
        error = response.error
        message = error.get("message") if isinstance(error, dict) else None
        facts.error = scrub(str(message or "the provider reported an error"))[:200]
