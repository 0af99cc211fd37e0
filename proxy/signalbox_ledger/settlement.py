"""Settlement: journal bytes become runs and spending, once.

Called by the authority inside a transaction, for living holders and for the recovery of dead
ones alike. The holder's offset is compared and set, so that bytes that come twice count once.
"""

from collections.abc import Iterable

from signalbox_ledger import run_store
from signalbox_ledger.journal import RECORD, JournalError, decode_run, entries
from signalbox_ledger.records import HoldPart, Run
from signalbox_ledger.sqlite_store import SqliteStore


class GapError(Exception):
    """The bytes do not begin where the last settlement ended."""

    def __init__(self, offset: int) -> None:
        super().__init__(f"settled up to {offset}")
        self.offset = offset


def settle(store: SqliteStore, holder: str, start: int, data: bytes) -> int:
    """Settle whole entries; give the offset behind them.

    Bytes settled before are answered with the offset that was reached. Raises GapError for
    bytes that begin elsewhere, JournalError for bytes that are not whole entries, FencedError
    for an unknown holder.
    """
    offset = store.offset(holder)
    end = start + len(data)
    if end <= offset:
        return offset
    if start != offset or not store.advance_offset(holder, start, end):
        raise GapError(offset)
    runs: list[Run] = []
    reached = start
    for entry in entries(data, start):
        reached = entry.end
        if entry.kind == RECORD:
            runs.append(decode_run(entry.body))
    if reached != end:
        raise JournalError(f"journal of {holder} is damaged at {reached}")
    if runs:
        run_store.insert_runs(store.connection, runs)
        _spend(store, holder, runs)
    return end


def _spend(store: SqliteStore, holder: str, runs: Iterable[Run]) -> None:
    by_slice: dict[str, int] = {}
    above: list[tuple[HoldPart, int, int]] = []
    for run in runs:
        for attempt in run.attempts:
            for part in attempt.holds:
                within = min(part.spent, part.amount)
                if part.slice_id:
                    by_slice[part.slice_id] = by_slice.get(part.slice_id, 0) + within
                if excess := part.spent - (within if part.slice_id else 0):
                    above.append((part, excess, run.started_at // 1000))
    parts = {
        p.slice_id: (p, r.started_at // 1000) for r in runs for a in r.attempts for p in a.holds
    }
    for slice_id, spent in by_slice.items():
        if unborne := store.spend(holder, slice_id, spent):
            part, instant = parts[slice_id]
            above.append((part, unborne, instant))
    for part, amount, instant in above:
        _overrun(store, part, amount, instant)


def _overrun(store: SqliteStore, part: HoldPart, amount: int, instant: int) -> None:
    account = store.account_of_slice(part.slice_id)
    spec = store.specs.get(part.budget)
    if account is not None:
        store.add_overrun(account, 0, amount)
    elif spec is not None:
        start, end = spec.window(instant)
        store.add_overrun((spec.id, spec.basis, part.subject, start), end, amount)
