"""Clients that do not read, or send too slowly: nothing waits for them for ever."""

import asyncio
import contextlib
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp import web

from signalbox_proxy.exchange import Exchange, read_headers
from signalbox_proxy.refusals import Refusal
from signalbox_proxy.server import TrafficServer, keep_closing_idle
from signalbox_proxy.surfaces import CHAT, TRANSCRIPTIONS, Surface
from signalbox_proxy.upload_room import UploadRoom

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
    async with asyncio.timeout(60):
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


class Reading:
    """Stands for the traffic handler: reads a body and tells what became of it."""

    def __init__(self, surface: Surface = CHAT, uploads: UploadRoom | None = None) -> None:
        self.surface = surface
        self.services: Any = SimpleNamespace(uploads=uploads)

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        headers = read_headers(request)
        exchange = Exchange(self.services, self.surface, request, headers, {}, agent="shop/bot")
        try:
            return web.Response(text=f"{len(await exchange.body())} bytes")
        except Refusal as refusal:
            return web.Response(text=refusal.message, status=refusal.http_status)
        finally:
            exchange.leave()


class WatchedRoom(UploadRoom):
    """Room for files that knows what was taken and given back."""

    def __init__(self, room: int) -> None:
        super().__init__(room)
        self.taken = self.given_back = 0

    def enter(self, size: int, agent: str) -> None:
        super().enter(size, agent)
        self.taken += size

    def leave(self, size: int, agent: str) -> None:
        super().leave(size, agent)
        self.given_back += size


async def answered(server: TrafficServer, head: bytes, pieces: list[bytes]) -> str:
    listening = await asyncio.get_running_loop().create_server(server, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"POST / HTTP/1.1\r\nHost: x\r\n" + head + b"\r\n")
    received = asyncio.create_task(reader.read(4096))
    for piece in pieces:
        if received.done():
            break
        writer.write(piece)
        await asyncio.wait([received], timeout=0.05)
    told = (await asyncio.wait_for(received, 60)).decode()
    writer.close()
    listening.close()
    await server.shutdown(0.1)
    return told


async def test_a_body_that_trickles_in_is_refused_at_its_deadline(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The deadline is absolute: a byte now and then does not move it."""
    monkeypatch.setattr("signalbox_proxy.exchange.BODY_DEADLINE_S", 0.3)
    reading: Any = Reading()
    told = await answered(TrafficServer(reading), b"Content-Length: 1000\r\n", [b"x"] * 100)
    assert "400 Bad Request" in told
    assert "did not arrive within 0.3 s" in told


async def test_a_body_without_a_length_is_bounded_while_it_comes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("signalbox_proxy.exchange.MAX_BODY", 100)
    reading: Any = Reading()
    pieces = [b"32\r\n" + b"x" * 50 + b"\r\n"] * 3
    told = await answered(TrafficServer(reading), b"Transfer-Encoding: chunked\r\n", pieces)
    assert "413" in told


async def test_a_file_takes_room_for_what_came_not_for_what_is_announced(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("signalbox_proxy.exchange.BODY_DEADLINE_S", 0.3)
    room = WatchedRoom(4000)
    reading: Any = Reading(TRANSCRIPTIONS, room)
    told = await answered(TrafficServer(reading), b"Content-Length: 900\r\n", [b"x"] * 100)
    assert "did not arrive within 0.3 s" in told
    assert 0 < room.taken == room.given_back <= 100
    monkeypatch.setattr("signalbox_proxy.exchange.BODY_DEADLINE_S", 60)
    pieces = [b"32\r\n" + b"x" * 50 + b"\r\n"] * 3 + [b"0\r\n\r\n"]
    told = await answered(TrafficServer(reading), b"Transfer-Encoding: chunked\r\n", pieces)
    assert "150 bytes" in told
    assert room.taken == room.given_back


@pytest.mark.parametrize("head", [b"Content-Length: 1001\r\n", b"Transfer-Encoding: chunked\r\n"])
async def test_a_file_without_room_is_refused_announced_or_while_it_comes(head: bytes) -> None:
    room = WatchedRoom(4000)
    reading: Any = Reading(TRANSCRIPTIONS, room)
    pieces = [b"1f4\r\n" + b"x" * 500 + b"\r\n"] * 3
    told = await answered(TrafficServer(reading), head, pieces)
    assert "503" in told
    assert "Agent shop/bot sends as many files at once as it may" in told
    assert room.taken == room.given_back <= (0 if b"Length" in head else 1000)


async def test_a_connection_without_a_request_is_closed_and_one_with_a_request_is_not() -> None:
    release = asyncio.Event()

    async def wait(request: web.BaseRequest) -> web.StreamResponse:
        await release.wait()
        return web.Response(text="done")

    server = web.Server(wait)
    listening = await asyncio.get_running_loop().create_server(server, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    busy, asking = await asyncio.open_connection("127.0.0.1", port)
    asking.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    idle, silent = await asyncio.open_connection("127.0.0.1", port)
    half, late = await asyncio.open_connection("127.0.0.1", port)
    late.write(b"GET / HTTP/1.1\r\nHost:")
    closing = asyncio.create_task(keep_closing_idle(server, idle_s=0.05))
    async with asyncio.timeout(60):
        assert await idle.read() == b""
        assert await half.read() == b""
        release.set()
        assert b"200 OK" in await busy.readline()
    closing.cancel()
    for writer in (asking, silent, late):
        writer.close()
    listening.close()
    await server.shutdown(0.1)
