"""A link between proxies and their authority that delivers settlements twice and out of order.

    with RepeatingLink(authority.socket, folder / "link.sock", seed=1) as link:
        Fleet(..., way=lambda authority: link.socket)

It stands before the authority's Unix socket and passes every frame on. Of the frames that settle
journal bytes some are delivered a second time, at once or when later ones have come before; some
give way to what the proxy sent after them; and of some the answer is lost with its connection, so
that the proxy sends them again itself. All that is what a network, and a proxy that repeats what
was not answered, may do: the connection is pipelined, and its requests may be repeated.
"""

import asyncio
import contextlib
import random
import threading
from collections import Counter
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from signalbox_ledger.framing import HEADER, FrameReader

CHUNK = 1 << 16
SETTLE = b"\xa6Settle"
"""How the array of such a request goes on, behind its first byte."""

OWN_NUMBERS = 1 << 31
"""Requests of the link's own: no proxy counts so far, and their answers go nowhere."""

REPEATED, GIVES_WAY, CUT = 0.20, 0.20, 0.02
"""Shares of the settlements."""

LATEST = 20
"""A repetition comes after at most so many other frames."""

WAIT_S = 0.05
"""Longest time that one gives way, where nothing comes after it."""


class RepeatingLink:
    """Listens on `socket`, passes on to `target`; runs in a thread. `did` counts by fault."""

    def __init__(self, target: Path, socket: Path, *, seed: int) -> None:
        self.target = target
        self.socket = socket
        self.random = random.Random(seed)
        self.did: Counter[str] = Counter()
        self._open: set[asyncio.Task[Any]] = set()
        self._loop = asyncio.new_event_loop()
        self._server: asyncio.Server | None = None
        self._thread = threading.Thread(target=self._loop.run_forever, name="repeating link")

    def __enter__(self) -> Self:
        self._thread.start()
        self._do(self._listen())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._do(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _do(self, work: Any) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=60)

    async def _listen(self) -> None:
        self._server = await asyncio.start_unix_server(self._accept, str(self.socket))

    async def _end(self) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._open:
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        try:
            await _Passage(self, writer).serve(reader)
        except* (OSError, asyncio.CancelledError):
            pass
        finally:
            writer.close()
            self._open.discard(task)


class _Passage:
    """One proxy's connection."""

    def __init__(self, link: RepeatingLink, proxy: asyncio.StreamWriter) -> None:
        self._link = link
        self._proxy = proxy
        self._frames = 0
        self._own = OWN_NUMBERS
        self._late: list[tuple[int, bytes]] = []
        self._waiting: list[tuple[int, bytes]] = []

    async def serve(self, reader: asyncio.StreamReader) -> None:
        back, self._authority = await asyncio.open_unix_connection(str(self._link.target))
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(self._up(reader))
                both.create_task(self._down(back))
        finally:
            self._authority.close()

    async def _up(self, reader: asyncio.StreamReader) -> None:
        frames = FrameReader()
        while True:
            data = await self._read(reader)
            if data == b"":
                raise ConnectionResetError
            for number, body in frames.feed(data or b""):
                self._frames += 1
                if body[1 : 1 + len(SETTLE)] == SETTLE:
                    self._settle(number, body)
                else:
                    self._send(number, body)
                    self._send_waiting()
                self._send_late()
            if data is None:
                self._send_waiting()
            await self._authority.drain()

    async def _read(self, reader: asyncio.StreamReader) -> bytes | None:
        """What came; None where nothing does while something gives way."""
        if not self._waiting:
            return await reader.read(CHUNK)
        with contextlib.suppress(TimeoutError):
            return await asyncio.wait_for(reader.read(CHUNK), WAIT_S)
        return None

    def _settle(self, number: int, body: bytes) -> None:
        chance, did = self._link.random, self._link.did
        did["settlements"] += 1
        drawn = chance.random()
        if drawn < GIVES_WAY:
            did["gave way"] += 1
            self._waiting.append((number, body))
            return
        self._send(number, body)
        if drawn < GIVES_WAY + REPEATED:
            did["repeated"] += 1
            self._late.append((self._frames + chance.choice((0, 1, 3, LATEST)), body))
        elif drawn < GIVES_WAY + REPEATED + CUT:
            did["answers lost"] += 1
            raise ConnectionResetError

    def _send(self, number: int, body: bytes) -> None:
        self._authority.write(HEADER.pack(len(body), number) + body)

    def _send_waiting(self) -> None:
        waiting, self._waiting = self._waiting, []
        for number, body in waiting:
            self._send(number, body)

    def _send_late(self) -> None:
        due = [each for each in self._late if each[0] <= self._frames]
        self._late = [each for each in self._late if each[0] > self._frames]
        for _, body in due:
            self._own += 1
            self._send(self._own, body)

    async def _down(self, back: asyncio.StreamReader) -> None:
        frames = FrameReader()
        while data := await back.read(CHUNK):
            for number, body in frames.feed(data):
                if number < OWN_NUMBERS:
                    self._proxy.write(HEADER.pack(len(body), number) + body)
            await self._proxy.drain()
        raise ConnectionResetError
