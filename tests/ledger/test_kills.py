"""kill -9 at any point: the limit holds, nothing is lost, nothing stays held."""

import asyncio
import random
import sqlite3

import pytest

from signalbox_ledger import status
from signalbox_ledger.recovery import recover_all
from support.ledgers import WorkerProcess, budget

SEEDS = [0, 1, *(pytest.param(seed, marks=pytest.mark.proof) for seed in range(2, 20))]


def runs_of(db) -> dict[str, tuple[str, int]]:
    with sqlite3.connect(f"file:{db}?mode=ro", uri=True) as connection:
        rows = connection.execute("SELECT run_id, outcome, cost_nano_usd FROM inference_run")
        found = {run_id: (outcome, cost) for run_id, outcome, cost in rows}
    connection.close()
    return found


@pytest.mark.parametrize("seed", SEEDS)
async def test_a_killed_proxy_is_settled_from_its_journal(
    authority, folder, open_ledger, seed: int
) -> None:
    limit = 1_600_000
    ledger = await open_ledger("lead")
    await ledger.configure(1, [budget(limit=limit)])
    dies_after_s = random.Random(seed).uniform(0.0, 0.2)
    workers = [
        WorkerProcess(folder, "p0", seed=seed * 2, tasks=16, dies_after_s=dies_after_s),
        WorkerProcess(folder, "p1", seed=seed * 2 + 1, tasks=16),
    ]
    for worker in workers:
        worker.start(1000)
    for worker in workers:
        worker.go()
    await asyncio.to_thread(workers[0].died)
    found = await recover_all(authority.socket, [folder / "p0", folder / "p1", folder / "lead"])
    survived = await asyncio.to_thread(workers[1].result)
    assert [one.problem for one in found] == [""]
    assert await recover_all(authority.socket, [folder / "p0"]) == []
    assert list((folder / "p0").iterdir()) == []
    runs = runs_of(authority.db)
    bill = workers[0].bill() | workers[1].bill()
    assert sum(bill.values()) <= limit
    assert bill.keys() <= runs.keys()
    for run_id, billed in bill.items():
        outcome, cost = runs[run_id]
        assert cost == billed if outcome == "answered" else cost >= billed
    unknown = sum(outcome == "unknown" for outcome, _ in runs.values())
    assert unknown == found[0].unknown
    (account,) = (await status.fetch(authority.socket)).budgets
    assert account.figures.held == 0
    assert account.figures.settled == sum(cost for _, cost in runs.values()) <= limit
    assert survived["false_refusals"] == 0


@pytest.mark.parametrize("seed", SEEDS)
async def test_a_killed_authority_loses_nothing_that_it_acknowledged(
    authority, folder, open_ledger, seed: int
) -> None:
    limit = 300_000
    ledger = await open_ledger("lead")
    await ledger.configure(1, [budget(limit=limit)])
    workers = [WorkerProcess(folder, f"p{n}", seed=seed * 2 + n, tasks=16) for n in range(2)]
    for worker in workers:
        worker.start(1000)
    for worker in workers:
        worker.go()
    chance = random.Random(seed)
    for _ in range(3):
        await asyncio.sleep(chance.uniform(0.0, 0.15))
        authority.kill()
        await asyncio.sleep(chance.uniform(0.0, 0.1))
        authority.start()
    seen = [await asyncio.to_thread(worker.result) for worker in workers]
    bill = workers[0].bill() | workers[1].bill()
    runs = runs_of(authority.db)
    assert {run_id: cost for run_id, (_, cost) in runs.items()} == bill
    assert limit * 97 <= sum(bill.values()) * 100 <= limit * 100
    assert sum(one["false_refusals"] for one in seen) == 0
    (account,) = (await status.fetch(authority.socket)).budgets
    assert (account.figures.settled, account.figures.held) == (sum(bill.values()), 0)
