"""Which policies meet on the same request, and what that does to them.

Two findings of a whole fleet, not of one object: a policy whose preferences a more specific one
overrules (`Overruled`, its constraints still hold), and policies whose constraints leave nothing
(`Conflict`), alone or together.

Policies of two tenants never meet, so only those of one namespace and the platform's are compared.
Of the many that a policy may meet, NAMED are remembered.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Final

from signalbox_operator.compiler.policies import matched_agents
from signalbox_operator.compiler.references import World
from signalbox_snapshot import snapshot as wire
from signalbox_snapshot.policy import ASKED, by_precedence

_PREFERENCES: Final = (
    "candidates",
    "objective",
    "attempts",
    "failover",
    "default_output",
    "caching",
)
NAMED: Final = 100
"""Most policies that one is told of as overruling it, and as disputing it."""

_LISTS: Final = ("lane_classes", "regions", "jurisdictions")


@dataclass(frozen=True, slots=True)
class _Reach:
    """Which requests a policy can match; `agents` and `classes` are sets of bits."""

    agents: int
    classes: int
    workloads: frozenset[str] | None
    tasks: frozenset[str] | None
    models: frozenset[str] | None


@dataclass(slots=True)
class Overlaps:
    """What became of policies by each other: ids by id, at most NAMED, the most specific first
    within a namespace; and agents matched by id."""

    agents: dict[str, int] = field(default_factory=dict)
    overruled_by: defaultdict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    disputed_by: defaultdict[str, list[str]] = field(default_factory=lambda: defaultdict(list))


def overlaps(world: World, policies: Iterable[wire.Policy]) -> Overlaps:
    """Compares every policy that acts with every more specific one that it can meet."""
    found = Overlaps()
    places_of = {name: position for position, name in enumerate(sorted(world.agents))}
    ordered = by_precedence(policies)
    reaches = {policy.id: _reach(world, policy, places_of) for policy in ordered}
    for policy in ordered:
        found.agents[policy.id] = reaches[policy.id].agents.bit_count()
    before: list[wire.Policy] = []
    by_namespace: defaultdict[str, list[wire.Policy]] = defaultdict(list)
    for policy in ordered:
        if policy.enforcement != "Enforce":
            continue
        namespace = policy.id.partition("/")[0]
        is_platform = namespace == world.platform
        near = chain(by_namespace[world.platform], by_namespace[namespace])
        _compare(policy, before if is_platform else near, reaches, found)
        before.append(policy)
        by_namespace[namespace].append(policy)
    return found


def _compare(
    policy: wire.Policy,
    others: Iterable[wire.Policy],
    reaches: Mapping[str, _Reach],
    found: Overlaps,
) -> None:
    """Notes what more specific policies do to one, and what they dispute with it."""
    reach, winners, rivals = (
        reaches[policy.id],
        found.overruled_by[policy.id],
        found.disputed_by[policy.id],
    )
    for other in others:
        theirs = found.disputed_by[other.id]
        if len(winners) >= NAMED and len(rivals) >= NAMED and len(theirs) >= NAMED:
            continue
        if not _meet(reach, reaches[other.id]):
            continue
        if len(winners) < NAMED and _overrules(other, policy):
            winners.append(other.id)
        if (len(rivals) < NAMED or len(theirs) < NAMED) and _exclude(other, policy):
            if len(rivals) < NAMED:
                rivals.append(other.id)
            if len(theirs) < NAMED:
                theirs.append(policy.id)


def _reach(world: World, policy: wire.Policy, places_of: Mapping[str, int]) -> _Reach:
    match = policy.match
    agents = bytearray(len(places_of) // 8 + 1)
    for agent in matched_agents(world, match):
        place = places_of[agent.id]
        agents[place // 8] |= 1 << place % 8
    classes = range(len(wire.SENSITIVITY_NAMES))
    return _Reach(
        agents=int.from_bytes(agents, "little"),
        classes=sum(
            1 << rank for rank in (classes if match.sensitivities is None else match.sensitivities)
        ),
        workloads=_set(match.workloads),
        tasks=_set(match.tasks),
        models=_set(match.models),
    )


def _set(names: Collection[str] | None) -> frozenset[str] | None:
    return None if names is None else frozenset(names)


def _meet(one: _Reach, other: _Reach) -> bool:
    return bool(
        one.agents & other.agents
        and one.classes & other.classes
        and _share(one.workloads, other.workloads)
        and _share(one.tasks, other.tasks)
        and _share(one.models, other.models)
    )


def _share(one: frozenset[str] | None, other: frozenset[str] | None) -> bool:
    if one is None:
        return other is None or bool(other)
    return bool(one) if other is None else not one.isdisjoint(other)


def _overrules(winner: wire.Policy, policy: wire.Policy) -> bool:
    for name in _PREFERENCES:
        stated, wanted = getattr(winner, name), getattr(policy, name)
        if stated is not None and wanted is not None and stated != wanted:
            return True
    return False


def _exclude(one: wire.Policy, other: wire.Policy) -> bool:
    for name in _LISTS:
        first: Sequence[str] | None = getattr(one, name)
        second: Sequence[str] | None = getattr(other, name)
        if first is not None and second is not None and set(first).isdisjoint(second):
            return True
    return False


@dataclass(frozen=True, slots=True)
class _Place:
    """A lane as constraints see it, with its model's best quality at any workload."""

    model: str
    lane_class: str
    region: str
    jurisdiction: str
    first_chunk_ms: int | None
    qualities: Mapping[str, int]
    default_quality: int


def places(models: Iterable[wire.Model]) -> list[_Place]:
    """All lanes of all models, for `leaves_nothing`; like lanes of one model once."""
    found = {
        (
            model.id,
            lane.lane_class,
            lane.region,
            lane.jurisdiction,
            lane.first_chunk_ms,
        ): _Place(
            model.id,
            lane.lane_class,
            lane.region,
            lane.jurisdiction,
            lane.first_chunk_ms,
            model.quality.by_workload,
            model.quality.default,
        )
        for model in models
        for lane in model.lanes
    }
    return list(found.values())


def leaves_nothing(policy: wire.Policy, lanes: Iterable[_Place]) -> bool:
    """Whether no lane of the fleet satisfies the constraints of a policy for any workload."""
    candidates = policy.candidates
    free = candidates is None or ASKED in candidates
    return not any(
        (free or place.model in (candidates or ())) and _satisfies(policy, place) for place in lanes
    )


def _satisfies(policy: wire.Policy, place: _Place) -> bool:
    return (
        (policy.lane_classes is None or place.lane_class in policy.lane_classes)
        and (policy.regions is None or place.region in policy.regions)
        and (policy.jurisdictions is None or place.jurisdiction in policy.jurisdictions)
        and (
            policy.first_chunk_ms is None
            or place.first_chunk_ms is None
            or place.first_chunk_ms <= policy.first_chunk_ms
        )
        and (policy.quality_floor is None or _quality(policy, place) >= policy.quality_floor)
    )


def _quality(policy: wire.Policy, place: _Place) -> int:
    """The best quality that the model has for a workload that the policy matches."""
    workloads = policy.match.workloads
    if workloads is None:
        return max([place.default_quality, *place.qualities.values()])
    return max((place.qualities.get(name, place.default_quality) for name in workloads), default=0)
