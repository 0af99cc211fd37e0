"""A process dies at each durable write, before it and after: nothing is lost or stays held.

On the proxy's side at every call that changes its journal, in life and in recovery; on the
authority's at every commit.
"""

import asyncio
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import msgspec
import pytest

from signalbox_ledger import status
from signalbox_ledger.client import ProxyLedger
from signalbox_ledger.desk_protocol import AnyReply
from signalbox_ledger.journal import RECORD, frame_run
from signalbox_ledger.opening import open_database
from signalbox_ledger.protocol import (
    Configure,
    Draw,
    DrawItem,
    Fence,
    Finish,
    Hello,
    PostLoss,
    Refused,
    Request,
    Return,
    ReturnItem,
    Settle,
)
from signalbox_ledger.records import HoldPart
from signalbox_ledger.recovery import recover_all
from signalbox_ledger.service import Service
from signalbox_ledger.session import Session
from signalbox_ledger.store import Store
from support.crashing import BILLED, BOUND, SIDES
from support.figures import tell
from support.ledgers import AuthorityProcess, budget, run_of

POINTS = 120
LIMIT = 100_000
NOW_MS = 1_700_000_000_000


async def configure(authority: AuthorityProcess, folder: Path, names: list[str]) -> None:
    lead = await ProxyLedger.open(name="lead", socket=authority.socket, journal_dir=folder / "lead")
    await lead.configure(1, [budget(f"ns/{name}", LIMIT) for name in names])
    await lead.close()


def dead_at(authority: AuthorityProcess, folder: Path, what: str) -> dict[str, tuple[str, str]]:
    """Every point that a process died at: side and call, by name."""
    names = [f"{what}-{side}-{number}" for side in SIDES for number in range(1, POINTS)]
    asyncio.run(configure(authority, folder, names))
    ran = subprocess.run(
        [sys.executable, "-m", "support.crashing", authority.socket, folder, what],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        stdout=subprocess.PIPE,
        text=True,
        timeout=280,
        check=True,
    )
    lines = [line.split(" ", 2) for line in ran.stdout.splitlines()]
    return {name: (side, call) for name, side, call in lines}


async def judge(authority: AuthorityProcess, folder: Path, names: list[str]) -> tuple[int, int]:
    """Recover all; give how many runs were billed and how many of them are unknown."""
    recovered = await recover_all(authority.socket, [folder / name for name in names])
    assert [one.problem for one in recovered if one.problem] == []
    assert await recover_all(authority.socket, [folder / name for name in names]) == []
    found = {one.budget: one for one in (await status.fetch(authority.socket)).budgets}
    reader = await ProxyLedger.open(
        name="reader", socket=authority.socket, journal_dir=folder / "reader"
    )
    billed = unknown = 0
    for name in names:
        path = folder / f"{name}.bill"
        bill = dict(line.split() for line in path.read_text().splitlines()) if path.exists() else {}
        cost = 0
        for run_id, amount in bill.items():
            run = await reader.find_run(run_id)
            assert run is not None, f"{name} lost {run_id}"
            assert run.cost_nano in (int(amount), BOUND)
            assert (run.cost_nano == BOUND) == (run.outcome == "unknown"), msgspec.to_builtins(run)
            unknown += run.outcome == "unknown"
            cost += run.cost_nano
        figures = found[f"ns/{name}"].figures
        assert figures.held == 0, f"{name} leaves {figures.held} held"
        # What was about to leave and was not billed yet is charged too: at most one call.
        assert cost <= figures.settled <= cost + BOUND, f"{name}: {figures}"
        assert len(bill) * BILLED <= figures.settled <= LIMIT
        assert not (folder / name).exists() or list((folder / name).iterdir()) == []
        billed += len(bill)
    await reader.close()
    return billed, unknown


@pytest.mark.parametrize("what", ["proxy", "recovery"])
def test_a_process_that_dies_at_any_write_of_its_journal_loses_no_run_and_leaks_nothing(
    authority: AuthorityProcess, folder: Path, what: str
) -> None:
    points = dead_at(authority, folder, what)
    names = [*points, *(f"{what}-{side}-{_count(points, side) + 1}" for side in SIDES)]
    billed, unknown = asyncio.run(judge(authority, folder, names))
    calls = Counter(points.values())
    for (side, call), times in sorted(calls.items()):
        print(f"{what:<9} {side:<6} {call:<24} x{times}")
    hit = {call.split()[0] for _, call in calls}
    expected = {"proxy": {"mkdir", "open", "posix_fallocate", "pwrite", "unlink"}}
    assert hit >= expected.get(what, {"open", "truncate", "write", "unlink"})
    for side in SIDES:  # how often depends on when the journal is flushed
        assert hit == {call.split()[0] for found, call in points.values() if found == side}
    assert billed > 0
    assert unknown > 0
    tell(f"crash points of a {what}", crash_points=len(points), leaked_holds=0)


HOLDERS = ("p-1", "p-2", "p-3")


