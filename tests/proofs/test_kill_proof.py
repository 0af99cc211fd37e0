"""kill -9 of a proxy, of the authority, of everything, under load: the limit holds, nothing is lost
from the ledger, nothing stays held, and service resumes by itself.

Delays are seeded. The short form kills one proxy once; the long one adds four, the authority, and
the supervisor with all its children.
"""

import asyncio
import os
import random
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from support.market import MISTRAL, WRITER_USD, Market, is_alive, open_market
from support.oracle import PICO_PER_NANO, eventually

CLIENTS = 16
LOAD_S = 3.5
ENOUGH = 100
"""Answers of a load: on a busy machine it takes longer."""

LIMIT_PICO = int(Decimal(WRITER_USD) * 10**12)
PROXIES = ("proxy-0", "proxy-1")


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Market]:
    with open_market(tmp_path_factory.mktemp("kills"), ["--proxies", "2"]) as opened:
        yield opened


@dataclass
class Told:
    """What clients saw: statuses, the runs that answered them, connections that broke."""

    statuses: Counter[int] = field(default_factory=Counter)
    runs: list[str] = field(default_factory=list)
    broken: int = 0


def answered(told: Told) -> bool:
    return told.statuses[200] >= ENOUGH


def refused(told: Told) -> bool:
    return told.statuses[402] > 0


async def load(
    market: Market,
    agent: str,
    victims: dict[float, list[int]],
    *,
    enough: Callable[[Told], bool] = answered,
    first: Callable[[Told], bool] = lambda _: True,
) -> Told:
    """Asks without a pause until the money is gone, or time is over and it was `enough`; kills
    processes at their moments, or when `first` is so."""
    told = Told()
    living = set(victims)
    loop = asyncio.get_running_loop()
    began = loop.time()
    body: dict[str, Any] = {"model": "mistral-small", "max_tokens": 100}

    async def client(number: int) -> None:
        body_ = body | {"stream": number % 2 == 0}
        turn = 0
        while living or loop.time() - began < LOAD_S or not enough(told):
            turn += 1
            text = f"{number}/{turn} [[slow 10]] [[chunk 2]]"
            asked = body_ | {"messages": [{"role": "user", "content": text}]}
            try:
                async with session.post(f"{market.openai_url}/chat/completions", json=asked) as got:
                    await got.read()
            except (aiohttp.ClientError, OSError):
                told.broken += 1
                await asyncio.sleep(0.02)
                continue
            told.statuses[got.status] += 1
            if "x-signalbox-run-id" in got.headers:
                told.runs.append(got.headers["x-signalbox-run-id"])
            if got.status == 402:
                return
            if got.status != 200:
                await asyncio.sleep(0.05)

    async def killer(after_s: float, pids: list[int]) -> None:
        await asyncio.sleep(after_s)
        while not first(told):
            await asyncio.sleep(0.005)
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        living.remove(after_s)

    timeout = aiohttp.ClientTimeout(total=20)
    headers = {"Authorization": f"Bearer {market.key(agent)}"}
    connector = aiohttp.TCPConnector(limit=0, force_close=True)
    async with (
        asyncio.timeout(120),
        aiohttp.ClientSession(connector=connector, headers=headers, timeout=timeout) as session,
    ):
        await asyncio.gather(
            *(client(number) for number in range(CLIENTS)),
            *(killer(after_s, pids) for after_s, pids in victims.items()),
        )
    return told


