"""One proxy process without a proxy: tasks that hold, spend and record until refused.

    python -m support.ledger_worker NAME SOCKET JOURNAL_DIR SEED TASKS AMOUNT SUBJECT...

Prints `ready`, waits for a line on standard input, works until every task was refused, prints
what it saw as one JSON line. Every run is also appended to JOURNAL_DIR/../NAME.bill before it is
recorded: the bill of a provider, for runs that were dispatched.
"""

import asyncio
import json
import random
import sys
from collections import Counter
from pathlib import Path

from signalbox_ledger.client import Claim, Hold, ProxyLedger
from support.ledgers import budget, run_of


class Worker:
    def __init__(self, ledger: ProxyLedger, bill: Path, seed: int, amount: int) -> None:
        self.ledger = ledger
        self.bill = bill.open("a", buffering=1)
        self.random = random.Random(seed)
        self.amount = amount
        self.spent: Counter[str] = Counter()
        self.refused: dict[str, int] = {}
        self.reasons: Counter[str] = Counter()
        self.false_refusals = 0
        self.runs = 0

    async def work(self, subject: str) -> None:
        while True:
            amount = self.random.randint(self.amount // 2, self.amount * 3 // 2)
            hold = await self.ledger.hold([Claim("ns/day", subject, amount)])
            if isinstance(hold, Hold):
                await self.serve(hold, subject, amount)
                continue
            self.reasons[hold.reason] += 1
            if hold.reason == "exhausted":
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


async def main() -> None:
    name, socket, journal_dir, seed, tasks, amount, *subjects = sys.argv[1:]
    directory = Path(journal_dir)
    ledger = await ProxyLedger.open(name=name, socket=Path(socket), journal_dir=directory)
    worker = Worker(ledger, directory.parent / f"{name}.bill", int(seed), int(amount))
    # The generation is old on purpose: the test configured the budgets, this tells their form.
    spec = budget(limit=0, per="user") if any(subjects) else budget(limit=0)
    await ledger.configure(0, [spec])
    print("ready", flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
    names = [subjects[index % len(subjects)] for index in range(int(tasks))]
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
