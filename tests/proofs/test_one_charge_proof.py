"""One request, one charge: clients repeat three requests in ten, beside the first, after it, or
having left it, at either proxy; settlements come twice, late and out of order. Nothing is billed
twice, and no key serves another request than its own.

Two proxies on two machines, PostgreSQL; the provider's bill, on disk before each answer ends, is
the judge.
"""

import asyncio
import contextlib
import random
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import msgspec
import pytest

from support.arena import BODY, FUNDED, Arena, client, named
from support.figures import sized, tell
from support.fleet import Fleet, Machine
from support.ledgers import AuthorityProcess
from support.oracle import PICO_PER_NANO, Oracle, eventually
from support.postgres import PostgresServer
from support.repeating_link import RepeatingLink
from support.snapshots import MISTRAL, key_of

REQUESTS = sized(5_000, 50_000)
CLIENTS = 32
REPEATED, REUSED = 0.30, 0.05
FAILS = 0.05
"""Of the provider's answers: an error status, which costs nothing and gives the key back."""

LIMIT_S = sized(1_200, 14_400)
AGENT = "repeater"


@dataclass
class Stage:
    arena: Arena
    links: list[RepeatingLink]

    def faults(self) -> Counter[str]:
        return sum((link.did for link in self.links), Counter())


@pytest.fixture(scope="module")
def stage(
    tmp_path_factory: pytest.TempPathFactory, postgres_server: PostgresServer
) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("charge")
    dsn = postgres_server.dsn(postgres_server.create_database())
    links: dict[str, RepeatingLink] = {}
    with ExitStack() as stack:

        def through(authority: AuthorityProcess) -> Any:
            name = authority.socket.name
            if name not in links:
                socket = authority.socket.with_suffix(".link")
                links[name] = RepeatingLink(authority.socket, socket, seed=len(links))
                stack.enter_context(links[name])
            return links[name].socket

        machines = (Machine(dsn), Machine(dsn))
        fleet = Fleet(folder, proxies=2, machines=machines, durable=True, way=through)
        with fleet:
            arena = Arena(fleet, Oracle(folder, dsn))
            arena.fund(**{AGENT: FUNDED, "short-form": FUNDED})
            fleet.simulator.behave({"host": MISTRAL, "status": 503, "probability": FAILS})
            yield Stage(arena, list(links.values()))


@dataclass(frozen=True)
class Heard:
    """One answer: of which run it is, or which run has the key."""

    status: int
    code: str = ""
    run_id: str = ""


@dataclass
class Repeater:
    """Clients of one agent: `served` are runs by key, `repetitions` counts what else was sent."""

    session: aiohttp.ClientSession
    urls: list[str]
    chance: random.Random
    served: dict[str, str] = field(default_factory=dict)
    repetitions: int = 0
    again: Counter[str] = field(default_factory=Counter)
    reused: Counter[str] = field(default_factory=Counter)

    async def request(self, number: int) -> None:
        """One request of a user, however often it is sent."""
        key, text = str(uuid.uuid4()), f"Name three rivers of Europe, for the {number}th time."
        body = BODY | {"messages": [{"role": "user", "content": text}]}
        drawn = self.chance.random()
        if drawn < REPEATED / 3:
            both = await asyncio.gather(self.until_known(key, body), self.until_known(key, body))
            self.count(both)
            first = both[0]
        elif drawn < REPEATED * 2 / 3:
            first = await self.until_known(key, body)
            second = await self.until_known(key, body)
            self.count([first, second])
        elif drawn < REPEATED:
            await self.leave(key, body)
            first = await self.until_known(key, body)
            self.again[str(first.status)] += 1
        else:
            first = await self.until_known(key, body)
            assert first.status == 200, first
        self.served[key] = first.run_id
        if self.chance.random() < REUSED:
            heard = await self.until_known(key, body | {"max_tokens": 7})
            assert heard.run_id == first.run_id
            self.reused[f"{heard.status} {heard.code}"] += 1

    def count(self, both: Any) -> None:
        """Of two that send one request, one is served; the other hears whose run it is."""
        assert sorted(each.status for each in both) == [200, 409], both
        assert len({each.run_id for each in both}) == 1, both
        self.again["409"] += 1
        self.repetitions += 1

    async def leave(self, key: str, body: dict[str, Any]) -> None:
        """Sends it, and does not stay for the answer."""
        self.repetitions += 1
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.chance.uniform(0, 0.05)):
                await self.ask(key, body)

    async def until_known(self, key: str, body: dict[str, Any]) -> Heard:
        """As a client does that repeats what may be repeated, until it is served or knows who is:
        a provider's failure, a ledger that is too slow to say, a run that is still under way."""
        pause_s = 0.02
        while True:
            heard = await self.ask(key, body)
            if heard.status in (200, 422) or heard.code == "idempotency_key_used":
                return heard
            passing = ("provider_failed", "store_unavailable", "idempotency_key_in_flight")
            assert heard.code in passing, heard
            self.repetitions += 1
            await asyncio.sleep(pause_s)
            pause_s = min(1.0, 2 * pause_s)

    async def ask(self, key: str, body: dict[str, Any]) -> Heard:
        url = f"{self.chance.choice(self.urls)}/v1/chat/completions"
        headers = {"Idempotency-Key": key}
        async with self.session.post(url, json=body, headers=headers) as answer:
            document = await answer.read()
        if answer.status == 200:
            return Heard(200, "", answer.headers["x-signalbox-run-id"])
        code = msgspec.json.decode(document)["error"]["code"]
        return Heard(answer.status, code, answer.headers.get("x-signalbox-earlier-run-id", ""))


