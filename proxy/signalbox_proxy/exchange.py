"""One HTTP request as the pipeline sees it: headers once, body once, within its deadlines."""

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.web import BaseRequest, RequestPayloadError, StreamResponse

from signalbox_proxy.answer_room import AnswerRoom
from signalbox_proxy.refusals import Refusal
from signalbox_proxy.services import Services
from signalbox_proxy.surfaces import Surface

MAX_BODY = 10 * 1024 * 1024
MAX_UPLOAD = 26 * 1024 * 1024
"""Of a form with a file: 25 MiB, as OpenAI states it, and room for the rest of the form."""

BODY_DEADLINE_S = 30.0
"""From the end of the headers to the end of the body, whatever trickles in between."""

_SINGLE = frozenset(
    {"authorization", "x-api-key", "content-type", "content-encoding", "idempotency-key"}
)
_PREFIX = "x-signalbox-"


@dataclass(slots=True, eq=False)
class Exchange:
    """A request, the surface that it asked for, and the process that serves it.

    `headers` have lower-case names. `declared` are those of Signalbox itself. `run_id` and
    `agent` are "" until the caller is identified.
    """

    services: Services
    surface: Surface
    request: BaseRequest
    headers: Mapping[str, str] = field(repr=False)
    declared: Mapping[str, str] = field(repr=False)
    run_id: str = ""
    agent: str = ""
    _room: int = 0
    _answer_room: AnswerRoom | None = None

    @property
    def client_left(self) -> bool:
        """Whether the client's connection is gone."""
        transport = self.request.transport
        return transport is None or transport.is_closing()

    def cut_off(self) -> None:
        """Close the client's connection at once: it reads too slowly for what is to be sent."""
        transport = self.request.transport
        if transport is not None:
            transport.abort()

    @property
    def max_body(self) -> int:
        """Most bytes of the body."""
        return MAX_UPLOAD if self._has_file else MAX_BODY

    def leave(self) -> None:
        """The request is over: give back the room that its file and its answer took."""
        if self._room:
            self.services.uploads.leave(self._room, self.agent)
            self._room = 0
        if self._answer_room is not None:
            self._answer_room.leave()

    def answer_room(self) -> AnswerRoom:
        """The room for answers to this request."""
        if self._answer_room is None:
            self._answer_room = AnswerRoom(self.services.uploads, self.agent)
        return self._answer_room

    async def sent(self, response: StreamResponse) -> StreamResponse:
        """The response, sent already if its answer takes room: so long it is not given back."""
        if self._answer_room is not None and self._answer_room.is_taken:
            with contextlib.suppress(ConnectionError):  # a client that left has been served
                await response.prepare(self.request)
                await response.write_eof()
        return response

    def _enter(self, size: int) -> None:
        """Take room for bytes of a file that came: what is only announced takes none."""
        if self._has_file:
            self.services.uploads.enter(size, self.agent)
            self._room += size

    @property
    def _has_file(self) -> bool:
        return self.surface.name == "transcriptions"

    async def body(self) -> bytes:
        """The raw body. Raises `Refusal("too_large")` or, when it is late, `invalid_request`."""
        content = self.request.content
        length = self.request.content_length
        most = self.max_body
        if length is not None and length > most:
            raise _too_large(most)
        if self._has_file and length is not None:
            self.services.uploads.check(length, self.agent)
        if content.is_eof() and (length is None or length <= most):
            raw = content.read_nowait(-1)
            self._enter(len(raw))
        else:
            raw = await self._slow_body(most)
        if len(raw) > most:
            raise _too_large(most)
        return raw

    async def _slow_body(self, most: int) -> bytes:
        pieces: list[bytes] = []
        size = 0
        try:
            async with asyncio.timeout(BODY_DEADLINE_S):
                await self._continue()
                while piece := await self.request.content.readany():
                    pieces.append(piece)
                    size += len(piece)
                    if size > most:
                        raise _too_large(most)
                    self._enter(len(piece))
        except TimeoutError:
            raise Refusal(
                "invalid_request",
                f"The body did not arrive within {BODY_DEADLINE_S:g} s. Send it faster.",
            ) from None
        except (ConnectionError, RequestPayloadError, HttpProcessingError):
            raise Refusal(
                "invalid_request", "The body broke off before its end. Send all of it."
            ) from None
        return b"".join(pieces)

    async def _continue(self) -> None:
        """Tell a client that waits for it to send the body (RFC 9110, section 10.1.1)."""
        if self.headers.get("expect", "").lower() == "100-continue":
            await self.request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            self.request.writer.output_size = 0


def read_headers(request: BaseRequest) -> dict[str, str]:
    """A request's headers with lower-case names.

    Raises `Refusal("invalid_request")` when one that decides something is there twice: nobody
    could say which of the two counts.
    """
    headers: dict[str, str] = {}
    for spelled, value in request.headers.items():
        name = spelled.lower()
        if name in headers and (name in _SINGLE or name.startswith(_PREFIX)):
            raise Refusal("invalid_request", f"The header {name} is there twice. Send it once.")
        headers[name] = value
    return headers


def declared_in(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers of Signalbox itself."""
    return {name: value for name, value in headers.items() if name.startswith(_PREFIX)}


def _too_large(most: int) -> Refusal:
    return Refusal(
        "too_large", f"The body is larger than {most} bytes. Send less, or in several requests."
    )
