"""Which policies meet on the same request, and what that does to them.

Two findings of a whole fleet, not of one object: a policy whose preferences a more specific one
overrules (`Overruled`, its constraints still hold), and policies whose constraints leave nothing
(`Conflict`), alone or together.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
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
    """What became of policies by each other: ids by id, and agents matched by id."""

    agents: dict[str, int] = field(default_factory=dict)
    overruled_by: defaultdict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    disputed_by: defaultdict[str, list[str]] = field(default_factory=lambda: defaultdict(list))


def overlaps(world: World, policies: Iterable[wire.Policy]) -> Overlaps:
    """Compares every policy that acts with every more specific one."""
    found = Overlaps()
    bits = {name: 1 << position for position, name in enumerate(sorted(world.agents))}
    ordered = by_precedence(policies)
    reaches = {policy.id: _reach(world, policy, bits) for policy in ordered}
    for policy in ordered:
        found.agents[policy.id] = reaches[policy.id].agents.bit_count()
    enforced = [policy for policy in ordered if policy.enforcement == "Enforce"]
    for position, policy in enumerate(enforced):
        reach = reaches[policy.id]
        for other in enforced[:position]:
            if not _meet(reach, reaches[other.id]):
                continue
            if _overrules(other, policy):
                found.overruled_by[policy.id].append(other.id)
            if _exclude(other, policy):
                found.disputed_by[policy.id].append(other.id)
                found.disputed_by[other.id].append(policy.id)
    return found


def _reach(world: World, policy: wire.Policy, bits: Mapping[str, int]) -> _Reach:
    match = policy.match
    classes = range(len(wire.SENSITIVITY_NAMES))
    return _Reach(
        agents=sum(bits[agent.id] for agent in matched_agents(world, match)),
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
