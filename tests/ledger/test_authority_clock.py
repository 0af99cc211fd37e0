"""Time is the authority's: what a process's own clock says decides nothing."""

import pytest

from signalbox_ledger.connection import Clock

HOUR_MS = 3_600_000


@pytest.mark.parametrize("wrong_by", [-HOUR_MS, HOUR_MS])
def test_the_authority_tells_the_time(wrong_by: int) -> None:
    clock = Clock()
    told = clock.now_ms() - wrong_by
    clock.told(told)
    assert 0 <= clock.now_ms() - told < HOUR_MS // 60


def test_once_told_it_never_goes_back() -> None:
    clock = Clock()
    told = clock.now_ms()
    clock.told(told)
    before = clock.now_ms()
    clock.told(told - HOUR_MS)
    assert clock.now_ms() >= before
    clock.told(told + HOUR_MS)
    assert clock.now_ms() >= told + HOUR_MS
