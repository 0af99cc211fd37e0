"""What a person orders of the authority: who holds what, who is lost, what was refused."""

import pytest

from signalbox_ledger import desk, desk_protocol, run_store
from signalbox_ledger.accounts import BudgetSpec
from signalbox_ledger.desk_protocol import (
    Describe,
    Description,
    HolderList,
    HolderStatus,
    ListHolders,
    ListRefused,
    PostLossFor,
    ReadmitBy,
    RebuildSums,
    RefusedList,
    Retried,
    RetryRefused,
)
from signalbox_ledger.holder_store import HolderRefusedError
from signalbox_ledger.journal import encode_run
from signalbox_ledger.protocol import Done, DrawItem, Hello, Lost
from signalbox_ledger.store import Store
from support.ledgers import budget
from support.recorded_runs import NOON, make_run

MONEY = budget("ns/day", 100_000, every="day")
TOKENS = budget("ns/tokens", 1_000, every="day", unit="tokens")
LATER = NOON + 600_000


def ask(store: Store, request: desk_protocol.DeskRequest, now_ms: int = NOON) -> object:
    with store.transaction():
        return desk.answer(store, request, now_ms)


def holders(store: Store, now_ms: int) -> dict[str, HolderStatus]:
    listed = ask(store, ListHolders(), now_ms)
    assert isinstance(listed, HolderList)
    return {one.holder: one for one in listed.holders}


def described(store: Store) -> Description:
    found = ask(store, Describe())
    assert isinstance(found, Description)
    return found


def orders(store: Store) -> list[tuple[object, ...]]:
    with store.transaction():
        return store.database.query("SELECT ordered_by, kind, detail FROM desk_order")


@pytest.fixture
def held(store: Store) -> Store:
    """Two holders; one has slices of two budgets."""
    with store.transaction():
        store.configure(3, [MONEY, TOKENS], NOON // 1000)
        for name in ("proxy-0", "proxy-1"):
            store.open_holder(Hello(name, f"{name}/1"), NOON)
        for number, spec in enumerate((MONEY, MONEY, TOKENS)):
            draw(store, f"s{number}", spec, 40 + number)
    return store


def draw(store: Store, slice_id: str, spec: BudgetSpec, amount: int) -> None:
    item = DrawItem(slice_id, spec.id, "", [amount], 0, 0, spec.basis)
    store.granting.draw("proxy-0/1", [item], store.specs, now=NOON // 1000)


def test_holders_are_listed_with_what_they_hold_by_unit(held: Store) -> None:
    found = holders(held, NOON + 1_000)
    one = found["proxy-0/1"]
    assert (one.name, one.state, one.slices) == ("proxy-0", "live", 3)
    assert one.held == {"usd": 81, "tokens": 42}
    assert (found["proxy-1/1"].slices, found["proxy-1/1"].held) == (0, {})


def test_a_holder_that_is_not_heard_of_is_silent_until_it_is(held: Store) -> None:
    assert holders(held, LATER)["proxy-0/1"].state == "silent"
    with held.transaction():
        held.holders.heard_of(["proxy-0/1"], LATER - 5_000)
    found = holders(held, LATER)
    assert (found["proxy-0/1"].state, found["proxy-0/1"].seen_at) == ("live", LATER - 5_000)
    assert found["proxy-1/1"].state == "silent"


def test_a_lost_machine_is_charged_in_full_and_refused_by_a_name(held: Store) -> None:
    posted = ask(held, PostLossFor("proxy-0/1", "ada@desk"), LATER)
    assert isinstance(posted, Lost)
    assert (posted.slices, posted.amounts) == (3, {"usd": 81, "tokens": 42})
    one = holders(held, LATER)["proxy-0/1"]
    assert (one.state, one.slices, one.held) == ("fenced", 0, {})
    assert orders(held) == [("ada@desk", "lost", "proxy-0/1: 42 tokens, 81 usd")]
    with held.transaction():
        assert held.database.query("SELECT granted FROM account ORDER BY granted") == [(42,), (81,)]
    again = ask(held, PostLossFor("proxy-0/1", "ada@desk"), LATER)
    assert isinstance(again, Lost)
    assert again.amounts == {"usd": 81, "tokens": 42}
    with held.transaction():
        assert held.database.query("SELECT count(*) FROM slice_loss") == [(3,)]


def test_an_unknown_holder_cannot_be_lost(held: Store) -> None:
    with pytest.raises(HolderRefusedError, match="nobody"):
        ask(held, PostLossFor("nobody", "ada@desk"))
    assert orders(held) == []


def test_what_the_database_is_and_whether_draws_flow_is_told(held: Store) -> None:
    before = described(held)
    assert before.dialect == held.database.dialect
    assert (before.generation, before.frozen, before.refused, before.corrections) == (3, "", 0, 0)
    with held.transaction():
        held.freeze("the database lost commits", NOON)
    assert (described(held).frozen, described(held).frozen_at) == (
        "the database lost commits",
        NOON,
    )
    assert isinstance(ask(held, ReadmitBy("ada@desk"), LATER), Done)
    assert described(held).frozen == ""
    assert orders(held) == [("ada@desk", "readmit", "the database lost commits")]


def test_refused_records_wait_until_the_tables_take_them(held: Store) -> None:
    good, bad = make_run("r_good"), make_run("r_bad", model="no\x00name")
    with held.transaction():
        for end, run in ((100, good), (200, bad)):
            held.holders.set_aside("proxy-0/1", end, (run.run_id, "refused", encode_run(run)))
        held.holders.set_aside("proxy-0/1", 300, ("r_torn", "refused", b"\xff"))
    listed = ask(held, ListRefused())
    assert isinstance(listed, RefusedList)
    assert [one.run_id for one in listed.records] == ["r_good", "r_bad", "r_torn"]
    assert described(held).refused == 3
    retried = ask(held, RetryRefused("ada@desk"))
    assert isinstance(retried, Retried)
    assert retried.taken >= 1
    with held.transaction():
        found = held.database.query("SELECT run_id FROM inference_run WHERE run_id = 'r_good'")
    assert found == [("r_good",)]
    waiting = ask(held, ListRefused())
    assert isinstance(waiting, RefusedList)
    assert "r_torn" in [one.run_id for one in waiting.records]
    assert orders(held)[0][:2] == ("ada@desk", "retry-refused")


def test_sums_are_computed_anew_from_the_facts(held: Store) -> None:
    with held.transaction():
        run_store.insert_runs(held.database, [make_run()])
        whole = held.database.query("SELECT * FROM period_sum ORDER BY span")
        held.database.execute("UPDATE period_sum SET cost_nano_usd = 1")
    ask(held, RebuildSums("ada@desk"))
    with held.transaction():
        spans = held.database.query("SELECT cost_nano_usd FROM period_sum ORDER BY span")
    assert len(spans) == len(whole)
    assert {cost for (cost,) in spans} == {9_900}
    assert orders(held) == [("ada@desk", "rebuild-sums", "")]
