"""Reads answers of generateContent, whole and streamed, into neutral events.

A stream is a row of whole answers, each with the next parts and the usage so far; nothing marks its
end but the end of the connection, after a `finishReason`. Source: Google's API reference,
"GenerateContentResponse" and "UsageMetadata".
"""

import hashlib
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from signalbox_proxy.surfaces.scrubbing import scrub
from signalbox_proxy.surfaces.sse import EventSplitter, EventTooLargeError, data_of
from signalbox_proxy.surfaces.usage import gemini_usage
from signalbox_proxy.translation.answer import (
    Counted,
    Ended,
    Event,
    Failed,
    Finished,
    FinishReason,
    PartBegins,
    PartEnds,
    PartGrows,
    PartSigned,
)
from signalbox_proxy.translation.arguments import object_text
from signalbox_proxy.translation.contract import Unreadable
from signalbox_proxy.translation.gemini_contents import ORIGIN
from signalbox_proxy.unreadable import UNREADABLE

_FINISHES: Final[dict[str, FinishReason]] = {"STOP": "stop", "MAX_TOKENS": "length"}
"""Every other reason withholds something: safety, recitation, a call that came out malformed."""

_COUNTS: Final = (
    "promptTokenCount", "cachedContentTokenCount", "candidatesTokenCount", "thoughtsTokenCount",
    "toolUsePromptTokenCount", "totalTokenCount",
)  # fmt: skip
_MAX_ERROR: Final = 500


class _Call(msgspec.Struct, rename="camel"):
    name: Any = None
    id: Any = None
    args: msgspec.Raw = msgspec.Raw(b"{}")
    will_continue: Any = None
    partial_args: Any = None


class _Part(msgspec.Struct, rename="camel"):
    text: str | None = None
    thought: Any = None
    thought_signature: Any = None
    function_call: _Call | None = None


class _Content(msgspec.Struct):
    parts: list[_Part] | None = None


class _Candidate(msgspec.Struct, rename="camel"):
    content: _Content | None = None
    finish_reason: str | None = None
    index: Any = 0


class _Feedback(msgspec.Struct, rename="camel"):
    block_reason: str | None = None


class _Chunk(msgspec.Struct, rename="camel"):
    candidates: list[_Candidate] | None = None
    prompt_feedback: _Feedback | None = None
    usage_metadata: dict[str, Any] | None = None
    response_id: Any = None
    error: Any = None


_CHUNK: Final = msgspec.json.Decoder(_Chunk)


