"""A proxy's connection to the authority: comes back by itself, pipelines, tells the clock."""

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import cast

from signalbox_ledger import protocol
from signalbox_ledger.framing import FrameError, FrameReader, decode_reply, frame
from signalbox_ledger.protocol import Refused, Reply, Request

_log = logging.getLogger("signalbox.ledger")

_RETRY_MS = (20, 50, 100, 200)
_HANDSHAKE_S = 5
_CLOCK_SLACK_MS = 200
_TELLS_GENERATION = (
    protocol.Drawn,
    protocol.Settled,
    protocol.Polled,
    protocol.Outdated,
    protocol.Required,
)


class LedgerUnavailableError(Exception):
    """The authority cannot be reached, or refuses this holder."""


class DatabaseAwayError(LedgerUnavailableError):
    """The authority has no database; the request may have been done."""


class ConnectionLostError(LedgerUnavailableError):
    """The connection broke before the answer came; the request may have been done."""


class Clock:
    """The authority's clock, as far as this process knows it.

    Never goes back, save once: from this machine's own clock to the authority's.
    """

    __slots__ = ("_is_ours", "_last", "_offset")

    def __init__(self) -> None:
        self._is_ours = True
        self._offset = (time.time_ns() - time.monotonic_ns()) // 1_000_000
        self._last = 0

    def now_ms(self) -> int:
        """Milliseconds since the epoch. This machine's own clock until the authority spoke."""
        now = time.monotonic_ns() // 1_000_000 + self._offset
        if now > self._last:
            self._last = now
        return self._last

    def told(self, now_ms: int) -> None:
        """What the authority just said: it is late by the way here, never early."""
        offset = now_ms - time.monotonic_ns() // 1_000_000
        if self._is_ours:
            self._is_ours = False
            self._offset = offset
            self._last = 0
        elif offset > self._offset or self._offset - offset > _CLOCK_SLACK_MS:
            self._offset = offset


