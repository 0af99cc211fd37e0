"""``POST /v1/audio/speech``: text in, sound out, billed by the character, or by tokens.

Written from OpenAI's API reference ("Create speech") and its price page.
"""

from __future__ import annotations

import base64
import hashlib
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Annotated, Literal

from pydantic import Field

from . import tokens
from .behaviour import Effects
from .openai_surface import OpenaiSurface, served_model
from .refusals import Refusal, openai_error
from .sheet import Usage
from .strict import Given, Strict, validate
from .surface import Context, data_frame

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
TOKENS_PER_CHARACTER = 2


class SpeechRequest(Strict):
    """The body of ``POST /v1/audio/speech``."""

    model: Annotated[str, Field(min_length=1)]
    input: Annotated[str, Field(min_length=1, max_length=4096)]
    voice: VOICES
    response_format: Given[Literal["mp3", "opus", "aac", "flac", "wav", "pcm"]] = None
    speed: Given[Annotated[float, Field(ge=0.25, le=4)]] = None
    stream_format: Given[Literal["audio", "sse"]] = None
    instructions: Given[Annotated[str, Field(max_length=4096)]] = None


class SpeechSurface(OpenaiSurface):
    """The speech endpoint."""

    def read(self, document: dict[str, object], context: Context) -> SpeechPending:
        """Validate and meter a request; raises Refusal."""
        request = validate(SpeechRequest, document)
        name, model = served_model(context, request.model)
        if model.kind != "speech":
            raise Refusal(404, f"The model {name!r} does not speak.", param="model")
        by_tokens = model.usd_per.million_characters is None
        for field in ("stream_format", "instructions"):
            value = getattr(request, field)
            if not by_tokens and value not in (None, "audio"):
                raise Refusal(400, f"{field} is not supported for {name}.", param=field)
        return SpeechPending(request, name, by_tokens)


@dataclass(frozen=True)
class SpeechPending:
    """A metered request."""

    request: SpeechRequest
    model: str
    by_tokens: bool
    tier: str = "default"

    @property
    def stream(self) -> bool:
        """Whether sound comes as events."""
        return self.request.stream_format == "sse"

    @property
    def last_user_text(self) -> str:
        """Where directives may stand: what is to be said."""
        return self.request.input

    def compose(self, effects: Effects) -> SpeechAnswer:
        """Compose the sound."""
        return SpeechAnswer(self.request, self.model, self.by_tokens)


@dataclass(frozen=True)
class SpeechAnswer:
    """Sound whose length grows with the text; it depends on text, model and voice alone."""

    request: SpeechRequest
    model: str
    by_tokens: bool

    @property
    def usage(self) -> Usage:
        """What is billed: every character, spaces included; or tokens of text and of sound."""
        said = self.request.input
        if not self.by_tokens:
            return Usage(characters=len(said))
        text = tokens.count(f"{self.request.instructions or ''}{said}", Fraction(1))
        return Usage(input=text, output=TOKENS_PER_CHARACTER * len(said))

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

    def frames(self, chunk_tokens: int) -> Iterator[tuple[bytes, int]]:
        """Give the sound in events, some tokens in each."""
        sound, count = self.whole(omit_usage=False), self.usage.output
        parts = max(1, -(-count // chunk_tokens))
        size = -(-len(sound) // parts)
        for start in range(0, len(sound), size):
            piece = base64.b64encode(sound[start : start + size]).decode()
            spent = min(chunk_tokens, count)
            count -= spent
            yield data_frame({"type": "speech.audio.delta", "audio": piece}), spent

    def closing(self, *, omit_usage: bool) -> bytes:
        """Give the event that ends the sound, with what it cost."""
        usage = self.usage
        told = {
            "input_tokens": usage.input,
            "output_tokens": usage.output,
            "total_tokens": usage.input + usage.output,
        }
        done = {"type": "speech.audio.done"} | ({} if omit_usage else {"usage": told})
        return data_frame(done)

    def broken_off(self, refusal: Refusal) -> bytes:
        """Give the event that tells an error in the middle of the sound."""
        return data_frame({"type": "error", "error": openai_error(refusal)["error"]})
