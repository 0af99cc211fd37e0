"""The whole: all objects in, one snapshot, findings and states out.

Kinds are settled in the order in which they name each other: models and domains, then data
assets, agents, budgets, policies. Whatever a later kind names is either in force by then or
missing, so that nothing in the snapshot ever leads nowhere.
"""

import dataclasses
import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

import msgspec

from signalbox_api import (
    Agent,
    Budget,
    DataAsset,
    Domain,
    Model,
    Resource,
    ResourceKey,
    RoutePolicy,
)
from signalbox_api.conditions import Reason
from signalbox_operator.compiler.agents import build_agent
from signalbox_operator.compiler.assets import build_asset
from signalbox_operator.compiler.bounds import within_bounds
from signalbox_operator.compiler.budgets import bind, build_budget
from signalbox_operator.compiler.domains import settle_domains
from signalbox_operator.compiler.findings import Case, Finding, order
from signalbox_operator.compiler.fleet_findings import agent_findings, policy_states
from signalbox_operator.compiler.forms import (
    ObjectState,
    Settled,
    object_id,
    settle,
    spec_of,
)
from signalbox_operator.compiler.models import settle_models
from signalbox_operator.compiler.policies import build_policy
from signalbox_operator.compiler.references import World
from signalbox_operator.compiler.workloads import WorkloadIdentity, holders
from signalbox_snapshot import snapshot as wire

_Kind = TypeVar("_Kind", bound=Resource)
_Wire = TypeVar("_Wire")


@dataclass(frozen=True, slots=True)
class Compilation:
    """What a set of objects says. `findings` are sorted by object and field.

    `states` has one entry for each object. `in_force` is what the next compilation takes as
    `previous`: the accepted form of every object that has one.
    """

    snapshot: wire.Snapshot
    findings: tuple[Finding, ...]
    states: Mapping[ResourceKey, ObjectState]

    @property
    def in_force(self) -> dict[ResourceKey, Resource]:
        """The last accepted form of every object that has one."""
        return {key: state.form for key, state in self.states.items() if state.form is not None}

    @property
    def errors(self) -> tuple[Finding, ...]:
        """The findings that keep an object from being in force as written."""
        return tuple(item for item in self.findings if item.severity == "error")


def compile_objects(
    objects: Iterable[Resource],
    *,
    platform_namespace: str,
    simulate_url: str | None = None,
    previous: Mapping[ResourceKey, Resource] | None = None,
    identity: WorkloadIdentity | None = None,
) -> Compilation:
    """Compiles objects into the snapshot of a fleet.

    `previous` are the accepted forms of the compilation before (`Compilation.in_force`): an
    update that cannot act leaves them in force. `simulate_url` sends every lane to a simulated
    provider. `identity` is what the cluster says of ServiceAccounts and their tokens, None where
    there is none. Objects under deletion count as deleted, those beyond the bounds of a namespace
    (`bounds`) take no part. Never raises for what an object says.
    """
    before = previous or {}
    written, copies = _unique(objects)
    accepted, surplus = within_bounds(written, before, platform_namespace)
    world = World(
        platform=platform_namespace,
        simulate_url=simulate_url,
        declared=frozenset(resource.key for resource in written),
        identity=identity,
    )
    fleet = _settle(world, accepted, before)
    states = surplus | {state.key: _with_copies(state, copies) for state in fleet.states()}
    findings = [item for state in states.values() for item in state.findings]
    return Compilation(
        snapshot=wire.Snapshot(
            schema=wire.SCHEMA,
            platform_namespace=platform_namespace,
            domains=_sorted(fleet.domains.wires),
            agents=_sorted(fleet.agents.wires),
            data_assets=_sorted(fleet.assets.wires),
            models=_sorted(fleet.models.wires),
            budgets=_sorted(fleet.budgets.wires),
            policies=_sorted(fleet.policies.wires),
            issuers=msgspec.UNSET if identity is None else identity.wire_issuers(),
        ),
        findings=tuple(sorted(findings, key=order)),
        states={key: states[key] for key in sorted(states)},
    )


