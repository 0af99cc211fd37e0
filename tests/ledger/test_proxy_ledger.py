"""What a proxy sees of the ledger, against a real authority."""

import asyncio
import signal
import time

import pytest

from signalbox_ledger import held_account, status
from signalbox_ledger.client import Claim, Hold, JournalError, ProxyLedger, Shortage
from signalbox_ledger.journal import Journal
from signalbox_ledger.journal_lock import holders_in
from signalbox_ledger.protocol import Draw
from signalbox_ledger.recovery import recover_all
from signalbox_ledger.replies import Refused
from support.ledgers import budget, run_of, until
from support.timing import at_most

DAY = "ns/day"


def claim(amount: int, subject: str = "", id_: str = DAY) -> Claim:
    return Claim(id_, subject, amount)


async def hold(ledger: ProxyLedger, *claims: Claim) -> Hold:
    held = await ledger.hold(claims, wait_s=at_most(30))
    assert isinstance(held, Hold), held
    return held


async def refusal(ledger: ProxyLedger, *claims: Claim, wait_s: float | None = None) -> Shortage:
    shortage = await ledger.hold(claims, wait_s=at_most(30) if wait_s is None else wait_s)
    assert isinstance(shortage, Shortage)
    return shortage


async def figures(authority, id_: str = DAY):
    return {one.budget: one for one in (await status.fetch(authority.socket)).budgets}[id_].figures


async def test_a_run_is_held_settled_recorded_and_found(authority, open_ledger, folder) -> None:
    ledger = await open_ledger("p0")
    await ledger.configure(1, [budget(limit=1000)])
    assert ledger.try_hold([claim(100)]) is None
    held = await hold(ledger, claim(100))
    ledger.dispatching(run_of(ledger, "r1", held.parts))
    run = run_of(ledger, "r1", ledger.settle(held, [30]))
    ledger.record(run)
    assert await ledger.find_run("r1") == run
    assert await ledger.find_run("r2") is None
    assert ledger.remaining(DAY, "") == 970
    assert ledger.remaining("ns/other", "") is None
    await ledger.close()
    found = await figures(authority)
    assert (found.settled, found.held) == (30, 0)
    assert holders_in(folder / "p0") == []


async def test_a_spent_budget_is_exhausted_with_figures(open_ledger) -> None:
    ledger = await open_ledger("p0")
    await ledger.configure(1, [budget(limit=1000)])
    held = await hold(ledger, claim(900))
    ledger.record(run_of(ledger, "r1", ledger.settle(held, [900])))
    assert await refusal(ledger, claim(101)) == Shortage(
        budget=DAY,
        subject="",
        unit="usd",
        reason="exhausted",
        needed=101,
        limit=1000,
        remaining=100,
        affordable=100,
        window_end=0,
    )
    await hold(ledger, claim(100))


async def test_where_only_holds_stand_in_the_way_it_waits_and_says_held(open_ledger) -> None:
    ledger = await open_ledger("p0")
    await ledger.configure(1, [budget(limit=1000)])
    held = await hold(ledger, claim(900))
    shortage = await refusal(ledger, claim(200), wait_s=0.2)
    assert (shortage.reason, shortage.remaining, shortage.affordable) == ("held", 1000, 100)
    waiting = asyncio.create_task(ledger.hold([claim(200)], wait_s=30))
    await asyncio.sleep(0)
    ledger.release(held)
    assert isinstance(await waiting, Hold)


async def test_several_accounts_are_held_together_or_not_at_all(authority, open_ledger) -> None:
    ledger = await open_ledger("p0")
    await ledger.configure(
        1,
        [
            budget("ns/big", 1000),
            budget("ns/small", 50),
            budget("ns/rate", 5, unit="requests"),
        ],
    )
    both = [claim(40, id_="ns/big"), claim(40, id_="ns/small"), claim(1, id_="ns/rate")]
    held = await hold(ledger, *both)
    assert [part.amount for part in held.parts] == [40, 40, 1]
    shortage = await refusal(ledger, *both, wait_s=0.3)
    assert (shortage.budget, shortage.reason) == ("ns/small", "held")
    ledger.record(run_of(ledger, "r1", ledger.settle(held, [40, 40, 1])))
    shortage = await refusal(ledger, *both)
    assert (shortage.budget, shortage.reason) == ("ns/small", "exhausted")

    async def surplus_went_back() -> bool:
        return (await figures(authority, "ns/big")).held == 0

    await until(surplus_went_back)
    assert (await figures(authority, "ns/rate")).settled == 1


