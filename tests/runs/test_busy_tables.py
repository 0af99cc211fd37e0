"""Tables are upgraded beside those who read them for long, and beside those who draw."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from functools import partial

import psycopg
import pytest

from signalbox_ledger.database import DatabaseError
from signalbox_ledger.migrate import HEAD, VERSION_TABLE
from signalbox_ledger.migrations import upgrade
from signalbox_ledger.opening import open_database
from signalbox_ledger.protocol import Configure, Draw, DrawItem, Drawn, Hello
from signalbox_ledger.service import Service
from signalbox_ledger.session import Session
from signalbox_ledger.store import Store
from support.ledgers import budget
from support.oracle import eventually

DAY = budget(limit=100)
WANTS_STATE = """
    SELECT 1 FROM pg_locks WHERE NOT granted AND mode = 'AccessExclusiveLock'
       AND relation = 'ledger_state'::regclass"""


def ask(store: Store, session: Session, request: object) -> object:
    with store.transaction():
        return Service(store).answer(session, request, 0)  # type: ignore[arg-type]


def draw(store: Store, session: Session, id_: str) -> object:
    return ask(store, session, Draw([DrawItem(id_, DAY.id, "", [1], 0, 0, DAY.basis)]))


def make_older(dsn: str) -> None:
    """Put a ledger back to a revision from which the way up leads through `ledger_state`."""
    with psycopg.connect(dsn) as connection:
        connection.execute(f"UPDATE {VERSION_TABLE} SET version_num = '0003'")


@contextmanager
def backup(dsn: str) -> Iterator[psycopg.Connection]:
    """Reads, and goes on reading, as pg_dump does."""
    with psycopg.connect(dsn) as connection:
        connection.execute("SELECT count(*) FROM ledger_state, holder, slice")
        yield connection


def revision(dsn: str) -> str:
    with psycopg.connect(dsn) as connection:
        ((found,),) = connection.execute(f"SELECT version_num FROM {VERSION_TABLE}").fetchall()
        return str(found)


def test_draws_go_on_while_an_upgrade_waits_for_a_backup(
    postgres_ledger: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each transaction begins by reading the table that the upgrade waits for."""
    monkeypatch.setattr(upgrade, "PAUSE_S", 0.1)
    store, session = Store(partial(open_database, postgres_ledger)), Session()
    with closing(store):
        ask(store, session, Configure(1, [DAY]))
        ask(store, session, Hello("p", "p-1"))
        make_older(postgres_ledger)
        with ThreadPoolExecutor(1) as pool:
            with backup(postgres_ledger) as reader:
                upgrading = pool.submit(upgrade.upgrade, postgres_ledger)
                for number in range(3):
                    eventually(lambda: reader.execute(WANTS_STATE).fetchall(), what="it waits")
                    assert isinstance(draw(store, session, f"p.{number}"), Drawn)
                assert not upgrading.done()
            upgrading.result()
        assert revision(postgres_ledger) == HEAD
        assert isinstance(draw(store, session, "p.last"), Drawn)


def test_an_upgrade_that_nobody_lets_through_fails_in_the_end_and_changes_nothing(
    postgres_ledger: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upgrade, "BUSY_S", 0.0)
    make_older(postgres_ledger)
    with backup(postgres_ledger):
        with pytest.raises(DatabaseError, match=r"cannot be brought up to date: .*lock timeout"):
            open_database(postgres_ledger)
        assert revision(postgres_ledger) == "0003"
    open_database(postgres_ledger).close()
    assert revision(postgres_ledger) == HEAD
