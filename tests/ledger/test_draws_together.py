"""Draws that wait at the same time share a transaction, and are answered as if alone."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Barrier

import pytest

from signalbox_ledger.accounts import BudgetSpec
from signalbox_ledger.database import ConflictError, Outcome, Statement
from signalbox_ledger.desk_protocol import AnyReply
from signalbox_ledger.drafting import Order
from signalbox_ledger.opening import open_database
from signalbox_ledger.protocol import (
    Configure,
    Draw,
    DrawItem,
    Drawn,
    Fence,
    Hello,
    Outdated,
    Poll,
    Polled,
    Refused,
    RequireGeneration,
    ReturnItem,
)
from signalbox_ledger.service import Service
from signalbox_ledger.session import Session
from signalbox_ledger.store import Store
from support.ledgers import budget

DAY = budget(limit=100)
USERS = budget("ns/users", 100, per="user", new_subjects=1)


@pytest.fixture
def store(open_store: Callable[[], Store]) -> Store:
    store = open_store()
    ask(store, (Session(), Configure(1, [DAY, USERS])))
    return store


def ask(store: Store, *asked: tuple[Session, object]) -> list[AnyReply]:
    with store.transaction():
        return Service(store).answer_all(list(asked), 0)  # type: ignore[arg-type]


def session_of(store: Store, holder: str) -> Session:
    session = Session(generation=1)
    ask(store, (session, Hello(holder, holder)))
    return session


def item(
    id_: str, need: int, spec: BudgetSpec = DAY, subject: str = "", agent: str = ""
) -> DrawItem:
    return DrawItem(id_, spec.id, subject, [need], 0, 0, spec.basis, agent=agent)


def draw(id_: str, need: int) -> Draw:
    return Draw([item(id_, need)])


def amounts(reply: AnyReply) -> list[int]:
    assert isinstance(reply, Drawn)
    return [grant.amount for grant in reply.grants]


def test_each_gets_what_those_before_it_left(store: Store) -> None:
    p, q, r = (session_of(store, name) for name in "pqr")
    replies = ask(store, (p, draw("p.1", 60)), (q, draw("q.1", 50)), (r, draw("r.1", 40)))
    assert [amounts(reply) for reply in replies] == [[60], [0], [40]]
    lacking = replies[1]
    assert isinstance(lacking, Drawn)
    figures = lacking.grants[0].figures
    assert figures is not None
    assert (figures.remaining, figures.held) == (100, 100), "nothing is spent: no reason to refuse"


def test_what_one_lacks_is_wanted_back_of_the_others(store: Store) -> None:
    p, q = session_of(store, "p"), session_of(store, "q")
    ask(store, (p, draw("p.1", 60)))
    drawn, polled = ask(store, (q, draw("q.1", 50)), (p, Poll()))
    assert amounts(drawn) == [0]
    assert isinstance(polled, Polled)
    (again,) = ask(store, (p, draw("p.2", 1)))
    assert isinstance(again, Drawn)
    assert again.wanted == ["p.1"]


def test_who_may_not_draw_is_refused_alone(store: Store) -> None:
    p, q, r = (session_of(store, name) for name in "pqr")
    older = Session("q", q.epoch - 1, generation=1)
    ask(store, (Session(), Fence("r")))
    outdated = Session("p", p.epoch, generation=0)
    ask(store, (Session(), RequireGeneration(1)))
    replies = ask(
        store,
        (r, draw("r.1", 1)),
        (older, draw("q.1", 1)),
        (Session("x", 1), Poll()),
        (outdated, draw("p.1", 1)),
        (p, draw("p.2", 1)),
    )
    reasons = [reply.reason for reply in replies if isinstance(reply, Refused)]
    assert reasons == ["fenced", "replaced", "unknown_holder"]
    assert replies[3] == Outdated(1)
    assert amounts(replies[4]) == [1]


def test_a_slice_that_was_granted_before_is_told_again_beside_others(store: Store) -> None:
    p, q = session_of(store, "p"), session_of(store, "q")
    ask(store, (p, draw("p.1", 60)))
    replies = ask(store, (p, draw("p.1", 60)), (q, draw("q.1", 40)))
    assert [amounts(reply) for reply in replies] == [[60], [40]]
    with store.transaction():
        assert store.database.query("SELECT granted FROM account") == [(100,)]


def test_a_slice_that_is_asked_for_twice_at_once_is_refused(store: Store) -> None:
    p = session_of(store, "p")
    with pytest.raises(ValueError, match="twice"):
        ask(store, (p, draw("p.1", 1)), (p, draw("p.1", 1)))


def test_agents_that_bring_one_user_at_once_are_taken_one_after_the_other(store: Store) -> None:
    """Each has its own bound: that of the first would refuse the second, who has room."""
    p, q = session_of(store, "p"), session_of(store, "q")
    ask(store, (p, Draw([item("p.0", 1, USERS, "ann", "ns/a")])))
    mine = Draw([item("p.1", 1, USERS, "bob", "ns/a")])
    yours = Draw([item("q.1", 1, USERS, "bob", "ns/b")])
    with pytest.raises(ConflictError):
        ask(store, (p, mine), (q, yours))
    assert [amounts(*ask(store, each)) for each in ((p, mine), (q, yours))] == [[0], [1]]


def test_a_user_counts_for_the_agent_that_drew_not_for_one_that_got_nothing(store: Store) -> None:
    p, q = session_of(store, "p"), session_of(store, "q")
    too_much = Draw([item("p.1", 101, USERS, "ann", "ns/a")])
    enough = Draw([item("q.1", 1, USERS, "ann", "ns/b")])
    assert [amounts(reply) for reply in ask(store, (p, too_much), (q, enough))] == [[0], [1]]
    assert amounts(*ask(store, (p, Draw([item("p.2", 1, USERS, "bob", "ns/a")])))) == [1]
    assert amounts(*ask(store, (p, Draw([item("p.3", 1, USERS, "eve", "ns/b")])))) == [0]


def test_a_return_takes_accounts_before_slices_as_a_limit_that_moves_does(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the other order each would wait for the other."""
    p = session_of(store, "p")
    ask(store, (p, Draw([item("p.1", 60), item("p.2", 10)])))
    changed: list[str] = []
    whole = store.database.together

    def seen(statements: Sequence[Statement]) -> list[Outcome]:
        changed.extend(text.split()[1] for text, _ in statements if text.startswith("UPDATE"))
        return whole(statements)

    monkeypatch.setattr(store.database, "together", seen)
    with store.transaction():
        store.accounts.give_back(
            "p", [ReturnItem("p.1", 20, close=False), ReturnItem("p.2", 0, close=True)]
        )
    assert changed == ["account", "slice"]


