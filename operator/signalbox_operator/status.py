"""Status: what is written, found, released and spent, as people read it on each object.

Pure; the clock's value is passed in. The command line prints what this returns, an operator
writes it to the API server. Every condition has a reason from the closed list of
`signalbox_api.conditions`, and `lastTransitionTime` moves only when a status flips.

`Programmed` says that every ready proxy runs this form of the object. Once that is so it stays so:
a proxy that starts later gets the released snapshot before anything else, and takes nothing back.
How many proxies there are, and which generation they run, stands on the `Fleet` alone: a status
that named it would have to be written anew on every object whenever one starts.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
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
from signalbox_api.status import BudgetStatus, Status
from signalbox_operator import budget_status
from signalbox_operator.budget_status import Verdict, exhaustion, untouched
from signalbox_operator.compiler import Compilation, ObjectState
from signalbox_operator.details import Details
from signalbox_operator.facts import AccountFacts, FleetFacts
from signalbox_snapshot import codec

_Object = TypeVar("_Object", bound=Resource)
_TRUE, _FALSE, _UNKNOWN = ConditionStatus.TRUE, ConditionStatus.FALSE, ConditionStatus.UNKNOWN
_NOT_RELEASED: Final = (_FALSE, Reason.PENDING, "Not released yet.")


@dataclass(frozen=True, slots=True)
class Releases:
    """Which release brought each object's present form, and what is withheld from the fleet.

    `since` has the generation that a proxy needs at least to run an object's form; the head's
    where an object is not named. `withheld` are objects whose form differs from what is released,
    and `why`; None: nobody looked, so that all are unless the head is what was compiled.
    `unproven` are objects whose form is another than the one that a status spoke of, though their
    generation is the same (what they name came to exist, say), and that is not everywhere yet.
    """

    since: Mapping[ResourceKey, int] = field(default_factory=dict)
    withheld: frozenset[ResourceKey] | None = None
    why: Verdict = _NOT_RELEASED
    unproven: frozenset[ResourceKey] = frozenset()


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
    releases: Releases = field(default_factory=Releases)


def with_status(
    objects: Iterable[_Object],
    report: Report,
    previous: Mapping[ResourceKey, Resource] | None = None,
) -> list[_Object]:
    """The objects, each with its status.

    `previous` are the objects as last returned, for `lastTransitionTime`; without one, the status
    that an object brings along counts.
    """
    writer = Statuses(report)
    before = previous or {}
    return [
        item.model_copy(update={"status": writer.status(item, before.get(item.key, item))})
        for item in objects
    ]


class Statuses:
    """Writes one status after the other from one report."""

    def __init__(self, report: Report) -> None:
        self._states = report.compilation.states
        self._now = report.now
        self._fleet = report.fleet
        self._releases = report.releases
        version = report.version or codec.version(codec.encode(report.compilation.snapshot))
        self._is_head = report.fleet.version == version
        self._accounts: dict[str, AccountFacts] | None = None
        if report.accounts is not None:
            self._accounts = {facts.budget: facts for facts in report.accounts}
        quarantined = {lane for proxy in report.fleet.proxies for lane in proxy.quarantined}
        self._details = Details(report.compilation.snapshot, report.now, frozenset(quarantined))

    def status(self, item: Resource, before: Resource) -> Status:
        """The status of one object. `before` is the object with the status it had."""
        known = getattr(before, "status", None)
        if not isinstance(known, Status) or before.metadata.uid != item.metadata.uid:
            known = None
        return self.status_of(item.key, item.metadata.generation or 0, known)

    def status_of(self, key: ResourceKey, generation: int, before: Status | None) -> Status:
        """The status of the object of that name and generation, which had `before`."""
        state = self._states.get(key)
        verdicts = {
            ConditionType.ACCEPTED: _accepted(state),
            ConditionType.PROGRAMMED: self._programmed_of(state, before),
            ConditionType.CONFLICTED: _conflicted(state),
            ConditionType.EXHAUSTED: self._exhausted(key, before),
        }
        current = [
            condition(kind, *verdicts[kind], generation=generation, now=self._now)
            for kind in CONDITIONS_OF[key.kind]
        ]
        fields = self._details.fields(key, state, self._facts_of(key))
        if self._accounts is None and isinstance(before, BudgetStatus):
            fields |= {name: getattr(before, name) for name in budget_status.FROM_THE_LEDGER}
        return KINDS[key.kind].status(
            observed_generation=generation,
            serving_generation=None if state is None else state.serving_generation,
            conditions=update_conditions(before.conditions if before else (), current),
            **fields,
        )

    def _programmed_of(self, state: ObjectState | None, before: Status | None) -> Verdict:
        if state is None or state.serving_generation is None:
            return _FALSE, Reason.NOT_ACCEPTED, "No form of the object is in force."
        if state.serving_generation != state.generation:
            message = f"Generation {state.serving_generation} stays in force."
            return _FALSE, Reason.NOT_ACCEPTED, message
        withheld = self._releases.withheld
        if not self._is_head and (withheld is None or state.key in withheld):
            return self._releases.why
        is_proven = state.key not in self._releases.unproven
        if is_proven and _was_programmed(before, state.generation):
            return _PROGRAMMED
        return programmed(self._fleet, self._releases.since.get(state.key, self._fleet.generation))

    def _facts_of(self, key: ResourceKey) -> AccountFacts | None:
        budget = self._details.budget(key) if key.kind == "Budget" else None
        if budget is None or self._accounts is None:
            return None
        return self._accounts.get(budget.id) or untouched(budget)

    def _exhausted(self, key: ResourceKey, before: Status | None) -> Verdict:
        """What was told last stands until the ledger is heard: nothing flips because an operator
        has just started."""
        facts = self._facts_of(key)
        told = _told(before, ConditionType.EXHAUSTED)
        if self._accounts is None and told is not None:
            return told.status, told.reason, told.message
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


_PROGRAMMED: Final = (_TRUE, Reason.PROGRAMMED, "Every ready proxy runs it.")


def programmed(fleet: FleetFacts, since: int) -> Verdict:
    """Whether every ready proxy runs what generation `since` brought."""
    for proxy in fleet.proxies:
        if proxy.rejection is not None and (proxy.generation or 0) < since:
            where, why = proxy.rejection.path, proxy.rejection.reason
            message = f"{proxy.name} refused generation {fleet.generation}: {where} {why}."
            return _FALSE, Reason.REJECTED, f"{message} The one before serves on."
    ready = [proxy for proxy in fleet.proxies if proxy.ready]
    if not ready:
        return _UNKNOWN, Reason.PENDING, "No proxy is ready."
    if all((proxy.generation or 0) >= since for proxy in ready):
        return _PROGRAMMED
    return _FALSE, Reason.PENDING, "Not every ready proxy runs it yet."


def _was_programmed(before: Status | None, generation: int) -> bool:
    """Whether this form was on every ready proxy already: then newcomers do not change that."""
    told = _told(before, ConditionType.PROGRAMMED)
    return told is not None and told.status is _TRUE and told.observed_generation == generation


def _told(before: Status | None, kind: ConditionType) -> Condition | None:
    conditions = () if before is None else before.conditions
    return next((each for each in conditions if each.type is kind), None)