class DiedError(Exception):
    """The authority's process ended."""


class DyingAuthority:
    """Answers as the authority does, a commit for each request, and dies at one of them."""

    def __init__(self, open_store: Callable[[], Store], *, at: int = 0, side: str = "") -> None:
        self._open = open_store
        self._left = at
        self._side = side
        self._sessions: dict[str, Session] = {}
        self._fenced: list[Fence] = []
        self.store = open_store()

    def ask(self, who: str, request: Request) -> AnyReply:
        """Ask until answered, as clients do: what was asked before it died is asked again."""
        while True:
            try:
                return self._ask(who, request)
            except DiedError:
                self.store.close()
                self.store = self._open()
                self._sessions.clear()
                if request == Finish(who):  # its process ends all the same, and is recovered
                    self._fenced.append(Fence(who))
                    who = "saviour"
                if not isinstance(request, Hello):
                    self._ask(who, Hello(who, who))
                for fence in self._fenced:
                    self._ask(who, fence)

    def _ask(self, who: str, request: Request) -> AnyReply:
        session = self._sessions.setdefault(who, Session(generation=1))
        with self.store.transaction():
            reply = Service(self.store).answer(session, request, NOW_MS)
            self._left -= 1
            if self._left == 0 and self._side == "before":
                raise DiedError
        if self._left == 0:
            raise DiedError
        assert not isinstance(reply, Refused), reply
        if isinstance(request, Fence) and request not in self._fenced:
            self._fenced.append(request)
        return reply


@dataclass
class Holder:
    holder_id: str

    def now_ms(self) -> int:
        return NOW_MS


def journal_of(holder: str, run_id: str, slice_id: str) -> bytes:
    part = HoldPart(slice_id=slice_id, budget="ns/day", subject="", amount=100, spent=BILLED)
    return frame_run(RECORD, run_of(Holder(holder), run_id, (part,)))


def requests() -> list[tuple[str, Request]]:
    """Every kind of request that changes money, by who asks."""
    spec = budget(limit=LIMIT)

    def draw(slice_id: str) -> Draw:
        return Draw([DrawItem(slice_id, "ns/day", "", [100], 0, 0, spec.basis)])

    first, second, third = HOLDERS
    data = journal_of(first, "r1", "s1")
    left = journal_of(second, "r2", "s3")
    return [
        (first, Hello(first, first)),
        (first, Configure(1, [spec])),
        (first, draw("s1")),
        (first, draw("s2")),
        (first, Settle(first, 0, data)),
        (first, Return([ReturnItem("s2", 40, close=False)])),
        (first, Return([ReturnItem("s1", BILLED, close=True), ReturnItem("s2", 0, close=True)])),
        (first, Finish(first)),
        (second, Hello(second, second)),
        (second, draw("s3")),
        ("saviour", Hello("saviour", "saviour")),
        ("saviour", Fence(second)),
        ("saviour", Settle(second, 0, left)),
        ("saviour", Finish(second)),
        (third, Hello(third, third)),
        (third, draw("s4")),
        ("saviour", PostLoss(third)),
    ]


def ends_as(open_store: Callable[[], Store], *, at: int = 0, side: str = "") -> dict[str, object]:
    authority = DyingAuthority(open_store, at=at, side=side)
    for who, request in requests():
        authority.ask(who, request)
    with authority.store.transaction():
        query = authority.store.database.query
        return {
            "accounts": query("SELECT granted, enforced, overrun FROM account"),
            "slices": query("SELECT id FROM slice"),
            "holders": query("SELECT id, fenced FROM holder WHERE id <> 'saviour' ORDER BY id"),
            "journals": query("SELECT holder, journal_offset FROM settled_journal ORDER BY holder"),
            "runs": query("SELECT run_id, cost_nano_usd FROM inference_run ORDER BY run_id"),
            "losses": query("SELECT slice_id, amount FROM slice_loss"),
        }


def test_an_authority_that_dies_at_any_commit_ends_where_it_would_have_ended(
    tmp_path: Path,
) -> None:
    def opening(name: str) -> Callable[[], Store]:
        return partial(Store, partial(open_database, tmp_path / f"{name}.db"))

    alive = ends_as(opening("alive"))
    assert alive["accounts"] == [(2 * BILLED + 100, LIMIT, 0)]
    assert (alive["slices"], alive["losses"]) == ([], [("s4", 100)])
    points = [(at, side) for at in range(1, len(requests()) + 1) for side in SIDES]
    for at, side in points:
        found = ends_as(opening(f"{side}-{at}"), at=at, side=side)
        asked = type(requests()[at - 1][1]).__name__
        assert found == alive, f"{side} commit {at} ({asked})"
        print(f"authority {side:<6} commit {at:>2} {asked}")
    tell("crash points of an authority", crash_points=len(points))


def _count(points: dict[str, tuple[str, str]], side: str) -> int:
    return sum(found == side for found, _ in points.values())
