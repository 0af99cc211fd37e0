"""What a name written in an object leads to, and whether the object may use it.

A reference names something in the own namespace or in the platform's, and nothing is searched. A
Domain of the platform can be named only from its allowedNamespaces. What governs (a budget's
scope, a policy's match) may, from the platform namespace, name the objects of any namespace:
reaching down narrows, it never widens.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Final

from signalbox_api import ResourceKey, resolve_ref
from signalbox_api.conditions import Reason
from signalbox_operator.compiler.findings import Case
from signalbox_operator.compiler.workloads import WorkloadIdentity
from signalbox_snapshot import snapshot as wire

_MANY_NAMES: Final = 1000
"""With more names than this no similar one is searched for."""


@dataclass(slots=True)
class World:
    """What is in force so far, by identity. Kinds are settled in the order of their fields."""

    platform: str
    simulate_url: str | None
    declared: frozenset[ResourceKey]
    models: dict[str, wire.Model] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    domains: dict[str, wire.Domain] = field(default_factory=dict)
    allowed_namespaces: dict[str, frozenset[str]] = field(default_factory=dict)
    data_assets: dict[str, wire.DataAsset] = field(default_factory=dict)
    agents: dict[str, wire.Agent] = field(default_factory=dict)
    identity: WorkloadIdentity | None = None
    account_holders: dict[str, str] = field(default_factory=dict)
    suggestions: int = 50
    """How many more similar names are searched for: a search costs more than all the rest."""

    def table(self, kind: str) -> Mapping[str, object]:
        """What is in force of a kind."""
        tables: dict[str, Mapping[str, object]] = {
            "Domain": self.domains,
            "DataAsset": self.data_assets,
            "Agent": self.agents,
        }
        return tables[kind]


def find(world: World, case: Case, kind: str, reference: str, field: str) -> str | None:
    """The identity that a reference leads to; None, reported, where it leads nowhere."""
    key = resolve_ref(kind, reference, case.key.namespace)
    if not _may_name(world, case, key, field):
        return None
    found = f"{key.namespace}/{key.name}"
    if found in world.table(kind):
        return found
    report_missing(world, case, key, field)
    return None


def find_governed(world: World, case: Case, kind: str, reference: str, field: str) -> str | None:
    """As `find`, for what a budget or policy governs: the platform may name any namespace's."""
    key = resolve_ref(kind, reference, case.key.namespace)
    own = case.key.namespace
    if own == world.platform:
        found = f"{key.namespace}/{key.name}"
        if found in world.table(kind):
            return found
        report_missing(world, case, key, field)
        return None
    if kind == "Agent" and key.namespace != own:
        case.error(
            field,
            Reason.REF_NOT_PERMITTED,
            f"{key} lies outside the namespace {own}, whose agents alone can be governed from it",
            f"Name an agent of {own}, or ask the platform team for one in {world.platform}",
        )
        return None
    return find(world, case, kind, reference, field)


def find_model(world: World, case: Case, name: str, field: str) -> str | None:
    """The identity of the model with that name or alias; None, reported, where there is none."""
    found = world.names.get(name)
    if found is None:
        declared = ResourceKey("Model", world.platform, name) in world.declared
        fault = "is not accepted itself" if declared else "does not exist"
        similar = _similar(world, name, world.names)
        case.error(
            field,
            Reason.REF_NOT_FOUND,
            f"Model {name} {fault}",
            f"{similar}Create the Model in {world.platform} or leave it out",
        )
    return found


def report_missing(world: World, case: Case, key: ResourceKey, field: str) -> None:
    """Says that something named is not in force, with the most likely reason."""
    if key in world.declared:
        message = f"{key} is not accepted itself"
        fix = f"See the findings of {key}"
    else:
        message = f"{key} does not exist"
        fix = f"{_elsewhere(world, key)}Create it or name another {key.kind}"
    case.error(field, Reason.REF_NOT_FOUND, message, fix)


def may_use_namespace(world: World, own: str, key: ResourceKey) -> bool:
    """Whether objects of the namespace `own` may name objects in the key's namespace at all."""
    return key.namespace in {own, world.platform}


def _may_name(world: World, case: Case, key: ResourceKey, field: str) -> bool:
    own = case.key.namespace
    if not may_use_namespace(world, own, key):
        case.error(
            field,
            Reason.REF_NOT_PERMITTED,
            f"{key} lies in another namespace",
            f"Name one of the own namespace {own} or of {world.platform}",
        )
        return False
    if key.kind == "Domain" and key.namespace == world.platform != own:
        allowed = world.allowed_namespaces.get(f"{key.namespace}/{key.name}")
        if allowed is not None and own not in allowed:
            report_not_allowed(case, key, field)
            return False
    return True


def report_not_allowed(case: Case, key: ResourceKey, field: str) -> None:
    """Says that a Domain of the platform does not admit the namespace of the object."""
    own = case.key.namespace
    case.error(
        field,
        Reason.REF_NOT_PERMITTED,
        f"{key} does not admit the namespace {own}",
        f"Have {own} added to its allowedNamespaces",
    )


def _elsewhere(world: World, key: ResourceKey) -> str:
    if ResourceKey(key.kind, world.platform, key.name) in world.declared:
        return f"Write {world.platform}/{key.name}, which exists. "
    if world.suggestions <= 0:
        return ""
    return _similar(
        world,
        key.name,
        [
            item.name
            for item in world.declared
            if item.kind == key.kind and item.namespace == key.namespace
        ],
    )


def _similar(world: World, name: str, names: Collection[str]) -> str:
    world.suggestions -= 1
    if world.suggestions < 0 or len(names) > _MANY_NAMES:
        return ""
    close = get_close_matches(name, sorted(names), n=1, cutoff=0.75)
    return f"Did you mean {close[0]}? " if close else ""
