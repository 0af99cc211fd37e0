"""Writes the record: runs, attempts, charges, verdicts, and the sums over them.

Called by the authority inside its settlement transaction: this module never begins, commits or
rolls back a transaction of its own, and an error leaves nothing of the failed call behind.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from importlib import resources

import msgspec

from signalbox_ledger import run_rows
from signalbox_ledger.records import Charge, Run

SUM_SPANS = (3_600_000, 86_400_000)
"""Lengths of the periods that sums are kept by, in milliseconds: an hour and a day, in UTC.

The first divides the others."""

SUM_KEY = ("domain", "agent", "model", "lane", "region", "workload", "focus_account")
"""What sums are kept by, beside the period."""

SUM_MEASURES = (
    *("runs", "answered", "refused", "failed_floor", "locked", "not_compliant", "scored"),
    *("score_sum", "tokens_input", "tokens_cached", "tokens_output", "cost_nano_usd"),
    *("base_nano_usd", "premium_nano_usd", "cache_saving_nano_usd", "batch_saving_nano_usd"),
)
"""What sums add up."""

_BROKEN_RULES = (sqlite3.IntegrityError, sqlite3.DataError, OverflowError, UnicodeEncodeError)


class RecordRefusedError(ValueError):
    """A record that the ledger does not take: it contradicts the record or itself."""

    def __init__(self, record_id: str, reason: str) -> None:
        super().__init__(f"{record_id}: {reason}")
        self.record_id = record_id
        self.reason = reason


class SliceLoss(msgspec.Struct, frozen=True, kw_only=True):
    """Budget lost with a holder whose journal is gone. `amount_nano` is what was posted."""

    slice_id: str
    budget: str
    holder: str
    amount_nano: int
    posted_at: int


def create_tables(connection: sqlite3.Connection) -> None:
    """Create what is missing of tables, indexes, views and triggers; safe to repeat."""
    connection.execute("PRAGMA recursive_triggers = ON")  # INSERT OR REPLACE deletes, too
    for statement in _statements(
        resources.files(__package__).joinpath("runs_schema.sql").read_text(encoding="utf-8")
    ):
        connection.execute(statement)


def _statements(script: str) -> Iterator[str]:
    # Not executescript(): that would commit the caller's transaction.
    pending = ""
    for part in script.split(";"):
        pending += part + ";"
        if sqlite3.complete_statement(pending):
            yield pending
            pending = ""


def insert_runs(connection: sqlite3.Connection, runs: Sequence[Run]) -> int:
    """Add `runs` to the record and to the sums; how many were new.

    A run that is there already with equal content is passed over, so that a settlement can be
    sent again. Raises RecordRefusedError for one with other content under a known id, and for
    one that breaks a rule of the tables; then none of `runs` was added.
    """
    fresh = _without_known(connection, runs)
    if not fresh:
        return 0
    try:
        with _all_or_nothing(connection):
            _insert(connection, fresh)
    except _BROKEN_RULES as error:
        raise _blame(connection, fresh, error) from error
    return len(fresh)


def insert_corrections(
    connection: sqlite3.Connection, run_id: str, corrections: Sequence[Charge], posted_at: int
) -> None:
    """Post corrections of a recorded run's charges; costs may be negative.

    `posted_at` in milliseconds. Raises RecordRefusedError for an unknown run, a charge of
    another kind, or one that does not add up.
    """
    if any(charge.kind != "correction" for charge in corrections):
        raise RecordRefusedError(run_id, "only charges of kind correction can be added to a run")
    known = connection.execute("SELECT 1 FROM inference_run WHERE run_id = ?", (run_id,))
    if known.fetchone() is None:
        raise RecordRefusedError(run_id, "no such run: a correction needs one")
    try:
        with _all_or_nothing(connection):
            last_run = _last_position(connection, "inference_run")
            last_charge = _last_position(connection, "charge_record")
            rows = run_rows.charge_rows(run_id, posted_at, corrections)
            _insert_rows(connection, "charge_record", run_rows.CHARGE_COLUMNS, rows)
            _add_sums(connection, after_run=last_run, after_charge=last_charge)
    except _BROKEN_RULES as error:
        raise RecordRefusedError(run_id, str(error)) from error


def insert_slice_losses(connection: sqlite3.Connection, losses: Sequence[SliceLoss]) -> int:
    """Post slices that were lost with their holders; how many were new.

    A slice is lost once: the same loss again is passed over, a different one for a known slice
    raises RecordRefusedError.
    """
    added = 0
    for loss in losses:
        row = (loss.budget, loss.holder, loss.amount_nano)
        known = connection.execute(
            "SELECT budget, holder, cost_nano_usd FROM charge_record"
            " WHERE kind = 'slice_loss' AND slice_id = ?",
            (loss.slice_id,),
        ).fetchone()
        if known is not None and tuple(known) != row:
            raise RecordRefusedError(loss.slice_id, "this slice was posted as lost otherwise")
        if known is None:
            connection.execute(
                "INSERT INTO charge_record (timestamp, kind, quantity, unit_price, cost_nano_usd,"
                " base_nano_usd, premium_nano_usd, cache_saving_nano_usd, batch_saving_nano_usd,"
                " slice_id, budget, holder) VALUES (?, 'slice_loss', 0, 0, ?, ?, 0, 0, 0, ?, ?, ?)",
                (
                    *(loss.posted_at, loss.amount_nano, loss.amount_nano),
                    *(loss.slice_id, loss.budget, loss.holder),
                ),
            )
            added += 1
    return added


def rebuild_sums(connection: sqlite3.Connection) -> None:
    """Compute the sums anew from the facts, for a ledger that was restored or edited."""
    connection.execute("DELETE FROM period_sum")
    _add_sums(connection, after_run=0, after_charge=0)


def _without_known(connection: sqlite3.Connection, runs: Sequence[Run]) -> list[tuple[Run, bytes]]:
    ids = msgspec.json.encode([run.run_id for run in runs]).decode()
    known = dict(
        connection.execute(
            "SELECT run_id, digest FROM inference_run"
            " WHERE run_id IN (SELECT value FROM json_each(?))",
            (ids,),
        ).fetchall()
    )
    fresh: dict[str, tuple[Run, bytes]] = {}
    for run in runs:
        try:
            digest = run_rows.digest(run)
        except _BROKEN_RULES as error:
            raise RecordRefusedError(run.run_id, str(error)) from error
        if run.run_id not in known:
            known[run.run_id] = digest
            fresh[run.run_id] = (run, digest)
        elif known[run.run_id] != digest:
            raise RecordRefusedError(
                run.run_id, "another run is recorded under this id; a recorded run never changes"
            )
    return list(fresh.values())


@contextmanager
def _all_or_nothing(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("SAVEPOINT record")
    try:
        yield
    except BaseException:
        if connection.in_transaction:  # a full disk ends the whole transaction by itself
            connection.execute("ROLLBACK TO record")
            connection.execute("RELEASE record")
        raise
    connection.execute("RELEASE record")


def _insert(connection: sqlite3.Connection, fresh: Sequence[tuple[Run, bytes]]) -> None:
    last_run = _last_position(connection, "inference_run")
    last_charge = _last_position(connection, "charge_record")
    runs = [run for run, _ in fresh]
    _insert_rows(
        connection,
        "inference_run",
        run_rows.RUN_COLUMNS,
        (run_rows.run_row(run, digest) for run, digest in fresh),
    )
    for table, columns, rows in (
        ("attempt", run_rows.ATTEMPT_COLUMNS, run_rows.attempt_rows),
        ("eval_result", run_rows.VERDICT_COLUMNS, run_rows.verdict_rows),
        ("run_data_asset", run_rows.ASSET_COLUMNS, run_rows.asset_rows),
        ("charge_record", run_rows.CHARGE_COLUMNS, _charge_rows),
    ):
        _insert_rows(connection, table, columns, (row for run in runs for row in rows(run)))
    _add_sums(connection, after_run=last_run, after_charge=last_charge)


def _charge_rows(run: Run) -> list[run_rows.Row]:
    return run_rows.charge_rows(run.run_id, run.started_at, run.charges)


def _insert_rows(
    connection: sqlite3.Connection,
    table: str,
    columns: Sequence[str],
    rows: Iterable[run_rows.Row],
) -> None:
    places = ", ".join("?" * len(columns))
    statement = f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({places})"  # noqa: S608
    connection.executemany(statement, rows)


def _last_position(connection: sqlite3.Connection, table: str) -> int:
    row = connection.execute(f"SELECT coalesce(max(position), 0) FROM {table}")  # noqa: S608
    return int(row.fetchone()[0])


def _add_sums(connection: sqlite3.Connection, *, after_run: int, after_charge: int) -> None:
    """Add the facts behind these positions to the sums of their hours and days."""
    connection.execute(_ADD_SUMS, {"after_run": after_run, "after_charge": after_charge})


def _adding_sums() -> str:
    """The statement: facts are read once, into the shortest span, and longer ones add that up."""
    key = ", ".join(SUM_KEY)
    measures = ", ".join(SUM_MEASURES)
    sums = ", ".join(f"sum({measure}) AS {measure}" for measure in SUM_MEASURES)
    added = ", ".join(f"{measure} = {measure} + excluded.{measure}" for measure in SUM_MEASURES)
    facts = " UNION ALL ".join(
        f"SELECT timestamp, {key}, {measures} FROM {view} WHERE position > :{after}"  # noqa: S608
        for view, after in (("run_fact", "after_run"), ("charge_fact", "after_charge"))
    )
    spans = " UNION ALL ".join(
        f"SELECT {span}, start - start % {span} AS begin, {key}, {sums}"  # noqa: S608
        f" FROM shortest WHERE TRUE GROUP BY begin, {key}"
        for span in SUM_SPANS
    )
    return (
        "WITH shortest AS MATERIALIZED ("  # noqa: S608
        f"SELECT timestamp - timestamp % {SUM_SPANS[0]} AS start, {key}, {sums}"
        f" FROM ({facts}) GROUP BY start, {key})"
        f" INSERT INTO period_sum (span, timestamp, {key}, {measures}) {spans}"
        f" ON CONFLICT (span, timestamp, {key}) DO UPDATE SET {added}"
    )


_ADD_SUMS = _adding_sums()


def _blame(
    connection: sqlite3.Connection, fresh: Sequence[tuple[Run, bytes]], error: Exception
) -> RecordRefusedError:
    """Which run it was that broke the rule: found by adding one after the other."""
    connection.execute("SAVEPOINT blame")
    try:
        for one in fresh:
            try:
                _insert(connection, [one])
            except _BROKEN_RULES as cause:
                return RecordRefusedError(one[0].run_id, str(cause))
    finally:
        connection.execute("ROLLBACK TO blame")
        connection.execute("RELEASE blame")
    return RecordRefusedError(fresh[0][0].run_id, str(error))
