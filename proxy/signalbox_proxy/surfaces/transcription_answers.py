"""Reads transcripts in all their forms, whole and streamed, for charge and evaluation."""

import math
from typing import Any, Final

import msgspec

from signalbox_proxy.surfaces.contract import AnswerFacts
from signalbox_proxy.surfaces.streams import BaseStreamReader, TextKeeper
from signalbox_proxy.surfaces.usage import MAX_TOKENS, responses_usage
from signalbox_proxy.unreadable import UNREADABLE

MAX_WHOLE: Final = 4 * 1024 * 1024
"""Most bytes that are kept of an answer which came whole though a stream was asked for."""

_PLAIN: Final = "text/plain; charset=utf-8"


class _Transcript(msgspec.Struct):
    text: Any = None
    usage: Any = None
    duration: Any = None


class _Event(msgspec.Struct):
    type: Any = None
    delta: Any = None
    text: Any = None
    usage: Any = None
    error: Any = None


_TRANSCRIPT: Final = msgspec.json.Decoder(_Transcript)
_EVENT: Final = msgspec.json.Decoder(_Event)


def read_transcript(form: str, body: bytes) -> AnswerFacts:
    """Read a whole answer; whatever is wrong with its form is told in `error`."""
    facts = AnswerFacts(finish="stop")
    keeper = TextKeeper()
    if form in ("text", "srt", "vtt"):
        facts.media_type = _PLAIN
        keeper.add(body.decode(errors="replace"))
    else:
        try:
            answer = _TRANSCRIPT.decode(body)
        except UNREADABLE:
            facts.error = "the answer is not a transcript"
            return facts
        if not isinstance(answer.text, str):
            facts.error = "the answer has no text"
            return facts
        keeper.add(answer.text)
        _take_usage(facts, answer.usage, answer.duration)
    facts.text, facts.truncated = keeper.text(), keeper.truncated
    facts.items = 1
    facts.ended = facts.complete = True
    return facts


class TranscriptReader(BaseStreamReader):
    """Reads a stream of `transcript.text.*` events; or one whole answer, from models that do not
    stream and ignore that they should."""

    def __init__(self) -> None:
        super().__init__()
        self._keeper = TextKeeper()
        self._whole: list[bytes] | None = None
        self._size = 0

    def feed(self, data: bytes) -> bytes:
        """Take the next bytes; give what the client gets of them."""
        if self._whole is None and not self._size and data.lstrip().startswith(b"{"):
            self._whole = []
        self._size += len(data)
        if self._whole is None:
            return super().feed(data)
        if self._size <= MAX_WHOLE:
            self._whole.append(data)
        return data

    def end(self) -> bytes:
        """The upstream ended."""
        if self._whole is None:
            return super().end()
        if self._size <= MAX_WHOLE:
            self._facts = read_transcript("json", b"".join(self._whole))
            self._keeper.add(self._facts.text)
        else:
            self._facts.error = "the answer is too long to be read"
        return b""

    def _read(self, event: bytes, data: bytes) -> bytes:
        if data == b"[DONE]":
            return event
        try:
            piece = _EVENT.decode(data)
        except UNREADABLE:
            return self._malformed(event)
        if piece.error is not None or piece.type == "error":
            return self._error_event(event, piece.error)
        if piece.type == "transcript.text.delta":
            self._keeper.add(piece.delta if isinstance(piece.delta, str) else "")
        elif piece.type == "transcript.text.done":
            self._facts.finish, self._facts.items = "stop", 1
            self._facts.ended = self._facts.complete = True
            _take_usage(self._facts, piece.usage, None)
        return event

    def _write_facts(self) -> None:
        self._facts.text, self._facts.truncated = self._keeper.text(), self._keeper.truncated


def _take_usage(facts: AnswerFacts, usage: object, duration: object) -> None:
    """What was billed: seconds by the record, or by the length that was heard; or tokens."""
    record = usage if isinstance(usage, dict) else {}
    if record.get("type") == "duration" or "seconds" in record:
        facts.units = _seconds(record.get("seconds"))
    elif record:
        heard = record.get("input_token_details")
        audio = heard.get("audio_tokens") if isinstance(heard, dict) else None
        if isinstance(audio, int) and not isinstance(audio, bool) and 0 <= audio <= MAX_TOKENS:
            facts.usage = responses_usage(usage, "none")
            facts.audio_tokens = audio
    elif duration is not None:
        facts.units = _seconds(duration)


def _seconds(value: object) -> int | None:
    """A plausible length, rounded up; None for anything else."""
    if isinstance(value, str) and value.isascii() and len(value) < 16:
        value = float(value) if value.replace(".", "", 1).isdigit() else None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return math.ceil(value) if 0 <= value <= MAX_TOKENS else None
