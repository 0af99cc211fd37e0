"""A run while it lasts: what will be recorded, filled in by the steps of the request path.

Mutable on purpose and private to one request. `run()` gives the ledger's immutable record at any
moment; the journal wants one before each dispatch and one at the end.
"""

from dataclasses import dataclass, field
from typing import Any

from signalbox_ledger.records import (
    Attempt,
    AttemptOutcome,
    Charge,
    HoldPart,
    Outcome,
    Run,
    Settlement,
    Usage,
    Verdict,
)
from signalbox_proxy.classification import Facts
from signalbox_proxy.model_request import ModelRequest
from signalbox_proxy.quotes import Quote
from signalbox_proxy.runtime import PreparedAgent, Runtime


@dataclass(slots=True, eq=False)
class AttemptDraft:
    """One attempt while it lasts. Instants and durations as in `records.Attempt`."""

    number: int
    quote: Quote
    started_at: int
    holds: list[HoldPart]
    duration_us: int = 0
    first_chunk_us: int | None = None
    status: int | None = None
    outcome: AttemptOutcome = "unsent"
    settlement: Settlement = "released"
    usage: Usage | None = None
    cost_nano: int = 0
    provider_request_id: str = ""
    detail: str = ""

    def record(self) -> Attempt:
        """The attempt as the ledger keeps it."""
        quote = self.quote
        lane = quote.lane.lane
        return Attempt(
            number=self.number,
            model=quote.lane.model.id,
            lane=lane.name,
            lane_class=lane.lane_class,
            provider=lane.provider,
            upstream_model=lane.upstream_model,
            region=lane.region,
            jurisdiction=lane.jurisdiction,
            lane_max_sensitivity=lane.max_sensitivity,
            started_at=self.started_at,
            duration_us=self.duration_us,
            first_chunk_us=self.first_chunk_us,
            status=self.status,
            outcome=self.outcome,
            settlement=self.settlement,
            bound_nano=quote.worst_nano,
            bound_tokens=quote.bound_tokens,
            expected_nano=quote.expected_nano,
            usage=self.usage,
            cost_nano=self.cost_nano,
            holds=self.holds,
            provider_request_id=self.provider_request_id,
            detail=self.detail,
            wire_format=lane.wire_format,
        )


@dataclass(slots=True, eq=False)
class RunDraft:
    """One run while it lasts. What is not known yet has the agent's defaults.

    A request that was refused before it had a class is recorded under the highest class that its
    agent may send.
    """

    run_id: str
    started_at: int
    started_clock: float
    runtime: Runtime
    agent: PreparedAgent
    surface: str
    holder: str
    request: ModelRequest | None = None
    facts: Facts | None = None
    attempts: list[AttemptDraft] = field(default_factory=list)
    charges: list[Charge] = field(default_factory=list)
    verdicts: list[Verdict] = field(default_factory=list)
    decision: dict[str, Any] = field(default_factory=dict)
    dry_run_refusals: list[str] = field(default_factory=list)
    route_policy: str = ""
    outcome: Outcome = "unknown"
    refusal: str = ""
    refusal_detail: str = ""
    status: int = 0
    client_left: bool = False
    duration_us: int = 0
    first_chunk_us: int | None = None
    eval_score: int | None = None

    @property
    def cost_nano(self) -> int:
        """What all attempts cost so far, in nano-USD."""
        return sum([attempt.cost_nano for attempt in self.attempts])

    def run(self) -> Run:
        """The run as the ledger keeps it, as of now."""
        facts, request, agent = self.facts, self.request, self.agent
        last = self.attempts[-1].quote.lane if self.attempts else None
        lock = facts.jurisdictions if facts else agent.domain.jurisdictions
        return Run(
            run_id=self.run_id,
            started_at=self.started_at,
            domain=agent.domain.id,
            agent=agent.agent.id,
            focus_account=agent.domain.focus_account,
            owner_team=agent.domain.owner_team,
            surface=self.surface,
            model_asked=request.model[:256] if request else "",
            workload=facts.workload if facts else agent.agent.default_workload,
            task=facts.task if facts else "",
            session=facts.session if facts else "",
            user=facts.user if facts else "",
            sensitivity=facts.sensitivity if facts else agent.agent.max_sensitivity,
            residency_lock=None if lock is None else sorted(lock),
            data_assets=[asset.id for asset in facts.data_assets] if facts else [],
            snapshot_version=self.runtime.version,
            generation=self.runtime.generation,
            holder=self.holder,
            model=last.model.id if last else "",
            lane=last.lane.name if last else "",
            region=last.lane.region if last else "",
            route_policy=self.route_policy,
            outcome=self.outcome,
            refusal=self.refusal,
            refusal_detail=self.refusal_detail,
            status=self.status,
            stream=request.stream if request else False,
            client_left=self.client_left,
            cost_nano=self.cost_nano,
            duration_us=self.duration_us,
            first_chunk_us=self.first_chunk_us,
            eval_score=self.eval_score,
            decision=self.decision,
            dry_run_refusals=self.dry_run_refusals,
            attempts=[attempt.record() for attempt in self.attempts],
            charges=self.charges,
            verdicts=self.verdicts,
        )
