"""A database that lost what it had acknowledged: nothing is drawn until somebody readmits."""

import asyncio
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from signalbox_ledger import journal as journals
from signalbox_ledger import status
from signalbox_ledger.asking import connected
from signalbox_ledger.client import Claim, Hold, ProxyLedger, Shortage
from signalbox_ledger.desk_protocol import ReadmitBy
from signalbox_ledger.housekeeping import Housekeeper
from signalbox_ledger.opening import open_database
from signalbox_ledger.protocol import Done, Draw, DrawItem, Drawn, Hello, PresentedSlice, Refused
from signalbox_ledger.readmitting import LIVE_MS
from signalbox_ledger.service import Service
from signalbox_ledger.session import Session
from signalbox_ledger.store import Store
from support.ledgers import AuthorityProcess, budget, run_of, until
from support.postgres import PostgresServer

BUDGET = budget(limit=1000)


def presented(slice_id: str, amount: int) -> PresentedSlice:
    return PresentedSlice(
        slice_id, BUDGET.id, BUDGET.basis, "", window_start=0, window_end=0, amount=amount
    )


def ask(store: Store, session: Session, request: object, now_ms: int = 0) -> object:
    with store.transaction():
        return Service(store).answer(session, request, now_ms)  # type: ignore[arg-type]


def readmit(store: Store) -> None:
    """Somebody does, when those who did not come back are silent for long enough."""
    later_ms = store.now_ms() + 60_000
    assert ask(store, Session(), ReadmitBy("somebody"), later_ms) == Done()


def draw(store: Store, session: Session, slice_id: str, need: int) -> object:
    item = DrawItem(slice_id, BUDGET.id, "", [need], 0, 0, BUDGET.basis)
    return ask(store, session, Draw([item]))


@pytest.fixture
def store(open_store: Callable[[], Store]) -> Store:
    store = open_store()
    with store.transaction():
        store.configure(1, [BUDGET], 0)
    return store


def granted(store: Store) -> list[tuple[int, int]]:
    with store.transaction():
        return store.database.query("SELECT granted, enforced FROM account")  # type: ignore[return-value]


def test_a_holder_that_presents_an_unknown_slice_freezes_draws(store: Store) -> None:
    session = Session()
    ask(store, session, Hello("p", "p-1", 0, [presented("p-1.1", 400)]))
    assert granted(store) == [(400, 1000)], "what was granted counts"
    refused = draw(store, session, "p-1.2", 1)
    assert isinstance(refused, Refused)
    assert refused.reason == "frozen"
    assert "1 slices" in refused.message


def test_a_holder_that_was_told_of_more_journal_freezes_draws(store: Store) -> None:
    session = Session()
    ask(store, session, Hello("p", "p-1", acknowledged=77))
    refused = draw(store, session, "p-1.1", 1)
    assert isinstance(refused, Refused)
    assert "77 bytes of journal" in refused.message


def test_readmitted_draws_see_what_was_presented(store: Store) -> None:
    one, other = Session(), Session()
    ask(store, one, Hello("p", "p-1", 0, [presented("p-1.1", 700)]))
    ask(store, other, Hello("q", "q-1", 0, [presented("q-1.1", 400)]))
    assert granted(store) == [(1100, 1100)], "above the limit: it was granted"
    assert ask(store, one, ReadmitBy("somebody"), LIVE_MS) == Done()
    refused = draw(store, one, "p-1.2", 1)
    assert isinstance(refused, Drawn)
    assert refused.grants[0].amount == 0


def test_slices_that_were_drawn_and_known_do_not_freeze(store: Store) -> None:
    session = Session()
    ask(store, session, Hello("p", "p-1"))
    draw(store, session, "p-1.1", 400)
    ask(store, session, Hello("p", "p-1", 0, [presented("p-1.1", 400)]))
    assert isinstance(draw(store, session, "p-1.2", 1), Drawn)


def test_a_restored_copy_is_found_out_by_who_drew_since(
    folder: Path, request: pytest.FixtureRequest
) -> None:
    path = folder / "ledger.db"
    store = Store(partial(open_database, path))
    with store.transaction():
        store.configure(1, [BUDGET], 0)
    session = Session()
    ask(store, session, Hello("p", "p-1"))
    store.close()
    shutil.copy(path, folder / "copy.db")
    store = Store(partial(open_database, path))
    draw(store, session, "p-1.1", 1000)
    store.close()
    restored = Store(partial(open_database, folder / "copy.db"))
    request.addfinalizer(restored.close)
    again = Session()
    ask(restored, again, Hello("p", "p-1", 0, [presented("p-1.1", 1000)]))
    assert isinstance(draw(restored, again, "p-1.2", 1), Refused)
    assert granted(restored) == [(1000, 1000)]


