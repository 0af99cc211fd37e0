"""The facts that the ledger keeps: one run, its attempts, charges and verdicts.

Written by the proxy, journalled before dispatch and after the end, settled by the authority.
Append-only: a correction is a new charge, never an edit. Amounts are integer nano-USD, instants
are milliseconds since the Unix epoch by the authority's clock, durations are microseconds.
"""

from typing import Any, Literal

import msgspec

Outcome = Literal["answered", "incomplete", "refused", "rejected", "failed", "unknown"]
"""How a run ended.

answered: a whole answer. incomplete: an answer that was cut off by the provider or a limit.
refused: Signalbox said no. rejected: the provider said 4xx. failed: no lane answered.
unknown: dispatched, and its end was lost; charged in full.
"""

AttemptOutcome = Literal["answered", "cut", "rejected", "error", "throttled", "timeout", "unsent"]

Settlement = Literal["usage", "zero", "full", "released"]
"""How a hold ended: by the usage record, at zero (error status), in full (end unknown), unsent."""

UnitMeter = Literal["images", "searches", "audio_seconds", "characters"]
"""What is billed by units other than tokens."""

Meter = Literal[
    "input", "cached_input", "cache_write_5m", "cache_write_1h", "output", "audio_input", UnitMeter
]


class Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of the ledger's rows as they travel in journal and settlement."""


class Usage(Record, frozen=True):
    """Billed tokens by meter. `input` excludes cached and cache-write tokens; `output` includes
    `reasoning`."""

    input: int = 0
    cached_input: int = 0
    cache_write_5m: int = 0
    cache_write_1h: int = 0
    output: int = 0
    reasoning: int = 0


class Charge(Record, frozen=True):
    """One line of a bill: what one meter counted for one attempt.

    cost = base - cache_saving - batch_saving + premium, each in nano-USD; `base` is the Model's
    list price of as many uncached tokens, or of as many units. `unit_price` is nano-USD per
    million tokens, or for what `meters.MEASURES` says.
    """

    attempt: int
    meter: Meter
    quantity: int
    unit_price: int
    cost: int
    base: int
    premium: int = 0
    cache_saving: int = 0
    batch_saving: int = 0
    kind: Literal["usage", "unknown", "correction"] = "usage"


class HoldPart(Record, frozen=True):
    """What one attempt took from one slice, in the unit of the slice's account."""

    slice_id: str
    budget: str
    subject: str
    amount: int
    spent: int = 0


class Attempt(Record, frozen=True):
    """One call of a provider. `number` counts from 1 within the run.

    `wire_format` is what was spoken to the lane; nothing in records from before it was kept, which
    so keep their digests.
    """

    number: int
    model: str
    lane: str
    lane_class: str
    provider: str
    upstream_model: str
    region: str
    jurisdiction: str
    lane_max_sensitivity: int
    started_at: int
    duration_us: int = 0
    first_chunk_us: int | None = None
    status: int | None = None
    outcome: AttemptOutcome = "unsent"
    settlement: Settlement = "released"
    bound_nano: int = 0
    bound_tokens: int = 0
    expected_nano: int = 0
    usage: Usage | None = None
    cost_nano: int = 0
    holds: list[HoldPart] = []
    provider_request_id: str = ""
    detail: str = ""
    wire_format: str | msgspec.UnsetType = msgspec.UNSET


class Verdict(Record, frozen=True):
    """One assertion about an answer. `score` is ppm of 1."""

    spec: str
    assertion: str
    passed: bool
    score: int
    detail: str = ""


class Run(Record, frozen=True):
    """One request, whatever became of it: the row `inference_run` with what hangs on it.

    The sixteen contractual fields: run_id, timestamp (`started_at`), domain, agent; model, lane,
    region, route_policy; tokens (input, cached, output: summed over `attempts`), cost_usd
    (`cost_nano`), focus_account; eval_score, outcome; sensitivity, residency_lock, data_assets.
    """

    run_id: str
    started_at: int
    domain: str
    agent: str
    focus_account: str
    owner_team: str
    surface: str
    model_asked: str
    workload: str
    task: str
    session: str
    user: str
    sensitivity: int
    residency_lock: list[str] | None
    data_assets: list[str]
    snapshot_version: str
    generation: int
    holder: str
    model: str = ""
    lane: str = ""
    region: str = ""
    route_policy: str = ""
    outcome: Outcome = "unknown"
    refusal: str = ""
    refusal_detail: str = ""
    status: int = 0
    stream: bool = False
    client_left: bool = False
    cost_nano: int = 0
    duration_us: int = 0
    first_chunk_us: int | None = None
    eval_score: int | None = None
    decision: dict[str, Any] = {}
    dry_run_refusals: list[str] = []
    attempts: list[Attempt] = []
    charges: list[Charge] = []
    verdicts: list[Verdict] = []

    @property
    def parts(self) -> tuple[HoldPart, ...]:
        """What all of its attempts held, and what of that they spent."""
        return tuple([part for attempt in self.attempts for part in attempt.holds])
