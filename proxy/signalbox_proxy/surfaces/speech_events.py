"""Reads sound that comes as OpenAI's events: its pieces, and the usage record at its end.

What is billed by tokens is asked for in this form, since sound alone has no place for a record. A
client that asked for sound gets just that; one that asked for events (`stream_format` sse), these.
"""

import base64
import binascii
from typing import Any, Final

import msgspec

from signalbox_proxy.refusals import Refusal
from signalbox_proxy.surfaces.streams import BaseStreamReader
from signalbox_proxy.surfaces.usage import responses_usage
from signalbox_proxy.unreadable import UNREADABLE

SOUND_TYPES: Final = {
    "mp3": "audio/mpeg",
    "opus": "audio/ogg",
    "aac": "audio/aac",
    "flac": "audio/flac",
    "wav": "audio/wav",
    "pcm": "audio/pcm",
}
"""Content-Type of sound by `response_format`; mp3 where that is left out."""


class _Event(msgspec.Struct):
    type: Any = None
    audio: Any = None
    usage: Any = None
    error: Any = None


_EVENT: Final = msgspec.json.Decoder(_Event)


class SpeechEventReader(BaseStreamReader):
    """Reads `speech.audio.delta` and `speech.audio.done`; gives sound, or the events as they came.

    Sound that does not come to its end raises `Refusal("provider_failed")`: bytes of sound cannot
    tell that more was to follow.
    """

    def __init__(self, *, as_events: bool) -> None:
        super().__init__()
        self._as_events = as_events

    def end(self) -> bytes:
        """The upstream ended."""
        passed = super().end()
        if not self._facts.ended and not self._as_events:
            raise Refusal("provider_failed", "The provider broke off its sound. Try again.")
        return passed

    def _pass(self, event: bytes) -> bytes:
        passed = super()._pass(event)
        return passed if self._as_events or passed is not event else b""

    def _read(self, event: bytes, data: bytes) -> bytes:
        if data == b"[DONE]":
            return event
        try:
            piece = _EVENT.decode(data)
            sound = _sound(piece)
        except (*UNREADABLE, binascii.Error):
            return self._failed(event, "an event of the stream is malformed")
        if piece.error is not None or piece.type == "error":
            return self._failed(event, piece.error)
        if sound:
            self._facts.ended = self._facts.complete = False  # nothing is billed before its end
            self._facts.usage = None
        self._facts.items += len(sound)
        if piece.type == "speech.audio.done":
            self._facts.finish = "stop"
            self._facts.ended = self._facts.complete = True
            self._facts.usage = responses_usage(piece.usage, "none")
        return event if self._as_events or not sound else sound

    def _failed(self, event: bytes, error: Any) -> bytes:
        passed = self._error_event(event, error)
        if not self._as_events:
            raise Refusal("provider_failed", f"The provider broke off: {self._facts.error}")
        return passed

    def _write_facts(self) -> None:
        """Nothing is said in words."""


def _sound(piece: _Event) -> bytes:
    """The bytes of sound in an event. Raises `binascii.Error` for what is none."""
    if piece.type != "speech.audio.delta":
        return b""
    if not isinstance(piece.audio, str) or not piece.audio.isascii():
        raise binascii.Error("no sound in an event of sound")
    return base64.b64decode(piece.audio, validate=True)
