"""A run as rows of the record's tables, and back.

Pure: `run_store` writes these rows, `reading` reads them. The tables stand in migrations/runs.sql.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from signalbox_ledger.compliance import Compliance, judge
from signalbox_ledger.records import Attempt, Charge, HoldPart, Run, Usage, Verdict

Cell = int | str | bytes | None
Row = tuple[Cell, ...]

RUN_COLUMNS = (
    *("run_id", "timestamp", "domain", "agent", "model", "lane", "region", "route_policy"),
    *("tokens_input", "tokens_cached", "tokens_output", "cost_nano_usd", "focus_account"),
    *("eval_score", "outcome", "sensitivity", "residency_lock", "data_assets", "owner_team"),
    *("surface", "model_asked", "workload", "task", "session", "user_id", "snapshot_version"),
    *("generation", "holder", "refusal", "refusal_detail", "status", "stream", "client_left"),
    *("duration_us", "first_chunk_us", "decision", "dry_run_refusals", "failed_verdicts"),
    *("compliant", "compliance_detail", "digest"),
)
ATTEMPT_COLUMNS = (
    *("run_id", "number", "model", "lane", "lane_class", "provider", "upstream_model", "region"),
    *("jurisdiction", "lane_max_sensitivity", "started_at", "duration_us", "first_chunk_us"),
    *("status", "outcome", "settlement", "bound_nano_usd", "bound_tokens", "expected_nano_usd"),
    *("cost_nano_usd", "tokens_input", "tokens_cached", "tokens_cache_write_5m"),
    *("tokens_cache_write_1h", "tokens_output", "tokens_reasoning", "holds"),
    *("provider_request_id", "detail", "wire_format"),
)
CHARGE_COLUMNS = (
    *("timestamp", "run_id", "attempt", "meter", "kind", "quantity", "unit_price"),
    *("cost_nano_usd", "base_nano_usd", "premium_nano_usd", "cache_saving_nano_usd"),
    "batch_saving_nano_usd",
)
VERDICT_COLUMNS = ("run_id", "number", "spec", "assertion", "passed", "score", "detail")
ASSET_COLUMNS = ("asset", "timestamp", "run_id")


_NUL = re.compile(rb"(?<!\\)((?:\\\\)*)\\u0000")
_NUL_SYMBOL = "\N{SYMBOL FOR NULL}".encode()


def storable(run: Run) -> tuple[Run, bytes]:
    """The run as it is recorded, and the SHA-256 of its canonical JSON.

    Equal runs, whatever the order of keys, agree. PostgreSQL's texts hold no NUL: where a provider
    or a client sent one, its symbol stands in its place.
    """
    encoded = msgspec.json.encode(run, order="deterministic")
    if b"u0000" in encoded and _NUL.search(encoded):  # the search alone took as long as the rest
        encoded = _NUL.sub(rb"\1" + _NUL_SYMBOL, encoded)
        run = msgspec.json.decode(encoded, type=Run)
    return run, hashlib.sha256(encoded).digest()


def tokens(run: Run) -> tuple[int, int, int]:
    """Tokens of all attempts: (input processed afresh, read from cache, output).

    Cache writes are input processed afresh. The three never overlap.
    """
    used = [attempt.usage for attempt in run.attempts if attempt.usage is not None]
    return (
        sum(usage.input + usage.cache_write_5m + usage.cache_write_1h for usage in used),
        sum(usage.cached_input for usage in used),
        sum(usage.output for usage in used),
    )


def run_row(run: Run, run_digest: bytes) -> Row:
    """The row of `inference_run`, compliance judged here and now; cells as RUN_COLUMNS."""
    verdict = judge(run)
    lock = None if run.residency_lock is None else _text(run.residency_lock)
    return (
        *(run.run_id, run.started_at, run.domain, run.agent, run.model, run.lane, run.region),
        *(run.route_policy, *tokens(run), run.cost_nano, run.focus_account, run.eval_score),
        *(run.outcome, run.sensitivity, lock, _text(run.data_assets), run.owner_team),
        *(run.surface, run.model_asked, run.workload, run.task, run.session, run.user),
        *(run.snapshot_version, run.generation, run.holder, run.refusal, run.refusal_detail),
        *(run.status, int(run.stream), int(run.client_left), run.duration_us),
        *(run.first_chunk_us, _text(run.decision), _text(run.dry_run_refusals)),
        sum(not one.passed for one in run.verdicts),
        *(int(verdict.compliant), "\n".join(verdict.sentences), run_digest),
    )


def attempt_rows(run: Run) -> list[Row]:
    """The rows of `attempt`; cells as ATTEMPT_COLUMNS."""
    return [(run.run_id, *_attempt_cells(attempt)) for attempt in run.attempts]


def _attempt_cells(attempt: Attempt) -> Row:
    usage = attempt.usage
    used: Row = (None,) * 6
    if usage is not None:
        used = (
            *(usage.input, usage.cached_input, usage.cache_write_5m, usage.cache_write_1h),
            *(usage.output, usage.reasoning),
        )
    return (
        *(attempt.number, attempt.model, attempt.lane, attempt.lane_class, attempt.provider),
        *(attempt.upstream_model, attempt.region, attempt.jurisdiction),
        *(attempt.lane_max_sensitivity, attempt.started_at, attempt.duration_us),
        *(attempt.first_chunk_us, attempt.status, attempt.outcome, attempt.settlement),
        *(attempt.bound_nano, attempt.bound_tokens, attempt.expected_nano, attempt.cost_nano),
        *(*used, _text(attempt.holds), attempt.provider_request_id, attempt.detail),
        "" if attempt.wire_format is msgspec.UNSET else attempt.wire_format,
    )


def charge_rows(run_id: str, timestamp: int, charges: Sequence[Charge]) -> list[Row]:
    """Rows of `charge_record`; cells as CHARGE_COLUMNS. `timestamp` in milliseconds."""
    return [
        (
            *(timestamp, run_id, charge.attempt, charge.meter, charge.kind, charge.quantity),
            *(charge.unit_price, charge.cost, charge.base, charge.premium),
            *(charge.cache_saving, charge.batch_saving),
        )
        for charge in charges
    ]


def verdict_rows(run: Run) -> list[Row]:
    """The rows of `eval_result`; cells as VERDICT_COLUMNS."""
    return [
        (run.run_id, number, one.spec, one.assertion, int(one.passed), one.score, one.detail)
        for number, one in enumerate(run.verdicts, start=1)
    ]


def asset_rows(run: Run) -> list[Row]:
    """The rows of `run_data_asset`, each asset once; cells as ASSET_COLUMNS."""
    return [(asset, run.started_at, run.run_id) for asset in dict.fromkeys(run.data_assets)]


def read_run(
    row: Mapping[str, Any],
    attempts: Sequence[Mapping[str, Any]],
    charges: Sequence[Charge],
    verdicts: Sequence[Mapping[str, Any]],
) -> Run:
    """The run that these rows were made of."""
    lock = row["residency_lock"]
    renamed = {
        "started_at": row["timestamp"],
        "user": row["user_id"],
        "cost_nano": row["cost_nano_usd"],
        "residency_lock": None if lock is None else json.loads(lock),
        "data_assets": json.loads(row["data_assets"]),
        "decision": json.loads(row["decision"]),
        "dry_run_refusals": json.loads(row["dry_run_refusals"]),
        "stream": bool(row["stream"]),
        "client_left": bool(row["client_left"]),
        "attempts": [_read_attempt(attempt) for attempt in attempts],
        "charges": list(charges),
        "verdicts": [_read_verdict(verdict) for verdict in verdicts],
    }
    return Run(**_same_names(Run, row, renamed))


def read_charge(row: Mapping[str, Any]) -> Charge:
    """The charge that this row of `charge_record` was made of."""
    return Charge(
        attempt=row["attempt"],
        meter=row["meter"],
        quantity=row["quantity"],
        unit_price=row["unit_price"],
        cost=row["cost_nano_usd"],
        base=row["base_nano_usd"],
        premium=row["premium_nano_usd"],
        cache_saving=row["cache_saving_nano_usd"],
        batch_saving=row["batch_saving_nano_usd"],
        kind=row["kind"],
    )


def read_compliance(row: Mapping[str, Any]) -> Compliance:
    """The verdict as it was recorded."""
    detail = row["compliance_detail"]
    return Compliance(
        compliant=bool(row["compliant"]), sentences=tuple(detail.split("\n")) if detail else ()
    )


def _read_attempt(row: Mapping[str, Any]) -> Attempt:
    usage = None
    if row["tokens_input"] is not None:
        usage = Usage(
            input=row["tokens_input"],
            cached_input=row["tokens_cached"],
            cache_write_5m=row["tokens_cache_write_5m"],
            cache_write_1h=row["tokens_cache_write_1h"],
            output=row["tokens_output"],
            reasoning=row["tokens_reasoning"],
        )
    renamed = {
        "bound_nano": row["bound_nano_usd"],
        "expected_nano": row["expected_nano_usd"],
        "cost_nano": row["cost_nano_usd"],
        "usage": usage,
        "wire_format": row["wire_format"] or msgspec.UNSET,
        "holds": msgspec.json.decode(row["holds"], type=list[HoldPart]),
    }
    return Attempt(**_same_names(Attempt, row, renamed))


def _read_verdict(row: Mapping[str, Any]) -> Verdict:
    return Verdict(**_same_names(Verdict, row, {"passed": bool(row["passed"])}))


def _same_names(
    record: type[msgspec.Struct], row: Mapping[str, Any], renamed: Mapping[str, Any]
) -> dict[str, Any]:
    """The values of all fields of `record`: those renamed, and the columns of equal name."""
    return {
        name: renamed[name] if name in renamed else row[name] for name in record.__struct_fields__
    }


def _text(value: object) -> str:
    return msgspec.json.encode(value, order="deterministic").decode()
