"""What a dead incarnation leaves behind is settled once, however often recovery runs."""

import sqlite3

import msgspec
import pytest

from signalbox_ledger import journal as journals
from signalbox_ledger import recovery, status
from signalbox_ledger.asking import connected
from signalbox_ledger.client import Claim, LedgerUnavailableError, Shortage
from signalbox_ledger.protocol import Fence, Refused, Settle, Settled
from signalbox_ledger.recovery import recover_all, unknown_run
from support.ledgers import abandon, budget, hold, run_of, until, write_off


async def figures(authority):
    (found,) = (await status.fetch(authority.socket)).budgets
    return found.figures


@pytest.mark.usefixtures("unflushed")
async def test_calls_in_flight_are_charged_in_full_and_flagged(
    authority, folder, open_ledger
) -> None:
    ledger = await open_ledger("p0")
    await ledger.configure(1, [budget(limit=1000)])
    first, second = await hold(ledger, 100), await hold(ledger, 200)
    ledger.record(run_of(ledger, "r1", ledger.settle(first, [40])))
    ledger.dispatching(run_of(ledger, "r2", second.parts))
    await hold(ledger, 300)  # never dispatched: comes back
    await abandon(ledger)
    (recovered,) = await recover_all(authority.socket, [folder / "p0"])
    assert (recovered.runs, recovered.unknown, recovered.problem) == (2, 1, "")
    assert ((await figures(authority)).settled, (await figures(authority)).held) == (240, 0)
    other = await open_ledger("p1")
    run = await other.find_run("r2")
    assert run is not None
    assert (run.outcome, run.cost_nano, run.attempts[0].settlement) == ("unknown", 200, "full")
    assert [(charge.kind, charge.cost) for charge in run.charges] == [("unknown", 200)]
    assert run.attempts[0].holds[0].spent == 200


async def test_a_torn_tail_is_cut_off(authority, folder, open_ledger) -> None:
    ledger = await open_ledger("p0")
    await ledger.configure(1, [budget(limit=1000)])
    held = await hold(ledger, 100)
    ledger.record(run_of(ledger, "r1", ledger.settle(held, [40])))
    torn = journals.frame_entry(journals.RECORD, b"x" * 100)[:50]
    ledger._journal.append(torn)
    await abandon(ledger)
    (recovered,) = await recover_all(authority.socket, [folder / "p0"])
    assert (recovered.unknown, recovered.problem) == (0, "")
    assert (await figures(authority)).settled == 40


@pytest.mark.parametrize("step", ["fence", "settle", "finish", "unlink"])
async def test_a_recovery_that_dies_is_recovered_by_the_next(
    authority, folder, open_ledger, monkeypatch, step: str
) -> None:
    ledger = await open_ledger("p0")
    await ledger.configure(1, [budget(limit=1000)])
    ledger.dispatching(run_of(ledger, "r1", (await hold(ledger, 100)).parts))
    await abandon(ledger)

    class Died(BaseException):
        pass

    def dies(*_: object) -> None:
        raise Died

    with monkeypatch.context() as patch:
        if step == "unlink":
            patch.setattr(journals, "segment_path", _only_for_reading(journals.segment_path, dies))
        else:
            names = {"fence": "Fence", "settle": "Settle", "finish": "Finish"}
            patch.setattr(recovery, names[step], dies)
        with pytest.raises(Died):
            await recover_all(authority.socket, [folder / "p0"])
    (recovered,) = await recover_all(authority.socket, [folder / "p0"])
    assert recovered.problem == ""
    assert ((await figures(authority)).settled, (await figures(authority)).held) == (100, 0)
    assert list((folder / "p0").iterdir()) == []


def _only_for_reading(original, dies):
    class Segment(type(original(folder := __import__("pathlib").Path(), "p", 0))):
        def unlink(self, missing_ok: bool = False) -> None:
            dies()

    return lambda directory, holder, start: Segment(original(directory, holder, start))


async def test_a_living_proxy_is_left_alone(authority, folder, open_ledger) -> None:
    ledger = await open_ledger("p0")
    await ledger.configure(1, [budget(limit=1000)])
    await hold(ledger, 100)
    assert await recover_all(authority.socket, [folder / "p0"]) == []
    assert not ledger.is_fenced


