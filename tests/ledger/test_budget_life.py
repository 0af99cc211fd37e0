"""What happens to budgets under traffic: limits move, windows roll, budgets go and come back.

The store, the authority and the proxies are the real ones; the clock is the test's.
"""

import asyncio
import contextlib
import sqlite3
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, closing
from datetime import datetime
from functools import partial
from pathlib import Path
from random import Random
from zoneinfo import ZoneInfo

import pytest

from signalbox_ledger.accounts import BudgetSpec
from signalbox_ledger.client import Claim, Hold, ProxyLedger, Shortage
from signalbox_ledger.opening import open_database
from signalbox_ledger.store import Store
from support.ledgers import AuthorityProcess, budget, run_of, until
from support.life import Life, living

NOON = 1_777_636_800
"""2026-05-01 12:00:00 UTC, a Friday."""
HOUR = 3600
DAY = 86_400
MIDNIGHT = NOON - 12 * HOUR


Begin = Callable[..., AbstractAsyncContextManager[Life]]


@pytest.fixture
def begin(folder: Path) -> Iterator[Begin]:
    """Begins a life on a file."""
    with closing(Store(partial(open_database, folder / "ledger.db"))) as store:
        yield lambda now=NOON, **more: living(store, folder, now=now, **more)


@pytest.fixture
def begin_anywhere(open_store: Callable[[], Store], folder: Path) -> Begin:
    """Begins a life on each database."""
    return lambda now=NOON, **more: living(open_store(), folder, now=now, **more)


def day(limit: int = 1000, **changes: object) -> BudgetSpec:
    return budget("ns/b", limit, **{"every": "day", **changes})


def claims(amount: int, subject: str = "") -> list[Claim]:
    return [Claim("ns/b", subject, amount)]


def reason(found: Hold | Shortage | None) -> str:
    return found.reason if isinstance(found, Shortage) else "held"


# Limits


async def test_a_lower_limit_counts_for_draws_at_once_and_never_refunds(
    begin_anywhere: Begin,
) -> None:
    async with begin_anywhere(proxies=2) as life:
        await life.apply(day(1000))
        assert await life.spend(claims(600)) is None
        await life.apply(day(700))
        refused = await life.spend(claims(101), proxy=1)
        assert refused is not None
        assert (refused.reason, refused.limit, refused.remaining) == ("exhausted", 700, 100)
        await life.apply(day(500))
        refused = await life.spend(claims(1))
        assert refused is not None
        assert (refused.reason, refused.remaining) == ("exhausted", 0)
        await life.settled()
        assert life.figures(day(), MIDNIGHT).settled == 600


async def test_what_proxies_hold_above_a_lowered_limit_comes_back_within_two_seconds(
    begin: Begin,
) -> None:
    """Slices drawn ahead by two proxies: nothing of them is used once the limit has gone."""
    async with begin(proxies=2) as life:
        took_s = [await lowered(life)]
        while min(took_s) >= 2 and len(took_s) < 5:  # a busy machine adds to it
            took_s.append(await lowered(life))
        assert min(took_s) < 2


async def lowered(life: Life) -> float:
    """A limit is lowered under what is held; the seconds until that is back."""

    async def is_back() -> bool:
        return life.figures(day(), MIDNIGHT).held == 0

    spent = life.figures(day(), MIDNIGHT).settled
    await life.apply(day(100_000))
    holds = [await life.held(claims(10), proxy=proxy) for proxy in (0, 1)]
    assert life.figures(day(), MIDNIGHT).granted >= spent + 20
    began = time.monotonic()
    await life.apply(day(spent + 15))
    for proxy, hold in enumerate(holds):
        life.end(hold, claims(10), proxy=proxy)
    await until(is_back)
    took_s = time.monotonic() - began
    assert life.figures(day(), MIDNIGHT).granted == spent + 20
    assert reason(await life.spend(claims(1))) == "exhausted"
    return took_s


