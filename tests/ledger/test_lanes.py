"""Lanes of an authority: what shares a transaction, what goes beside, what a lost database does."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from pathlib import Path

import pytest

from signalbox_ledger import protocol, turns
from signalbox_ledger.asking import connected
from signalbox_ledger.connection import LedgerUnavailableError
from signalbox_ledger.database import Database, DatabaseUnavailableError
from signalbox_ledger.desk_protocol import AnyReply, AnyRequest
from signalbox_ledger.lanes import Asked, Clock, Lane
from signalbox_ledger.opening import open_database
from signalbox_ledger.session import Session
from signalbox_ledger.store import Store
from signalbox_ledger.turns import Authority, Connection

HELLO = protocol.Hello("p", "p-1")
SETTLE = protocol.Settle("p-1", 0, b"")
POLL = protocol.Poll()


class Outage:
    """A database that can be away."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.is_away = False

    def connect(self) -> Database:
        if self.is_away:
            raise DatabaseUnavailableError("nobody listens")
        return open_database(self._path)


class Watched(Store):
    """Tells which requests shared a transaction."""

    answered_ms: int = 0  # type: ignore[assignment]

    def __init__(self, outage: Outage) -> None:
        self.shared: list[list[str]] = []
        super().__init__(outage.connect)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        self.shared.append([])
        with super().transaction():
            yield

    @property
    def heard(self) -> list[str]:
        """All requests, in order."""
        return [name for together in self.shared for name in together]

    def watch(self, lane: Lane[None] | Lane[Connection]) -> None:
        answer = lane.service.answer_all

        def watched(asked: Sequence[tuple[Session, AnyRequest]], now_ms: int) -> list[AnyReply]:
            self.shared[-1] += [type(request).__name__ for _, request in asked]
            return answer(asked, now_ms)

        lane.service.answer_all = watched  # type: ignore[method-assign]


@pytest.fixture
def outage(folder: Path) -> Outage:
    return Outage(folder / "ledger.db")


@pytest.fixture
def store(outage: Outage) -> Iterator[Watched]:
    store = Watched(outage)
    yield store
    store.close()


class Here(Executor):
    """In place of a lane's thread: SQLite answers only the thread that opened it."""

    def submit(self, step, /, *arguments, **named) -> Future:  # type: ignore[no-untyped-def, type-arg]
        done: Future[object] = Future()
        done.set_result(step(*arguments, **named))
        return done


async def test_no_settlement_shares_a_transaction_with_what_somebody_waits_for(
    store: Watched,
) -> None:
    """Its rows would lock accounts for as long as they are written."""
    heard: asyncio.Queue[int] = asyncio.Queue()
    session = Session()
    lane: Lane[None] = Lane(
        store, Clock(store.now_ms), lambda turn: [heard.put_nowait(1) for _ in turn], Here()
    )
    store.watch(lane)
    for number, request in enumerate([HELLO, POLL, SETTLE, SETTLE, POLL]):
        lane.enqueue(Asked(None, session, number, request))
    async with asyncio.timeout(60):
        for _ in range(5):
            await heard.get()
    together = [names for names in store.shared if names]
    assert together == [["Hello"], ["Poll"], ["Settle", "Settle"], ["Poll"]]


async def test_draws_and_polls_that_wait_together_share_a_transaction(store: Watched) -> None:
    heard: asyncio.Queue[int] = asyncio.Queue()
    lane: Lane[None] = Lane(
        store, Clock(store.now_ms), lambda turn: [heard.put_nowait(1) for _ in turn], Here()
    )
    store.watch(lane)
    many, more = (
        protocol.Draw([protocol.DrawItem(f"{p}.{n}", "ns/a", "", [], 0, 0) for n in range(700)])
        for p in "pq"
    )
    for number, request in enumerate([HELLO, protocol.Draw([]), POLL, SETTLE, many, more, POLL]):
        lane.enqueue(Asked(None, Session(), number, request))
    async with asyncio.timeout(5):
        for _ in range(7):
            await heard.get()
    shared = [["Draw", "Poll"], ["Settle"], ["Draw"], ["Draw", "Poll"]]
    assert [names for names in store.shared if names and names != ["Hello"]] == shared


async def test_the_authority_tells_for_how_long_its_database_owes_an_answer(
    store: Watched, outage: Outage
) -> None:
    records = Watched(outage)
    busy: Future[object] = Future()
    waiting = Waiting(busy)
    authority = Authority(store, Clock(store.now_ms), waiting, records=(records, Here()))
    caller = Connection(authority)
    assert authority.silent_ms() == 0
    caller._waiting += 1
    authority.enqueue(Asked(caller, caller.session, 1, POLL))
    async with asyncio.timeout(5):
        while not authority.silent_ms():
            await asyncio.sleep(0.005)
    records.answered_ms = (
        time.monotonic_ns() // 1_000_000 + 60_000
    )  # the other lane hears something
    assert authority.silent_ms() == 0
    busy.set_result([protocol.Refused("unavailable", "gone")])
    authority.lanes[0].is_away = True
    assert authority.silent_ms() is None
    records.close()


