"""Findings that need the whole fleet: agents that can do nothing, policies that meet."""

import dataclasses
from collections.abc import Mapping

from signalbox_api import Agent, RoutePolicy
from signalbox_api.conditions import Reason
from signalbox_operator.compiler.conversion import countries_in_words
from signalbox_operator.compiler.findings import Case
from signalbox_operator.compiler.forms import Settled
from signalbox_operator.compiler.overlaps import NAMED, leaves_nothing, overlaps, places
from signalbox_operator.compiler.references import World
from signalbox_snapshot import snapshot as wire

_SHOWN = 3


def agent_findings(
    world: World, agents: Settled[Agent, wire.Agent], budgets: Mapping[str, wire.Budget]
) -> None:
    """Tells agents whose requests are all refused, whatever they ask: no money, no lane."""
    reachable = _best_class_by_place(world)
    for name, agent in agents.wires.items():
        case = Case(agents.states[name].key)
        if not any(budgets[budget].unit == "usd" for budget in agent.budgets):
            case.warn(
                "spec.domain",
                Reason.INVALID,
                "no money budget applies to the agent: its requests are refused with no_budget",
                "Create a Budget in usd for the agent, for its domain, or for all",
            )
        _tell_of_class_and_lock(world, agent, reachable, case)
        _add(agents, name, case)


def _best_class_by_place(world: World) -> dict[tuple[str, str], int]:
    """The highest class that a model takes in a country, by model and country."""
    best: dict[tuple[str, str], int] = {}
    for model in world.models.values():
        for lane in model.lanes:
            place = (model.id, lane.jurisdiction)
            best[place] = max(best.get(place, 0), lane.max_sensitivity)
    return best


def _tell_of_class_and_lock(
    world: World, agent: wire.Agent, reachable: Mapping[tuple[str, str], int], case: Case
) -> None:
    """The least class and the widest lock that a request of the agent can have, against lanes."""
    domain = world.domains[agent.domain]
    assets = [world.data_assets[name] for name in agent.default_data_assets]
    least = max([domain.default_sensitivity or 0, *(asset.sensitivity for asset in assets)])
    stated = [domain.jurisdictions, *(asset.jurisdictions for asset in assets)]
    locks = [frozenset(countries) for countries in stated if countries is not None]
    lock = frozenset.intersection(*locks) if locks else None
    class_name = wire.SENSITIVITY_NAMES[least]
    if least > agent.max_sensitivity:
        case.warn(
            "spec.maxSensitivity",
            Reason.CONFLICT,
            f"every request is at least {class_name} by domain and default data assets: all are"
            " refused with sensitivity_not_permitted",
            f"Raise it to {class_name}, or change domain or data assets",
        )
    elif agent.models != [] and not any(
        best >= least
        and (lock is None or country in lock)
        and (agent.models is None or model in agent.models)
        for (model, country), best in reachable.items()
    ):
        where = "" if lock is None else f" in {countries_in_words(lock)}"
        case.warn(
            "spec.domain",
            Reason.CONFLICT,
            f"no lane of the models that the agent may use takes {class_name} requests{where}",
            "Add such a lane, permit another model, or change class or residency lock",
        )


def policy_states(world: World, policies: Settled[RoutePolicy, wire.Policy]) -> None:
    """Tells policies who matches with them, who overrules them and what can never be met."""
    met = overlaps(world, policies.wires.values())
    lanes = places(world.models.values())
    for name, policy in policies.wires.items():
        case = Case(policies.states[name].key)
        if leaves_nothing(policy, lanes):
            case.warn(
                "spec.constraints",
                Reason.CONFLICT,
                "no lane of the models that may serve satisfies them: what the policy matches is"
                " refused",
                "Loosen a constraint, or add a lane that satisfies all of them",
            )
        _tell_of_others(case, met.overruled_by[name], met.disputed_by[name])
        _add(policies, name, case)
        policies.states[name] = dataclasses.replace(
            policies.states[name],
            agents=met.agents[name],
            overruled_by=tuple(sorted(met.overruled_by[name])),
            disputed_by=tuple(sorted(met.disputed_by[name])),
        )


def _tell_of_others(case: Case, winners: list[str], rivals: list[str]) -> None:
    if rivals:
        case.warn(
            "spec.constraints",
            Reason.CONFLICT,
            f"nothing is left together with {some(sorted(rivals))}: requests that both match are"
            " refused",
            "Let the lists of the policies overlap, or match different requests",
        )
    if winners:
        case.inform(
            "spec",
            Reason.OVERRULED,
            f"preferences come from {some(sorted(winners))} where both match",
            "Nothing needs to be done if that is meant; the constraints hold all the same",
        )


def some(names: list[str]) -> str:
    """The first few names and the number of the others."""
    more = len(names) - _SHOWN
    if len(names) >= NAMED:
        return f"{', '.join(names[:_SHOWN])} and {more} or more others"
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _add(
    settled: Settled[Agent, wire.Agent] | Settled[RoutePolicy, wire.Policy], name: str, case: Case
) -> None:
    state = settled.states[name]
    settled.states[name] = dataclasses.replace(state, findings=(*state.findings, *case.findings))
