"""Start the simulator as a process of its own, for tests and for whoever supervises it."""

from __future__ import annotations

import json
import os
import queue
import secrets
import subprocess
import sys
import tempfile
import threading
import urllib.request
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Self, cast

from .bill import read, total_pico_usd

READY = "ready "


@dataclass
class SimulatorProcess:
    """A context manager around ``python -m signalbox_simulator``.

    ``credentials`` maps names to secrets and is written below ``directory`` (a temporary one by
    default), where the bill goes too. ``options`` are further command-line options.

    Raises RuntimeError when the process does not get ready.
    """

    credentials: Mapping[str, str] = field(
        default_factory=lambda: {"openai": "sk-simulated"}, repr=False
    )
    directory: Path | None = None
    prices: Path | None = None
    behaviour: Path | None = None
    seed: int = 0
    port: int = 0
    durable: bool = True
    options: tuple[str, ...] = ()
    ready_seconds: float = 30.0
    url: str = field(default="", init=False)
    _process: subprocess.Popen[str] | None = field(default=None, init=False)
    _owned: tempfile.TemporaryDirectory[str] | None = field(default=None, init=False)
    _token: str = field(default="", init=False, repr=False)

    def start(self) -> Self:
        """Start the process and wait until it listens."""
        if self.directory is None:
            self._owned = tempfile.TemporaryDirectory(prefix="signalbox-simulator-")
            self.directory = Path(self._owned.name)
        keys = self.directory / "credentials"
        keys.mkdir(parents=True, exist_ok=True)
        for name, secret in self.credentials.items():
            (keys / name).write_text(secret, encoding="utf-8")
        self._token = secrets.token_hex(16)
        token_file = self.directory / "control-token"
        token_file.write_text(self._token, encoding="utf-8")
        token_file.chmod(0o600)
        command = [sys.executable, "-m", "signalbox_simulator", "--die-with-parent"]
        command += ["--port", str(self.port), "--bill", str(self.bill_path)]
        command += ["--credentials", str(keys), "--seed", str(self.seed)]
        command += ["--control-token", str(token_file)]
        command += ["--prices", str(self.prices)] if self.prices else []
        command += ["--behaviour", str(self.behaviour)] if self.behaviour else []
        command += [] if self.durable else ["--no-fsync"]
        environment = dict(os.environ)
        environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
        self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            [*command, *self.options], stdout=subprocess.PIPE, text=True, env=environment
        )
        self.url = self._await_ready()
        return self

    def _await_ready(self) -> str:
        lines: queue.Queue[str] = queue.Queue()
        output = cast("IO[str]", self._running.stdout)
        reader = threading.Thread(target=lambda: lines.put(output.readline()), daemon=True)
        reader.start()
        try:
            line = lines.get(timeout=self.ready_seconds)
        except queue.Empty:
            line = ""
        if not line.startswith(READY):
            self.close()
            raise RuntimeError("the simulated provider did not get ready; see its standard error")
        return line.removeprefix(READY).strip()

    @property
    def _running(self) -> subprocess.Popen[str]:
        if self._process is None:
            raise RuntimeError("the simulated provider is not running")
        return self._process

    @property
    def pid(self) -> int:
        """The process id."""
        return self._running.pid

    @property
    def bill_path(self) -> Path:
        """Where the bill is."""
        if self.directory is None:
            raise RuntimeError("the simulated provider was not started")
        return self.directory / "bill.jsonl"

    def base_url(self, host: str) -> str:
        """Give what stands for ``https://HOST``."""
        return f"{self.url}/{host}"

    def bill(self) -> list[dict[str, object]]:
        """Give the bill's lines so far."""
        return list(read(self.bill_path))

    @property
    def total_pico(self) -> int:
        """The bill's total in pico-USD."""
        return total_pico_usd(self.bill_path)

    def behave(self, *rules: Mapping[str, object]) -> None:
        """Put these rules in the place of those given before; none means to behave well.

        What a rule's ``next`` and ``probability`` counted starts anew.
        """
        self._ask("POST", "/_simulator/behaviour", {"rules": list(rules)})

    def stats(self) -> dict[str, dict[str, int]]:
        """Give requests, bytes, billed answers and refusals by host."""
        answer = cast("dict[str, dict[str, dict[str, int]]]", self._ask("GET", "/_simulator/stats"))
        return answer["hosts"]

    def seen(self, hosts: Iterable[str] | None = None) -> int:
        """Count the requests that these hosts saw, or all."""
        stats = self.stats()
        return sum(stats[host]["requests"] for host in hosts or stats if host in stats)

    def _ask(self, method: str, path: str, document: object = None) -> object:
        request = urllib.request.Request(  # noqa: S310 - our own process, on loopback
            self.url + path,
            data=json.dumps(document).encode() if document is not None else None,
            method=method,
            headers={"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"},
        )
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=10) as answer:
            return json.load(answer)

    def stop(self, *, kill: bool = False) -> int:
        """End the process and give its exit code."""
        process = self._running
        if process.poll() is None:
            process.kill() if kill else process.terminate()
        try:
            code = process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            code = process.wait()
        if process.stdout is not None:
            process.stdout.close()
        return code

    def close(self) -> None:
        """End the process and remove what was written to a directory of its own."""
        self.stop()
        if self._owned is not None:
            self._owned.cleanup()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.close()
