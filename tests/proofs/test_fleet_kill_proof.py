"""kill -9 of proxies and of PostgreSQL, with or without an authority, under load: the limit holds,
no run is lost, and nothing stays held where the journal lives.

Every round is a seed: it decides who dies and when. Ten rounds in `make prove`, 500 at night.
"""

from collections.abc import Iterator

import pytest

from support.arena import Arena, open_arena
from support.figures import sized, tell
from support.kills import Judged, Killer, fight_through, judge, schedule
from support.oracle import PICO_PER_NANO
from support.postgres import PostgresServer, require_postgres

ROUNDS = sized(10, 500)
AFFORDABLE = 400


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
    told = fight_through(killer, name, kills)
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