async def test_a_higher_limit_is_there_at_once_for_who_waits_and_who_comes(begin: Begin) -> None:
    async with begin(proxies=2) as life:
        await life.apply(day(100))
        waiting = await life.held(claims(100))
        later = asyncio.ensure_future(life.proxies[1].hold(claims(100), wait_s=60))
        await asyncio.sleep(0)
        await life.apply(day(200))
        async with asyncio.timeout(60):
            assert isinstance(await later, Hold)
        life.end(waiting, claims(100))
        await life.apply(day(300))
        assert await life.spend(claims(100)) is None


async def test_a_limit_that_moves_in_the_second_of_the_roll_counts_in_both_windows(
    begin_anywhere: Begin,
) -> None:
    async with begin_anywhere(now=MIDNIGHT - 1, proxies=2) as life:
        await life.apply(day(1000))
        assert await life.spend(claims(900)) is None
        before = await life.held(claims(50))
        life.now_ms = MIDNIGHT * 1000
        await life.apply(day(400))
        assert await life.spend(claims(400), proxy=1) is None
        assert reason(await life.spend(claims(1), proxy=1)) == "exhausted"
        life.end(before, claims(50))
        await life.settled()
        assert life.figures(day(), MIDNIGHT - DAY).settled == 950
        now = life.figures(day(), MIDNIGHT)
        assert (now.limit, now.settled) == (400, 400)


# Deleted and made again


async def test_a_budget_that_is_deleted_refuses_and_made_again_it_goes_on(
    begin_anywhere: Begin,
) -> None:
    async with begin_anywhere() as life:
        await life.apply(day(1000))
        assert await life.spend(claims(600)) is None
        await life.apply()
        assert reason(await life.spend(claims(1))) == "unavailable"
        await life.apply(day(1000))
        refused = await life.spend(claims(500))
        assert refused is not None
        assert (refused.reason, refused.remaining) == ("exhausted", 400)
        assert await life.spend(claims(400)) is None


@pytest.mark.parametrize(
    "other",
    [day(1000, unit="tokens"), day(1000, every="month"), day(1000, time_zone="Asia/Tokyo")],
    ids=["unit", "window", "zone"],
)
async def test_made_again_in_other_terms_it_is_another_account(
    begin_anywhere: Begin, other: BudgetSpec
) -> None:
    async with begin_anywhere() as life:
        await life.apply(day(1000))
        assert await life.spend(claims(900)) is None
        late = await life.held(claims(100))
        await life.apply()
        await life.apply(other)
        assert await life.spend(claims(1000)) is None
        assert reason(await life.spend(claims(1))) == "exhausted"
        life.end(late, claims(100), spent=5000)
        await life.settled()
        new = life.figures(other, other.window(NOON)[0])
        assert (new.settled, new.overrun) == (1000, 0)
        old = life.figures(day(), MIDNIGHT)
        assert (old.settled, old.overrun) == (1000, 4900)


async def test_who_waits_in_the_old_unit_is_not_served_in_the_new_one(begin: Begin) -> None:
    async with begin() as life:
        await life.apply(day(100))
        await life.held(claims(100))
        waiting = asyncio.ensure_future(life.proxies[0].hold(claims(100), wait_s=60))
        while not life.proxies[0]._drawer.waiters:
            await asyncio.sleep(0)
        tokens = day(1000, unit="tokens")
        await life.apply(tokens)
        async with asyncio.timeout(60):
            assert reason(await waiting) == "unavailable"
        assert life.figures(tokens, MIDNIGHT).granted == 0


async def test_an_overrun_that_comes_late_is_not_counted_in_another_unit(
    begin_anywhere: Begin,
) -> None:
    """Its slice was written off, and the budget counts tokens by now."""
    async with begin_anywhere() as life:
        await life.apply(day(1000))
        hold = await life.held(claims(100))
        with life.store.transaction():
            life.store.accounts.close_all(life.proxies[0].holder_id)
        generation = life.generation
        tokens = day(1000, unit="tokens")
        await life.apply(tokens)
        life.generation = generation
        life.end(hold, claims(100), spent=700)
        await life.settled()
        assert life.figures(tokens, MIDNIGHT).overrun == 0
        life.generation = 3
        await life.apply(day(1000))
        assert life.figures(day(), MIDNIGHT).overrun == 0


