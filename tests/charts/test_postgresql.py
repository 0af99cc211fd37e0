"""The bundled PostgreSQL: its script, run by a real server, makes what the ledger takes."""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from signalbox_ledger.opening import open_database
from support.charts import BUNDLED, RELEASE, Objects
from support.fleet import eventually
from support.postgres import ADMIN, require_postgres
from support.running import free_ports

PASSWORD = "it's /odd+ €"


@pytest.fixture
def environment() -> Iterator[dict[str, str]]:
    """What the container gets, on this machine's paths, in a folder of the server's user."""
    require_postgres()
    (programs,) = sorted(Path("/usr/lib/postgresql").glob("*/bin"))[-1:]
    (port,) = free_ports(1)
    with tempfile.TemporaryDirectory() as folder:
        password = Path(folder) / "password"
        password.write_text(PASSWORD)
        if os.geteuid() == 0:
            for path in (Path(folder), password):
                shutil.chown(path, ADMIN)
        yield {
            "PATH": f"{programs}:{os.environ['PATH']}",
            "PGDATA": f"{folder}/cluster",
            "PASSWORD_FILE": str(password),
            "PORT": str(port),
            "HOME": folder,
        }


@contextmanager
def _server(environment: Mapping[str, str]) -> Iterator[str]:
    """The container's own command; the DSN of what it serves."""
    (container,) = Objects.of(BUNDLED).pods()[f"{RELEASE}-postgresql"]["spec"]["containers"]
    command = [*container["command"], *container["args"]]
    if os.geteuid() == 0:
        command[:0] = ["setpriv", f"--reuid={ADMIN}", f"--regid={ADMIN}", "--clear-groups", "--"]
    process = subprocess.Popen(command, env=dict(environment), cwd=environment["HOME"])
    dsn = psycopg.conninfo.make_conninfo(
        host="127.0.0.1",
        port=environment["PORT"],
        user="signalbox",
        password=PASSWORD,
        dbname="signalbox",
    )
    try:
        eventually(lambda: _answers(dsn, process))
        yield dsn
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(60)


def _answers(dsn: str, process: subprocess.Popen[bytes]) -> bool:
    assert process.poll() is None
    try:
        psycopg.connect(dsn, connect_timeout=5).close()
    except psycopg.OperationalError:
        return False
    return True


def test_the_database_is_made_once_kept_and_one_that_the_ledger_takes(
    environment: dict[str, str],
) -> None:
    with _server(environment) as dsn:
        open_database(dsn).close()
    with _server(environment) as dsn, psycopg.connect(dsn) as connection:
        tables = connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'")
        assert (tables.fetchone() or (0,))[0] > 5, "they are there after a restart"


def test_a_making_that_was_interrupted_begins_anew(environment: dict[str, str]) -> None:
    folder = Path(environment["PGDATA"])
    folder.mkdir()
    (folder / "half").touch()
    if os.geteuid() == 0:
        shutil.chown(folder, ADMIN)
    with _server(environment) as dsn:
        open_database(dsn).close()


def test_nobody_gets_in_without_the_password(environment: dict[str, str]) -> None:
    with _server(environment) as dsn:
        wrong = psycopg.conninfo.make_conninfo(dsn, password="guess")
        with pytest.raises(psycopg.OperationalError, match="authentication failed"):
            psycopg.connect(wrong, connect_timeout=5)
