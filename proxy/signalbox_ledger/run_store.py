"""Writes the record: runs, attempts, charges, verdicts, and the sums over them.

Called by the authority inside its settlement transaction: this module never begins, commits or
rolls back a transaction of its own, and an error leaves nothing of the failed call behind.
"""

import zlib
from collections.abc import Sequence
from typing import NoReturn

import msgspec

from signalbox_ledger import positions, run_rows, run_sums
from signalbox_ledger.database import Database, RuleBrokenError
from signalbox_ledger.records import Charge, Run

_BROKEN_RULES = (RuleBrokenError, OverflowError, UnicodeEncodeError)


class RecordRefusedError(ValueError):
    """A record that the ledger does not take: it contradicts the record or itself."""

    def __init__(self, record_id: str, reason: str) -> None:
        super().__init__(f"{record_id}: {reason}")
        self.record_id = record_id
        self.reason = reason


class SliceLoss(msgspec.Struct, frozen=True, kw_only=True):
    """Budget lost with a holder whose journal is gone. `amount_nano` is what was posted.

    It is the quantity of a charge without cost: one call holds money in every budget that applies
    to it, so that adding up the losses of several budgets would count it several times. What the
    provider did bill is found by reconciliation.
    """

    slice_id: str
    budget: str
    holder: str
    amount_nano: int
    posted_at: int


def insert_runs(database: Database, runs: Sequence[Run]) -> int:
    """Add `runs` to the record and to the sums; how many were new.

    A run that is there already with equal content is passed over, so that a settlement can be
    sent again. Raises RecordRefusedError for one with other content under a known id, and for
    one that breaks a rule of the tables; then none of `runs` was added.
    """
    fresh = _without_known(database, runs)
    if not fresh:
        return 0
    try:
        with database.savepoint():
            _insert(database, fresh)
    except _BROKEN_RULES as error:
        _blame(database, fresh, error)
    return len(fresh)


def insert_corrections(
    database: Database, run_id: str, corrections: Sequence[Charge], posted_at: int
) -> None:
    """Post corrections of a recorded run's charges; costs may be negative.

    `posted_at` in milliseconds. Raises RecordRefusedError for an unknown run, a charge of
    another kind, or one that does not add up.
    """
    if any(charge.kind != "correction" for charge in corrections):
        raise RecordRefusedError(run_id, "only charges of kind correction can be added to a run")
    # One at a time for each run: the charges behind the last one of now are then these.
    known = database.query(
        f"SELECT holder FROM inference_run WHERE run_id = ?{database.update_lock}",  # noqa: S608
        (run_id,),
    )
    if not known:
        raise RecordRefusedError(run_id, "no such run: a correction needs one")
    _, last = positions.announce(database)
    try:
        with database.savepoint():
            rows = run_rows.charge_rows(run_id, posted_at, corrections)
            database.insert("charge_record", run_rows.CHARGE_COLUMNS, rows)
            run_sums.add_charges(
                database, run_id, after=last, writer=_writer(database, known[0][0])
            )
    except _BROKEN_RULES as error:
        raise RecordRefusedError(run_id, str(error)) from error


def insert_slice_losses(database: Database, losses: Sequence[SliceLoss]) -> int:
    """Post slices that were lost with their holders; how many were new.

    A slice is lost once: the same loss again is passed over, a different one for a known slice
    raises RecordRefusedError.
    """
    added = 0
    for loss in losses:
        row = (loss.budget, loss.holder, loss.amount_nano)
        new = database.execute(
            "INSERT INTO charge_record (timestamp, kind, quantity, unit_price, cost_nano_usd,"
            " base_nano_usd, premium_nano_usd, cache_saving_nano_usd, batch_saving_nano_usd,"
            " slice_id, budget, holder) VALUES (?, 'slice_loss', ?, 0, 0, 0, 0, 0, 0, ?, ?, ?)"
            " ON CONFLICT (slice_id) WHERE kind = 'slice_loss' DO NOTHING",
            (loss.posted_at, loss.amount_nano, loss.slice_id, loss.budget, loss.holder),
        )
        added += new
        if not new:
            known = database.query(
                "SELECT budget, holder, quantity FROM charge_record"
                " WHERE kind = 'slice_loss' AND slice_id = ?",
                (loss.slice_id,),
            )
            if known != [row]:
                raise RecordRefusedError(loss.slice_id, "this slice was posted as lost otherwise")
    return added


def _without_known(database: Database, runs: Sequence[Run]) -> list[tuple[Run, bytes]]:
    found = database.query(
        f"SELECT run_id, digest FROM inference_run WHERE {database.any_of('run_id')}",  # noqa: S608
        (database.listed([run.run_id for run in runs]),),
    )
    known: dict[str, bytes] = dict(found)
    fresh: dict[str, tuple[Run, bytes]] = {}
    for run in runs:
        try:
            kept, digest = run_rows.storable(run)
        except _BROKEN_RULES as error:
            raise RecordRefusedError(run.run_id, str(error)) from error
        if run.run_id not in known:
            known[run.run_id] = digest
            fresh[run.run_id] = (kept, digest)
        elif known[run.run_id] != digest:
            raise RecordRefusedError(
                run.run_id, "another run is recorded under this id; a recorded run never changes"
            )
    return list(fresh.values())


def _insert(database: Database, fresh: Sequence[tuple[Run, bytes]]) -> None:
    runs = [run for run, _ in fresh]
    after = positions.announce(database)
    run_table = (run_rows.run_row(run, digest) for run, digest in fresh)
    database.insert("inference_run", run_rows.RUN_COLUMNS, run_table)
    for table, columns, rows in (
        ("attempt", run_rows.ATTEMPT_COLUMNS, run_rows.attempt_rows),
        ("eval_result", run_rows.VERDICT_COLUMNS, run_rows.verdict_rows),
        ("run_data_asset", run_rows.ASSET_COLUMNS, run_rows.asset_rows),
        ("charge_record", run_rows.CHARGE_COLUMNS, _charge_rows),
    ):
        database.insert(table, columns, (row for run in runs for row in rows(run)))
    writer = _writer(database, runs[0].holder)
    run_sums.add_runs(database, [run.run_id for run in runs], after=after, writer=writer)


def _charge_rows(run: Run) -> list[run_rows.Row]:
    return run_rows.charge_rows(run.run_id, run.started_at, run.charges)


def _writer(database: Database, holder: str) -> int:
    """Whose rows of the sums to add to. Where there is one writer, one row is enough."""
    if database.dialect == "sqlite":
        return 0
    return zlib.crc32(holder.encode(errors="replace")) % run_sums.WRITERS


def _blame(database: Database, fresh: Sequence[tuple[Run, bytes]], error: Exception) -> NoReturn:
    """Say which run it was that broke the rule: found by adding one after the other."""
    with database.savepoint():
        for one in fresh:
            try:
                _insert(database, [one])
            except _BROKEN_RULES as cause:
                raise RecordRefusedError(one[0].run_id, str(cause)) from cause
        raise RecordRefusedError(fresh[0][0].run_id, str(error)) from error
