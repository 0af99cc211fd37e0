"""What the ledger charged for calls of providers: the one side of a reconciliation.

Reads the record, never writes. Runs come in pages by time, so that a long period fits into memory.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final, Protocol

import msgspec

from signalbox_ledger.records import Settlement

PAGE: Final = 2_000
"""Runs read at once."""

DAY_MS: Final = 86_400_000


class Source(Protocol):
    """A database that can be read."""

    def query(self, statement: str, parameters: Sequence[object] = ()) -> list[dict[str, Any]]:
        """All rows of one statement."""
        ...


class ChargedAttempt(msgspec.Struct, frozen=True, kw_only=True):
    """One call of a provider as the ledger has it now.

    `nano` is its cost with all corrections so far, `bound_nano` what it could cost at most,
    `lines` how many charge lines were rounded up, `tokens` all that were billed, None unknown.
    """

    run_id: str
    number: int
    agent: str
    model: str
    lane: str
    provider: str
    upstream_model: str
    started_at: int
    duration_us: int
    settlement: Settlement
    bound_nano: int
    nano: int
    corrections: int
    lines: int
    request_id: str

    @property
    def ended_at(self) -> int:
        """When it was over, in milliseconds."""
        return self.started_at + self.duration_us // 1000

    @property
    def is_unknown(self) -> bool:
        """Charged in full because its end was lost, and not resolved since."""
        return self.settlement == "full" and self.corrections == 0


class LedgerSum(msgspec.Struct, frozen=True, kw_only=True):
    """What the ledger charged on one day (its start in milliseconds, UTC) to one lane.

    `unknown` attempts were charged in full and have no tokens; `unknown_nano` is their part.
    """

    day: int
    provider: str
    upstream_model: str
    model: str
    lane: str
    requests: int
    unknown: int
    unknown_nano: int
    input: int
    cached: int
    output: int
    nano: int
    lines: int


_CORRECTED: Final = """
    (SELECT coalesce(sum(c.cost_nano_usd), 0) FROM charge_record AS c WHERE c.run_id = a.run_id
        AND c.attempt = a.number AND c.kind = 'correction')"""
_LINES: Final = """
    (SELECT count(*) FROM charge_record AS c WHERE c.run_id = a.run_id
        AND c.attempt = a.number AND c.kind <> 'correction')"""
_CORRECTIONS: Final = """
    (SELECT count(*) FROM charge_record AS c WHERE c.run_id = a.run_id
        AND c.attempt = a.number AND c.kind = 'correction')"""

_ATTEMPTS: Final = f"""
    SELECT r.run_id, r.timestamp, r.agent, a.number, a.model, a.lane, a.provider,
           a.upstream_model, a.started_at, a.duration_us, a.settlement,
           a.bound_nano_usd AS bound_nano, a.cost_nano_usd + {_CORRECTED} AS nano,
           {_CORRECTIONS} AS corrections, {_LINES} AS lines,
           a.provider_request_id AS request_id
      FROM (SELECT run_id, timestamp, agent FROM inference_run
             WHERE timestamp >= ? AND timestamp < ? AND (timestamp, run_id) > (?, ?)
             ORDER BY timestamp, run_id LIMIT {PAGE}) AS r
      LEFT JOIN attempt AS a ON a.run_id = r.run_id AND a.settlement <> 'released'
     ORDER BY r.timestamp, r.run_id, a.number
"""  # noqa: S608

_SUMS: Final = f"""
    SELECT day, provider, upstream_model, model, lane, count(*) AS requests,
           sum(unknown) AS unknown, sum(unknown * nano) AS unknown_nano,
           sum(tokens_input) AS input, sum(tokens_cached) AS cached, sum(tokens_output) AS output,
           sum(nano) AS nano, sum(lines) AS lines
      FROM (SELECT a.started_at - a.started_at % {DAY_MS} AS day, a.provider, a.upstream_model,
                   a.model, a.lane,
                   CASE WHEN a.settlement = 'full' AND {_CORRECTIONS} = 0 THEN 1 ELSE 0 END
                       AS unknown,
                   coalesce(a.tokens_input + a.tokens_cache_write_5m + a.tokens_cache_write_1h, 0)
                       AS tokens_input,
                   coalesce(a.tokens_cached, 0) AS tokens_cached,
                   coalesce(a.tokens_output, 0) AS tokens_output,
                   a.cost_nano_usd + {_CORRECTED} AS nano, {_LINES} AS lines
              FROM inference_run AS r JOIN attempt AS a ON a.run_id = r.run_id
             WHERE r.timestamp >= ? AND r.timestamp < ? AND a.settlement IN ('usage', 'full')
           ) AS charged
     WHERE day >= ? AND day < ?
     GROUP BY day, provider, upstream_model, model, lane
     ORDER BY day, provider, upstream_model, model, lane
"""  # noqa: S608


def attempts(source: Source, since: int, until: int) -> Iterator[ChargedAttempt]:
    """Attempts that may have left, of runs from `since` up to before `until`, in milliseconds."""
    timestamp, run_id = since - 1, ""
    while True:
        rows = source.query(_ATTEMPTS, (since, until, timestamp, run_id))
        if not rows:
            return
        timestamp, run_id = rows[-1]["timestamp"], rows[-1]["run_id"]
        for row in rows:
            if row.pop("timestamp") is not None and row["number"] is not None:
                yield msgspec.convert(row, ChargedAttempt)


def sums(source: Source, since: int, until: int) -> list[LedgerSum]:
    """By day, model and lane, of the days from `since` up to before `until`."""
    values = (since - DAY_MS, until + DAY_MS, since, until)
    return [
        msgspec.convert(row, LedgerSum, strict=False)  # PostgreSQL sums bigints as numerics
        for row in source.query(_SUMS, values)
    ]


def reach(source: Source) -> tuple[int, int]:
    """The first run's instant and the one behind the last; (0, 0) for an empty ledger."""
    rows = source.query("SELECT min(timestamp) AS first, max(timestamp) AS last FROM inference_run")
    first, last = rows[0]["first"], rows[0]["last"]
    return (0, 0) if first is None else (int(first), int(last) + 1)
