"""Several authorities on one PostgreSQL database: the database decides between them."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Barrier, Thread

import pytest

from signalbox_ledger.accounts import BudgetSpec
from signalbox_ledger.database import ConflictError
from signalbox_ledger.holder_store import HolderRefusedError
from signalbox_ledger.opening import open_database
from signalbox_ledger.protocol import Draw, DrawItem, Hello, ReturnItem
from signalbox_ledger.service import Service
from signalbox_ledger.session import Session
from signalbox_ledger.store import Store
from support.ledgers import budget

BUDGETS = [budget(f"ns/b{number}", limit=1000) for number in range(6)]


@pytest.fixture
def stores(postgres_dsn: str) -> Iterator[list[Store]]:
    """Four authorities."""
    opened = [Store(partial(open_database, postgres_dsn)) for _ in range(4)]
    with opened[0].transaction():
        opened[0].configure(1, BUDGETS, 0)
    yield opened
    for store in opened:
        store.close()


def item(need: int, slice_id: str = "p-1.1") -> DrawItem:
    return DrawItem(slice_id, "ns/b0", "", [need], 0, 0, BUDGETS[0].basis)


def repeated(store: Store, change: Callable[[], object]) -> None:
    """As the authority does it: a transaction that others stood in the way of is repeated."""
    while True:
        try:
            with store.transaction():
                change()
        except ConflictError:
            continue
        return


def draws(store: Store, number: int, barrier: Barrier, count: int) -> int:
    """Draws of 15 from every budget, in an order of its own; returns of every second."""
    holder = f"p-{number}"
    with store.transaction():
        store.open_holder(Hello("p", holder), 0)
    kept = 0
    barrier.wait()
    for turn in range(count):
        specs = BUDGETS[turn % 6 :] + BUDGETS[: turn % 6]
        items = [
            DrawItem(f"{holder}.{turn}.{spec.id}", spec.id, "", [15], 0, 0, spec.basis)
            for spec in (specs if number % 2 else reversed(specs))
        ]
        granted: list[str] = []

        def draw(items: list[DrawItem] = items, granted: list[str] = granted) -> None:
            granted[:] = [
                grant.slice_id
                for grant in store.granting.draw(holder, items, store.specs, now=0)
                if grant.amount
            ]

        repeated(store, draw)
        back = [ReturnItem(id_, 0, close=True) for id_ in granted[::2]]
        repeated(store, partial(store.accounts.give_back, holder, back))
        kept += 15 * (len(granted) - len(back))
    return kept


def test_four_authorities_draw_the_limits_and_nothing_more(stores: list[Store]) -> None:
    barrier = Barrier(4)
    with ThreadPoolExecutor(4) as pool:
        kept = sum(
            pool.map(lambda number: draws(stores[number], number, barrier, 50), range(len(stores)))
        )
    with stores[0].transaction():
        rows = stores[0].database.query("SELECT granted, enforced, limit_amount FROM account")
    assert [row[1:] for row in rows] == [(1000, 1000)] * 6
    assert sum(row[0] for row in rows) == kept
    assert all(900 < row[0] <= 1000 for row in rows)


def test_what_one_configures_all_draw_by(stores: list[Store]) -> None:
    one, other = stores[:2]
    with other.transaction():
        other.open_holder(Hello("p", "p-1"), 0)
    with one.transaction():
        one.configure(2, [budget("ns/b0", limit=5)], 0)
    with other.transaction():
        (grant,) = other.granting.draw("p-1", [item(6)], other.specs, now=0)
    assert grant.amount == 0
    assert grant.figures is not None
    assert grant.figures.limit == 5


def test_an_account_opened_under_old_budgets_waits_for_the_new(stores: list[Store]) -> None:
    """Else it would keep the old limit: who changed the limits did not see it yet."""
    one, other = stores[:2]
    with other.transaction():
        other.open_holder(Hello("p", "p-1"), 0)
    with other.transaction():
        with one.transaction():
            one.configure(2, [budget("ns/b0", limit=5)], 0)
        with pytest.raises(ConflictError):
            Service(other).answer(Session("p-1", epoch=1, generation=1), Draw([item(6)]), 0)


def test_an_older_session_of_a_holder_is_heard_no_more(stores: list[Store]) -> None:
    one, other = stores[:2]
    with one.transaction():
        first, _ = one.open_holder(Hello("p", "p-1"), 0)
    with other.transaction():
        second, _ = other.open_holder(Hello("p", "p-1"), 0)
    with pytest.raises(HolderRefusedError, match="newer connection"), one.transaction():
        one.holders.check("p-1", first.epoch)
    with other.transaction():
        other.holders.check("p-1", second.epoch)


def test_equal_generations_are_configured_once(stores: list[Store]) -> None:
    limits: list[BudgetSpec] = [budget("ns/b0", limit=7)]
    found = []
    for store in stores:
        with store.transaction():
            found.append(store.configure(3, limits, 0))
    with stores[3].transaction():
        found.append(stores[3].configure(2, BUDGETS, 0))
    assert found == [3] * 5
    assert list(stores[3].specs) == ["ns/b0"]


def test_a_draw_that_is_under_way_while_its_holder_is_finished_is_closed_with_it(
    stores: list[Store],
) -> None:
    """It commits late: what it drew would lie with nobody."""
    one, other, third = stores[:3]
    with one.transaction():
        opened, _ = one.open_holder(Hello("p", "p-1"), 0)

    def finish() -> None:
        with other.transaction():
            other.holders.finish("p-1")

    finishing = Thread(target=finish)
    with one.transaction():
        one.holders.check("p-1", opened.epoch)
        one.granting.draw("p-1", [item(6)], one.specs, now=0)
        finishing.start()
        for _ in range(1000):
            if waits_for_a_lock(third):
                break
        else:
            pytest.fail("nobody waits for the draw that is under way")
    finishing.join()
    with third.transaction():
        assert third.accounts.open_slices("p-1") == []
        assert third.database.query("SELECT granted FROM account") == [(0,)]


def waits_for_a_lock(store: Store) -> bool:
    with store.transaction():
        return bool(store.database.query("SELECT 1 FROM pg_locks WHERE NOT granted"))


def test_who_recalls_does_not_wait_for_slices_that_others_are_changing(
    stores: list[Store],
) -> None:
    """They may be waiting for the account: a circle."""
    one, other = stores[:2]
    for store, holder in ((one, "p-1"), (other, "q-1")):
        with store.transaction():
            store.open_holder(Hello(holder, holder), 0)
    with other.transaction():
        other.granting.draw("q-1", [item(400, "q-1.1"), item(400, "q-1.2")], other.specs, now=0)
    with other.transaction():
        other.accounts.spend("q-1", {"q-1.1": 1})
        with one.transaction():
            one.granting.draw("p-1", [item(600)], one.specs, now=0)
    with other.transaction():
        assert other.accounts.wanted("q-1") == ["q-1.2"]
