"""A real authority on a socket of its own, and ledgers that talk to it."""

import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from signalbox_ledger.client import ProxyLedger
from support.ledgers import AuthorityProcess


@pytest.fixture
def folder() -> Iterator[Path]:
    # pytest's own paths are longer than the 108 bytes of a Unix socket's address.
    with tempfile.TemporaryDirectory(prefix="sb") as path:
        yield Path(path)


@pytest.fixture
def authority(folder: Path) -> Iterator[AuthorityProcess]:
    process = AuthorityProcess(folder)
    process.start()
    yield process
    process.stop()


Open = Callable[[str], Awaitable[ProxyLedger]]


@pytest.fixture
async def open_ledger(authority: AuthorityProcess, folder: Path) -> AsyncIterator[Open]:
    async with AsyncExitStack() as stack:

        async def open_(name: str) -> ProxyLedger:
            ledger = await ProxyLedger.open(
                name=name, socket=authority.socket, journal_dir=folder / name
            )
            stack.push_async_callback(ledger.close)
            return ledger

        yield open_