async def test_and_in_the_same_unit_it_is(begin: Begin) -> None:
    async with begin() as life:
        await life.apply(day(1000))
        hold = await life.held(claims(100))
        with life.store.transaction():
            life.store.accounts.close_all(life.proxies[0].holder_id)
        await life.apply()
        await life.apply(day(2000))
        life.end(hold, claims(100), spent=700)
        await life.settled()
        assert life.figures(day(), MIDNIGHT).overrun == 700


# Overrun


async def test_what_was_billed_above_a_hold_is_posted_apart_and_cannot_be_drawn(
    begin_anywhere: Begin,
) -> None:
    async with begin_anywhere(proxies=2) as life:
        await life.apply(day(1000))
        hold = await life.held(claims(100))
        life.end(hold, claims(100), spent=450)
        await life.settled()
        found = life.figures(day(), MIDNIGHT)
        assert (found.settled, found.overrun) == (100, 350)
        refused = await life.spend(claims(551), proxy=1)
        assert refused is not None
        assert (refused.reason, refused.remaining) == ("exhausted", 550)
        assert await life.spend(claims(550), proxy=1) is None


async def test_an_overrun_stays_in_its_window(begin: Begin) -> None:
    async with begin(now=MIDNIGHT - 1) as life:
        await life.apply(day(1000))
        hold = await life.held(claims(100))
        life.now_ms = MIDNIGHT * 1000
        life.end(hold, claims(100), spent=5000)
        await life.settled()
        assert life.figures(day(), MIDNIGHT - DAY).overrun == 4900
        assert await life.spend(claims(1000)) is None


# Windows


def at(text: str, zone: str) -> int:
    """The instant of a wall time, the first where it comes twice."""
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp())


