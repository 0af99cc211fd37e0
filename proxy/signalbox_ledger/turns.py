"""Turns: what the authority's clients ask at the same time is committed together.

All requests that wait when a turn begins share one transaction (group commit), in the order in
which they came, and none is answered before that is durable. With SQLite a turn runs where it is;
with PostgreSQL in a thread of its own, while the event loop collects the next one.
"""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import Executor
from functools import partial
from typing import TypeVar

from signalbox_ledger.database import (
    ConflictError,
    DatabaseError,
    DatabaseUnavailableError,
    UnsafeDatabaseError,
)
from signalbox_ledger.desk_protocol import AnyReply
from signalbox_ledger.framing import FrameError, FrameReader, decode_request, frame
from signalbox_ledger.journal import JournalError
from signalbox_ledger.protocol import Refused, Welcome
from signalbox_ledger.service import Service, Session
from signalbox_ledger.store import Store

_log = logging.getLogger("signalbox.authority")

MAX_WAITING = 4096
"""Requests of one connection that may wait; beyond that it is not read."""

_BEAT_S = 10
_TIDY_S = 60
_TIDY_ON_S = 0.1
_TRIES = 5

Done = TypeVar("Done")


class Clock:
    """Milliseconds since the epoch that never go back, from a source that may."""

    def __init__(self, source: Callable[[], int]) -> None:
        self._source = source
        self._last = 0

    def now_ms(self) -> int:
        """The present, or the latest instant told before."""
        self._last = max(self._last, self._source())
        return self._last


