"""Many agents with a budget each, on a fleet of real processes: where money tests are fought out.

The judge is the provider's own bill. Each storm takes a fresh agent, so that what the bill grows by
while it rages is what was billed under that agent's budget.
"""

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import psycopg

from signalbox_snapshot.snapshot import Agent, Budget, Snapshot
from support.figures import sized
from support.fleet import Fleet, Machine
from support.oracle import PICO_PER_NANO, Books, Oracle, eventually
from support.snapshots import agent, budget, key_of, snapshot

BODY = {
    "model": "small",
    "max_tokens": 120,
    "messages": [
        {"role": "user", "content": "Name three rivers of Europe and the seas they run into."}
    ],
}
UNAVAILABLE = -503
"""Instead of 503 where the ledger did not answer."""

FUNDED = 10**12
"""Nano-USD of an agent that shall never hear of money."""


@dataclass
class Told:
    """What clients saw."""

    statuses: Counter[int] = field(default_factory=Counter)
    codes: Counter[str] = field(default_factory=Counter)
    runs: list[str] = field(default_factory=list, repr=False)
    broken: int = 0
    unavailable: list[tuple[float, float]] = field(default_factory=list, repr=False)
    refusals: list[dict[str, Any]] = field(default_factory=list, repr=False)
    slowest_refusal_s: float = 0.0

    @property
    def asked(self) -> int:
        return self.statuses.total() + self.broken


def named(name: str) -> str:
    return f"retail/{name}"


def agents_with_budgets(limits: dict[str, int], **changes: Any) -> tuple[list[Agent], list[Budget]]:
    """Agents, each with one lifetime budget of its own name."""
    agents = [agent(named(name), budgets=[named(name)]) for name in limits]
    budgets = [budget(named(name), limit, **changes) for name, limit in limits.items()]
    return agents, budgets


@dataclass
class Arena:
    """A fleet, its bill and its ledger; `limits` are the budgets by the name of their agent.

    One BODY holds `hold` nano-USD and costs `cost`.
    """

    fleet: Fleet
    oracle: Oracle
    limits: dict[str, int] = field(default_factory=dict)
    hold: int = 0
    cost: int = 0
    _billed: int = 0

    def fund(self, **limits: int) -> None:
        """Give agents their budgets; those that were funded before keep theirs."""
        self.limits |= {name.replace("_", "-"): limit for name, limit in limits.items()}
        self.push(*agents_with_budgets(self.limits))

    def push(self, agents: list[Agent], budgets: list[Budget]) -> Snapshot:
        given = snapshot(agents=agents, budgets=budgets)
        self.fleet.push(given)
        return given

    def urls(self) -> list[str]:
        return [proxy.url for proxy in self.fleet.proxies]

    def newly_billed(self) -> list[dict[str, Any]]:
        """Lines of the bill since the last call."""
        path = self.oracle.bill_path
        if not path.exists():
            return []
        with path.open("rb") as file:
            file.seek(self._billed)
            raw = file.read()
        whole = raw[: raw.rfind(b"\n") + 1]
        self._billed += len(whole)
        return [msgspec.json.decode(line) for line in whole.splitlines()]

    def measure(self, name: str = "probe") -> None:
        """Learn what one BODY holds and costs."""
        self.fund(**{name: FUNDED})
        told = asyncio.run(storm(self.urls(), key_of(named(name)), requests=60, clients=8))
        assert told.statuses[200] >= 30, told
        self.cost = bill_pico(self.newly_billed()) // told.statuses[200] // PICO_PER_NANO
        ((self.hold,),) = eventually(
            lambda: self.oracle.query(
                "SELECT a.bound_nano_usd FROM attempt a JOIN inference_run r USING (run_id)"
                " WHERE r.agent = ? LIMIT 1",
                named(name),
            ),
            what="a recorded attempt",
        )

    def books(self, name: str, *, runs: int, within_s: float = 60.0) -> Books:
        """The books of one agent once `runs` of its runs are recorded."""
        agent_id = named(name)

        def recorded() -> bool:
            (row,) = self.oracle.query(
                "SELECT COUNT(*) FROM inference_run WHERE agent = ?", agent_id
            )
            return bool(row[0] >= runs)

        eventually(recorded, limit_s=within_s, what=f"{runs} runs of {name} are recorded")
        return self.oracle.books(agent_id)

    def held(self) -> dict[str, int]:
        """What slices hold that was not spent, by budget, where that is anything."""
        rows = self.oracle.query(
            "SELECT budget, SUM(amount - spent) FROM slice WHERE amount > spent GROUP BY budget"
        )
        return {budget: int(amount) for budget, amount in rows}

    def leaked(self, *, within_s: float = 60.0) -> dict[str, int]:
        """What is held still when `within_s` have passed since the last request; nothing, at
        once, where all came back before.

        Slices that lie idle stay with their proxies for a while. They are no holds: all are
        recalled, and what does not come back is held.
        """
        deadline = time.monotonic() + within_s
        while held := self.held():
            if time.monotonic() > deadline:
                return held
            self.recall()
            time.sleep(0.5)
        return {}

    def recall(self) -> None:
        """Every proxy learns that all its slices are wanted."""
        with psycopg.connect(self.oracle.dsn) as connection:
            connection.execute("UPDATE slice SET wanted = 1 WHERE wanted = 0")

    def shortages(self, name: str) -> list[dict[str, Any]]:
        """What the authority said at each refusal for lack of money."""
        rows = self.oracle.query(
            "SELECT decision FROM inference_run WHERE agent = ? AND refusal = 'budget_exhausted'",
            named(name),
        )
        return [msgspec.json.decode(decision)["shortage"] for (decision,) in rows]


