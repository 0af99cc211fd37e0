"""kill -9 of proxies, authorities and PostgreSQL under load, at moments that a seed decides."""

import asyncio
import random
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from support.arena import Arena, Told, bill_pico, named, storm
from support.oracle import PICO_PER_NANO, eventually
from support.postgres import PostgresServer
from support.snapshots import key_of

CLIENTS = 16
STEADY_S = 0.5
ORDER = ("postgresql", "authority", "proxy")
"""In which the dead are started again."""


@dataclass(frozen=True)
class Kill:
    """So long after the load began this victim dies: proxy-N, authority-N, or postgresql."""

    after_s: float
    victim: str

    def __str__(self) -> str:
        return f"{self.victim} at {self.after_s:.3f} s"


def schedule(seed: int, *, proxies: int, authorities: int) -> list[Kill]:
    """One proxy and the database, in any order or together; now and then an authority."""
    chance = random.Random(seed)
    kills = [
        Kill(chance.uniform(0.1, 1.5), f"proxy-{chance.randrange(proxies)}"),
        Kill(chance.uniform(0.1, 1.5), "postgresql"),
    ]
    if chance.random() < 0.25:
        kills.append(Kill(chance.uniform(0.1, 1.5), f"authority-{chance.randrange(authorities)}"))
    return sorted(kills, key=lambda kill: kill.after_s)


@dataclass
class Killer:
    """Kills, and brings back as a supervisor does."""

    arena: Arena
    server: PostgresServer
    killed: list[str] = field(default_factory=list)

    def kill(self, victim: str) -> None:
        self.killed.append(victim)
        name, _, number = victim.partition("-")
        if name == "postgresql":
            self.server.kill()
        elif name == "authority":
            self.arena.fleet.authorities[int(number)].kill()
        else:
            self.arena.fleet.proxies[int(number)].kill()

    def revive(self, victims: Sequence[str]) -> None:
        """The database first, and proxies last: their journals want an authority."""
        for victim in sorted(victims, key=lambda each: ORDER.index(each.partition("-")[0])):
            name, _, number = victim.partition("-")
            if name == "postgresql":
                self.server.start()
            elif name == "authority":
                self.arena.fleet.authorities[int(number)].start()
            else:
                self.arena.fleet.revive(self.arena.fleet.proxies[int(number)])


def fight_through(
    killer: Killer, names: Sequence[str], kills: Sequence[Kill], *, clients: int = CLIENTS
) -> list[Told]:
    """Load on each of these agents while `kills` happen and until a moment after all are back.

    The load is in a thread, killing and starting is not: a process ends with the thread that
    started it.
    """
    arena = killer.arena
    over = threading.Event()

    async def load() -> list[Told]:
        each = [
            storm(
                arena.urls(),
                key_of(named(name)),
                requests=10**6,
                clients=clients,
                stop=lambda _: over.is_set(),
            )
            for name in names
        ]
        return await asyncio.gather(*each)

    with ThreadPoolExecutor(1) as thread:
        told = thread.submit(lambda: asyncio.run(load()))
        began = time.monotonic()
        try:
            for kill in kills:
                time.sleep(max(0.0, began + kill.after_s - time.monotonic()))
                killer.kill(kill.victim)
            killer.revive([kill.victim for kill in kills])
            time.sleep(STEADY_S)
        finally:
            over.set()
        return told.result(timeout=60)


@dataclass
class Judged:
    """One agent's money after kills, in pico-USD, and what is wrong with it."""

    bill: int
    limit: int
    charged: int
    lost_runs: int


def judge(arena: Arena, name: str, told: Told, lines: Sequence[dict[str, object]]) -> Judged:
    """Limit held, no run lost, nothing sent of which no run tells; raises where that is not so."""
    assert set(told.statuses) <= {200, 402, 502, 503}, told
    bill = bill_pico(lines)
    limit = arena.limits[name] * PICO_PER_NANO
    ids = set(told.runs)

    def recorded() -> set[str]:
        rows = arena.oracle.query("SELECT run_id FROM inference_run WHERE agent = ?", named(name))
        return {str(row[0]) for row in rows}

    eventually(lambda: ids <= recorded(), limit_s=60, what=f"all runs of {name} are recorded")
    attempts = arena.oracle.attempts(named(name))
    for attempt in attempts:
        attempt.assert_right()
    charged = sum(attempt.cost_nano for attempt in attempts) * PICO_PER_NANO
    known = {attempt.request_id for attempt in attempts}
    stray = [line for line in lines if line["request_id"] not in known]
    nameless = [each for each in attempts if each.settlement == "full" and not each.request_id]
    assert len(stray) <= len(nameless), "a request was sent of which no run tells"
    return Judged(bill, limit, charged, len(ids - recorded()))
