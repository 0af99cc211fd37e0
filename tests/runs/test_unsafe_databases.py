"""A database that could lose what it acknowledged is refused, in one sentence that has the fix."""

from contextlib import closing
from pathlib import Path

import pytest

from signalbox_ledger import postgres_settings
from signalbox_ledger.database import UnsafeDatabaseError
from signalbox_ledger.opening import connect, open_database
from support.postgres import PostgresServer

SAFE = {
    "in_recovery": "false",
    "server_version_num": "150018",
    "server_encoding": "UTF8",
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    "synchronous_standby_names": "",
    "default_transaction_read_only": "off",
}


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"server_version_num": "130012"}, "older than 14: upgrade"),
        ({"server_encoding": "SQL_ASCII"}, "ENCODING 'UTF8'"),
        ({"in_recovery": "true"}, "standby: connect to the primary"),
        ({"fsync": "off"}, "set fsync = on"),
        ({"full_page_writes": "off"}, "set full_page_writes = on"),
        ({"synchronous_commit": "off"}, "set synchronous_commit = on"),
        (
            {"synchronous_commit": "local", "synchronous_standby_names": "*"},
            "a failover can lose acknowledged commits",
        ),
        ({"default_transaction_read_only": "on"}, "set it to off"),
    ],
    ids=str,
)
def test_each_setting_is_refused_with_its_fix(changed: dict[str, str], words: str) -> None:
    told = postgres_settings.refusal(SAFE | changed, read_only=False)
    assert told is not None
    assert words in told


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"synchronous_commit": "local"},
        {"synchronous_commit": "remote_write", "synchronous_standby_names": "*"},
        {"synchronous_commit": "remote_apply", "synchronous_standby_names": "*"},
    ],
    ids=str,
)
def test_settings_that_lose_nothing_are_taken(changed: dict[str, str]) -> None:
    assert postgres_settings.refusal(SAFE | changed, read_only=False) is None


def test_readers_take_a_standby_and_a_server_that_is_not_safe() -> None:
    unsafe = SAFE | {"in_recovery": "true", "fsync": "off", "synchronous_commit": "off"}
    assert postgres_settings.refusal(unsafe, read_only=True) is None


@pytest.mark.parametrize(
    "settings",
    [
        {"synchronous_commit": "off"},
        {"fsync": "off"},
        {"full_page_writes": "off"},
        {"default_transaction_read_only": "on"},
    ],
    ids=str,
)
def test_a_server_with_such_a_setting_is_refused(settings: dict[str, str], tmp_path: Path) -> None:
    with PostgresServer(tmp_path, settings=settings) as server:
        dsn = server.dsn()
        with pytest.raises(UnsafeDatabaseError, match=next(iter(settings))):
            open_database(dsn)


def test_a_role_or_a_database_that_weakens_commits_is_refused(
    postgres_server: PostgresServer,
) -> None:
    name = postgres_server.create_database()
    postgres_server.query(f'ALTER DATABASE "{name}" SET synchronous_commit = off')
    with pytest.raises(UnsafeDatabaseError, match="synchronous_commit is off"):
        connect(postgres_server.dsn(name))
    postgres_server.drop_database(name)


def test_a_standby_is_refused(tmp_path: Path) -> None:
    with PostgresServer(tmp_path) as primary, primary.standby(tmp_path) as standby:
        with pytest.raises(UnsafeDatabaseError, match="standby: connect to the primary"):
            connect(standby.dsn())
        with closing(connect(standby.dsn(), read_only=True)) as reader:
            assert reader.query("SELECT pg_is_in_recovery()") == [(True,)]


def test_a_database_in_another_encoding_is_refused(postgres_server: PostgresServer) -> None:
    postgres_server.query("CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
    with pytest.raises(UnsafeDatabaseError, match="encoding LATIN1"):
        connect(postgres_server.dsn("latin"))
    postgres_server.drop_database("latin")


def test_a_session_raises_what_is_weaker_than_on_and_leaves_what_is_stronger(
    postgres_server: PostgresServer,
) -> None:
    for configured, used in (("local", "on"), ("remote_write", "on"), ("remote_apply", None)):
        options = f"options=-csynchronous_commit%3D{configured}"
        with closing(connect(postgres_server.dsn(options=options))) as database:
            ((value,),) = database.query("SHOW synchronous_commit")
        assert value == (used or configured)