async def repeat(arena: Arena, name: str, requests: int, seed: int) -> Repeater:
    numbers = iter(range(requests))
    async with asyncio.timeout(LIMIT_S), client(key_of(named(name))) as session:
        repeater = Repeater(session, arena.urls(), random.Random(seed))

        async def one() -> None:
            for number in numbers:
                await repeater.request(number)

        async with asyncio.TaskGroup() as clients:
            for _ in range(CLIENTS):
                clients.create_task(one())
    return repeater


def prove(stage: Stage, name: str, requests: int, seed: int) -> None:
    arena = stage.arena
    arena.newly_billed()
    began = time.monotonic()
    repeater = asyncio.run(repeat(arena, name, requests, seed))
    took_s = time.monotonic() - began
    billed = arena.newly_billed()
    runs = set(repeater.served.values())
    agent = named(name)

    def charged() -> set[str]:
        rows = arena.oracle.query(
            "SELECT a.run_id FROM attempt a JOIN inference_run r USING (run_id)"
            " WHERE r.agent = ? AND a.settlement IN ('usage', 'full')",
            agent,
        )
        return {str(run_id) for (run_id,) in rows}

    eventually(lambda: runs <= charged(), what="all runs are recorded")
    books = arena.oracle.books(agent)
    leaked = arena.leaked()
    faults = stage.faults()
    tell(
        f"one request, one charge ({requests})",
        overspend_nano=max(0, books.bill_pico // PICO_PER_NANO - FUNDED),
        ledger_under_bill_nano=max(0, books.bill_pico // PICO_PER_NANO - books.ledger_nano),
        leaked_holds=len(leaked),
        requests=requests,
        repetitions=repeater.repetitions,
        duplicate_charges=len(billed) - requests,
        reused_keys=repeater.reused.total(),
        settlements=faults["settlements"],
        settlements_repeated=faults["repeated"] + faults["answers lost"],
        settlements_out_of_order=faults["gave way"],
        seconds=round(took_s),
    )
    assert len(runs) == requests, "a run has the keys of two requests"
    assert charged() == runs, "a run was charged that nobody asked for"
    assert len(billed) == requests, "the provider billed a request twice"
    books.assert_equal()
    assert books.billed == requests
    assert set(repeater.reused) == {"422 idempotency_key_reused"}
    assert not leaked


def test_two_hundred_requests_that_are_repeated_are_charged_once_each(stage: Stage) -> None:
    prove(stage, "short-form", 200, seed=1)


@pytest.mark.proof
def test_thousands_of_requests_that_are_repeated_are_charged_once_each(stage: Stage) -> None:
    prove(stage, AGENT, REQUESTS, seed=2)
    faults = stage.faults()
    assert min(faults[each] for each in ("repeated", "gave way")) > 0, faults
