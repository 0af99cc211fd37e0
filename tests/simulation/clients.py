"""Clients of the fleet: what aiohttp's server hands to `Traffic`, without a socket.

A request is what production code reads of one: path, headers, a body that is there, and a writer
whose client may leave at any instant.
"""

from dataclasses import dataclass, field
from typing import Any

from aiohttp import HttpVersion11

from simulation.scheduler import Process, World


@dataclass(frozen=True, slots=True)
class Asked:
    """One request of a client."""

    number: int
    agent: str
    model: str
    text: str
    limit: int | None
    stream: bool
    user: str = ""
    session: str = ""
    leaves_after: int | None = None
    """Microseconds after which its client is gone."""


class _Content:
    __slots__ = ("_body",)

    def __init__(self, body: bytes) -> None:
        self._body = body

    def is_eof(self) -> bool:
        return True

    def read_nowait(self, _: int) -> bytes:
        return self._body


class _Transport:
    __slots__ = ("gone",)

    def __init__(self) -> None:
        self.gone = False

    def is_closing(self) -> bool:
        return self.gone

    def abort(self) -> None:
        self.gone = True


class _Writer:
    """aiohttp's payload writer: counts what reaches the client, refuses when it has left."""

    __slots__ = ("_request", "length", "written")

    def __init__(self, request: "Request") -> None:
        self._request = request
        self.length: int | None = None
        self.written = 0

    def enable_chunking(self) -> None:
        """Frames do not matter here."""

    def send_headers(self) -> None:
        """See `enable_chunking`."""

    async def write_headers(self, status_line: str, headers: Any) -> None:
        self._check()

    async def write(self, data: bytes) -> None:
        self._check()
        self.written += len(data)
        world = self._request.world
        world.at(world.now + 200, None, self._request.hear, len(data), what="client")

    def _check(self) -> None:
        if self._request.transport.gone:
            raise ConnectionResetError("Cannot write to closing transport")


class _Path:
    __slots__ = ("raw_path",)

    def __init__(self, raw_path: str) -> None:
        self.raw_path = raw_path


_CHAT = _Path("/v1/chat/completions")


@dataclass(eq=False)
class Request:
    """What `Traffic.handle` gets."""

    world: World
    process: Process
    asked: Asked
    headers: dict[str, str]
    body: bytes
    method: str = "POST"
    version: Any = HttpVersion11
    keep_alive: bool = True
    content_length: int = 0
    rel_url: _Path = _CHAT
    transport: _Transport = field(default_factory=_Transport)
    began: int = 0
    heard: int = 0

    def __post_init__(self) -> None:
        self.content = _Content(self.body)
        self.content_length = len(self.body)
        self._payload_writer = _Writer(self)
        self.began = self.world.now

    def hear(self, size: int) -> None:
        """Bytes reached the client."""
        self.heard += size
        self.world.note("client", f"{self.asked.number} {size}")

    async def _prepare_hook(self, _: Any) -> None:
        """aiohttp's hook of applications."""
