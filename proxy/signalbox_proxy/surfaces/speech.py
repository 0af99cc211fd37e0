"""OpenAI's speech: `POST /v1/audio/speech`. The answer is sound, passed on as it comes.

Billed by the character, which the request itself tells: the answer carries no usage record.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from msgspec import Meta

from signalbox_ledger.records import Usage
from signalbox_proxy.model_request import ModelRequest, SurfaceName, Units
from signalbox_proxy.surfaces.contract import AnswerFacts, StreamReader
from signalbox_proxy.surfaces.fields import MODEL, Field, FieldTable, Part, no_bound
from signalbox_proxy.surfaces.openai_shape import OpenAIShape, unit_request
from signalbox_proxy.surfaces.texts import Texts
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
            "by its characters, which are Unicode code points",
        ),
        "voice": Field("neutral", Voice, "every voice costs the same"),
        "response_format": Field("neutral", Form, "every form costs the same"),
        "speed": Field(
            "neutral", Annotated[float, Meta(ge=0.25, le=4)], "characters count, not seconds"
        ),
        "stream_format": Field(
            "governed", Literal["audio", "sse"], "audio only; it streams as it is"
        ),
        "instructions": Field(
            "refused", None, "they are billed by tokens, by models that bill their sound so too"
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
        self.facts.usage = Usage()
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
        if asked.stream_format == "sse":
            raise no_bound("stream_format", "events of sound are billed by tokens")
        texts = Texts()
        texts.add(asked.input)
        texts.messages = 1
        units = Units("characters", len(asked.input), True, "input")
        return unit_request(
            asked, body, texts, units, surface="speech", stream=True, needs=frozenset({"speech"})
        )

    def upstream_headers(
        self, client: Mapping[str, str], lane: Lane, credential: str
    ) -> dict[str, str]:
        """All headers of the upstream call: it asks for sound."""
        headers = super().upstream_headers(client, lane, credential)
        return headers | {"accept": "audio/*, application/octet-stream, application/json"}

    def read_answer(self, request: ModelRequest, body: bytes) -> AnswerFacts:
        """Read sound that came whole."""
        reader = SoundReader()
        reader.feed(body)
        reader.end()
        return reader.facts

    def stream_reader(self, request: ModelRequest) -> StreamReader:
        """A reader of sound."""
        return SoundReader()


SPEECH = SpeechSurface()
