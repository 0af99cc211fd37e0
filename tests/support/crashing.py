"""Processes that die at a durable write of the proxy's side, each at another one.

    python -m support.crashing SOCKET FOLDER proxy|recovery

Forks a process for each point: the n-th call of the kernel that changes something under its folder,
just before it and just after. Prints a line `NAME SIDE CALL FILE` for each that died there. Point n
of a side works in FOLDER/NAME on budget ns/NAME, which has to be there, and bills what it sends to
FOLDER/NAME.bill. It goes on until a process gets through alive.
"""

import asyncio
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from signalbox_ledger import journal as journals
from signalbox_ledger.client import Claim, Hold, ProxyLedger
from signalbox_ledger.records import Run
from signalbox_ledger.recovery import recover_all
from support.ledgers import budget, run_of
from support.patience import be_patient

CALLS = ("open", "posix_fallocate", "pwrite", "write", "ftruncate", "truncate", "unlink", "mkdir")
SIDES = ("before", "after")
DIED = 86
BOUND = 100
BILLED = 60
SEGMENT = 2500


class Fuse:
    """Ends the process at the `number`-th change under `folder`."""

    def __init__(self, folder: Path, number: int, side: str, report: int) -> None:
        self._folder = os.fspath(folder)
        self._left = number
        self._side = side
        self._report = report
        self.real = {name: getattr(os, name) for name in CALLS}

    def lay(self) -> None:
        for name in CALLS:
            setattr(os, name, self._watched(name))

    def _watched(self, name: str) -> Callable[..., Any]:
        real = self.real[name]

        def call(target: Any, *rest: Any, **named: Any) -> Any:
            path = self._changes(name, target, rest)
            self._left -= path is not None
            if path is not None and self._left == 0 and self._side == "before":
                self._die(name, path)
            result = real(target, *rest, **named)
            if path is not None and self._left == 0 and self._side == "after":
                self._die(name, path)
            return result

        return call

    def _changes(self, name: str, target: Any, rest: tuple[Any, ...]) -> str | None:
        if name == "open" and not (rest and rest[0] & os.O_CREAT):
            return None
        path = str(
            Path(f"/proc/self/fd/{target}").readlink() if isinstance(target, int) else target
        )
        return path if f"{path}/".startswith(f"{self._folder}/") else None

    def _die(self, name: str, path: str) -> None:
        self.real["write"](self._report, f"{name} {path.rsplit('.', 1)[-1]}".encode())
        os._exit(DIED)


def attempts_of(run: Run, *attempts: dict[str, Any]) -> Run:
    """The run with these attempts."""
    made = [
        msgspec.structs.replace(run.attempts[0], number=number, bound_nano=BOUND, **fields)
        for number, fields in enumerate(attempts, 1)
    ]
    return msgspec.structs.replace(
        run, attempts=made, cost_nano=sum(attempt.cost_nano for attempt in made)
    )


class Life:
    """A proxy's life: runs that fail over, runs that stay open, segments that come and go."""

    def __init__(self, ledger: ProxyLedger, name: str, bill: Path) -> None:
        self._ledger = ledger
        self._name = name
        self._bill = os.open(bill, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    async def lead(self) -> None:
        for number in range(4):
            await self._serve(f"{self._name}-{number}", fails_first=number % 3 == 0)
            if number % 2:
                await self._ledger.find_run(f"{self._name}-{number}")

    async def _serve(self, run_id: str, *, fails_first: bool) -> None:
        run = run_of(self._ledger, run_id, outcome="unknown", workload="w" * 64)
        attempts: list[dict[str, Any]] = []
        if fails_first:
            held = await self._hold()
            self._ledger.dispatching(attempts_of(run, {"holds": list(held.parts)}))
            parts = self._ledger.release(held)
            attempts.append({"holds": list(parts), "settlement": "zero", "outcome": "error"})
            self._ledger.attempt_ended(attempts_of(run, *attempts))
        held = await self._hold()
        self._ledger.dispatching(attempts_of(run, *attempts, {"holds": list(held.parts)}))
        os.write(self._bill, f"{run_id} {BILLED}\n".encode())
        parts = self._ledger.settle(held, [BILLED])
        ended = {"holds": list(parts), "cost_nano": BILLED, "settlement": "usage"}
        whole = attempts_of(run, *attempts, {**ended, "outcome": "answered"})
        self._ledger.record(msgspec.structs.replace(whole, outcome="answered"))

    async def leave_open(self) -> None:
        """One call in flight, and one run between two attempts."""
        for suffix in ("flying", "between"):
            held = await self._hold()
            run = run_of(self._ledger, f"{self._name}-{suffix}", outcome="unknown")
            self._ledger.dispatching(attempts_of(run, {"holds": list(held.parts)}))
            if suffix == "between":
                parts = self._ledger.release(held)
                self._ledger.attempt_ended(
                    attempts_of(run, {"holds": list(parts), "settlement": "zero"})
                )
            else:
                os.write(self._bill, f"{run.run_id} {BILLED}\n".encode())

    async def _hold(self) -> Hold:
        held = await self._ledger.hold([Claim(f"ns/{self._name}", "", BOUND)], wait_s=60)
        assert isinstance(held, Hold), held
        return held


async def live(socket: Path, folder: Path, name: str, *, closes: bool) -> None:
    ledger = await ProxyLedger.open(name=name, socket=socket, journal_dir=folder / name)
    # The generation is old on purpose: the test configured the budgets, this tells their form.
    await ledger.configure(0, [budget(f"ns/{name}", 0)])
    life = Life(ledger, name, folder / f"{name}.bill")
    await life.lead()
    if closes:
        await ledger.close()
        return
    await life.leave_open()
    ledger._journal.append(journals.frame_entry(journals.RECORD, b"torn" * 50)[:100])


def in_child(work: Callable[[], None]) -> int:
    """The exit code of a process that does this, and nothing that stands behind it."""
    child = os.fork()
    if child == 0:
        try:
            work()
        except BaseException:  # noqa: BLE001 - whatever it is, this process ends here
            sys.excepthook(*sys.exc_info())
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def die_at(socket: Path, folder: Path, what: str, side: str, number: int) -> bool:
    """Whether the process died at that point."""
    name = f"{what}-{side}-{number}"
    reader, report = os.pipe()

    def work() -> None:
        Fuse(folder / name, number, side, report).lay()
        if what == "proxy":
            asyncio.run(live(socket, folder, name, closes=True))
        else:
            recovered = asyncio.run(recover_all(socket, [folder / name]))
            assert [one.problem for one in recovered] == [""], recovered

    if what == "recovery":
        code = in_child(lambda: asyncio.run(live(socket, folder, name, closes=False)))
        assert code == 0, f"{name} could not be prepared"
    code = in_child(work)
    os.close(report)
    with os.fdopen(reader) as pipe:
        where = pipe.read()
    assert code in (0, DIED), f"{name}: exit code {code}"
    if code == DIED:
        print(name, side, where, flush=True)
    return code == DIED


def main() -> None:
    socket, folder, what = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
    journals.SEGMENT_BYTES = SEGMENT
    be_patient()
    for side in SIDES:
        number = 1
        while die_at(socket, folder, what, side, number):
            number += 1


if __name__ == "__main__":
    main()
