"""Findings that need the whole fleet: agents without money, policies that meet."""

import dataclasses
from collections.abc import Mapping

from signalbox_api import Agent, RoutePolicy
from signalbox_api.conditions import Reason
from signalbox_operator.compiler.findings import Case
from signalbox_operator.compiler.forms import Settled
from signalbox_operator.compiler.overlaps import leaves_nothing, overlaps, places
from signalbox_operator.compiler.references import World
from signalbox_snapshot import snapshot as wire

_SHOWN = 3


def agent_findings(agents: Settled[Agent, wire.Agent], budgets: Mapping[str, wire.Budget]) -> None:
    """Tells agents to which no money budget applies that all their requests are refused."""
    for name, agent in agents.wires.items():
        if any(
            budgets[budget].unit == "usd" and budgets[budget].enforcement == "Enforce"
            for budget in agent.budgets
        ):
            continue
        case = Case(agents.states[name].key)
        case.warn(
            "spec.domain",
            Reason.INVALID,
            "no money budget applies to the agent: its requests are refused with no_budget",
            "Create a Budget in usd for the agent, for its domain, or for all",
        )
        _add(agents, name, case)


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
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _add(
    settled: Settled[Agent, wire.Agent] | Settled[RoutePolicy, wire.Policy], name: str, case: Case
) -> None:
    state = settled.states[name]
    settled.states[name] = dataclasses.replace(state, findings=(*state.findings, *case.findings))
