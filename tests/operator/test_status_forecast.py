"""When a budget will be used up: a straight line through the recent past, in integers."""

from dataclasses import replace

import pytest

from signalbox_operator.facts import AccountFacts
from signalbox_operator.forecast import (
    EVERY_S,
    FARTHEST_S,
    LEAST_S,
    PAST_S,
    Sample,
    Trend,
    exhausts_at,
)

NOON = 1_777_636_800


@pytest.mark.parametrize(
    ("elapsed", "spent", "used", "limit", "seconds"),
    [
        (600, 100, 100, 200, 600),
        (600, 100, 150, 200, 300),
        (600, 7, 100, 200, 8_580),
        (LEAST_S - 1, 100, 100, 200, None),
        (600, 0, 100, 200, None),
        (600, -5, 100, 200, None),
        (600, 100, 200, 200, None),
        (600, 100, 300, 200, None),
        (600, 1, 1, 10**15, None),
    ],
)
def test_the_line_goes_on(
    elapsed: int, spent: int, used: int, limit: int, seconds: int | None
) -> None:
    past, now = Sample(NOON - elapsed, used - spent), Sample(NOON, used)
    expected = 0 if seconds is None else NOON + seconds
    assert exhausts_at(past, now, limit=limit) == expected


def test_nothing_is_forecast_beyond_a_year() -> None:
    now = Sample(NOON, 60)
    assert exhausts_at(Sample(NOON - 60, 0), now, limit=FARTHEST_S) > 0
    assert exhausts_at(Sample(NOON - 60, 0), now, limit=FARTHEST_S + 200) == 0


def facts(used: int, *, limit: int = 10_000, end: int = 0) -> AccountFacts:
    return AccountFacts("ns/b", limit, used, 0, 0, limit - used, NOON, end)


def told(trend: Trend, account: AccountFacts, at: int) -> int:
    (found,) = trend.noted([account], at)
    return found.exhausts_at


def test_a_budget_that_is_spent_steadily_has_a_forecast_after_a_minute() -> None:
    trend = Trend()
    assert told(trend, facts(0), NOON) == 0
    assert told(trend, facts(5), NOON + 30) == 0
    assert told(trend, facts(10), NOON + 60) == NOON + 60_000


def test_the_recent_past_counts_and_not_what_was_before() -> None:
    trend = Trend()
    for at in range(0, 4 * PAST_S, EVERY_S):
        told(trend, facts(at // 10), NOON + at)
    used, at = 4 * PAST_S // 10, 4 * PAST_S
    for more in range(0, 2 * PAST_S, EVERY_S):
        latest = told(trend, facts(used), NOON + at + more)
    assert latest == 0


def test_no_forecast_outlasts_the_window_and_a_new_window_begins_anew() -> None:
    trend = Trend()
    told(trend, facts(0, end=NOON + 120), NOON)
    assert told(trend, facts(10, end=NOON + 120), NOON + 60) == 0
    fresh = replace(facts(0, end=NOON + 10**6), window_start=NOON + 120)
    assert told(trend, fresh, NOON + 180) == 0


def test_budgets_that_are_gone_are_forgotten() -> None:
    trend = Trend()
    told(trend, facts(0), NOON)
    assert trend.noted([], NOON + 30) == ()
    assert told(trend, facts(1_000), NOON + 60) == 0
