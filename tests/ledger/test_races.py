"""Several processes race for one budget: never over, nothing left lying, nobody refused falsely."""

import asyncio
from functools import partial
from pathlib import Path

import pytest

from signalbox_ledger import status
from support.ledgers import WorkerProcess, budget, until

REPEATS = [0, *(pytest.param(10 * n, marks=pytest.mark.proof) for n in range(1, 20))]


async def race(folder, *subjects: str, amount: int, seed: int) -> list[dict]:
    return await asyncio.to_thread(
        lambda: race_blocking(folder, *subjects, amount=amount, seed=seed)
    )


def race_blocking(
    folder, *subjects: str, amount: int = 1000, seed: int = 5, until: Path | None = None
) -> list[dict]:
    workers = [
        WorkerProcess(folder, f"p{n}", seed=seed + n, tasks=32, until=until) for n in range(2)
    ]
    for worker in workers:
        worker.start(amount, *subjects)
    for worker in workers:
        worker.go()
    return [worker.result() for worker in workers]


@pytest.mark.parametrize("seed", REPEATS)
@pytest.mark.parametrize(("holds", "share"), [(20, 75), (2000, 97)])
async def test_a_raced_budget_is_used_up_and_never_exceeded(
    authority, folder, open_ledger, holds: int, share: int, seed: int
) -> None:
    limit = holds * 1000
    ledger = await open_ledger("lead")
    await ledger.configure(1, [budget(limit=limit)])
    seen = await race(folder, amount=1000, seed=seed)
    spent = sum(one["spent"][""] for one in seen if one["spent"])
    assert spent <= limit
    assert spent * 100 >= limit * share
    assert sum(one["false_refusals"] for one in seen) == 0
    assert min(one["refused"][""] for one in seen) > limit - spent
    # A busy machine takes longer than the 250 ms of an answer: `unavailable` is asked again.
    assert all("held" not in one["reasons"] for one in seen), seen
    (found,) = (await status.fetch(authority.socket)).budgets
    assert (found.figures.settled, found.figures.held) == (spent, 0)


@pytest.mark.parametrize("moved", [300_000, 3_000_000])
async def test_a_limit_that_moves_in_the_middle_of_a_race_holds(
    authority, folder, open_ledger, moved: int
) -> None:
    ledger = await open_ledger("lead")
    await ledger.configure(1, [budget(limit=1_000_000)])
    moved_already = folder / "moved"  # who hears that all is spent before that goes on
    racing = asyncio.create_task(
        asyncio.to_thread(partial(race_blocking, folder, until=moved_already))
    )

    async def half_way() -> bool:
        (found,) = (await status.fetch(authority.socket)).budgets
        return found.figures.settled > 400_000

    await until(half_way)
    await ledger.configure(2, [budget(limit=moved)])
    moved_already.touch()
    (then,) = (await status.fetch(authority.socket)).budgets
    seen = await racing
    spent = sum(one["spent"][""] for one in seen)
    if moved > 1_000_000:
        assert moved * 97 <= spent * 100 <= moved * 100
    else:
        assert spent <= then.figures.granted
    assert sum(one["false_refusals"] for one in seen) == 0
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
