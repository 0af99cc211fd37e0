"""A second opinion on residency and class, from the run alone."""

import ast
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from signalbox_ledger import compliance
from signalbox_ledger.compliance import judge
from signalbox_ledger.database import Database
from signalbox_ledger.reading import LedgerReader, RunFilter
from signalbox_ledger.records import Run
from support.recorded_runs import make_attempt, make_run, record, refused_run
from support.run_strategies import runs


def test_an_attempt_inside_the_lock_and_cleared_for_the_class_is_compliant() -> None:
    assert judge(make_run()) == compliance.Compliance(compliant=True, sentences=())


def test_an_attempt_outside_the_lock_is_named_with_its_place() -> None:
    run = make_run(
        attempts=[make_attempt(1), make_attempt(2, lane="us", jurisdiction="US")],
        residency_lock=["DE", "FR"],
    )
    verdict = judge(run)
    assert not verdict.compliant
    assert verdict.sentences == (
        "attempt 2 ran on signalbox/sonnet/us in US, outside the residency lock (DE, FR).",
    )


def test_a_lane_not_cleared_for_the_class_is_named_with_both() -> None:
    verdict = judge(make_run(sensitivity=3, attempts=[make_attempt(1, lane_max_sensitivity=1)]))
    assert verdict.sentences == (
        "attempt 1 ran on signalbox/sonnet/eu, cleared for internal, with regulated data.",
    )


def test_an_attempt_that_failed_after_it_was_sent_counts_as_sent() -> None:
    for outcome in ("cut", "rejected", "error", "throttled", "timeout"):
        attempt = make_attempt(1, jurisdiction="US", outcome=outcome, status=None, cost_nano=0)
        assert not judge(make_run(attempts=[attempt])).compliant


def test_an_attempt_whose_end_was_lost_counts_as_sent() -> None:
    lost = make_attempt(
        1, jurisdiction="US", outcome="unsent", settlement="full", status=None, cost_nano=0
    )
    assert not judge(make_run(attempts=[lost])).compliant


def test_what_never_left_the_house_breaks_nothing() -> None:
    unsent = make_attempt(
        1, jurisdiction="US", outcome="unsent", settlement="released", status=None, cost_nano=0
    )
    assert judge(make_run(attempts=[unsent])).compliant
    assert judge(refused_run("r_1")).compliant


def test_no_lock_permits_every_place_and_an_empty_lock_none() -> None:
    assert judge(make_run(residency_lock=None)).compliant
    (sentence,) = judge(make_run(residency_lock=[])).sentences
    assert sentence.endswith("in DE, outside the residency lock (no jurisdiction at all).")


def test_a_lane_without_a_jurisdiction_is_outside_every_lock() -> None:
    assert not judge(make_run(attempts=[make_attempt(1, jurisdiction="")])).compliant


@given(run=runs(), place=st.sampled_from(["US", "DE", ""]))
def test_a_run_is_compliant_exactly_when_every_sent_attempt_is(run: Run, place: str) -> None:
    expected = all(
        (run.residency_lock is None or attempt.jurisdiction in run.residency_lock)
        and attempt.lane_max_sensitivity >= run.sensitivity
        for attempt in run.attempts
        if compliance.was_sent(attempt)
    )
    verdict = judge(run)
    assert verdict.compliant is expected
    assert bool(verdict.sentences) is not expected


def test_every_row_says_its_verdict_whatever_the_router_claims(
    ledger: Database, reader: LedgerReader
) -> None:
    outside = make_run(
        "r_out",
        attempts=[make_attempt(1, jurisdiction="US", lane_max_sensitivity=0)],
        decision={"residency": "all candidates inside the lock"},
    )
    record(ledger, [make_run("r_in"), outside])
    assert [run.run_id for run in reader.runs(RunFilter(only_not_compliant=True))] == ["r_out"]
    recorded = reader.run("r_out")
    assert recorded is not None
    assert recorded.compliance == judge(outside)
    assert len(recorded.compliance.sentences) == 2


def test_it_shares_nothing_with_the_router() -> None:
    tree = ast.parse(Path(compliance.__file__).read_text())
    imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert imported == {"signalbox_ledger.records"}
