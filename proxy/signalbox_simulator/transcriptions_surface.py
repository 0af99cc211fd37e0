"""``POST /v1/audio/transcriptions``: a form with sound in, text out, by the second or by tokens.

Written from OpenAI's API reference ("Create transcription", "Transcription streaming events") and
its price page. The form is read with the standard library's reader of MIME messages.
"""

from __future__ import annotations

import hashlib
import io
import math
import wave
from collections.abc import Iterator
from dataclasses import dataclass
from email.parser import BytesParser
from email.policy import HTTP
from typing import Annotated, Literal

from pydantic import Field

from . import tokens
from .behaviour import Effects
from .openai_surface import OpenaiSurface, served_model
from .refusals import Refusal, openai_error
from .sheet import ModelSheet, Usage
from .strict import Given, Strict, validate
from .surface import Context, data_frame, encoded

MAX_FILE = 25 * 2**20
EXTENSIONS = ("flac", "m4a", "mp3", "mp4", "mpeg", "mpga", "oga", "ogg", "wav", "webm")
COMPRESSED_BYTES_PER_SECOND = 2000
AUDIO_TOKENS_PER_SECOND = 10
WORDS = ("parcel", "arrives", "between", "nine", "and", "ten", "ring", "twice", "please", "thanks")
PLAIN = "text/plain"


class TranscriptionRequest(Strict):
    """The form, but for its file."""

    model: Annotated[str, Field(min_length=1)]
    language: Given[Annotated[str, Field(max_length=8)]] = None
    prompt: Given[str] = None
    response_format: Given[Literal["json", "text", "srt", "verbose_json", "vtt"]] = None
    temperature: Given[str] = None
    stream: Given[Literal["true", "false"]] = None
    chunking_strategy: Given[str] = None
    timestamp_granularities: Given[list[Literal["word", "segment"]]] = None
    include: Given[list[Literal["logprobs"]]] = None


class TranscriptionsSurface(OpenaiSurface):
    """The transcriptions endpoint."""

    def read(self, document: dict[str, object], context: Context) -> TranscriptionPending:
        """Validate and meter a form that ``read_form`` read; raises Refusal."""
        document = dict(document)
        file = document.pop("file", None)
        for plural in ("timestamp_granularities[]", "include[]"):
            if plural in document:
                document[plural.removesuffix("[]")] = document.pop(plural)
        request = validate(TranscriptionRequest, document)
        name, model = served_model(context, request.model)
        if model.kind != "transcription" or not isinstance(file, tuple):
            raise Refusal(400, "Send a file to a model that transcribes.", param="file")
        seconds = _seconds(*file)
        form = request.response_format or "json"
        if model.usd_per.minute is None and form != "json":
            raise Refusal(
                400,
                f"response_format '{form}' is not compatible with model '{name}'.",
                param="response_format",
                code="unsupported_value",
            )
        return TranscriptionPending(request, name, model, seconds, hashlib.md5(file[1]).hexdigest())  # noqa: S324


def read_form(body: bytes, content_type: str) -> dict[str, object]:
    """Read a form: texts, lists under names that end in ``[]``, and the file with its name."""
    if not content_type.lower().startswith("multipart/form-data"):
        raise Refusal(400, "Send the file as multipart/form-data.", code="invalid_content_type")
    head = f"content-type: {content_type}\r\n\r\n".encode()
    message = BytesParser(policy=HTTP).parsebytes(head + body)
    document: dict[str, object] = {}
    for part in message.iter_parts() if message.is_multipart() else ():
        name = part.get_param("name", header="content-disposition")
        content = part.get_payload(decode=True)
        if not isinstance(name, str) or not isinstance(content, bytes) or part.defects:
            raise Refusal(400, "The form cannot be read.")
        filename = part.get_filename()
        if filename is not None:
            document[name] = (filename, content)
        elif name.endswith("[]"):
            values = document.setdefault(name, [])
            if isinstance(values, list):
                values.append(content.decode())
        elif name in document:
            raise Refusal(400, f"'{name}' is there twice.", param=name)
        else:
            document[name] = content.decode()
    return document


