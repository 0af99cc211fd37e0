"""Which lane is held when the preferred one does not fit into a budget, and which never is."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from signalbox_ledger import drawing
from signalbox_ledger.opening import open_database
from signalbox_ledger.store import Store
from signalbox_proxy.accounts import accounts_for
from signalbox_proxy.cache_affinity import NOWHERE, CacheHome, Warmth
from signalbox_proxy.classification import classify
from signalbox_proxy.declarations import read_declarations
from signalbox_proxy.quotes import Quoter
from signalbox_proxy.refusals import Refusal
from signalbox_proxy.reservation import Reservation, Reserver
from signalbox_proxy.routing import decide
from signalbox_proxy.run_draft import RunDraft
from signalbox_proxy.runtime import Runtime
from signalbox_proxy.surfaces import SURFACES
from signalbox_snapshot.snapshot import Budget, Quality
from support.life import Life, living
from support.snapshots import PLATFORM, agent, budget, mini, nano, policy, small, snapshot

NOW = 1_777_636_800
CHEAPER = "CheaperLane"
CHEAP = f"{PLATFORM}/small/fr"
BEST = policy(candidates=[f"{PLATFORM}/mini", f"{PLATFORM}/small"], objective="best")


@dataclass
class Desk:
    """Reserves for one agent under some budgets, in the order of preference: dear, then cheap."""

    life: Life
    runtime: Runtime | None = None

    async def apply(self, *budgets: Budget) -> None:
        ids = sorted(each.id for each in budgets)
        self.runtime = Runtime.build(
            snapshot(
                models=[mini(quality=Quality(default=900_000)), small()],
                policies=[BEST],
                budgets=[*budgets, budget("wealth/day")],
                agents=[agent("retail/support", budgets=ids), agent("wealth/advisor")],
            ),
            version="v",
            generation=self.life.generation + 1,
        )
        await self.life.apply(*self.runtime.budget_specs)

    async def reserve(
        self, headers: dict[str, str] | None = None, warmth: Warmth = NOWHERE, text: str = "Hi"
    ) -> tuple[Reservation, RunDraft]:
        """Raises the refusal."""
        assert self.runtime is not None
        prepared = self.runtime.agents["retail/support"]
        body = {
            "model": "auto",
            "messages": [{"role": "user", "content": text}],
            "max_completion_tokens": 3000,
        }
        chat = next(each for each in SURFACES if each.name == "chat")
        request = chat.parse(body, {})
        declared = read_declarations(headers or {}, request.metadata, request.user)
        facts = classify(self.runtime, prepared.agent, declared, NOW)
        decision = decide(self.runtime, facts, request, warmth)
        assert decision.ranking[-1].lane.id == CHEAP
        run = RunDraft(
            run_id="r",
            started_at=NOW * 1000,
            started_clock=0.0,
            runtime=self.runtime,
            agent=prepared,
            surface="chat",
            holder="p",
            request=request,
            facts=facts,
        )
        ledger = self.life.proxies[0]
        accounts = accounts_for(prepared, facts)
        reserver = Reserver(ledger, accounts, Quoter(request), run, decision.cold)
        return await reserver.reserve(decision.ranking, None), run

    async def served(self, **headers: str) -> tuple[str, dict[str, Any]]:
        """The lane, and what the decision says of a move."""
        found, run = await self.reserve(
            {f"x-signalbox-{name}": value for name, value in headers.items()}
        )
        found.settle(self.life.proxies[0], 0, 0)
        (moved,) = run.decision.get("cheaper_lane", [{}])
        return found.quote.lane.id, moved

    async def refused(self, **headers: str) -> str:
        with pytest.raises(Refusal) as refusal:
            await self.served(**headers)
        return refusal.value.code


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    with closing(Store(partial(open_database, tmp_path / "ledger.db"))) as store:
        async with living(store, tmp_path, now=NOW, proxies=2) as life:
            yield Desk(life)


def small_usd(id_: str = "retail/a", usd: str = "0.003", **changes: Any) -> Budget:
    """The dear lane may cost 0.012 of it, the cheap one less than it has."""
    return budget(id_, nano(usd), **changes)


async def test_with_room_for_the_preferred_lane_nothing_moves(desk: Desk) -> None:
    await desk.apply(budget("retail/a", on_exhausted=CHEAPER))
    lane, moved = await desk.served()
    assert lane.startswith(f"{PLATFORM}/mini/")
    assert moved == {}


async def test_a_budget_that_says_so_moves_the_request_and_is_named(desk: Desk) -> None:
    await desk.apply(small_usd(on_exhausted=CHEAPER))
    lane, moved = await desk.served()
    assert lane == CHEAP
    assert (moved["budget"], moved["served"], moved["attempt"]) == ("retail/a", CHEAP, 1)
    assert moved["needed"] > moved["remaining"] == nano("0.003")


async def test_one_that_refuses_refuses(desk: Desk) -> None:
    await desk.apply(small_usd())
    assert await desk.refused() == "budget_exhausted"


@pytest.mark.parametrize("names", [("retail/a", "retail/b"), ("retail/b", "retail/a")])
async def test_of_two_in_the_way_the_one_that_refuses_decides(
    desk: Desk, names: tuple[str, str]
) -> None:
    await desk.apply(
        *sorted(
            (small_usd(names[0], on_exhausted=CHEAPER), small_usd(names[1])),
            key=lambda each: each.id,
        )
    )
    assert await desk.refused() == "budget_exhausted"


async def test_one_with_room_that_would_refuse_does_not_stand_in_the_way(desk: Desk) -> None:
    await desk.apply(small_usd(on_exhausted=CHEAPER), budget("retail/b"))
    assert (await desk.served())[0] == CHEAP


async def test_a_count_of_requests_is_the_same_on_every_lane(desk: Desk) -> None:
    none_left = budget("retail/b", 0, unit="requests", on_exhausted=CHEAPER)
    await desk.apply(budget("retail/a", on_exhausted=CHEAPER), none_left)
    assert await desk.refused() == "budget_exhausted"


async def test_what_is_too_little_for_any_lane_is_a_refusal(desk: Desk) -> None:
    await desk.apply(small_usd(usd="0.0000001", on_exhausted=CHEAPER))
    assert await desk.refused() == "budget_exhausted"


async def test_a_budget_in_dry_run_neither_moves_nor_stops_anybody(desk: Desk) -> None:
    watched = small_usd("retail/b", enforcement="DryRun", on_exhausted=CHEAPER)
    await desk.apply(budget("retail/a"), watched)
    found, run = await desk.reserve()
    assert found.quote.lane.id.startswith(f"{PLATFORM}/mini/")
    assert "cheaper_lane" not in run.decision
    assert [each.partition(":")[0] for each in run.dry_run_refusals] == ["budget_exhausted"]


async def test_new_users_beyond_the_bound_are_refused_whatever_the_lane(desk: Desk) -> None:
    per_user = budget("retail/b", per="user", new_subjects=1, on_exhausted=CHEAPER)
    await desk.apply(budget("retail/a"), per_user)
    await desk.served(user="ann")
    with pytest.raises(Refusal) as refused:
        await desk.reserve({"x-signalbox-user": "bob"})
    assert (refused.value.http_status, refused.value.code) == (402, "too_many_subjects")
    assert "retail/b" in refused.value.message
    assert "agent retail/support has brought 1 new ones" in refused.value.message
    await desk.served(user="ann")


async def test_in_dry_run_the_bound_is_only_told(desk: Desk) -> None:
    watched = budget("retail/b", per="user", new_subjects=1, enforcement="DryRun")
    await desk.apply(budget("retail/a"), watched)
    await desk.served(user="ann")
    _, run = await desk.reserve({"x-signalbox-user": "bob"})
    assert run.dry_run_refusals == [
        "too_many_subjects: retail/b lets an agent bring 1 new ones into a window"
    ]


async def test_a_request_that_began_in_another_unit_is_asked_to_come_again(desk: Desk) -> None:
    """Its budget was made again in tokens between its decision and its hold."""
    await desk.apply(budget("retail/a"))
    old = desk.runtime
    await desk.apply(budget("retail/a", 10**12, unit="tokens"), budget("retail/b"))
    desk.runtime = old
    assert await desk.refused() == "store_unavailable"


async def test_while_nobody_answers_what_lies_at_hand_may_serve_the_cheaper(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slice of what was left is at hand, the rest is with a database that is gone."""
    await desk.apply(small_usd(usd="0.003", on_exhausted=CHEAPER))
    ledger = desk.life.proxies[0]
    first, _ = await desk.reserve()
    assert first.quote.lane.id == CHEAP
    await ledger._connection.stop()
    first.settle(ledger, 0, 0)
    monkeypatch.setattr(drawing, "_ANSWER_S", (0.1, 0.1))
    async with asyncio.timeout(60):
        lane, moved = await desk.served()
    assert (lane, moved["reason"]) == (CHEAP, "unavailable")


