"""What goes into the record: whole, once, for ever."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import get_args

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings

from signalbox_ledger import records
from signalbox_ledger.reading import LedgerReader
from signalbox_ledger.records import Run, Usage
from signalbox_ledger.run_store import (
    RecordRefusedError,
    SliceLoss,
    create_tables,
    insert_corrections,
    insert_runs,
    insert_slice_losses,
)
from support.recorded_runs import NOON, make_attempt, make_charge, make_run, refused_run
from support.run_strategies import runs

TABLES = ("inference_run", "run_data_asset", "attempt", "charge_record", "eval_result")


def count(ledger: sqlite3.Connection, table: str) -> int:
    return int(ledger.execute(f"SELECT count(*) FROM {table}").fetchone()[0])


def summed(ledger: sqlite3.Connection, measure: str) -> int:
    """What the sums by hour come to, and those by day: the same."""
    spans = ledger.execute(f"SELECT sum({measure}) FROM period_sum GROUP BY span").fetchall()
    (hours,), (days,) = spans
    assert hours == days
    return int(hours)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(run=runs())
def test_whatever_a_run_says_comes_back_as_it_went_in(
    run: Run, ledger: sqlite3.Connection, reader: LedgerReader
) -> None:
    run = msgspec.structs.replace(run, run_id=f"r_{count(ledger, 'inference_run')}")
    insert_runs(ledger, [run])
    recorded = reader.run(run.run_id)
    assert recorded is not None
    assert recorded.run == run


def test_the_row_carries_the_sixteen_fields_under_their_names(ledger: sqlite3.Connection) -> None:
    insert_runs(ledger, [make_run("r_1")])
    ledger.row_factory = sqlite3.Row
    assert dict(ledger.execute("SELECT * FROM run_contract").fetchone()) == {
        "run_id": "r_1",
        "timestamp": "2026-09-22T12:00:00.000Z",
        "domain": "signalbox/wealth",
        "agent": "signalbox/advisor",
        "model": "signalbox/sonnet",
        "lane": "eu",
        "region": "eu-central-1",
        "route_policy": "signalbox/wealth",
        "tokens_input": 10,
        "tokens_cached": 100,
        "tokens_output": 11,
        "cost_usd": "0.000009900",
        "focus_account": "6420",
        "eval_score": 1_000_000,
        "outcome": "answered",
        "sensitivity": 3,
        "residency_lock": '["DE","FR"]',
        "data_assets": '["signalbox/portfolios"]',
    }


def test_tokens_of_all_attempts_count_in_the_run(ledger: sqlite3.Connection) -> None:
    tried = [
        make_attempt(1, usage=Usage(input=1, cached_input=2, output=4)),
        make_attempt(2, usage=None, outcome="timeout", settlement="full"),
        make_attempt(3, usage=Usage(input=8, cache_write_1h=16, output=32, reasoning=32)),
    ]
    insert_runs(ledger, [make_run(attempts=tried)])
    row = ledger.execute("SELECT tokens_input, tokens_cached, tokens_output FROM inference_run")
    assert row.fetchone() == (1 + 8 + 16, 2, 4 + 32)


def test_missing_usage_is_not_zero_usage(ledger: sqlite3.Connection) -> None:
    insert_runs(ledger, [make_run(attempts=[make_attempt(1, usage=None)])])
    assert ledger.execute("SELECT tokens_input, tokens_output FROM attempt").fetchone() == (
        None,
        None,
    )


def test_a_run_sent_again_counts_once(ledger: sqlite3.Connection) -> None:
    assert insert_runs(ledger, [make_run("r_1"), make_run("r_2"), make_run("r_1")]) == 2
    before = {table: count(ledger, table) for table in TABLES}
    assert insert_runs(ledger, [make_run("r_2"), make_run("r_1")]) == 0
    assert {table: count(ledger, table) for table in TABLES} == before
    assert ledger.execute(
        "SELECT sum(runs), sum(cost_nano_usd) FROM period_sum WHERE span = 3600000"
    ).fetchone() == (
        2,
        2 * 9_900,
    )


def test_a_run_decoded_with_other_key_order_is_the_same_run(ledger: sqlite3.Connection) -> None:
    insert_runs(ledger, [make_run(decision={"a": 1, "b": 2})])
    assert insert_runs(ledger, [make_run(decision={"b": 2, "a": 1})]) == 0


@pytest.mark.parametrize("settled_before", [True, False])
def test_another_run_under_a_known_id_is_refused(
    ledger: sqlite3.Connection, settled_before: bool
) -> None:
    first, other = make_run("r_1"), make_run("r_1", agent="signalbox/somebody")
    batch = [make_run("r_0"), first, other]
    if settled_before:
        insert_runs(ledger, [first])
        batch = [make_run("r_0"), other]
    with pytest.raises(RecordRefusedError, match="r_1: another run is recorded"):
        insert_runs(ledger, batch)
    assert count(ledger, "inference_run") == int(settled_before)


BROKEN: list[dict[str, object]] = [
    {"sensitivity": 4},
    {"cost_nano": -1},
    {"cost_nano": 2**63},
    {"outcome": "splendid"},
    {"started_at": -1},
    {"eval_score": 1_000_001},
    {"outcome": "refused", "refusal": ""},
    {"attempts": [make_attempt(1), make_attempt(1)]},
    {"attempts": [make_attempt(1, outcome="splendid")]},
    {"attempts": [make_attempt(1, bound_nano=-1)]},
    {"charges": [make_charge(cost=9_901)]},
    {"charges": [make_charge(cost=-9_900, base=-9_000, premium=-900)]},
    {"charges": [make_charge(kind="slice_loss")]},
    {"charges": [make_charge(meter="hours")]},
    {"data_assets": [""]},
    {"user": "\ud800"},
]


@pytest.mark.parametrize("broken", BROKEN, ids=str)
def test_a_run_that_cannot_be_true_is_named_and_takes_nothing_else_with_it(
    ledger: sqlite3.Connection, broken: dict[str, object]
) -> None:
    ledger.execute("BEGIN")
    insert_runs(ledger, [make_run("r_before")])
    with pytest.raises(RecordRefusedError) as refused:
        insert_runs(ledger, [make_run("r_1"), make_run("r_2", **broken), make_run("r_3")])
    assert refused.value.record_id == "r_2"
    insert_runs(ledger, [make_run("r_1"), make_run("r_3")])
    ledger.execute("COMMIT")
    ids = [row[0] for row in ledger.execute("SELECT run_id FROM inference_run ORDER BY run_id")]
    assert ids == ["r_1", "r_3", "r_before"]
    assert ledger.execute("SELECT sum(runs) FROM period_sum WHERE span = 3600000").fetchone() == (
        3,
    )


def test_the_tables_know_every_word_of_the_records(ledger: sqlite3.Connection) -> None:
    every = [
        *(make_run(f"r_{o}", outcome=o, refusal="no_budget") for o in get_args(records.Outcome)),
        make_run(
            "r_attempts",
            attempts=[
                make_attempt(number, outcome=outcome, settlement=settlement)
                for number, (outcome, settlement) in enumerate(
                    (
                        (outcome, settlement)
                        for outcome in get_args(records.AttemptOutcome)
                        for settlement in get_args(records.Settlement)
                    ),
                    start=1,
                )
            ],
        ),
        make_run(
            "r_charges",
            charges=[
                make_charge(meter=meter, kind=kind)
                for meter in get_args(records.Meter)
                for kind in ("usage", "unknown")
            ],
        ),
    ]
    assert insert_runs(ledger, every) == len(every)


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("statement", ["UPDATE {0} SET {1} = {1}", "DELETE FROM {0}"])
def test_what_was_recorded_cannot_be_edited(
    ledger: sqlite3.Connection, table: str, statement: str
) -> None:
    insert_runs(ledger, [make_run()])
    column = ledger.execute(f"PRAGMA table_info({table})").fetchone()[1]
    with pytest.raises(sqlite3.IntegrityError, match=f"{table} is append-only"):
        ledger.execute(statement.format(table, column))


def test_nor_can_it_be_replaced(ledger: sqlite3.Connection) -> None:
    insert_runs(ledger, [make_run()])
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        ledger.execute("INSERT OR REPLACE INTO inference_run SELECT * FROM inference_run")


def test_a_dear_cache_write_and_a_cheap_lane_are_told_by_their_signs(
    ledger: sqlite3.Connection, reader: LedgerReader
) -> None:
    write = make_charge(meter="cache_write_5m", base=100, cache_saving=-25, premium=-5, cost=120)
    run = make_run(charges=[write], cost_nano=120)
    insert_runs(ledger, [run])
    recorded = reader.run(run.run_id)
    assert recorded is not None
    assert recorded.run.charges == [write]
    assert (summed(ledger, "premium_nano_usd"), summed(ledger, "cache_saving_nano_usd")) == (
        -5,
        -25,
    )


def test_a_settlement_that_is_rolled_back_leaves_no_run(ledger: sqlite3.Connection) -> None:
    ledger.execute("BEGIN IMMEDIATE")
    insert_runs(ledger, [make_run("r_1"), refused_run("r_2")])
    ledger.execute("ROLLBACK")
    assert {table: count(ledger, table) for table in (*TABLES, "period_sum")} == dict.fromkeys(
        (*TABLES, "period_sum"), 0
    )


def test_tables_can_be_created_within_a_transaction_and_again(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "l.db", isolation_level=None)) as connection:
        connection.execute("BEGIN")
        create_tables(connection)
        assert connection.in_transaction
        connection.execute("ROLLBACK")
        assert connection.execute("SELECT count(*) FROM sqlite_schema").fetchone() == (0,)
        create_tables(connection)
        create_tables(connection)


def test_a_correction_is_a_new_charge_beside_the_recorded_cost(
    ledger: sqlite3.Connection, reader: LedgerReader
) -> None:
    run = make_run()
    insert_runs(ledger, [run])
    refund = make_charge(kind="correction", quantity=-1, cost=-3_300, base=-3_000, premium=-300)
    insert_corrections(ledger, run.run_id, [refund], NOON + 86_400_000)
    recorded = reader.run(run.run_id)
    assert recorded is not None
    assert (recorded.run, recorded.corrections) == (run, [refund])
    assert ledger.execute(
        "SELECT sum(cost_nano_usd) FROM period_sum WHERE span = 3600000"
    ).fetchone() == (6_600,)


def test_a_correction_needs_its_run_its_kind_and_a_sum_that_adds_up(
    ledger: sqlite3.Connection,
) -> None:
    insert_runs(ledger, [make_run("r_1")])
    correction = make_charge(kind="correction")
    with pytest.raises(RecordRefusedError, match="no such run"):
        insert_corrections(ledger, "r_2", [correction], NOON)
    with pytest.raises(RecordRefusedError, match="only charges of kind correction"):
        insert_corrections(ledger, "r_1", [make_charge()], NOON)
    with pytest.raises(RecordRefusedError, match="CHECK"):
        insert_corrections(ledger, "r_1", [correction, make_charge(kind="correction", cost=1)], 1)
    assert count(ledger, "charge_record") == 1


def test_a_slice_is_lost_once_and_is_nobodys_spend(ledger: sqlite3.Connection) -> None:
    loss = SliceLoss(slice_id="sl-1", budget="b", holder="h", amount_nano=500, posted_at=NOON)
    assert insert_slice_losses(ledger, [loss, loss]) == 1
    assert insert_slice_losses(ledger, [loss]) == 0
    other = SliceLoss(slice_id="sl-1", budget="b", holder="h", amount_nano=501, posted_at=NOON)
    with pytest.raises(RecordRefusedError, match="sl-1"):
        insert_slice_losses(ledger, [other])
    assert count(ledger, "charge_record") == 1
    assert count(ledger, "period_sum") == 0
