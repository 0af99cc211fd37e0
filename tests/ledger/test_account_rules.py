"""The rules of accounts, case by case."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signalbox_ledger.accounts import Figures, grant_amount


@pytest.mark.parametrize(
    ("headroom", "needs", "free", "want", "exact", "granted", "unmet"),
    [
        pytest.param(1_000_000, [10], 0, 500, False, 500, 0, id="ahead up to what the rate wants"),
        pytest.param(1_000_000, [10], 0, 10**9, False, 10_000, 0, id="but one percent at most"),
        pytest.param(500, [10], 0, 10**9, False, 10, 0, id="near the limit exactly the need"),
        pytest.param(1_000_000, [10], 0, 500, True, 10, 0, id="exact accounts get no more"),
        pytest.param(1_000_000, [10], 4, 0, True, 6, 0, id="what is free counts"),
        pytest.param(15, [10, 10], 0, 99, False, 10, 10, id="first come first served"),
        pytest.param(15, [20, 10], 0, 99, False, 10, 20, id="what does not fit is passed over"),
        pytest.param(0, [10], 0, 99, False, 0, 10, id="nothing left"),
        pytest.param(-5, [10], 0, 99, False, 0, 10, id="limit lowered below what is granted"),
        pytest.param(-5, [3], 4, 0, False, 0, 0, id="fits into what is free"),
        pytest.param(1_000, [], 0, 50, False, 10, 0, id="refill without need"),
        pytest.param(0, [], 0, 50, False, 0, 0, id="refill of nothing"),
    ],
)
def test_a_draw_grants(headroom, needs, free, want, exact, granted, unmet) -> None:
    found = grant_amount(headroom, needs=needs, free=free, want=want, exact=exact)
    assert found == (granted, unmet)


@given(
    st.integers(-1000, 10**6),
    st.lists(st.integers(0, 1000), max_size=20),
    st.integers(0, 1000),
    st.integers(0, 10**6),
    st.booleans(),
)
def test_a_draw_never_grants_above_the_headroom(headroom, needs, free, want, exact) -> None:
    granted, unmet = grant_amount(headroom, needs=needs, free=free, want=want, exact=exact)
    assert 0 <= granted <= max(0, headroom)
    assert unmet == 0 or unmet in needs


@pytest.mark.parametrize(
    ("figures", "state"),
    [
        (Figures(limit=100, granted=40, held=10, overrun=0), "free"),
        (Figures(limit=100, granted=100, held=10, overrun=0), "held"),
        (Figures(limit=100, granted=100, held=0, overrun=0), "exhausted"),
        (Figures(limit=100, granted=95, held=5, overrun=10), "exhausted"),
        (Figures(limit=0, granted=0, held=0, overrun=0), "exhausted"),
    ],
)
def test_status_says_whether_waiting_helps(figures: Figures, state: str) -> None:
    assert figures.state == state


def test_figures_add_up() -> None:
    figures = Figures(limit=100, granted=80, held=30, overrun=5)
    assert (figures.settled, figures.headroom, figures.remaining) == (50, 15, 45)
