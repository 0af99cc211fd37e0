"""What was recorded, for whoever asks: one run whole, lists of runs, runs as they come.

Used by the command line (`signalbox runs`) and by the reports. Opens the ledger read-only.
"""

from pathlib import Path
from typing import Any

import msgspec

from signalbox_ledger import run_rows
from signalbox_ledger.compliance import Compliance
from signalbox_ledger.read_store import Closing, ReadOnlyDatabase
from signalbox_ledger.records import Charge, Outcome, Run

MAX_LIMIT = 10_000
"""The most runs that one call lists."""

_SUMMARY_COLUMNS = (
    *("position", "run_id", "timestamp", "domain", "agent", "model", "lane", "region"),
    *("route_policy", "tokens_input", "tokens_cached", "tokens_output", "cost_nano_usd"),
    *("focus_account", "eval_score", "outcome", "sensitivity", "residency_lock", "data_assets"),
    *("workload", "task", "session", "user_id", "model_asked", "status", "refusal"),
    *("refusal_detail", "client_left", "duration_us", "first_chunk_us", "failed_verdicts"),
    "compliant",
)
_EQUAL = ("domain", "agent", "model", "lane", "region", "workload", "focus_account", "refusal")


class RunFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which runs; None is any. `since` is included, `until` is not, both in milliseconds."""

    since: int | None = None
    until: int | None = None
    domain: str | None = None
    agent: str | None = None
    model: str | None = None
    lane: str | None = None
    region: str | None = None
    workload: str | None = None
    focus_account: str | None = None
    user: str | None = None
    session: str | None = None
    asset: str | None = None
    outcome: Outcome | None = None
    refusal: str | None = None
    only_failed_floor: bool = False
    only_not_compliant: bool = False


class RunSummary(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a list of runs: the row of `inference_run` without its long fields.

    Units as in `records`. `position` is the cursor for `LedgerReader.follow`.
    """

    position: int
    run_id: str
    timestamp: int
    domain: str
    agent: str
    model: str
    lane: str
    region: str
    route_policy: str
    tokens_input: int
    tokens_cached: int
    tokens_output: int
    cost_nano_usd: int
    focus_account: str
    eval_score: int | None
    outcome: str
    sensitivity: int
    residency_lock: list[str] | None
    data_assets: list[str]
    workload: str
    task: str
    session: str
    user_id: str
    model_asked: str
    status: int
    refusal: str
    refusal_detail: str
    client_left: bool
    duration_us: int
    first_chunk_us: int | None
    failed_verdicts: int
    compliant: bool


class RecordedRun(msgspec.Struct, frozen=True, kw_only=True):
    """One run whole: as it was recorded, how it was judged then, and what was corrected since."""

    position: int
    run: Run
    compliance: Compliance
    corrections: list[Charge]


