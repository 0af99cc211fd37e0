"""What the status of every object should say, judged again where something changed.

Pure but for what it remembers: the newest report and the newest facts of the ledger. What it
judges goes into a `StatusPlan`, what is worth an Event comes back. In slices, so that whoever calls
can take up news in between; a budget that has just been exhausted comes before all that waits, and
those of which only amounts moved are judged every MOVED_S, however often the ledger is heard.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final, Literal

from pydantic import ValidationError

from signalbox_api import KINDS, Resource, ResourceKey
from signalbox_api.budget import Budget
from signalbox_api.fleet import FleetMember, FleetStatus
from signalbox_api.status import Status
from signalbox_operator.budget_status import nothing_left, used_percent
from signalbox_operator.facts import AccountFacts
from signalbox_operator.fleet_status import fleet_status
from signalbox_operator.releases import ReleaseMemory
from signalbox_operator.reporter import Report, Unreadable
from signalbox_operator.status import Releases, Statuses
from signalbox_operator.status import Report as Known
from signalbox_operator.status_notes import About, Note, degraded, few_of_each, notes
from signalbox_operator.status_plan import StatusPlan
from signalbox_operator.trust import TrustTold

SLICE: Final = 100
"""So many objects are judged in one go."""

MOVED_S: Final = 2.0
"""How often budgets are judged of which only small numbers moved; these are written every
`status_plan.NUMBERS_S`."""


Step = Literal["exhaustion", "step", "amounts"]


class Judge:
    """Keeps a plan up to date."""

    def __init__(self, plan: StatusPlan, fleet: ResourceKey) -> None:
        self._plan = plan
        self._fleet = fleet
        self._report: Report | None = None
        self._releases = Releases()
        self._memory = ReleaseMemory()
        self._accounts: dict[str, AccountFacts] | None = None
        self._statuses: Statuses | None = None
        self._shown: dict[ResourceKey, tuple[str, Status]] = {}
        self._first: dict[ResourceKey, None] = {}
        self._soon: dict[ResourceKey, None] = {}
        self._later: dict[ResourceKey, None] = {}
        self._moved: dict[ResourceKey, None] = {}
        self._moved_at: float | None = None
        self._fleet_shown: FleetStatus | None = None
        self._fleet_there: FleetStatus | None = None
        self._is_fleet_read = False
        self.trust: TrustTold | None = None
        """What was told last of keys, authorities and tokens."""

    @property
    def is_done(self) -> bool:
        """Whether nothing is left to judge."""
        return not self._first and not self._soon and not self._later

    @property
    def report(self) -> Report | None:
        """The newest report."""
        return self._report

    @property
    def fleet(self) -> FleetStatus | None:
        """What the Fleet's status should say; None before it was judged."""
        return self._fleet_shown

    def statuses(self) -> dict[ResourceKey, Status]:
        """What each object's status should say, of those that were judged."""
        return {key: status for key, (_, status) in self._shown.items()}

    def take(self, report: Report) -> None:
        """Takes up a report: what changed in it is judged soon."""
        before, self._report = self._report, report
        self._statuses = None
        self._releases = self._memory.note(report)
        keys = report.objects.keys() | report.unreadable.keys()
        if before is None or _is_another(before, report):
            self._later = dict.fromkeys(keys)
        self._soon |= dict.fromkeys(
            key
            for key in keys
            if before is None
            or before.objects.get(key) is not report.objects.get(key)
            or before.unreadable.get(key) != report.unreadable.get(key)
        )
        for key in self._shown.keys() - keys:
            del self._shown[key]
        self._plan.keep_only((*keys, self._fleet))

    def hear(self, accounts: Iterable[AccountFacts]) -> None:
        """Takes up what the ledger says: budgets that moved are judged, the exhausted first."""
        before, self._accounts = self._accounts, {each.budget: each for each in accounts}
        known = before or {}
        moved = [
            name
            for name in known.keys() | self._accounts.keys()
            if known.get(name) != self._accounts.get(name)
        ]
        if moved or before is None:
            self._statuses = None
        if self._report is None:
            return
        if before is None:
            self._soon |= dict.fromkeys(self._all_budgets())
        for name in moved:
            self._queue(step_of(known.get(name), self._accounts.get(name)))[_budget_key(name)] = (
                None
            )

    def _queue(self, step: Step) -> dict[ResourceKey, None]:
        return {"exhaustion": self._first, "step": self._soon, "amounts": self._moved}[step]

    def all_again(self) -> None:
        """Time passed: everything is judged again, in its turn."""
        if self._report is not None:
            self._later |= dict.fromkeys(self._report.objects)

    def judge_some(self, wall: datetime, now: float) -> list[Note]:
        """Judges up to SLICE objects, those that changed first; what is worth an Event."""
        found: list[Note] = []
        for _ in range(SLICE):
            waiting = self._first or self._soon or self._later
            if not waiting or self._report is None:
                break
            key = next(iter(waiting))
            for queue in (self._first, self._soon, self._later, self._moved):
                queue.pop(key, None)
            found += self._judge(self._report, key, wall, now)
        return few_of_each(found, self._fleet, wall)

    def read_fleet(self, there: FleetStatus | None) -> None:
        """What the Fleet's status says, told once at the start."""
        self._fleet_there = self._fleet_shown = there
        self._is_fleet_read = True

    def judge_fleet(
        self, members: Sequence[FleetMember], unheard: str, wall: datetime, now: float
    ) -> list[Note]:
        """Judges the Fleet, nothing before its status was read; and has those judged of which
        amounts moved, where it is time."""
        if self._moved_at is None or now - self._moved_at >= MOVED_S:
            self._moved_at = now
            self._later |= self._moved
            self._moved.clear()
        if self._report is None or not self._is_fleet_read:
            return []
        before = self._fleet_shown
        told = fleet_status(
            replace(self._report, now=wall), members, before, unheard=unheard, trust=self.trust
        )
        self._fleet_shown = told
        there = None if self._fleet_there is None else document(self._fleet_there)
        self._plan.want(self._fleet, "", document(told), there, now)
        return degraded(self._fleet, before, told)

    def _judge(self, report: Report, key: ResourceKey, wall: datetime, now: float) -> list[Note]:
        item = report.objects.get(key) or report.unreadable.get(key)
        if item is None:
            return []
        uid, generation, there = _told(item)
        shown = self._shown.get(key)
        before = shown[1] if shown is not None and shown[0] == uid else there
        told = self._known(report, wall).status_of(key, generation, before)
        self._shown[key] = uid, told
        self._plan.want(key, uid, document(told), None if there is None else document(there), now)
        steps = item.spec.warn_at_percent if isinstance(item, Budget) else ()
        return notes(About(key, uid, steps), before, told)

    def _known(self, report: Report, wall: datetime) -> Statuses:
        """Made once from what is known; the clock of its making is that of what it says."""
        if self._statuses is None:
            accounts = None if self._accounts is None else tuple(self._accounts.values())
            known = Known(
                report.compilation, report.fleet, accounts, wall, report.version, self._releases
            )
            self._statuses = Statuses(known)
        return self._statuses

    def _all_budgets(self) -> list[ResourceKey]:
        objects = self._report.objects if self._report is not None else {}
        return [key for key in objects if key.kind == "Budget"]


