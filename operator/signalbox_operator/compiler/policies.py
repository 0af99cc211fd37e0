"""Route policies: whom they match, what they demand, how specific they are.

A policy never disappears because something that it names is gone: it keeps its constraints and
loses the name, so that deleting a model or an agent never widens what the others may do.
"""

from collections.abc import Sequence

import msgspec

from signalbox_api import RoutePolicy, jurisdictions
from signalbox_api.amounts import millionths, nano_usd
from signalbox_api.conditions import Reason
from signalbox_api.route_policy import Constraints, Match
from signalbox_operator.compiler.conversion import sensitivity
from signalbox_operator.compiler.findings import Case
from signalbox_operator.compiler.references import World, find_governed, find_model
from signalbox_snapshot import snapshot as wire
from signalbox_snapshot.policy import ASKED, AUTO

_NO_CONSTRAINTS = Constraints.model_construct(set())
_NO_MATCH = Match.model_construct(set())


def build_policy(world: World, policy: RoutePolicy, case: Case) -> wire.Policy:
    """The policy as a proxy applies it."""
    spec = policy.spec
    constraints = spec.constraints or _NO_CONSTRAINTS
    named = spec.match or _NO_MATCH
    match = _match(world, named, case)
    floor, most = constraints.quality_floor, constraints.max_usd
    places = constraints.jurisdictions
    return wire.Policy(
        id=case.id,
        rank=_rank(world, named, match),
        match=match,
        enforcement=spec.enforcement.value,
        lane_classes=None
        if constraints.lane_classes is None
        else [item.value for item in sorted(constraints.lane_classes)],
        regions=None if constraints.regions is None else sorted(constraints.regions),
        jurisdictions=None if places is None else sorted(jurisdictions.resolve(places)),
        quality_floor=None if floor is None else millionths(floor),
        first_chunk_ms=constraints.first_chunk_ms,
        max_nano=None if most is None else nano_usd(most),
        candidates=_candidates(world, spec.candidates, match, case),
        objective=None if spec.objective is None else spec.objective.value,
        attempts=None if spec.retries is None else spec.retries.attempts,
        failover=spec.failover,
        default_output=None if spec.defaults is None else spec.defaults.max_output_tokens,
        prompt_caching=msgspec.UNSET if spec.prompt_caching is None else spec.prompt_caching.value,
        response_storage=msgspec.UNSET if spec.responses is None else spec.responses.store.value,
    )


def _match(world: World, named: Match, case: Case) -> wire.Match:
    domains = _governed(world, case, "Domain", named.domains)
    agents = _governed(world, case, "Agent", named.agents)
    if agents is None and _reaches_out(world, domains, case):
        prefix = f"{case.key.namespace}/"
        agents = sorted(name for name in world.agents if name.startswith(prefix))
    classes = named.sensitivities
    return wire.Match(
        domains=domains,
        agents=agents,
        workloads=None if named.workloads is None else sorted(named.workloads),
        tasks=None if named.tasks is None else sorted(named.tasks),
        models=_models(world, named.models, case),
        sensitivities=None
        if classes is None
        else sorted(sensitivity(item.rank) for item in classes),
    )


def _reaches_out(world: World, domains: list[str] | None, case: Case) -> bool:
    """Whether a tenant's policy would match agents of other namespaces.

    Domains of the own namespace are used by agents of the own namespace alone.
    """
    own = case.key.namespace
    if own == world.platform:
        return False
    return domains is None or any(not name.startswith(f"{own}/") for name in domains)


def _governed(
    world: World, case: Case, kind: str, references: Sequence[str] | None
) -> list[str] | None:
    if references is None:
        return None
    field = f"spec.match.{kind.lower()}s"
    found = (
        find_governed(world, case, kind, reference, f"{field}[{position}]")
        for position, reference in enumerate(references)
    )
    return sorted({name for name in found if name is not None})


def _models(world: World, names: Sequence[str] | None, case: Case) -> list[str] | None:
    if names is None:
        return None
    found = (
        AUTO if name == AUTO else find_model(world, case, name, f"spec.match.models[{position}]")
        for position, name in enumerate(names)
    )
    return sorted({name for name in found if name is not None})


def _rank(world: World, named: Match, match: wire.Match) -> list[int]:
    """How specific a policy is: agent, domain depth, workload, task, model, in this order."""
    depths = [1 + len(world.domains[name].ancestors) for name in match.domains or ()]
    return [
        int(named.agents is not None),
        max(depths, default=0),
        int(named.workloads is not None),
        int(named.tasks is not None),
        int(named.models is not None),
    ]


def _candidates(
    world: World, names: Sequence[str] | None, match: wire.Match, case: Case
) -> list[str] | None:
    if names is None:
        return None
    permitted = _permitted_models(world, match, case)
    found: dict[str, None] = {}
    for position, name in enumerate(names):
        field = f"spec.candidates[{position}]"
        model = ASKED if name == ASKED else find_model(world, case, name, field)
        if model is None:
            continue
        if permitted is not None and model != ASKED and model not in permitted:
            case.error(
                field,
                Reason.REF_NOT_PERMITTED,
                f"no agent that the policy matches may use Model {name}",
                "Leave it out, or add it to the models that the agents allow",
            )
            continue
        found[model] = None
    return list(found)


def _permitted_models(world: World, match: wire.Match, case: Case) -> set[str] | None:
    """What the agents that a tenant's policy matches may use, together; None: everything."""
    if case.key.namespace == world.platform:
        return None
    permitted: set[str] = set()
    agents = matched_agents(world, match)
    for agent in agents:
        if agent.models is None:
            return None
        permitted.update(agent.models)
    return permitted if agents else None


def matched_agents(world: World, match: wire.Match) -> list[wire.Agent]:
    """The agents whose requests a policy can match."""
    domains = None if match.domains is None else set(match.domains)
    names = world.agents if match.agents is None else match.agents
    return [
        agent
        for name in names
        if (agent := world.agents[name])
        and (
            domains is None
            or agent.domain in domains
            or not domains.isdisjoint(world.domains[agent.domain].ancestors)
        )
    ]
