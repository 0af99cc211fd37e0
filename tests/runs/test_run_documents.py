"""The JSON of a run: what the command line prints and the proxy serves."""

import json

from hypothesis import given

from signalbox_ledger.database import Database
from signalbox_ledger.documents import (
    recorded_document,
    run_document,
    score_text,
    summary_document,
    timestamp_text,
)
from signalbox_ledger.reading import LedgerReader
from signalbox_ledger.records import Run
from support.recorded_runs import (
    NOON,
    correct,
    make_attempt,
    make_charge,
    make_run,
    record,
    refused_run,
)
from support.run_strategies import runs

CONTRACT = [
    *("run_id", "timestamp", "domain", "agent", "model", "lane", "region", "route_policy"),
    *("tokens_input", "tokens_cached", "tokens_output", "cost_usd", "focus_account"),
    *("eval_score", "outcome", "sensitivity", "residency_lock", "data_assets"),
]


def test_the_contractual_fields_stand_first_under_their_names() -> None:
    document = run_document(make_run(eval_score=925_000))
    assert list(document)[: len(CONTRACT)] == CONTRACT
    assert {name: document[name] for name in CONTRACT} == {
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
        "cost_usd": "0.0000099",
        "focus_account": "6420",
        "eval_score": "0.925",
        "outcome": "answered",
        "sensitivity": "regulated",
        "residency_lock": ["DE", "FR"],
        "data_assets": ["signalbox/portfolios"],
    }


@given(run=runs())
def test_any_run_has_a_document_that_json_can_carry(run: Run) -> None:
    document = run_document(run)
    assert json.loads(json.dumps(document, allow_nan=False)) == document


def test_amounts_are_decimal_strings_and_durations_milliseconds() -> None:
    document = run_document(make_run())
    assert document["duration_ms"] == 812.345
    (attempt,) = document["attempts"]
    assert (attempt["bound_usd"], attempt["cost_usd"]) == ("0.00002", "0.0000099")
    assert attempt["duration_ms"] == 800.0
    assert attempt["usage"]["cached_input"] == 100
    (charge,) = document["charges"]
    assert (charge["counted"], charge["price_unit"]) == ("Tokens", "1000000 Tokens")
    assert charge["usd_per_price_unit"] == "3.30"
    assert (charge["base_usd"], charge["premium_usd"]) == ("0.000009", "0.0000009")


def test_no_field_of_a_nano_amount_is_left() -> None:
    assert "nano" not in json.dumps(run_document(make_run()))


def test_a_refusal_is_told_with_its_reason() -> None:
    document = run_document(refused_run("r_1", refusal_detail="Budget b has $0.003 left."))
    assert document["refusal"] == {
        "code": "budget_exhausted",
        "detail": "Budget b has $0.003 left.",
    }
    assert run_document(make_run())["refusal"] is None


def test_a_violation_is_spelled_out() -> None:
    document = run_document(make_run(attempts=[make_attempt(1, jurisdiction="US")]))
    assert document["compliance"]["compliant"] is False
    assert "outside the residency lock" in document["compliance"]["violations"][0]


def test_the_proxy_and_the_command_line_show_the_same_run(
    ledger: Database, reader: LedgerReader
) -> None:
    run = make_run()
    record(ledger, [run])
    recorded = reader.run(run.run_id)
    assert recorded is not None
    assert recorded_document(recorded) == run_document(run)


def test_corrections_stand_beside_what_was_recorded(ledger: Database, reader: LedgerReader) -> None:
    record(ledger, [make_run()])
    refund = make_charge(kind="correction", cost=-9_000, base=-9_000, premium=0)
    correct(ledger, "r_1", [refund], NOON)
    recorded = reader.run("r_1")
    assert recorded is not None
    document = recorded_document(recorded)
    assert document["cost_usd"] == "0.0000099"
    assert [line["cost_usd"] for line in document["corrections"]] == ["-0.000009"]


def test_a_line_of_a_list_says_the_same_as_the_whole_run(
    ledger: Database, reader: LedgerReader
) -> None:
    run = make_run()
    record(ledger, [run])
    (summary,) = reader.runs()
    line, whole = summary_document(summary), run_document(run)
    shared = set(CONTRACT) | {"user", "session", "workload", "duration_ms", "client_left"}
    assert {name: line[name] for name in shared} == {name: whole[name] for name in shared}
    assert line["compliant"] is True


def test_instants_and_scores_are_exact() -> None:
    assert timestamp_text(NOON + 7) == "2026-09-22T12:00:00.007Z"
    assert [score_text(ppm) for ppm in (0, 1, 500_000, 1_000_000)] == ["0", "0.000001", "0.5", "1"]
