"""How long a request may be kept waiting for its hold, whatever the authority does."""

import asyncio
import signal
import time

import pytest

from signalbox_ledger.client import Claim, Hold, ProxyLedger, Shortage
from support.ledgers import budget

SLACK_S = 0.15
"""What a busy machine may add."""


async def timed(ledger: ProxyLedger, amount: int, wait_s: float) -> tuple[str, float]:
    began = time.monotonic()
    found = await ledger.hold([Claim("ns/day", "", amount)], wait_s=wait_s)
    took = time.monotonic() - began
    assert isinstance(found, Shortage)
    return found.reason, took


@pytest.mark.parametrize("wait_s", [0.0, 0.3, 1.0])
async def test_a_hold_that_waits_for_others_does_not_wait_for_longer(
    open_ledger, wait_s: float
) -> None:
    ledger = await open_ledger("p0")
    await ledger.configure(1, [budget(limit=1000)])
    assert isinstance(await ledger.hold([Claim("ns/day", "", 900)]), Hold)
    reason, took = await timed(ledger, 200, wait_s)
    assert reason == "held"
    assert wait_s <= took + 0.01
    assert took < wait_s + SLACK_S


@pytest.mark.parametrize("number", [signal.SIGSTOP, signal.SIGKILL])
async def test_one_that_waits_when_the_authority_goes_hears_within_its_time_and_an_answer(
    authority, open_ledger, number: signal.Signals
) -> None:
    ledger = await open_ledger("p0")
    await ledger.configure(1, [budget(limit=1000)])
    assert isinstance(await ledger.hold([Claim("ns/day", "", 900)]), Hold)
    waiting = asyncio.create_task(timed(ledger, 200, 0.6))
    while not any(waiter.answered for waiter in ledger._drawer.waiters):
        await asyncio.sleep(0.01)
    authority.signal(number)
    reason, took = await waiting
    assert reason == "held"  # as the authority said last
    assert took < 0.6 + 0.23 + SLACK_S


@pytest.mark.parametrize("number", [signal.SIGSTOP, signal.SIGKILL])
async def test_a_silent_authority_is_told_within_a_quarter_of_a_second_to_a_crowd_too(
    authority, open_ledger, number: signal.Signals
) -> None:
    ledger = await open_ledger("p0")
    await ledger.configure(1, [budget(limit=1000)])
    ledger.release(await ledger.hold([Claim("ns/day", "", 1)]))
    authority.signal(number)
    found = await asyncio.gather(*(timed(ledger, 500, 2.0) for _ in range(200)))
    assert {reason for reason, _ in found} == {"unavailable"}
    assert max(took for _, took in found) < 0.25 + SLACK_S


async def test_who_comes_after_a_second_of_silence_hears_at_once(authority, open_ledger) -> None:
    ledger = await open_ledger("p0")
    await ledger.configure(1, [budget(limit=1000)])
    authority.signal(signal.SIGSTOP)
    began = time.monotonic()
    took = 1.0
    while took > 0.1:
        assert time.monotonic() - began < 5
        reason, took = await timed(ledger, 500, 2.0)
        assert reason == "unavailable"
    assert time.monotonic() - began > 0.9
