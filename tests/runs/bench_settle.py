"""How many runs a second are settled, in SQLite and in PostgreSQL. Prints `name=value` lines.

Each run brings one attempt with three holds, two charges, three verdicts and one data asset. Every
batch is a transaction that is durable when it ends, as authorities make them. PostgreSQL is a
server of the bench's own on this machine; with several writers each is an authority with its own
connection. Measured, never judged.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from multiprocessing import get_context
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "proxy"), str(ROOT / "tests")]

from signalbox_ledger.opening import open_database  # noqa: E402
from signalbox_ledger.records import HoldPart, Run, Verdict  # noqa: E402
from support.postgres import PostgresServer, missing_server  # noqa: E402
from support.recorded_runs import NOON, make_attempt, make_charge, make_run, record  # noqa: E402


def typical(writer: int, number: int) -> Run:
    """A run as the quickstart's agents make them."""
    holds = [
        HoldPart(slice_id=f"sl-{n}", budget=f"b-{n}", subject="", amount=20_000, spent=9_900)
        for n in range(3)
    ]
    return make_run(
        f"r_{writer}_{number:012d}",
        started_at=NOON + number,
        agent=f"signalbox/agent-{number % 50}",
        session=f"s-{number % 997}",
        holder=f"proxy-{writer}/1",
        attempts=[make_attempt(1, holds=holds)],
        charges=[make_charge(), make_charge(meter="output", cost=5, base=5, premium=0)],
        cost_nano=9_905,
        verdicts=[
            Verdict(spec="basic", assertion=name, passed=True, score=1_000_000)
            for name in ("complete", "not_empty", "schema_valid")
        ],
    )


def settle(where: Path | str, writer: int, total: int, batch: int) -> tuple[float, float]:
    """Seconds in transactions, and of this process's own CPU in them."""
    busy, cpu = 0.0, 0.0
    with closing(open_database(where)) as database:
        for first in range(0, total, batch):
            runs = [typical(writer, number) for number in range(first, first + batch)]
            started, used = time.perf_counter(), time.process_time()
            record(database, runs)
            busy += time.perf_counter() - started
            cpu += time.process_time() - used
    return busy, cpu


def measure(where: Path | str, total: int, batch: int, writers: int) -> tuple[float, float]:
    """Runs a second of all writers together, and microseconds of their CPU for each run."""
    jobs = [(where, writer, total // writers, batch) for writer in range(writers)]
    if writers == 1:
        spent: Sequence[tuple[float, float]] = [settle(*jobs[0])]
    else:
        with get_context("spawn").Pool(writers) as pool:
            spent = pool.starmap(settle, jobs)
    runs = total // writers
    rate = sum(runs / busy for busy, _ in spent)
    return rate, sum(cpu for _, cpu in spent) / (runs * writers) * 1e6


def main() -> None:
    """Measure batches as they come at low and at high load."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=20_000)
    arguments = parser.parse_args()
    if reason := missing_server():
        sys.exit(reason)
    print(f"cpus={os.cpu_count()}")
    with tempfile.TemporaryDirectory() as folder, PostgresServer(Path(folder)) as server:
        for batch, writers in ((10, 1), (100, 1), (1000, 1), (100, 2)):
            total = min(arguments.runs, batch * 200)
            postgres, cpu = measure(server.dsn(server.create_database()), total, batch, writers)
            name = f"batch_{batch}_writers_{writers}"
            print(f"settle_runs_per_s_postgresql_{name}={postgres:.0f}")
            print(f"settle_cpu_us_per_run_postgresql_{name}={cpu:.0f}")
            if writers > 1:
                continue
            sqlite, cpu = measure(Path(folder) / f"{batch}.db", total, batch, 1)
            print(f"settle_runs_per_s_sqlite_{name}={sqlite:.0f}")
            print(f"settle_cpu_us_per_run_sqlite_{name}={cpu:.0f}")
            print(f"settle_postgresql_to_sqlite_{name}={postgres / sqlite:.2f}")


if __name__ == "__main__":
    main()
