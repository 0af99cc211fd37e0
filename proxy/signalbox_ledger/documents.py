"""A run as the JSON document that people and tools get.

Served by `GET /signalbox/v1/runs/ID` of the proxies and by `signalbox runs -o json`. Amounts are
decimal strings of USD, instants ISO 8601 in UTC, durations milliseconds, scores decimal strings
of 1. Pure.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from signalbox_ledger import run_rows
from signalbox_ledger.compliance import Compliance, judge, sensitivity_name
from signalbox_ledger.meters import MEASURES
from signalbox_ledger.money import format_usd
from signalbox_ledger.reading import RecordedRun, RunSummary
from signalbox_ledger.records import Attempt, Charge, Run, Verdict

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_PPM_DIGITS = 6


def timestamp_text(milliseconds: int) -> str:
    """ISO 8601 in UTC with milliseconds, such as 2026-09-22T12:00:00.000Z."""
    instant = _EPOCH + timedelta(milliseconds=milliseconds)
    return instant.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def score_text(ppm: int) -> str:
    """A score in ppm as a decimal string, such as 0.925."""
    whole, fraction = divmod(ppm, 10**_PPM_DIGITS)
    return f"{whole}.{fraction:0{_PPM_DIGITS}d}".rstrip("0").rstrip(".")


def run_document(
    run: Run, *, compliance: Compliance | None = None, corrections: Sequence[Charge] = ()
) -> dict[str, Any]:
    """The whole run; its contractual fields first, under their names.

    `compliance` as it was recorded; judged here where the run comes from memory. The contractual
    `cost_usd` is what was recorded with the run; corrections stand beside it.
    """
    verdict = compliance or judge(run)
    tokens_input, tokens_cached, tokens_output = run_rows.tokens(run)
    return {
        "run_id": run.run_id,
        "timestamp": timestamp_text(run.started_at),
        "domain": run.domain,
        "agent": run.agent,
        "model": run.model,
        "lane": run.lane,
        "region": run.region,
        "route_policy": run.route_policy,
        "tokens_input": tokens_input,
        "tokens_cached": tokens_cached,
        "tokens_output": tokens_output,
        "cost_usd": format_usd(run.cost_nano),
        "focus_account": run.focus_account,
        "eval_score": None if run.eval_score is None else score_text(run.eval_score),
        "outcome": run.outcome,
        "sensitivity": sensitivity_name(run.sensitivity),
        "residency_lock": run.residency_lock,
        "data_assets": run.data_assets,
        **_beyond_the_contract(run),
        "compliance": {"compliant": verdict.compliant, "violations": list(verdict.sentences)},
        "decision": run.decision,
        "attempts": [_attempt(attempt) for attempt in run.attempts],
        "charges": [_charge(charge) for charge in run.charges],
        "corrections": [_charge(charge) for charge in corrections],
        "verdicts": [_verdict(one) for one in run.verdicts],
    }


def recorded_document(recorded: RecordedRun) -> dict[str, Any]:
    """The whole run as the ledger has it, with its recorded judgement and its corrections."""
    return run_document(
        recorded.run, compliance=recorded.compliance, corrections=recorded.corrections
    )


def summary_document(summary: RunSummary) -> dict[str, Any]:
    """One line of a list of runs; the names of `run_document`, `compliant` as a boolean."""
    document: dict[str, Any] = msgspec.structs.asdict(summary)
    score = summary.eval_score
    hidden = ("position", "user_id", "cost_nano_usd", "duration_us", "first_chunk_us")
    return {
        **_without(document, *hidden),
        "timestamp": timestamp_text(summary.timestamp),
        "eval_score": None if score is None else score_text(score),
        "sensitivity": sensitivity_name(summary.sensitivity),
        "user": summary.user_id,
        "cost_usd": format_usd(summary.cost_nano_usd),
        "duration_ms": _milliseconds(summary.duration_us),
        "first_chunk_ms": _milliseconds(summary.first_chunk_us),
    }


def _beyond_the_contract(run: Run) -> dict[str, Any]:
    refusal = {"code": run.refusal, "detail": run.refusal_detail} if run.refusal else None
    return {
        "owner_team": run.owner_team,
        "workload": run.workload,
        "task": run.task,
        "session": run.session,
        "user": run.user,
        "surface": run.surface,
        "model_asked": run.model_asked,
        "stream": run.stream,
        "client_left": run.client_left,
        "status": run.status,
        "refusal": refusal,
        "dry_run_refusals": run.dry_run_refusals,
        "duration_ms": _milliseconds(run.duration_us),
        "first_chunk_ms": _milliseconds(run.first_chunk_us),
        "snapshot_version": run.snapshot_version,
        "generation": run.generation,
        "holder": run.holder,
    }


def _attempt(attempt: Attempt) -> dict[str, Any]:
    document: dict[str, Any] = msgspec.to_builtins(attempt)
    hidden = ("bound_nano", "expected_nano", "cost_nano", "duration_us", "first_chunk_us")
    return {
        **_without(document, *hidden),
        "wire_format": attempt.wire_format or "",
        "started_at": timestamp_text(attempt.started_at),
        "duration_ms": _milliseconds(attempt.duration_us),
        "first_chunk_ms": _milliseconds(attempt.first_chunk_us),
        "lane_max_sensitivity": sensitivity_name(attempt.lane_max_sensitivity),
        "bound_usd": format_usd(attempt.bound_nano),
        "expected_usd": format_usd(attempt.expected_nano),
        "cost_usd": format_usd(attempt.cost_nano),
    }


def _charge(charge: Charge) -> dict[str, Any]:
    measure = MEASURES[charge.meter]
    return {
        "attempt": charge.attempt,
        "kind": charge.kind,
        "meter": charge.meter,
        "quantity": charge.quantity,
        "counted": measure.counted,
        "price_unit": measure.unit,
        "usd_per_price_unit": format_usd(charge.unit_price),
        "cost_usd": format_usd(charge.cost),
        "base_usd": format_usd(charge.base),
        "premium_usd": format_usd(charge.premium),
        "cache_saving_usd": format_usd(charge.cache_saving),
        "batch_saving_usd": format_usd(charge.batch_saving),
    }


def _verdict(verdict: Verdict) -> dict[str, Any]:
    document: dict[str, Any] = msgspec.to_builtins(verdict)
    return {**document, "score": score_text(verdict.score)}


def _milliseconds(microseconds: int | None) -> float | None:
    return None if microseconds is None else microseconds / 1000


def _without(document: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in document.items() if name not in names}
