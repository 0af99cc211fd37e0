"""Status: what is written, found, released and spent, as people read it on each object.

Pure; the clock's value is passed in. The command line prints what this returns, an operator
writes it to the API server. Every condition has a reason from the closed list of
`signalbox_api.conditions`, and `lastTransitionTime` moves only when a status flips.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, TypeVar

from signalbox_api import KINDS, Resource, ResourceKey
from signalbox_api.conditions import (
    CONDITIONS_OF,
    Condition,
    ConditionStatus,
    ConditionType,
    Reason,
    condition,
    update_conditions,
)
from signalbox_api.status import Status
from signalbox_operator.budget_status import Verdict, exhaustion, untouched
from signalbox_operator.compiler import Compilation, ObjectState
from signalbox_operator.details import Details
from signalbox_operator.facts import AccountFacts, FleetFacts
from signalbox_snapshot import codec

_Object = TypeVar("_Object", bound=Resource)
_TRUE, _FALSE, _UNKNOWN = ConditionStatus.TRUE, ConditionStatus.FALSE, ConditionStatus.UNKNOWN
_SHOWN: Final = 3


@dataclass(frozen=True, slots=True)
class Report:
    """What status is made of. `accounts` is None while the ledger has not been heard.

    `version` is the version of the compiled snapshot; it is computed where it is not given.
    """

    compilation: Compilation
    fleet: FleetFacts
    accounts: tuple[AccountFacts, ...] | None
    now: datetime
    version: str = ""


def with_status(
    objects: Iterable[_Object],
    report: Report,
    previous: Mapping[ResourceKey, Resource] | None = None,
) -> list[_Object]:
    """The objects, each with its status.

    `previous` are the objects as last returned, for `lastTransitionTime`; without one, the status
    that an object brings along counts.
    """
    version = report.version or codec.version(codec.encode(report.compilation.snapshot))
    programmed = _programmed(report.fleet, version)
    writer = _Writer(report, programmed)
    before = previous or {}
    return [
        item.model_copy(update={"status": writer.status(item, before.get(item.key, item))})
        for item in objects
    ]


class _Writer:
    """Writes one status after the other from one report."""

    def __init__(self, report: Report, programmed: Verdict) -> None:
        self._states = report.compilation.states
        self._now = report.now
        self._programmed = programmed
        self._accounts: dict[str, AccountFacts] | None = None
        if report.accounts is not None:
            self._accounts = {facts.budget: facts for facts in report.accounts}
        quarantined = {lane for proxy in report.fleet.proxies for lane in proxy.quarantined}
        self._details = Details(report.compilation.snapshot, report.now, frozenset(quarantined))

    def status(self, item: Resource, before: Resource) -> Status:
        """The status of one object."""
        state = self._states.get(item.key)
        generation = item.metadata.generation or 0
        verdicts = {
            ConditionType.ACCEPTED: _accepted(state),
            ConditionType.PROGRAMMED: self._programmed_of(state),
            ConditionType.CONFLICTED: _conflicted(state),
            ConditionType.EXHAUSTED: self._exhausted(item.key),
        }
        current = [
            condition(kind, *verdicts[kind], generation=generation, now=self._now)
            for kind in CONDITIONS_OF[item.kind]
        ]
        fields = self._details.fields(item.key, state, self._facts_of(item.key))
        return KINDS[item.kind].status(
            observed_generation=generation,
            serving_generation=None if state is None else state.serving_generation,
            conditions=update_conditions(_conditions_of(before), current),
            **fields,
        )

    def _programmed_of(self, state: ObjectState | None) -> Verdict:
        if state is None or state.serving_generation is None:
            return _FALSE, Reason.NOT_ACCEPTED, "No form of the object is in force."
        if state.serving_generation != state.generation:
            message = f"Generation {state.serving_generation} stays in force."
            return _FALSE, Reason.NOT_ACCEPTED, message
        return self._programmed

    def _facts_of(self, key: ResourceKey) -> AccountFacts | None:
        budget = self._details.budget(key) if key.kind == "Budget" else None
        if budget is None or self._accounts is None:
            return None
        return self._accounts.get(budget.id) or untouched(budget)

    def _exhausted(self, key: ResourceKey) -> Verdict:
        facts = self._facts_of(key)
        return exhaustion(None if facts is None else self._details.budget(key), facts)


def _accepted(state: ObjectState | None) -> Verdict:
    if state is None:
        return _UNKNOWN, Reason.PENDING, "Not compiled yet."
    notes = " ".join(item.text for item in state.findings if item.severity == "warning")
    if state.accepted:
        return _TRUE, Reason.ACCEPTED, f"In force as written. {notes}".rstrip()
    errors = " ".join(item.text for item in state.findings if item.severity == "error")
    if state.serving_generation is None:
        rest = "Nothing of it is in force."
    elif state.serving_generation != state.generation:
        rest = f"Generation {state.serving_generation} stays in force."
    else:
        rest = "What could not be resolved is left out, and refused."
    return _FALSE, state.reason, f"{errors} {rest}"


def _conflicted(state: ObjectState | None) -> Verdict:
    if state is None or state.serving_generation is None:
        return _UNKNOWN, Reason.PENDING, "No form of the policy is in force."
    for reason in (Reason.CONFLICT, Reason.OVERRULED):
        found = [item.text for item in state.findings if item.reason is reason]
        if found:
            return _TRUE, reason, " ".join(found)
    return _FALSE, Reason.NO_CONFLICT, "No other policy takes precedence."


def _programmed(fleet: FleetFacts, version: str) -> Verdict:
    """Whether every ready proxy runs this version; the same for all objects of a snapshot."""
    if fleet.version != version:
        return _FALSE, Reason.PENDING, "Not released yet."
    for proxy in fleet.proxies:
        if proxy.rejection is not None and proxy.version != version:
            where, why = proxy.rejection.path, proxy.rejection.reason
            message = f"{proxy.name} refused generation {fleet.generation}: {where} {why}."
            return _FALSE, Reason.REJECTED, f"{message} The one before serves on."
    ready = [proxy for proxy in fleet.proxies if proxy.ready]
    if not ready:
        return _UNKNOWN, Reason.PENDING, "No proxy is ready."
    waiting = [proxy.name for proxy in ready if proxy.version != version]
    if not waiting:
        message = f"All {len(ready)} ready proxies run generation {fleet.generation}."
        return _TRUE, Reason.PROGRAMMED, message
    names = ", ".join(waiting[:_SHOWN]) + (" and others" if len(waiting) > _SHOWN else "")
    count = f"{len(ready) - len(waiting)} of {len(ready)} ready proxies"
    return _FALSE, Reason.PENDING, f"{count} run generation {fleet.generation}; not yet: {names}."


def _conditions_of(resource: Resource) -> tuple[Condition, ...]:
    status = getattr(resource, "status", None)
    return status.conditions if isinstance(status, Status) else ()
