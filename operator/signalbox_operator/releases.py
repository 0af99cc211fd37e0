"""Which release brought each object's present form to the fleet, and which forms it lacks.

Pure; remembers from one report to the next. What it does not remember, as after a restart, counts
as brought by the present head: a status that says `Programmed` already is believed anyway.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from signalbox_api import ResourceKey
from signalbox_api.conditions import ConditionStatus, Reason
from signalbox_operator.budget_status import Verdict
from signalbox_operator.compiler.forms import ObjectState
from signalbox_operator.head import Head
from signalbox_operator.reporter import Report
from signalbox_operator.status import Releases, programmed
from signalbox_snapshot.snapshot import Snapshot

_Form = tuple[str | None, int | None, bool]
_MAX_TEXT: Final = 512


class ReleaseMemory:
    """Remembers the form in which each object was released, and since which generation."""

    def __init__(self) -> None:
        self._released: dict[ResourceKey, tuple[_Form, int]] = {}
        self._unproven: frozenset[ResourceKey] = frozenset()
        self._head_version = ""
        self._head_parts: dict[ResourceKey, object] = {}

    def note(self, report: Report) -> Releases:
        """Takes up a report; what is true of its objects."""
        head = report.head
        states = report.compilation.states
        if head is None:
            return Releases()
        if head.version == report.version:
            before = self._released
            self._released = {
                key: self._brought(key, _form(report, state), head.generation)
                for key, state in states.items()
            }
            others = {
                key
                for key, (form, _) in self._released.items()
                if key in before and form != before[key][0]
            }
            self._unproven = self._still_unproven(report, self._unproven | others)
            return Releases(since=self._since(), unproven=self._unproven)
        withheld = self._withheld(head, report.compilation.snapshot)
        for key in withheld:
            self._released.pop(key, None)
        self._unproven |= withheld
        return Releases(self._since(), withheld, _why(report), self._unproven)

    def _still_unproven(
        self, report: Report, keys: frozenset[ResourceKey]
    ) -> frozenset[ResourceKey]:
        """Without what every ready proxy runs by now: whichever starts later takes nothing back."""
        since = {key: self._released[key][1] for key in keys if key in self._released}
        shown = {at: programmed(report.fleet, at)[1] for at in set(since.values())}
        return frozenset(k for k, at in since.items() if shown[at] is not Reason.PROGRAMMED)

    def _brought(self, key: ResourceKey, form: _Form, generation: int) -> tuple[_Form, int]:
        known = self._released.get(key)
        return known if known is not None and known[0] == form else (form, generation)

    def _since(self) -> dict[ResourceKey, int]:
        return {key: generation for key, (_, generation) in self._released.items()}

    def _withheld(self, head: Head, compiled: Snapshot) -> frozenset[ResourceKey]:
        """Objects of which the head has another form, or none."""
        if self._head_version != head.version:
            before = head.content()
            self._head_parts = {} if before is None else dict(_parts(before))
            self._head_version = head.version
        return frozenset(key for key, part in _parts(compiled) if self._head_parts.get(key) != part)


def _form(report: Report, state: ObjectState) -> _Form:
    item = report.objects.get(state.key)
    uid = None if item is None else item.metadata.uid
    return uid, state.serving_generation, state.accepted


def _parts(snapshot: Snapshot) -> Iterator[tuple[ResourceKey, object]]:
    """Every object of a snapshot as the proxies get it."""
    listed: dict[str, Sequence[Any]] = {
        "Domain": snapshot.domains,
        "Agent": snapshot.agents,
        "DataAsset": snapshot.data_assets,
        "Model": snapshot.models,
        "Budget": snapshot.budgets,
        "RoutePolicy": snapshot.policies,
    }
    for kind, parts in listed.items():
        for part in parts:
            namespace, _, name = part.id.partition("/")
            yield ResourceKey(kind, namespace, name), part


def _why(report: Report) -> Verdict:
    pin = report.head.pin if report.head is not None else None
    if pin is not None:
        until = datetime.fromtimestamp(pin.until, UTC)
        message = (
            f"Generation {pin.generation} was gone back to, until {until:%Y-%m-%dT%H:%M:%SZ}: what"
            " is written serves after that."
        )
        return ConditionStatus.FALSE, Reason.PINNED, message
    if report.problem:
        return ConditionStatus.FALSE, Reason.NOT_RELEASED, report.problem[:_MAX_TEXT]
    return ConditionStatus.FALSE, Reason.PENDING, "Not released yet."