class AnswerReader:
    """Takes one answer, or those of a stream one after the other, and gives what is new in each."""

    def __init__(self) -> None:
        self.answer_id = ""
        self._open: str = ""
        self._index = -1
        self._calls = 0
        self._finish = ""
        self._counts: dict[str, Any] = {}
        self._is_counted = False
        self._failed = False

    def take(self, document: bytes) -> list[Event]:
        """Read one answer. Raises `Unreadable`."""
        try:
            chunk = _CHUNK.decode(document)
        except UNREADABLE:
            raise Unreadable("the answer is not a generateContent response") from None
        if chunk.error is not None:
            self._failed = True
            message = chunk.error.get("message") if isinstance(chunk.error, dict) else chunk.error
            told = scrub(str(message or "the provider reported an error"))
            return [Failed(told[:_MAX_ERROR])]
        if not self.answer_id and isinstance(chunk.response_id, str):
            self.answer_id = chunk.response_id[:128]
        events = self._count(chunk.usage_metadata)
        for candidate in chunk.candidates or ():
            if candidate.index in (0, None):
                found = self._candidate(candidate)
                if any(isinstance(event, PartBegins | PartGrows) for event in found):
                    self._go_on(candidate)
                events += found
        if chunk.prompt_feedback and chunk.prompt_feedback.block_reason and not self._finish:
            self._finish = chunk.prompt_feedback.block_reason
        if self._finish and chunk.usage_metadata is not None:
            self._is_counted = True
        return events

    def _go_on(self, candidate: _Candidate) -> None:
        """What was told before of the end and the cost does not hold for what came after it."""
        self._finish = candidate.finish_reason or ""
        self._is_counted = False

    def end(self) -> list[Event]:
        """The answer ended: why it did and what it cost, where both were told."""
        if not self._finish or self._failed:
            return []
        usage = gemini_usage(self._counts) if self._is_counted else None
        told = self._finish[:64]
        finish = _FINISHES.get(told, "content_filter")
        if finish == "stop" and self._calls:
            finish = "tool_calls"
        finished = Finished(finish, provider_finish=told)
        return [*self._close(), finished, Counted(usage, is_final=True), Ended()]

    def _count(self, record: dict[str, Any] | None) -> list[Event]:
        """Counts run up; what came once is not taken back by a smaller number."""
        if record is None:
            return []
        is_first = not self._counts
        merged = self._counts | record
        for name in _COUNTS:
            before, now = self._counts.get(name), record.get(name)
            if isinstance(before, int):
                merged[name] = max(before, now) if isinstance(now, int) else now or before
        self._counts = merged
        return [Counted(gemini_usage(merged), is_final=False)] if is_first else []

    def _candidate(self, candidate: _Candidate) -> list[Event]:
        events: list[Event] = []
        for part in (candidate.content.parts if candidate.content else None) or ():
            if part.function_call is not None:
                events += self._call(part.function_call, part.thought_signature)
            elif part.text is not None:
                events += self._grow("thinking" if part.thought else "text", part.text)
            elif part.thought_signature is None:
                raise Unreadable("the answer holds a part that was not asked for")
        if candidate.finish_reason:
            self._finish = candidate.finish_reason
        return events

    def _grow(self, kind: str, piece: str) -> list[Event]:
        if not piece:
            return []
        events = [] if self._open == kind else self._begin(kind)
        return [*events, PartGrows(self._index, piece)]

    def _begin(self, kind: str, call_id: str = "", name: str = "") -> list[Event]:
        events = self._close()
        self._index += 1
        self._open = kind
        if kind == "tool_call":
            return [*events, PartBegins(self._index, "tool_call", id=call_id, name=name)]
        if kind == "thinking":
            return [*events, PartBegins(self._index, "thinking", origin=ORIGIN)]
        return [*events, PartBegins(self._index, "text")]

    def _close(self) -> list[Event]:
        if not self._open:
            return []
        self._open = ""
        return [PartEnds(self._index)]

    def _call(self, call: _Call, signature: object) -> list[Event]:
        """A call comes whole. Its signature is told as that of the reasoning before it."""
        if not isinstance(call.name, str) or not call.name:
            raise Unreadable("a call of a tool has no name")
        if call.will_continue or call.partial_args:
            raise Unreadable("a call of a tool came in pieces, which was not asked for")
        try:
            arguments = msgspec.json.format(object_text(call.args), indent=-1)
        except (msgspec.DecodeError, RecursionError):
            raise Unreadable("the arguments of a tool call are not a JSON object") from None
        events: list[Event] = []
        if isinstance(signature, str) and signature:
            if self._open != "thinking":
                events += self._begin("thinking")
            events.append(PartSigned(self._index, signature))
        self._calls += 1
        call_id = call.id if isinstance(call.id, str) and call.id else self._made_id(call.name)
        events += self._begin("tool_call", call_id, call.name)
        events.append(PartGrows(self._index, arguments))
        return events + self._close()

    def _made_id(self, name: str) -> str:
        """An id for a call that has none: of its answer and its position, always the same."""
        seed = f"{self.answer_id}\n{self._calls}\n{name}".encode()
        return f"call_{hashlib.sha256(seed).hexdigest()[:24]}"


class GeminiEventReader:
    """Reads one stream of server-sent events; see `contract.EventReader`."""

    def __init__(self) -> None:
        self._splitter = EventSplitter()
        self._answer = AnswerReader()

    @property
    def answer_id(self) -> str:
        """See `contract.NamesAnswers`: Google names its answers in their bodies alone."""
        return self._answer.answer_id

    def feed(self, data: bytes) -> Sequence[Event]:
        """Take the next bytes."""
        try:
            events = self._splitter.split(data)
        except EventTooLargeError as error:
            raise Unreadable(str(error)) from None
        return [found for event in events for found in self._read(event)]

    def end(self) -> Sequence[Event]:
        """The connection ended. Without a reason to finish before it, it was cut."""
        rest = self._splitter.rest()
        found = self._read(rest.rstrip(b"\r\n") + b"\n\n") if rest.strip() else []
        return [*found, *self._answer.end()]

    def _read(self, event: bytes) -> list[Event]:
        data = data_of(event)
        return self._answer.take(data) if data.strip() else []
