"""What a wire format offers to translation: as a client's, as a provider's.

The two are independent: n client formats and m provider formats make n x m pairs with n + m
modules.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from signalbox_proxy.model_request import ModelRequest
from signalbox_proxy.translation.answer import Answer, Event
from signalbox_proxy.translation.conversation import Conversation
from signalbox_snapshot.snapshot import Lane, WireFormat


class Untranslatable(Exception):  # noqa: N818  a property of the request, not a fault
    """A request says something that the other format cannot say.

    `field` is the client's own name of it (`messages[2].content[0]`), `why` a clause without a
    full stop that begins in lower case.
    """

    def __init__(self, field: str, why: str) -> None:
        super().__init__(f"{field}: {why}")
        self.field = field
        self.why = why


class Unreadable(Exception):  # noqa: N818  likewise, of an answer
    """A provider's answer is not what its format says."""


class EventWriter(Protocol):
    """Writes one stream in a client's format. One object per stream."""

    def start(self) -> bytes:
        """What goes before the first event."""

    def write(self, event: Event) -> bytes:
        """The bytes of one event, possibly none.

        Raises `Unreadable` for an answer that is longer than the format can tell it.
        """


class ClientFormat(Protocol):
    """A wire format in which clients ask. Objects are stateless."""

    def read(self, body: dict[str, Any]) -> Conversation:
        """The neutral form of a body that the surface has accepted (`Surface.parse`).

        Raises `Untranslatable` for what only this client's own vendor understands.
        """

    def write_answer(self, request: ModelRequest, answer: Answer, answer_id: str) -> bytes:
        """A whole answer; `answer_id` is the proxy's own id of it, the model the one asked for."""

    def event_writer(self, request: ModelRequest, answer_id: str) -> EventWriter:
        """A writer for one stream."""


class EventReader(Protocol):
    """Reads one provider's stream, however the network cut it. One object per stream."""

    def feed(self, data: bytes) -> Sequence[Event]:
        """Take the next bytes. Raises `Unreadable` for what is not this format, or has no bound."""

    def end(self) -> Sequence[Event]:
        """The connection ended: what was still in hand."""


@runtime_checkable
class NamesFaults(Protocol):
    """What a provider format also is where a 4xx may be about the lane, whatever the status."""

    def is_lanes_own(self, body: bytes) -> bool:
        """Whether an error is about the lane's key or account: nothing that a client could mend."""


@runtime_checkable
class NamesAnswers(Protocol):
    """What an event reader also is where a stream's name stands in it, and not in a header."""

    @property
    def answer_id(self) -> str:
        """The provider's own name of the answer, "" while it is not known."""


class ProviderFormat(Protocol):
    """A wire format that lanes speak. Objects are stateless."""

    @property
    def name(self) -> WireFormat:
        """Its name in a lane."""

    def write(self, conversation: Conversation) -> dict[str, Any]:
        """The body without what a lane and a quote decide: made once for all lanes of a request.

        Raises `Untranslatable` naming the field for what it cannot say.
        """

    def text_bytes(self, written: dict[str, Any]) -> int:
        """Most tokens of the text in `written`, as it is sent: `written_text.text_bytes`."""

    def body(
        self, written: dict[str, Any], lane: Lane, *, output_limit: int | None, stream: bool
    ) -> bytes:
        """The bytes for one lane; `written` is not changed."""

    def path(self, lane: Lane, *, stream: bool) -> str:
        """What follows `lane.endpoint` (without its trailing slash) in the URL."""

    def headers(self, client: Mapping[str, str], lane: Lane, credential: str) -> dict[str, str]:
        """All headers of the call but those that sign its body."""

    def read_answer(self, body: bytes) -> Answer:
        """A whole answer with a success status. Raises `Unreadable`."""

    def event_reader(self) -> EventReader:
        """A reader for one stream."""

    def error_message(self, body: bytes) -> str:
        """The sentence in an error's body, "" where there is none."""


@runtime_checkable
class ModelDependent(Protocol):
    """What a provider format also is where its models take fields of their own."""

    def model_obstacle(self, written: dict[str, Any], lane: Lane) -> Untranslatable | None:
        """What of `written` the model of this lane cannot be told; asked before any hold."""