class _Link(asyncio.Protocol):
    """One connection, from connect to loss."""

    def __init__(self) -> None:
        self.lost = asyncio.get_running_loop().create_future()
        self._transport: asyncio.Transport | None = None
        self._reader = FrameReader()
        self._waiting: dict[int, asyncio.Future[Reply]] = {}
        self._number = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Part of asyncio.Protocol."""
        # uvloop's transports are no asyncio.Transport.
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Part of asyncio.Protocol."""
        try:
            for number, body in self._reader.feed(data):
                future = self._waiting.pop(number, None)
                if future is not None and not future.done():
                    future.set_result(decode_reply(body))
        except FrameError:
            _log.exception("the authority sent what is no reply")
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Part of asyncio.Protocol."""
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(ConnectionLostError("the authority closed the connection"))
        self._waiting.clear()
        if not self.lost.done():
            self.lost.set_result(None)

    async def call(self, request: Request) -> Reply:
        """Send a request, wait for its reply. Raises ConnectionLostError."""
        if self.lost.done() or self._transport is None:
            raise ConnectionLostError("the authority is not connected")
        self._number = (self._number + 1) % 2**32
        future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._waiting[self._number] = future
        self._transport.write(frame(self._number, request))
        return await future

    def close(self) -> None:
        """Break it off."""
        if self._transport is not None:
            self._transport.abort()


class AuthorityConnection:
    """Keeps one holder connected for as long as its process lives."""

    def __init__(
        self,
        socket: Path,
        hello: Callable[[], protocol.Hello],
        clock: Clock,
        *,
        on_connect: Callable[[protocol.Welcome], None],
        on_fenced: Callable[[], None],
    ) -> None:
        self._on_fenced = on_fenced
        self.configuration: protocol.Configure | None = None
        self.generation = 0
        self.min_generation = 0
        self.fenced = False
        self.was_up = False
        self.down_since: float | None = None
        self._socket = socket
        self._hello = hello
        self._clock = clock
        self._on_connect = on_connect
        self._link: _Link | None = None
        self._required = 0
        self._up = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self, *, patience_s: float) -> bool:
        """Begin; whether the authority was reached within `patience_s`."""
        self.down_since = asyncio.get_running_loop().time()
        self._task = asyncio.create_task(self._keep())
        return await self.wait_up(patience_s)

    @property
    def is_up(self) -> bool:
        """Whether the authority is connected."""
        return self._up.is_set()

    async def wait_up(self, patience_s: float) -> bool:
        """Whether the authority is connected within `patience_s`."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience_s):
                await self._up.wait()
        return self._up.is_set()

    async def call(self, request: Request) -> Reply:
        """Ask once. Raises ConnectionLostError, LedgerUnavailableError once fenced."""
        if not self._up.is_set() or self._link is None:
            raise ConnectionLostError("the authority is not connected")
        reply = await self._link.call(request)
        if isinstance(reply, Refused) and reply.reason == "fenced":
            self._set_fenced(reply)
            raise LedgerUnavailableError(reply.message)
        _taken(reply)
        if isinstance(reply, _TELLS_GENERATION):
            self._told_generation(reply.min_generation)
        elif isinstance(reply, protocol.Configured):
            self.generation = max(self.generation, reply.generation)
        return reply

    async def until_answered(self, request: Request) -> Reply:
        """Ask, on as many connections as it takes: for requests that may be repeated.

        Raises LedgerUnavailableError once this holder is fenced.
        """
        failures = 0
        while not self.fenced:
            await self._up.wait()
            try:
                return await self.call(request)
            except ConnectionLostError:
                if not self.fenced:
                    self._up.clear()
            except DatabaseAwayError:
                await asyncio.sleep(_pause_s(failures))
                failures += 1
        raise LedgerUnavailableError("this holder is fenced; its process has to end")

    async def require_generation(self, generation: int) -> None:
        """Tell the authority, now and on every later connection: nothing older may draw."""
        if generation <= self._required:
            return
        self._required = generation
        self._told_generation(generation)
        await self.until_answered(protocol.RequireGeneration(generation))

    async def stop(self) -> None:
        """Close for good."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        if self._link is not None:
            self._link.close()
        self._up.clear()

    async def _keep(self) -> None:
        failures = 0
        while not self.fenced:
            try:
                link, welcome = await self._connect()
            except (OSError, TimeoutError, LedgerUnavailableError, FrameError):
                await asyncio.sleep(_pause_s(failures))
                failures += 1
                continue
            failures = 0
            self._link = link
            self.down_since = None
            self.was_up = True
            self._up.set()
            self._on_connect(welcome)
            await link.lost
            self.down_since = asyncio.get_running_loop().time()
            self._up.clear()

    async def _connect(self) -> tuple[_Link, protocol.Welcome]:
        loop = asyncio.get_running_loop()
        _, link = await loop.create_unix_connection(_Link, os.fspath(self._socket))
        try:
            async with asyncio.timeout(_HANDSHAKE_S):
                welcome = self._welcomed(await link.call(self._hello()))
                if self.configuration is not None:
                    _taken(await link.call(self.configuration))
                if self._required:
                    _taken(await link.call(protocol.RequireGeneration(self._required)))
        except BaseException:
            link.close()
            raise
        return link, welcome

    def _welcomed(self, reply: Reply) -> protocol.Welcome:
        if isinstance(reply, protocol.Welcome):
            self._clock.told(reply.now_ms)
            self._told_generation(reply.min_generation)
            self.generation = max(self.generation, reply.generation)
            return reply
        if isinstance(reply, Refused) and reply.reason == "fenced":
            self._set_fenced(reply)
        raise ConnectionLostError(f"the authority does not welcome us: {reply}")

    def _told_generation(self, min_generation: int) -> None:
        """It only rises: a database that went back knows less than it said."""
        self.min_generation = max(self.min_generation, min_generation)

    def _set_fenced(self, reply: Refused) -> None:
        if not self.fenced:
            _log.error("the authority refuses this holder for good: %s", reply.message)
            self.fenced = True
            self._on_fenced()
        self._up.set()


def _taken(reply: Reply) -> None:
    """Raise where the database is away: what was said has to be said again."""
    if isinstance(reply, Refused) and reply.reason == "unavailable":
        raise DatabaseAwayError(reply.message)


def _pause_s(failures: int) -> float:
    return _RETRY_MS[min(failures, len(_RETRY_MS) - 1)] / 1000
