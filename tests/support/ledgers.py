"""What the ledger's tests build from."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from signalbox_ledger.accounts import BudgetSpec
from signalbox_ledger.asking import connected
from signalbox_ledger.client import Claim, Hold, LedgerUnavailableError, ProxyLedger
from signalbox_ledger.desk_protocol import PostLossFor
from signalbox_ledger.protocol import Lost, Refused
from signalbox_ledger.records import Attempt, HoldPart, Run
from support.timing import at_most


class AuthorityProcess:
    """`python -m signalbox_ledger.authority`, which tests may kill, pause and start again.

    On a file of SQLite in `folder`, or on the PostgreSQL database that `dsn` names. With
    `commit_ms` every commit takes so much longer.
    """

    def __init__(
        self,
        folder: Path,
        *,
        name: str = "a",
        dsn: str = "",
        environment: Mapping[str, str] | None = None,
        commit_ms: float = 0,
    ) -> None:
        self.socket = folder / f"{name}.sock"
        self.db = folder / "ledger.db"
        self.dsn = dsn
        self._environment = dict(environment or {})
        self._module = ["signalbox_ledger.authority"]
        if commit_ms:
            self._module = ["support.slow_commits", str(commit_ms)]
            self._environment["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        command = [sys.executable, "-m", *self._module, "--die-with-parent"]
        command += ["--socket", str(self.socket)]
        environment = os.environ | self._environment
        if self.dsn:
            environment["SIGNALBOX_LEDGER_DSN"] = self.dsn
            command += ["--postgresql"]
        else:
            command += ["--db", str(self.db)]
        self._process = subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, env=environment
        )
        assert self._process.stdout is not None
        if self._process.stdout.readline() != "ready\n":
            self.stop()
            raise AssertionError("the authority did not get ready; see its standard error")

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def stop(self) -> int:
        assert self._process is not None
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGCONT)
            self._process.terminate()
        assert self._process.stdout is not None
        self._process.stdout.close()
        return self._process.wait(timeout=60)


class WorkerProcess:
    """`support.ledger_worker`: a process that holds and spends until it is refused (and `until`
    exists), or dies so many seconds after it began."""

    def __init__(
        self,
        folder: Path,
        name: str,
        *,
        seed: int,
        tasks: int = 32,
        dies_after_s: float | None = None,
        until: Path | None = None,
    ) -> None:
        self.folder = folder
        self.name = name
        self._arguments = [str(seed), str(tasks)]
        self._options: list[str] = []
        if dies_after_s is not None:
            self._options += ["--dies-after", str(dies_after_s)]
        if until is not None:
            self._options += ["--until", str(until)]
        self._process: subprocess.Popen[str] | None = None

    def start(self, amount: int, *subjects: str) -> None:
        command = [
            *(sys.executable, "-m", "support.ledger_worker", self.name),
            *(str(self.folder / "a.sock"), str(self.folder / self.name)),
            *(*self._arguments, str(amount), *(subjects or ("",)), *self._options),
        ]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(
            command, stdin=pipe, stdout=pipe, text=True, env=environment
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n"

    def go(self) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write("go\n")
        self._process.stdin.flush()

    def result(self) -> dict[str, Any]:
        assert self._process is not None
        output, _ = self._process.communicate(timeout=150)
        assert self._process.returncode == 0
        seen: dict[str, Any] = json.loads(output)
        return seen

    def died(self) -> None:
        """Wait until it has killed itself."""
        assert self._process is not None
        self._process.communicate(timeout=150)
        assert self._process.returncode == -signal.SIGKILL, "it had ended before"

    def bill(self) -> dict[str, int]:
        """What its provider billed, by run."""
        lines = (self.folder / f"{self.name}.bill").read_text().splitlines()
        return {run_id: int(spent) for run_id, _, spent in (line.split() for line in lines)}


def budget(id_: str = "ns/day", limit: int = 1000, **changes: object) -> BudgetSpec:
    """A budget in nano-USD for all of time, save for `changes`."""
    fields: dict[str, object] = {
        "unit": "usd",
        "every": "lifetime",
        "count": 1,
        "time_zone": "UTC",
        "per": None,
        **changes,
    }
    return BudgetSpec(id=id_, limit=limit, **fields)  # type: ignore[arg-type]


class Incarnation(Protocol):
    """Whose run it is."""

    holder_id: str

    def now_ms(self) -> int: ...


def run_of(
    ledger: Incarnation, run_id: str, parts: tuple[HoldPart, ...] = (), **changes: object
) -> Run:
    """A run with one attempt that held `parts`."""
    spent = sum(part.spent for part in parts)
    bound = sum(part.amount for part in parts)
    now = ledger.now_ms()
    attempt = Attempt(
        number=1,
        model="ns/m",
        lane="us",
        lane_class="public",
        provider="p",
        upstream_model="m",
        region="r",
        jurisdiction="US",
        lane_max_sensitivity=3,
        started_at=now,
        bound_nano=bound,
        bound_tokens=10,
        cost_nano=spent,
        holds=list(parts),
    )
    fields: dict[str, object] = {
        "run_id": run_id,
        "started_at": now,
        "domain": "ns/d",
        "agent": "ns/a",
        "focus_account": "1",
        "owner_team": "t",
        "surface": "chat",
        "model_asked": "m",
        "workload": "w",
        "task": "",
        "session": "",
        "user": "",
        "sensitivity": 0,
        "residency_lock": None,
        "data_assets": [],
        "snapshot_version": "v",
        "generation": 1,
        "holder": ledger.holder_id,
        "outcome": "answered",
        "attempts": [attempt],
        "cost_nano": spent,
        "status": 200,
        **changes,
    }
    return Run(**fields)  # type: ignore[arg-type]


async def abandon(ledger: ProxyLedger) -> None:
    """End without flush or return, as the kernel would end its process."""
    for task in ledger._tasks:
        task.cancel()
    await asyncio.gather(*ledger._tasks, return_exceptions=True)
    await ledger._connection.stop()
    ledger._journal.close(settled=False)
    ledger._closed = True


async def until(condition: Callable[[], Awaitable[bool]], *, within_s: float = 60.0) -> None:
    """Wait until it holds; fail after `within_s`."""
    async with asyncio.timeout(at_most(within_s)):
        while not await condition():
            await asyncio.sleep(0.01)


async def write_off(socket: Path, holder: str) -> Lost:
    """A person's word that a machine is gone with its journal. LookupError for an unknown one."""
    async with connected(socket) as ask:
        reply = await ask(PostLossFor(holder, "somebody"))
    if isinstance(reply, Lost):
        return reply
    if isinstance(reply, Refused) and reply.reason == "unknown_holder":
        raise LookupError(reply.message)
    raise LedgerUnavailableError(str(reply))


async def hold(ledger: ProxyLedger, amount: int) -> Hold:
    """So much of the budget that `budget()` makes, which has it."""
    held = await ledger.hold([Claim("ns/day", "", amount)], wait_s=at_most(30))
    assert isinstance(held, Hold)
    return held
