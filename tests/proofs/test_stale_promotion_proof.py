"""The database fails over to a copy that lacks the last commits: nothing more is granted until live
proxies have presented their slices and somebody readmits. The money is right afterwards.

An asynchronous standby is cut off, the primary goes on and is lost, the standby is promoted. What
the fleet was told in between, the new primary does not know.
"""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from signalbox_ledger.asking import connected
from signalbox_ledger.desk_protocol import ReadmitBy
from signalbox_ledger.protocol import Done
from support.arena import named, open_arena, refused_for_money, storm
from support.faulty_link import FaultyLink
from support.figures import tell
from support.fleet import Machine
from support.oracle import PICO_PER_NANO, Oracle, eventually
from support.outages import Outages
from support.postgres import PostgresServer, require_postgres
from support.snapshots import key_of

HOLDS = 1_000


@dataclass
class Stage:
    outages: Outages
    standby: PostgresServer
    database: str


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    require_postgres()
    folder: Path = tmp_path_factory.mktemp("stale")
    with PostgresServer(folder) as primary, FaultyLink(primary.port) as link:
        name = primary.create_database()
        through = Machine(primary.dsn(name, port=link.port))
        with (
            open_arena(folder, through.dsn, machines=(through, through)) as arena,
            primary.standby(folder) as standby,
        ):
            yield Stage(Outages(primary, link, arena), standby, name)


def fail_over(stage: Stage) -> None:
    outages = stage.outages
    outages.server.kill()
    stage.standby.promote()
    outages.link.target_port = stage.standby.port
    outages.link.drop()
    outages.arena.oracle = Oracle(outages.arena.oracle.state, stage.standby.dsn(stage.database))


def frozen(stage: Stage) -> bool:
    ((reason,),) = stage.standby.query("SELECT frozen FROM ledger_state", database=stage.database)
    return bool(reason)


def readmit(socket: Path) -> None:
    """Once every proxy has settled again what the copy lacks: until then it is refused."""

    async def answer() -> object:
        async with connected(socket) as ask:
            return await ask(ReadmitBy("somebody"))

    eventually(lambda: asyncio.run(answer()) == Done(), what="draws are readmitted")


@pytest.mark.proof
def test_a_stale_copy_grants_nothing_until_somebody_readmits(stage: Stage) -> None:
    outages, arena = stage.outages, stage.outages.arena
    arena.fund(stale=HOLDS * arena.hold)
    arena.newly_billed()
    known = outages.ask("stale", rate=30, seconds=2)
    stage.standby.caught_up(outages.server)
    stage.standby.cut_off()
    forgotten = outages.ask("stale", rate=40, seconds=4)
    assert {each.status for each in known + forgotten} <= {200, 503}
    assert any(each.status == 200 for each in forgotten)
    fail_over(stage)
    during = outages.ask("stale", rate=30, seconds=60)
    eventually(lambda: frozen(stage), what="draws are frozen")
    refused = [each for each in during if each.status != 200]
    assert {each.status for each in refused} == {503}, refused
    assert all(each.retry_after for each in refused)
    still = outages.ask("stale", rate=10, seconds=3)
    assert {each.status for each in still} == {503}, "nothing heals by itself"
    readmit(arena.fleet.authority.socket)
    outages.serves_again("stale")
    told = asyncio.run(
        storm(
            arena.urls(),
            key_of(named("stale")),
            requests=10**6,
            clients=32,
            stop=refused_for_money,
        )
    )
    assert set(told.statuses) <= {200, 402, 503}, told
    books = arena.books("stale", runs=len(known) + len(forgotten) + told.asked)
    leaked = arena.leaked()
    limit = arena.limits["stale"] * PICO_PER_NANO
    tell(
        "stale promotion",
        overspend_nano=max(0, books.bill_pico - limit) // PICO_PER_NANO,
        ledger_under_bill_nano=max(0, books.bill_pico // PICO_PER_NANO - books.ledger_nano),
        leaked_holds=len(leaked),
        spent_share_of_limit=round(books.bill_pico / limit, 4),
        forgotten=len(forgotten),
        served_while_frozen=len(during) - len(refused),
    )
    assert books.bill_pico <= limit
    books.assert_equal()
    assert not leaked
