"""How many runs a second go into the record. Prints `name=value` lines; measured, never judged.

Each run brings one attempt with three holds, two charges, three verdicts and one data asset. The
file is written as the authority writes it: WAL, synchronous=NORMAL, one transaction a batch.
"""

import argparse
import sqlite3
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "proxy"), str(ROOT / "tests")]

from signalbox_ledger.records import HoldPart, Run, Verdict  # noqa: E402
from signalbox_ledger.run_store import create_tables, insert_runs  # noqa: E402
from support.recorded_runs import NOON, make_attempt, make_charge, make_run  # noqa: E402


def typical(number: int) -> Run:
    """A run as the quickstart's agents make them."""
    holds = [
        HoldPart(slice_id=f"sl-{n}", budget=f"b-{n}", subject="", amount=20_000, spent=9_900)
        for n in range(3)
    ]
    return make_run(
        f"r_{number:012d}",
        started_at=NOON + number,
        agent=f"signalbox/agent-{number % 50}",
        session=f"s-{number % 997}",
        attempts=[make_attempt(1, holds=holds)],
        charges=[make_charge(), make_charge(meter="output", cost=5, base=5, premium=0)],
        cost_nano=9_905,
        verdicts=[
            Verdict(spec="basic", assertion=name, passed=True, score=1_000_000)
            for name in ("complete", "not_empty", "schema_valid")
        ],
    )


def measure(total: int, batch: int) -> float:
    """Rows of `inference_run` a second, everything that hangs on them included."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ledger.db"
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            create_tables(connection)
            busy = 0.0
            for first in range(0, total, batch):
                runs = [typical(number) for number in range(first, first + batch)]
                started = time.perf_counter()
                connection.execute("BEGIN IMMEDIATE")
                insert_runs(connection, runs)
                connection.execute("COMMIT")
                busy += time.perf_counter() - started
    return total / busy


def main() -> None:
    """Measure batches as they come at low and at high load."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=20_000)
    arguments = parser.parse_args()
    for batch in (10, 100, 1000):
        rate = measure(arguments.runs, batch)
        print(f"insert_runs_per_s_batch_{batch}={rate:.0f}")


if __name__ == "__main__":
    main()
