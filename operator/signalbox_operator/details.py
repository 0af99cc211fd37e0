"""What the status of each kind says beyond its conditions, read from the compiled snapshot."""

from collections import Counter
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final

from signalbox_api import ResourceKey
from signalbox_api.amounts import retention_days
from signalbox_operator import budget_status
from signalbox_operator.compiler import ObjectState
from signalbox_operator.facts import AccountFacts
from signalbox_snapshot import snapshot as wire

MAX_NAMES: Final = 512
"""Most names in one list of a status."""

Fields = dict[str, Any]


class Details:
    """Indexes a snapshot once and answers for one object after the other."""

    def __init__(
        self, snapshot: wire.Snapshot, now: datetime, quarantined: frozenset[str] = frozenset()
    ) -> None:
        self._quarantined = quarantined
        self._now = int(now.timestamp())
        self._domains = {item.id: item for item in snapshot.domains}
        self._agents = {item.id: item for item in snapshot.agents}
        self._assets = {item.id: item for item in snapshot.data_assets}
        self._models = {item.id: item for item in snapshot.models}
        self._budgets = {item.id: item for item in snapshot.budgets}
        self._population = Counter(
            domain
            for agent in snapshot.agents
            for domain in (agent.domain, *self._domains[agent.domain].ancestors)
        )
        self._by_kind: Mapping[str, Callable[[str], Fields]] = {
            "Domain": self._domain,
            "Agent": self._agent,
            "DataAsset": self._asset,
            "Model": self._model,
        }

    def budget(self, key: ResourceKey) -> wire.Budget | None:
        """The form of a budget that is in force."""
        return self._budgets.get(f"{key.namespace}/{key.name}")

    def fields(
        self,
        key: ResourceKey,
        state: ObjectState | None,
        facts: AccountFacts | None,
    ) -> Fields:
        """The fields of the kind's status; none where no form of the object is in force."""
        if state is None or state.serving_generation is None:
            return {}
        if key.kind == "RoutePolicy":
            return {"agents": state.agents, "overruled_by": state.overruled_by[:MAX_NAMES]}
        name = f"{key.namespace}/{key.name}"
        if key.kind != "Budget":
            return self._by_kind[key.kind](name)
        budget = self._budgets[name]
        if facts is None:
            return budget_status.fields_without_ledger(budget)
        return dict(budget_status.fields(budget, facts))

    def _domain(self, name: str) -> Fields:
        domain = self._domains[name]
        path = " > ".join((*reversed(domain.ancestors), name))
        return {
            "path": path if len(path) <= MAX_NAMES else f"… > {name}",
            "jurisdictions": tuple(domain.jurisdictions or ()),
            "agents": self._population[name],
        }

    def _agent(self, name: str) -> Fields:
        agent = self._agents[name]
        everywhere = (item for item in agent.budgets if not self._budgets[item].workload)
        return {
            "domain": agent.domain,
            "budgets": tuple(everywhere)[:MAX_NAMES],
            "keys": sum(key.expires_at is None or key.expires_at > self._now for key in agent.keys),
        }

    def _asset(self, name: str) -> Fields:
        asset = self._assets[name]
        return {
            "domain": asset.domain,
            "jurisdictions": tuple(asset.jurisdictions or ()),
            "retention_days": retention_days(asset.retention) if asset.retention else None,
        }

    def _model(self, name: str) -> Fields:
        model = self._models[name]
        retired = model.retires_at is not None and model.retires_at <= self._now
        serving = () if retired else [lane for lane in model.lanes if lane.price is not None]
        return {
            "lanes": f"{len(serving)}/{len(model.lanes)}",
            "serving_lanes": tuple(lane.name for lane in serving),
            "quarantined_lanes": tuple(
                lane.name for lane in model.lanes if f"{name}/{lane.name}" in self._quarantined
            ),
            "replacement": model.replacement,
        }
