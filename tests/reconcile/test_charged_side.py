"""What the ledger charged is read in either database: attempts in pages, sums by day and lane."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from signalbox_ledger import reconciliation_ledger, run_store
from signalbox_ledger.opening import open_database
from signalbox_ledger.read_store import ReadOnlyDatabase
from signalbox_ledger.records import Run
from support.postgres import PostgresServer
from support.recorded_runs import NOON, make_attempt, make_charge, make_run

DAY = 86_400_000
MIDNIGHT = NOON - DAY // 2


@pytest.fixture(params=["sqlite", "postgresql"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> Path | str:
    """Where the ledger is."""
    if request.param == "sqlite":
        return tmp_path / "ledger.db"
    server: PostgresServer = request.getfixturevalue("postgres_server")
    template: str = request.getfixturevalue("ledger_template")
    return str(server.dsn(server.create_database(template=template)))


@pytest.fixture
def source(where: Path | str) -> Iterator[ReadOnlyDatabase]:
    """A ledger of a few runs, one of them corrected."""
    first = make_attempt(1, settlement="released", outcome="unsent", usage=None, cost_nano=0)
    lost = make_attempt(
        2, settlement="full", usage=None, cost_nano=20_000, lane="us", started_at=NOON
    )
    runs = [
        made("r_1", [make_attempt(provider_request_id="req_1")]),
        made("r_2", [first, lost], started_at=NOON),
        made("r_3", [make_attempt(started_at=NOON + DAY)], started_at=NOON + DAY),
        make_run("r_4", attempts=[], charges=[], cost_nano=0, outcome="refused", refusal="no_lane"),
    ]
    correction = make_charge(2, kind="correction", quantity=0, cost=-500, base=-500, premium=0)
    with closing(open_database(where)) as database, database.transaction():
        run_store.insert_runs(database, runs)
        run_store.insert_corrections(database, "r_2", [correction], NOON + 1)
    with ReadOnlyDatabase(where) as opened:
        yield opened


def made(run_id: str, attempts: list[object], **changed: object) -> Run:
    charges = [make_charge(each.number) for each in attempts if each.cost_nano]  # type: ignore[attr-defined]
    return make_run(run_id, attempts=attempts, charges=charges, **changed)


def test_attempts_that_left_are_read_with_what_they_cost_by_now(source: ReadOnlyDatabase) -> None:
    found = list(reconciliation_ledger.attempts(source, MIDNIGHT, MIDNIGHT + DAY))
    assert [(each.run_id, each.number, each.nano, each.corrections) for each in found] == [
        ("r_1", 1, 9_900, 0),
        ("r_2", 2, 19_500, 1),
    ]
    assert (found[0].request_id, found[0].lines, found[0].upstream_model) == (
        "req_1",
        1,
        "sonnet-eu",
    )
    assert (found[1].is_unknown, found[1].settlement) == (False, "full")


def test_many_runs_of_one_instant_are_read_page_by_page(
    source: ReadOnlyDatabase, where: Path | str
) -> None:
    more = reconciliation_ledger.PAGE + 3
    with closing(open_database(where)) as database, database.transaction():
        run_store.insert_runs(
            database, [made(f"r_more_{number:05}", [make_attempt()]) for number in range(more)]
        )
    found = list(reconciliation_ledger.attempts(source, MIDNIGHT, MIDNIGHT + DAY))
    assert len({each.run_id for each in found}) == len(found) == more + 2


def test_sums_are_by_utc_day_and_lane_with_corrections(source: ReadOnlyDatabase) -> None:
    eu, us = reconciliation_ledger.sums(source, MIDNIGHT, MIDNIGHT + DAY)
    assert (eu.day, eu.lane, eu.requests, eu.nano, eu.lines) == (MIDNIGHT, "eu", 1, 9_900, 1)
    assert (eu.input, eu.cached, eu.output, eu.unknown) == (10, 100, 11, 0)
    assert (us.lane, us.requests, us.nano) == ("us", 1, 19_500)
    assert (us.unknown, us.unknown_nano, us.input) == (0, 0, 0)
    whole = reconciliation_ledger.sums(source, MIDNIGHT, MIDNIGHT + 2 * DAY)
    assert [each.day for each in whole] == [MIDNIGHT, MIDNIGHT, MIDNIGHT + DAY]


def test_the_reach_of_the_ledger_is_known(source: ReadOnlyDatabase) -> None:
    assert reconciliation_ledger.reach(source) == (NOON, NOON + DAY + 1)