class LedgerReader(Closing):
    """Reads the record at `where`: a SQLite file's path, or the DSN of a PostgreSQL database.

    Raises LedgerUnreadableError where there is none.
    """

    def __init__(self, where: Path | str) -> None:
        self.database = ReadOnlyDatabase(where)

    def close(self) -> None:
        """Close the connection."""
        self.database.close()

    def runs(self, wanted: RunFilter | None = None, *, limit: int = 50) -> list[RunSummary]:
        """Up to `limit` runs (at most MAX_LIMIT), the newest first."""
        source, where, values = _conditions(wanted or RunFilter())
        clock = "a" if source.startswith("run_data_asset") else "r"
        order = f"{clock}.timestamp DESC, r.position DESC"
        return self._list(source, where, values, order, limit)

    def follow(
        self, after: int, wanted: RunFilter | None = None, *, limit: int = 1000
    ) -> list[RunSummary]:
        """Runs that were settled after the run at position `after`, in order of settlement.

        Begin with `last_position()`, go on with the position of the last run got. Nothing is
        skipped: it ends before runs that are still being settled.
        """
        source, where, values = _conditions(wanted or RunFilter())
        where += ["r.position > ?", "r.position <= ?"]
        values += [after, self.database.settled()]
        return self._list(source, where, values, "r.position", limit)

    def last_position(self) -> int:
        """Where to begin so as to follow what is settled from now on; 0 with no run."""
        return self.database.settled()

    def ids(self, prefix: str, *, limit: int = 10) -> list[str]:
        """Ids that begin with `prefix`, in order; only the run itself where the id is whole."""
        found = [
            str(row["run_id"])
            for row in self.database.query(
                "SELECT run_id FROM inference_run WHERE run_id >= ? AND run_id < ?"
                " ORDER BY run_id LIMIT ?",
                (prefix, prefix + "\U0010ffff", _bounded(limit)),
            )
        ]
        return [prefix] if prefix in found else found

    def run(self, run_id: str) -> RecordedRun | None:
        """The whole run, None where there is none of this id."""
        rows = self.database.query("SELECT * FROM inference_run WHERE run_id = ?", (run_id,))
        if not rows:
            return None
        attempts = self.database.query(
            "SELECT * FROM attempt WHERE run_id = ? ORDER BY number", (run_id,)
        )
        charges = [
            run_rows.read_charge(row)
            for row in self.database.query(
                "SELECT * FROM charge_record WHERE run_id = ? ORDER BY position", (run_id,)
            )
        ]
        verdicts = self.database.query(
            "SELECT * FROM eval_result WHERE run_id = ? ORDER BY number", (run_id,)
        )
        first = [charge for charge in charges if charge.kind != "correction"]
        return RecordedRun(
            position=rows[0]["position"],
            run=run_rows.read_run(rows[0], attempts, first, verdicts),
            compliance=run_rows.read_compliance(rows[0]),
            corrections=[charge for charge in charges if charge.kind == "correction"],
        )

    def _list(
        self, source: str, where: list[str], values: list[object], order: str, limit: int
    ) -> list[RunSummary]:
        columns = ", ".join(f"r.{column}" for column in _SUMMARY_COLUMNS)
        condition = " AND ".join(where) or "TRUE"
        rows = self.database.query(
            f"SELECT {columns} FROM {source} WHERE {condition}"  # noqa: S608
            f" ORDER BY {order} LIMIT ?",
            [*values, _bounded(limit)],
        )
        return [_summary(row) for row in rows]


def _conditions(wanted: RunFilter) -> tuple[str, list[str], list[object]]:
    """Source, conditions and their values. Terms beyond the filter let partial indexes serve."""
    source = "inference_run AS r"
    clock = "r"
    where: list[str] = []
    values: list[object] = []

    def add(term: str, value: object) -> None:
        if value is not None:
            where.append(term)
            values.append(value)

    if wanted.asset is not None:
        source = "run_data_asset AS a CROSS JOIN inference_run AS r"
        clock = "a"
        where.append("r.run_id = a.run_id")
        add("a.asset = ?", wanted.asset)
    add(f"{clock}.timestamp >= ?", wanted.since)
    add(f"{clock}.timestamp < ?", wanted.until)
    for column in _EQUAL:
        add(f"r.{column} = ?", getattr(wanted, column))
    add("r.user_id <> '' AND r.user_id = ?", wanted.user)
    add("r.session <> '' AND r.session = ?", wanted.session)
    if wanted.outcome is not None and wanted.outcome != "answered":
        where.append("r.outcome <> 'answered'")
    add("r.outcome = ?", wanted.outcome)
    if wanted.only_failed_floor:
        where.append("r.failed_verdicts > 0")
    if wanted.only_not_compliant:
        where.append("r.compliant = 0")
    return source, where, values


def _summary(row: dict[str, Any]) -> RunSummary:
    lock, assets = row["residency_lock"], row["data_assets"]
    row["residency_lock"] = None if lock is None else msgspec.json.decode(lock)
    row["data_assets"] = msgspec.json.decode(assets)
    return msgspec.convert(row, RunSummary, strict=False)


def _bounded(limit: int) -> int:
    return max(0, min(limit, MAX_LIMIT))
