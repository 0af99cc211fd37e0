"""Several processes race for one budget: never over, nothing left lying, nobody refused falsely."""

import pytest

from signalbox_ledger import status
from support.ledgers import WorkerProcess, budget


async def race(folder, *subjects: str, amount: int, seed: int) -> list[dict]:
    workers = [WorkerProcess(folder, f"p{n}", seed=seed + n, tasks=32) for n in range(2)]
    for worker in workers:
        worker.start(amount, *subjects)
    for worker in workers:
        worker.go()
    return [worker.result() for worker in workers]


@pytest.mark.parametrize(("holds", "share"), [(20, 75), (2000, 97)])
async def test_a_raced_budget_is_used_up_and_never_exceeded(
    authority, folder, open_ledger, holds: int, share: int
) -> None:
    limit = holds * 1000
    ledger = await open_ledger("lead")
    await ledger.configure(1, [budget(limit=limit)])
    seen = await race(folder, amount=1000, seed=holds)
    spent = sum(one["spent"][""] for one in seen if one["spent"])
    assert spent <= limit
    assert spent * 100 >= limit * share
    assert sum(one["false_refusals"] for one in seen) == 0
    assert min(one["refused"][""] for one in seen) > limit - spent
    assert all(set(one["reasons"]) <= {"exhausted"} for one in seen)
    (found,) = (await status.fetch(authority.socket)).budgets
    assert (found.figures.settled, found.figures.held) == (spent, 0)


async def test_each_subject_has_its_own_limit(authority, folder, open_ledger) -> None:
    ledger = await open_ledger("lead")
    await ledger.configure(1, [budget(limit=20_000, per="user")])
    seen = await race(folder, "u1", "u2", "u3", amount=1000, seed=7)
    for subject in ("u1", "u2", "u3"):
        spent = sum(one["spent"][subject] for one in seen)
        assert 15_000 <= spent <= 20_000
        assert min(one["refused"][subject] for one in seen) > 20_000 - spent
    assert sum(one["false_refusals"] for one in seen) == 0
    (found,) = (await status.fetch(authority.socket)).budgets
    assert (found.subjects, found.figures.held) == (3, 0)
