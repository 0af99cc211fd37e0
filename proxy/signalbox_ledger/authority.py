"""The authority's process: the only writer of the ledger's database on one machine.

    python -m signalbox_ledger.authority --socket S --db F [--die-with-parent]

Prints `ready` when it listens. All requests that wait in one turn of the event loop share one
transaction (group commit), and none is answered before that is durable. Time comes from here.
"""

import argparse
import asyncio
import contextlib
import ctypes
import fcntl
import logging
import os
import signal
import sqlite3
import sys
import time
from pathlib import Path

from signalbox_ledger.framing import FrameError, FrameReader, decode_request, frame
from signalbox_ledger.journal import JournalError
from signalbox_ledger.protocol import Refused, Reply
from signalbox_ledger.service import Service, Session
from signalbox_ledger.sqlite_store import SqliteStore, StoreError

_log = logging.getLogger("signalbox.authority")

MAX_WAITING = 4096
"""Requests of one connection that may wait; beyond that it is not read."""

_TIDY_S = 600
_PR_SET_PDEATHSIG = 1


class Clock:
    """Milliseconds since the epoch that never go back."""

    def __init__(self) -> None:
        self._last = 0

    def now_ms(self) -> int:
        """The present, or the latest instant told before."""
        self._last = max(self._last, time.time_ns() // 1_000_000)
        return self._last


class Authority:
    """Collects the requests of one turn, commits them together, answers."""

    def __init__(self, store: SqliteStore, clock: Clock) -> None:
        self._store = store
        self._service = Service(store)
        self._clock = clock
        self._waiting: list[tuple[Connection, int, bytes]] = []
        self._scheduled = False
        self.connections: set[Connection] = set()

    def enqueue(self, connection: "Connection", number: int, body: bytes) -> None:
        """Answer it in the next turn."""
        self._waiting.append((connection, number, body))
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._turn)

    async def tidy(self) -> None:
        """Every ten minutes, drop what no decision needs any more."""
        while True:
            try:
                with self._store.transaction():
                    self._store.forget_ended(self._clock.now_ms() // 1000)
            except sqlite3.Error as error:  # a full disk, say: it is tried again
                _log.warning("tidying failed: %s", error)
            await asyncio.sleep(_TIDY_S)

    def _turn(self) -> None:
        self._scheduled = False
        waiting, self._waiting = self._waiting, []
        live = [item for item in waiting if not item[0].closed]
        try:
            replies = self._commit(live)
        except Exception:  # noqa: BLE001 - whatever one request does, the others are answered
            # One request spoiled the common transaction: each gets its own, in order.
            replies = [self._commit_alone(item) for item in live]
        for (connection, number, _), reply in zip(live, replies, strict=True):
            connection.reply(number, reply)
        for connection in {item[0] for item in live}:
            connection.resume()

    def _commit(self, items: list[tuple["Connection", int, bytes]]) -> list[Reply]:
        now_ms = self._clock.now_ms()
        with self._store.transaction():
            return [self._answer(connection, body, now_ms) for connection, _, body in items]

    def _commit_alone(self, item: tuple["Connection", int, bytes]) -> Reply:
        try:
            return self._commit([item])[0]
        except (JournalError, ValueError) as error:
            return Refused("invalid", str(error))
        except Exception as error:  # noqa: BLE001 - the client hears of it and repeats
            _log.exception("request failed")
            return Refused("failed", f"{type(error).__name__}: {error}")

    def _answer(self, connection: "Connection", body: bytes, now_ms: int) -> Reply:
        if connection.closed:
            return Refused("invalid", "the connection was replaced")
        try:
            request = decode_request(body)
        except FrameError as error:
            return Refused("invalid", str(error))
        before = connection.session.holder
        reply = self._service.answer(connection.session, request, now_ms)
        if connection.session.holder != before:
            self._replace_others(connection)
        return reply

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

    def reply(self, number: int, reply: Reply) -> None:
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


async def serve(socket: Path, store: SqliteStore) -> None:
    """Listen until SIGTERM or SIGINT."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    authority = Authority(store, Clock())
    _unlink(socket)
    mask = os.umask(0o177)
    try:
        server = await loop.create_unix_server(lambda: Connection(authority), os.fspath(socket))
    finally:
        os.umask(mask)
    print("ready", flush=True)  # noqa: T201
    tidying = asyncio.create_task(authority.tidy())
    await stop.wait()
    tidying.cancel()
    server.close()
    for connection in list(authority.connections):
        connection.close()
    _unlink(socket)


def _unlink(socket: Path) -> None:
    socket.unlink(missing_ok=True)


def _die_with_parent() -> None:
    parent = os.getppid()
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        sys.exit(1)


def _own(db: Path) -> int:
    """Be the only writer of `db` on this machine, for as long as the file stays open."""
    file = os.open(f"{db}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise StoreError(f"another authority owns {db}; stop it first") from None
    return file


def main(arguments: list[str] | None = None) -> int:
    """Run the process; exit code 0 after SIGTERM, 1 where it cannot start."""
    parser = argparse.ArgumentParser(prog="signalbox_ledger.authority")
    parser.add_argument("--socket", type=Path, required=True, help="Unix socket to listen on")
    parser.add_argument("--db", type=Path, required=True, help="SQLite database; made if missing")
    parser.add_argument("--die-with-parent", action="store_true", help="end when the parent ends")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    if options.die_with_parent:
        _die_with_parent()
    os.umask(0o077)
    try:
        _own(options.db)
        store = SqliteStore(options.db)
    except (StoreError, sqlite3.Error, OSError) as error:
        _log.error("cannot open %s: %s", options.db, error)
        return 1
    with contextlib.closing(store):
        asyncio.run(serve(options.socket, store))
    return 0


if __name__ == "__main__":
    sys.exit(main())
