"""How many objects of a kind a namespace may have, so that no tenant takes the others' place.

A snapshot is compiled, sent and kept as a whole: what one namespace fills it with, all wait for.
Beyond its bounds an object is not accepted and nothing else is touched. What is in force comes
first and stays, then the oldest, then by name.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from signalbox_api import Agent, Budget, Resource, ResourceKey, RoutePolicy
from signalbox_api.conditions import Reason
from signalbox_operator.compiler.findings import Case
from signalbox_operator.compiler.forms import ObjectState, generation_of

TENANT: Final[Mapping[str, int]] = {
    "Agent": 10_000,
    "Budget": 2_000,
    "DataAsset": 2_000,
    "Domain": 500,
    "Model": 100,
    "RoutePolicy": 500,
}
"""Objects in a tenant's namespace, by kind. Models are accepted in the platform's alone."""

PLATFORM: Final[Mapping[str, int]] = {
    "Agent": 50_000,
    "Budget": 5_000,
    "DataAsset": 10_000,
    "Domain": 5_000,
    "Model": 5_000,
    "RoutePolicy": 2_000,
}
"""Objects in the platform's namespace, by kind."""

TENANTS: Final[Mapping[str, int]] = {"Budget": 15_000, "RoutePolicy": 5_000}
"""Objects in all tenants' namespaces together. The ledger is told all Budgets, the platform's too,
in one message of 8 MiB; policies are compared with each other."""

REACH: Final = 100_000
"""Agents of a tenant times its RoutePolicies that name no agents, and times its Budgets of more
than one agent: the snapshot lists each of these pairs."""

_PLURALS: Final = {"RoutePolicy": "RoutePolicies"}


@dataclass(slots=True)
class _Room:
    """What was admitted of `whose` so far."""

    whose: str
    bounds: Mapping[str, int]
    reach: int | None = None
    counts: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))
    agents: int = 0
    policies: int = 0
    budgets: int = 0

    def take(self, resource: Resource) -> None:
        """It counts, whether there is room or not."""
        self.counts[resource.kind] += 1
        self.agents += isinstance(resource, Agent)
        self.policies += _is_wide_policy(resource)
        self.budgets += _is_wide_budget(resource)

    def lacks(self, resource: Resource) -> str:
        """Why there is no room for it, "" where there is."""
        kind = resource.kind
        most = self.bounds.get(kind)
        if most is not None and self.counts[kind] >= most:
            return f"{self.whose} at most {most} {_PLURALS.get(kind, f'{kind}s')}"
        if self.reach is None:
            return ""
        agents = self.agents + isinstance(resource, Agent)
        policies = self.policies + _is_wide_policy(resource)
        if agents * policies > self.reach and (agents, policies) != (self.agents, self.policies):
            return f"agents times RoutePolicies that name no agents are at most {self.reach}"
        budgets = self.budgets + _is_wide_budget(resource)
        if agents * budgets > self.reach and (agents, budgets) != (self.agents, self.budgets):
            return f"agents times Budgets of more than one agent are at most {self.reach}"
        return ""


def within_bounds(
    written: Iterable[Resource], before: Mapping[ResourceKey, Resource], platform: str
) -> tuple[list[Resource], dict[ResourceKey, ObjectState]]:
    """The objects that take part, in the order given, and the states of those that do not.

    `before` are the accepted forms of the compilation before: none of these is left out, for
    without it its agents might do more than they may.
    """
    objects = list(written)
    tenants = _Room("the tenants' namespaces together have", TENANTS)
    rooms = {platform: _Room("the platform's namespace has", PLATFORM)}
    surplus: dict[ResourceKey, ObjectState] = {}
    for resource in sorted(objects, key=lambda each: _turn(each, before)):
        namespace = resource.metadata.namespace
        room = rooms.get(namespace)
        if room is None:
            room = rooms[namespace] = _Room("a namespace has", TENANT, REACH)
        filled = [room] if namespace == platform else [room, tenants]
        lack = next((lack for each in filled if (lack := each.lacks(resource))), "")
        if lack and resource.key not in before:
            surplus[resource.key] = _left_out(resource, lack)
        else:
            for each in filled:
                each.take(resource)
    return [each for each in objects if each.key not in surplus], surplus


def _turn(resource: Resource, before: Mapping[ResourceKey, Resource]) -> tuple[object, ...]:
    """What is in force, then the oldest; objects of a file have no age, and come by name."""
    made = resource.metadata.creation_timestamp
    age = 0.0 if made is None else made.timestamp()
    return (resource.key not in before, age, resource.metadata.name, resource.key)


def _left_out(resource: Resource, lack: str) -> ObjectState:
    case = Case(resource.key)
    case.error(
        "metadata.namespace",
        Reason.NAMESPACE_NOT_PERMITTED,
        f"{lack}: the object takes no part, others were there before",
        "Delete what is not needed any more, or put several of them into one",
    )
    return ObjectState(resource.key, generation_of(resource), None, None, tuple(case.findings))


def _is_wide_policy(resource: Resource) -> bool:
    if not isinstance(resource, RoutePolicy):
        return False
    return resource.spec.match is None or resource.spec.match.agents is None


def _is_wide_budget(resource: Resource) -> bool:
    return isinstance(resource, Budget) and resource.spec.scope.agent is None
