"""Every proxy of a fleet on PostgreSQL is replaced while 200 streams are open: none fails, nothing
stays held, and each has ended before the grace that the chart gives it.

Three machines, each with an authority and a proxy, are replaced one by one as a Deployment does it:
the new one first, which finds its snapshot at its peers; then SIGTERM to the old one. What stands
for the Service (`support.balancer`) asks nothing but readiness.
"""

import asyncio
import signal
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import aiohttp
import pytest

from support.arena import FUNDED, Arena, client, named, open_arena
from support.balancer import Balancer
from support.figures import tell
from support.fleet import Machine, ProxyProcess
from support.oracle import eventually
from support.postgres import PostgresServer
from support.snapshots import key_of

PROXIES = 3
UNREADY_S, DRAIN_S = 2, 60
GRACE_S = UNREADY_S + DRAIN_S + 30
"""As `terminationGracePeriodSeconds` of the chart."""

STORY = {
    "model": "small",
    "max_tokens": 120,
    "stream": True,
    "messages": [{"role": "user", "content": "[[chunk 400]] [[tokens 80]] Tell a story."}],
}


@dataclass
class Streams:
    """Clients that open a stream, read it to its end, and open the next."""

    url: str
    key: str
    open: int = 0
    done: int = 0
    failures: list[str] = field(default_factory=list)
    over: bool = False

    async def keep_open(self, count: int) -> None:
        """`count` at a time, until it is over; those that are open then are read to their end."""
        async with client(self.key) as http:
            await asyncio.gather(*(self._one_after_the_other(http) for _ in range(count)))

    async def until_open(self, count: int) -> None:
        async with asyncio.timeout(120):
            while self.open < count:
                await asyncio.sleep(0.05)

    async def _one_after_the_other(self, http: aiohttp.ClientSession) -> None:
        while not self.over:
            try:
                failure = await self._one(http)
            except (aiohttp.ClientError, OSError, TimeoutError) as error:
                failure = repr(error)
            if failure:
                self.failures.append(failure)
            else:
                self.done += 1

    async def _one(self, http: aiohttp.ClientSession) -> str:
        """Why it failed; empty where it did not."""
        async with http.post(f"{self.url}/v1/chat/completions", json=STORY) as answer:
            if answer.status != 200:
                return f"{answer.status} {await answer.text()}"
            self.open += 1
            try:
                text = (await answer.read()).decode()
            finally:
                self.open -= 1
        return "" if text.endswith("data: [DONE]\n\n") else f"ended with {text[-300:]}"


@pytest.fixture(scope="module")
def arena(
    tmp_path_factory: pytest.TempPathFactory, postgres_server: PostgresServer
) -> Iterator[Arena]:
    dsn = postgres_server.dsn(postgres_server.create_database())
    options = ("--unready-seconds", str(UNREADY_S), "--drain-seconds", str(DRAIN_S))
    with open_arena(
        tmp_path_factory.mktemp("rolling"),
        dsn,
        machines=[Machine(dsn)] * (2 * PROXIES),
        proxies=PROXIES,
        options=options,
        hurried=False,
    ) as opened:
        yield opened


async def replaced(arena: Arena, balancer: Balancer, old: ProxyProcess) -> tuple[int, float]:
    """Another proxy takes its place; exit code, and seconds from SIGTERM to its end."""
    fleet = arena.fleet
    peers = tuple(proxy.control_url for proxy in fleet.proxies if proxy.process.poll() is None)
    new = await asyncio.to_thread(fleet.add_proxy, peers=peers)
    balancer.add(new)
    await balancer.until_ready(new)
    began = time.monotonic()
    old.process.send_signal(signal.SIGTERM)
    code = await asyncio.to_thread(old.stop, within_s=GRACE_S)
    took_s = time.monotonic() - began
    balancer.forget(old)
    fleet.authority_of(old).stop()
    return code, took_s


async def restart_all(arena: Arena, streams: int, key: str) -> tuple[Streams, list[float]]:
    """All proxies, one by one, under so many streams; seconds that each took to end."""
    ends = []
    async with Balancer() as balancer:
        olds = [proxy for proxy in arena.fleet.proxies if proxy.process.poll() is None]
        for proxy in olds:
            balancer.add(proxy)
            await balancer.until_ready(proxy)
        clients = Streams(balancer.url, key)
        async with asyncio.TaskGroup() as running:
            running.create_task(clients.keep_open(streams))
            for old in olds:
                await clients.until_open(streams)
                code, took_s = await replaced(arena, balancer, old)
                assert code == 0, old.log.read_text()[-3000:]
                ends.append(took_s)
            clients.over = True
    return clients, ends


def outcomes(arena: Arena, agent: str) -> Counter[str]:
    rows = arena.oracle.query(
        "SELECT outcome, COUNT(*) FROM inference_run WHERE agent = ? GROUP BY outcome", agent
    )
    return Counter({str(outcome): int(count) for outcome, count in rows})


@pytest.mark.proof
def test_of_200_streams_none_fails_while_every_proxy_is_replaced(arena: Arena) -> None:
    arena.fund(storyteller=FUNDED)
    storyteller = named("storyteller")
    clients, ends = asyncio.run(restart_all(arena, 200, key_of(storyteller)))
    leaked = arena.leaked()
    eventually(
        lambda: outcomes(arena, storyteller).total() >= clients.done, what="all runs are recorded"
    )
    tell(
        "rolling restart",
        leaked_holds=len(leaked),
        streams=clients.done,
        failed_streams=len(clients.failures),
        slowest_exit_s=round(max(ends), 1),
    )
    assert clients.failures == []
    assert clients.done >= 200
    assert not leaked
    assert outcomes(arena, storyteller) == {"answered": clients.done}
    arena.oracle.books(storyteller).assert_equal()