async def test_who_leaves_while_a_budget_in_dry_run_is_asked_counts_nowhere(desk: Desk) -> None:
    await desk.apply(
        budget("retail/a"),
        budget("retail/calls", 10, unit="requests"),
        budget("retail/dry", enforcement="DryRun"),
    )
    ledger = desk.life.proxies[0]
    leaving = asyncio.create_task(desk.reserve())
    async with asyncio.timeout(60):
        while [waiter.claims[0].budget for waiter in ledger._drawer.waiters] != ["retail/dry"]:
            await asyncio.sleep(0)
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    (held,) = ledger._holdings.accounts["retail/calls", ""].slices
    assert (held.open, held.pending) == (0, 0), "no run will ever settle it"


async def test_a_session_s_cache_is_no_reason_to_be_refused(desk: Desk) -> None:
    """The lane that holds it is dearer, and the budget holds the other one only."""
    await desk.apply(small_usd(usd="0.013"))
    assert desk.runtime is not None
    us, eu = desk.runtime.models[f"{PLATFORM}/mini"].lanes
    warmth = {CacheHome.of(eu): 4000}
    found, run = await desk.reserve(warmth=warmth, text="A long story. " * 1400)
    assert found.quote.lane.id == us.id
    assert run.decision["cache_given_up"] == eu.id
    found.settle(desk.life.proxies[0], 0, 0)
    await desk.apply(small_usd(usd="1"))
    found, run = await desk.reserve(warmth=warmth, text="A long story. " * 1400)
    assert found.quote.lane.id == eu.id, "with room for it, the session goes where its cache is"
    assert "cache_given_up" not in run.decision
    found.settle(desk.life.proxies[0], 0, 0)


async def test_a_ledger_that_does_not_answer_is_asked_once_whatever_is_cached(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Asked again for the lane without the cache, its client would hear after twice the time."""
    await desk.apply(small_usd(usd="1"))
    assert desk.runtime is not None
    _, eu = desk.runtime.models[f"{PLATFORM}/mini"].lanes
    ledger = desk.life.proxies[0]
    await ledger._connection.stop()
    monkeypatch.setattr(drawing, "_ANSWER_S", (0.1, 0.1))
    asked, hold = [], ledger.hold

    async def counted(*given: Any, **more: Any) -> Any:
        asked.append(given)
        return await hold(*given, **more)

    monkeypatch.setattr(ledger, "hold", counted)
    async with asyncio.timeout(60):
        with pytest.raises(Refusal) as refusal:
            await desk.reserve(warmth={CacheHome.of(eu): 4000}, text="A long story. " * 1400)
    assert refusal.value.code == "store_unavailable"
    assert len(asked) == 1
