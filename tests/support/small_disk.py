"""A journal on a disk of 24 MB that fills up and is emptied again.

    unshare -rm python -m support.small_disk FOLDER

Mounts the disk on FOLDER, in a namespace of its own. Prints what happened as `name=value` lines.
"""

import subprocess
import sys
from pathlib import Path
from typing import Any, cast

from signalbox_ledger import journal as journals
from signalbox_ledger.flushing import Flusher
from signalbox_ledger.journal import Journal, JournalError
from signalbox_ledger.run_journal import RunJournal
from support.ledgers import run_of

MB = 1024 * 1024


class Settled:
    """What the journal tells of what it wrote."""

    def appended(self, end: int, parts: object) -> None:
        pass


class Holder:
    holder_id = "p-1"

    def now_ms(self) -> int:
        return 1_700_000_000_000


def dispatch(runs: RunJournal, run_id: str) -> bool:
    try:
        runs.dispatching(run_of(Holder(), run_id, decision={"why": "x" * 50_000}))
    except JournalError:
        return False
    return True


def look_after(runs: RunJournal) -> None:
    try:
        runs.look_after()
    except JournalError as error:
        print(error, file=sys.stderr)


def fill(path: Path, leave: int, journal: Journal) -> None:
    with path.open("wb", buffering=0) as file:
        while (free := journal.free_bytes() - leave) > 0:
            file.write(bytes(min(free, MB)))


def main() -> None:
    folder = Path(sys.argv[1])
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "none", folder], check=True)
    journal = Journal(folder, "p-1", "p")
    runs = RunJournal(journal, cast("Flusher", cast("Any", Settled())))
    print(f"with_room={dispatch(runs, 'before')}")
    filler = folder / "filler"
    fill(filler, 15 * MB, journal)
    look_after(runs)
    print(f"with_fifteen_megabytes={dispatch(runs, 'low')}")
    filler.unlink()
    look_after(runs)
    fill(filler, 0, journal)  # full at once, before anybody looked
    sent = ["before"]
    while dispatch(runs, f"full-{len(sent)}"):
        sent.append(f"full-{len(sent)}")
    print(f"into_the_room_set_aside={len(sent) > 50}")
    for run_id in sent:
        runs.record(run_of(Holder(), run_id))
    print(f"without_room={dispatch(runs, 'after')}")
    filler.unlink()
    look_after(runs)
    print(f"with_room_again={dispatch(runs, 'again')}")
    found = [
        journals.decode_run(entry.body).run_id
        for entry in journals.entries(journal.read(0, journal.end))
        if entry.kind == journals.RECORD
    ]
    print(f"every_record_written={found == sent}")


if __name__ == "__main__":
    main()
