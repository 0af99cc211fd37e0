"""A running fleet for tests: authority, proxies and simulated provider as real processes.

    with Fleet(tmp_path, proxies=2) as fleet:
        fleet.push(snapshot())
        client = OpenAI(base_url=fleet.openai_url, api_key=key_of("retail/support"))

Everything listens on 127.0.0.1 and free ports, and ends with the test's process.
"""

import asyncio
import json
import os
import secrets
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from signalbox_ledger.connection import LedgerUnavailableError
from signalbox_ledger.reading import LedgerReader
from signalbox_ledger.recovery import recover_all
from signalbox_simulator.process import SimulatorProcess
from signalbox_snapshot import codec, envelope, signing_keys
from signalbox_snapshot.snapshot import Snapshot
from support.ledgers import AuthorityProcess
from support.snapshots import CREDENTIALS, simulated
from support.timing import at_most

FLEET = "test"
ENVIRONMENT_PATH = os.pathsep.join(path for path in sys.path if path)


def eventually(condition: Callable[[], Any], *, within_s: float = 60.0) -> Any:
    """Wait until it gives something true; fail after `within_s`."""
    deadline = time.monotonic() + at_most(within_s)
    while True:
        found = condition()
        if found:
            return found
        assert time.monotonic() < deadline, f"not within {within_s} s: {condition}"
        time.sleep(0.01)


@dataclass
class ProxyProcess:
    """One `python -m signalbox_proxy`, which tests may kill and start again."""

    name: str
    folder: Path
    arguments: list[str]
    environment: dict[str, str] = field(default_factory=dict)
    hurried: bool = False
    ports: dict[str, int] = field(default_factory=dict)
    _process: subprocess.Popen[str] | None = None

    @property
    def process(self) -> subprocess.Popen[str]:
        assert self._process is not None
        return self._process

    @property
    def log(self) -> Path:
        return self.folder / f"{self.name}.log"

    def start(self, *, port: int = 0) -> None:
        self.launch(port=port)
        self.await_ready()

    def launch(self, *, port: int = 0) -> None:
        """Begin to start it; `await_ready` has to follow."""
        program = ["signalbox_proxy"] if self.hurried else ["support.patience", "signalbox_proxy"]
        command = [
            *(sys.executable, "-m", *program, "--die-with-parent", *self.arguments),
            *("--port", str(port), "--control-port", "0", "--metrics-port", "0"),
        ]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                command,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=os.environ | {"PYTHONPATH": ENVIRONMENT_PATH} | self.environment,
            )

    def await_ready(self) -> None:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line.startswith("ready"):
            self.kill()
            raise AssertionError(self.log.read_text())
        pairs = (item.partition("=") for item in line.split()[1:])
        self.ports = {name: int(value) for name, _, value in pairs}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.ports['port']}"

    @property
    def control_url(self) -> str:
        return f"http://127.0.0.1:{self.ports['control-port']}"

    @property
    def metrics_url(self) -> str:
        return f"http://127.0.0.1:{self.ports['metrics-port']}"

    def kill(self) -> None:
        self.process.kill()
        self._reap()

    def stop(self, *, within_s: float = 90.0) -> int:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
        self.process.wait(within_s)
        return self._reap()

    def _reap(self) -> int:
        code = self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()
        return code


@dataclass(frozen=True)
class Machine:
    """One machine of a fleet on PostgreSQL: its authority's way to the database, and what its
    processes find in their environment (a clock that is wrong, say)."""

    dsn: str
    environment: Mapping[str, str] = field(default_factory=dict)


