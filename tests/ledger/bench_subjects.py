"""How an authority fares with the accounts of many users: draws, status, a moved limit, tidying.

    python tests/ledger/bench_subjects.py [--users 100000] [--postgresql]

With `--postgresql` a server of its own is started. Prints `name=value` lines; rows of accounts are
made by draws, as users would make them.
"""

import argparse
import contextlib
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from signalbox_ledger import status
from signalbox_ledger.accounts import BudgetSpec
from signalbox_ledger.opening import open_database
from signalbox_ledger.protocol import DrawItem, Hello, ReturnItem
from signalbox_ledger.store import Store
from support.ledgers import budget
from support.postgres import PostgresServer

NOON = 1_777_636_800
DAY = 86_400
HOLDER = "p0"
TURN = 20
"""Draws that share one transaction, as those of several proxies do."""


def users(limit: int = 1000) -> BudgetSpec:
    """A budget per user and day without a bound on users."""
    return budget("ns/users", limit, per="user", every="day")


class Bench:
    """One store, drawn from like a fleet would."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.number = 0
        self.generation = 0
        self.apply(1000)
        with store.transaction():
            store.open_holder(Hello(HOLDER, HOLDER), 0)

    def apply(self, limit: int) -> None:
        """A snapshot with this limit for each user."""
        self.generation += 1
        with self.store.transaction():
            self.store.configure(self.generation, [users(limit)], NOON)

    def draw(self, subjects: list[str], *, turn: int = TURN) -> list[str]:
        """One exact draw for each, `turn` to a transaction; their slices."""
        spec = self.store.specs["ns/users"]
        slices = []
        for start in range(0, len(subjects), turn):
            with self.store.transaction():
                for subject in subjects[start : start + turn]:
                    self.number += 1
                    slices.append(f"{HOLDER}.{self.number}")
                    item = DrawItem(slices[-1], spec.id, subject, [1], 0, 0, spec.basis)
                    self.store.granting.draw(HOLDER, [item], self.store.specs, now=NOON)
        return slices

    def close(self, slices: list[str]) -> None:
        """Everything was spent: the slices are closed, the accounts stay."""
        for start in range(0, len(slices), 1000):
            chunk = slices[start : start + 1000]
            with self.store.transaction():
                self.store.accounts.spend(HOLDER, dict.fromkeys(chunk, 1))
                self.store.accounts.give_back(HOLDER, [ReturnItem(id_, 1, True) for id_ in chunk])

    def grow(self, count: int, *, start: int = 0) -> None:
        """Accounts of `count` users, of whom nothing is held."""
        for first in range(start, start + count, 1000):
            names = [
                f"user-{number:06}" for number in range(first, min(first + 1000, start + count))
            ]
            self.close(self.draw(names, turn=1000))

    def forget(self) -> list[float]:
        """Drop accounts as the authority does; how long each transaction took, in seconds."""
        took = []
        more = True
        while more:
            begun = time.perf_counter()
            with self.store.transaction():
                more = self.store.forget_ended(NOON + 2 * DAY)
            took.append(time.perf_counter() - begun)
        return took

    def status(self) -> status.StatusReport:
        """What `signalbox get` shows."""
        with self.store.transaction():
            return status.report(self.store, top=5, now_ms=NOON * 1000)


def best_ms(work: Callable[[], object], times: int = 5) -> float:
    """The quickest of some tries, in milliseconds: what the machine does besides is not ours."""
    took = []
    for _ in range(times):
        begun = time.perf_counter()
        work()
        took.append(time.perf_counter() - begun)
    return min(took) * 1000


@contextlib.contextmanager
def opened(postgresql: bool) -> Iterator[Bench]:
    """A bench on an empty ledger."""
    with tempfile.TemporaryDirectory(prefix="sb") as folder, contextlib.ExitStack() as stack:
        where: Path | str = Path(folder) / "ledger.db"
        if postgresql:
            server = stack.enter_context(PostgresServer(Path(folder)))
            where = server.dsn(server.create_database())
        yield Bench(stack.enter_context(contextlib.closing(Store(partial(open_database, where)))))


def measure(bench: Bench, rows: int) -> None:
    """The figures with this many users."""
    fresh = [f"new-{rows}-{number:04}" for number in range(400)]
    begun = time.perf_counter()
    slices = bench.draw(fresh)
    print(f"draws_of_new_users_per_s_at_{rows}={len(fresh) / (time.perf_counter() - begun):.0f}")
    begun = time.perf_counter()
    more = bench.draw(fresh)
    print(f"draws_of_known_users_per_s_at_{rows}={len(fresh) / (time.perf_counter() - begun):.0f}")
    print(f"status_ms_at_{rows}={best_ms(bench.status):.1f}")
    bench.close(slices + more)


def main() -> None:
    """Run the bench."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--users", type=int, default=100_000)
    parser.add_argument("--postgresql", action="store_true")
    options = parser.parse_args()
    with opened(options.postgresql) as bench:
        done = 0
        for rows in (0, options.users // 10, options.users):
            bench.grow(rows - done, start=done)
            done = rows
            measure(bench, rows)
        begun = time.perf_counter()
        bench.apply(900)
        print(f"lower_the_limit_ms={(time.perf_counter() - begun) * 1000:.0f}")
        took = bench.forget()
        print(f"forget_transactions={len(took)}")
        print(f"forget_longest_ms={max(took) * 1000:.0f}")


if __name__ == "__main__":
    main()
