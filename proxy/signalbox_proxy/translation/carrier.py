"""Carries one request to a lane of a foreign format, and its answer back: see `Carrier`.

Where a lane speaks the client's own format, the surface itself is the carrier and nothing of this
is called.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from signalbox_proxy.model_request import ModelRequest
from signalbox_proxy.refusals import Refusal
from signalbox_proxy.surfaces.contract import AnswerFacts, StreamReader
from signalbox_proxy.surfaces.errors import rejection
from signalbox_proxy.surfaces.scrubbing import scrub
from signalbox_proxy.translation.answer import Event, Failed
from signalbox_proxy.translation.contract import (
    ClientFormat,
    EventReader,
    EventWriter,
    NamesAnswers,
    NamesFaults,
    ProviderFormat,
    Unreadable,
)
from signalbox_proxy.translation.facts import EventFacts, facts_of
from signalbox_snapshot.snapshot import Lane

_MAX_ERROR: Final = 500


@dataclass(frozen=True, slots=True, eq=False)
class TranslatingCarrier:
    """One request between a client's format and a provider's; see `surfaces.contract.Carrier`.

    `written` is the request as the provider format wrote it, `answer_id` the proxy's own id of the
    answer.
    """

    client: ClientFormat
    provider: ProviderFormat
    written: dict[str, Any]
    stream: bool
    answer_id: str

    def upstream_path(self, lane: Lane) -> str:
        """What follows the lane's endpoint in the URL."""
        return self.provider.path(lane, stream=self.stream)

    def upstream_headers(
        self, client: Mapping[str, str], lane: Lane, credential: str
    ) -> dict[str, str]:
        """All headers of the call."""
        return self.provider.headers(client, lane, credential)

    def upstream_body(self, request: ModelRequest, lane: Lane, output_limit: int | None) -> bytes:
        """The body for one lane."""
        limit = output_limit if output_limit is not None else request.output_limit
        return self.provider.body(self.written, lane, output_limit=limit, stream=self.stream)

    def read_answer(self, request: ModelRequest, body: bytes) -> AnswerFacts:
        """Read a whole answer and write it in the client's words, `AnswerFacts.body`."""
        try:
            answer = self.provider.read_answer(body)
            written = self.client.write_answer(request, answer, self.answer_id)
        except Unreadable as error:
            return AnswerFacts(error=f"the answer cannot be read: {error}"[:_MAX_ERROR])
        facts = facts_of(answer)
        facts.body = written
        return facts

    def stream_reader(self, request: ModelRequest) -> StreamReader:
        """A reader for one streamed answer."""
        return TranslatingReader(
            self.provider.event_reader(), self.client.event_writer(request, self.answer_id)
        )

    def rejection(self, status: int, body: bytes) -> Refusal:
        """A provider's own 4xx: its sentence. Its name of the field is none of the client's.

        What is about the lane's own key or account is no answer to the client.
        """
        if isinstance(self.provider, NamesFaults) and self.provider.is_lanes_own(body):
            return Refusal(
                "provider_failed", "A provider does not take a lane's key or model. Try again."
            )
        return rejection(status, self.provider.error_message(body), "")


class TranslatingReader:
    """Reads a provider's stream and gives the client's; see `surfaces.contract.StreamReader`."""

    __slots__ = ("_facts", "_reader", "_started", "_writer")

    def __init__(self, reader: EventReader, writer: EventWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._facts = EventFacts()
        self._started = False

    @property
    def facts(self) -> AnswerFacts:
        """What is known so far."""
        facts = self._facts.facts()
        if isinstance(self._reader, NamesAnswers):
            facts.answer_id = self._reader.answer_id
        return facts

    def feed(self, data: bytes) -> bytes:
        """Take the next bytes; give what the client gets of them."""
        try:
            return self._write(self._reader.feed(data))
        except Unreadable as error:
            self._facts.unsettle()
            raise _unreadable(error) from None

    def end(self) -> bytes:
        """The connection ended. A stream that its provider did not end is told as cut."""
        try:
            rest = self._write(self._reader.end())
        except Unreadable as error:
            self._facts.unsettle()
            raise _unreadable(error) from None
        facts = self._facts.facts()
        if not facts.ended and not facts.error:
            raise Refusal("provider_failed", "The provider broke off its answer. Try again.")
        return rest

    def _write(self, events: Sequence[Event]) -> bytes:
        pieces: list[bytes] = []
        if not self._started:
            self._started = True
            pieces.append(self._writer.start())
        for event in events:
            told = _without_secrets(event) if isinstance(event, Failed) else event
            self._facts.take(told)
            pieces.append(self._writer.write(told))
        return b"".join(pieces)


def _without_secrets(event: Failed) -> Failed:
    return Failed(scrub(event.message)[:_MAX_ERROR])


def _unreadable(error: Unreadable) -> Refusal:
    return Refusal("provider_failed", f"The provider's stream cannot be read: {error}. Try again.")
