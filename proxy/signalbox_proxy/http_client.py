"""HTTP/1.1 POSTs over aiohttp's connections and parser, without its `ClientSession`.

Under `upstream`. A session pays for each call what no provider call uses: cookies, redirects,
traces, middlewares, form data, content codings. Kept is what must be right: aiohttp's connector
(names, TLS, the pool of idle connections) and its C parser. Nothing is sent twice: a connection
that breaks before its answer is an error, whoever closed it.
"""

import asyncio
from collections.abc import Mapping
from typing import NamedTuple

import aiohttp
from aiohttp.client_reqrep import ClientRequest
from aiohttp.connector import Connection
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.http_parser import RawResponseMessage
from aiohttp.streams import StreamReader
from yarl import URL

READ_BUFFER = 1 << 16
MAX_TARGETS = 4096
"""Endpoints that are remembered; beyond them are those of snapshots long gone."""

_JOINED = 1 << 16
"""Bodies up to this size are copied behind their head: one write, one packet."""


class _Target(NamedTuple):
    """A URL, prepared: what the connector asks of a request, and how the head begins."""

    request: ClientRequest
    start: str


class HttpResponse:
    """A response whose head has come. `content` is read to its end, or `close` is called."""

    __slots__ = ("_connection", "content", "headers", "status")

    def __init__(
        self, connection: Connection, message: RawResponseMessage, content: StreamReader
    ) -> None:
        self._connection = connection
        self.status: int = message.code
        self.headers: Mapping[str, str] = message.headers
        self.content = content
        content.on_eof(self._ended)

    def close(self) -> None:
        """Give up what has not been read; harmless when all of it was."""
        if not self.content.is_eof():
            self.content.set_exception(aiohttp.ClientConnectionError("given up"))
        self._connection.close()

    def _ended(self) -> None:
        transport = self._connection.transport
        if transport is not None and transport.get_write_buffer_size():
            self._connection.close()  # answered before it was sent: the rest would come next
        else:
            self._connection.release()


class HttpClient:
    """Sends POSTs; connections that are idle are used again for `keep_s`."""

    def __init__(self, *, connect_timeout_s: float, keep_s: float) -> None:
        self._connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=keep_s)
        self._timeout = aiohttp.ClientTimeout(total=None, sock_connect=connect_timeout_s)
        self._targets: dict[str, _Target] = {}

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> HttpResponse:
        """Send and wait for the head of the answer.

        Raises aiohttp's errors as a session does: `ClientConnectorError` and
        `ConnectionTimeoutError` where nothing was sent, `ValueError` for a header with a line
        break, other `ClientError` and `OSError` after sending.
        """
        target = self._target(url)
        head = _head(target.start, headers, len(body))
        try:
            connection = await self._connector.connect(target.request, [], self._timeout)
        except TimeoutError:
            raise aiohttp.ConnectionTimeoutError("no connection in time") from None
        try:
            _write(connection, head, body)
            message, content = await _read_head(connection)
        except BaseException:
            connection.close()
            raise
        return HttpResponse(connection, message, content)

    async def close(self) -> None:
        """Close all connections."""
        await self._connector.close()

    def _target(self, url: str) -> _Target:
        found = self._targets.get(url)
        if found is None:
            if len(self._targets) >= MAX_TARGETS:
                self._targets.clear()
            request = ClientRequest("POST", URL(url, encoded=True), loop=asyncio.get_running_loop())
            start = f"POST {request.url.raw_path_qs} HTTP/1.1\r\nhost: {request.headers['Host']}"
            found = self._targets[url] = _Target(request, start)
        return found


def _head(start: str, headers: Mapping[str, str], length: int) -> bytes:
    lines = [start, *[f"{name}: {value}" for name, value in headers.items()]]
    lines.append(f"content-length: {length}\r\n\r\n")
    head = "\r\n".join(lines)
    breaks = len(lines) + 2
    if head.count("\r") != breaks or head.count("\n") != breaks or "\0" in head:
        raise ValueError("a header of the call holds a line break")
    return head.encode()


def _write(connection: Connection, head: bytes, body: bytes) -> None:
    protocol, transport = connection.protocol, connection.transport
    if protocol is None or transport is None:
        raise aiohttp.ServerDisconnectedError
    protocol.set_response_params(
        auto_decompress=False, read_until_eof=True, read_bufsize=READ_BUFFER
    )
    if len(body) <= _JOINED:
        transport.write(head + body)
    else:
        transport.write(head)
        transport.write(body)


async def _read_head(connection: Connection) -> tuple[RawResponseMessage, StreamReader]:
    """The first head that is not informational (RFC 9110, section 15.2)."""
    protocol = connection.protocol
    if protocol is None:
        raise aiohttp.ServerDisconnectedError
    try:
        message, content = await protocol.read()
        while 100 <= message.code < 200 and message.code != 101:
            message, content = await protocol.read()
    except HttpProcessingError:
        raise aiohttp.ClientPayloadError("the answer is not HTTP") from None
    return message, content