@dataclass(frozen=True, slots=True)
class _Fleet:
    """The objects of all kinds after their forms were chosen."""

    models: Settled[Model, wire.Model]
    domains: Settled[Domain, wire.Domain]
    assets: Settled[DataAsset, wire.DataAsset]
    agents: Settled[Agent, wire.Agent]
    budgets: Settled[Budget, wire.Budget]
    policies: Settled[RoutePolicy, wire.Policy]

    def states(self) -> Iterator[ObjectState]:
        yield from self.models.states.values()
        yield from self.domains.states.values()
        yield from self.assets.states.values()
        yield from self.agents.states.values()
        yield from self.budgets.states.values()
        yield from self.policies.states.values()


def _settle(
    world: World, written: Iterable[Resource], before: Mapping[ResourceKey, Resource]
) -> _Fleet:
    models = settle_models(world, _of_kind(written, Model), before)
    world.models = models.wires
    domains = settle_domains(world, _of_kind(written, Domain), before)
    world.domains = domains.wires
    world.allowed_namespaces = {
        name: frozenset(form.spec.allowed_namespaces) for name, form in domains.forms.items()
    }
    assets = _settle_all(
        _of_kind(written, DataAsset), before, lambda item, case: build_asset(world, item, case)
    )
    world.data_assets = assets.wires
    as_written = _of_kind(written, Agent)
    world.account_holders = holders(as_written, before)
    agents = _settle_all(
        as_written,
        before,
        lambda item, case: build_agent(world, as_written[case.id], item, case),
    )
    world.agents = agents.wires
    budgets = _settle_all(
        _of_kind(written, Budget),
        before,
        lambda item, case: build_budget(world, before, item, case),
    )
    world.agents = agents.wires = bind(world, budgets.wires)
    policies = _settle_all(
        _of_kind(written, RoutePolicy), before, lambda item, case: build_policy(world, item, case)
    )
    agent_findings(world, agents, budgets.wires)
    policy_states(world, policies)
    return _Fleet(models, domains, assets, agents, budgets, policies)


def _unique(objects: Iterable[Resource]) -> tuple[list[Resource], frozenset[ResourceKey]]:
    """The objects by key, without those under deletion; of contradicting copies, always the same.

    The second value names the objects that were written more than once, with different specs.
    """
    by_key: defaultdict[ResourceKey, list[Resource]] = defaultdict(list)
    for resource in objects:
        if resource.metadata.deletion_timestamp is None:
            by_key[resource.key].append(resource)
    chosen, copies = [], set()
    for key in sorted(by_key):
        same = by_key[key]
        if any(spec_of(other) != spec_of(same[0]) for other in same[1:]):
            copies.add(key)
        chosen.append(same[0] if len(same) == 1 else min(same, key=_spelling))
    return chosen, frozenset(copies)


def _spelling(resource: Resource) -> str:
    return json.dumps(resource.manifest(), sort_keys=True)


def _with_copies(state: ObjectState, copies: frozenset[ResourceKey]) -> ObjectState:
    if state.key not in copies:
        return state
    case = Case(state.key)
    case.error(
        "metadata.name",
        Reason.DUPLICATE,
        "is written more than once, with different specs; one of them is in force",
        "Remove all but one",
    )
    return dataclasses.replace(state, findings=(*case.findings, *state.findings))


def _of_kind(written: Iterable[Resource], kind: type[_Kind]) -> dict[str, _Kind]:
    return {object_id(item): item for item in written if isinstance(item, kind)}


def _settle_all(
    written: Mapping[str, _Kind],
    previous: Mapping[ResourceKey, Resource],
    build: Callable[[_Kind, Case], _Wire | None],
) -> Settled[_Kind, _Wire]:
    settled: Settled[_Kind, _Wire] = Settled()
    for resource in written.values():
        settle(resource, previous, build, settled)
    return settled


def _sorted(wires: Mapping[str, _Wire]) -> list[_Wire]:
    return [wires[name] for name in sorted(wires)]