class Fleet:
    """Authority, simulator and proxies in one folder.

    With `machines`, each has an authority of its own on their common PostgreSQL database, and
    proxies are dealt out to them in turn; without, one authority owns a file of SQLite. A `durable`
    simulator has each line of its bill on disk before the answer ends. `hurried` proxies give an
    authority up as soon as those do that users run; others wait for one that a busy machine delays.
    `way` is the socket on which they find it, where a link stands before it.
    """

    def __init__(
        self,
        folder: Path,
        *,
        proxies: int = 1,
        simulator: SimulatorProcess | None = None,
        options: tuple[str, ...] = (),
        machines: Sequence[Machine] = (),
        durable: bool = False,
        hurried: bool = False,
        way: Callable[[AuthorityProcess], Path] = lambda authority: authority.socket,
    ) -> None:
        self.folder = folder
        self._hurried = hurried
        self._way = way
        self._machines = machines
        self.authorities = [
            AuthorityProcess(
                folder, name=f"a{number}", dsn=machine.dsn, environment=machine.environment
            )
            for number, machine in enumerate(machines)
        ] or [AuthorityProcess(folder)]
        self.authority = self.authorities[0]
        self._own_simulator = simulator is None
        self.simulator = simulator or SimulatorProcess(
            credentials=CREDENTIALS, directory=folder / "simulator", durable=durable
        )
        self.signing_key = Ed25519PrivateKey.generate()
        self.token = secrets.token_hex(16)
        self.generation = 0
        self._options = options
        self.proxies = [self._proxy(number) for number in range(proxies)]

    def __enter__(self) -> Self:
        (self.folder / "signing.pub").write_bytes(
            signing_keys.public_pem(self.signing_key.public_key())
        )
        (self.folder / "control.token").write_text(self.token)
        credentials = self.folder / "credentials"
        credentials.mkdir(exist_ok=True)
        for name, value in CREDENTIALS.items():
            (credentials / name).write_text(value)
        with ExitStack() as started:
            for authority in self.authorities:
                authority.start()
                started.callback(authority.stop)
            if self._own_simulator:
                self.simulator.start()
                started.callback(self.simulator.stop)
            for proxy in self.proxies:
                proxy.launch()
                started.callback(proxy.stop)
            for proxy in self.proxies:
                proxy.await_ready()
            started.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for proxy in self.proxies:
            proxy.stop()
        for authority in self.authorities:
            authority.stop()
        if self._own_simulator:
            self.simulator.stop()

    @property
    def url(self) -> str:
        """Where the first proxy takes traffic."""
        return self.proxies[0].url

    @property
    def openai_url(self) -> str:
        return f"{self.url}/v1"

    def push(self, given: Snapshot, *, move: bool = True) -> int:
        """Seal a snapshot, its lanes moved to the simulator, and push it to every proxy."""
        self.generation += 1
        sealed = self.seal(given, self.generation, move=move)
        for proxy in self.proxies:
            status, answer = self.put(proxy, sealed)
            assert status == 200, answer
        return self.generation

    def seal(
        self, given: Snapshot, generation: int, *, move: bool = True, min_generation: int = 0
    ) -> bytes:
        moved = simulated(given, self.simulator.url) if move else given
        sealed = envelope.seal(
            self.signing_key,
            fleet=FLEET,
            generation=generation,
            payload=codec.encode(moved),
            min_generation=min_generation,
        )
        return envelope.encode(sealed)

    def put(
        self, proxy: ProxyProcess, sealed: bytes, *, token: str | None = None
    ) -> tuple[int, dict[str, Any]]:
        """Push bytes to a control port; status and answer."""
        return self.control(proxy, "PUT", "snapshot", sealed, token=token)

    def control(
        self,
        proxy: ProxyProcess,
        method: str,
        path: str,
        body: bytes | None = None,
        *,
        token: str | None = None,
    ) -> tuple[int, dict[str, Any]]:
        request = urllib.request.Request(
            f"{proxy.control_url}/control/v1/{path}",
            data=body,
            method=method,
            headers={"Authorization": f"Bearer {self.token if token is None else token}"},
        )
        return _json(request)

    def ledger(self) -> LedgerReader:
        """The ledger, read-only."""
        return LedgerReader(self.authority.db)

    def run(self, run_id: str, *, agent_key: str) -> dict[str, Any]:
        """One's own run, as the proxy tells it."""
        request = urllib.request.Request(
            f"{self.url}/signalbox/v1/runs/{run_id}",
            headers={"Authorization": f"Bearer {agent_key}"},
        )
        status, document = _json(request)
        assert status == 200, document
        return document

    def metrics(self, number: int = 0) -> str:
        with _open(urllib.request.Request(f"{self.proxies[number].metrics_url}/metrics")) as answer:
            return str(answer.read().decode())

    def authority_of(self, proxy: ProxyProcess) -> AuthorityProcess:
        """The one on its machine."""
        return self.authorities[self.proxies.index(proxy) % len(self.authorities)]

    def revive(self, proxy: ProxyProcess, *, within_s: float = 60.0) -> None:
        """What a supervisor does when a proxy has died: settle its journal, start it again."""
        self.recover(proxy, within_s=within_s)
        proxy.start(port=proxy.ports["port"])

    def recover(self, proxy: ProxyProcess, *, within_s: float = 60.0) -> None:
        """Settle what the proxy left behind, as soon as an authority answers."""
        journal = self.folder / proxy.name / "journal"

        def recovered() -> bool:
            try:
                found = asyncio.run(recover_all(self.authority_of(proxy).socket, [journal]))
            except LedgerUnavailableError:
                return False
            assert not any(each.problem for each in found), found
            return True

        eventually(recovered, within_s=within_s)

    def add_proxy(self, *, peers: tuple[str, ...] = ()) -> ProxyProcess:
        proxy = self._proxy(len(self.proxies), peers)
        proxy.start()
        self.proxies.append(proxy)
        return proxy

    def _proxy(self, number: int, peers: tuple[str, ...] = ()) -> ProxyProcess:
        name = f"proxy-{number}"
        authority = self.authorities[number % len(self.authorities)]
        arguments: Mapping[str, Path | str] = {
            "--name": name,
            "--state": self.folder / name,
            "--authority": self._way(authority),
            "--credentials": self.folder / "credentials",
            "--fleet": FLEET,
            "--trust": self.folder / "signing.pub",
            "--control-token": self.folder / "control.token",
        }
        flat = [str(part) for pair in arguments.items() for part in pair]
        for peer in peers:
            flat += ["--peer", peer]
        environment = (
            dict(self._machines[number % len(self._machines)].environment) if self._machines else {}
        )
        return ProxyProcess(
            name, self.folder, [*flat, *self._options], environment, hurried=self._hurried
        )


def _json(request: urllib.request.Request) -> tuple[int, dict[str, Any]]:
    try:
        with _open(request) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())


def _open(request: urllib.request.Request) -> Any:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    return opener.open(request, timeout=60)
