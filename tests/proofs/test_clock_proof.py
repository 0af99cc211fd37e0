"""Machines are minutes off, and one steps back an hour: a request belongs to the window that the
database's clock says, and windows end for all proxies at the same instant.

Every machine runs its authority and its proxy under a wrong clock; only the database's is right.
"""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from support.arena import FUNDED, Arena, agents_with_budgets, named, open_arena, trickle
from support.clocks import SteppingClock, off_by, require_wrong_clocks
from support.figures import tell
from support.fleet import Machine
from support.oracle import PICO_PER_NANO, eventually
from support.postgres import PostgresServer
from support.snapshots import key_of, window

MINUTE = 60
AFFORDABLE = 40
RATE = 20.0
BEFORE_S, AFTER_S = 15.0, 15.0


@dataclass
class Stage:
    arena: Arena
    stepping: SteppingClock


@pytest.fixture(scope="module")
def stage(
    tmp_path_factory: pytest.TempPathFactory, postgres_server: PostgresServer
) -> Iterator[Stage]:
    require_wrong_clocks()
    folder = tmp_path_factory.mktemp("clocks")
    dsn = postgres_server.dsn(postgres_server.create_database())
    stepping = SteppingClock(folder)
    clocks = (off_by(5 * MINUTE), off_by(-5 * MINUTE), stepping.environment)
    machines = [Machine(dsn, clock) for clock in clocks]
    with open_arena(folder, dsn, machines=machines, hurried=False) as arena:
        yield Stage(arena, stepping)


@pytest.mark.proof
def test_requests_belong_to_the_windows_of_the_database(stage: Stage) -> None:
    arena = stage.arena
    limit = AFFORDABLE * arena.cost
    arena.limits["minute"] = limit
    agents, budgets = agents_with_budgets({"minute": limit}, window=window("minute"))
    others = agents_with_budgets({"probe": FUNDED})
    arena.push([*agents, *others[0]], [*budgets, *others[1]])
    boundary = _wait_for_a_boundary()
    arena.newly_billed()
    began = time.time()

    async def both() -> list[int]:
        async def step() -> None:
            await asyncio.sleep(max(0.0, boundary - 3 - time.time()))
            stage.stepping.step(-3600)

        load = trickle(
            arena.urls(), key_of(named("minute")), rate=RATE, seconds=boundary + AFTER_S - began
        )
        answers, _ = await asyncio.gather(load, step())
        return [each.status for each in answers]

    statuses = asyncio.run(both())
    ended = time.time()
    assert {200, 402} <= set(statuses) <= {200, 402, 503}
    books = arena.books("minute", runs=len(statuses))
    books.assert_equal()
    leaked = arena.leaked()
    windows = dict(
        arena.oracle.query(
            "SELECT window_start, granted FROM account WHERE budget = ?", named("minute")
        )
    )
    assert set(windows) == {boundary - MINUTE, boundary}
    assert sum(windows.values()) == books.ledger_nano
    overspend = max(windows.values()) - limit
    tell(
        "clocks",
        overspend_nano=max(0, overspend),
        ledger_under_bill_nano=max(0, books.bill_pico // PICO_PER_NANO - books.ledger_nano),
        leaked_holds=len(leaked),
        requests=len(statuses),
        windows=len(windows),
    )
    assert overspend <= 0
    assert min(windows.values()) >= limit * 0.9
    _told_by_the_right_clock(arena, began, ended)
    assert _holders_after(arena, boundary) == len(arena.fleet.proxies)


def _wait_for_a_boundary() -> int:
    """The next full minute that is at least BEFORE_S away, once it is near."""

    def near() -> int:
        now = time.time()
        boundary = (int(now) // MINUTE + 1) * MINUTE
        return boundary if BEFORE_S <= boundary - now <= BEFORE_S + 10 else 0

    return int(eventually(near, limit_s=2 * MINUTE, what="a minute that ends soon"))


def _told_by_the_right_clock(arena: Arena, began: float, ended: float) -> None:
    ((first, last),) = arena.oracle.query(
        "SELECT MIN(timestamp), MAX(timestamp) FROM inference_run WHERE agent = ?", named("minute")
    )
    assert began - 1 <= first / 1000 <= last / 1000 <= ended + 1


def _holders_after(arena: Arena, boundary: int) -> int:
    """How many proxies served in the new window."""
    rows = arena.oracle.query(
        "SELECT DISTINCT holder FROM inference_run"
        " WHERE agent = ? AND status = 200 AND timestamp >= ?",
        named("minute"),
        boundary * 1000,
    )
    return len(rows)
