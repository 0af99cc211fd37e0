"""kill -9 of proxies and of PostgreSQL, with or without an authority, under load: the limit holds,
no run is lost, and nothing stays held where the journal lives.

Every round is a seed: it decides who dies and when. Ten rounds in `make prove`, 500 at night.
"""

import asyncio
import shutil
import time
from collections.abc import Iterator

import pytest

from support.arena import (
    FUNDED,
    Arena,
    agents_with_budgets,
    bill_pico,
    named,
    open_arena,
    refused_for_money,
    storm,
)
from support.figures import sized, tell
from support.kills import Judged, Kill, Killer, fight_through, judge, schedule
from support.ledgers import write_off
from support.oracle import PICO_PER_NANO
from support.postgres import PostgresServer, require_postgres
from support.snapshots import agent, budget, key_of

ROUNDS = sized(10, 500)
AFFORDABLE = 400
LEVELS = ("company", "region-{0}", "department-{1}", "team-{2}", "product-{2}", "agent-{2}")
CLIENTS_PER_AGENT = 10
AGENTS = 5


@pytest.fixture(scope="module")
def killer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Killer]:
    require_postgres()
    folder = tmp_path_factory.mktemp("fleet-kill")
    with PostgresServer(folder) as server:
        dsn = server.dsn(server.create_database())
        with open_arena(folder, dsn) as arena:
            yield Killer(arena, server)


def round_of(arena: Arena, killer: Killer, seed: int) -> Judged:
    name = f"victim-{seed}"
    kills = schedule(
        seed, proxies=len(arena.fleet.proxies), authorities=len(arena.fleet.authorities)
    )
    print(f"seed {seed}: " + ", ".join(map(str, kills)))
    arena.newly_billed()
    (told,) = fight_through(killer, [name], kills)
    assert told.statuses[200] > 0, told
    return judge(arena, name, told, arena.newly_billed())


@pytest.mark.proof
def test_who_dies_and_when_makes_no_difference_to_the_money(killer: Killer) -> None:
    arena = killer.arena
    names = [f"victim-{seed}" for seed in range(1, ROUNDS + 1)]
    arena.fund(**dict.fromkeys(names, AFFORDABLE * arena.cost))
    judged = [round_of(arena, killer, seed) for seed in range(1, ROUNDS + 1)]
    leaked = arena.leaked()
    overspend = max(each.bill - each.limit for each in judged)
    under_bill = max(each.bill - each.charged for each in judged)
    tell(
        "fleet kills",
        overspend_nano=max(0, overspend) // PICO_PER_NANO,
        ledger_under_bill_nano=max(0, under_bill) // PICO_PER_NANO,
        leaked_holds=len(leaked),
        lost_runs=sum(each.lost_runs for each in judged),
        kills=len(killer.killed),
        database_kills=killer.killed.count("postgresql"),
    )
    assert overspend <= 0, "the provider billed more than the limit"
    assert under_bill <= 0, "the ledger lost money"
    assert not leaked


def levels_of(number: int) -> list[str]:
    """The six budgets of one agent, the widest first: all, half, a third of all agents, its own."""
    return [named(level.format(number % 2, number % 3, number)) for level in LEVELS]


def level_limits(cost: int) -> dict[str, int]:
    """Some agents end at their own limit, some at a team's, some at the company's."""
    wide = {named("company"): 700 * cost, named("region-0"): 420 * cost}
    everything = {level for number in range(AGENTS) for level in levels_of(number)}
    return {level: 200 * cost + 7 * index for index, level in enumerate(sorted(everything))} | wide


