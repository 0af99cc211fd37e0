"""What limits the cost of a single request: policies' and budgets' most per request. Pure."""

from collections.abc import Sequence

import msgspec

from signalbox_proxy.accounts import applying_budgets
from signalbox_proxy.amounts import quantity
from signalbox_proxy.classification import Facts
from signalbox_proxy.quotes import Quote
from signalbox_proxy.runtime import PreparedAgent
from signalbox_snapshot.policy import EffectivePolicy
from signalbox_snapshot.snapshot import Enforcement


class Cap(msgspec.Struct, frozen=True):
    """The most that one request may cost. `source` names the object that says so."""

    source: str
    unit: str
    amount: int
    enforcement: Enforcement

    @property
    def sentence(self) -> str:
        """The cap in words."""
        return f"the {quantity(self.amount, self.unit)} per request of {self.source}"


def caps_for(agent: PreparedAgent, facts: Facts, policy: EffectivePolicy) -> tuple[Cap, ...]:
    """Everything that caps a request, DryRun included."""
    caps = [
        Cap(f"Budget {budget.id}", budget.unit, budget.max_per_request, budget.enforcement)
        for budget in applying_budgets(agent, facts.workload)
        if budget.max_per_request is not None
    ]
    limit = policy.constraints.max_nano
    if limit is not None:
        caps.append(Cap(f"RoutePolicy {limit.policies[0]}", "usd", limit.value, "Enforce"))
    if policy.dry_run is not None and (limit := policy.dry_run.constraints.max_nano) is not None:
        caps.append(Cap(f"RoutePolicy {limit.policies[0]}", "usd", limit.value, "DryRun"))
    return tuple(caps)


def exceeded(quote: Quote, caps: Sequence[Cap], enforcement: Enforcement) -> Cap | None:
    """The first cap that a quote exceeds, or None."""
    for cap in caps:
        if cap.enforcement == enforcement and quote.amount(cap.unit) > cap.amount:
            return cap
    return None
