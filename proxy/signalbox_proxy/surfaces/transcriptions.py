"""OpenAI's transcriptions: `POST /v1/audio/transcriptions`. A form with a file in, text out.

Billed by the second of sound, at a price per minute, or by tokens. The length bounds the cost, so
it is read from the file before the call; a file that does not tell it needs a bound of the Model's.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from msgspec import Meta

from signalbox_proxy.model_request import ModelRequest, SurfaceName, Units
from signalbox_proxy.surfaces.audio_length import wav_seconds
from signalbox_proxy.surfaces.contract import AnswerFacts, StreamReader
from signalbox_proxy.surfaces.fields import MODEL, Field, FieldTable, invalid, no_bound
from signalbox_proxy.surfaces.multipart import FORM, Upload, new_boundary, write_form
from signalbox_proxy.surfaces.openai_shape import OpenAIShape, unit_request
from signalbox_proxy.surfaces.texts import Texts
from signalbox_proxy.surfaces.transcription_answers import TranscriptReader, read_transcript
from signalbox_snapshot.snapshot import Lane

TOLD_IN: Final = ("json", "verbose_json", "diarized_json")
"""Forms of an answer that tell how much was billed."""

_Decimal = Annotated[str, Meta(pattern=r"^(0|1|0?\.[0-9]{1,9}|0\.[0-9]{1,9}|1\.0{1,9})$")]

TABLE: Final = FieldTable(
    "TranscriptionForm",
    {
        "file": Field("priced", Any, "by its length, or as many tokens as a model takes"),
        "prompt": Field("priced", str, "within the tokens that a model takes"),
        "model": MODEL,
        "response_format": Field(
            "governed",
            Literal["json", "text", "srt", "vtt", "verbose_json", "diarized_json"],
            "decides how the answer is read",
        ),
        "stream": Field("governed", Literal["true", "false"], "decides how the answer is read"),
        "language": Field("neutral", Annotated[str, Meta(max_length=16)], "not billed"),
        "temperature": Field("neutral", _Decimal, "sampling"),
        "timestamp_granularities": Field("neutral", list[Literal["word", "segment"]], "not billed"),
        "include": Field("neutral", list[Literal["logprobs"]], "returned, not billed"),
        "chunking_strategy": Field(
            "neutral", Annotated[str, Meta(max_length=1024)], "cuts the sound, adds none"
        ),
        "known_speaker_names": Field("refused", None, "they come with samples of sound"),
        "known_speaker_references": Field(
            "refused", None, "samples of sound that may be billed, of a length that is not known"
        ),
    },
    ("file", "model"),
)
"""Lists have `[]` behind their names in a form."""


class TranscriptionsSurface(OpenAIShape):
    """The surface object; see `contract.Surface`."""

    name: SurfaceName = "transcriptions"
    path = "/v1/audio/transcriptions"
    resource = "/audio/transcriptions"

    def parse(self, body: dict[str, Any], headers: Mapping[str, str]) -> ModelRequest:
        """Understand a form that was read."""
        body = {name: value for name, value in body.items() if value != ""}
        plain = {name.removesuffix("[]"): value for name, value in body.items()}
        if len(plain) < len(body):
            raise invalid("", "The form has a field with and without []. Send it with them.")
        asked = TABLE.read(plain)
        if not isinstance(asked.file, Upload):
            raise invalid("file", "file is not a file. Send it with a filename.")
        if not len(asked.file.content):
            raise invalid("file", "file is empty. Send a file with sound in it.")
        texts = Texts()
        texts.add(asked.prompt)
        texts.messages = 1
        units = _length(asked.file, asked.response_format or "json")
        if units.is_exact:  # by its bytes it is WAV, whatever its name makes of it
            body["file"] = Upload("wav", "audio/wav", asked.file.content)
        return unit_request(
            asked,
            body,
            texts,
            units,
            surface="transcriptions",
            stream=asked.stream == "true",
            needs=frozenset({"transcription"}),
        )

    def upstream_headers(
        self, client: Mapping[str, str], lane: Lane, credential: str
    ) -> dict[str, str]:
        """All headers of the upstream call; `multipart.typed` adds the boundary of its form."""
        headers = super().upstream_headers(client, lane, credential)
        return headers | {
            "content-type": FORM,
            "accept": "application/json, text/event-stream, text/plain",
        }

    def upstream_body(self, request: ModelRequest, lane: Lane, output_limit: int | None) -> bytes:
        """The form for one lane."""
        return write_form({**request.body, "model": lane.upstream_model}, new_boundary())

    def read_answer(self, request: ModelRequest, body: bytes) -> AnswerFacts:
        """Read a whole answer."""
        return read_transcript(request.body.get("response_format") or "json", body)

    def stream_reader(self, request: ModelRequest) -> StreamReader:
        """A reader for one streamed answer."""
        return TranscriptReader()


def _length(file: Upload, form: str) -> Units:
    """How long a file is: exactly, or only told by the answer."""
    seconds = wav_seconds(file.content)
    if seconds is not None:
        return Units("audio_seconds", max(1, seconds), True, "file")
    if form not in TOLD_IN:
        raise no_bound(
            "response_format",
            f"the length of this file cannot be read before the call, and {form} does not tell it",
        )
    return Units(
        "audio_seconds",
        None,
        False,
        "file",
        why="the length of this file cannot be read before the call",
        advice="Send uncompressed WAV, or have limits.audioSeconds of the Model written.",
    )


TRANSCRIPTIONS = TranscriptionsSurface()