@contextmanager
def open_arena(
    folder: Path,
    dsn: str,
    *,
    machines: Sequence[Machine] = (),
    proxies: int = 3,
    options: tuple[str, ...] = (),
    hurried: bool = True,
) -> Iterator[Arena]:
    """A fleet on the PostgreSQL database `dsn`: two machines that reach it at the same address,
    or `machines` of the test's own making. For `hurried` see `Fleet`."""
    machines = machines or (Machine(dsn), Machine(dsn))
    with Fleet(
        folder,
        proxies=proxies,
        machines=machines,
        durable=True,
        options=options,
        hurried=hurried,
    ) as fleet:
        arena = Arena(fleet, Oracle(folder, dsn))
        arena.measure()
        yield arena


@dataclass
class _Storm:
    """The clients of one storm; see `storm`."""

    session: aiohttp.ClientSession
    proxies: Iterator[str]
    body: dict[str, Any]
    patient: bool
    told: Told

    async def ask(self) -> int:
        status = await self.ask_now()
        while self.patient and status == UNAVAILABLE:
            self.told.statuses[503] -= 1
            self.told.codes["store_unavailable"] -= 1
            await asyncio.sleep(0.1)
            status = await self.ask_now()
        return status

    async def ask_now(self) -> int:
        began = time.monotonic()
        url = f"{next(self.proxies)}/v1/chat/completions"
        try:
            async with self.session.post(url, json=self.body) as answer:
                document = await answer.read()
        except (aiohttp.ClientError, OSError):
            self.told.broken += 1
            return 0
        self.told.statuses[answer.status] += 1
        if run_id := answer.headers.get("x-signalbox-run-id"):
            self.told.runs.append(run_id)
        if answer.status < 400:
            return answer.status
        return self.refused(answer.status, document, (began, time.monotonic()))

    def refused(self, status: int, document: bytes, between: tuple[float, float]) -> int:
        error = msgspec.json.decode(document)["error"]
        self.told.codes[error["code"]] += 1
        self.told.refusals.append(error)
        began, ended = between
        self.told.slowest_refusal_s = max(self.told.slowest_refusal_s, ended - began)
        if error["code"] != "store_unavailable":
            return status
        self.told.unavailable.append(between)
        return UNAVAILABLE


