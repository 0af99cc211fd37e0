"""Settlement: journal bytes become runs and spending, once.

Called by the authority inside a transaction, for living holders and for the recovery of dead
ones alike. The holder's offset is compared and set, so that bytes that come twice count once.
"""

import logging
from collections.abc import Mapping, Sequence

from signalbox_ledger import run_store
from signalbox_ledger.account_store import Account
from signalbox_ledger.journal import RECORD, JournalError, decode_run, encode_run, entries
from signalbox_ledger.records import HoldPart, Run
from signalbox_ledger.store import Store

_log = logging.getLogger("signalbox.authority")

_Above = tuple[str, str, str, int, int]
"""Slice, budget, subject, when the run began (seconds), and the generation that it ran under."""

Recorded = tuple[int, Run]
"""A run, and the journal offset behind its entry."""


class GapError(Exception):
    """The bytes do not begin where the last settlement ended."""

    def __init__(self, offset: int) -> None:
        super().__init__(f"settled up to {offset}")
        self.offset = offset


def settle(store: Store, holder: str, start: int, data: bytes) -> int:
    """Settle whole entries; give the offset behind them.

    Bytes settled before are answered with the offset that was reached. Raises GapError for
    bytes that begin elsewhere, JournalError for bytes that are not whole entries,
    HolderRefusedError for an unknown holder.
    """
    offset = store.holders.offset(holder)
    end = start + len(data)
    if end <= offset:
        return offset
    if start != offset or not store.holders.advance_offset(holder, start, end):
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


def _insert(store: Store, holder: str, recorded: Sequence[Recorded]) -> None:
    """Insert the runs. One that the tables refuse is set aside: it must not stop the others,
    and what it spent counts all the same."""
    try:
        run_store.insert_runs(store.database, [run for _, run in recorded])
    except run_store.RecordRefusedError:
        for end, run in recorded:
            try:
                run_store.insert_runs(store.database, [run])
            except run_store.RecordRefusedError as error:
                _log.error("run %s is set aside: %s", run.run_id, error)
                store.holders.set_aside(holder, end, (run.run_id, error.reason, encode_run(run)))


def _spend(store: Store, holder: str, runs: Sequence[Run]) -> None:
    within: dict[str, int] = {}
    above: dict[_Above, int] = {}
    any_part: dict[str, tuple[HoldPart, Run]] = {}

    def add_above(part: HoldPart, run: Run, amount: int) -> None:
        instant = run.started_at // 1000
        key = (part.slice_id, part.budget, part.subject, instant, run.generation)
        above[key] = above.get(key, 0) + amount

    for run in runs:
        for part in run.parts:
            if part.spent < 0 or part.amount < 0:
                raise JournalError(f"run {run.run_id} spends a negative amount")
            borne = min(part.spent, part.amount)
            within[part.slice_id] = within.get(part.slice_id, 0) + borne
            any_part[part.slice_id] = (part, run)
            if part.spent > borne:
                add_above(part, run, part.spent - borne)
    for slice_id, unborne in store.accounts.spend(holder, within).items():
        add_above(*any_part[slice_id], unborne)
    if above:
        _post_overruns(store, holder, above)


def _post_overruns(store: Store, holder: str, above: Mapping[_Above, int]) -> None:
    """Post what no slice bears: to the slice's account, or where that slice is closed to the
    account of the instant, if its budget is still there and counts what it counted then."""
    accounts = store.accounts.accounts_of(holder, [slice_id for slice_id, *_ in above])
    overruns: dict[Account, int] = {}
    opened: dict[Account, tuple[int, int]] = {}
    for (slice_id, budget, subject, instant, generation), amount in above.items():
        account = accounts.get(slice_id)
        spec = store.specs.get(budget)
        if account is None and spec is not None and store.counts_as(spec, generation):
            start, end = spec.window(instant)
            account = (spec.id, spec.basis, subject, start)
            opened[account] = (end, spec.limit)
        elif account is None:
            _log.warning(
                "%d above the holds of budget %s is in no account: the budget is gone, or counts "
                "something else by now",
                amount,
                budget,
            )
        if account is not None:
            overruns[account] = overruns.get(account, 0) + amount
    if opened:
        store.hold_specs()
    store.accounts.open_accounts(opened)
    store.accounts.add_overrun(overruns)
