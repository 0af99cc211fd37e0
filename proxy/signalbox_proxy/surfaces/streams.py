"""What the stream readers of all surfaces share: events in, events out, facts on the side."""

from abc import ABC, abstractmethod
from typing import Any, Final

from signalbox_proxy.refusals import Refusal
from signalbox_proxy.surfaces.contract import MAX_TEXT, AnswerFacts
from signalbox_proxy.surfaces.scrubbing import scrub, scrub_bytes
from signalbox_proxy.surfaces.sse import EventSplitter, EventTooLargeError, data_of

_MAX_ERROR: Final = 500


class TextKeeper:
    """Collects pieces of text up to a limit."""

    __slots__ = ("_length", "_pieces", "truncated")

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._length = 0
        self.truncated = False

    def add(self, piece: str) -> None:
        """Add a piece, as far as there is room."""
        room = MAX_TEXT - self._length
        if len(piece) > room:
            self.truncated = True
            piece = piece[:room]
        if piece:
            self._pieces.append(piece)
            self._length += len(piece)

    def text(self) -> str:
        """All that was kept."""
        if len(self._pieces) > 1:
            self._pieces = ["".join(self._pieces)]
        return self._pieces[0] if self._pieces else ""


class BaseStreamReader(ABC):
    """Cuts the stream into events and lets the surface read each; see `contract.StreamReader`."""

    def __init__(self) -> None:
        self._splitter = EventSplitter()
        self._facts = AnswerFacts()

    @property
    def facts(self) -> AnswerFacts:
        """What is known so far."""
        self._write_facts()
        return self._facts

    def feed(self, data: bytes) -> bytes:
        """Take the next bytes; give what the client gets of them."""
        try:
            events = self._splitter.split(data)
        except EventTooLargeError as error:
            raise Refusal(
                "provider_failed", f"The provider's stream cannot be read: {error}."
            ) from None
        if len(events) == 1:
            return self._pass(events[0])
        return b"".join([self._pass(event) for event in events])

    def end(self) -> bytes:
        """The upstream ended: an event that only lacks its blank line is given one."""
        rest = self._splitter.rest()
        if not rest.strip():
            return b""
        is_whole = rest.endswith((b"\n\n", b"\r\r"))
        return self._pass(rest if is_whole else rest.rstrip(b"\r\n") + b"\n\n")

    def _pass(self, event: bytes) -> bytes:
        data = data_of(event)
        return self._read(event, data) if data else event

    def _malformed(self, event: bytes) -> bytes:
        """Note an event that cannot be read, and let it pass."""
        self._facts.error = self._facts.error or "an event of the stream is malformed"
        return event

    def _error_event(self, event: bytes, error: Any) -> bytes:
        """Note a provider's error, and let the event pass without credentials in it."""
        message = error.get("message") if isinstance(error, dict) else error
        self._facts.error = scrub(str(message or "the provider reported an error"))[:_MAX_ERROR]
        return scrub_bytes(event)

    @abstractmethod
    def _read(self, event: bytes, data: bytes) -> bytes:
        """Read one event with data; give what the client gets of it."""

    @abstractmethod
    def _write_facts(self) -> None:
        """Bring the facts up to date."""
