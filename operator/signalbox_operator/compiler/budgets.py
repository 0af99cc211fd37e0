"""Budgets: amounts in integers, and which agents each one binds.

From the platform namespace a budget binds agents of every namespace, from another one only the
agents of that namespace. What an account counts cannot change: an update that tries leaves the
budget as it was.
"""

from collections import defaultdict
from collections.abc import Mapping

import msgspec

from signalbox_api import Budget, Resource, ResourceKey
from signalbox_api.amounts import nano_usd
from signalbox_api.budget import BudgetSpec, Per
from signalbox_api.conditions import Reason
from signalbox_operator.compiler.findings import Case
from signalbox_operator.compiler.references import World, find_governed
from signalbox_snapshot import snapshot as wire

ALL = "all"

DEFAULT_NEW_SUBJECTS = 10_000
"""Users or sessions that one agent may bring into a window, where a budget does not say. Names come
from callers and each gets the whole limit: without a bound, one that invents names had no limit."""


def build_budget(
    world: World, previous: Mapping[ResourceKey, Resource], budget: Budget, case: Case
) -> wire.Budget | None:
    """The budget; None where its scope leads nowhere, or where it would count something else."""
    scope = _scope(world, budget, case)
    if not _is_same_account(previous.get(case.key), budget, case) or scope is None:
        return None
    spec = budget.spec
    most = spec.max_per_request
    return wire.Budget(
        id=case.id,
        scope=scope,
        workload=spec.scope.workload or "",
        per=None if spec.per is None else spec.per.value,
        when_missing="share" if spec.when_missing is None else spec.when_missing.value,
        unit=spec.limit.unit,
        limit=_amount(spec.limit.usd, spec.limit.tokens, spec.limit.requests),
        window=wire.Window(
            every=spec.window.every.value,
            count=spec.window.count,
            time_zone=spec.window.time_zone,
        ),
        max_per_request=None if most is None else _amount(most.usd, most.tokens, None),
        warn_at_percent=sorted(spec.warn_at_percent),
        enforcement=spec.enforcement.value,
        on_exhausted=spec.on_exhausted.value,
        new_subjects=_new_subjects(spec),
    )


def bind(world: World, budgets: Mapping[str, wire.Budget]) -> dict[str, wire.Agent]:
    """The agents, each with the budgets that may apply to it."""
    by_scope: defaultdict[str, list[wire.Budget]] = defaultdict(list)
    for budget in budgets.values():
        general = budget.scope == ALL or budget.workload
        by_scope[ALL if general else budget.scope].append(budget)
    bound = {}
    for name, agent in world.agents.items():
        chain = (agent.domain, *world.domains[agent.domain].ancestors)
        scopes = (ALL, f"agent {name}", *(f"domain {domain}" for domain in chain))
        namespaces = {world.platform, _namespace(name)}
        found = sorted(
            budget.id
            for scope in scopes
            for budget in by_scope.get(scope, ())
            if _namespace(budget.id) in namespaces
        )
        bound[name] = msgspec.structs.replace(agent, budgets=found)
    return bound


def _namespace(identity: str) -> str:
    return identity.partition("/")[0]


def _scope(world: World, budget: Budget, case: Case) -> str | None:
    scope = budget.spec.scope
    if scope.all_requests is not None:
        return ALL
    if scope.workload is not None:
        return f"workload {scope.workload}"
    kind, reference = ("Domain", scope.domain) if scope.domain else ("Agent", scope.agent or "")
    found = find_governed(world, case, kind, reference, f"spec.scope.{kind.lower()}")
    return None if found is None else f"{kind.lower()} {found}"


def _new_subjects(spec: BudgetSpec) -> int | None:
    if spec.per not in (Per.USER, Per.SESSION):
        return None
    return spec.max_new_subjects_per_agent or DEFAULT_NEW_SUBJECTS


def _amount(usd: str | None, tokens: int | None, requests: int | None) -> int:
    if usd is not None:
        return nano_usd(usd)
    return tokens if tokens is not None else requests or 0


def _is_same_account(before: Resource | None, budget: Budget, case: Case) -> bool:
    """Whether the account still counts what it counted, as the API server's own rules demand."""
    if not isinstance(before, Budget):
        return True
    old, new = _identity(before.spec), _identity(budget.spec)
    changed = [field for field in new if old[field] != new[field]]
    for field in changed:
        case.error(
            f"spec.{field}",
            Reason.INVALID,
            "cannot be changed: a budget's account cannot change its meaning",
            "Put it back, and make a new Budget under another name",
        )
    return not changed


def _identity(spec: BudgetSpec) -> dict[str, object]:
    return {"scope": spec.scope, "per": spec.per, "limit": spec.limit.unit, "window": spec.window}
