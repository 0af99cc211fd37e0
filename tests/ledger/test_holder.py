"""Holds inside slices: all or nothing, pinned to their window, nothing created or lost."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signalbox_ledger.accounts import Figures
from signalbox_ledger.holder import Claim, Holdings
from signalbox_ledger.protocol import Grant

NOW = 1_000_000


def holdings(
    *slices: tuple[str, int, int, int], budget: str = "b", exact: bool = False
) -> Holdings:
    found = Holdings()
    account = found.account(budget, "", exact=exact)
    for id_, amount, start, end in slices:
        figures = Figures(limit=10**6, granted=amount, held=amount, overrun=0)
        found.granted(account, Grant(id_, amount, start, end, figures))
    return found


def test_a_hold_may_span_slices_and_fails_as_a_whole() -> None:
    held = holdings(("s1", 60, 0, 0), ("s2", 50, 0, 0))
    assert held.try_hold([Claim("b", "", 111)], NOW) is None
    hold = held.try_hold([Claim("b", "", 100)], NOW)
    assert hold is not None
    assert [(part.slice_id, part.amount) for part in hold.parts] == [("s1", 60), ("s2", 40)]
    parts = held.settle(hold, [70])
    assert [part.spent for part in parts] == [60, 10]
    assert held.accounts["b", ""].free_at(NOW) == 40


def test_a_hold_is_taken_from_its_window_only() -> None:
    held = holdings(("old", 100, NOW - 60, NOW), ("new", 100, NOW, NOW + 60))
    hold = held.try_hold([Claim("b", "", 100)], NOW)
    assert hold is not None
    assert hold.parts[0].slice_id == "new"
    before = held.try_hold([Claim("b", "", 100)], NOW - 1)
    assert before is not None
    assert before.parts[0].slice_id == "old"


def test_when_a_window_ends_what_is_free_goes_back_and_open_holds_stay_pinned() -> None:
    held = holdings(("old", 100, NOW - 60, NOW))
    hold = held.try_hold([Claim("b", "", 30)], NOW - 1)
    assert hold is not None
    assert [(item.slice_id, item.keep, item.close) for item in held.collect(NOW)] == [
        ("old", 30, False)
    ]
    parts = held.settle(hold, [20])
    assert [(item.keep, item.close) for item in held.collect(NOW)] == [(20, False)]
    held.acknowledge(parts)
    assert [(item.keep, item.close) for item in held.collect(NOW)] == [(20, True)]
    assert held.collect(NOW) == []


def test_a_grant_that_comes_late_finds_its_account_again() -> None:
    held = Holdings()
    account = held.account("b", "u", exact=True)
    assert held.collect(NOW) == []
    assert held.accounts == {}
    figures = Figures(limit=10, granted=5, held=5, overrun=0)
    held.granted(account, Grant("s1", 5, 0, 0, figures))
    assert held.try_hold([Claim("b", "u", 5)], NOW) is not None


def test_a_slice_that_others_want_is_used_no_more() -> None:
    held = holdings(("s1", 100, 0, 0))
    held.accounts["b", ""].used_at = NOW
    assert held.collect(NOW) == []
    assert held.drain(["s1", "unknown"])
    assert held.try_hold([Claim("b", "", 1)], NOW) is None
    assert [(item.keep, item.close) for item in held.collect(NOW)] == [(0, False), (0, True)]


@pytest.mark.parametrize(
    ("exact", "limit", "seconds"), [(True, 10**6, 2), (False, 150, 10), (False, 10**6, 10)]
)
def test_idle_amounts_go_back(exact: bool, limit: int, seconds: int) -> None:
    """Soonest of users, of whom there are many."""
    held = holdings(("s1", 100, 0, 0), exact=exact)
    held.accounts["b", ""].figures = Figures(limit=limit, granted=100, held=100, overrun=0)
    hold = held.try_hold([Claim("b", "", 1)], NOW)
    assert hold is not None
    held.settle(hold, [0])
    assert held.collect(NOW + seconds) == []
    assert held.collect(NOW + seconds + 1) != []


@given(
    st.lists(st.integers(0, 100), min_size=1, max_size=4),
    st.lists(st.tuples(st.integers(0, 150), st.integers(0, 200)), max_size=12),
)
def test_no_hold_creates_or_loses_an_amount(slices, requests) -> None:
    held = holdings(*((f"s{n}", amount, 0, 0) for n, amount in enumerate(slices)))
    account = held.accounts["b", ""]
    total = sum(slices)
    parts = []
    for amount, spent in requests:
        before = account.free_at(NOW)
        hold = held.try_hold([Claim("b", "", amount)], NOW)
        assert (hold is not None) == (amount <= before)
        if hold is not None:
            assert account.free_at(NOW) == before - amount
            parts += held.settle(hold, [spent])
        assert sum(one.free + one.kept for one in account.slices) == total
    held.acknowledge(parts)
    assert all(one.is_settled for one in account.slices)
    assert sum(part.spent for part in parts) >= sum(one.spent for one in account.slices)