def test_another_database_than_before_freezes_draws(open_store: Callable[[], Store]) -> None:
    store = open_store()
    with store.transaction():
        store.configure(1, [BUDGET], 0)
        store.database.execute("UPDATE ledger_state SET identity = 'server/00000001'")
    for _ in range(2):
        opened, session = open_store(), Session()
        ask(opened, session, Hello("p", "p-1"))
        refused = draw(opened, session, "p-1.1", 1)
        assert isinstance(refused, Refused)
        assert "server/00000001 then" in refused.message
    readmit(opened)
    assert isinstance(draw(opened, session, "p-1.1", 1), Drawn)


def test_a_promoted_copy_freezes_draws_by_itself(tmp_path: Path) -> None:
    """Before anybody has presented anything: it is another branch of history."""
    with PostgresServer(tmp_path) as primary:
        name = primary.create_database()
        store = Store(partial(open_database, primary.dsn(name)))
        with store.transaction():
            store.configure(1, [BUDGET], 0)
        session = Session()
        ask(store, session, Hello("p", "p-1"))
        with primary.standby(tmp_path) as standby:
            standby.caught_up(primary)
            standby.cut_off()
            assert isinstance(draw(store, session, "p-1.1", 1000), Drawn)
            store.close()
            primary.kill()
            standby.promote()
            promoted = Store(partial(open_database, standby.dsn(name)))
            again = Session()
            ask(promoted, again, Hello("q", "q-1"))
            refused = draw(promoted, again, "q-1.1", 1)
            assert isinstance(refused, Refused)
            assert refused.reason == "frozen"
            readmit(promoted)
            assert isinstance(draw(promoted, again, "q-1.2", 1), Drawn)
            promoted.close()


async def spend(ledger: ProxyLedger, run_id: str, amount: int) -> None:
    """A run that holds twice of what it spends; settled when this returns."""
    held = await ledger.hold([Claim(BUDGET.id, "", 2 * amount)])
    assert isinstance(held, Hold)
    ledger.record(run_of(ledger, run_id, ledger.settle(held, [amount])))
    assert await ledger.find_run(run_id) is not None


def restore(authority: AuthorityProcess, copy: Path) -> None:
    """An older copy of the database takes the place of the one that was acknowledged."""
    authority.stop()
    for leftover in authority.db.parent.glob("ledger.db*"):
        leftover.unlink()
    shutil.copy(copy, authority.db)
    authority.start()


@pytest.mark.parametrize(("kept", "closed"), [(True, False), (True, True), (False, False)])
async def test_live_proxies_bring_back_what_a_restored_copy_has_lost(
    authority: AuthorityProcess,
    folder: Path,
    open_ledger: Callable[..., object],
    kept: bool,
    closed: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # A slice that is used up would be closed in between: that is a case of its own here.
    monkeypatch.setattr(Housekeeper, "run", only_when_asked)
    ledger: ProxyLedger = await open_ledger("p0")  # type: ignore[misc]
    await ledger.configure(1, [BUDGET])
    await spend(ledger, "before", 10)
    await ledger._housekeeper.give_back(ledger.now_ms() // 1000, everything=True)
    authority.stop()
    copy = folder / "copy.db"
    shutil.copy(authority.db, copy)
    authority.start()
    await spend(ledger, "since-1", 100)
    await spend(ledger, "since-2", 200)
    if closed:
        await ledger._housekeeper.give_back(ledger.now_ms() // 1000, everything=True)
    held = await ledger.hold([Claim(BUDGET.id, "", 150)])
    assert isinstance(held, Hold)
    if not kept:
        monkeypatch.setattr(journals, "KEPT_SEGMENTS", 0)
        ledger._journal.rotate([])
        ledger._journal.forget(ledger._flusher.acknowledged)
    restore(authority, copy)
    await until(lambda: is_settled(ledger))
    short = await ledger.hold([Claim(BUDGET.id, "", 500)])
    assert isinstance(short, Shortage)
    assert short.reason == "unavailable", "draws are frozen"
    with closing(sqlite3.connect(authority.db)) as database, database:
        database.execute("UPDATE ledger_state SET frozen_at = frozen_at - ?", (LIVE_MS,))
    async with connected(authority.socket) as ask:
        assert await ask(ReadmitBy("somebody")) == Done()
    ledger.release(held)
    await ledger._housekeeper.give_back(ledger.now_ms() // 1000, everything=True)
    found = [await ledger.find_run(f"since-{n}") is not None for n in (1, 2)]
    assert found == [kept, kept]
    (account,) = (await status.fetch(authority.socket)).budgets
    assert account.figures.held == 0
    if kept:
        over = 300 if closed else 0
        assert (account.figures.settled, account.figures.overrun) == (310 - over, over)
    else:
        assert account.figures.settled >= 310, "what is not known is charged in full"
    short = await ledger.hold([Claim(BUDGET.id, "", 1000)])
    assert isinstance(short, Shortage)
    assert short.reason == "exhausted"


async def only_when_asked(housekeeper: Housekeeper, clock: object) -> None:
    """Stands for its rounds: the test alone gives back."""
    await asyncio.Event().wait()


async def is_settled(ledger: ProxyLedger) -> bool:
    return ledger._connection.is_up and not ledger._flusher.is_behind
