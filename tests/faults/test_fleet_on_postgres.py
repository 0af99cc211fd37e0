"""A fleet of three proxies on two machines, on real PostgreSQL: short forms of the proofs.

The long forms are in `tests/proofs`, and judge in the same way.
"""

from collections.abc import Iterator

import pytest

from support.fights import fight, judge
from support.kills import Kill, Killer, fight_through
from support.kills import judge as judge_kills
from support.outages import Outages, open_outages


@pytest.fixture(scope="module")
def outages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outages]:
    with open_outages(tmp_path_factory.mktemp("fleet")) as opened:
        yield opened


def test_three_proxies_on_two_machines_spend_one_budget_and_not_more(outages: Outages) -> None:
    arena = outages.arena
    arena.fund(short=60 * arena.cost)
    fought = fight(arena, "short", requests=200, burst=64)
    judge(arena, "fleet budget, short", [fought], spent_percent=80)


def test_a_database_that_is_down_closes_admission_when_slices_are_used_up(
    outages: Outages,
) -> None:
    outages.judge("down", **outages.suffer("down"))


def test_a_proxy_and_the_database_die_and_no_money_is_lost(outages: Outages) -> None:
    arena = outages.arena
    arena.fund(victim=200 * arena.cost)
    arena.newly_billed()
    kills = [Kill(0.2, "proxy-1"), Kill(0.4, "postgresql")]
    (told,) = fight_through(Killer(arena, outages.server), ["victim"], kills)
    judged = judge_kills(arena, "victim", told, arena.newly_billed())
    assert judged.bill <= judged.limit
    assert judged.bill <= judged.charged
    assert judged.lost_runs == 0
    assert not arena.leaked()
