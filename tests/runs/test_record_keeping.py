"""What goes into the record: whole, once, for ever."""

from typing import get_args

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings

from signalbox_ledger import records
from signalbox_ledger.database import Database, RuleBrokenError
from signalbox_ledger.reading import LedgerReader
from signalbox_ledger.records import Run, Usage
from signalbox_ledger.run_store import (
    RecordRefusedError,
    SliceLoss,
    insert_runs,
    insert_slice_losses,
)
from support.recorded_runs import (
    NOON,
    correct,
    make_attempt,
    make_charge,
    make_run,
    record,
    refused_run,
    undone,
)
from support.run_strategies import runs

TABLES = ("inference_run", "run_data_asset", "attempt", "charge_record", "eval_result")


def count(ledger: Database, table: str) -> int:
    return int(ledger.query(f"SELECT count(*) FROM {table}")[0][0])


def summed(ledger: Database, measure: str) -> int:
    """What the sums by hour come to, and those by day: the same."""
    spans = ledger.query(f"SELECT sum({measure}) FROM period_sum GROUP BY span")
    (hours,), (days,) = spans
    assert hours == days
    return int(hours)


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=50
)
@given(run=runs())
def test_whatever_a_run_says_comes_back_as_it_went_in(
    run: Run, ledger: Database, reader: LedgerReader
) -> None:
    run = msgspec.structs.replace(run, run_id=f"r_{count(ledger, 'inference_run')}")
    record(ledger, [run])
    recorded = reader.run(run.run_id)
    assert recorded is not None
    assert recorded.run == run


def test_a_nul_is_recorded_as_its_symbol_because_postgresql_has_none(
    ledger: Database, reader: LedgerReader
) -> None:
    run = make_run(task="a\0b \\u0000", decision={"why\0": ["\\\0"]})
    assert record(ledger, [run]) == 1
    assert record(ledger, [run]) == 0, "it is the same run when it is sent again"
    recorded = reader.run(run.run_id)
    assert recorded is not None
    assert recorded.run == make_run(task="a␀b \\u0000", decision={"why␀": ["\\␀"]})


def test_the_row_carries_the_sixteen_fields_under_their_names(ledger: Database) -> None:
    record(ledger, [make_run("r_1")])
    (row,) = ledger.query_named("SELECT * FROM run_contract")
    assert row == {
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


def test_tokens_of_all_attempts_count_in_the_run(ledger: Database) -> None:
    tried = [
        make_attempt(1, usage=Usage(input=1, cached_input=2, output=4)),
        make_attempt(2, usage=None, outcome="timeout", settlement="full"),
        make_attempt(3, usage=Usage(input=8, cache_write_1h=16, output=32, reasoning=32)),
    ]
    record(ledger, [make_run(attempts=tried)])
    rows = ledger.query("SELECT tokens_input, tokens_cached, tokens_output FROM inference_run")
    assert rows == [(1 + 8 + 16, 2, 4 + 32)]


def test_missing_usage_is_not_zero_usage(ledger: Database) -> None:
    record(ledger, [make_run(attempts=[make_attempt(1, usage=None)])])
    assert ledger.query("SELECT tokens_input, tokens_output FROM attempt")[0] == (
        None,
        None,
    )


def test_a_run_sent_again_counts_once(ledger: Database) -> None:
    assert record(ledger, [make_run("r_1"), make_run("r_2"), make_run("r_1")]) == 2
    before = {table: count(ledger, table) for table in TABLES}
    assert record(ledger, [make_run("r_2"), make_run("r_1")]) == 0
    assert {table: count(ledger, table) for table in TABLES} == before
    assert (summed(ledger, "runs"), summed(ledger, "cost_nano_usd")) == (2, 2 * 9_900)


def test_a_run_decoded_with_other_key_order_is_the_same_run(ledger: Database) -> None:
    record(ledger, [make_run(decision={"a": 1, "b": 2})])
    assert record(ledger, [make_run(decision={"b": 2, "a": 1})]) == 0


@pytest.mark.parametrize("settled_before", [True, False])
def test_another_run_under_a_known_id_is_refused(ledger: Database, settled_before: bool) -> None:
    first, other = make_run("r_1"), make_run("r_1", agent="signalbox/somebody")
    batch = [make_run("r_0"), first, other]
    if settled_before:
        record(ledger, [first])
        batch = [make_run("r_0"), other]
    with pytest.raises(RecordRefusedError, match="r_1: another run is recorded"):
        record(ledger, batch)
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
    ledger: Database, broken: dict[str, object]
) -> None:
    with ledger.transaction():
        insert_runs(ledger, [make_run("r_before")])
        with pytest.raises(RecordRefusedError) as refused:
            insert_runs(ledger, [make_run("r_1"), make_run("r_2", **broken), make_run("r_3")])
        assert refused.value.record_id == "r_2"
        insert_runs(ledger, [make_run("r_1"), make_run("r_3")])
    ids = [row[0] for row in ledger.query("SELECT run_id FROM inference_run ORDER BY run_id")]
    assert ids == ["r_1", "r_3", "r_before"]
    assert ledger.query("SELECT sum(runs) FROM period_sum WHERE span = 3600000")[0] == (3,)