BOUNDARIES = {
    "a day": ("day", "UTC", "2026-05-02", DAY),
    "spring, an hour is missing": ("day", "Europe/Berlin", "2026-03-30", 23 * HOUR),
    "autumn, an hour comes twice": ("day", "Europe/Berlin", "2026-10-26", 25 * HOUR),
    "the south's autumn": ("day", "America/Santiago", "2026-04-05", 25 * HOUR),
    "half an hour's change": ("day", "Australia/Lord_Howe", "2026-04-06", DAY + HOUR // 2),
    "midnight does not exist": ("day", "America/Santiago", "2026-09-07", 23 * HOUR),
    "a week from Monday": ("week", "UTC", "2026-05-04", 7 * DAY),
    "the week of the change": ("week", "Europe/Berlin", "2026-03-30", 7 * DAY - HOUR),
    "a month of 31 days": ("month", "UTC", "2026-02-01", 31 * DAY),
    "a month of 28 days": ("month", "UTC", "2026-03-01", 28 * DAY),
    "a leap day": ("month", "UTC", "2028-03-01", 29 * DAY),
    "a month of 30 days": ("month", "Asia/Kolkata", "2026-05-01", 30 * DAY),
    "the month of the change": ("month", "Europe/Berlin", "2026-04-01", 31 * DAY - HOUR),
    "the first quarter": ("quarter", "UTC", "2026-04-01", 90 * DAY),
    "the first quarter of a leap year": ("quarter", "UTC", "2028-04-01", 91 * DAY),
    "the end of the year": ("quarter", "America/New_York", "2027-01-01", 92 * DAY + HOUR),
}


@pytest.mark.parametrize("name", BOUNDARIES)
async def test_a_window_ends_when_the_calendar_says_so(begin: Begin, name: str) -> None:
    """Spent to the limit until its last second, and full again in the next."""
    every, zone, first_day, length = BOUNDARIES[name]
    end = at(first_day, zone)
    spec = day(100, every=every, time_zone=zone)
    async with begin(now=end - length) as life:
        await life.apply(spec)
        assert await life.spend(claims(60)) is None
        life.now_ms = end * 1000 - 1
        assert await life.spend(claims(40)) is None
        refused = await life.spend(claims(1))
        assert refused is not None
        assert (refused.reason, refused.window_end) == ("exhausted", end)
        life.now_ms = end * 1000
        assert await life.spend(claims(100)) is None
        assert reason(await life.spend(claims(1))) == "exhausted"
        await life.settled()
        assert life.starts(spec) == [end - length, end]
        assert [life.figures(spec, start).settled for start in life.starts(spec)] == [100, 100]


async def test_the_hour_that_comes_twice_is_two_windows_and_the_missing_one_is_none(
    begin: Begin,
) -> None:
    spec = day(100, every="hour", time_zone="Europe/Berlin")
    second = at("2026-10-25T02:00", "Europe/Berlin") + HOUR
    async with begin(now=second - HOUR) as life:
        await life.apply(spec)
        for now in range(second - HOUR, second + 2 * HOUR, HOUR):
            life.now_ms = now * 1000
            assert await life.spend(claims(100)) is None
            assert reason(await life.spend(claims(1))) == "exhausted"
        await life.settled()
        assert life.starts(spec) == [second - HOUR, second, second + HOUR]


async def test_a_request_counts_in_the_window_in_which_it_was_held(begin: Begin) -> None:
    async with begin(now=MIDNIGHT - 1) as life:
        await life.apply(day(100))
        hold = await life.held(claims(70))
        life.now_ms = (MIDNIGHT + HOUR) * 1000
        assert await life.spend(claims(100)) is None
        life.end(hold, claims(70))
        await life.settled()
        assert life.figures(day(), MIDNIGHT - DAY).settled == 70
        assert life.figures(day(), MIDNIGHT).settled == 100


async def crossings(life: Life, seed: int, *, count: int) -> None:
    """Requests that are held before and after the ends of minutes, and end whenever they like.

    Twenty budgets at a time, three proxies; what each window was spent is kept apart from all that
    decides about it.
    """
    chance = Random(seed)
    specs = [
        budget(f"ns/b{number:02}", 10**9, every="minute", unit=("usd", "tokens")[number % 2])
        for number in range(20)
    ]
    asked = [Claim(spec.id, "", 1000 + number) for number, spec in enumerate(specs)]
    await life.apply(*specs)
    expected: Counter[tuple[str, int]] = Counter()
    open_: list[tuple[int, Hold]] = []
    minute = life.now_ms // 60_000
    done = 0
    while done < count:
        minute += 1
        instants = sorted(minute * 60_000 + chance.randrange(-1500, 1500) for _ in range(6))
        for instant in instants:
            life.now_ms = max(life.now_ms, instant)
            proxy = chance.randrange(3)
            hold = await life.held(asked, proxy=proxy)
            held_at = life.now_ms // 60_000 * 60
            for claim in asked:
                expected[claim.budget, held_at] += claim.amount
            open_.append((proxy, hold))
            done += len(asked)
            if chance.random() < 0.7:
                ended, hold = open_.pop(chance.randrange(len(open_)))
                life.end(hold, asked, proxy=ended)
    for proxy, hold in open_:
        life.end(hold, asked, proxy=proxy)
    await life.settled()
    found = {
        (spec.id, start): life.figures(spec, start).settled
        for spec in specs
        for start in life.starts(spec)
    }
    assert {key: amount for key, amount in found.items() if amount} == dict(expected)


async def test_no_request_is_counted_in_the_window_beside_its_own(begin: Begin) -> None:
    async with begin(proxies=3) as life:
        await crossings(life, 1, count=600)


@pytest.mark.proof
async def test_of_ten_thousand_crossings_none_is_counted_in_the_window_beside(
    begin_anywhere: Begin,
) -> None:
    async with begin_anywhere(proxies=3) as life:
        await crossings(life, 2, count=10_000)


# Users


async def test_accounts_of_users_are_gone_a_minute_after_their_window(
    begin_anywhere: Begin,
) -> None:
    spec = day(100, per="user", every="hour")
    async with begin_anywhere() as life:
        await life.apply(spec)
        for user in range(30):
            assert await life.spend(claims(10, f"u{user}")) is None
        await life.settled()
        life.now_ms = (NOON + HOUR) * 1000
        for proxy in life.proxies:
            await proxy._housekeeper.give_back(NOON + HOUR, everything=True)
        assert life.starts(spec) == [NOON]
        with life.store.transaction():
            life.store.forget_ended(NOON + HOUR + 60)
        assert life.starts(spec) == [NOON]
        with life.store.transaction():
            life.store.forget_ended(NOON + HOUR + 61)
        assert life.starts(spec) == []


async def test_accounts_of_users_whose_window_never_ends_are_never_gone(
    begin_anywhere: Begin,
) -> None:
    spec = day(100, per="user", every="lifetime")
    async with begin_anywhere() as life:
        await life.apply(spec)
        assert await life.spend(claims(80, "ann")) is None
        await life.settled()
        for proxy in life.proxies:
            await proxy._housekeeper.give_back(NOON + HOUR, everything=True)
        with life.store.transaction():
            life.store.forget_ended(NOON + 400 * DAY)
        assert life.starts(spec) == [0]
        assert reason(await life.spend(claims(30, "ann"))) == "exhausted"


async def test_an_agent_that_invents_users_ends_and_users_that_are_known_go_on(
    begin_anywhere: Begin,
) -> None:
    spec = day(100, per="user", new_subjects=2)
    async with begin_anywhere(proxies=2) as life:
        await life.apply(spec)

        async def ask(user: str, agent: str = "ns/a", proxy: int = 0) -> str:
            found = await life.spend([Claim("ns/b", user, 10, agent)], proxy=proxy)
            if isinstance(found, Shortage) and found.reason == "subjects":
                assert (found.most_subjects, found.window_end) == (2, MIDNIGHT + DAY)
            return reason(found)

        assert [await ask(user) for user in ("ann", "bob", "cid")] == ["held", "held", "subjects"]
        assert await ask("cid", proxy=1) == "subjects"
        assert await ask("ann", proxy=1) == "held"
        together = await asyncio.gather(ask("eve"), ask("eve", "ns/b"))
        assert "held" in together
        assert await ask("eve") == "held"


# The real clock

LIVE = (("wide", 10**9), ("narrow", 3000))


@pytest.mark.proof
async def test_a_real_minute_ends_for_processes_that_spend_all_the_time(
    authority: AuthorityProcess, open_ledger: Callable[[str], Awaitable[ProxyLedger]]
) -> None:
    """An authority in a process of its own, two proxies, no clock but the machine's.

    One budget has room, the other is spent up before the minute ends and is full again at once.
    """
    wide, narrow = (budget(f"ns/{name}", limit, every="minute") for name, limit in LIVE)
    proxies = [await open_ledger(f"p{number}") for number in range(2)]
    for proxy in proxies:
        await proxy.configure(1, [wide, narrow])
    end = (int(time.time()) + 12) // 60 * 60 + 60

    async def is_time() -> bool:
        return time.time() > end - 10

    await until(is_time, within_s=80)
    spent: Counter[tuple[str, int]] = Counter()
    used_up: set[int] = set()
    number = 0
    while end not in used_up or spent[wide.id, end] < 100:
        assert time.time() < end + 50, (spent, used_up)
        number += 1
        proxy = proxies[number % 2]
        for spec, amount in ((wide, 10), (narrow, 30)):
            began = int(time.time()) // 60 * 60
            hold = await proxy.hold([Claim(spec.id, "", amount)], wait_s=0.1)
            if isinstance(hold, Hold):
                (window,) = {start_of(proxy, part.slice_id) for part in hold.parts}
                # The proxy's clock is late by what an answer was on its way, and never early.
                assert began - 60 <= window <= int(time.time())
                parts = proxy.settle(hold, [amount])
                proxy.record(run_of(proxy, f"{spec.id}{number}", parts))
                spent[spec.id, window] += amount
            elif hold.reason == "exhausted":
                used_up.add(hold.window_end - 60)
    for proxy in proxies:
        await proxy.find_run("none")
        await proxy.close()
    with contextlib.closing(sqlite3.connect(authority.db)) as database:
        rows = database.execute("SELECT budget, window_start, granted FROM account").fetchall()
    found = {(name, start): granted for name, start, granted in rows if granted}
    assert found == dict(spent)
    assert spent[wide.id, end - 60] > 0
    assert used_up <= {end - 60, end}
    for start in used_up:
        assert narrow.limit - 30 < spent[narrow.id, start] <= narrow.limit


def start_of(proxy: ProxyLedger, slice_id: str) -> int:
    """When the window of a slice that it holds began."""
    _, held = proxy._holdings._slices[slice_id]
    return held.start
