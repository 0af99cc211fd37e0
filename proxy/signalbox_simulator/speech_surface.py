"""``POST /v1/audio/speech``: text in, sound out, billed by the character.

Written from OpenAI's API reference ("Create speech") and its price page.
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from .behaviour import Effects
from .openai_surface import OpenaiSurface, served_model
from .refusals import Refusal
from .sheet import Usage
from .strict import Given, Strict, validate
from .surface import Context, WholeAnswer

VOICES = Literal[
    "alloy", "ash", "ballad", "coral", "echo", "fable", "onyx", "nova", "sage", "shimmer", "verse"
]
TYPES = {
    "mp3": "audio/mpeg",
    "opus": "audio/ogg",
    "aac": "audio/aac",
    "flac": "audio/flac",
    "wav": "audio/wav",
    "pcm": "audio/pcm",
}
BYTES_PER_CHARACTER = 320


class SpeechRequest(Strict):
    """The body of ``POST /v1/audio/speech``."""

    model: Annotated[str, Field(min_length=1)]
    input: Annotated[str, Field(min_length=1, max_length=4096)]
    voice: VOICES
    response_format: Given[Literal["mp3", "opus", "aac", "flac", "wav", "pcm"]] = None
    speed: Given[Annotated[float, Field(ge=0.25, le=4)]] = None
    stream_format: Given[Literal["audio", "sse"]] = None


class SpeechSurface(OpenaiSurface):
    """The speech endpoint."""

    def read(self, document: dict[str, object], context: Context) -> SpeechPending:
        """Validate and meter a request; raises Refusal."""
        request = validate(SpeechRequest, document)
        name, model = served_model(context, request.model)
        if model.kind != "speech":
            raise Refusal(404, f"The model {name!r} does not speak.", param="model")
        if request.stream_format == "sse":
            raise Refusal(
                400, f"stream_format 'sse' is not supported for {name}.", param="stream_format"
            )
        return SpeechPending(request, name)


@dataclass(frozen=True)
class SpeechPending:
    """A metered request."""

    request: SpeechRequest
    model: str
    tier: str = "default"
    stream: bool = False

    @property
    def last_user_text(self) -> str:
        """Where directives may stand: what is to be said."""
        return self.request.input

    def compose(self, effects: Effects) -> SpeechAnswer:
        """Compose the sound."""
        return SpeechAnswer(self.request, self.model)


@dataclass(frozen=True)
class SpeechAnswer(WholeAnswer):
    """Sound whose length grows with the text; it depends on text, model and voice alone."""

    request: SpeechRequest
    model: str

    @property
    def usage(self) -> Usage:
        """What is billed: every character, spaces included."""
        return Usage(characters=len(self.request.input))

    @property
    def media_type(self) -> str:
        """The content type of the form that was asked for."""
        return TYPES[self.request.response_format or "mp3"]

    def whole(self, *, omit_usage: bool) -> bytes:
        """Give the sound; there is no place for a usage record."""
        asked = self.request
        seed = repr((self.model, asked.voice, asked.input)).encode()
        length = BYTES_PER_CHARACTER * len(asked.input)
        sound = hashlib.shake_256(seed).digest(length - length % 2)
        if asked.response_format != "wav":
            return sound
        head = struct.pack("<4sI4s4sIHHIIHH", b"RIFF", 36 + len(sound), b"WAVE", b"fmt ", 16, 1, 1,
                           24000, 48000, 2, 16)  # fmt: skip
        return head + struct.pack("<4sI", b"data", len(sound)) + sound
