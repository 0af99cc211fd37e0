"""Conditions: what the status of every object says, with closed reasons.

Follows metav1.Condition. Which reasons may stand with which type and status is data (`REASONS`),
so that a misplaced reason is refused where it is written instead of being found by a reader.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Final, Self

from pydantic import Field, StringConstraints, WithJsonSchema, model_validator

from signalbox_api.base import StatusPart
from signalbox_api.scalars import Instant

MESSAGE_LIMIT: Final = 32_768
"""Longest message, in characters, as metav1.Condition bounds it."""


class ConditionType(StrEnum):
    """What a condition is about."""

    ACCEPTED = "Accepted"
    """The object is valid and all that it names exists and may be used by it."""
    PROGRAMMED = "Programmed"
    """Every ready proxy runs the accepted form of this generation."""
    CONFLICTED = "Conflicted"
    """Another object takes precedence over a part of this one."""
    EXHAUSTED = "Exhausted"
    """The budget has nothing left in the current window; with `per`, one of its accounts."""
    DEGRADED = "Degraded"
    """Of the fleet: something keeps it from running what is written, and somebody should look."""
    ROTATING = "Rotating"
    """Of the fleet: a signing key, authority or token is being changed; since when, and for whom
    the change waits."""


class ConditionStatus(StrEnum):
    """Truth value of a condition."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


class Reason(StrEnum):
    """Why a condition has its status. Closed: programs may switch on it."""

    ACCEPTED = "Accepted"
    """Valid, and in force as written."""
    INVALID = "Invalid"
    """A field has a value that cannot work; the message names it."""
    REF_NOT_FOUND = "RefNotFound"
    """Something that it names does not exist (or is itself not accepted)."""
    REF_NOT_PERMITTED = "RefNotPermitted"
    """It names something in a namespace that it may not use."""
    NAMESPACE_NOT_PERMITTED = "NamespaceNotPermitted"
    """This kind, or this use of it, is not accepted in its namespace."""
    DUPLICATE = "Duplicate"
    """Another object already holds a name that must be unique."""
    CONFLICT = "Conflict"
    """It contradicts another object or its own parts."""
    NO_PRICE = "NoPrice"
    """A model or lane lacks a price that its capabilities need."""
    UNSUPPORTED_BY_FLEET = "UnsupportedByFleet"
    """Some proxies are of the release before and cannot be told all of it yet; the rest acts."""
    CYCLE = "Cycle"
    """Its parents lead back to itself."""
    PROGRAMMED = "Programmed"
    """Every ready proxy confirmed it."""
    PENDING = "Pending"
    """On its way: not every ready proxy has confirmed yet, or none is ready."""
    REJECTED = "Rejected"
    """A proxy refused the snapshot that contains it; the message says why."""
    PINNED = "Pinned"
    """Somebody went back to an earlier release; what was written since waits until the pin ends."""
    HELD = "Held"
    """Held back until a person confirms it: so much was taken away at once."""
    NOT_RELEASED = "NotReleased"
    """What is written could not be released; the message says why."""
    ROLLBACK_REFUSED = "RollbackRefused"
    """What somebody asked to go back to cannot serve; what is written, or the pin before, does."""
    NO_PROXY = "NoProxy"
    """No proxy is ready."""
    LEDGER_UNREACHABLE = "LedgerUnreachable"
    """No proxy tells how budgets stand: their numbers are old."""
    SECRETS_UNUSABLE = "SecretsUnusable"
    """A Secret of the release cannot be read, written or understood; the message names it."""
    WAITS_FOR_PROXIES = "WaitsForProxies"
    """The next step of a change would lock out those who have not followed yet."""
    NOTHING_CHANGES = "NothingChanges"
    """Every proxy goes by the keys, authority and tokens that are in use."""
    ALL_WELL = "AllWell"
    """Every ready proxy runs what is written."""
    NOT_ACCEPTED = "NotAccepted"
    """Nothing to run: no accepted form exists."""
    NO_CONFLICT = "NoConflict"
    """Nothing takes precedence over it."""
    OVERRULED = "Overruled"
    """A more specific policy decides the preferences; the constraints of this one still hold."""
    WITHIN_LIMIT = "WithinLimit"
    """Less is spent than the lowest warning step."""
    WARN_LEVEL = "WarnLevel"
    """A warning step is passed, something is left."""
    EXHAUSTED = "Exhausted"
    """Nothing is left that a request could be admitted with."""
    OVERRUN = "Overrun"
    """A provider billed more than was held for an attempt."""
    NOT_REPORTED = "NotReported"
    """The ledger has not been heard yet."""


_TRUE, _FALSE, _UNKNOWN = ConditionStatus.TRUE, ConditionStatus.FALSE, ConditionStatus.UNKNOWN

