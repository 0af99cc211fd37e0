"""A PostgreSQL server of the tests' own: real, durable, started and killed at will.

    with PostgresServer(tmp_path) as server:
        dsn = server.dsn(server.create_database())

It listens on 127.0.0.1 and a free port, asks for a password (scram), runs as the user `postgres`
where the tests run as root, and ends with the test's process. Clients are the ordinary role
`signalbox`, which owns its databases and nothing else. No fsync is left out: what a kill takes
away here is what it would take away anywhere.
"""

import atexit
import contextlib
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, LiteralString, Self, cast

import psycopg
import pytest

from support.running import free_ports

ROLE = "signalbox"
ADMIN = "postgres"
START_S = 120.0
StopMode = Literal["smart", "fast", "immediate"]
STOP_SIGNALS: dict[StopMode, signal.Signals] = {
    "smart": signal.SIGTERM,
    "fast": signal.SIGINT,
    "immediate": signal.SIGQUIT,
}
SETTINGS: dict[str, str] = {
    "listen_addresses": "127.0.0.1",
    "shared_buffers": "32MB",
    "max_connections": "80",
    "max_wal_senders": "4",
    "wal_level": "replica",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_lock_waits": "on",
    "log_line_prefix": "%m [%p] ",
    "jit": "off",
}


@cache
def missing_server() -> str:
    """Why no server can be started here; empty where one can."""
    if not _folders():
        return "no PostgreSQL server is installed (looked for /usr/lib/postgresql/*/bin/initdb)"
    if shutil.which("setpriv") is None:
        return "PostgreSQL tests need `setpriv` (util-linux)"
    if os.geteuid() == 0:
        try:
            pwd.getpwnam(ADMIN)
        except KeyError:
            return "PostgreSQL does not run as root, and there is no user `postgres`"
    return ""


def require_postgres() -> None:
    """Skip the test where there is no server; with CI=true that is a failure."""
    reason = missing_server()
    if reason and os.environ.get("CI") == "true":
        pytest.fail(reason)
    if reason:
        pytest.skip(reason)


def _folders() -> list[Path]:
    """Folders with server programs, newest release last."""
    found = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    found.sort(key=lambda folder: float(folder.parent.name))
    if not found and (initdb := shutil.which("initdb")):
        found = [Path(initdb).parent]
    return found


def _program(name: str) -> str:
    return str(_folders()[-1] / name)


def _command(name: str, *arguments: str) -> list[str]:
    """The program as the user that PostgreSQL runs as; it ends when this process ends."""
    rights: list[str] = []
    if os.geteuid() == 0:
        rights = [f"--reuid={ADMIN}", f"--regid={ADMIN}", "--init-groups"]
    return ["setpriv", *rights, "--pdeathsig", "QUIT", "--", name, *arguments]


def _run(folder: Path, name: str, *arguments: str, text: str | None = None) -> None:
    ran = subprocess.run(
        _command(name, *arguments), cwd=folder, input=text, capture_output=True, text=True
    )
    assert ran.returncode == 0, f"{name}: {ran.stdout}{ran.stderr}"


def _new_folder() -> Path:
    """An empty folder that the server's user owns; pytest's own folders are closed to it."""
    folder = Path(tempfile.mkdtemp(prefix="signalbox-postgres-"))
    if os.geteuid() == 0:
        owner = pwd.getpwnam(ADMIN)
        os.chown(folder, owner.pw_uid, owner.pw_gid)
    return folder


@cache
def _password() -> str:
    return secrets.token_urlsafe(18)


@cache
def _template() -> Path:
    """A data folder that was never started, made once for each process of the tests."""
    folder = _new_folder()
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return _initialized(folder)


def _initialized(folder: Path) -> Path:
    data = folder / "data"
    password = folder / "password"
    password.touch(0o600)
    password.write_text(_password())
    if os.geteuid() == 0:
        owner = pwd.getpwnam(ADMIN)
        os.chown(password, owner.pw_uid, owner.pw_gid)
    _run(
        folder,
        _program("initdb"),
        *("--pgdata", str(data), "--username", ADMIN, "--pwfile", str(password)),
        *("--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C", "--no-sync"),
        *("--wal-segsize", "4"),
    )
    password.unlink()
    role = f"CREATE ROLE {ROLE} LOGIN PASSWORD '{_password()}'\n"
    _run(folder, _program("postgres"), "--single", "-D", str(data), ADMIN, text=role)
    return data