async def test_a_fenced_holder_is_told_so_and_serves_no_more(
    authority, folder, open_ledger
) -> None:
    ledger = await open_ledger("p0")
    await ledger.configure(1, [budget(limit=1000)])
    ledger.release(await hold(ledger, 100))
    async with connected(authority.socket) as ask:
        assert isinstance(await ask(Fence(ledger.holder_id)), Settled)

    async def knows() -> bool:
        return ledger.is_fenced

    await until(knows)
    assert ledger.try_hold([Claim("ns/day", "", 1)]) is None
    shortage = await ledger.hold([Claim("ns/day", "", 500)])
    assert isinstance(shortage, Shortage)
    assert shortage.reason == "unavailable"
    with pytest.raises(LedgerUnavailableError, match="fenced"):
        await ledger.find_run("r1")


async def test_only_who_fenced_a_holder_may_settle_for_it(authority, open_ledger) -> None:
    ledger = await open_ledger("p0")
    async with connected(authority.socket) as ask:
        reply = await ask(Settle(ledger.holder_id, 0, b""))
    assert isinstance(reply, Refused)


async def test_bytes_that_come_twice_count_once(authority, folder, open_ledger) -> None:
    ledger = await open_ledger("p0")
    await ledger.configure(1, [budget(limit=1000)])
    ledger.record(run_of(ledger, "r1", ledger.settle(await hold(ledger, 100), [40])))
    end = ledger._journal.end
    data = ledger._journal.read(0, end)
    await ledger.find_run("r1")
    reply = await ledger._connection.call(Settle(ledger.holder_id, 0, data))
    assert isinstance(reply, Settled)
    assert reply.offset == end
    gap = await ledger._connection.call(Settle(ledger.holder_id, end + 5, data))
    assert isinstance(gap, Refused)
    assert (gap.reason, gap.offset) == ("gap", end)
    assert (await figures(authority)).settled == 40


async def test_without_a_journal_slices_stay_until_a_person_posts_them(
    authority, folder, open_ledger
) -> None:
    ledger = await open_ledger("p0")
    await ledger.configure(1, [budget(limit=1000)])
    await hold(ledger, 100)
    await abandon(ledger)
    for path in (folder / "p0").iterdir():
        path.unlink()
    assert await recover_all(authority.socket, [folder / "p0"]) == []
    assert (await figures(authority)).held == 100
    for _ in range(2):
        lost = await write_off(authority.socket, ledger.holder_id)
        assert (lost.slices, lost.amounts) == (1, {"usd": 100})
    assert ((await figures(authority)).settled, (await figures(authority)).held) == (100, 0)
    with pytest.raises(LookupError):
        await write_off(authority.socket, "nobody")


async def test_a_run_that_the_record_refuses_is_set_aside_and_its_money_counts(
    authority, open_ledger
) -> None:
    ledger = await open_ledger("p0")
    await ledger.configure(1, [budget(limit=1000)])
    parts = ledger.settle(await hold(ledger, 100), [40])
    ledger.record(run_of(ledger, "r1", parts, sensitivity=99))
    ledger.record(run_of(ledger, "r2"))

    async def second_is_there() -> bool:
        return await ledger.find_run("r2") is not None

    await until(second_is_there)
    assert await ledger.find_run("r1") is None
    assert (await figures(authority)).settled == 40
    with sqlite3.connect(authority.db) as connection:
        rows = connection.execute("SELECT run_id FROM refused_record").fetchall()
    connection.close()
    assert rows == [("r1",)]


async def test_a_run_without_attempts_ends_unknown_at_no_cost(open_ledger) -> None:
    run = run_of(await open_ledger("p0"), "r1", attempts=[], cost_nano=0)
    assert (unknown_run(run).outcome, unknown_run(run).cost_nano) == ("unknown", 0)


async def test_attempts_that_ended_before_keep_their_charges(open_ledger) -> None:
    run = run_of(await open_ledger("p0"), "r1")
    first = msgspec.structs.replace(run.attempts[0], cost_nano=7, outcome="timeout")
    last = msgspec.structs.replace(run.attempts[0], number=2, bound_nano=50, bound_tokens=9)
    found = unknown_run(msgspec.structs.replace(run, attempts=[first, last]))
    assert [attempt.cost_nano for attempt in found.attempts] == [7, 50]
    assert found.cost_nano == 57
    assert [(one.attempt, one.quantity, one.cost) for one in found.charges] == [(2, 9, 50)]
