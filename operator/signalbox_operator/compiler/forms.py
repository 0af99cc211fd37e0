"""Which form of an object is in force: the one written, the one before, or a closed one.

An update that cannot act leaves the last accepted form in force. Where there is none, or where
what it named is gone, the object fails closed: its builder leaves out whatever it cannot prove.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from signalbox_api import Resource, ResourceKey
from signalbox_api.conditions import Reason
from signalbox_operator.compiler.findings import Case, Finding

_Kind = TypeVar("_Kind", bound=Resource)
_Wire = TypeVar("_Wire")


@dataclass(frozen=True, slots=True)
class ObjectState:
    """What became of one object: the input of its status.

    `serving_generation` is None where no form of it is in force. `form` is the form in force, to
    be handed to the next compilation as `previous`. `agents` counts the agents that a policy can
    match; `overruled_by` names policies whose preferences come before this one's, `disputed_by`
    those whose constraints leave nothing together with this one's.
    """

    key: ResourceKey
    generation: int
    serving_generation: int | None
    form: Resource | None
    findings: tuple[Finding, ...] = ()
    agents: int | None = None
    overruled_by: tuple[str, ...] = ()
    disputed_by: tuple[str, ...] = ()

    @property
    def reason(self) -> Reason:
        """Accepted, or the reason of the first error."""
        return next(
            (item.reason for item in self.findings if item.severity == "error"), Reason.ACCEPTED
        )

    @property
    def accepted(self) -> bool:
        """Whether the object is in force as written."""
        return self.reason is Reason.ACCEPTED


@dataclass(slots=True)
class Settled(Generic[_Kind, _Wire]):
    """The objects of one kind after their forms were chosen."""

    wires: dict[str, _Wire] = field(default_factory=dict)
    forms: dict[str, _Kind] = field(default_factory=dict)
    states: dict[str, ObjectState] = field(default_factory=dict)


def generation_of(resource: Resource) -> int:
    """metadata.generation, 0 where nobody counts."""
    return resource.metadata.generation or 0


def object_id(resource: Resource) -> str:
    """The object as namespace/name: its identity in a snapshot."""
    return f"{resource.metadata.namespace}/{resource.metadata.name}"


def previous_form(resource: _Kind, previous: Mapping[ResourceKey, Resource]) -> _Kind | None:
    """The last accepted form of an object, where it differs from the one written."""
    before = previous.get(resource.key)
    if before is None or type(before) is not type(resource):
        return None
    return None if spec_of(before) == spec_of(resource) else before


def spec_of(resource: Resource) -> object:
    """The spec: what two forms of an object are compared by."""
    return getattr(resource, "spec", None)


def settle(
    resource: _Kind,
    previous: Mapping[ResourceKey, Resource],
    build: Callable[[_Kind, Case], _Wire | None],
    into: Settled[_Kind, _Wire],
) -> None:
    """Builds an object from the form that can act and records what became of it.

    `build` reports to its case and returns what of the form can be proven, None if nothing.
    """
    case = Case(resource.key)
    wire, form = build(resource, case), resource
    refused = any(item.refuses for item in case.findings)
    before = previous_form(resource, previous)
    if before is not None and refused:
        wire, form = build(before, Case(resource.key)), before
    was_accepted = resource.key in previous or not refused
    into.states[case.id] = ObjectState(
        key=resource.key,
        generation=generation_of(resource),
        serving_generation=None if wire is None else generation_of(form),
        form=form if was_accepted else None,
        findings=tuple(case.findings),
    )
    if wire is not None:
        into.wires[case.id] = wire
        into.forms[case.id] = form
