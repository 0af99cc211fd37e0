"""Reads a stream of `chat.completion.chunk` events into neutral ones.

Parts of the neutral stream do not interleave; parallel tool calls may. The first call goes out as
it comes. Pieces of another are held back until it is whole, which is known once its arguments are
a closed JSON object, or the answer ends.
"""

from collections.abc import Sequence
from typing import Final

from signalbox_ledger.records import Usage
from signalbox_proxy.surfaces.sse import MAX_EVENT, EventSplitter, EventTooLargeError, data_of
from signalbox_proxy.surfaces.usage import openai_usage
from signalbox_proxy.translation.answer import (
    Counted,
    Ended,
    Event,
    Failed,
    Finished,
)
from signalbox_proxy.translation.contract import Unreadable
from signalbox_proxy.translation.openai_parts import PartOrder
from signalbox_proxy.translation.openai_reading import (
    MAX_CALLS,
    Call,
    Called,
    Choice,
    arguments_of,
    calls_of,
    decode,
    finish_of,
    made_id,
    message_of,
    said,
    word_of,
)

_UNKNOWN: Final = "the provider reported an error"


class ChatEventReader:
    """Reads one stream up to `[DONE]`; see `contract.EventReader`."""

    def __init__(self) -> None:
        self._splitter = EventSplitter()
        self._parts = PartOrder(MAX_EVENT)
        self._keys: dict[object, int] = {}
        self._ids: list[str] = []
        self._answer_id = ""
        self._usage: Usage | None = None
        self._is_counted = False
        self._has_refused = False
        self._has_finished = False
        self._is_over = False

    def feed(self, data: bytes) -> Sequence[Event]:
        """Take the next bytes."""
        try:
            events = self._splitter.split(data)
        except EventTooLargeError as error:
            raise Unreadable(str(error)) from None
        return [made for event in events for made in self._read(data_of(event))]

    def end(self) -> Sequence[Event]:
        """The connection ended: an event that only lacks its blank line counts."""
        rest = self._splitter.rest()
        return self._read(data_of(rest.rstrip(b"\r\n") + b"\n\n")) if rest.strip() else []

    def _read(self, data: bytes) -> list[Event]:
        if not data or self._is_over:
            return []
        if data == b"[DONE]":
            self._is_over = True
            counted = [Counted(self._usage, is_final=True)] if not self._is_counted else []
            return [*self._parts.close(), *counted, Ended()]
        chunk = decode(data)
        if chunk.error is not None:
            self._is_over = True
            return [Failed(message_of(chunk.error)[:500] or _UNKNOWN)]
        if isinstance(chunk.id, str) and not self._answer_id:
            self._answer_id = chunk.id
        events: list[Event] = []
        for choice in chunk.choices or ():
            if choice.index in (0, None):
                events += self._choice(choice)
        if chunk.usage is not None:
            self._usage = openai_usage(chunk.usage, "implicit")
            # Some servers repeat a running count; only the end makes it the bill.
            self._is_counted = self._has_finished and not chunk.choices
            events.append(Counted(self._usage, is_final=self._is_counted))
        return events

    def _choice(self, choice: Choice) -> list[Event]:
        events: list[Event] = []
        message = choice.delta or choice.message
        if message is not None:
            pieces, calls = said(message), calls_of(message)
            if any(text for _, text in pieces) or calls:
                if self._has_finished:
                    raise Unreadable("the answer goes on after its end")
                self._usage = None  # a record from before cannot count what came after it
            for kind, text in pieces:
                self._has_refused |= kind == "refusal"
                events += self._parts.say(kind, text)
            for call in calls:
                events += self._call(call)
        if choice.finish_reason is not None and not self._has_finished:
            self._has_finished = True
            events += self._parts.close()
            finish = finish_of(
                choice.finish_reason, has_calls=bool(self._ids), has_refused=self._has_refused
            )
            events.append(Finished(finish, provider_finish=word_of(choice.finish_reason)))
        return events

    def _call(self, call: Call) -> list[Event]:
        """A piece of a call. A new id begins a new call, whatever index the server gives it."""
        identity = call.id if isinstance(call.id, str) else ""
        called = call.function or Called()
        key = call.index if isinstance(call.index, int) else 0
        number = self._keys.get(key)
        if number is None or (identity and self._ids[number] not in ("", identity)):
            number = self._keys[key] = len(self._ids)
            self._ids.append(identity)
            if number >= MAX_CALLS:
                raise Unreadable(f"the answer has more than {MAX_CALLS} tool calls")
        return self._parts.call(
            number,
            identity or self._ids[number] or made_id(self._answer_id, number),
            called.name if isinstance(called.name, str) else "",
            arguments_of(called.arguments),
        )