def test_the_tables_know_every_word_of_the_records(ledger: Database) -> None:
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
    assert record(ledger, every) == len(every)


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("statement", ["UPDATE {0} SET {1} = {1}", "DELETE FROM {0}"])
def test_what_was_recorded_cannot_be_edited(ledger: Database, table: str, statement: str) -> None:
    record(ledger, [make_run()])
    (row,) = ledger.query_named(f"SELECT * FROM {table}")
    with pytest.raises(RuleBrokenError, match=f"{table} is append-only"), ledger.transaction():
        ledger.execute(statement.format(table, [*row][-1]))
    assert ledger.query_named(f"SELECT * FROM {table}") == [row]


def test_nor_can_it_be_replaced(ledger: Database) -> None:
    record(ledger, [make_run()])
    replacing = (
        "INSERT OR REPLACE INTO inference_run SELECT * FROM inference_run"
        if ledger.dialect == "sqlite"
        else "TRUNCATE inference_run CASCADE"
    )
    with pytest.raises(RuleBrokenError, match="append-only"), ledger.transaction():
        ledger.execute(replacing)


def test_a_dear_cache_write_and_a_cheap_lane_are_told_by_their_signs(
    ledger: Database, reader: LedgerReader
) -> None:
    write = make_charge(meter="cache_write_5m", base=100, cache_saving=-25, premium=-5, cost=120)
    run = make_run(charges=[write], cost_nano=120)
    record(ledger, [run])
    recorded = reader.run(run.run_id)
    assert recorded is not None
    assert recorded.run.charges == [write]
    assert (summed(ledger, "premium_nano_usd"), summed(ledger, "cache_saving_nano_usd")) == (
        -5,
        -25,
    )


def test_a_settlement_that_is_rolled_back_leaves_no_run(ledger: Database) -> None:
    with undone(ledger):
        insert_runs(ledger, [make_run("r_1"), refused_run("r_2")])
    assert {table: count(ledger, table) for table in (*TABLES, "period_sum")} == dict.fromkeys(
        (*TABLES, "period_sum"), 0
    )


def test_a_correction_is_a_new_charge_beside_the_recorded_cost(
    ledger: Database, reader: LedgerReader
) -> None:
    run = make_run()
    record(ledger, [run])
    refund = make_charge(kind="correction", quantity=-1, cost=-3_300, base=-3_000, premium=-300)
    correct(ledger, run.run_id, [refund], NOON + 86_400_000)
    recorded = reader.run(run.run_id)
    assert recorded is not None
    assert (recorded.run, recorded.corrections) == (run, [refund])
    by_day = "SELECT sum(cost_nano_usd) FROM period_sum WHERE span = 86400000"
    assert ledger.query(by_day) == [(6_600,)]


def test_a_correction_needs_its_run_its_kind_and_a_sum_that_adds_up(
    ledger: Database,
) -> None:
    record(ledger, [make_run("r_1")])
    correction = make_charge(kind="correction")
    with pytest.raises(RecordRefusedError, match="no such run"):
        correct(ledger, "r_2", [correction], NOON)
    with pytest.raises(RecordRefusedError, match="only charges of kind correction"):
        correct(ledger, "r_1", [make_charge()], NOON)
    with pytest.raises(RecordRefusedError, match=r"(?i)check"):
        correct(ledger, "r_1", [correction, make_charge(kind="correction", cost=1)], 1)
    assert count(ledger, "charge_record") == 1


def test_a_slice_is_lost_once_and_is_nobodys_spend(ledger: Database) -> None:
    loss = SliceLoss(slice_id="sl-1", budget="b", holder="h", amount_nano=500, posted_at=NOON)
    with ledger.transaction():
        assert insert_slice_losses(ledger, [loss, loss]) == 1
        assert insert_slice_losses(ledger, [loss]) == 0
    other = SliceLoss(slice_id="sl-1", budget="b", holder="h", amount_nano=501, posted_at=NOON)
    with pytest.raises(RecordRefusedError, match="sl-1"), ledger.transaction():
        insert_slice_losses(ledger, [other])
    assert count(ledger, "charge_record") == 1
    assert count(ledger, "period_sum") == 0


def test_one_call_that_was_lost_in_two_budgets_is_not_spent_twice(ledger: Database) -> None:
    """It held money of both, each account is charged, and no cost is added up from that."""
    of_both = [
        SliceLoss(slice_id=f"s-{budget}", budget=budget, holder="h", amount_nano=7, posted_at=NOON)
        for budget in ("company", "team")
    ]
    with ledger.transaction():
        assert insert_slice_losses(ledger, of_both) == 2
        (sums,) = ledger.query("SELECT SUM(cost_nano_usd), SUM(quantity) FROM charge_record")
    assert (int(sums[0]), int(sums[1])) == (0, 14)
