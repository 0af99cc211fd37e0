"""A database that lost what it had acknowledged: nothing is drawn until somebody readmits."""

import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from signalbox_ledger.opening import open_database
from signalbox_ledger.protocol import Draw, DrawItem, Drawn, Hello, PresentedSlice, Readmit, Refused
from signalbox_ledger.service import Service, Session
from signalbox_ledger.store import Store
from support.ledgers import budget
from support.postgres import PostgresServer

BUDGET = budget(limit=1000)


def presented(slice_id: str, amount: int, spent: int = 0) -> PresentedSlice:
    return PresentedSlice(
        slice_id,
        BUDGET.id,
        BUDGET.basis,
        "",
        window_start=0,
        window_end=0,
        amount=amount,
        spent=spent,
    )


def ask(store: Store, session: Session, request: object) -> object:
    with store.transaction():
        return Service(store).answer(session, request, 0)  # type: ignore[arg-type]


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
    ask(store, session, Hello("p", "p-1", 0, [presented("p-1.1", 400, 100)]))
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
    ask(store, one, Readmit())
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
            ask(promoted, again, Readmit())
            assert isinstance(draw(promoted, again, "q-1.2", 1), Drawn)
            promoted.close()
