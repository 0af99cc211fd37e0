"""A newer release upgraded the tables beside this one: who may go on does, who may not says why."""

import asyncio
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from signalbox_ledger import run_lookup, run_sums
from signalbox_ledger.asking import connected
from signalbox_ledger.connection import LedgerUnavailableError
from signalbox_ledger.database import Database
from signalbox_ledger.desk import answer as at_the_desk
from signalbox_ledger.desk_protocol import Describe, Description
from signalbox_ledger.migrate import HEAD, OLDEST_WRITER, VERSION_TABLE, SchemaError
from signalbox_ledger.migrations import upgrade
from signalbox_ledger.opening import open_database
from signalbox_ledger.protocol import Configure, Configured, Hello, Request, Welcome
from signalbox_ledger.read_store import LedgerUnreadableError
from signalbox_ledger.reading import LedgerReader
from signalbox_ledger.store import Store
from support.ledgers import AuthorityProcess, budget
from support.newer_tables import NEWER, upgrade_further
from support.recorded_runs import NOON, correct, make_charge, make_run, record, refused_run


@pytest.fixture
def newer(ledger: Database) -> Database:
    """A ledger on which the next release works already."""
    record(ledger, [make_run("r_before")])
    upgrade_further(ledger)
    return ledger


@pytest.fixture
def authority(
    tmp_path_factory: pytest.TempPathFactory, postgres_dsn: str
) -> Iterator[AuthorityProcess]:
    """An authority of this release on PostgreSQL, which serves."""
    process = AuthorityProcess(tmp_path_factory.mktemp("a", numbered=True), dsn=postgres_dsn)
    process.start()
    yield process
    process.stop()


def asked(authority: AuthorityProcess, *requests: Request) -> list[object]:
    """The reply to each, on a connection of its own; the error where there is none."""

    async def ask_one(request: Request) -> object:
        try:
            async with connected(authority.socket) as ask:
                return await ask(request)
        except LedgerUnavailableError as error:
            return error

    async def ask_all() -> list[object]:
        return [await ask_one(request) for request in requests]

    return asyncio.run(ask_all())


def cut_off(where: str) -> None:
    """Every connection to the database ends, as when its server is restarted."""
    with closing(open_database(where)) as database, database.transaction():
        database.query(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


def test_the_ledger_says_who_may_work_on_it_new_or_upgraded(
    ledger: Database, where: Path | str
) -> None:
    said = "SELECT oldest_writer FROM ledger_state"
    assert ledger.query(said) == [(OLDEST_WRITER,)]
    assert upgrade.oldest_writer() == OLDEST_WRITER
    ledger.execute("ALTER TABLE ledger_state DROP COLUMN oldest_writer")
    ledger.execute(f"UPDATE {VERSION_TABLE} SET version_num = '0003'")
    with closing(open_database(where)) as upgraded:
        assert upgraded.query(said) == [(OLDEST_WRITER,)]


def test_what_is_recorded_beside_a_newer_release_is_recorded_whole(
    newer: Database, where: Path | str
) -> None:
    with closing(open_database(where)) as ledger:
        record(ledger, [make_run("r_after"), refused_run("r_refused")])
        correction = make_charge(kind="correction", cost=0, base=0, premium=0)
        correct(ledger, "r_after", [correction], NOON)
        assert run_lookup.find_run(ledger, "r_after") == make_run("r_after")
        sums = ledger.query("SELECT span, runs, cost_nano_usd FROM period_sum ORDER BY 1, 2, 3")
        run_sums.rebuild(ledger)
        assert sums == ledger.query(
            "SELECT span, runs, cost_nano_usd FROM period_sum ORDER BY 1, 2, 3"
        )
    with LedgerReader(where) as reader:
        for run_id in ("r_before", "r_after"):
            found = reader.run(run_id)
            assert found is not None
            assert found.run == make_run(run_id)


def test_the_desk_tells_the_revision_that_the_ledger_has(
    newer: Database, where: Path | str
) -> None:
    store = Store(partial(open_database, where))
    with closing(store), store.transaction():
        told = at_the_desk(store, Describe(), 0)
    assert isinstance(told, Description)
    assert told.revision == NEWER


def test_nobody_upgrades_what_a_newer_release_has_upgraded(
    newer: Database, where: Path | str
) -> None:
    open_database(where).close()
    assert newer.query(f"SELECT version_num FROM {VERSION_TABLE}") == [(NEWER,)]
    assert newer.query("SELECT oldest_writer FROM ledger_state") == [(HEAD,)]


def test_tables_that_this_release_would_harm_are_refused_to_writers_and_readers(
    ledger: Database, where: Path | str
) -> None:
    upgrade_further(ledger, oldest_writer=NEWER)
    sentence = f"for revision {NEWER} or newer, this one has {HEAD}: replace it by the newer one"
    with pytest.raises(SchemaError, match=sentence):
        open_database(where)
    with pytest.raises(LedgerUnreadableError, match=sentence):
        LedgerReader(where)


def test_an_authority_that_loses_its_connection_during_an_upgrade_comes_back(
    authority: AuthorityProcess, postgres_dsn: str
) -> None:
    """Half of the proxies are of the release before, and the database is restarted."""
    with closing(open_database(postgres_dsn)) as database:
        upgrade_further(database)
    cut_off(postgres_dsn)
    lost, configured, welcome = asked(
        authority, Configure(1, [budget()]), Configure(1, [budget()]), Hello("p", "p-1")
    )
    assert isinstance(lost, LedgerUnavailableError)
    assert configured == Configured(1)
    assert isinstance(welcome, Welcome)
    authority.stop()
    authority.start()
    (welcome,) = asked(authority, Hello("p", "p-2"))
    assert isinstance(welcome, Welcome)


def test_an_authority_hears_with_its_next_transaction_that_it_may_not_go_on(
    authority: AuthorityProcess, postgres_dsn: str
) -> None:
    """Its connection is as good as ever: what it would write is what is wrong."""
    with closing(open_database(postgres_dsn)) as database:
        upgrade_further(database, oldest_writer=NEWER)
    for told in asked(authority, Hello("p", "p-1"), Configure(1, [budget()])):
        assert isinstance(told, LedgerUnavailableError)
        assert "a newer release upgraded the ledger" in str(told)
    authority.stop()
    with pytest.raises(AssertionError, match="did not get ready"):
        authority.start()