async def test_what_lies_idle_at_another_proxy_comes_back(open_ledger, monkeypatch) -> None:
    monkeypatch.setattr(held_account, "IDLE_SECONDS", 3600)  # not by itself
    first, second = await open_ledger("p0"), await open_ledger("p1")
    await first.configure(1, [budget(limit=1000)])
    await second.configure(1, [budget(limit=1000)])
    held = await hold(first, claim(900))
    first.record(run_of(first, "r1", first.settle(held, [100])))
    await hold(second, claim(850))
    shortage = await refusal(second, claim(51), wait_s=0.3)
    assert (shortage.reason, shortage.remaining) == ("held", 900)


async def test_a_lowered_limit_acts_at_once_and_the_excess_returns(authority, open_ledger) -> None:
    ledger = await open_ledger("p0")
    await ledger.configure(1, [budget(limit=100_000)])
    for number in range(20):
        held = await hold(ledger, claim(1000))
        ledger.record(run_of(ledger, f"r{number}", ledger.settle(held, [500])))

    async def all_is_told() -> bool:
        return (await figures(authority)).settled == 10_000

    await until(all_is_told)
    await ledger.configure(2, [budget(limit=9_000)])
    shortage = await refusal(ledger, claim(1000))
    assert (shortage.reason, shortage.limit, shortage.remaining) == ("exhausted", 9000, 0)

    async def excess_is_back() -> bool:
        return (await figures(authority)).held == 0

    await until(excess_is_back)
    await ledger.configure(3, [budget(limit=12_000)])
    await hold(ledger, claim(2000))


async def test_a_window_that_does_not_exist_is_refused_by_name(open_ledger) -> None:
    ledger = await open_ledger("p0")
    await ledger.configure(1, [budget(limit=1000)])
    for bad in ({"time_zone": "Nowhere/Land"}, {"every": "quarter", "count": 10_000}):
        with pytest.raises(ValueError, match="budget ns/bad"):
            await ledger.configure(2, [budget("ns/bad", 1, **{"every": "day", **bad})])
    await hold(ledger, claim(10))


async def test_budgets_too_many_for_a_frame_are_refused_and_those_before_stay(
    authority, open_ledger
) -> None:
    ledger = await open_ledger("p0")
    await ledger.configure(1, [budget(limit=1000)])
    with pytest.raises(ValueError, match="too many"):
        await ledger.configure(2, [budget(f"ns/{number:0>480}") for number in range(20_000)])
    authority.kill()
    authority.start()

    async def served() -> bool:
        return isinstance(await ledger.hold([claim(1)]), Hold)

    await until(served)


async def test_an_older_generation_changes_nothing(authority, open_ledger) -> None:
    ledger = await open_ledger("p0")
    await ledger.configure(5, [budget(limit=1000)])
    await ledger.configure(4, [budget(limit=5000)])
    await ledger.configure(5, [budget(limit=6000)])
    assert (await figures(authority)).limit == 1000


async def test_a_budget_made_again_is_not_refilled(authority, open_ledger) -> None:
    ledger = await open_ledger("p0")
    await ledger.configure(1, [budget(limit=1000)])
    ledger.record(run_of(ledger, "r1", ledger.settle(await hold(ledger, claim(900)), [900])))
    await ledger.find_run("r1")
    await ledger.configure(2, [])
    assert (await refusal(ledger, claim(1))).reason == "unavailable"
    await ledger.configure(3, [budget(limit=1000)])
    assert (await figures(authority)).settled == 900
    assert (await refusal(ledger, claim(101))).reason == "exhausted"


