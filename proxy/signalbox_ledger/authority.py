"""The authority's process: asks the ledger's database for the proxies of one machine.

    python -m signalbox_ledger.authority --socket S (--db FILE | --postgresql) [--die-with-parent]

With a SQLite file it is the only writer. With PostgreSQL, whose DSN the environment variable
SIGNALBOX_LEDGER_DSN gives, there is one authority on each machine, and the database decides
between them. Prints `ready` when it listens. Requests and their order are in `turns`.
"""

import argparse
import asyncio
import contextlib
import ctypes
import fcntl
import logging
import os
import signal
import sys
from collections.abc import Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from functools import partial
from pathlib import Path

from signalbox_ledger.database import DatabaseError
from signalbox_ledger.lanes import Clock
from signalbox_ledger.opening import DSN_VARIABLE, open_database
from signalbox_ledger.store import Store
from signalbox_ledger.turns import Authority, Connection

_log = logging.getLogger("signalbox.authority")

_PR_SET_PDEATHSIG = 1


class InUseError(Exception):
    """Another authority owns the file."""


async def serve(socket: Path, stores: Sequence[Store], executors: Sequence[Executor]) -> None:
    """Listen until SIGTERM or SIGINT. Two stores, each with a thread: see `turns`."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    store = stores[0]
    clock = Clock(store.now_ms)
    if executors:
        first, second = executors
        authority = Authority(store, clock, first, records=(stores[1], second))
    else:
        authority = Authority(store, clock)
    _unlink(socket)
    mask = os.umask(0o177)
    try:
        server = await loop.create_unix_server(lambda: Connection(authority), os.fspath(socket))
    finally:
        os.umask(mask)
    print("ready", flush=True)  # noqa: T201
    chores = [asyncio.create_task(chore) for chore in (authority.tidy(), authority.beat())]
    await stop.wait()
    for chore in chores:
        chore.cancel()
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
        raise InUseError(f"another authority owns {db}; stop it first") from None
    return file


def open_stores(options: argparse.Namespace) -> list[Store]:
    """The store that the options name, twice if it is PostgreSQL.

    Raises DatabaseError, InUseError, OSError.
    """
    if not options.postgresql:
        _own(options.db)
        return [Store(partial(open_database, options.db))]
    dsn = os.environ.get(DSN_VARIABLE, "")
    if not dsn:
        raise DatabaseError(f"set {DSN_VARIABLE} to postgresql://USER:PASSWORD@HOST/DATABASE")
    return [Store(partial(open_database, dsn)) for _ in range(2)]


def main(arguments: list[str] | None = None) -> int:
    """Run the process; exit code 0 after SIGTERM, 1 where it cannot start."""
    parser = argparse.ArgumentParser(prog="signalbox_ledger.authority")
    parser.add_argument("--socket", type=Path, required=True, help="Unix socket to listen on")
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--db", type=Path, help="SQLite database; made if missing")
    where.add_argument(
        "--postgresql", action="store_true", help=f"PostgreSQL, by the DSN in {DSN_VARIABLE}"
    )
    parser.add_argument("--die-with-parent", action="store_true", help="end when the parent ends")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    if options.die_with_parent:
        _die_with_parent()
    os.umask(0o077)
    try:
        stores = open_stores(options)
    except (DatabaseError, InUseError, OSError) as error:
        _log.error("cannot open the ledger: %s", error)
        return 1
    with contextlib.ExitStack() as stack:
        for store in stores:
            stack.callback(store.close)
        threads = [stack.enter_context(ThreadPoolExecutor(1)) for _ in stores[1:] and stores]
        asyncio.run(serve(options.socket, stores, threads))
    return 0


if __name__ == "__main__":
    sys.exit(main())
