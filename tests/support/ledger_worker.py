"""One proxy process without a proxy: tasks that hold, spend and record until refused.

    python -m support.ledger_worker NAME SOCKET JOURNAL_DIR SEED TASKS AMOUNT SUBJECT...
        [--dies-after SECONDS] [--until FILE]

Prints `ready`, waits for a line on standard input, works until every task was refused (once FILE is
there, where one is named), prints what it saw as one JSON line. Every run is also appended to
JOURNAL_DIR/../NAME.bill before it is recorded: the bill of a provider, for runs that were
dispatched. One that dies does so by SIGKILL, in the midst of its work.
"""

import argparse
import asyncio
import json
import os
import random
import signal
import sys
from collections import Counter
from pathlib import Path

from signalbox_ledger.client import Claim, Hold, ProxyLedger
from support.ledgers import budget, run_of
from support.patience import be_patient


class Worker:
    def __init__(
        self, ledger: ProxyLedger, bill: Path, seed: int, *, amount: int, until: Path | None
    ) -> None:
        self.ledger = ledger
        self.bill = bill.open("a", buffering=1)
        self.random = random.Random(seed)
        self.amount = amount
        self.until = until
        self.spent: Counter[str] = Counter()
        self.refused: dict[str, int] = {}
        self.reasons: Counter[str] = Counter()
        self.false_refusals = 0
        self.runs = 0

    async def work(self, subject: str) -> None:
        while True:
            amount = self.random.randint(self.amount // 2, self.amount * 3 // 2)
            # Who waits for what others hold waits as long as a busy machine takes to free it.
            hold = await self.ledger.hold([Claim("ns/day", subject, amount)], wait_s=60)
            if isinstance(hold, Hold):
                await self.serve(hold, subject, amount)
                continue
            self.reasons[hold.reason] += 1
            if self.until is not None and not self.until.exists():
                await asyncio.sleep(0.01)
            elif hold.reason == "exhausted":
                self.false_refusals += hold.remaining >= amount
                self.refused[subject] = min(self.refused.get(subject, amount), amount)
                return

    async def serve(self, hold: Hold, subject: str, amount: int) -> None:
        self.runs += 1
        run_id = f"{self.ledger.holder_id}-{self.runs}"
        self.ledger.dispatching(run_of(self.ledger, run_id, hold.parts))
        spent = self.random.randint(amount * 4 // 10, amount)
        self.bill.write(f"{run_id} {subject or '-'} {spent}\n")
        await asyncio.sleep(self.random.random() / 100)
        self.spent[subject] += spent
        self.ledger.record(run_of(self.ledger, run_id, self.ledger.settle(hold, [spent])))


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("name")
    parser.add_argument("socket", type=Path)
    parser.add_argument("journal_dir", type=Path)
    for number in ("seed", "tasks", "amount"):
        parser.add_argument(number, type=int)
    parser.add_argument("subjects", nargs="+")
    parser.add_argument("--dies-after", type=float)
    parser.add_argument("--until", type=Path)
    return parser.parse_args()


async def main() -> None:
    be_patient()
    options = read_options()
    ledger = await ProxyLedger.open(
        name=options.name, socket=options.socket, journal_dir=options.journal_dir
    )
    bill = options.journal_dir.parent / f"{options.name}.bill"
    worker = Worker(ledger, bill, options.seed, amount=options.amount, until=options.until)
    # The generation is old on purpose: the test configured the budgets, this tells their form.
    spec = budget(limit=0, per="user") if any(options.subjects) else budget(limit=0)
    await ledger.configure(0, [spec])
    print("ready", flush=True)
    loop = asyncio.get_running_loop()
    await loop.run_in_executor(None, sys.stdin.readline)
    if options.dies_after is not None:
        loop.call_later(options.dies_after, os.kill, os.getpid(), signal.SIGKILL)
    subjects = options.subjects
    names = [subjects[index % len(subjects)] for index in range(options.tasks)]
    await asyncio.gather(*(worker.work(subject) for subject in names))
    await ledger.close()
    seen = {
        "spent": worker.spent,
        "refused": worker.refused,
        "reasons": worker.reasons,
        "false_refusals": worker.false_refusals,
        "runs": worker.runs,
    }
    print(json.dumps(seen), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
