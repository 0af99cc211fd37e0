"""How route policies combine: the one rule that compiler, proxy and `explain` share.

Constraints of all policies that match hold together: lists intersect, floors take the highest,
ceilings the lowest. Each preference comes from one policy, the most specific that states it
(highest `rank`, ties by id, ascending). Policies in DryRun are combined apart from the others:
what they say is recorded and never acts, save for their jurisdictions: residency has no dry run,
so these narrow like everybody's. Pure, and cheap enough to be done for every request,
though the proxy keeps the result by `Facts`.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

import msgspec

from signalbox_snapshot.snapshot import (
    LaneClass,
    Match,
    Objective,
    Policy,
    PromptCaching,
    ResponseStorage,
)

ASKED: Final = "asked"
"""Stands in `candidates` for the model that the client asked for."""

AUTO: Final = "auto"
"""The model name that leaves the choice to a policy's candidates; also a value of `Facts.model`."""

_Name = TypeVar("_Name", bound=str)
_Value = TypeVar("_Value")


class Facts(msgspec.Struct, frozen=True):
    """What policies match on. `domains` is the agent's domain, then its ancestors.

    `model` is the id of the model asked for, `auto`, or "" where no model has that name.
    """

    agent: str
    domains: tuple[str, ...]
    workload: str
    task: str
    model: str
    sensitivity: int


@dataclass(frozen=True, slots=True)
class Narrowing(Generic[_Name]):
    """What remains of a list after all policies that state it, and what each of them stated."""

    allowed: frozenset[_Name]
    stated: tuple[tuple[str, frozenset[_Name]], ...]

    def excluding(self, value: str) -> tuple[str, ...]:
        """Ids of the policies that keep `value` out."""
        return tuple(policy for policy, names in self.stated if value not in names)


@dataclass(frozen=True, slots=True)
class Limit:
    """A floor or ceiling, and the ids of the policies that set exactly it."""

    value: int
    policies: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Choice(Generic[_Value]):
    """A preference and the id of the policy that it comes from."""

    value: _Value
    policy: str


@dataclass(frozen=True, slots=True)
class Constraints:
    """What every attempt must satisfy; None where no policy says anything."""

    lane_classes: Narrowing[LaneClass] | None = None
    regions: Narrowing[str] | None = None
    jurisdictions: Narrowing[str] | None = None
    quality_floor: Limit | None = None
    first_chunk_ms: Limit | None = None
    max_nano: Limit | None = None
    storage: Choice[ResponseStorage] | None = None


@dataclass(frozen=True, slots=True)
class Preferences:
    """How to choose among what the constraints leave; None where no policy says anything."""

    candidates: Choice[tuple[str, ...]] | None = None
    objective: Choice[Objective] | None = None
    attempts: Choice[int] | None = None
    failover: Choice[bool] | None = None
    default_output: Choice[int] | None = None
    caching: Choice[PromptCaching] | None = None


@dataclass(frozen=True, slots=True)
class EffectivePolicy:
    """What all matching policies say together.

    `policies` are the ids of those that act, the most specific first. `dry_run` is the same of
    the policies in DryRun: what they would have said, had they been enforced; None without any.
    """

    policies: tuple[str, ...]
    constraints: Constraints
    preferences: Preferences
    dry_run: "EffectivePolicy | None" = None

    @property
    def name(self) -> str:
        """The most specific policy that acts, which a run records as its route policy, or ""."""
        return self.policies[0] if self.policies else ""


def matches(match: Match, facts: Facts) -> bool:
    """Whether a policy with this match speaks of such a request."""
    return (
        (match.agents is None or facts.agent in match.agents)
        and (match.domains is None or any(domain in match.domains for domain in facts.domains))
        and (match.workloads is None or facts.workload in match.workloads)
        and (match.tasks is None or facts.task in match.tasks)
        and (match.models is None or facts.model in match.models)
        and (match.sensitivities is None or facts.sensitivity in match.sensitivities)
    )


def matching(policies: Iterable[Policy], facts: Facts) -> tuple[Policy, ...]:
    """The policies that speak of such a request, in the order given."""
    return tuple(policy for policy in policies if matches(policy.match, facts))


def by_precedence(policies: Iterable[Policy]) -> list[Policy]:
    """The most specific first; ties by id, ascending."""
    return sorted(policies, key=lambda policy: ([-part for part in policy.rank], policy.id))


def combine(policies: Iterable[Policy]) -> EffectivePolicy:
    """The combination of matching policies, whatever their order."""
    ordered = by_precedence(policies)
    enforced = [policy for policy in ordered if policy.enforcement == "Enforce"]
    dry_run = [policy for policy in ordered if policy.enforcement == "DryRun"]
    return _combination(enforced, ordered, _combination(dry_run, ()) if dry_run else None)


def _combination(
    ordered: Sequence[Policy],
    locking: Sequence[Policy],
    dry_run: EffectivePolicy | None = None,
) -> EffectivePolicy:
    return EffectivePolicy(
        policies=tuple(policy.id for policy in ordered),
        constraints=Constraints(
            lane_classes=_narrowing(ordered, lambda policy: policy.lane_classes),
            regions=_narrowing(ordered, lambda policy: policy.regions),
            jurisdictions=_narrowing(locking, lambda policy: policy.jurisdictions),
            quality_floor=_limit(ordered, lambda policy: policy.quality_floor, max),
            first_chunk_ms=_limit(ordered, lambda policy: policy.first_chunk_ms, min),
            max_nano=_limit(ordered, lambda policy: policy.max_nano, min),
            storage=_storage(ordered),
        ),
        preferences=Preferences(
            candidates=_choice(
                ordered,
                lambda policy: None if policy.candidates is None else tuple(policy.candidates),
            ),
            objective=_choice(ordered, lambda policy: policy.objective),
            attempts=_choice(ordered, lambda policy: policy.attempts),
            failover=_choice(ordered, lambda policy: policy.failover),
            default_output=_choice(ordered, lambda policy: policy.default_output),
            caching=_choice(ordered, lambda policy: policy.caching),
        ),
        dry_run=dry_run,
    )


def _narrowing(
    policies: Sequence[Policy], read: Callable[[Policy], Sequence[_Name] | None]
) -> Narrowing[_Name] | None:
    stated = tuple(
        (policy.id, frozenset(names)) for policy in policies if (names := read(policy)) is not None
    )
    if not stated:
        return None
    return Narrowing(frozenset.intersection(*(names for _, names in stated)), stated)


def _limit(
    policies: Sequence[Policy],
    read: Callable[[Policy], int | None],
    strictest: Callable[[Iterable[int]], int],
) -> Limit | None:
    stated = [(policy.id, value) for policy in policies if (value := read(policy)) is not None]
    if not stated:
        return None
    limit = strictest(value for _, value in stated)
    return Limit(limit, tuple(policy for policy, value in stated if value == limit))


def _storage(policies: Sequence[Policy]) -> Choice[ResponseStorage] | None:
    """Never, by the most specific that says so; Allow only where nobody says Never."""
    stated = [(policy.storage, policy.id) for policy in policies if policy.storage is not None]
    found = min(stated, key=lambda each: each[0] != "Never", default=None)
    return None if found is None else Choice(*found)


def _choice(
    policies: Sequence[Policy], read: Callable[[Policy], _Value | None]
) -> Choice[_Value] | None:
    for policy in policies:
        value = read(policy)
        if value is not None:
            return Choice(value, policy.id)
    return None
