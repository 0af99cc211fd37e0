"""A TCP link that fails on command: stands between a client and a server of 127.0.0.1.

    with FaultyLink(server.port) as link:
        link.set(latency_s=5.0)      # or: down, reset, silent, bytes_per_s, slice_bytes, ...
        link.cut_reply(keep=1, to=b"COMMIT")
        link.heal()

Faults are the eight of the field's fault-injecting proxies (latency, down, bandwidth, slow close,
timeout, reset peer, slicer, limit data), and two that databases need: a reply that is cut in its
middle, and one whose second half never comes. They act on connections that are open and on new
ones. What a silent link has kept is delivered when it heals, as TCP does after a partition.
"""

import asyncio
import contextlib
import random
import socket
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, Literal, Self

CHUNK = 65536
Direction = Literal["up", "down"]
"""To the server; back to the client."""


@dataclass(frozen=True)
class Faults:
    """What the link does at this moment; without arguments: nothing.

    `latency_s`, give or take `jitter_s`, before each piece in `direction`; `down`: nobody listens
    and what was open is closed; `reset`: likewise by RST, also what connects anew;
    `silent`: nothing gets through, nothing ends, unless `timeout_s` passes; `bytes_per_s` bounds
    each connection; `slice_bytes` cuts each piece small, with `slice_pause_s` between; after
    `limit_bytes` towards the client the connection ends; one side's end reaches the other after
    `close_delay_s`.
    """

    latency_s: float = 0.0
    jitter_s: float = 0.0
    direction: Literal["both", "up", "down"] = "both"
    down: bool = False
    reset: bool = False
    silent: bool = False
    timeout_s: float | None = None
    bytes_per_s: int = 0
    slice_bytes: int = 0
    slice_pause_s: float = 0.0
    limit_bytes: int | None = None
    close_delay_s: float = 0.0


@dataclass(frozen=True)
class Cut:
    """What happens to the reply to the next request that contains `to`, or to `every` one."""

    keep: int
    to: bytes
    how: Literal["reset", "silence"]
    every: bool


