"""The authority's clients: who is connected, who asks what, and which lane answers it.

With SQLite there is one lane. With PostgreSQL there are two: what a waiting request needs never
waits for rows of runs to be written.
"""

import asyncio
import logging
from concurrent.futures import Executor
from functools import partial

from signalbox_ledger import protocol
from signalbox_ledger.database import DatabaseError, DatabaseUnavailableError
from signalbox_ledger.desk_protocol import AnyReply
from signalbox_ledger.framing import FrameError, FrameReader, decode_request, frame
from signalbox_ledger.lanes import Asked, Clock, Lane
from signalbox_ledger.protocol import Refused, Welcome
from signalbox_ledger.session import Session
from signalbox_ledger.store import Store

_log = logging.getLogger("signalbox.authority")

MAX_WAITING = 4096
"""Requests of one connection that may wait; beyond that it is not read."""

_BEAT_S = 10
_TIDY_S = 60
_TIDY_ON_S = 0.1

_URGENT = (
    *(protocol.Hello, protocol.Configure, protocol.RequireGeneration, protocol.Fence),
    *(protocol.Draw, protocol.Poll, protocol.ClaimKey, protocol.ReleaseKey),
    *(protocol.KeepResponse, protocol.FindResponse),
)
"""What the first lane answers, where there are two."""


class Authority:
    """Collects what its clients ask, lane by lane, and answers.

    `records` is a second connection with a thread of its own, for everything that no request of
    a client waits for.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        executor: Executor | None = None,
        *,
        records: tuple[Store, Executor] | None = None,
    ) -> None:
        self.lanes = [Lane(store, clock, self._answered, executor)]
        if records is not None:
            other, aside = records
            self.lanes.append(Lane(other, Clock(other.now_ms), self._answered, aside))
        self.connections: dict[Connection, None] = {}

    def enqueue(self, asked: "Asked[Connection]") -> None:
        """Answer it in the next turn of its lane."""
        self.lanes[0 if isinstance(asked.request, _URGENT) else -1].enqueue(asked)

    def silent_ms(self) -> int | None:
        """For how long the database has owed what draws need, where any answer of it is a sign of
        life; None where it is away. With SQLite nothing is owed while anybody can ask."""
        first = self.lanes[0]
        if first.is_away:
            return None
        if first.began_at is None:
            return 0
        began_ms = round(first.began_at * 1000)
        heard_ms = max(began_ms, *(lane.store.answered_ms for lane in self.lanes))
        return max(0, round(asyncio.get_running_loop().time() * 1000) - heard_ms)

    async def beat(self) -> None:
        """Every ten seconds, note which holders are connected."""
        while True:
            await asyncio.sleep(_BEAT_S)
            heard = sorted({each.session.holder for each in self.connections} - {""})
            for holder in heard:
                try:
                    await self.lanes[-1].aside(partial(self._note, holder))
                except DatabaseError as error:
                    _log.warning("that %s is connected cannot be noted: %s", holder, error)
                    self._part_if_lost(error)

    def _note(self, holder: str) -> None:
        # One at a time: who waits for several holders, and has some of them, waits in a circle with
        # those who draw or settle for several.
        lane = self.lanes[-1]
        with lane.store.transaction():
            lane.store.holders.heard_of([holder], lane.clock.now_ms())

    async def tidy(self) -> None:
        """Every minute, drop what no decision needs any more; a little at a time, so that those
        who draw meanwhile need not wait."""
        while True:
            more = False
            try:
                more = await self.lanes[-1].aside(self._tidy_once)
            except DatabaseError as error:  # a full disk, say: it is tried again
                _log.warning("tidying failed: %s", error)
                self._part_if_lost(error)
            await asyncio.sleep(_TIDY_ON_S if more else _TIDY_S)

    def _tidy_once(self) -> bool:
        lane = self.lanes[-1]
        with lane.store.transaction():
            return lane.store.forget_ended(lane.clock.now_ms() // 1000)

    def _answered(self, turn: "list[tuple[Asked[Connection], AnyReply]]") -> None:
        for asked, reply in turn:
            asked.caller.reply(asked.number, reply)
            if isinstance(reply, Welcome):
                self._replace_others(asked.caller)
        for connection in dict.fromkeys(asked.caller for asked, _ in turn):
            connection.resume()
        if any(isinstance(reply, Refused) and reply.reason == "unavailable" for _, reply in turn):
            self._part_with_holders()

    def _part_if_lost(self, error: DatabaseError) -> None:
        if isinstance(error, DatabaseUnavailableError):
            self._part_with_holders()

    def _part_with_holders(self) -> None:
        """The database was lost, and the next may know less than this one did: holders come back
        on new connections and present what they have."""
        for connection in list(self.connections):
            if connection.session.holder:
                connection.part()

    def _replace_others(self, connection: "Connection") -> None:
        """A holder that came back on a new connection is no longer heard on the old one."""
        for other in list(self.connections):
            if other is not connection and other.session.holder == connection.session.holder:
                other.close()


class Connection(asyncio.Protocol):
    """One client."""

    def __init__(self, authority: Authority) -> None:
        self.session = Session()
        self._authority = authority
        self._reader = FrameReader()
        self._transport: asyncio.Transport | None = None
        self._waiting = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Part of asyncio.Protocol."""
        if isinstance(transport, asyncio.Transport):
            self._transport = transport
        self._authority.connections[self] = None

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
            self._take(number, body)
        if self._waiting > MAX_WAITING and self._transport is not None:
            self._transport.pause_reading()

    def _take(self, number: int, body: bytes) -> None:
        try:
            request = decode_request(body)
        except FrameError as error:
            self.reply(number, Refused("invalid", str(error)))
        else:
            if isinstance(request, protocol.Ping):
                self.reply(number, protocol.Alive(self._authority.silent_ms()))
                return
            self._authority.enqueue(Asked(self, self.session, number, request))

    def connection_lost(self, exc: Exception | None) -> None:
        """Part of asyncio.Protocol."""
        self.session.is_closed = True
        self._authority.connections.pop(self, None)

    def reply(self, number: int, reply: AnyReply) -> None:
        """Send one reply."""
        self._waiting -= 1
        if self.session.is_closed or self._transport is None:
            return
        try:
            self._transport.write(frame(number, reply))
        except FrameError as error:
            self._transport.write(frame(number, Refused("failed", str(error))))

    def resume(self) -> None:
        """Read on after a turn."""
        if (
            not self.session.is_closed
            and self._transport is not None
            and not self._transport.is_closing()
        ):
            self._transport.resume_reading()

    def part(self) -> None:
        """Hear no more of it, once it has what was answered."""
        self.session.is_closed = True
        if self._transport is not None:
            self._transport.close()

    def close(self) -> None:
        """Hear no more of it; what it asked and was not answered is void."""
        self.session.is_closed = True
        if self._transport is not None:
            self._transport.abort()
