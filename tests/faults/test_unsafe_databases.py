"""A PostgreSQL that could lose what it acknowledged is refused at the start, with the fix."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from signalbox_ledger.opening import DSN_VARIABLE
from support.postgres import ROLE, PostgresServer, require_postgres


def refused(folder: Path, dsn: str) -> str:
    """What an authority says that cannot start."""
    ran = subprocess.run(
        [
            *(sys.executable, "-m", "signalbox_ledger.authority", "--postgresql"),
            *("--socket", str(folder / "a.sock")),
        ],
        env=os.environ | {DSN_VARIABLE: dsn},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ran.returncode == 1, ran
    assert ran.stdout == ""
    assert "Traceback" not in ran.stderr
    return ran.stderr


@pytest.mark.parametrize("where", ["DATABASE", "ROLE"])
def test_synchronous_commit_off_for_the_database_or_the_role_is_refused(
    postgres_server: PostgresServer, tmp_path: Path, where: str
) -> None:
    name = postgres_server.create_database()
    target = f'DATABASE "{name}"' if where == "DATABASE" else f'ROLE {ROLE} IN DATABASE "{name}"'
    postgres_server.query(f"ALTER {target} SET synchronous_commit = off")
    said = refused(tmp_path, postgres_server.dsn(name))
    assert "synchronous_commit is off, so a crash can lose acknowledged commits" in said
    assert "set synchronous_commit = on" in said
    postgres_server.drop_database(name)


@pytest.mark.parametrize("setting", ["fsync", "full_page_writes"])
def test_a_server_that_does_not_keep_what_it_commits_is_refused(
    tmp_path: Path, setting: str
) -> None:
    require_postgres()
    with PostgresServer(tmp_path, settings={setting: "off"}) as server:
        said = refused(tmp_path, server.dsn(server.create_database()))
    assert f"{setting} is off, so a crash can lose acknowledged commits: set {setting} = on" in said


def test_a_standby_is_refused(postgres_server: PostgresServer, tmp_path: Path) -> None:
    with postgres_server.standby(tmp_path) as copy:
        said = refused(tmp_path, copy.dsn())
    assert "is a standby: connect to the primary" in said