def step_of(before: AccountFacts | None, now: AccountFacts | None) -> Step:
    """What moved of a budget: whether it refuses, what is written at once, or amounts alone."""
    if before is None or now is None:
        return "exhaustion"
    if nothing_left(before) != nothing_left(now):
        return "exhaustion"
    return "amounts" if _steps(before) == _steps(now) else "step"


def _steps(facts: AccountFacts) -> tuple[object, ...]:
    least, all_of_it = facts.limit - facts.remaining, facts.settled + facts.overrun
    return (
        facts.limit,
        facts.window_start,
        facts.overrun,
        facts.exhausted_subjects,
        used_percent(least, facts.limit),
        used_percent(all_of_it, facts.limit),
    )


def document(status: Status) -> dict[str, Any]:
    """A status as the API server stores it."""
    written: dict[str, Any] = status.model_dump(mode="json", by_alias=True, exclude_none=True)
    return written


def _is_another(before: Report, report: Report) -> bool:
    """Whether something that concerns every object is another."""
    return (
        before.compilation is not report.compilation
        or before.fleet != report.fleet
        or before.problem != report.problem
        or (before.head and before.head.pin) != (report.head and report.head.pin)
    )


def _budget_key(name: str) -> ResourceKey:
    namespace, _, own = name.partition("/")
    return ResourceKey("Budget", namespace, own)


def _told(item: Resource | Unreadable) -> tuple[str, int, Status | None]:
    """UID, generation and status that the API server has."""
    if isinstance(item, Unreadable):
        return item.uid, item.generation, _read(KINDS[item.key.kind].status, item.status)
    found = getattr(item, "status", None)
    status = found if isinstance(found, Status) else None
    return item.metadata.uid or "", item.metadata.generation or 0, status


def _read(kind: type[Status], status: Mapping[str, Any]) -> Status | None:
    try:
        return kind.model_validate(status, by_alias=True, by_name=False) if status else None
    except ValidationError:
        return None
