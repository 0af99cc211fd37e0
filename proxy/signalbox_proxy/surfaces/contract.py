"""What every surface offers to the request path, and what it understood of an answer.

A surface knows one wire API and nothing else: no budget, no route, no clock, no socket. The
request path knows surfaces only by these protocols.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from signalbox_ledger.records import Usage
from signalbox_proxy.model_request import ModelRequest, SurfaceName
from signalbox_proxy.refusals import Refusal
from signalbox_snapshot.snapshot import Lane, WireFormat

MAX_TEXT: Final = 256 * 1024
"""Characters of an answer that are kept for evaluation; `AnswerFacts.truncated` says if more."""


@dataclass(slots=True)
class AnswerFacts:
    """What charge and evaluation need of an answer.

    `usage` is None until the provider's whole and plausible record came: the attempt is then
    charged in full. `ended` says that the provider itself ended the answer; `complete` that it
    also was not cut off by a limit or a filter. `finish` is the provider's own word. `text` is
    the first choice, `more_texts` are the others. `error` is the provider's error inside a
    stream, or what was wrong with the answer's form. `items` counts choices, blocks or embeddings.
    `body` is what the client gets where that is not what the provider sent. `answer_id` is the
    provider's own name of the answer, as far as it was read. `units` is how many units it says
    that it billed, None where it does not say; `audio_tokens` are those of the usage's input that
    were audio. `media_type` is the form of a whole answer. `stored_id` is what the provider calls
    the answer that it stores, "" until it has ended it.
    """

    usage: Usage | None = None
    finish: str = ""
    ended: bool = False
    complete: bool = False
    text: str = ""
    more_texts: tuple[str, ...] = ()
    truncated: bool = False
    has_tool_calls: bool = False
    items: int = 0
    error: str = ""
    body: bytes | None = None
    answer_id: str = ""
    units: int | None = None
    audio_tokens: int = 0
    media_type: str = "application/json"
    stored_id: str = ""


class StreamReader(Protocol):
    """Reads a provider's stream while it passes; forwards whole events only."""

    @property
    def facts(self) -> AnswerFacts:
        """What is known so far: always the same object. Its texts are as of this question, the
        rest as of the last event."""

    def feed(self, data: bytes) -> bytes:
        """Take the next bytes; give what the client gets of them, possibly nothing.

        Raises `Refusal("provider_failed")` when an event grows beyond all bounds.
        """

    def end(self) -> bytes:
        """The upstream ended: give what is still to be sent."""


class Carrier(Protocol):
    """Carries requests to lanes of one wire format, and their answers back.

    A surface is the carrier for lanes of its own format. For the others it is a translation:
    `signalbox_proxy.translation.carrier`.
    """

    def upstream_path(self, lane: Lane) -> str:
        """What follows `lane.endpoint` (without its trailing slash) in the URL."""

    def upstream_headers(
        self, client: Mapping[str, str], lane: Lane, credential: str
    ) -> dict[str, str]:
        """All headers of the upstream call; of the client's only those that are known."""

    def upstream_body(self, request: ModelRequest, lane: Lane, output_limit: int | None) -> bytes:
        """The body for one lane. `output_limit` is per choice; None keeps the client's own."""

    def read_answer(self, request: ModelRequest, body: bytes) -> AnswerFacts:
        """Read a whole answer with a success status."""

    def stream_reader(self, request: ModelRequest) -> StreamReader:
        """A reader for one streamed answer."""

    def rejection(self, status: int, body: bytes) -> Refusal:
        """A provider's own 4xx as a refusal: its sentence, bounded and without credentials."""


class Surface(Carrier, Protocol):
    """One wire API of the proxy. Objects are stateless."""

    @property
    def name(self) -> SurfaceName:
        """Name in runs and metrics."""

    @property
    def wire_format(self) -> WireFormat:
        """Wire format of which it is itself the carrier."""

    @property
    def path(self) -> str:
        """Path on this proxy."""

    def parse(self, body: dict[str, Any], headers: Mapping[str, str]) -> ModelRequest:
        """Understand a decoded body; header names are in lower case.

        Raises `Refusal` with `invalid_request` (the provider would refuse it for sure) or
        `no_bound` (it could change the bill in a way that has no bound), naming the field.
        """

    def error(self, refusal: Refusal, run_id: str) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body that the surface's SDK understands."""

    def stream_error(self, refusal: Refusal, run_id: str) -> bytes:
        """The last event of a stream that was cut."""