def _seconds(filename: str, content: bytes) -> float:
    if len(content) > MAX_FILE:
        raise Refusal(413, f"Maximum content size limit ({MAX_FILE}) exceeded.")
    if filename.rpartition(".")[2].lower() not in EXTENSIONS:
        raise Refusal(400, f"Invalid file format. Supported formats: {[*EXTENSIONS]}", param="file")
    if content[:4] != b"RIFF":
        return len(content) / COMPRESSED_BYTES_PER_SECOND
    try:
        with wave.open(io.BytesIO(content)) as sound:
            return float(sound.getnframes() / sound.getframerate())
    except (wave.Error, EOFError):
        raise Refusal(400, "The audio file could not be decoded.", param="file") from None


@dataclass(frozen=True)
class TranscriptionPending:
    """A metered request."""

    request: TranscriptionRequest
    model: str
    section: ModelSheet
    seconds: float
    digest: str
    tier: str = "default"

    @property
    def stream(self) -> bool:
        """Whether events are sent: models that bill by the minute ignore the wish."""
        return self.request.stream == "true" and self.section.usd_per.minute is None

    @property
    def last_user_text(self) -> str:
        """Where directives may stand: the prompt."""
        return self.request.prompt or ""

    def compose(self, effects: Effects) -> TranscriptionAnswer:
        """Compose the text, two words to the second."""
        count = max(1, min(300, int(2 * self.seconds)))
        start = int(self.digest[:4], 16)
        text = " ".join(WORDS[(start + number) % len(WORDS)] for number in range(count))
        if self.section.usd_per.minute is not None:
            return TranscriptionAnswer(self, text, Usage(audio_seconds=math.ceil(self.seconds)))
        usage = Usage(
            input=tokens.count(self.request.prompt or "") + 3,
            audio_tokens=math.ceil(self.seconds * AUDIO_TOKENS_PER_SECOND),
            output=tokens.count(text) + 1,
        )
        return TranscriptionAnswer(self, text, usage)


@dataclass(frozen=True)
class TranscriptionAnswer:
    """A transcript that depends on the file alone."""

    pending: TranscriptionPending
    text: str
    usage: Usage

    @property
    def media_type(self) -> str:
        """The content type of the form that was asked for."""
        form = self.pending.request.response_format or "json"
        return "application/json" if form.endswith("json") else PLAIN

    def whole(self, *, omit_usage: bool) -> bytes:
        """Give the transcript."""
        form = self.pending.request.response_format or "json"
        if form == "text":
            return f"{self.text}\n".encode()
        if form == "srt":
            return f"1\n00:00:00,000 --> 00:00:01,000\n{self.text}\n\n".encode()
        if form == "vtt":
            return f"WEBVTT\n\n00:00.000 --> 00:01.000\n{self.text}\n\n".encode()
        document: dict[str, object] = {"text": self.text}
        if form == "verbose_json":
            document |= {
                "task": "transcribe",
                "language": "english",
                "duration": self.pending.seconds,
                "segments": [],
            }
        return encoded(document if omit_usage else document | {"usage": self._record()})

    def _record(self) -> dict[str, object]:
        usage = self.usage
        if usage.audio_seconds:
            return {"type": "duration", "seconds": usage.audio_seconds}
        total = usage.input + usage.audio_tokens
        return {
            "type": "tokens",
            "input_tokens": total,
            "input_token_details": {
                "text_tokens": usage.input,
                "audio_tokens": usage.audio_tokens,
            },
            "output_tokens": usage.output,
            "total_tokens": total + usage.output,
        }

    def frames(self, chunk_tokens: int) -> Iterator[tuple[bytes, int]]:
        """Give the text in pieces."""
        pieces = tokens.pieces(self.text)
        for start in range(0, len(pieces), chunk_tokens):
            delta = "".join(pieces[start : start + chunk_tokens])
            size = len(pieces[start : start + chunk_tokens])
            yield data_frame({"type": "transcript.text.delta", "delta": delta}), size

    def closing(self, *, omit_usage: bool) -> bytes:
        """Give the event that ends the stream."""
        document: dict[str, object] = {"type": "transcript.text.done", "text": self.text}
        return data_frame(document if omit_usage else document | {"usage": self._record()})

    def broken_off(self, refusal: Refusal) -> bytes:
        """Give the frame that tells an error in the middle of a stream."""
        return data_frame(openai_error(refusal))