class Authority:
    """Collects the requests of one turn, commits them together, answers."""

    def __init__(self, store: Store, clock: Clock, executor: Executor | None = None) -> None:
        self._store = store
        self._service = Service(store)
        self._clock = clock
        self._executor = executor
        self._waiting: list[_Asked] = []
        self._scheduled = False
        self._turns: set[asyncio.Task[None]] = set()
        self.connections: set[Connection] = set()

    def enqueue(self, connection: "Connection", number: int, body: bytes) -> None:
        """Answer it in the next turn."""
        self._waiting.append((connection, number, body))
        self._schedule()

    def _schedule(self) -> None:
        if self._waiting and not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._turn)

    async def beat(self) -> None:
        """Every ten seconds, note which holders are connected."""
        while True:
            await asyncio.sleep(_BEAT_S)
            heard = sorted({each.session.holder for each in self.connections} - {""})
            try:
                await self._aside(partial(self._note, heard))
            except DatabaseError as error:
                _log.warning("who is connected cannot be noted: %s", error)

    def _note(self, heard: list[str]) -> None:
        if heard:
            with self._store.transaction():
                self._store.holders.heard_of(heard, self._clock.now_ms())

    async def tidy(self) -> None:
        """Every minute, drop what no decision needs any more; a little at a time, so that those
        who draw meanwhile need not wait."""
        while True:
            more = False
            try:
                more = await self._aside(self._tidy_once)
            except DatabaseError as error:  # a full disk, say: it is tried again
                _log.warning("tidying failed: %s", error)
            await asyncio.sleep(_TIDY_ON_S if more else _TIDY_S)

    def _tidy_once(self) -> bool:
        with self._store.transaction():
            return self._store.forget_ended(self._clock.now_ms() // 1000)

    async def _aside(self, step: Callable[[], Done]) -> Done:
        """Where the database is asked: here, or in the thread of its own."""
        if self._executor is None:
            return step()
        return await asyncio.get_running_loop().run_in_executor(self._executor, step)

    def _turn(self) -> None:
        waiting, self._waiting = self._waiting, []
        live = [item for item in waiting if not item[0].closed]
        if self._executor is None:
            self._end_turn(live, self._replies(live))
        else:
            turn = asyncio.get_running_loop().create_task(self._turn_aside(self._executor, live))
            self._turns.add(turn)
            turn.add_done_callback(self._turns.discard)

    async def _turn_aside(self, executor: Executor, live: "list[_Asked]") -> None:
        loop = asyncio.get_running_loop()
        self._end_turn(live, await loop.run_in_executor(executor, self._replies, live))

    def _end_turn(self, live: "list[_Asked]", replies: list[AnyReply]) -> None:
        self._scheduled = False
        for (connection, number, _), reply in zip(live, replies, strict=True):
            connection.reply(number, reply)
            if isinstance(reply, Welcome):
                self._replace_others(connection)
        for connection in {item[0] for item in live}:
            connection.resume()
        self._schedule()

    def _replies(self, items: "list[_Asked]") -> list[AnyReply]:
        try:
            return self._commit(items)
        except (DatabaseUnavailableError, UnsafeDatabaseError) as error:
            return _unavailable(error, len(items))
        except Exception:  # noqa: BLE001 - whatever one request does, the others are answered
            # One request spoiled the common transaction: each gets its own, in order.
            return self._one_by_one(items)

    def _one_by_one(self, items: "list[_Asked]") -> list[AnyReply]:
        replies: list[AnyReply] = []
        for item in items:
            try:
                replies.append(self._commit_alone(item))
            except (DatabaseUnavailableError, UnsafeDatabaseError) as error:
                return replies + _unavailable(error, len(items) - len(replies))
        return replies

    def _commit(self, items: "list[_Asked]") -> list[AnyReply]:
        with self._store.transaction():
            now_ms = self._clock.now_ms()
            return [self._answer(connection, body, now_ms) for connection, _, body in items]

    def _commit_alone(self, item: "_Asked") -> AnyReply:
        for _ in range(_TRIES):
            try:
                return self._commit([item])[0]
            except ConflictError:
                continue
            except (DatabaseUnavailableError, UnsafeDatabaseError):
                raise
            except (JournalError, ValueError) as error:
                return Refused("invalid", str(error))
            except Exception as error:  # noqa: BLE001 - the client hears of it and repeats
                _log.exception("request failed")
                return Refused("failed", f"{type(error).__name__}: {error}")
        return Refused("failed", "other transactions stood in the way, again and again")

    def _answer(self, connection: "Connection", body: bytes, now_ms: int) -> AnyReply:
        try:
            request = decode_request(body)
        except FrameError as error:
            return Refused("invalid", str(error))
        return self._service.answer(connection.session, request, now_ms)

    def _replace_others(self, connection: "Connection") -> None:
        """A holder that came back on a new connection is no longer heard on the old one."""
        for other in list(self.connections):
            if other is not connection and other.session.holder == connection.session.holder:
                other.close()


class Connection(asyncio.Protocol):
    """One client."""

    def __init__(self, authority: Authority) -> None:
        self.session = Session()
        self.closed = False
        self._authority = authority
        self._reader = FrameReader()
        self._transport: asyncio.Transport | None = None
        self._waiting = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Part of asyncio.Protocol."""
        if isinstance(transport, asyncio.Transport):
            self._transport = transport
        self._authority.connections.add(self)

    def data_received(self, data: bytes) -> None:
        """Part of asyncio.Protocol."""
        try:
            frames = self._reader.feed(data)
        except FrameError as error:
            _log.warning("connection closed: %s", error)
            self.close()
            return
        for number, body in frames:
            self._waiting += 1
            self._authority.enqueue(self, number, body)
        if self._waiting > MAX_WAITING and self._transport is not None:
            self._transport.pause_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        """Part of asyncio.Protocol."""
        self.closed = True
        self._authority.connections.discard(self)

    def reply(self, number: int, reply: AnyReply) -> None:
        """Send one reply."""
        self._waiting -= 1
        if self.closed or self._transport is None:
            return
        try:
            self._transport.write(frame(number, reply))
        except FrameError as error:
            self._transport.write(frame(number, Refused("failed", str(error))))

    def resume(self) -> None:
        """Read on after a turn."""
        if not self.closed and self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def close(self) -> None:
        """Hear no more of it; what it asked and was not answered is void."""
        self.closed = True
        if self._transport is not None:
            self._transport.abort()


_Asked = tuple[Connection, int, bytes]
"""A connection, the number of its request, and the request."""


def _unavailable(error: DatabaseError, count: int) -> list[AnyReply]:
    _log.warning("the database is not available: %s", error)
    return [Refused("unavailable", str(error))] * count
