"""Not a penny over, and no false refusal, in a fleet on PostgreSQL: 64 clients, three proxies on
two machines, one database.

Each repeat is a fresh budget for about a fifth of what is asked of it. It begins with a burst of 1,
20 or 200 requests at the same instant. The provider's bill, on disk before each answer ends, is the
judge; the ledger is compared with it once everything has come to rest. The short form is in
`tests/faults/test_fleet_on_postgres.py`.
"""

from collections.abc import Iterator

import pytest

from support.arena import Arena, bursts, open_arena
from support.fights import fight, judge
from support.figures import sized
from support.postgres import PostgresServer

REPEATS = 20
REQUESTS = sized(5_000, 200_000)
AFFORDABLE = REQUESTS // 5


@pytest.fixture(scope="module")
def arena(
    tmp_path_factory: pytest.TempPathFactory, postgres_server: PostgresServer
) -> Iterator[Arena]:
    dsn = postgres_server.dsn(postgres_server.create_database())
    with open_arena(tmp_path_factory.mktemp("fleet-budget"), dsn) as opened:
        yield opened


@pytest.mark.proof
def test_twenty_budgets_are_spent_and_none_is_overspent(arena: Arena) -> None:
    names = [f"storm-{number}" for number in range(REPEATS)]
    arena.fund(**dict.fromkeys(names, AFFORDABLE * arena.cost))
    fights = [
        fight(arena, name, requests=REQUESTS, burst=burst)
        for name, burst in zip(names, bursts(), strict=False)
    ]
    judge(arena, "fleet budget", fights, spent_percent=95, repeats=REPEATS)
