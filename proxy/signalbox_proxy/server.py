"""The HTTP server of the traffic port: aiohttp's own, with the deadlines that it lacks.

Low-level server, no router, no middleware, no access log. Request bodies are not decompressed.
Connections that do not finish a request's head in time are closed by one sweep for all of them,
so that no request pays for a timer.
"""

import asyncio
import contextlib
import logging
from typing import Any

import aiohttp
from aiohttp import web
from aiohttp.http_parser import HttpRequestParser, HttpRequestParserPy
from aiohttp.web_protocol import RequestHandler

from signalbox_proxy.listening import BACKLOG, listening_socket
from signalbox_proxy.refusals import Refusal
from signalbox_proxy.surfaces import CHAT
from signalbox_proxy.traffic import Traffic, rendered

KEEP_ALIVE_S = 75.0
HEAD_DEADLINE_S = 5.0
"""From a connection's first byte of a request, or its opening, to the end of the head."""

STALL_S = 60.0
"""Longest that a client may leave a full buffer unread; then it is cut off."""

SIDE_IDLE_S = 20.0
"""A connection of the ports beside the traffic port may be without a request for so long, or
twice that. Longer than clients keep an idle one."""

LINGER_S = 2.0
"""A connection of a stopping process waits so long for a request that may be on its way."""

LOOK_S = 0.05
SWEEP_S = 1.0
READ_BUFFER = 1 << 16

_log = logging.getLogger("signalbox.server")


def check_build() -> None:
    """Refuse to run without aiohttp's C parser: the Python one reads HTTP more leniently."""
    if HttpRequestParser is HttpRequestParserPy:
        raise RuntimeError(
            f"aiohttp {aiohttp.__version__} runs without its C extensions; unset "
            "AIOHTTP_NO_EXTENSIONS and install a wheel with them"
        )


class DeadlineHandler(RequestHandler):
    """A connection that knows since when it owes the end of a request's head, or a read."""

    __slots__ = ("owing_since", "stalled_since")

    def __init__(self, manager: web.Server, **options: Any) -> None:
        super().__init__(manager, **options)
        self.owing_since: float | None = self._loop.time()
        self.stalled_since: float | None = None

    def data_received(self, data: bytes) -> None:
        """See `RequestHandler`."""
        super().data_received(data)
        if self._messages or self._current_request is not None:
            self.owing_since = None
        elif self.owing_since is None and self._waiter is not None and not self._waiter.done():
            self.owing_since = self._loop.time()

    def pause_writing(self) -> None:
        """See `RequestHandler`."""
        super().pause_writing()
        self.stalled_since = self._loop.time()

    def resume_writing(self) -> None:
        """See `RequestHandler`."""
        super().resume_writing()
        self.stalled_since = None

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """What cannot be read as HTTP is refused in the shape of every other refusal."""
        super().handle_error(request, status, exc, message)
        refusal = Refusal(
            "invalid_request" if status < 500 else "internal",
            "This is not HTTP that can be read in one way only. Send it as RFC 9112 says."
            if status < 500
            else "Signalbox failed to serve this request. It is logged.",
        )
        response = rendered(CHAT, refusal, "")
        response.force_close()
        return response


class TrafficServer(web.Server):
    """Makes connections and sweeps those that are late."""

    def __init__(self, traffic: Traffic, *, stall_s: float = STALL_S) -> None:
        self.stall_s = stall_s
        super().__init__(
            traffic.handle,
            access_log=None,
            keepalive_timeout=KEEP_ALIVE_S,
            auto_decompress=False,
            read_bufsize=READ_BUFFER,
            lingering_time=1.0,
            logger=_log,
        )

    def __call__(self) -> RequestHandler:
        """A connection."""
        return DeadlineHandler(self, loop=self._loop, **self._kwargs)

    def sweep(self) -> None:
        """Close connections whose request's head is late, or that do not read what they get."""
        now = self._loop.time()
        for connection in self.connections:
            if not isinstance(connection, DeadlineHandler):
                continue
            owing, stalled = connection.owing_since, connection.stalled_since
            if owing is not None and owing < now - HEAD_DEADLINE_S:
                connection.force_close()
            elif stalled is not None and stalled < now - self.stall_s:
                transport = connection.transport
                if transport is not None:
                    transport.abort()

    async def keep_sweeping(self) -> None:
        """Sweep until cancelled."""
        while True:
            await asyncio.sleep(SWEEP_S)
            self.sweep()


async def listen(server: TrafficServer, host: str, port: int) -> asyncio.Server:
    """Listen on the traffic port, which other processes of this machine may share."""
    bound = listening_socket(host, port, shared=True)
    return await asyncio.get_running_loop().create_server(server, sock=bound, backlog=BACKLOG)


async def keep_closing_idle(*servers: web.Server, idle_s: float = SIDE_IDLE_S) -> None:
    """Close connections that carry no request, so that they cannot use up all files."""
    idle: set[RequestHandler] = set()
    while True:
        await asyncio.sleep(idle_s)
        found = {connection for server in servers for connection in _idle(server)}
        for connection in idle & found:
            connection.force_close()
        idle = found - idle


async def drain(server: web.Server, in_flight: set["asyncio.Task[object]"], limit_s: float) -> None:
    """Wait for requests under way; those that are not done in time are told and settled.

    Connections without a request are closed. One whose answer began before anybody knew that it is
    the last cannot tell its client: it stays for one request more, whose answer says so.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + limit_s
    for connection in _idle(server):
        connection.close()
    since: dict[RequestHandler, float] = {}
    while (in_flight or server.connections) and loop.time() < deadline:
        now = loop.time()
        since = {connection: since.get(connection, now) for connection in _idle(server)}
        for connection, idle_since in since.items():
            if now - idle_since >= LINGER_S:
                connection.close()
        await asyncio.sleep(LOOK_S)
    for task in (late := list(in_flight)):
        task.cancel()
    if late:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(2):
                await asyncio.gather(*late, return_exceptions=True)


def _idle(server: web.Server) -> list[RequestHandler]:
    return [
        connection
        for connection in server.connections
        if connection._current_request is None  # noqa: SLF001  aiohttp tells it nowhere else
    ]
