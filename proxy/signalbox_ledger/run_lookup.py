"""Finds one recorded run, whole, inside the authority's own transaction."""

from signalbox_ledger import run_rows
from signalbox_ledger.database import Database
from signalbox_ledger.records import Run


def find_run(database: Database, run_id: str) -> Run | None:
    """The run as it was recorded, with the charges it was recorded with."""
    named = database.query_named
    found = named("SELECT * FROM inference_run WHERE run_id = ?", (run_id,))
    if not found:
        return None
    attempts = named("SELECT * FROM attempt WHERE run_id = ? ORDER BY number", (run_id,))
    charges = named(
        "SELECT * FROM charge_record WHERE run_id = ? AND kind <> 'correction' ORDER BY position",
        (run_id,),
    )
    verdicts = named("SELECT * FROM eval_result WHERE run_id = ? ORDER BY number", (run_id,))
    return run_rows.read_run(
        found[0], attempts, [run_rows.read_charge(row) for row in charges], verdicts
    )
