"""Corrections are posted once, beside what was charged; accounts follow in the present window."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signalbox_ledger import correcting, settlement
from signalbox_ledger.accounts import BudgetSpec
from signalbox_ledger.corrected_accounts import taken_back
from signalbox_ledger.desk_protocol import Correct, Corrected, CorrectionItem, CorrectionSource
from signalbox_ledger.journal import RECORD, frame_run
from signalbox_ledger.protocol import DrawItem, Hello, ReturnItem
from signalbox_ledger.records import HoldPart
from signalbox_ledger.store import Store
from support.ledgers import budget
from support.recorded_runs import NOON, make_attempt, make_charge, make_run

NOW_MS = NOON + 60_000
SOURCE = CorrectionSource(id="a" * 64, by="ada@desk", name="bill.csv", digest="d" * 64)
DAY_BUDGET = budget("ns/day", 100_000, every="day")


class Desk:
    """A store with one holder and its slices, at noon of one day."""

    def __init__(self, store: Store, *specs: BudgetSpec) -> None:
        self.store = store
        self.offset = 0
        with store.transaction():
            store.configure(7, specs, NOW_MS // 1000)
            store.open_holder(Hello("proxy-0", "proxy-0/1"), NOW_MS)

    def draw(self, slice_id: str, spec: BudgetSpec, amount: int, at: int = NOW_MS) -> None:
        item = DrawItem(slice_id, spec.id, "", [amount], 0, 0, spec.basis)
        with self.store.transaction():
            (grant,) = self.store.granting.draw(
                "proxy-0/1", [item], self.store.specs, now=at // 1000
            )
        assert grant.amount == amount

    def record(self, run_id: str, holds: Sequence[HoldPart], cost: int, **changed: object) -> None:
        """A run of one attempt that cost so much, settled in these slices."""
        values = {"cost_nano": cost, "settlement": "full", "holds": list(holds)}
        run = make_run(
            run_id,
            cost_nano=cost,
            attempts=[make_attempt(**{**values, **changed})],
            charges=[make_charge(cost=cost, base=cost, premium=0, kind="unknown")],
        )
        data = frame_run(RECORD, run)
        with self.store.transaction():
            self.offset = settlement.settle(self.store, "proxy-0/1", self.offset, data)

    def close(self, *slice_ids: str) -> None:
        items = [ReturnItem(slice_id, 0, True) for slice_id in slice_ids]
        with self.store.transaction():
            self.store.accounts.give_back("proxy-0/1", items)

    def correct(self, *items: CorrectionItem, at: int = NOW_MS) -> Corrected:
        with self.store.transaction():
            return correcting.correct(self.store, Correct(SOURCE, list(items)), at)

    def account(self, budget: str = "ns/day") -> tuple[int, int]:
        """granted and overrun."""
        with self.store.transaction():
            rows = self.store.database.query(
                "SELECT granted, overrun FROM account WHERE budget = ?", (budget,)
            )
        assert len(rows) == 1
        return (rows[0][0], rows[0][1])

    def charged(self, run_id: str) -> int:
        """What the record charges now, and the sums with it."""
        with self.store.transaction():
            ((cost,),) = self.store.database.query(
                "SELECT CAST(sum(cost_nano_usd) AS BIGINT) FROM charge_record WHERE run_id = ?",
                (run_id,),
            )
            ((total,),) = self.store.database.query(
                "SELECT CAST(sum(cost_nano_usd) AS BIGINT) FROM period_sum WHERE span = 3600000"
            )
            ((facts,),) = self.store.database.query(
                "SELECT CAST(sum(cost_nano_usd) AS BIGINT) FROM charge_record"
            )
        assert total == facts
        return int(cost)


def hold(slice_id: str, amount: int, spent: int, budget_id: str = "ns/day") -> HoldPart:
    return HoldPart(slice_id=slice_id, budget=budget_id, subject="", amount=amount, spent=spent)


def item(
    before: int, after: int, line: str = "1", run_id: str = "r_1", **more: object
) -> CorrectionItem:
    return CorrectionItem(run_id, 1, line * 64, before, after, **more)  # type: ignore[arg-type]


def test_less_than_was_charged_is_given_back_once_the_slice_is_closed(store: Store) -> None:
    desk = Desk(store, DAY_BUDGET)
    desk.draw("s1", DAY_BUDGET, 20_000)
    desk.record("r_1", [hold("s1", 20_000, 20_000)], 20_000)
    desk.close("s1")
    assert desk.account() == (20_000, 0)
    reply = desk.correct(item(20_000, 3_000))
    assert (reply.booked, reply.returned, reply.raised) == (1, {"usd": 17_000}, {})
    assert desk.account() == (3_000, 0)
    assert desk.charged("r_1") == 3_000


def test_an_open_slice_has_spent_less_and_gives_it_back_when_it_is_closed(store: Store) -> None:
    desk = Desk(store, DAY_BUDGET)
    desk.draw("s1", DAY_BUDGET, 50_000)
    desk.record("r_1", [hold("s1", 20_000, 20_000)], 20_000)
    assert desk.correct(item(20_000, 3_000)).returned == {"usd": 17_000}
    assert desk.account() == (50_000, 0)
    desk.close("s1")
    assert desk.account() == (3_000, 0)


def test_more_than_was_charged_goes_to_overrun(store: Store) -> None:
    desk = Desk(store, DAY_BUDGET)
    desk.draw("s1", DAY_BUDGET, 20_000)
    desk.record("r_1", [hold("s1", 20_000, 5_000)], 5_000)
    desk.close("s1")
    assert desk.correct(item(5_000, 30_000)).raised == {"usd": 25_000}
    assert desk.account() == (5_000, 25_000)
    assert desk.charged("r_1") == 30_000


def test_the_same_line_is_posted_once(store: Store) -> None:
    desk = Desk(store, DAY_BUDGET)
    desk.draw("s1", DAY_BUDGET, 20_000)
    desk.record("r_1", [hold("s1", 20_000, 20_000)], 20_000)
    desk.close("s1")
    assert desk.correct(item(20_000, 3_000)).booked == 1
    again = desk.correct(item(20_000, 3_000))
    assert (again.booked, again.known, again.returned) == (0, 1, {})
    # Even where the charge stands where the line once found it.
    assert desk.correct(item(3_000, 20_000, "2")).booked == 1
    assert desk.correct(item(20_000, 3_000)).known == 1
    assert desk.charged("r_1") == 20_000
    assert desk.account() == (3_000, 17_000)


def test_what_was_corrected_meanwhile_or_is_unknown_is_named_and_left(store: Store) -> None:
    desk = Desk(store, DAY_BUDGET)
    desk.draw("s1", DAY_BUDGET, 20_000)
    desk.record("r_1", [hold("s1", 20_000, 20_000)], 20_000)
    reply = desk.correct(item(19_999, 3_000), item(1, 0, run_id="r_nobody"))
    assert (reply.booked, reply.changed) == (0, ["r_1/1", "r_nobody/1"])
    two = desk.correct(item(20_000, 3_000, "1"), item(20_000, 4_000, "2"))
    assert (two.booked, two.changed) == (1, ["r_1/1"])
    assert desk.charged("r_1") == 3_000


def test_up_and_down_again_leaves_the_account_where_the_charge_is(store: Store) -> None:
    desk = Desk(store, DAY_BUDGET)
    desk.draw("s1", DAY_BUDGET, 20_000)
    desk.record("r_1", [hold("s1", 20_000, 20_000)], 20_000)
    desk.close("s1")
    steps = (30_000, 10_000, 40_000, 25_000, 0, 7_000, 0)
    before = 20_000
    for number, after in enumerate(steps):
        assert desk.correct(item(before, after, f"{number:x}")).booked == 1
        assert sum(desk.account()) == after
        assert desk.charged("r_1") == after
        before = after


def test_a_hold_that_lay_in_several_slices_comes_back_from_each(store: Store) -> None:
    desk = Desk(store, DAY_BUDGET)
    desk.draw("s1", DAY_BUDGET, 8_000)
    desk.draw("s2", DAY_BUDGET, 30_000)
    desk.record("r_1", [hold("s1", 8_000, 8_000), hold("s2", 12_000, 12_000)], 20_000)
    desk.close("s1")
    assert desk.correct(item(20_000, 3_000)).returned == {"usd": 17_000}
    desk.close("s2")
    assert desk.account() == (3_000, 0)


def test_an_overrun_comes_back_before_what_the_slice_bore(store: Store) -> None:
    desk = Desk(store, DAY_BUDGET)
    desk.draw("s1", DAY_BUDGET, 20_000)
    desk.record("r_1", [hold("s1", 20_000, 26_000)], 26_000)
    desk.close("s1")
    assert desk.account() == (20_000, 6_000)
    desk.correct(item(26_000, 22_000))
    assert desk.account() == (20_000, 2_000)
    desk.correct(item(22_000, 1_000, "2"))
    assert desk.account() == (1_000, 0)


def test_another_window_is_left_alone(store: Store) -> None:
    desk = Desk(store, DAY_BUDGET)
    desk.draw("s1", DAY_BUDGET, 20_000)
    desk.record("r_1", [hold("s1", 20_000, 20_000)], 20_000)
    desk.close("s1")
    tomorrow = NOW_MS + 86_400_000
    reply = desk.correct(item(20_000, 3_000), at=tomorrow)
    assert (reply.booked, reply.returned) == (1, {})
    assert desk.correct(item(3_000, 9_000, "2"), at=tomorrow).raised == {}
    assert desk.account() == (20_000, 0)
    assert desk.charged("r_1") == 9_000


def test_a_hold_near_the_turn_of_a_window_gives_nothing_back(store: Store) -> None:
    desk = Desk(store, DAY_BUDGET)
    desk.draw("s1", DAY_BUDGET, 20_000)
    run = make_run("r_1").started_at
    later = run + 86_400_000
    desk.record("r_1", [hold("s1", 20_000, 20_000)], 20_000, started_at=later)
    desk.close("s1")
    desk.draw("s2", DAY_BUDGET, 20_000, at=later)
    desk.record("r_2", [hold("s2", 20_000, 20_000)], 20_000, started_at=later)
    desk.close("s2")
    assert desk.correct(item(20_000, 3_000), at=later).returned == {}
    with store.transaction():
        assert store.database.query("SELECT granted FROM account") == [(20_000,), (20_000,)]


def test_a_budget_made_again_otherwise_gives_nothing_back(store: Store) -> None:
    desk = Desk(store, DAY_BUDGET)
    desk.draw("s1", DAY_BUDGET, 20_000)
    desk.record("r_1", [hold("s1", 20_000, 20_000)], 20_000)
    desk.close("s1")
    with store.transaction():
        store.configure(8, [budget("ns/day", 100_000, every="month")], NOW_MS // 1000)
    assert desk.correct(item(20_000, 3_000)).returned == {}
    assert desk.account() == (20_000, 0)


def test_a_raised_limit_does_not_stand_in_the_way(store: Store) -> None:
    desk = Desk(store, DAY_BUDGET)
    desk.draw("s1", DAY_BUDGET, 20_000)
    desk.record("r_1", [hold("s1", 20_000, 20_000)], 20_000)
    desk.close("s1")
    with store.transaction():
        store.configure(8, [budget("ns/day", 10_000, every="day")], NOW_MS // 1000)
    assert desk.correct(item(20_000, 3_000)).returned == {"usd": 17_000}
    desk.draw("s2", DAY_BUDGET, 7_000)


def test_tokens_come_back_where_the_export_tells_them(store: Store) -> None:
    tokens = budget("ns/tokens", 1_000, every="day", unit="tokens")
    requests = budget("ns/requests", 10, every="day", unit="requests")
    desk = Desk(store, DAY_BUDGET, tokens, requests)
    for slice_id, spec, amount in (("s1", DAY_BUDGET, 20_000), ("s2", tokens, 400)):
        desk.draw(slice_id, spec, amount)
    desk.draw("s3", requests, 1)
    parts = [hold("s1", 20_000, 20_000), hold("s2", 400, 400, tokens.id)]
    desk.record("r_1", [*parts, hold("s3", 1, 1, requests.id)], 20_000)
    desk.close("s1", "s2", "s3")
    reply = desk.correct(item(20_000, 3_000, tokens=60))
    assert reply.returned == {"usd": 17_000, "tokens": 340}
    assert desk.account("ns/tokens") == (60, 0)
    assert desk.account("ns/requests") == (1, 0)
    desk.correct(item(3_000, 4_000, "2"))
    assert desk.account("ns/tokens") == (60, 0)


def test_open_slices_are_never_taken_back_below(store: Store) -> None:
    desk = Desk(store, DAY_BUDGET)
    desk.draw("s1", DAY_BUDGET, 20_000)
    desk.draw("s2", DAY_BUDGET, 80_000)
    # Never settled in its slice, which was closed before: it stands as overrun.
    desk.close("s1")
    desk.record("r_1", [hold("s1", 20_000, 20_000)], 20_000)
    assert desk.account() == (80_000, 20_000)
    assert desk.correct(item(20_000, 3_000)).returned == {"usd": 17_000}
    assert desk.account() == (80_000, 3_000)


def test_who_booked_what_by_which_file_is_kept_for_ever(store: Store) -> None:
    desk = Desk(store, DAY_BUDGET)
    desk.draw("s1", DAY_BUDGET, 20_000)
    desk.record("r_1", [hold("s1", 20_000, 20_000)], 20_000)
    desk.correct(item(20_000, 3_000, request_id="req_1"))
    with store.transaction():
        rows = store.database.query(
            "SELECT posted_at, posted_by, source, reconciliation.digest, request_id, before_nano, "
            "after_nano FROM correction JOIN reconciliation ON reconciliation = id"
        )
    assert rows == [(NOW_MS, "ada@desk", "bill.csv", "d" * 64, "req_1", 20_000, 3_000)]
    for statement in ("UPDATE correction SET after_nano = 0", "DELETE FROM reconciliation"):
        with pytest.raises(Exception, match="append-only"), store.transaction():
            store.database.execute(statement)


parts_of_a_hold = st.lists(
    st.tuples(st.integers(0, 50), st.integers(0, 50)), min_size=1, max_size=5
)


@given(parts_of_a_hold, st.lists(st.integers(0, 300), min_size=1, max_size=8))
def test_whatever_is_corrected_each_slice_gets_back_at_most_what_it_bore(
    sizes: list[tuple[int, int]], steps: list[int]
) -> None:
    parts = [hold(f"s{at}", amount, spent) for at, (amount, spent) in enumerate(sizes)]
    overrun = sum(max(0, part.spent - part.amount) for part in parts)
    bears = {part.slice_id: min(part.spent, part.amount) for part in parts}
    now = low = sum(part.spent for part in parts)
    for after in steps:
        if after > now:
            overrun += after - now
        else:
            taken = taken_back(parts, now=now, low=low, after=after)
            overrun -= taken.overrun
            for part, amount in taken.holds:
                bears[part.slice_id] -= amount
        now, low = after, min(low, after)
        assert overrun >= 0
        assert min(bears.values()) >= 0
        assert overrun + sum(bears.values()) == now
