"""One agent brings so many users or sessions into a window, and no more."""

import contextlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from threading import Barrier

import pytest

from signalbox_ledger.accounts import BudgetSpec
from signalbox_ledger.database import ConflictError
from signalbox_ledger.opening import open_database
from signalbox_ledger.protocol import DrawItem, Grant, Hello
from signalbox_ledger.store import Store
from support.ledgers import budget

HOUR = 3600
CAP = 3


def users(cap: int | None = CAP, **changes: object) -> BudgetSpec:
    return budget("ns/users", 100, per="user", every="hour", new_subjects=cap, **changes)


class Bank:
    """A store with one holder, drawn from directly."""

    def __init__(self, store: Store, spec: BudgetSpec, holder: str = "p0") -> None:
        self.store = store
        self.spec = spec
        self.holder = holder
        self.number = 0
        self.generation = 0
        with store.transaction():
            store.open_holder(Hello(holder, holder), 0)

    def apply(self, *specs: BudgetSpec, now: int = 0) -> None:
        with self.store.transaction():
            self.store.configure(self.store.generation + 1, specs, now)

    def draw(self, *subjects: str, agent: str = "ns/a", need: int = 1, now: int = 0) -> list[Grant]:
        items = []
        for subject in subjects:
            self.number += 1
            items.append(
                DrawItem(
                    slice_id=f"{self.holder}.{self.number}",
                    budget=self.spec.id,
                    subject=subject,
                    needs=[need],
                    free=0,
                    want=0,
                    basis=self.spec.basis,
                    agent=agent,
                )
            )
        return self.repeat(items, now=now)

    def repeat(self, items: list[DrawItem], *, now: int = 0) -> list[Grant]:
        with self.store.transaction():
            return self.store.granting.draw(self.holder, items, self.store.specs, now=now)

    @property
    def accounts(self) -> int:
        with self.store.transaction():
            ((count,),) = self.store.database.query("SELECT COUNT(*) FROM account")
        return int(count)


@pytest.fixture
def bank(open_store: Callable[[], Store]) -> Bank:
    bank = Bank(open_store(), users())
    bank.apply(users())
    return bank


def test_one_more_than_an_agent_may_bring_gets_nothing_and_leaves_no_account(bank: Bank) -> None:
    grants = bank.draw("ann", "bob", "cid", "dan")
    assert [grant.amount for grant in grants] == [1, 1, 1, 0]
    assert [grant.too_many for grant in grants] == [0, 0, 0, CAP]
    assert bank.accounts == CAP
    assert grants[3].window_end == HOUR


def test_those_that_are_there_go_on(bank: Bank) -> None:
    bank.draw("ann", "bob", "cid", "dan")
    assert [grant.amount for grant in bank.draw("cid", "bob", "ann")] == [1, 1, 1]


def test_each_agent_brings_its_own_and_uses_what_others_brought(bank: Bank) -> None:
    bank.draw("ann", "bob", "cid")
    (known,) = bank.draw("ann", agent="ns/b")
    mine = bank.draw("eve", "fay", "gil", "hal", agent="ns/b")
    assert known.amount == 1
    assert [grant.amount for grant in mine] == [1, 1, 1, 0]


def test_a_draw_that_is_repeated_counts_once(bank: Bank) -> None:
    item = DrawItem("p0.again", "ns/users", "ann", [1], 0, 0, bank.spec.basis, agent="ns/a")
    for _ in range(5):
        (grant,) = bank.repeat([item])
        assert grant.amount == 1
    assert [grant.amount for grant in bank.draw("bob", "cid")] == [1, 1]


def test_what_is_refused_for_its_amount_counts_nothing(bank: Bank) -> None:
    bank.draw("x1", "x2", "x3", "x4", need=101)
    assert [grant.amount for grant in bank.draw("ann", "bob", "cid")] == [1, 1, 1]


def test_the_next_window_counts_anew(bank: Bank) -> None:
    bank.draw("ann", "bob", "cid", now=HOUR - 1)
    assert bank.draw("dan", now=HOUR - 1)[0].too_many == CAP
    assert [grant.amount for grant in bank.draw("dan", "eve", "fay", "gil", now=HOUR)] == [
        *(1, 1, 1),
        0,
    ]


def test_a_bound_that_moves_counts_at_once_and_forgets_nobody(bank: Bank) -> None:
    bank.draw("ann", "bob", "cid", "dan")
    bank.apply(users(4))
    assert [grant.amount for grant in bank.draw("dan", "eve")] == [1, 0]
    bank.apply(users(1))
    assert [grant.amount for grant in bank.draw("dan", "eve")] == [1, 0]
    bank.apply(users(None))
    assert [grant.amount for grant in bank.draw("eve", "fay", "gil")] == [1, 1, 1]


def test_deleting_the_budget_and_making_it_again_brings_no_new_names(bank: Bank) -> None:
    bank.draw("ann", "bob", "cid")
    bank.apply()
    bank.apply(users())
    assert bank.draw("dan")[0].too_many == CAP


def test_the_account_that_those_without_a_name_share_is_none_of_them(bank: Bank) -> None:
    bank.draw("ann", "bob", "cid")
    assert bank.draw("")[0].amount == 1


def test_counts_go_with_their_windows(bank: Bank) -> None:
    bank.draw("ann", "bob", "cid")
    with bank.store.transaction():
        bank.store.accounts.close_all("p0")
        bank.store.forget_ended(HOUR + 61)
        assert bank.store.database.query("SELECT * FROM new_subject") == []
        assert bank.store.database.query("SELECT * FROM account") == []


Work = Callable[[Bank, int], int]


def at_once(where: Path | str, holders: int, work: Work) -> int:
    """What `work` gave, summed over holders with a connection each that start together."""
    barrier = Barrier(holders)

    def one(number: int) -> int:
        with contextlib.closing(Store(partial(open_database, where))) as store:
            bank = Bank(store, SHARED, f"p{number}")
            barrier.wait(timeout=20)
            return work(bank, number)

    with ThreadPoolExecutor(holders) as pool:
        return sum(pool.map(one, range(holders)))


def patiently(bank: Bank, subject: str, need: int) -> int:
    """As the authority does: a transaction that lost a race is repeated."""
    for _ in range(50):
        with contextlib.suppress(ConflictError):
            return bank.draw(subject, need=need)[0].amount
    raise AssertionError("never got through")


SHARED = users(40)


@pytest.fixture
def shared(open_store: Callable[[], Store]) -> Bank:
    bank = Bank(open_store(), SHARED, "first")
    bank.apply(SHARED)
    return bank


def test_first_uses_at_the_same_time_do_not_slip_through_together(
    shared: Bank, where: Path | str
) -> None:
    """Four holders bring 25 users each, 40 of them may come."""
    found = at_once(
        where, 4, lambda bank, me: sum(patiently(bank, f"{me}-{user}", 1) for user in range(25))
    )
    assert found == shared.accounts == 40


def test_one_new_user_at_several_holders_at_once_has_one_limit(
    shared: Bank, where: Path | str
) -> None:
    """Four holders draw 30 each of the same ten users, who have 100 each."""
    found = at_once(
        where, 4, lambda bank, _: sum(patiently(bank, f"u{user}", 30) for user in range(10))
    )
    assert found == 10 * 90
    assert shared.accounts == 10
    with shared.store.transaction():
        assert shared.store.database.query("SELECT opened FROM new_subject") == [(10,)]
