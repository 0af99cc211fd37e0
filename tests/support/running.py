"""A running `signalbox up` for tests: the product as its users start it, on free ports."""

import os
import secrets
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
QUICKSTART = ROOT / "manifests" / "quickstart"
EPHEMERAL = Path("/proc/sys/net/ipv4/ip_local_port_range")
LOWEST_PORT = 10_000
START_LIMIT_S = 120
STOP_LIMIT_S = 90


@dataclass
class Running:
    """One `signalbox up`: its process, its state folder, and the variables that it printed."""

    process: subprocess.Popen[str]
    state: Path
    port: int
    printed: list[str]
    variables: dict[str, str] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        """The environment of a user who copied the printed lines into a shell."""
        here = str(Path(sys.executable).parent)
        return (
            child_environment()
            | self.variables
            | {
                "PATH": os.pathsep.join([here, os.environ["PATH"]]),
                "SIGNALBOX_STATE": str(self.state),
                "SIGNALBOX_PORT": str(self.port),
                "NO_COLOR": "1",
                "COLUMNS": "120",
            }
        )

    def signalbox(self, *arguments: str, code: int = 0) -> str:
        """Runs the `signalbox` command against this state and returns what it printed."""
        ran = subprocess.run(
            [sys.executable, "-m", "signalbox_cli", *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert ran.returncode == code, f"{arguments}: {ran.returncode}\n{ran.stdout}{ran.stderr}"
        return ran.stdout


def child_environment() -> dict[str, str]:
    """This process's environment with the tree under test first on the import path."""
    folders = [str(ROOT / each) for each in ("crds", "operator", "proxy", "tests")]
    return dict(os.environ) | {"PYTHONPATH": os.pathsep.join(folders)}


def free_ports(count: int, run: int = 1) -> list[int]:
    """Ports that were free a moment ago, each with `run - 1` free ones right above it.

    None of those that the kernel gives to connections: one of them could take it before, or while a
    server that wants it back is down.
    """
    found: list[int] = []
    while len(found) < count:
        first = _free_run(run)
        if all(abs(first - other) >= run for other in found):
            found.append(first)
    return found


def _free_run(length: int) -> int:
    """The first of some neighbouring ports that can all be bound."""
    low, high = map(int, EPHEMERAL.read_text().split())
    below, above = range(LOWEST_PORT, low - length), range(high + 1, 65536 - length)
    wanted = max(below, above, key=len)
    while True:
        first = secrets.choice(wanted)
        with ExitStack() as stack:
            try:
                for port in range(first, first + length):
                    stack.enter_context(socket.socket()).bind(("127.0.0.1", port))
            except OSError:
                continue
            return first


def read_until(process: subprocess.Popen[str], last: str, limit_s: float) -> list[str]:
    """Lines that the process printed up to one that starts with `last`."""
    assert process.stdout is not None
    descriptor = process.stdout.fileno()
    os.set_blocking(descriptor, False)
    waiting, lines, deadline = "", list[str](), time.monotonic() + limit_s
    with selectors.DefaultSelector() as selector:
        selector.register(descriptor, selectors.EVENT_READ)
        while time.monotonic() < deadline:
            if not selector.select(timeout=1.0):
                continue
            data = os.read(descriptor, 65536)
            if not data:
                break
            *whole, waiting = (waiting + data.decode()).split("\n")
            lines += whole
            if any(line.strip().startswith(last) for line in whole):
                return lines
    raise AssertionError(f"no line {last!r} within {limit_s} s; printed:\n" + "\n".join(lines))


@contextmanager
def running_up(
    folder: Path,
    manifests: Path = QUICKSTART,
    arguments: Sequence[str] = (),
    *,
    environment: Mapping[str, str] | None = None,
    simulate: bool = True,
) -> Iterator[Running]:
    """Starts `signalbox up MANIFESTS --simulate` with its state under `folder`, ends it after. Its
    proxies wait for the ledger where this machine is busy; see `support.patient_up`.

    Without `simulate` lanes go where they say. `environment` adds to the child's: the simulator
    reads its options from there, too.
    """
    port, control, metrics = free_ports(3, run=4)
    state = folder / "state"
    log = folder / "up.stderr"
    with log.open("w") as errors:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "support.patient_up", "up", str(manifests)),
                *(["--simulate"] if simulate else []),
                *("--state", str(state), "--port", str(port)),
                *("--control-port", str(control), "--metrics-port", str(metrics)),
                *arguments,
            ],
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env=child_environment() | {"NO_COLOR": "1", "COLUMNS": "120"} | dict(environment or {}),
        )
    try:
        lines = read_until(process, "curl ", START_LIMIT_S)
        pairs = (line.strip().partition("=") for line in lines)
        variables = {name: value for name, _, value in pairs if name.isupper() and value}
        yield Running(process, state, port, lines, variables)
    except AssertionError as missing:
        raise AssertionError(f"{missing}\nstderr:\n{log.read_text()}") from None
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_LIMIT_S)
        finally:
            process.kill()
            process.wait()
            assert process.stdout is not None
            process.stdout.close()


@contextmanager
def running_quickstart(folder: Path) -> Iterator[Running]:
    """The quickstart as `make run` starts it."""
    with running_up(folder, arguments=["--dev-key", "retail/assistant"]) as started:
        yield started
