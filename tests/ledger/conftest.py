"""A real authority on a socket of its own, and ledgers that talk to it."""

import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, ExitStack
from functools import partial
from pathlib import Path

import pytest

from signalbox_ledger import flushing
from signalbox_ledger.client import ProxyLedger
from signalbox_ledger.opening import open_database
from signalbox_ledger.store import Store
from support.ledgers import AuthorityProcess
from support.patience import be_patient


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


OpenStore = Callable[[], Store]


@pytest.fixture(params=["sqlite", "postgresql"])
def where(request: pytest.FixtureRequest, folder: Path) -> Path | str:
    """An empty ledger: a file, and a database of a real server."""
    if request.param == "sqlite":
        return folder / "ledger.db"
    return str(request.getfixturevalue("postgres_dsn"))


@pytest.fixture
def open_store(where: Path | str) -> Iterator[OpenStore]:
    """Opens the ledger, as often as an authority would."""
    with ExitStack() as stack:

        def open_() -> Store:
            store = Store(partial(open_database, where))
            stack.callback(store.close)
            return store

        yield open_


@pytest.fixture
def unflushed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Journals are settled when a test asks for it, not beside it."""
    monkeypatch.setattr(flushing, "_INTERVAL_S", 3600.0)
    monkeypatch.setattr(flushing, "_LONGEST_INTERVAL_S", 3600.0)


@pytest.fixture(autouse=True)
def patience(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine is no outage, but where a test asks for the deadlines themselves."""
    if request.node.get_closest_marker("deadlines") is None:
        be_patient(monkeypatch.setattr)