class FaultyLink:
    """Listens on a port of its own, forwards to `target_port`; runs in a thread."""

    def __init__(self, target_port: int, *, seed: int = 0) -> None:
        self.target_port = target_port
        self.random = random.Random(seed)
        self.faults = Faults()
        self.cut: Cut | None = None
        self.cuts = 0
        self.accepted = 0
        self.changed = asyncio.Event()
        self.open: set[_Connection] = set()
        self._listening = socket.socket()
        self._listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listening.bind(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self._loop = asyncio.new_event_loop()
        self._server: asyncio.Server | None = None
        self._thread = threading.Thread(target=self._loop.run_forever, name="faulty link")

    def __enter__(self) -> Self:
        self._thread.start()
        self._do(self._listen)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._do(self._end)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._listening.close()

    def set(self, **faults: Any) -> None:
        """These faults, and no others, from now on."""
        self._do(lambda: self._apply(Faults(**faults)))

    def add(self, **faults: Any) -> None:
        """These faults besides those that act."""
        self._do(lambda: self._apply(replace(self.faults, **faults)))

    def heal(self) -> None:
        """No more faults; what was cut stays cut, what was kept is delivered."""

        async def nothing() -> None:
            self.cut = None
            await self._apply(Faults())

        self._do(nothing)

    def cut_reply(self, keep: int = 1, *, to: bytes = b"", every: bool = False) -> None:
        """Of the next reply, to a request that contains `to`, `keep` bytes arrive, then RST."""
        self._arm(Cut(keep, to, "reset", every))

    def half_reply(self, keep: int = 1, *, to: bytes = b"", every: bool = False) -> None:
        """Of the next reply `keep` bytes arrive, then nothing more, and nothing ends."""
        self._arm(Cut(keep, to, "silence", every))

    def drop(self) -> None:
        """RST on every open connection, once."""

        async def now() -> None:
            for connection in list(self.open):
                connection.reset()

        self._do(now)

    def freeze(self) -> None:
        """Every open connection is half open from now on: nothing passes, nothing ends it. New
        ones are as they should be."""

        async def now() -> None:
            for connection in self.open:
                connection.frozen = True

        self._do(now)

    def _arm(self, cut: Cut) -> None:
        async def now() -> None:
            self.cut = cut

        self._do(now)

    def _do(self, work: Callable[[], Any]) -> None:
        """Run it in the link's loop, and wait until it has been done."""
        asyncio.run_coroutine_threadsafe(work(), self._loop).result(timeout=20)

    async def _listen(self) -> None:
        if self._server is None:
            listening = self._listening.dup()
            self._server = await asyncio.start_server(self._accept, sock=listening)

    async def _stop_listening(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
            # The port stays ours; without a backlog its connections are refused.
            self._listening.close()
            self._listening = socket.socket()
            self._listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._listening.bind(("127.0.0.1", self.port))

    async def _apply(self, faults: Faults) -> None:
        self.faults = faults
        self.changed.set()
        self.changed = asyncio.Event()
        if faults.down:
            await self._stop_listening()
        else:
            await self._listen()
        if faults.down or faults.reset:
            for connection in list(self.open):
                connection.reset() if faults.reset else connection.close()

    async def _end(self) -> None:
        if self._server is not None:
            self._server.close()
        tasks = [connection.task for connection in self.open]
        for connection in list(self.open):
            connection.close()
            connection.task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        task = asyncio.current_task()
        assert task is not None
        connection = _Connection(self, writer, task)
        self.open.add(connection)
        try:
            if self.faults.reset:
                connection.reset()
                return
            await connection.serve(reader)
        except* (OSError, asyncio.CancelledError):
            pass
        finally:
            connection.close()
            self.open.discard(connection)


class _Connection:
    """One client's connection and its other half to the server."""

    def __init__(
        self, link: FaultyLink, client: asyncio.StreamWriter, task: "asyncio.Task[Any]"
    ) -> None:
        self.task = task
        self.frozen = False
        self._link = link
        self._client = client
        self._server: asyncio.StreamWriter | None = None
        self._cut: Cut | None = None
        self._kept = 0
        self._down_bytes = 0
        self._silent = False

    async def serve(self, reader: asyncio.StreamReader) -> None:
        """Forward both ways until one side ends."""
        await self._pass_silence()
        back, self._server = await asyncio.open_connection("127.0.0.1", self._link.target_port)
        async with asyncio.TaskGroup() as both:
            both.create_task(self._pump("up", reader, self._server))
            both.create_task(self._pump("down", back, self._client))

    def reset(self) -> None:
        for writer in (self._client, self._server):
            if writer is not None and not writer.transport.is_closing():
                with contextlib.suppress(OSError):
                    plain = writer.get_extra_info("socket")
                    plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                writer.transport.abort()

    def close(self) -> None:
        for writer in (self._client, self._server):
            if writer is not None:
                writer.close()

    async def _pump(
        self, way: Direction, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        while data := await self._read(reader):
            await self._pass_silence()
            if way == "up":
                self._watch(data)
            await self._delay(way)
            if way == "down" and (self._cut is not None or self._silent):
                data = self._cut_short(data)
            for piece in self._pieces(data):
                await self._pace(len(piece))
                writer.write(piece)
                await writer.drain()
            if way == "down":
                self._count(len(data))
        await asyncio.sleep(self._link.faults.close_delay_s)
        with contextlib.suppress(OSError):  # it may be gone by now
            if not writer.transport.is_closing():
                writer.write_eof()

    async def _read(self, reader: asyncio.StreamReader) -> bytes:
        try:
            return await reader.read(CHUNK)
        except ConnectionResetError:
            self.reset()
            return b""

    async def _pass_silence(self) -> None:
        """Wait as long as the link is silent; end the connection where that has an end."""
        while self.frozen:
            await self._link.changed.wait()
        while self._link.faults.silent:
            try:
                async with asyncio.timeout(self._link.faults.timeout_s):
                    await self._link.changed.wait()
            except TimeoutError:
                self.close()
                raise ConnectionAbortedError from None

    def _watch(self, request: bytes) -> None:
        cut = self._link.cut
        if cut is not None and cut.to in request:
            self._cut, self._kept = cut, cut.keep
            if not cut.every:
                self._link.cut = None

    def _cut_short(self, data: bytes) -> bytes:
        if self._silent or self._cut is None:
            return b""
        short = data[: self._kept]
        self._kept -= len(short)
        if self._kept == 0:
            if self._cut.how == "silence":
                self._silent = True
            else:
                if short:
                    self._client.write(short)
                self.reset_soon()
            self._link.cuts += 1
            if self._cut.how == "reset":
                short = b""
            self._cut = None
        return short

    def reset_soon(self) -> None:
        """After what was written has left."""
        asyncio.get_running_loop().call_later(0.01, self.reset)
        self._silent = True

    async def _delay(self, way: Direction) -> None:
        faults = self._link.faults
        if faults.latency_s and faults.direction in ("both", way):
            spread = faults.jitter_s * (2 * self._link.random.random() - 1)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, faults.latency_s + spread)):
                    await self._link.changed.wait()

    def _pieces(self, data: bytes) -> list[bytes]:
        size = self._link.faults.slice_bytes or len(data)
        return [data[start : start + size] for start in range(0, len(data), size or 1)]

    async def _pace(self, size: int) -> None:
        faults = self._link.faults
        pause = faults.slice_pause_s
        if faults.bytes_per_s:
            pause += size / faults.bytes_per_s
        if pause:
            await asyncio.sleep(pause)

    def _count(self, sent: int) -> None:
        self._down_bytes += sent
        limit = self._link.faults.limit_bytes
        if limit is not None and self._down_bytes >= limit:
            self.close()