@pytest.mark.proof
def test_of_six_levels_all_give_or_none_though_proxies_die(killer: Killer) -> None:
    """50 clients of five agents; a proxy dies between ceilings. What levels of the same agents
    granted is the same to the unit, and what was billed."""
    arena = killer.arena
    names = [f"leaf-{number}" for number in range(AGENTS)]
    limits = level_limits(arena.cost)
    agents = [agent(named(name), budgets=levels_of(index)) for index, name in enumerate(names)]
    probe_agents, probe_budgets = agents_with_budgets({"probe": FUNDED})
    arena.push(
        [*agents, *probe_agents],
        [*(budget(level, limit) for level, limit in limits.items()), *probe_budgets],
    )
    arena.newly_billed()
    kills = [Kill(0.4, "proxy-0"), Kill(0.9, "proxy-2")]
    fight_through(killer, names, kills, clients=CLIENTS_PER_AGENT)
    leaked = arena.leaked()
    granted = dict(
        arena.oracle.query("SELECT budget, granted FROM account WHERE budget <> 'retail/probe'")
    )
    overspend, spent = 0, dict.fromkeys(limits, 0)
    for index, name in enumerate(names):
        books = arena.oracle.books(named(name))
        books.assert_covered()
        for level in levels_of(index):
            spent[level] += books.ledger_nano
    for level, limit in limits.items():
        assert granted[level] == spent[level], level
        overspend = max(overspend, spent[level] - limit)
    bill = bill_pico(arena.newly_billed())
    tell(
        "six levels",
        overspend_nano=overspend,
        ledger_under_bill_nano=max(0, bill // PICO_PER_NANO - spent[named("company")]),
        leaked_holds=len(leaked),
        spent_share_of_limit=round(spent[named("company")] / limits[named("company")], 4),
    )
    assert overspend == 0
    assert not leaked
    assert bill <= spent[named("company")] * PICO_PER_NANO


@pytest.mark.proof
def test_a_lost_machine_loses_no_money(killer: Killer) -> None:
    """Killed, and its journal gone with its disk: what it held stays held until somebody says that
    it is lost. Then it is charged in full, and the rest of the budget can be spent."""
    arena = killer.arena
    arena.fund(lost=AFFORDABLE * arena.cost)
    arena.newly_billed()
    key = key_of(named("lost"))
    before = asyncio.run(storm(arena.urls(), key, requests=AFFORDABLE // 3, clients=8))
    assert set(before.statuses) <= {200, 503}, before
    proxy = arena.fleet.proxies[2]
    proxy.kill()
    shutil.rmtree(arena.fleet.folder / proxy.name / "journal")
    ((holder,),) = arena.oracle.query(
        "SELECT DISTINCT holder FROM slice WHERE holder LIKE ? AND budget = ?",
        f"{proxy.name}-%",
        named("lost"),
    )
    held = _held_by(arena, holder)[named("lost")]
    assert held > 0
    time.sleep(3)
    before_word = _held_by(arena, holder)
    assert before_word[named("lost")] == held, "time releases nothing"
    lost = asyncio.run(write_off(arena.fleet.authority_of(proxy).socket, holder))
    assert lost.amounts == {"usd": sum(before_word.values())}
    arena.fleet.revive(proxy)
    after = asyncio.run(
        storm(arena.urls(), key, requests=10**6, clients=16, stop=refused_for_money)
    )
    assert after.codes["budget_exhausted"] > 0, after
    leaked = arena.leaked()
    bill = bill_pico(arena.newly_billed())
    ledger = arena.oracle.books(named("lost")).ledger_nano + held
    limit = arena.limits["lost"]
    tell(
        "lost machine",
        overspend_nano=max(0, bill // PICO_PER_NANO - limit),
        ledger_under_bill_nano=max(0, bill // PICO_PER_NANO - ledger),
        leaked_holds=len(leaked),
        posted_as_lost_nano=held,
    )
    assert bill <= min(ledger, limit) * PICO_PER_NANO
    assert ledger <= limit
    assert not leaked


def _held_by(arena: Arena, holder: str) -> dict[str, int]:
    rows = arena.oracle.query(
        "SELECT budget, CAST(SUM(amount - spent) AS BIGINT) FROM slice WHERE holder = ?"
        " GROUP BY budget",
        holder,
    )
    return {budget_id: int(held) for budget_id, held in rows}
