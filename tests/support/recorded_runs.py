"""Runs as a proxy would record them."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from signalbox_ledger import run_store
from signalbox_ledger.database import Database
from signalbox_ledger.records import Attempt, Charge, HoldPart, Run, Usage, Verdict

NOON = 1_790_078_400_000
"""2026-09-22 12:00:00 UTC, in milliseconds."""


def record(ledger: Database, runs: Sequence[Run]) -> int:
    """Settle them in a transaction of their own; how many were new."""
    with ledger.transaction():
        return run_store.insert_runs(ledger, runs)


def correct(ledger: Database, run_id: str, corrections: Sequence[Charge], posted_at: int) -> None:
    """Post corrections in a transaction of their own."""
    with ledger.transaction():
        run_store.insert_corrections(ledger, run_id, corrections, posted_at)


class _UndoneError(Exception):
    """What a test does is not to stay."""


@contextmanager
def undone(ledger: Database) -> Iterator[None]:
    """A transaction that is rolled back in the end."""
    with suppress(_UndoneError), ledger.transaction():
        yield
        raise _UndoneError


def make_run(run_id: str = "r_1", **changed: object) -> Run:
    """An answered run of the wealth desk on a German lane; name what shall differ."""
    values: dict[str, object] = {
        "run_id": run_id,
        "started_at": NOON,
        "domain": "signalbox/wealth",
        "agent": "signalbox/advisor",
        "focus_account": "6420",
        "owner_team": "wealth",
        "surface": "chat",
        "model_asked": "claude-sonnet",
        "workload": "advice",
        "task": "",
        "session": "s-1",
        "user": "u-1",
        "sensitivity": 3,
        "residency_lock": ["DE", "FR"],
        "data_assets": ["signalbox/portfolios"],
        "snapshot_version": "ab" * 32,
        "generation": 7,
        "holder": "proxy-0/1",
        "model": "signalbox/sonnet",
        "lane": "eu",
        "region": "eu-central-1",
        "route_policy": "signalbox/wealth",
        "outcome": "answered",
        "status": 200,
        "cost_nano": 9_900,
        "duration_us": 812_345,
        "first_chunk_us": 201_000,
        "eval_score": 1_000_000,
        "decision": {"candidates": [{"lane": "eu", "won": True}]},
        "attempts": [make_attempt()],
        "charges": [make_charge()],
        "verdicts": [Verdict(spec="basic", assertion="complete", passed=True, score=1_000_000)],
    }
    return Run(**(values | changed))  # type: ignore[arg-type]


def make_attempt(number: int = 1, **changed: object) -> Attempt:
    values: dict[str, object] = {
        "number": number,
        "model": "signalbox/sonnet",
        "lane": "eu",
        "lane_class": "regional",
        "provider": "bedrock",
        "upstream_model": "sonnet-eu",
        "region": "eu-central-1",
        "jurisdiction": "DE",
        "lane_max_sensitivity": 3,
        "started_at": NOON + 5,
        "duration_us": 800_000,
        "status": 200,
        "outcome": "answered",
        "settlement": "usage",
        "bound_nano": 20_000,
        "bound_tokens": 6_000,
        "expected_nano": 10_000,
        "usage": Usage(input=3, cached_input=100, cache_write_5m=7, output=11, reasoning=4),
        "cost_nano": 9_900,
        "holds": [HoldPart(slice_id="sl-1", budget="b", subject="", amount=20_000, spent=9_900)],
    }
    return Attempt(**(values | changed))  # type: ignore[arg-type]


def make_charge(attempt: int = 1, **changed: object) -> Charge:
    values: dict[str, object] = {
        "attempt": attempt,
        "meter": "input",
        "quantity": 3,
        "unit_price": 3_300_000_000,
        "cost": 9_900,
        "base": 9_000,
        "premium": 900,
    }
    return Charge(**(values | changed))  # type: ignore[arg-type]


def refused_run(run_id: str, **changed: object) -> Run:
    """A run that never left the house."""
    nothing: dict[str, object] = {
        "model": "",
        "lane": "",
        "region": "",
        "outcome": "refused",
        "refusal": "budget_exhausted",
        "status": 402,
        "cost_nano": 0,
        "first_chunk_us": None,
        "eval_score": None,
        "attempts": [],
        "charges": [],
        "verdicts": [],
    }
    return make_run(run_id, **(nothing | changed))
