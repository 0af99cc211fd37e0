"""What each schema of the snapshot can say, and a snapshot said in an earlier one.

A proxy accepts its own schema and the one before; while a fleet is upgraded, the control plane
emits the lowest that lives. What that cannot say is left out so that it fails closed, and told.

Schema 2 added: ServiceAccounts of agents and their issuers; prices of units other than tokens;
seconds of audio; what policies say of prompt caching and of responses that a provider stores.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import msgspec

from signalbox_snapshot import snapshot as wire

SCHEMA_1 = 1


@dataclass(frozen=True, slots=True)
class Beyond:
    """Something that a schema cannot say: of which object (kind and namespace/name), and where in
    the snapshot. `refuses`: what the object matches is refused as long as it cannot be said."""

    kind: str
    id: str
    path: str
    refuses: bool = False


@dataclass(frozen=True, slots=True)
class Lowered:
    """A snapshot in an earlier schema, and what of it is not in force therefore."""

    snapshot: wire.Snapshot
    unsupported: tuple[Beyond, ...] = ()


def lower(snapshot: wire.Snapshot, schema: int) -> Lowered:
    """The snapshot as a proxy that reads `schema` can be told it.

    A lane whose prices cannot be said has none: nothing runs there. A policy that forbids prompt
    caching permits no lane: what it matches would be kept by providers. One that lets responses be
    stored lets nothing be stored: who reads schema 1 never does. Raises ValueError for a schema
    that this release cannot write.
    """
    if schema == snapshot.schema:
        return Lowered(snapshot)
    if schema != SCHEMA_1:
        raise ValueError(f"schema {schema} cannot be written by this release")
    unsupported = tuple(beyond(snapshot))
    replaced = msgspec.structs.replace(
        snapshot,
        schema=SCHEMA_1,
        issuers=msgspec.UNSET,
        agents=[
            msgspec.structs.replace(agent, service_accounts=msgspec.UNSET)
            for agent in snapshot.agents
        ],
        models=[_lowered_model(model) for model in snapshot.models],
        policies=[_lowered_policy(policy) for policy in snapshot.policies],
    )
    return Lowered(replaced, unsupported)


def beyond(snapshot: wire.Snapshot) -> Iterator[Beyond]:
    """Everything in a snapshot that schema 1 cannot say."""
    if snapshot.issuers is not msgspec.UNSET:
        yield Beyond("", "", "$.issuers")
    for position, agent in enumerate(snapshot.agents):
        if agent.service_accounts is not msgspec.UNSET:
            yield Beyond("Agent", agent.id, f"$.agents[{position}].service_accounts")
    for position, model in enumerate(snapshot.models):
        path = f"$.models[{position}]"
        if model.limits.audio_seconds is not msgspec.UNSET:
            yield Beyond("Model", model.id, f"{path}.limits.audio_seconds")
        for number, lane in enumerate(model.lanes):
            if not _says_price(lane):
                yield Beyond("Model", model.id, f"{path}.lanes[{number}].price")
    yield from _beyond_of_policies(snapshot.policies)


def _beyond_of_policies(policies: Sequence[wire.Policy]) -> Iterator[Beyond]:
    for position, policy in enumerate(policies):
        if policy.prompt_caching is not msgspec.UNSET:
            path = f"$.policies[{position}].prompt_caching"
            yield Beyond("RoutePolicy", policy.id, path, refuses=_forbids_caching(policy))
        if policy.storage == "Allow":
            yield Beyond("RoutePolicy", policy.id, f"$.policies[{position}].response_storage")


def _lowered_policy(policy: wire.Policy) -> wire.Policy:
    """Closed by a constraint: a preference could be overruled by a more specific policy that says
    nothing of caching."""
    lane_classes = [] if _forbids_caching(policy) else policy.lane_classes
    return msgspec.structs.replace(
        policy,
        prompt_caching=msgspec.UNSET,
        response_storage=msgspec.UNSET,
        lane_classes=lane_classes,
    )


def _forbids_caching(policy: wire.Policy) -> bool:
    """In DryRun it forbids nothing."""
    return policy.prompt_caching == "Off" and policy.enforcement == "Enforce"


def _lowered_model(model: wire.Model) -> wire.Model:
    lanes = [
        lane if _says_price(lane) else msgspec.structs.replace(lane, price=None, list_price=None)
        for lane in model.lanes
    ]
    limits = msgspec.structs.replace(model.limits, audio_seconds=msgspec.UNSET)
    return msgspec.structs.replace(model, lanes=lanes, limits=limits)


def _says_price(lane: wire.Lane) -> bool:
    """Whether schema 1 has a word for all that the lane bills."""
    return not any(
        table is not None
        and (table.units is not msgspec.UNSET or table.without_tokens is not msgspec.UNSET)
        for table in (lane.price, lane.list_price)
    )
