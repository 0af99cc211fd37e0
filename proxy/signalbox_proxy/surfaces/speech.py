"""OpenAI's speech: `POST /v1/audio/speech`. The answer is sound, passed on as it comes.

Billed by the character, which the request itself tells, or by tokens: then the provider is asked
for events, whose last one carries the usage record (`speech_events`).
"""

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from msgspec import Meta

from signalbox_proxy.model_request import ModelRequest, SurfaceName, Units
from signalbox_proxy.surfaces.contract import AnswerFacts, StreamReader
from signalbox_proxy.surfaces.decoding import encode_body
from signalbox_proxy.surfaces.fields import MODEL, Field, FieldTable, Part
from signalbox_proxy.surfaces.openai_shape import OpenAIShape, unit_request
from signalbox_proxy.surfaces.speech_events import SpeechEventReader
from signalbox_proxy.surfaces.texts import Texts
from signalbox_proxy.unit_pricing import chosen_price
from signalbox_snapshot.snapshot import Lane

MAX_CHARACTERS: Final = 4096
"""Most characters of one request, as OpenAI states it."""


class CustomVoice(Part):
    """A voice that was made at the provider."""

    id: Annotated[str, Meta(min_length=1, max_length=256)]


Voice = Annotated[str, Meta(min_length=1, max_length=256)] | CustomVoice
Form = Literal["mp3", "opus", "aac", "flac", "wav", "pcm"]

TABLE: Final = FieldTable(
    "SpeechBody",
    {
        "model": MODEL,
        "input": Field(
            "priced",
            Annotated[str, Meta(min_length=1, max_length=MAX_CHARACTERS)],
            "by its characters, which are Unicode code points, or by UTF-8 bytes where tokens are",
        ),
        "voice": Field("neutral", Voice, "every voice costs the same"),
        "response_format": Field("neutral", Form, "every form costs the same"),
        "speed": Field(
            "neutral", Annotated[float, Meta(ge=0.25, le=4)], "characters count, not seconds"
        ),
        "stream_format": Field(
            "governed", Literal["audio", "sse"], "sse only where the lane bills tokens"
        ),
        "instructions": Field(
            "priced",
            Annotated[str, Meta(max_length=MAX_CHARACTERS)],
            "by UTF-8 bytes, only where the lane bills tokens",
        ),
    },
    ("model", "input", "voice"),
)


class SoundReader:
    """Passes the sound on; all of it came once the provider's answer ends."""

    def __init__(self) -> None:
        self.facts = AnswerFacts()

    def feed(self, data: bytes) -> bytes:
        """Nothing is changed."""
        self.facts.items += len(data)
        return data

    def end(self) -> bytes:
        """The sound is whole: HTTP tells where it ends."""
        self.facts.finish = "stop"
        self.facts.ended = self.facts.complete = True
        return b""


class SpeechSurface(OpenAIShape):
    """The surface object; see `contract.Surface`."""

    name: SurfaceName = "speech"
    path = "/v1/audio/speech"
    resource = "/audio/speech"

    def parse(self, body: dict[str, Any], headers: Mapping[str, str]) -> ModelRequest:
        """Understand a decoded body."""
        asked = TABLE.read(body)
        texts = Texts()
        texts.add(asked.input)
        texts.add(asked.instructions)
        texts.messages = 1
        for_tokens = "instructions" if asked.instructions else ""
        if asked.stream_format == "sse":
            for_tokens = "stream_format"
        units = Units("characters", len(asked.input), True, "input", for_tokens=for_tokens)
        return unit_request(
            asked, body, texts, units, surface="speech", stream=True, needs=frozenset({"speech"})
        )

    def upstream_headers(
        self, client: Mapping[str, str], lane: Lane, credential: str
    ) -> dict[str, str]:
        """All headers of the upstream call: it asks for sound."""
        headers = super().upstream_headers(client, lane, credential)
        return headers | {
            "accept": "audio/*, text/event-stream, application/octet-stream, application/json"
        }

    def upstream_body(self, request: ModelRequest, lane: Lane, output_limit: int | None) -> bytes:
        """The body for one lane: what is billed by tokens comes as events, which tell them."""
        body = {**request.body, "model": lane.upstream_model}
        if request.units is not None and chosen_price(request.units, lane) is None:
            body["stream_format"] = "sse"
        return encode_body(body)

    def read_answer(self, request: ModelRequest, body: bytes) -> AnswerFacts:
        """Read sound that came whole."""
        reader = SoundReader()
        reader.feed(body)
        reader.end()
        return reader.facts

    def stream_reader(self, request: ModelRequest) -> StreamReader:
        """A reader of sound."""
        return SoundReader()

    def event_reader(self, request: ModelRequest) -> StreamReader:
        """A reader of sound that comes as events."""
        return SpeechEventReader(as_events=request.body.get("stream_format") == "sse")


SPEECH = SpeechSurface()
