"""How much a proxy draws ahead: enough to be alone for half a minute, no more than its share."""

import heapq
import itertools
from functools import partial

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from signalbox_ledger.accounts import AHEAD_SECONDS, Figures
from signalbox_ledger.draw_orders import DrawOrders
from signalbox_ledger.holder import Claim, Hold, Holdings
from signalbox_ledger.protocol import Grant
from support.fleet_model import Market, ModelProxy, Traffic
from support.ledgers import budget
from support.timing import cpu_s, least

NOW = 1_000_000


def market(limit: int, **changes: object) -> Market:
    return Market([budget("ns/day", limit, **changes)])


@settings(max_examples=12, deadline=None)
@given(
    per_second=st.integers(1, 40),
    bound=st.integers(100, 10_000),
    share=st.integers(1, 100),
    seconds=st.sampled_from([1, 3, 12]),
)
@example(per_second=20, bound=1000, share=5, seconds=2)
@example(per_second=20, bound=1000, share=100, seconds=12)
@example(per_second=1, bound=1, share=100, seconds=1)
def test_with_the_authority_gone_a_proxy_serves_for_thirty_seconds(
    per_second: int, bound: int, share: int, seconds: int
) -> None:
    """At a normal rate, with a limit of which one percent covers that: holds of `bound`, of which
    `share` percent are spent after `seconds`."""
    money = market(limit=100 * 60 * per_second * bound + 100 * per_second * bound * seconds)
    proxy = ModelProxy(money, Traffic(per_second, bound, share, seconds), seed=per_second)
    proxy.run(until_s=60)
    money.is_away = True
    proxy.run(until_s=90)
    assert proxy.refused == 0
    assert proxy.served >= 85 * per_second


def test_what_lies_ready_is_what_is_spent_not_what_is_held() -> None:
    """Bounds are much higher than bills: a fleet that drew by bounds would lock its budgets up."""
    money = market(limit=10**12)
    proxy = ModelProxy(money, Traffic(per_second=20, bound=1000, share=5, seconds=2), seed=1)
    proxy.run(until_s=240)
    spends = 20 * 1000 * 5 // 100
    assert 30 * spends <= proxy.free("ns/day") <= AHEAD_SECONDS * 20 * 1000 // 2
    assert proxy.refused == 0


def test_idle_money_is_never_more_than_a_hundredth_of_the_headroom() -> None:
    money = market(limit=10**8)
    proxy = ModelProxy(money, Traffic(per_second=30, bound=1000, share=100, seconds=1), seed=1)
    for second in range(1, 60):
        proxy.run(until_s=second)
        assert proxy.free("ns/day") <= money.headroom("ns/day") // 100 + 30 * 1000


def test_near_the_limit_a_slice_is_exactly_one_hold() -> None:
    money = market(limit=50_000)
    proxy = ModelProxy(money, Traffic(per_second=5, bound=1000, share=100, seconds=1), seed=1)
    proxy.run(until_s=5)
    assert set(money.granted_sizes) == {1000}


def test_accounts_of_users_are_drawn_exactly() -> None:
    money = market(limit=10**12, per="user")
    traffic = Traffic(per_second=50, bound=1000, share=50, seconds=1, subjects=7)
    proxy = ModelProxy(money, traffic, seed=1)
    proxy.run(until_s=30)
    assert proxy.served > 1000
    assert max(money.granted_sizes) <= 50 * 1000
    assert proxy.holdings.shared == {}
    proxy.traffic = Traffic(per_second=0, bound=1, share=1, seconds=1)
    proxy.run(until_s=36)
    assert money.held("ns/day") == 0
    assert proxy.holdings.accounts == {}


def test_a_window_that_begins_has_the_figures_that_were_told_ahead() -> None:
    held = Holdings()
    account = held.account("b", "", exact=False)
    orders = DrawOrders(held, "p")
    held.granted(account, Grant("s1", 10, NOW - 60, NOW + 2, Figures(100, 90, None, 0)))
    held.granted(
        account, Grant("s2", 10, NOW + 2, NOW + 62, Figures(100, 10, None, 0)), upcoming=True
    )
    orders.look_ahead(NOW)
    assert held.remaining("b", "") == 20  # 10 are nobody's, 10 are its own
    orders.look_ahead(NOW + 2)
    assert account.figures == Figures(100, 10, None, 0)


@pytest.mark.parametrize(("looked", "remaining"), [(400, 900), (None, 670)])
def test_what_others_hold_counts_as_spent_where_nobody_looked(looked, remaining: int) -> None:
    held = Holdings()
    account = held.account("b", "", exact=False)
    held.granted(account, Grant("s1", 200, 0, 0, Figures(1000, 500, looked, 0)))
    hold = held.try_hold([Claim("b", "", 100)], NOW)
    assert hold is not None
    held.settle(hold, [30] if looked is None else [0])
    assert held.remaining("b", "") == remaining


def crowd(accounts: int) -> Holdings:
    held = Holdings()
    for number in range(accounts):
        account = held.account("b", f"user-{number}", exact=True)
        account.used_at = NOW
        held.granted(account, Grant(f"s{number}", 100, 0, 0, Figures(10**6, 100, None, 0)))
    held.collect(NOW)
    return held


def test_housekeeping_costs_what_changed_not_what_there_is() -> None:
    """Fifty thousand users with a slice each, of whom twenty asked since the last round."""
    held = crowd(50_000)
    orders = DrawOrders(held, "p")
    numbers = itertools.count()

    def a_round() -> None:
        for _ in range(20):
            claim = Claim("b", f"user-{next(numbers) % 50_000}", 10)
            hold = held.try_hold([claim], NOW)
            assert isinstance(hold, Hold)
            held.acknowledge(held.settle(hold, [5]))
        held.collect(NOW)
        held.shed(NOW)
        orders.look_ahead(NOW)

    a_hundredth_of_a_tick = 0.1 / 100
    assert least(partial(cpu_s, a_round), a_hundredth_of_a_tick, tries=20) < a_hundredth_of_a_tick


def test_a_crowd_that_leaves_gives_everything_back_once() -> None:
    held = crowd(3000)
    assert held.collect(NOW + 2) == []
    items = held.collect(NOW + 3)
    assert [item.close for item in items] == [False, True] * 3000
    assert (held.accounts, held.collect(NOW + 4)) == ({}, [])
    assert held._calendar == {}


def test_the_calendar_looks_at_each_account_when_it_is_due() -> None:
    """Against the plain way: look at all of them, always."""
    held, plain = crowd(50), crowd(50)
    due: list[tuple[int, int]] = [(NOW + number % 7, number) for number in range(50)]
    heapq.heapify(due)
    for now in range(NOW, NOW + 20):
        while due and due[0][0] == now:
            key = "b", f"user-{heapq.heappop(due)[1]}"
            for one in (held, plain):
                if key in one.accounts:
                    one.accounts[key].used_at = now
        for account in plain.accounts.values():
            plain.touch(account)
        assert sorted(held.collect(now), key=str) == sorted(plain.collect(now), key=str)