class PostgresServer:
    """One server with a data folder of its own. `settings` are given on its command line; a
    `fresh` one shares no system identifier with any other server.

    It ends with the thread that started it, as the kernel counts parents: start it in the main one.
    """

    def __init__(
        self, folder: Path, *, settings: Mapping[str, str] | None = None, fresh: bool = False
    ) -> None:
        self.settings = dict(settings or {})
        self.log = folder / f"postgres-{secrets.token_hex(3)}.log"
        self._fresh = fresh
        self._home: Path | None = None
        self._port = 0
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        require_postgres()
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def home(self) -> Path:
        """What the server's user owns: the data folder and the socket."""
        if self._home is None:
            self._home = _new_folder()
        return self._home

    @property
    def data(self) -> Path:
        return self.home / "data"

    @property
    def port(self) -> int:
        """Where it listens on 127.0.0.1, through every restart."""
        if not self._port:
            (self._port,) = free_ports(1)
        return self._port

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start, or start again, and wait until it takes queries."""
        if not self.data.exists():
            self._make_data()
        self._launch()
        deadline = time.monotonic() + START_S
        while True:
            assert self._process is not None
            assert self._process.poll() is None, self.log.read_text()
            try:
                self.query("SELECT 1")
            except psycopg.OperationalError:
                assert time.monotonic() < deadline, self.log.read_text()
                time.sleep(0.02)
            else:
                return

    def _make_data(self) -> None:
        if self._fresh:
            _initialized(self.home)
        else:
            _run(self.home, "cp", "-a", str(_template()), str(self.data))

    def _launch(self) -> None:
        settings = SETTINGS | self.settings | {"unix_socket_directories": str(self.home)}
        flat = [part for pair in settings.items() for part in ("-c", "=".join(pair))]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                _command(_program("postgres"), "-D", str(self.data), "-p", str(self.port), *flat),
                cwd=self.home,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def stop(self, mode: StopMode = "fast", *, within_s: float = 60.0) -> None:
        """Shut it down: `fast` rolls back what is open, `immediate` is a crash with manners."""
        if self._process is not None:
            self._signal_all(signal.SIGCONT)
            self._process.send_signal(STOP_SIGNALS[mode])
            self._process.wait(within_s)
            self._process = None

    def kill(self) -> None:
        """kill -9 of every process of it at once, as when its machine is lost."""
        if self._process is None:
            return
        pids = self._pids()
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._process.wait()
        self._process = None
        deadline = time.monotonic() + 60
        while any(_is_postgres(pid, self.data) for pid in pids):
            assert time.monotonic() < deadline, "a backend outlives its SIGKILL"
            time.sleep(0.005)

    def restart(self, mode: StopMode = "fast") -> None:
        self.stop(mode)
        self.start()

    def freeze(self) -> None:
        """SIGSTOP of every process of it: connections stay open, nothing answers."""
        self._signal_all(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal_all(signal.SIGCONT)

    def close(self) -> None:
        """End it and remove what it wrote."""
        self.kill()
        if self._home is not None:
            shutil.rmtree(self._home, ignore_errors=True)
            self._home = None

    def _signal_all(self, number: signal.Signals) -> None:
        for pid in self._pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def _pids(self) -> list[int]:
        """The postmaster, then its children: each child leads a session of its own."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children")
        try:
            return [self.pid, *map(int, children.read_text().split())]
        except OSError:
            return [self.pid]

    def dsn(
        self, database: str = ADMIN, *, port: int | None = None, role: str = ROLE, options: str = ""
    ) -> str:
        """Where to connect; `port` leads through a link that stands before the server."""
        tail = f"?{options}" if options else ""
        return f"postgresql://{role}:{_password()}@127.0.0.1:{port or self.port}/{database}{tail}"

    def query(
        self, statement: str, parameters: Sequence[object] = (), *, database: str = ADMIN
    ) -> list[tuple[Any, ...]]:
        """Rows of one statement, run by the superuser in a transaction of its own kind."""
        admin = self.dsn(database, role=ADMIN, options="connect_timeout=60")
        with psycopg.connect(admin, autocommit=True) as connection:
            cursor = connection.execute(cast("LiteralString", statement), parameters or None)
            return cursor.fetchall() if cursor.description else []

    def create_database(self, name: str = "", *, template: str = "template1") -> str:
        """A new database that `signalbox` owns; its name."""
        name = name or f"test_{secrets.token_hex(6)}"
        self.query(f'CREATE DATABASE "{name}" OWNER {ROLE} TEMPLATE "{template}"')
        return name

    def drop_database(self, name: str) -> None:
        """Drop it, whoever is connected."""
        self.query(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def standby(self, folder: Path) -> "PostgresServer":
        """A streaming copy, to be started; asynchronous, so that a promotion may lose commits."""
        copy = PostgresServer(folder, settings=self.settings)
        source = self.dsn(role=ADMIN).removesuffix(f"/{ADMIN}")
        _run(
            copy.home,
            _program("pg_basebackup"),
            *("--pgdata", str(copy.data), "--dbname", f"{source}/replication"),
            *("--write-recovery-conf", "--wal-method", "stream", "--checkpoint", "fast"),
            "--no-sync",
        )
        return copy

    def pause_replay(self) -> None:
        """The standby receives, and applies nothing more."""
        self.query("SELECT pg_wal_replay_pause()")
        self._until("SELECT pg_get_wal_replay_pause_state() = 'paused'")

    def cut_off(self) -> None:
        """The standby hears of its primary no more: what commits from now on is unknown to it."""
        self.query("ALTER SYSTEM SET primary_conninfo = ''")
        self.query("SELECT pg_reload_conf()")
        self._until("SELECT count(*) = 0 FROM pg_stat_wal_receiver")

    def caught_up(self, primary: "PostgresServer") -> None:
        """Wait until this standby has applied all that `primary` has written."""
        ((position,),) = primary.query("SELECT pg_current_wal_lsn()::text")
        self._until(f"SELECT pg_last_wal_replay_lsn() >= '{position}'")

    def promote(self) -> None:
        """The standby is the primary from now on, on a timeline of its own."""
        self.query("SELECT pg_promote(true, 60)")
        self._until("SELECT NOT pg_is_in_recovery()")

    def _until(self, condition: str, *, within_s: float = 90.0) -> None:
        deadline = time.monotonic() + within_s
        while self.query(condition) != [(True,)]:
            assert time.monotonic() < deadline, f"not within {within_s} s: {condition}"
            time.sleep(0.02)


def _is_postgres(pid: int, data: Path) -> bool:
    """Whether that process lives and works in `data`."""
    try:
        return Path(f"/proc/{pid}/cwd").readlink() == data
    except OSError:
        return False
