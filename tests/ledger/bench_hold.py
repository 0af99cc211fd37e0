"""What money costs per request: `python tests/ledger/bench_hold.py` prints name=value lines.

CPU of a hold and its settlement inside a slice, of the journal's two entries, of the authority
per settled run, and how many draws of one account go through the socket each second.
"""

import asyncio
import resource
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from signalbox_ledger.client import Claim, Hold, ProxyLedger
from signalbox_ledger.protocol import Draw, DrawItem, Return, ReturnItem
from support.ledgers import AuthorityProcess, budget, run_of

ROUNDS = 500
REPEATS = 6
RUNS = 5_000
DRAWS = 2_000
IN_USE = 100


def cpu_ns() -> int:
    return time.process_time_ns()


def cpu_of(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / 100


def show(name: str, value: float) -> None:
    print(f"{name}={value:.2f}", flush=True)


async def bench_hold(ledger: ProxyLedger, ids: list[str]) -> float:
    claims = [Claim(id_, "", 1000) for id_ in ids]
    first = await ledger.hold([Claim(id_, "", 2_000_000) for id_ in ids])
    assert isinstance(first, Hold)
    ledger.release(first)
    spent = [600] * len(ids)
    best = 0
    for _ in range(REPEATS):
        started = cpu_ns()
        for _ in range(ROUNDS):
            hold = ledger.try_hold(claims)
            assert hold is not None
            ledger.settle(hold, spent)
        took = cpu_ns() - started
        best = min(best or took, took)
    return best / ROUNDS / 1000


async def bench_record(ledger: ProxyLedger, pid: int) -> None:
    claims = [Claim("ns/a", "", 1000), Claim("ns/b", "", 1000), Claim("ns/c", "", 1000)]
    runs = []
    for number in range(RUNS):
        hold = ledger.try_hold(claims) or await ledger.hold(claims)
        assert isinstance(hold, Hold)
        parts = ledger.settle(hold, [600] * 3)
        runs.append((run_of(ledger, f"r{number}", hold.parts), run_of(ledger, f"r{number}", parts)))
    before, started = cpu_of(pid), cpu_ns()
    for dispatched, run in runs:
        ledger.dispatching(dispatched)
        ledger.record(run)
    show("journal_us_per_run", (cpu_ns() - started) / RUNS / 1000)
    clock = time.perf_counter()
    await ledger._flusher.flush()
    show("settled_runs_per_second", RUNS / (time.perf_counter() - clock))
    show("authority_us_per_run", (cpu_of(pid) - before) * 1e6 / RUNS)


async def bench_draws(ledger: ProxyLedger, pipelined: int) -> float:
    used_up: list[ReturnItem] = []
    basis = budget().basis
    clock = time.perf_counter()

    async def draw(lane: int) -> None:
        for number in range(DRAWS // pipelined):
            slice_id = f"b{pipelined}.{lane}.{number}"
            await ledger._connection.call(Draw([DrawItem(slice_id, "ns/d", "", [1], 0, 0, basis)]))
            used_up.append(ReturnItem(slice_id, 0, close=True))
            if len(used_up) >= IN_USE:
                batch, used_up[:] = used_up[:], []
                await ledger._connection.call(Return(batch))

    await asyncio.gather(*(draw(lane) for lane in range(pipelined)))
    return DRAWS / (time.perf_counter() - clock)


async def main() -> None:
    with tempfile.TemporaryDirectory(prefix="sb") as folder:
        authority = AuthorityProcess(Path(folder))
        authority.start()
        ledger = await ProxyLedger.open(
            name="p0", socket=authority.socket, journal_dir=Path(folder) / "p0"
        )
        specs = [budget(f"ns/{name}", 10**15) for name in "abcd"]
        await ledger.configure(1, specs)
        show("hold_settle_us_1_budget", await bench_hold(ledger, ["ns/a"]))
        show("hold_settle_us_3_budgets", await bench_hold(ledger, ["ns/a", "ns/b", "ns/c"]))
        await bench_record(ledger, authority.pid)
        for pipelined in (1, 16, 64):
            show(f"draws_per_second_{pipelined}_waiting", await bench_draws(ledger, pipelined))
        await ledger.close()
        show("rss_mib", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
        authority.stop()


if __name__ == "__main__":
    asyncio.run(main())
