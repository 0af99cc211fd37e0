"""Sums of the record by hour and by day, kept in the transaction that adds the facts.

What is added up stands in the views `run_fact` and `charge_fact`, what it becomes in `period_sum`.
"""

from collections.abc import Sequence
from functools import cache

from signalbox_ledger.database import Database

WRITERS = 16
"""Into how many rows a sum may be split, so that settlements of many holders do not queue."""

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


def add_runs(
    database: Database, run_ids: Sequence[str], *, after: tuple[int, int], writer: int
) -> None:
    """Add all facts of these runs, which were not there before.

    They stand behind the positions `after` of runs and of charges: see `positions.announce`.
    """
    # The ids choose: others may have written in between. The positions lead there by an index.
    condition = f"WHERE position > ? AND {database.any_of('run_id')}"
    ids = database.listed(run_ids)
    values = (after[0], ids, after[1], ids, *_keys(writer))
    database.execute(_adding(condition, condition), values)


def add_charges(database: Database, run_id: str, *, after: int, writer: int) -> None:
    """Add the charges of a run behind the position `after`."""
    statement = _adding(None, "WHERE position > ? AND run_id = ?")
    database.execute(statement, (after, run_id, *_keys(writer)))


def rebuild(database: Database) -> None:
    """Compute the sums anew from the facts, for a ledger that was restored or edited."""
    database.execute("DELETE FROM period_sum")
    database.execute(_adding("", ""), _keys(0))


def _keys(writer: int) -> list[int]:
    return [writer] * len(SUM_SPANS)


@cache
def _adding(runs: str | None, charges: str) -> str:
    """The statement: facts are read once, into the shortest span, and longer ones add that up.

    `runs` and `charges` choose the facts; None takes none. Rows are locked in the order of their
    keys, so that two of these never wait for each other.
    """
    key = ", ".join(SUM_KEY)
    measures = ", ".join(SUM_MEASURES)
    sums = ", ".join(f"sum({measure}) AS {measure}" for measure in SUM_MEASURES)
    added = ", ".join(
        f"{measure} = period_sum.{measure} + excluded.{measure}" for measure in SUM_MEASURES
    )
    facts = " UNION ALL ".join(
        f"SELECT timestamp, {key}, {measures} FROM {view} {chosen}"  # noqa: S608
        for view, chosen in (("run_fact", runs), ("charge_fact", charges))
        if chosen is not None
    )
    spans = " UNION ALL ".join(
        f"SELECT {span} AS span, start - start % {span} AS begun, {key},"  # noqa: S608
        f" CAST(? AS INTEGER) AS writer, {sums} FROM shortest GROUP BY begun, {key}"
        for span in SUM_SPANS
    )
    return (
        "WITH shortest AS MATERIALIZED ("  # noqa: S608
        f"SELECT timestamp - timestamp % {SUM_SPANS[0]} AS start, {key}, {sums}"
        f" FROM ({facts}) AS fact GROUP BY timestamp - timestamp % {SUM_SPANS[0]}, {key})"
        f" INSERT INTO period_sum (span, timestamp, {key}, writer, {measures})"
        f" SELECT * FROM ({spans}) AS spans WHERE TRUE ORDER BY span, begun, {key}"
        f" ON CONFLICT (span, timestamp, {key}, writer) DO UPDATE SET {added}"
    )
