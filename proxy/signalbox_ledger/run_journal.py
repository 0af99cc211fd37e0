"""What a proxy writes down of its runs, and what it still owes the journal.

Part of `ProxyLedger`, between the request path and the journal. Nothing here waits for the
authority, and only a new segment waits for the disk: room for entries is set aside before.
"""

import logging

from signalbox_ledger import journal as journals
from signalbox_ledger.flushing import Flusher
from signalbox_ledger.journal import Journal, JournalError
from signalbox_ledger.records import Run

_log = logging.getLogger("signalbox.ledger")

MIN_FREE_BYTES = 16 * 1024 * 1024
"""With less room on the journal's disk nothing is dispatched: what is under way can still end."""


class RunJournal:
    """Runs that were dispatched and have no end yet, and ends that wait for room."""

    def __init__(self, journal: Journal, flusher: Flusher) -> None:
        self._journal = journal
        self._flusher = flusher
        self._open: dict[str, bytes] = {}
        self._unwritten: list[tuple[Run, bytes]] = []
        self._is_low = journal.free_bytes() < MIN_FREE_BYTES
        flusher.appended(journal.end, None)

    @property
    def is_settled(self) -> bool:
        """Whether every run that was dispatched has an end."""
        return not self._open

    def dispatching(self, run: Run) -> None:
        """Write down that the run's last attempt is about to leave. Raises JournalError: then it
        must not."""
        if self._is_low:
            raise JournalError(
                f"less than {MIN_FREE_BYTES // 2**20} MB are free on the disk of the journal"
            )
        if self._unwritten:
            self.write_late()
        entry = journals.frame_run(journals.DISPATCHING, run)
        self._flusher.appended(self._append(entry), None)
        self._open[run.run_id] = entry

    def attempt_ended(self, run: Run) -> None:
        """Write down how the run's last attempt ended, before another one begins. Without room it
        is not: should this process die before that one begins, recovery charges the attempt in
        full."""
        try:
            entry = journals.frame_run(journals.ATTEMPT_ENDED, run)
            self._flusher.appended(self._append(entry), None)
        except JournalError as error:
            _log.warning("the end of an attempt of run %s is not journalled: %s", run.run_id, error)
        else:
            self._open[run.run_id] = entry

    def record(self, run: Run) -> None:
        """Write down a run that ended. Never fails: without room the run waits in memory, and
        nothing more is dispatched until it is written."""
        try:
            entry = journals.frame_run(journals.RECORD, run)
        except JournalError:
            _log.critical("run %s can be written in no form", run.run_id, exc_info=True)
            return
        self._unwritten.append((run, entry))
        try:
            self.write_late()
        except JournalError:
            _log.exception("run %s waits for room in the journal", run.run_id)

    def write_late(self) -> None:
        """Write what waits. Raises JournalError."""
        while self._unwritten:
            run, entry = self._unwritten[0]
            end = self._append(entry)
            self._flusher.appended(end, run.parts)
            self._open.pop(run.run_id, None)
            del self._unwritten[0]

    def look_after(self) -> None:
        """Once a second: is there room on the disk, and for what waits? Raises JournalError."""
        is_low = self._journal.free_bytes() < MIN_FREE_BYTES
        if is_low is not self._is_low:
            self._is_low = is_low
            _log.log(
                logging.ERROR if is_low else logging.INFO,
                "the disk of the journal has %s: this proxy dispatches %s",
                "too little room" if is_low else "room again",
                "nothing" if is_low else "again",
            )
        self.write_late()

    def _append(self, entry: bytes) -> int:
        if not self._journal.has_room(len(entry)):
            self._journal.rotate(list(self._open.values()), room_for=len(entry))
            self._flusher.appended(self._journal.end, None)
        return self._journal.append(entry)