def test_many_slices_are_made_at_once(store: Store) -> None:
    wide = budget("ns/wide", limit=1_000)
    ask(store, (Session(), Configure(2, [wide])))
    p = session_of(store, "p")
    items = [item(f"p.{number}", 1, wide) for number in range(1_001)]
    (reply,) = ask(store, (p, Draw(items)))
    assert amounts(reply) == [1] * 1_000 + [0]


@pytest.mark.parametrize("draws", [1, 16])
def test_draws_of_one_account_take_five_round_trips_however_many_they_are(
    postgres_dsn: str, monkeypatch: pytest.MonkeyPatch, draws: int
) -> None:
    store = Store(partial(open_database, postgres_dsn))
    ask(store, (Session(), Configure(1, [budget(limit=1000)])))
    sessions = [session_of(store, f"p{number}") for number in range(draws)]
    ask(store, (sessions[0], draw("first", 1)))
    trips: list[str] = []

    def count(name: str) -> None:
        whole = getattr(store.database, name)

        def counted(*arguments: object, **named: object) -> object:
            trips.append(name)
            return whole(*arguments, **named)

        monkeypatch.setattr(store.database, name, counted)

    for name in (
        "query",
        "query_many",
        "execute",
        "execute_many",
        "together",
        "query_now",
        "_commit",
    ):
        count(name)
    replies = ask(store, *((each, draw(f"{each.holder}.1", 1)) for each in sessions))
    assert [amounts(reply) for reply in replies] == [[1]] * draws
    assert trips == ["query_now", "together", "together", "together", "_commit"]
    store.close()


def test_authorities_that_draw_for_several_at_once_do_not_wait_in_a_circle(
    postgres_dsn: str,
) -> None:
    specs = [budget(f"ns/b{number}", limit=10_000) for number in range(6)]
    stores = [Store(partial(open_database, postgres_dsn)) for _ in range(3)]
    ask(stores[0], (Session(), Configure(1, specs)))
    barrier = Barrier(3)

    def fight(number: int) -> int:
        store, conflicts = stores[number], 0
        holders = [f"p{number}.{each}" for each in range(3)]
        for holder in holders:
            session_of(store, holder)
        barrier.wait()
        for turn in range(30):
            orders = [
                Order(
                    holder,
                    [
                        item(f"{holder}.{turn}.{spec.id}", 1, spec)
                        for spec in specs[:: 1 - 2 * (turn % 2)]
                    ],
                )
                for holder in holders[:: 1 - 2 * (number % 2)]
            ]
            try:
                with store.transaction():
                    store.granting.draw_all(orders, store.specs, now=0)
            except ConflictError:
                conflicts += 1
        return conflicts

    with ThreadPoolExecutor(3) as pool:
        assert sum(pool.map(fight, range(3))) == 0
    with stores[0].transaction():
        rows = stores[0].database.query("SELECT granted FROM account")
    assert rows == [(3 * 3 * 30,)] * 6
    for store in stores:
        store.close()