async def test_what_a_provider_bills_above_the_hold_is_overrun(authority, open_ledger) -> None:
    ledger = await open_ledger("p0")
    await ledger.configure(1, [budget(limit=1000)])
    parts = ledger.settle(await hold(ledger, claim(100)), [150])
    assert [(part.amount, part.spent) for part in parts] == [(100, 150)]
    free = ledger.settle(await hold(ledger, claim(0)), [7])
    ledger.record(run_of(ledger, "r1", (*parts, *free)))
    await ledger.find_run("r1")
    found = await figures(authority)
    assert (found.settled, found.overrun, found.remaining) == (100, 57, 843)
    assert (await refusal(ledger, claim(844))).remaining == 843
    await hold(ledger, claim(843))


async def test_users_have_accounts_of_their_own_drawn_exactly(
    authority, open_ledger, monkeypatch
) -> None:
    ledger = await open_ledger("p0")
    await ledger.configure(1, [budget(limit=1_000_000, per="user")])
    with monkeypatch.context() as patch:
        patch.setattr(held_account, "IDLE_SECONDS_EXACT", 3600)
        held = await hold(ledger, claim(10, "u1"))
        ledger.release(await hold(ledger, claim(10, "u2")))
        assert (await figures(authority)).granted == 20
        shortage = await refusal(ledger, claim(1_000_001, "u3"))
        assert (shortage.subject, shortage.reason) == ("u3", "exhausted")
        (found,) = (await status.fetch(authority.socket)).budgets
        assert found.subjects == 2  # no row before the first use
    for account in ledger._holdings.accounts.values():
        ledger._holdings.touch(account)
    ledger.record(run_of(ledger, "r1", ledger.settle(held, [10])))

    async def idle_ones_are_back() -> bool:
        return (await figures(authority)).held == 0

    await until(idle_ones_are_back)


async def test_thousands_who_wait_with_long_names_do_not_stop_those_after_them(
    open_ledger,
) -> None:
    ledger = await open_ledger("p0")
    budgets = [f"ns/{number}" for number in range(6)]
    await ledger.configure(1, [budget(id_, per="user") for id_ in budgets])
    users = ["\N{GRINNING FACE}" * 250 + str(number) for number in range(2000)]
    asked = [[claim(1, user, id_) for id_ in budgets] for user in users]
    await asyncio.gather(*(ledger.hold(claims) for claims in asked))

    async def served() -> bool:
        return isinstance(await ledger.hold([claim(1, "next", budgets[0])]), Hold)

    await until(served)
    assert not ledger.is_fenced


async def test_a_cancelled_wait_leaves_nothing_held(authority, open_ledger) -> None:
    ledger = await open_ledger("p0")
    await ledger.configure(1, [budget(limit=1000)])
    held = await hold(ledger, claim(900))
    tasks = [asyncio.create_task(ledger.hold([claim(200)])) for _ in range(20)]
    await asyncio.sleep(0.01)
    for task in tasks:
        task.cancel()
    ledger.release(held)
    await asyncio.gather(*tasks, return_exceptions=True)
    await hold(ledger, claim(1000))


@pytest.mark.deadlines
async def test_without_an_authority_slices_last_and_then_it_is_unavailable(
    authority, open_ledger, monkeypatch
) -> None:
    # Nothing lies idle for so long, however long a busy machine takes between two lines.
    monkeypatch.setattr(held_account, "IDLE_SECONDS", 3600)
    ledger = await open_ledger("p0")
    await ledger.configure(1, [budget(limit=1_000_000)])

    async def can_hold() -> bool:
        held = await ledger.hold([claim(200_000)])
        if isinstance(held, Hold):
            ledger.release(held)
        return isinstance(held, Hold)

    # What a stopped authority was asked for comes once it goes on: more than that is asked next.
    for action, too_much in ((signal.SIGSTOP, 900_000), (signal.SIGKILL, 950_000)):
        await until(can_hold)
        authority.signal(action)
        held = ledger.try_hold([claim(500)])
        assert held is not None
        ledger.release(held)
        shortage = await refusal(ledger, claim(too_much))
        assert shortage.reason == "unavailable"
        authority.signal(signal.SIGCONT)
    authority.kill()
    authority.start()
    run = run_of(ledger, "r1")
    ledger.record(run)
    assert await ledger.find_run("r1") == run


