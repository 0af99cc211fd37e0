"""Finds one recorded run, whole, inside the authority's own transaction."""

import sqlite3
from typing import Any

from signalbox_ledger import run_rows
from signalbox_ledger.records import Run


def find_run(connection: sqlite3.Connection, run_id: str) -> Run | None:
    """The run as it was recorded, with the charges it was recorded with."""
    found = _rows(connection, "SELECT * FROM inference_run WHERE run_id = ?", run_id)
    if not found:
        return None
    attempts = _rows(connection, "SELECT * FROM attempt WHERE run_id = ? ORDER BY number", run_id)
    charges = _rows(
        connection,
        "SELECT * FROM charge_record WHERE run_id = ? AND kind <> 'correction' ORDER BY position",
        run_id,
    )
    verdicts = _rows(
        connection, "SELECT * FROM eval_result WHERE run_id = ? ORDER BY number", run_id
    )
    return run_rows.read_run(
        found[0], attempts, [run_rows.read_charge(row) for row in charges], verdicts
    )


def _rows(connection: sqlite3.Connection, query: str, run_id: str) -> list[dict[str, Any]]:
    cursor = connection.execute(query, (run_id,))
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor]
