"""Windows tile time, wherever the clock changes."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from signalbox_ledger.windows import window_of

ZONES = (
    *("UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"),
    *("America/Sao_Paulo", "Pacific/Apia", "America/Havana", "Africa/Casablanca", "Asia/Tehran"),
)
EVERY = ("minute", "hour", "day", "week", "month", "quarter")


def at(text: str, zone: str = "UTC") -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp())


def local(instant: int, zone: str) -> str:
    return datetime.fromtimestamp(instant, UTC).astimezone(ZoneInfo(zone)).isoformat()


@given(
    every=st.sampled_from(EVERY),
    count=st.integers(1, 60),
    zone=st.sampled_from(ZONES),
    instant=st.integers(at("1990-01-01"), at("2090-01-01")),
)
@example(every="day", count=1, zone="Pacific/Apia", instant=at("2011-12-30T10:00"))
@example(every="minute", count=60, zone="Australia/Lord_Howe", instant=at("2024-04-06T15:20"))
@example(every="hour", count=1, zone="Australia/Lord_Howe", instant=at("2024-10-05T15:45"))
@example(every="hour", count=6, zone="America/New_York", instant=at("2024-11-03T05:30"))
def test_windows_tile_time(every, count, zone, instant) -> None:
    start, end = window_of(every, count, zone, instant)
    assert start <= instant < end
    for inside in (start, (start + end) // 2, end - 1):
        assert window_of(every, count, zone, inside) == (start, end)
    assert window_of(every, count, zone, end)[0] == end
    assert window_of(every, count, zone, start - 1)[1] == start


@pytest.mark.parametrize(
    ("every", "count", "zone", "instant", "start", "end"),
    [
        ("minute", 1, "UTC", "2024-05-01T10:07:31", "2024-05-01T10:07", "2024-05-01T10:08"),
        ("minute", 15, "UTC", "2024-05-01T10:44:59", "2024-05-01T10:30", "2024-05-01T10:45"),
        ("hour", 6, "Europe/Berlin", "2024-05-01T13:00", "2024-05-01T12:00", "2024-05-01T18:00"),
        ("day", 1, "Europe/Berlin", "2024-03-31T12:00", "2024-03-31T00:00", "2024-04-01T00:00"),
        ("day", 1, "UTC", "2024-02-29T23:59:59", "2024-02-29T00:00", "2024-03-01T00:00"),
        ("week", 1, "UTC", "2024-05-05T23:00", "2024-04-29T00:00", "2024-05-06T00:00"),
        ("month", 1, "UTC", "2024-02-10T00:00", "2024-02-01T00:00", "2024-03-01T00:00"),
        ("quarter", 1, "UTC", "2024-12-31T23:59", "2024-10-01T00:00", "2025-01-01T00:00"),
        ("month", 12, "UTC", "2024-06-10T00:00", "2024-01-01T00:00", "2025-01-01T00:00"),
    ],
)
def test_windows_are_aligned_to_the_local_calendar(every, count, zone, instant, start, end) -> None:
    found = window_of(every, count, zone, at(instant, zone))
    assert found == (at(start, zone), at(end, zone))


def test_days_of_clock_changes_have_23_and_25_hours() -> None:
    zone = "America/New_York"
    spring = window_of("day", 1, zone, at("2024-03-10T12:00", zone))
    autumn = window_of("day", 1, zone, at("2024-11-03T12:00", zone))
    assert [end - start for start, end in (spring, autumn)] == [23 * 3600, 25 * 3600]


def test_six_hours_end_at_six_by_the_wall_clock_though_one_was_skipped() -> None:
    zone = "America/New_York"
    start, end = window_of("hour", 6, zone, at("2024-03-10T04:00", zone))
    assert local(start, zone) == "2024-03-10T00:00:00-05:00"
    assert local(end, zone) == "2024-03-10T06:00:00-04:00"


def test_a_minute_is_a_minute_in_the_hour_that_comes_twice() -> None:
    zone = "Europe/Berlin"
    first = at("2024-10-27T02:30", zone)
    for instant in (first, first + 3600):
        assert window_of("minute", 1, zone, instant + 5) == (instant, instant + 60)


def test_a_lifetime_has_no_end_and_a_count_below_one_is_refused() -> None:
    assert window_of("lifetime", 1, "UTC", 5) == (0, 0)
    with pytest.raises(ValueError, match="count"):
        window_of("day", 0, "UTC", 5)