async def test_what_cannot_be_given_back_is_still_of_use(authority, open_ledger) -> None:
    ledger = await open_ledger("p0")
    await ledger.configure(1, [budget(limit=1_000_000)])
    ledger.release(await hold(ledger, claim(1000)))
    authority.kill()

    async def is_alone() -> bool:
        return not ledger._connection.is_up

    async def a_round_is_over() -> bool:
        return not ledger._housekeeper._stir.is_set()

    await until(is_alone)
    (account,) = ledger._holdings.accounts.values()
    account.used_at = 0  # idle for long
    ledger._holdings.touch(account)
    for _ in range(2):
        ledger._housekeeper.stir()
        await until(a_round_is_over)
    assert ledger.try_hold([claim(1000)]) is not None
    authority.start()


async def test_a_draw_that_the_database_may_have_done_is_asked_again_as_it_was(
    open_ledger, monkeypatch
) -> None:
    ledger = await open_ledger("p0")
    await ledger.configure(1, [budget(limit=1000)])
    link = ledger._connection._link
    ask, drawn = link.call, []

    async def loses_its_database_once(request):
        reply = await ask(request)
        if isinstance(request, Draw):
            drawn.append(request)
            if len(drawn) == 1:
                return Refused("unavailable", "lost in a commit")
        return reply

    monkeypatch.setattr(link, "call", loses_its_database_once)
    await hold(ledger, claim(1000))
    assert drawn[0] == drawn[1]


@pytest.mark.deadlines
async def test_a_proxy_starts_without_an_authority_and_finds_it_later(folder, authority) -> None:
    authority.kill()
    ledger = await ProxyLedger.open(name="p0", socket=authority.socket, journal_dir=folder / "p0")
    await ledger.configure(1, [budget(limit=1000)])
    assert (await refusal(ledger, claim(1))).reason == "unavailable"
    assert abs(ledger.now_ms() - time.time_ns() // 1_000_000) < 60_000
    authority.start()

    async def can_hold() -> bool:
        return isinstance(await ledger.hold([claim(1)]), Hold)

    await until(can_hold)
    await ledger.close()
    await ledger.close()


async def test_claims_that_no_account_could_bear_are_errors(open_ledger) -> None:
    ledger = await open_ledger("p0")
    await ledger.configure(1, [budget(limit=1000)])
    for bad in (claim(-1), claim(2**63), claim(1, "x" * 513), claim(1, "\ud800")):
        with pytest.raises(ValueError, match="claim on"):
            await ledger.hold([bad])
    held = await hold(ledger, claim(10))
    with pytest.raises(ValueError, match="one amount"):
        ledger.settle(held, [-1])
    ledger.settle(held, [1])
    with pytest.raises(ValueError, match="settled already"):
        ledger.settle(held, [1])


async def test_without_room_for_the_journal_nothing_is_dispatched_and_no_record_is_lost(
    open_ledger, monkeypatch
) -> None:
    ledger = await open_ledger("p0")
    await ledger.configure(1, [budget(limit=1000)])

    def full(*_: object) -> int:
        raise JournalError("no room")

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "append", full)
        with pytest.raises(JournalError):
            ledger.dispatching(run_of(ledger, "r2"))
        ledger.record(run_of(ledger, "r1"))
        with pytest.raises(JournalError):
            ledger.dispatching(run_of(ledger, "r2"))

    async def found() -> bool:
        return await ledger.find_run("r1") is not None

    await until(found)


