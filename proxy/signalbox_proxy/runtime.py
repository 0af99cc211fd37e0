"""The snapshot, prepared for deciding: indexes, chains, budgets, combined policies.

A `Runtime` is built completely from one `Snapshot` and then swapped in by one assignment. A
request takes it once and keeps it, and its run names its version. Pure: no clock, no file, no
socket; credentials are kept apart (`credentials`). Also what `signalbox explain` decides by.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from signalbox_ledger.accounts import BudgetSpec
from signalbox_proxy.classification import Facts
from signalbox_proxy.model_request import SurfaceName
from signalbox_proxy.sealing import owner_of
from signalbox_proxy.wire_formats import native_surfaces
from signalbox_proxy.workload_tokens import WorkloadTokens
from signalbox_snapshot import policy as policies
from signalbox_snapshot.snapshot import (
    Agent,
    Budget,
    DataAsset,
    Domain,
    Key,
    Lane,
    Model,
    Policy,
    Snapshot,
)

MAX_COMBINATIONS = 4096
"""Most combined policies that one runtime remembers."""


@dataclass(frozen=True, slots=True, eq=False)
class PreparedLane:
    """One lane of one model: what a request may be sent to. `id` is `namespace/model/lane`.

    Requests of the surfaces in `native_to` go there as they are, all others translated.
    `reasoning_owner` is who encrypts the reasoning of responses there; `marks_reasoning`: the fleet
    has other owners too.
    """

    id: str
    model: Model
    lane: Lane
    marks_reasoning: bool = False
    native_to: frozenset[SurfaceName] = field(init=False, repr=False)
    reasoning_owner: str = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "native_to", native_surfaces(self.lane))
        object.__setattr__(self, "reasoning_owner", owner_of(self.lane))


@dataclass(frozen=True, slots=True, eq=False)
class PreparedModel:
    """A model with its lanes and what is asked of it as a set."""

    model: Model
    lanes: tuple[PreparedLane, ...]
    capabilities: frozenset[str]


@dataclass(frozen=True, slots=True, eq=False)
class PreparedAgent:
    """An agent with its domain's chain, its permissions as a set, its budgets as objects."""

    agent: Agent
    domain: Domain
    domains: tuple[str, ...]
    models: frozenset[str] | None
    budgets: tuple[Budget, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Runtime:
    """Everything that depends on the snapshot alone."""

    snapshot: Snapshot
    version: str
    generation: int
    platform_namespace: str
    agents: Mapping[str, PreparedAgent]
    keys_by_agent: Mapping[str, tuple[Agent, tuple[Key, ...]]]
    keys_by_lookup: Mapping[str, tuple[tuple[Agent, Key], ...]]
    domains: Mapping[str, Domain]
    data_assets: Mapping[str, DataAsset]
    models: Mapping[str, PreparedModel]
    models_by_name: Mapping[str, PreparedModel]
    budget_specs: tuple[BudgetSpec, ...]
    matched_workloads: frozenset[str]
    matched_tasks: frozenset[str]
    workloads: WorkloadTokens
    fleet: str = ""
    _combined: dict[policies.Facts, policies.EffectivePolicy] = field(default_factory=dict)

    @classmethod
    def build(
        cls, snapshot: Snapshot, *, version: str, generation: int, fleet: str = ""
    ) -> "Runtime":
        """Prepare a snapshot that `codec.decode` accepted: its references lead somewhere."""
        domains = {domain.id: domain for domain in snapshot.domains}
        budgets = {budget.id: budget for budget in snapshot.budgets}
        marks = _has_owners(snapshot.models)
        models = {model.id: _model(model, marks_reasoning=marks) for model in snapshot.models}
        return cls(
            snapshot=snapshot,
            version=version,
            generation=generation,
            platform_namespace=snapshot.platform_namespace,
            agents={agent.id: _agent(agent, domains, budgets) for agent in snapshot.agents},
            keys_by_agent=_keys_by_agent(snapshot.agents),
            keys_by_lookup=_keys_by_lookup(snapshot.agents),
            domains=domains,
            data_assets={asset.id: asset for asset in snapshot.data_assets},
            models=models,
            models_by_name={
                name: prepared for prepared in models.values() for name in prepared.model.names
            },
            budget_specs=tuple(_spec(budget) for budget in snapshot.budgets),
            matched_workloads=_mentioned(snapshot.policies, "workloads"),
            matched_tasks=_mentioned(snapshot.policies, "tasks"),
            workloads=WorkloadTokens(snapshot.token_issuers, snapshot.agents),
            fleet=fleet,
        )

    def policy_for(self, facts: Facts, model_asked: str) -> policies.EffectivePolicy:
        """What all policies that match say together.

        `model_asked` is a model's id or `auto`. Remembered by what policies can tell apart, so
        that names which clients invent do not fill the memory.
        """
        key = policies.Facts(
            agent=facts.agent.id,
            domains=self.agents[facts.agent.id].domains,
            workload=facts.workload if facts.workload in self.matched_workloads else "",
            task=facts.task if facts.task in self.matched_tasks else "",
            model=model_asked,
            sensitivity=facts.sensitivity,
        )
        combined = self._combined.get(key)
        if combined is None:
            combined = policies.combine(policies.matching(self.snapshot.policies, key))
            if len(self._combined) >= MAX_COMBINATIONS:
                self._combined.clear()
            self._combined[key] = combined
        return combined


def _has_owners(models: Iterable[Model]) -> bool:
    """Whether reasoning of responses has more than one owner."""
    lanes = (lane for model in models for lane in model.lanes)
    return len({owner_of(lane) for lane in lanes if "responses" in native_surfaces(lane)}) > 1


def _model(model: Model, *, marks_reasoning: bool) -> PreparedModel:
    return PreparedModel(
        model=model,
        lanes=tuple(
            PreparedLane(f"{model.id}/{lane.name}", model, lane, marks_reasoning)
            for lane in model.lanes
        ),
        capabilities=frozenset(model.capabilities),
    )


def _agent(
    agent: Agent, domains: Mapping[str, Domain], budgets: Mapping[str, Budget]
) -> PreparedAgent:
    domain = domains[agent.domain]
    return PreparedAgent(
        agent=agent,
        domain=domain,
        domains=(domain.id, *domain.ancestors),
        models=None if agent.models is None else frozenset(agent.models),
        budgets=tuple(
            # Budgets that refuse come first, so that a shortage of theirs is told before others.
            sorted((budgets[name] for name in agent.budgets), key=_allows_cheaper)
        ),
    )


def _allows_cheaper(budget: Budget) -> bool:
    return budget.on_exhausted == "CheaperLane"


def _keys_by_agent(agents: Iterable[Agent]) -> dict[str, tuple[Agent, tuple[Key, ...]]]:
    return {
        agent.id: (agent, tuple(key for key in agent.keys if not key.lookup)) for agent in agents
    }


def _keys_by_lookup(agents: Iterable[Agent]) -> dict[str, tuple[tuple[Agent, Key], ...]]:
    found: dict[str, tuple[tuple[Agent, Key], ...]] = {}
    for agent in agents:
        for key in agent.keys:
            if key.lookup:
                found[key.lookup] = (*found.get(key.lookup, ()), (agent, key))
    return found


def _spec(budget: Budget) -> BudgetSpec:
    return BudgetSpec(
        id=budget.id,
        unit=budget.unit,
        limit=budget.limit,
        every=budget.window.every,
        count=budget.window.count,
        time_zone=budget.window.time_zone,
        per=budget.per,
        new_subjects=budget.new_subjects,
    )


def _mentioned(listed: Iterable[Policy], field_name: str) -> frozenset[str]:
    return frozenset(
        name for policy in listed for name in (getattr(policy.match, field_name) or ())
    )