REASONS: Final[Mapping[ConditionType, Mapping[ConditionStatus, frozenset[Reason]]]] = {
    ConditionType.ACCEPTED: {
        _TRUE: frozenset({Reason.ACCEPTED}),
        _FALSE: frozenset(
            {
                Reason.INVALID,
                Reason.REF_NOT_FOUND,
                Reason.REF_NOT_PERMITTED,
                Reason.NAMESPACE_NOT_PERMITTED,
                Reason.DUPLICATE,
                Reason.CONFLICT,
                Reason.NO_PRICE,
                Reason.UNSUPPORTED_BY_FLEET,
                Reason.CYCLE,
            }
        ),
        _UNKNOWN: frozenset({Reason.PENDING}),
    },
    ConditionType.PROGRAMMED: {
        _TRUE: frozenset({Reason.PROGRAMMED}),
        _FALSE: frozenset(
            {
                Reason.PENDING,
                Reason.REJECTED,
                Reason.NOT_ACCEPTED,
                Reason.PINNED,
                Reason.NOT_RELEASED,
            }
        ),
        _UNKNOWN: frozenset({Reason.PENDING}),
    },
    ConditionType.CONFLICTED: {
        _TRUE: frozenset({Reason.CONFLICT, Reason.OVERRULED}),
        _FALSE: frozenset({Reason.NO_CONFLICT}),
        _UNKNOWN: frozenset({Reason.PENDING}),
    },
    ConditionType.EXHAUSTED: {
        _TRUE: frozenset({Reason.EXHAUSTED, Reason.OVERRUN}),
        _FALSE: frozenset({Reason.WITHIN_LIMIT, Reason.WARN_LEVEL, Reason.OVERRUN}),
        _UNKNOWN: frozenset({Reason.NOT_REPORTED}),
    },
    ConditionType.DEGRADED: {
        _TRUE: frozenset(
            {
                Reason.REJECTED,
                Reason.PINNED,
                Reason.HELD,
                Reason.NOT_RELEASED,
                Reason.ROLLBACK_REFUSED,
                Reason.NO_PROXY,
                Reason.LEDGER_UNREACHABLE,
                Reason.SECRETS_UNUSABLE,
            }
        ),
        _FALSE: frozenset({Reason.ALL_WELL, Reason.PENDING}),
        _UNKNOWN: frozenset({Reason.PENDING}),
    },
    ConditionType.ROTATING: {
        _TRUE: frozenset({Reason.WAITS_FOR_PROXIES}),
        _FALSE: frozenset({Reason.NOTHING_CHANGES}),
        _UNKNOWN: frozenset({Reason.PENDING, Reason.SECRETS_UNUSABLE}),
    },
}

_ALWAYS = (ConditionType.ACCEPTED, ConditionType.PROGRAMMED)

CONDITIONS_OF: Final[Mapping[str, tuple[ConditionType, ...]]] = {
    "Agent": _ALWAYS,
    "Budget": (*_ALWAYS, ConditionType.EXHAUSTED),
    "DataAsset": _ALWAYS,
    "Domain": _ALWAYS,
    "Fleet": (ConditionType.PROGRAMMED, ConditionType.DEGRADED, ConditionType.ROTATING),
    "Model": _ALWAYS,
    "RoutePolicy": (*_ALWAYS, ConditionType.CONFLICTED),
}
"""The conditions that each kind carries, in the order in which they are shown."""


def _camel_case(length: int) -> WithJsonSchema:
    """Closed here, open in the CRD: a CRD one release behind must not refuse a status."""
    return WithJsonSchema(
        {"type": "string", "pattern": "^[A-Z][A-Za-z]*$", "minLength": 1, "maxLength": length}
    )


class Condition(StatusPart):
    """One aspect of the object's state, as metav1.Condition."""

    type: Annotated[ConditionType, _camel_case(316)]
    """What the condition is about: Accepted, Programmed, Conflicted, Exhausted, Degraded or
    Rotating."""
    status: ConditionStatus
    """True, False or Unknown."""
    reason: Annotated[Reason, _camel_case(1024)]
    """Why, in one CamelCase word from a closed list; programs may rely on it."""
    message: Annotated[str, StringConstraints(max_length=MESSAGE_LIMIT)] = ""
    """Why, for people: names the field, the value and what to do."""
    last_transition_time: Instant
    """When `status` last changed."""
    observed_generation: Annotated[int, Field(ge=0)] = 0
    """The metadata.generation that the condition speaks of."""

    @model_validator(mode="after")
    def _reason_fits(self) -> Self:
        if self.reason not in REASONS[self.type][self.status]:
            raise ValueError(f"{self.type}={self.status} cannot have the reason {self.reason}")
        return self


def update_conditions(
    previous: Iterable[Condition], current: Sequence[Condition]
) -> tuple[Condition, ...]:
    """The current conditions; one whose status did not change keeps its `lastTransitionTime`."""
    before = {item.type: item for item in previous}
    return tuple(_carried(before.get(item.type), item) for item in current)


def condition(
    kind: ConditionType,
    status: ConditionStatus,
    reason: Reason,
    message: str = "",
    *,
    generation: int,
    now: datetime,
) -> Condition:
    """Builds a condition; a message longer than the API allows is cut."""
    return Condition(
        type=kind,
        status=status,
        reason=reason,
        message=message[:MESSAGE_LIMIT],
        last_transition_time=now,
        observed_generation=generation,
    )


def _carried(before: Condition | None, current: Condition) -> Condition:
    if before is None or before.status != current.status:
        return current
    return current.model_copy(update={"last_transition_time": before.last_transition_time})