async def test_what_nobody_waits_for_goes_beside_what_somebody_does(
    store: Watched, outage: Outage
) -> None:
    records = Watched(outage)
    authority = Authority(store, Clock(store.now_ms), Here(), records=(records, Here()))
    for each, lane in zip((store, records), authority.lanes, strict=True):
        each.watch(lane)
    caller = Connection(authority)
    urgent = [HELLO, POLL, protocol.Draw([]), protocol.Configure(1, [])]
    for number, request in enumerate([*urgent, SETTLE, protocol.Status(1)]):
        caller._waiting += 1
        authority.enqueue(Asked(caller, caller.session, number, request))
    async with asyncio.timeout(60):
        while caller._waiting:
            await asyncio.sleep(0)
    records.close()
    assert store.heard == ["Hello", "Poll", "Draw", "Configure"]
    assert records.heard == ["Settle", "Status"]


async def test_who_is_connected_is_noted_one_holder_at_a_time(
    store: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who waits for one of several, holding others, waits in a circle with who draws for them."""
    monkeypatch.setattr(turns, "_BEAT_S", 0)
    authority = Authority(store, Clock(store.now_ms), Here())
    for holder in ("p-1", "p-2"):
        authority.connections[Connection(authority)] = None
        list(authority.connections)[-1].session.holder = holder
    heard: list[list[str]] = []
    noted = asyncio.Event()

    def note(holders: list[str], _now_ms: int) -> None:
        heard.append([*holders, str(len(store.shared))])
        if len(heard) == 2:
            noted.set()

    monkeypatch.setattr(store.holders, "heard_of", note)
    beating = asyncio.create_task(authority.beat())
    async with asyncio.timeout(30):
        await noted.wait()
    beating.cancel()
    (first, one), (second, other) = heard[:2]
    assert (first, second) == ("p-1", "p-2")
    assert one != other, "each in a transaction of its own"


async def test_holders_start_anew_when_nobody_but_the_beat_finds_the_database_lost(
    store: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next one may know less: who goes on as if nothing was would never present what it has."""
    monkeypatch.setattr(turns, "_BEAT_S", 0)
    authority = Authority(store, Clock(store.now_ms), Here())
    connection = Connection(authority)
    connection.session.holder = "p-1"
    authority.connections[connection] = None

    def lost(_holders: list[str], _now_ms: int) -> None:
        raise DatabaseUnavailableError("the connection is lost")

    monkeypatch.setattr(store.holders, "heard_of", lost)
    beating = asyncio.create_task(authority.beat())
    async with asyncio.timeout(30):
        while not connection.session.is_closed:
            await asyncio.sleep(0)
    beating.cancel()


class Waiting(Executor):
    """A lane's thread whose database does not answer until the test does."""

    def __init__(self, answer: "Future[object]") -> None:
        self._answer = answer

    def submit(self, step, /, *arguments, **named) -> Future:  # type: ignore[no-untyped-def, type-arg]
        return self._answer


@pytest.fixture
async def listening(store: Watched, folder: Path) -> AsyncIterator[Path]:
    """An authority of this process."""
    authority = Authority(store, Clock(store.now_ms))
    path = folder / "a.sock"
    server = await asyncio.get_running_loop().create_unix_server(
        lambda: Connection(authority), path
    )
    yield path
    server.close()
    for connection in list(authority.connections):
        connection.close()


async def test_who_holds_something_starts_anew_when_the_database_was_lost(
    store: Watched, outage: Outage, listening: Path
) -> None:
    """The next database may be a copy that knows less: whoever holds slices presents them."""
    async with connected(listening) as holder, connected(listening) as reader:
        assert isinstance(await holder(HELLO), protocol.Welcome)
        outage.is_away = True
        store.close()
        with pytest.raises(LedgerUnavailableError, match="nobody listens"):
            await holder(POLL)
        with pytest.raises(LedgerUnavailableError, match="no answer"):
            await holder(POLL)
        outage.is_away = False
        assert isinstance(await reader(protocol.Status(1)), protocol.StatusReport)
        async with connected(listening) as again:
            assert isinstance(await again(HELLO), protocol.Welcome)
            assert isinstance(await again(POLL), protocol.Polled)
