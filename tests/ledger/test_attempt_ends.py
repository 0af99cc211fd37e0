"""A process that dies between two attempts of a run: what is known of the first is kept."""

import os

import msgspec
import pytest

from signalbox_ledger import status
from signalbox_ledger.client import JournalError
from signalbox_ledger.journal import Journal
from signalbox_ledger.records import HoldPart, Run
from signalbox_ledger.recovery import recover_all
from signalbox_ledger.run_journal import MIN_FREE_BYTES
from support.ledgers import abandon, budget, hold, run_of, until

MB = 1024 * 1024


def attempts_of(run: Run, *parts: tuple[HoldPart, ...]) -> Run:
    """The run with an attempt for each of `parts`; those before the last failed at no cost."""
    attempts = [
        msgspec.structs.replace(
            run.attempts[0],
            number=number,
            holds=list(held),
            bound_nano=sum(part.amount for part in held),
            outcome="error",
            settlement="zero",
            cost_nano=0,
        )
        for number, held in enumerate(parts, 1)
    ]
    return msgspec.structs.replace(run, attempts=attempts, cost_nano=0)


@pytest.mark.parametrize("second_left", [False, True])
async def test_an_attempt_that_ended_is_not_charged_because_of_the_next(
    authority, folder, open_ledger, second_left: bool
) -> None:
    ledger = await open_ledger("p0")
    await ledger.configure(1, [budget(limit=1000)])
    first, second = await hold(ledger, 100), await hold(ledger, 200)
    run = run_of(ledger, "r1", outcome="unknown")
    ledger.dispatching(attempts_of(run, first.parts))
    ended = ledger.release(first)
    ledger.attempt_ended(attempts_of(run, ended))
    if second_left:
        ledger.dispatching(attempts_of(run, ended, second.parts))
    await abandon(ledger)
    (recovered,) = await recover_all(authority.socket, [folder / "p0"])
    assert (recovered.runs, recovered.unknown, recovered.problem) == (1, second_left, "")
    (found,) = (await status.fetch(authority.socket)).budgets
    assert (found.figures.settled, found.figures.held) == (200 * second_left, 0)
    kept = await (await open_ledger("p1")).find_run("r1")
    assert kept is not None
    assert kept.outcome == ("unknown" if second_left else "failed")
    assert [one.settlement for one in kept.attempts] == ["zero", "full"][: 1 + second_left]


async def test_below_sixteen_megabytes_nothing_new_leaves_and_what_is_under_way_ends(
    open_ledger, monkeypatch
) -> None:
    ledger = await open_ledger("p0")
    await ledger.configure(1, [budget(limit=1000)])
    held = await hold(ledger, 100)
    ledger.dispatching(run_of(ledger, "r1", held.parts))
    free = [MIN_FREE_BYTES - 1]
    with monkeypatch.context() as patch:
        patch.setattr(Journal, "free_bytes", lambda self: free[0])
        ledger._runs.look_after()
        with pytest.raises(JournalError, match="16 MB"):
            ledger.dispatching(run_of(ledger, "r2"))
        ledger.record(run_of(ledger, "r1", ledger.settle(held, [40])))
        assert await ledger.find_run("r1") is not None
        free[0] = MIN_FREE_BYTES

        async def dispatches_again() -> bool:  # nobody has to do anything
            try:
                ledger.dispatching(run_of(ledger, "r2"))
            except JournalError:
                return False
            return True

        await until(dispatches_again)


async def test_a_disk_that_is_full_when_a_segment_is_due_stops_dispatch_until_there_is_room(
    open_ledger, monkeypatch
) -> None:
    ledger = await open_ledger("p0")
    await ledger.configure(1, [budget(limit=1000)])
    open_run = run_of(ledger, "r1", (await hold(ledger, 100)).parts)
    ledger.dispatching(open_run)
    ledger._journal._room = 0  # the segment is full
    with monkeypatch.context() as patch:

        def full(file: int, offset: int, length: int) -> None:
            raise OSError(28, os.strerror(28))

        patch.setattr(os, "posix_fallocate", full)
        with pytest.raises(JournalError, match="No space left"):
            ledger.dispatching(run_of(ledger, "r2"))
        ledger.attempt_ended(open_run)
        ledger.record(open_run)
        with pytest.raises(JournalError, match="No space left"):
            ledger.dispatching(run_of(ledger, "r2"))

    async def recorded() -> bool:
        return await ledger.find_run("r1") is not None

    await until(recorded)
    ledger.dispatching(run_of(ledger, "r2"))
    ledger.record(run_of(ledger, "r2"))


async def test_a_run_that_cannot_be_written_in_any_form_stops_nobody_else(open_ledger) -> None:
    ledger = await open_ledger("p0")
    await ledger.configure(1, [budget(limit=1000)])
    strange = run_of(ledger, "r1", model_asked="\ud800")
    with pytest.raises(JournalError, match="encoded"):
        ledger.dispatching(strange)
    ledger.record(strange)
    ledger.record(run_of(ledger, "r2"))
    assert await ledger.find_run("r2") is not None
