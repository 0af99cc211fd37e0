"""Two machines on one database: what one of them learns about keys and revocations, both obey."""

import asyncio
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest

from signalbox_simulator.process import SimulatorProcess
from support.fleet import Fleet, Machine, eventually
from support.snapshots import agent, key_of, snapshot

CHAT = "/v1/chat/completions"
BODY = {"model": "mini", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 20}


@pytest.fixture
def machines(tmp_path: Path, simulator: SimulatorProcess, postgres_dsn: str) -> Iterator[Fleet]:
    both = (Machine(postgres_dsn), Machine(postgres_dsn))
    with Fleet(tmp_path, proxies=2, simulator=simulator, machines=both) as fleet:
        fleet.push(snapshot())
        yield fleet


async def status(
    http: aiohttp.ClientSession, url: str, agent_id: str, key: str | None = None
) -> int:
    headers = {"authorization": f"Bearer {key_of(agent_id)}"}
    headers |= {} if key is None else {"Idempotency-Key": key}
    async with http.post(url + CHAT, json=BODY, headers=headers) as answer:
        await answer.read()
        return answer.status


async def served_or_refused(
    http: aiohttp.ClientSession, url: str, agent_id: str, key: str | None = None
) -> int:
    """As a client that tries again while the database is too slow to say."""
    deadline = time.monotonic() + 60
    while (found := await status(http, url, agent_id, key)) == 503:
        assert time.monotonic() < deadline
    return found


async def test_of_two_machines_that_race_for_a_key_one_dispatches(
    machines: Fleet, http: aiohttp.ClientSession
) -> None:
    seen, gate = machines.simulator.seen(), asyncio.Semaphore(16)

    async def race(key: str) -> list[int]:
        async with gate:
            return await asyncio.gather(
                *(
                    served_or_refused(http, proxy.url, "retail/support", key)
                    for proxy in machines.proxies
                )
            )

    raced = await asyncio.gather(*(race(str(uuid.uuid4())) for _ in range(200)))
    assert all(sorted(statuses) == [200, 409] for statuses in raced)
    assert machines.simulator.seen() == seen + 200


async def test_a_revocation_that_one_machine_got_stops_the_other(
    machines: Fleet, http: aiohttp.ClientSession
) -> None:
    told, cut_off = machines.proxies
    assert await served_or_refused(http, cut_off.url, "retail/support") == 200
    sealed = machines.seal(snapshot(agents=[agent("wealth/advisor")]), 2, min_generation=2)
    deadline = time.monotonic() + 60
    assert machines.put(told, sealed)[0] == 200
    while machines.control(cut_off, "GET", "status")[1]["ready"]:
        assert await status(http, cut_off.url, "retail/support") in (200, 503)
        assert time.monotonic() < deadline
    assert await status(http, cut_off.url, "wealth/advisor") == 503
    assert machines.put(cut_off, sealed)[0] == 200
    assert await status(http, cut_off.url, "retail/support") == 401
    assert eventually(lambda: machines.control(cut_off, "GET", "status")[1]["ready"])