async def storm(
    urls: Sequence[str],
    key: str,
    *,
    requests: int,
    clients: int = 64,
    burst: int = 1,
    body: dict[str, Any] | None = None,
    stop: Callable[[Told], bool] = lambda _: False,
    patient: bool = False,
) -> Told:
    """`requests` requests: first `burst` at the same instant, then `clients` without a pause.

    Each client goes from proxy to proxy. A 503 is waited out for a moment, a connection that
    breaks is counted; neither is asked again. `patient` clients do ask again, as SDKs do, where the
    ledger is too slow to say whether there is money: `unavailable` tells how often, and when.
    """
    told = Told()
    numbers = iter(range(requests))
    start = asyncio.Barrier(burst)

    async def first(asking: _Storm) -> None:
        await start.wait()
        await asking.ask()

    async def again(asking: _Storm) -> None:
        for _ in numbers:
            if await asking.ask() in (0, 502, 503, UNAVAILABLE):
                await asyncio.sleep(0.05)
            if stop(told):
                return

    async with asyncio.timeout(sized(240, 7_200)), client(key) as session:
        asking = _Storm(session, itertools.cycle(urls), body or BODY, patient, told)
        firsts = [first(asking) for _ in itertools.islice(numbers, burst)]
        assert len(firsts) == burst
        await asyncio.gather(*firsts)
        await asyncio.gather(*(again(asking) for _ in range(clients)))
    return told


@dataclass(frozen=True)
class Answer:
    """One request's end: 0 where the connection broke; `code` and `retry_after` of a refusal."""

    status: int
    seconds: float
    code: str = ""
    retry_after: str = ""


async def ask_once(session: aiohttp.ClientSession, url: str) -> Answer:
    """One BODY to one proxy."""
    began = time.monotonic()
    try:
        async with session.post(f"{url}/v1/chat/completions", json=BODY) as answer:
            document = await answer.read()
    except (aiohttp.ClientError, OSError):
        return Answer(0, time.monotonic() - began)
    seconds = time.monotonic() - began
    if answer.status < 400:
        return Answer(answer.status, seconds)
    error = msgspec.json.decode(document)["error"]
    return Answer(answer.status, seconds, error["code"], answer.headers.get("Retry-After", ""))


async def trickle(
    urls: Sequence[str],
    key: str,
    *,
    rate: float,
    seconds: float,
    stop: Callable[[list[Answer]], bool] = lambda _: False,
) -> list[Answer]:
    """`rate` requests a second for so long, or until `stop`, to the proxies in turn."""
    answers: list[Answer] = []
    proxies = itertools.cycle(urls)
    began = time.monotonic()

    async def one(session: aiohttp.ClientSession) -> None:
        answers.append(await ask_once(session, next(proxies)))

    async with (
        client(key) as session,
        asyncio.TaskGroup() as asking,
    ):
        for number in itertools.count():
            due = began + number / rate
            if due > began + seconds or stop(answers):
                break
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            asking.create_task(one(session))
    return answers


def client(key: str) -> aiohttp.ClientSession:
    """A session of one agent, with as many connections as it wants."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0),
        headers={"Authorization": f"Bearer {key}"},
        timeout=aiohttp.ClientTimeout(total=60),
    )


def refused_for_money(told: Told) -> bool:
    """What was left is spent: so many heard it that nothing has come back since."""
    return told.codes["budget_exhausted"] >= 100


def bill_pico(lines: Sequence[dict[str, Any]]) -> int:
    return sum(line["amount_pico_usd"] for line in lines)


def bursts() -> Iterator[int]:
    """Sizes of the bursts that repeats begin with."""
    return itertools.cycle((1, 20, 200))