async def test_a_run_too_long_for_the_journal_goes_without_its_reasons_and_stops_nobody(
    open_ledger,
) -> None:
    ledger = await open_ledger("p0")
    await ledger.configure(1, [budget(limit=1000)])
    long = run_of(ledger, "r1", decision={"asked": "x" * 5_000_000})
    ledger.dispatching(long)
    ledger.record(long)
    ledger.dispatching(run_of(ledger, "r2"))
    run = await ledger.find_run("r1")
    assert run is not None
    assert (run.outcome, run.decision, len(run.attempts)) == ("answered", {}, 1)


async def test_a_closed_proxy_with_a_call_in_flight_leaves_it_to_recovery(
    authority, open_ledger, folder
) -> None:
    ledger = await open_ledger("p0")
    await ledger.configure(1, [budget(limit=1000)])
    ledger.dispatching(run_of(ledger, "r1", (await hold(ledger, claim(100))).parts))
    await ledger.close()
    (recovered,) = await recover_all(authority.socket, [folder / "p0"])
    assert recovered.unknown == 1
    assert (await figures(authority)).settled == 100


async def test_a_new_form_of_a_budget_starts_an_account_of_its_own(authority, open_ledger) -> None:
    ledger = await open_ledger("p0")
    await ledger.configure(1, [budget(limit=1000)])
    await hold(ledger, claim(900))
    await ledger.configure(2, [budget(limit=70, unit="tokens")])
    assert (await refusal(ledger, claim(71))).unit == "tokens"
    await hold(ledger, claim(70))
    assert (await figures(authority)).granted == 70


async def test_a_proxy_that_knows_a_budget_in_its_old_form_draws_nothing_of_the_new(
    authority, open_ledger
) -> None:
    behind, ahead = await open_ledger("p0"), await open_ledger("p1")
    await behind.configure(1, [budget(limit=1000)])
    await ahead.configure(2, [budget(limit=1000, unit="tokens")])
    assert (await refusal(behind, claim(10))).reason == "unavailable"
    assert (await figures(authority)).granted == 0


async def test_a_slice_of_the_next_window_is_drawn_shortly_before(open_ledger) -> None:
    ledger = await open_ledger("p0")
    await ledger.configure(1, [budget(limit=10**6, every="week")])
    for _ in range(3):
        ledger.release(await hold(ledger, claim(100)))
    (account,) = ledger._holdings.accounts.values()
    ends = account.slices[0].end
    account.used_at = ends - 1
    ledger._drawer.look_ahead(ends - 1)

    async def drawn() -> bool:
        return any(held.start == ends for held in account.slices)

    await until(drawn)
    assert ledger._holdings.try_hold([claim(100)], ends) is not None


async def test_slices_drawn_ahead_save_the_way_to_the_authority(open_ledger) -> None:
    ledger = await open_ledger("p0")
    await ledger.configure(1, [budget(limit=10**9)])
    for _ in range(50):
        ledger.release(await hold(ledger, claim(1000)))
    (account,) = ledger._holdings.accounts.values()
    assert len(account.slices) < 10
    assert account.free_at(ledger.now_ms() // 1000) <= 10**7


async def test_status_shows_the_tightest_subjects_first(authority, open_ledger) -> None:
    ledger = await open_ledger("p0")
    await ledger.configure(1, [budget(limit=100, per="session")])
    parts = ()
    for subject, spent in (("s1", 10), ("s2", 100), ("s3", 60), ("", 5)):
        parts += ledger.settle(await hold(ledger, claim(100, subject)), [spent])
    ledger.record(run_of(ledger, "r1", parts))
    await ledger.find_run("r1")
    open_hold = await hold(ledger, claim(90, "s1"))
    (found,) = (await status.fetch(authority.socket, top=2)).budgets
    assert [one.subject for one in found.top] == ["s2", "s3"]
    assert (found.subjects, found.exhausted_subjects, found.remaining) == (3, 1, 0)
    assert (found.figures.settled, found.window_end) == (175, 0)
    ledger.release(open_hold)
