"""A client that does not read: nothing waits for it for ever, and nothing piles up."""

import asyncio
import contextlib
from typing import Any

from aiohttp import web

from signalbox_proxy.server import TrafficServer

SIZE = 32 * 1024 * 1024


class Answering:
    """Stands for the traffic handler: one whole answer that no socket buffer can hold."""

    def __init__(self) -> None:
        self.done = asyncio.Event()

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        try:
            await response.write(b"x" * SIZE)
        finally:
            self.done.set()
        return response


async def test_a_client_that_leaves_its_buffer_full_is_cut_off() -> None:
    answering: Any = Answering()
    server = TrafficServer(answering, stall_s=0.1)
    listening = await asyncio.get_running_loop().create_server(server, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert b"200 OK" in await reader.readline()
    async with asyncio.timeout(10):
        while not answering.done.is_set():
            server.sweep()
            await asyncio.sleep(0.02)
    received = 0
    with contextlib.suppress(ConnectionResetError):
        while chunk := await reader.read(1 << 20):
            received += len(chunk)
    assert received < SIZE
    writer.close()
    listening.close()
    await server.shutdown(0.1)
    assert server.connections == []
