"""How long a request may be kept waiting for its hold, whatever the authority does.

A busy machine may add to any of these times: of a few tries one has to keep to its bound.
"""

import asyncio
import itertools
import signal
import time
from collections.abc import Awaitable, Callable

import pytest

from signalbox_ledger.client import Claim, Hold, ProxyLedger, Shortage
from support.ledgers import AuthorityProcess, budget, until

pytestmark = pytest.mark.deadlines
SLACK_S = 0.15
TRIES = 5


async def timed(ledger: ProxyLedger, amount: int, wait_s: float) -> tuple[str, float]:
    began = time.monotonic()
    found = await ledger.hold([Claim("ns/day", "", amount)], wait_s=wait_s)
    took = time.monotonic() - began
    assert isinstance(found, Shortage)
    return found.reason, took


async def quick_one(attempt: Callable[[], Awaitable[tuple[set[str], float]]], reason: str) -> float:
    """The seconds of the first try that was told `reason`; of the quickest, where several were
    above what is allowed."""
    found = []
    for _ in range(TRIES):
        reasons, over_s = await attempt()
        if reasons == {reason}:
            found.append(over_s)
            if over_s < SLACK_S:
                break
    assert found, f"nobody was told {reason!r}"
    return min(found)


async def held(ledger: ProxyLedger, amount: int) -> Hold:
    """A hold there is room for, asked for until this machine is quick enough."""
    got: list[Hold] = []

    async def got_it() -> bool:
        found = await ledger.hold([Claim("ns/day", "", amount)])
        if isinstance(found, Hold):
            got.append(found)
        return bool(got)

    await until(got_it)
    return got[0]


async def come_back(authority: AuthorityProcess, number: signal.Signals) -> None:
    """After SIGSTOP or SIGKILL, the authority serves again."""
    if number is signal.SIGSTOP:
        authority.signal(signal.SIGCONT)
    else:
        authority.kill()
        authority.start()


@pytest.mark.parametrize("wait_s", [0.0, 0.3, 1.0])
async def test_a_hold_that_waits_for_others_does_not_wait_for_longer(
    open_ledger, wait_s: float
) -> None:
    ledger = await open_ledger("p0")
    await ledger.configure(1, [budget(limit=1000)])
    await held(ledger, 900)

    async def attempt() -> tuple[set[str], float]:
        reason, took = await timed(ledger, 200, wait_s)
        assert reason != "held" or wait_s <= took + 0.01
        return {reason}, took - wait_s

    assert await quick_one(attempt, "held") < SLACK_S


@pytest.mark.parametrize("number", [signal.SIGSTOP, signal.SIGKILL])
async def test_one_that_waits_when_the_authority_goes_hears_within_its_time_and_an_answer(
    authority, open_ledger, number: signal.Signals
) -> None:
    ledger = await open_ledger("p0")
    await ledger.configure(1, [budget(limit=1000)])
    await held(ledger, 900)

    async def attempt() -> tuple[set[str], float]:
        waiting = asyncio.create_task(timed(ledger, 200, 0.6))
        while not waiting.done() and not any(one.answered for one in ledger._drawer.waiters):
            await asyncio.sleep(0.01)
        authority.signal(number)
        reason, took = await waiting
        await come_back(authority, number)
        return {reason}, took - 0.6 - 0.23

    assert await quick_one(attempt, "held") < SLACK_S, "as the authority said last"


@pytest.mark.parametrize("number", [signal.SIGSTOP, signal.SIGKILL])
async def test_a_silent_authority_is_told_within_a_quarter_of_a_second_to_a_crowd_too(
    authority, open_ledger, number: signal.Signals
) -> None:
    names = itertools.count()

    async def attempt() -> tuple[set[str], float]:
        ledger = await open_ledger(f"p{next(names)}")
        await ledger.configure(1, [budget(limit=1000)])
        ledger.release(await held(ledger, 1))
        authority.signal(number)
        found = await asyncio.gather(*(timed(ledger, 500, 2.0) for _ in range(200)))
        await come_back(authority, number)
        return {reason for reason, _ in found}, max(took for _, took in found) - 0.25

    assert await quick_one(attempt, "unavailable") < SLACK_S


async def test_who_comes_after_a_second_of_silence_hears_at_once(authority, open_ledger) -> None:
    ledger = await open_ledger("p0")
    await ledger.configure(1, [budget(limit=1000)])
    authority.signal(signal.SIGSTOP)
    began = time.monotonic()
    took = 1.0
    while took > 0.1:
        assert time.monotonic() - began < 30
        reason, took = await timed(ledger, 500, 2.0)
        assert reason == "unavailable"
    assert time.monotonic() - began > 0.9
    authority.signal(signal.SIGCONT)
