"""Windows of budgets: which span of time an instant belongs to.

Pure: a function of the budget's stored values and an instant, so that authority and readers
always agree. Instants are whole seconds since the Unix epoch, spans are half open, and the
windows of one budget tile time without gap or overlap, clock changes included.

Minutes and single hours count elapsed time from the local hour; several hours are aligned to
local midnight; days, weeks (from Monday), months and quarters are counted on the local calendar.
"""

from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Literal
from zoneinfo import ZoneInfo

Every = Literal["minute", "hour", "day", "week", "month", "quarter", "lifetime"]

LIFETIME = (0, 0)
"""The window that never ends. An end of 0 means none."""

_HOUR = 3600
_HOURS_PER_DAY = 24
_FIRST_MONDAY = date(1970, 1, 5).toordinal()
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def window_of(every: Every, count: int, time_zone: str, instant: int) -> tuple[int, int]:
    """Start and end of the window that holds `instant`, for `count` units of `every`.

    `time_zone` is an IANA name. Raises ValueError for a count below 1, and
    `zoneinfo.ZoneInfoNotFoundError` for a zone that does not exist.
    """
    if count < 1:
        raise ValueError("count must be at least 1")
    if every == "lifetime":
        return LIFETIME
    return _cached_window(every, count, time_zone, instant // 60 * 60)


@lru_cache(maxsize=4096)
def _cached_window(every: Every, count: int, time_zone: str, instant: int) -> tuple[int, int]:
    zone = ZoneInfo(time_zone)
    if every == "minute":
        return _elapsed(zone, instant, min(count * 60, _HOUR) if count <= 60 else count * 60)
    if every == "hour" and count == 1:
        return _elapsed(zone, instant, _HOUR)
    return _on_calendar(every, count, zone, instant)


def _elapsed(zone: ZoneInfo, instant: int, length: int) -> tuple[int, int]:
    """Windows of `length` seconds from the local hour (or midnight, if longer than an hour)."""
    offset = _offset(zone, instant)
    block = _HOUR if length <= _HOUR else _HOUR * _HOURS_PER_DAY
    local = instant + offset
    base = local - local % block
    start = base + (local - base) // length * length
    end = min(start + length, base + block)
    start, end = start - offset, end - offset
    if _offset(zone, start) != offset:
        start = _transition(zone, start, instant)
    if _offset(zone, end - 1) != offset:
        end = _transition(zone, instant, end - 1)
    return start, end


def _offset(zone: ZoneInfo, instant: int) -> int:
    offset = (_EPOCH + timedelta(seconds=instant)).astimezone(zone).utcoffset()
    return 0 if offset is None else offset.days * 86_400 + offset.seconds


def _transition(zone: ZoneInfo, before: int, after: int) -> int:
    """The first second at which the clock stands as it does at `after`."""
    wanted = _offset(zone, after) if _offset(zone, before) != _offset(zone, after) else None
    low, high = before, after
    while high - low > 1:
        middle = (low + high) // 2
        if _offset(zone, middle) == wanted:
            high = middle
        else:
            low = middle
    return high


def _on_calendar(every: Every, count: int, zone: ZoneInfo, instant: int) -> tuple[int, int]:
    local = (_EPOCH + timedelta(seconds=instant)).astimezone(zone)
    boundary, index = _calendar(every, count, zone, local)
    while boundary(index) > instant:
        index -= 1
    while boundary(index + 1) <= instant:
        index += 1
    return boundary(index), boundary(index + 1)


def _calendar(
    every: Every, count: int, zone: ZoneInfo, local: datetime
) -> tuple[Callable[[int], int], int]:
    """The non-decreasing sequence of boundaries, and about where in it `local` lies."""
    day = local.date().toordinal()
    if every == "hour":
        return _hour_blocks(count, zone, day, local.hour)
    if every == "day":
        return lambda index: _instant(zone, date.fromordinal(index * count)), day // count
    if every == "week":
        length = 7 * count
        return (
            lambda index: _instant(zone, date.fromordinal(_FIRST_MONDAY + index * length)),
            (day - _FIRST_MONDAY) // length,
        )
    months = count * (3 if every == "quarter" else 1)
    return (
        lambda index: _instant(zone, _month(index * months)),
        (local.year * 12 + local.month - 1) // months,
    )


def _hour_blocks(
    count: int, zone: ZoneInfo, day: int, hour: int
) -> tuple[Callable[[int], int], int]:
    length = min(count, _HOURS_PER_DAY)
    per_day = -(-_HOURS_PER_DAY // length)

    def boundary(index: int) -> int:
        ordinal, block = divmod(index, per_day)
        return _instant(zone, date.fromordinal(ordinal), block * length)

    return boundary, day * per_day + hour // length


def _month(number: int) -> date:
    year, month = divmod(number, 12)
    return date(year, month + 1, 1)


def _instant(zone: ZoneInfo, day: date, hour: int = 0) -> int:
    """The instant of a local wall time. One that a clock change skips is the change itself;
    of one that comes twice, the first counts."""
    wall = datetime.combine(day, time(hour), tzinfo=zone)
    delta = wall.astimezone(UTC) - _EPOCH
    return delta.days * 86_400 + delta.seconds
