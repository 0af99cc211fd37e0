"""A fleet whose database can go in every way that a network and a machine know, and come back."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from support.arena import Answer, Arena, ask_once, bill_pico, client, named, open_arena, trickle
from support.faulty_link import FaultyLink
from support.figures import tell
from support.fleet import Machine
from support.oracle import PICO_PER_NANO, Books, Oracle, eventually
from support.postgres import PostgresServer, require_postgres
from support.snapshots import key_of

HOLDS = 3_000
"""Of a budget: a slice, a hundredth of it, covers thirty."""

REFUSED_WITHIN_MS = 250
"""Nine of ten refusals: a machine that stalls for a moment makes clients of all proxies wait."""

SERVED_AT_LEAST = 10
"""From slices, at thirty requests a second."""

TRIES = 4
"""On a busy machine an outage is suffered again: then proxies had no slices, or no processor."""

ENDS = (
    *("down", "reset", "blackholed", "five-seconds-late", "a-slow-drip", "cut-mid-reply"),
    *("half-written-reply", "killed", "stopped", "frozen"),
)
"""How the database goes."""


@dataclass
class Outages:
    """A PostgreSQL server of its own, the link to it, and the fleet behind that."""

    server: PostgresServer
    link: FaultyLink
    arena: Arena

    def ways(self) -> dict[str, tuple[Callable[[], None], Callable[[], None]]]:
        """For each of ENDS, how it begins and how it is over."""
        link, server = self.link, self.server
        return {
            "down": (lambda: link.set(down=True), link.heal),
            "reset": (lambda: link.set(reset=True), link.heal),
            "blackholed": (lambda: link.set(silent=True), link.heal),
            "five-seconds-late": (lambda: link.set(latency_s=5.0), link.heal),
            "a-slow-drip": (lambda: link.set(slice_bytes=1, slice_pause_s=0.5), link.heal),
            "cut-mid-reply": (lambda: link.cut_reply(3, every=True), link.heal),
            "half-written-reply": (lambda: link.half_reply(3, every=True), link.heal),
            "killed": (server.kill, server.start),
            "stopped": (lambda: server.stop("immediate"), server.start),
            "frozen": (server.freeze, server.thaw),
        }

    def ask(self, name: str, *, rate: float, seconds: float) -> list[Answer]:
        """At a steady rate, until the last answers of every proxy are refusals."""
        proxies = self.arena.urls()

        def used_up(answers: list[Answer]) -> bool:
            last = answers[-2 * len(proxies) :]
            return len(last) == 2 * len(proxies) and all(each.status == 503 for each in last)

        return asyncio.run(
            trickle(proxies, key_of(named(name)), rate=rate, seconds=seconds, stop=used_up)
        )

    def serves_again(self, name: str, *, within_s: float = 60.0) -> None:
        async def served() -> bool:
            async with client(key_of(named(name))) as session:
                found = [await ask_once(session, url) for url in self.arena.urls()]
            return all(each.status == 200 for each in found)

        eventually(lambda: asyncio.run(served()), limit_s=within_s, what="all proxies serve again")

    def suffer(self, name: str) -> dict[str, int]:
        """One outage from its begin to its end: from slices first, then 503 at once, then as
        before. What was seen."""
        for _ in range(TRIES):
            seen = self._suffer(name)
            served, refusal_ms = seen["served"], seen["refusal_ms"]
            if served >= SERVED_AT_LEAST and refusal_ms <= REFUSED_WITHIN_MS:
                break
        assert served >= SERVED_AT_LEAST, seen
        assert refusal_ms <= REFUSED_WITHIN_MS, seen
        return seen

    def _suffer(self, name: str) -> dict[str, int]:
        begin, end = self.ways()[name]
        before = self.ask(name, rate=30, seconds=2)
        assert {each.status for each in before} <= {200, 503}, before
        self.arena.newly_billed()
        begin()
        try:
            during = self.ask(name, rate=30, seconds=60)
        finally:
            end()
        bill = bill_pico(self.arena.newly_billed())
        refused = [each for each in during if each.status != 200]
        self.serves_again(name)
        assert {each.status for each in during} <= {200, 503}, refused
        assert {each.code for each in refused} == {"store_unavailable"}
        assert all(each.retry_after for each in refused)
        assert bill <= self.arena.limits[name] * PICO_PER_NANO // 30, "slices held less than that"
        took_ms = sorted(round(each.seconds * 1000) for each in refused)
        return {
            "served": len(during) - len(refused),
            "refused": len(refused),
            "refusal_ms": took_ms[len(took_ms) * 9 // 10 - 1],
            "slowest_refusal_ms": took_ms[-1],
        }

    def _covered(self, name: str) -> Books | None:
        books = self.arena.oracle.books(named(name))
        return books if books.ledger_nano * PICO_PER_NANO >= books.bill_pico else None

    def judge(self, name: str, *, leaked: int = 0, **seen: float) -> None:
        """The ledger is the bill, once everything has come to rest."""
        books: Books = eventually(lambda: self._covered(name), what=f"all of {name} is recorded")
        limit = self.arena.limits[name] * PICO_PER_NANO
        tell(
            f"outage, {name}",
            overspend_nano=max(0, books.bill_pico - limit) // PICO_PER_NANO,
            ledger_under_bill_nano=max(0, books.bill_pico // PICO_PER_NANO - books.ledger_nano),
            leaked_holds=leaked,
            **seen,
        )
        books.assert_equal()
        assert books.bill_pico <= limit


@contextmanager
def open_outages(folder: Path) -> Iterator[Outages]:
    require_postgres()
    with PostgresServer(folder) as server, FaultyLink(server.port) as link:
        name = server.create_database()
        through = Machine(server.dsn(name, port=link.port))
        with open_arena(folder, through.dsn, machines=(through, through)) as arena:
            arena.oracle = Oracle(folder, server.dsn(name))
            arena.fund(**dict.fromkeys(ENDS, HOLDS * arena.hold))
            yield Outages(server, link, arena)
