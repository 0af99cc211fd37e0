"""Settlement: journal bytes become runs and spending, once.

Called by the authority inside a transaction, for living holders and for the recovery of dead
ones alike. The holder's offset is compared and set, so that bytes that come twice count once.
"""

import logging
from collections.abc import Sequence

from signalbox_ledger import run_store
from signalbox_ledger.journal import RECORD, JournalError, decode_run, encode_run, entries
from signalbox_ledger.records import HoldPart, Run
from signalbox_ledger.sqlite_store import SqliteStore

_log = logging.getLogger("signalbox.authority")

Recorded = tuple[int, Run]
"""A run, and the journal offset behind its entry."""


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
    recorded: list[Recorded] = []
    reached = start
    for entry in entries(data, start):
        reached = entry.end
        if entry.kind == RECORD:
            recorded.append((entry.end, decode_run(entry.body)))
    if reached != end:
        raise JournalError(f"journal of {holder} is damaged at {reached}")
    _insert(store, holder, recorded)
    _spend(store, holder, [run for _, run in recorded])
    return end


def _insert(store: SqliteStore, holder: str, recorded: Sequence[Recorded]) -> None:
    """Insert the runs. One that the tables refuse is set aside: it must not stop the others,
    and what it spent counts all the same."""
    try:
        run_store.insert_runs(store.connection, [run for _, run in recorded])
    except run_store.RecordRefusedError:
        for end, run in recorded:
            try:
                run_store.insert_runs(store.connection, [run])
            except run_store.RecordRefusedError as error:
                _log.error("run %s is set aside: %s", run.run_id, error)
                store.set_aside(holder, end, (run.run_id, error.reason, encode_run(run)))


def _spend(store: SqliteStore, holder: str, runs: Sequence[Run]) -> None:
    within: dict[str, int] = {}
    above: dict[tuple[str, str, str, int], int] = {}
    any_part: dict[str, tuple[HoldPart, int]] = {}

    def add_above(part: HoldPart, instant: int, amount: int) -> None:
        key = (part.slice_id, part.budget, part.subject, instant)
        above[key] = above.get(key, 0) + amount

    for run in runs:
        instant = run.started_at // 1000
        for part in (part for attempt in run.attempts for part in attempt.holds):
            if part.spent < 0 or part.amount < 0:
                raise JournalError(f"run {run.run_id} spends a negative amount")
            borne = min(part.spent, part.amount)
            within[part.slice_id] = within.get(part.slice_id, 0) + borne
            any_part[part.slice_id] = (part, instant)
            if part.spent > borne:
                add_above(part, instant, part.spent - borne)
    for slice_id, spent in within.items():
        if unborne := store.accounts.spend(holder, slice_id, spent):
            add_above(*any_part[slice_id], unborne)
    for (slice_id, budget, subject, instant), amount in above.items():
        _overrun(store, (slice_id, budget, subject), instant, amount)


def _overrun(store: SqliteStore, part: tuple[str, str, str], instant: int, amount: int) -> None:
    slice_id, budget, subject = part
    account = store.accounts.account_of_slice(slice_id)
    spec = store.specs.get(budget)
    if account is not None:
        store.accounts.add_overrun(account, amount, end=0, limit=0)
    elif spec is not None:
        start, end = spec.window(instant)
        account = (spec.id, spec.basis, subject, start)
        store.accounts.add_overrun(account, amount, end=end, limit=spec.limit)