def judge(market: Market, agent: str, told: Told, billed_before: int) -> None:
    """After the dust has settled: limit held, nothing lost, nothing held, runs for everything."""
    assert set(told.statuses) <= {200, 402, 502, 503}, told
    market.settled(within_s=60)
    lines = [line for line in market.oracle.bill()[billed_before:] if line["host"] == MISTRAL]
    bill = sum(line["amount_pico_usd"] for line in lines)
    assert bill <= LIMIT_PICO, "the provider billed more than the limit"
    attempts = market.oracle.attempts(f"shop/{agent}")
    for attempt in attempts:
        attempt.assert_right()
    charged = sum(attempt.cost_nano for attempt in attempts)
    assert charged * PICO_PER_NANO >= bill, "the ledger lost money"
    assert charged * PICO_PER_NANO <= LIMIT_PICO
    known = {attempt.request_id for attempt in attempts}
    stray = [line for line in lines if line["request_id"] not in known]
    nameless = [each for each in attempts if each.settlement == "full" and not each.request_id]
    assert len(stray) <= len(nameless), "a request was sent of which no run tells"
    recorded = {row[0] for row in market.oracle.query("SELECT run_id FROM inference_run")}
    assert set(told.runs) <= recorded, "a client knows of a run that the ledger does not"
    assert answered(told), told
    assert len(lines) >= told.statuses[200]


def both_ready(market: Market) -> bool:
    proxies = market.client().status()["proxies"]
    return len(proxies) == 2 and all(each["ready"] for each in proxies)


def served(market: Market) -> bool:
    """Whether a request is answered."""

    async def ask() -> int:
        headers = {"Authorization": f"Bearer {market.key('buyer')}"}
        body = {"model": "llama", "messages": [{"role": "user", "content": "Still there?"}]}
        async with (
            aiohttp.ClientSession(headers=headers) as session,
            session.post(f"{market.openai_url}/chat/completions", json=body) as answer,
        ):
            await answer.read()
            return answer.status

    return asyncio.run(ask()) == 200


def prove(market: Market, agent: str, victims: dict[float, list[str]]) -> None:
    before = market.pids()
    moments = {
        after_s: [pid for name in names if (pid := before[name])]
        for after_s, names in victims.items()
    }
    billed_before = len(market.oracle.bill())
    told = asyncio.run(load(market, agent, moments))

    def replaced() -> bool:
        now = market.pids()
        names = {name for each in victims.values() for name in each}
        return all(now[name] not in (None, before[name]) for name in names)

    eventually(replaced, limit_s=60, what=f"{victims} are started again")
    eventually(lambda: both_ready(market), limit_s=60, what="both proxies are ready")
    judge(market, agent, told, billed_before)
    assert served(market)


def test_a_proxy_killed_under_load_leaves_the_limit_and_the_ledger_whole(stage: Market) -> None:
    prove(stage, "writer-0", {0.7: ["proxy-0"]})


@pytest.mark.proof
@pytest.mark.parametrize("seed", range(1, 5))
def test_proxies_killed_at_random_moments(stage: Market, seed: int) -> None:
    chance = random.Random(seed)
    first, second = chance.sample(PROXIES, 2)
    victims = {chance.uniform(0.1, 1.0): [first]}
    if seed % 2:
        victims[chance.uniform(1.0, 2.0)] = [second]
    prove(stage, f"writer-{seed}", victims)


@pytest.mark.proof
def test_an_authority_killed_under_load_comes_back_and_nobody_noticed_more_than_a_pause(
    stage: Market,
) -> None:
    prove(stage, "writer-5", {0.8: ["authority"]})


@pytest.mark.proof
def test_everything_killed_at_once_starts_again_where_it_was(tmp_path: Path) -> None:
    with open_market(tmp_path, ["--proxies", "2"]) as first:
        pids = [pid for pid in first.pids().values() if pid]
        supervisor = first.running.process.pid
        told = asyncio.run(load(first, "writer-0", {1.0: [supervisor]}, first=answered))
        assert told.broken > 0
        eventually(
            lambda: not any(is_alive(pid) for pid in pids),
            limit_s=60,
            what="the children end with their supervisor",
        )
    with open_market(tmp_path, ["--proxies", "2"]) as second:
        judge(second, "writer-0", told, 0)
        assert served(second)
        again = asyncio.run(load(second, "writer-0", {}, enough=refused))
        assert set(again.statuses) <= {200, 402, 503}, again
        told.statuses += again.statuses
        told.runs += again.runs
        judge(second, "writer-0", told, 0)
        assert again.statuses[402] > 0, "what was left could not be spent"
