"""Several authorities on one PostgreSQL database: the database decides between them."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Barrier, Thread
from typing import Any

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


def item_of(number: int, need: int, slice_id: str) -> DrawItem:
    spec = BUDGETS[number]
    return DrawItem(slice_id, spec.id, "", [need], 0, 0, spec.basis)


def test_who_lost_an_account_waits_for_nobody_while_others_wait_for_him(
    stores: list[Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One has locked the second account and was too late for the first; another has locked the
    first and waits for the second. Who waited in turn would end a second later as a deadlock."""
    one, other, third, watching = stores
    for number, store in enumerate((one, other, third)):
        with store.transaction():
            store.open_holder(Hello("p", f"p-{number}"), 0)
    with other.transaction():
        opening = [item_of(number, 1, f"p-1.{number}") for number in (0, 1)]
        other.granting.draw("p-1", opening, other.specs, now=0)
    both = [item_of(0, 600, "p-0.1"), item_of(1, 10, "p-0.2")]
    looked = one.granting._look
    written = one.granting._write
    third_draws = Thread(target=lambda: draw_of_both(third))

    def look(*arguments: Any) -> Any:
        draft = looked(*arguments)
        with other.transaction():
            other.granting.draw("p-1", [item_of(0, 500, "p-1.2")], other.specs, now=0)
        return draft

    def write(*arguments: Any) -> Any:
        outcome = written(*arguments)
        third_draws.start()
        for _ in range(1000):
            if waits_for_a_lock(watching):
                return outcome
        pytest.fail("nobody waits for the account that is locked")

    with monkeypatch.context() as patch:
        patch.setattr(one.granting, "_look", look)
        patch.setattr(one.granting, "_write", write)
        with pytest.raises(ConflictError, match="could not obtain lock"), one.transaction():
            one.granting.draw("p-0", both, one.specs, now=0)
    third_draws.join()
    with one.transaction():
        again = one.granting.draw("p-0", both, one.specs, now=0)
    assert [grant.amount for grant in again] == [0, 10]
    with watching.transaction():
        rows = watching.database.query("SELECT budget, granted FROM account ORDER BY budget")
    assert rows == [("ns/b0", 511), ("ns/b1", 21)]


def draw_of_both(store: Store) -> None:
    """Ten of the first and ten of the second account."""
    items = [item_of(number, 10, f"p-2.{number}") for number in (0, 1)]
    with store.transaction():
        store.granting.draw("p-2", items, store.specs, now=0)
