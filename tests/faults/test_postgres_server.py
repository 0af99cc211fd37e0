"""The tests' PostgreSQL is what the proofs take it for: durable, killable, with a standby that can
be promoted without the primary's last commits."""

import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from support.postgres import PostgresServer, require_postgres


@pytest.fixture
def server(tmp_path: Path) -> Iterator[PostgresServer]:
    require_postgres()
    with PostgresServer(tmp_path) as started:
        yield started


def table_of(server: PostgresServer) -> str:
    name = server.create_database()
    with psycopg.connect(server.dsn(name)) as connection:
        connection.execute("CREATE TABLE kept (number integer)")
    return name


def write(server: PostgresServer, database: str, number: int) -> None:
    with psycopg.connect(server.dsn(database)) as connection:
        connection.execute("INSERT INTO kept VALUES (%s)", (number,))


def kept(server: PostgresServer, database: str) -> list[int]:
    return [row[0] for row in server.query("SELECT number FROM kept", database=database)]


def test_what_was_committed_survives_a_kill_of_every_process(server: PostgresServer) -> None:
    name = table_of(server)
    for number in range(3):
        write(server, name, number)
        server.kill()
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(server.dsn(name))
        server.start()
    assert kept(server, name) == [0, 1, 2]


def test_it_keeps_every_promise_about_durability(postgres_server: PostgresServer) -> None:
    for setting in ("fsync", "synchronous_commit", "full_page_writes"):
        assert postgres_server.query(f"SHOW {setting}") == [("on",)]


def test_a_wrong_password_is_refused_and_the_role_is_no_superuser(postgres_dsn: str) -> None:
    with psycopg.connect(postgres_dsn) as connection:
        row = connection.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user")
        assert row.fetchone() == (False,)
        wrong = connection.info.get_parameters() | {"password": "guessed"}
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(**wrong)


def test_a_frozen_server_keeps_connections_open_and_answers_when_it_thaws(
    server: PostgresServer,
) -> None:
    with psycopg.connect(server.dsn()) as connection:
        connection.execute("SELECT 1")
        server.freeze()
        with pytest.raises(psycopg.OperationalError, match="timeout"):
            psycopg.connect(server.dsn(), connect_timeout=2)
        server.thaw()
        row = connection.execute("SELECT 2").fetchone()
        assert row == (2,)


def test_a_standby_that_was_cut_off_is_promoted_without_the_last_commits(
    server: PostgresServer, tmp_path: Path
) -> None:
    name = table_of(server)
    write(server, name, 1)
    with server.standby(tmp_path) as copy:
        copy.caught_up(server)
        copy.cut_off()
        write(server, name, 2)
        server.kill()
        copy.promote()
        write(copy, name, 3)
        assert kept(copy, name) == [1, 3]
        (timeline,) = copy.query("SELECT timeline_id FROM pg_control_checkpoint()")
        assert timeline[0] >= 1
        assert copy.query("SELECT system_identifier FROM pg_control_system()")


def test_settings_of_the_command_line_hold_and_a_fresh_server_is_nobodys_copy(
    server: PostgresServer, tmp_path: Path
) -> None:
    with PostgresServer(tmp_path, settings={"fsync": "off"}, fresh=True) as other:
        assert other.query("SHOW fsync") == [("off",)]
        identifier = "SELECT system_identifier FROM pg_control_system()"
        assert other.query(identifier) != server.query(identifier)


def test_a_restart_takes_no_longer_than_a_test_can_wait(server: PostgresServer) -> None:
    began = time.monotonic()
    server.restart()
    server.restart("immediate")
    assert time.monotonic() - began < 90
