"""Which status to write now: what matters first, never too many, nothing that is there already.

Pure; the clock's value is passed in. `StatusPlan` knows what every object's status should say and
what it says, and hands out writes by urgency, as many as may leave (`status_leaves`).

    urgency 0  Exhausted flips
    urgency 1  another condition flips, or names another reason or generation; a new object
    urgency 2  all else; numbers of a Budget at 1 % steps at once, otherwise every NUMBERS_S

Of the same urgency namespaces take turns (`status_turns`).
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from signalbox_api import ResourceKey
from signalbox_operator.status_leaves import RATE, Leaves, Urgency
from signalbox_operator.status_turns import Turns, Waiting

NUMBERS_S: Final = 30.0
RETRY_S: Final = 1.0
"""How long an object is left alone after a write that failed; twice as long after each further."""

RETRY_AT_MOST_S: Final = 16.0
"""The longest of these: so late is told what changed while the API server was away."""

SETTLED_S: Final = 60.0
"""By then a watch has brought what was written, and whatever somebody else wrote since."""

StatusDocument = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Write:
    """One status to write. `before` is what is there, as far as known."""

    key: ResourceKey
    uid: str
    status: StatusDocument
    before: StatusDocument | None
    urgency: Urgency


@dataclass(slots=True)
class _Entry:
    uid: str
    wanted: StatusDocument
    there: StatusDocument | None
    paced: bool
    since: float
    written_at: float | None = None
    not_before: float = 0.0
    under_way: bool = False
    failures: int = 0


class StatusPlan:
    """What is wanted and what is there, by object."""

    def __init__(self) -> None:
        self._entries: dict[ResourceKey, _Entry] = {}
        self._different: dict[ResourceKey, Urgency] = {}
        self._leaves = Leaves()
        self._turns = {urgency: Turns() for urgency in Urgency}

    def want(
        self,
        key: ResourceKey,
        uid: str,
        wanted: StatusDocument,
        there: StatusDocument | None,
        now: float,
    ) -> None:
        """An object should have this status; `there` is what the API server was last seen with.

        What this plan wrote itself is newer than what a watch says, and wins for SETTLED_S.
        """
        entry = self._entries.get(key)
        if entry is None or entry.uid != uid:
            entry = self._entries[key] = _Entry(uid, wanted, there, key.kind == _PACED, now)
        elif not entry.under_way and _is_settled(entry, now):
            entry.there = there
        entry.wanted = wanted
        self._judge(key, entry, now)

    def keep_only(self, keys: Iterable[ResourceKey]) -> None:
        """Other objects are gone."""
        kept = set(keys)
        for key in self._entries.keys() - kept:
            self._forget(key)

    def status_of(self, key: ResourceKey, uid: str) -> StatusDocument | None:
        """What an object's status says as far as this plan knows."""
        entry = self._entries.get(key)
        return entry.there if entry is not None and entry.uid == uid else None

    @property
    def waiting(self) -> int:
        """Statuses whose conditions are not written as they should be; numbers have their pace."""
        return sum(urgency is not Urgency.NUMBERS for urgency in self._different.values())

    def due(self, now: float) -> list[Write]:
        """The writes to begin now, the most urgent first. Each has to be answered by `written`,
        `failed` or `gone`."""
        waiting: defaultdict[Urgency, list[Waiting]] = defaultdict(list)
        for key, urgency in self._different.items():
            if _may_begin(entry := self._entries[key], urgency, now):
                waiting[urgency].append(Waiting(entry.since, key))
        waits = Counter({urgency: len(group) for urgency, group in waiting.items()})
        found: list[Write] = []
        for urgency in Urgency:
            for _, key in self._turns[urgency].order(waiting[urgency], RATE):
                if not self._leaves.take(now, urgency, waits):
                    break
                waits[urgency] -= 1
                found.append(self._begin(key, urgency))
        return found

    def _begin(self, key: ResourceKey, urgency: Urgency) -> Write:
        self._turns[urgency].took(key.namespace)
        entry = self._entries[key]
        entry.under_way = True
        return Write(key, entry.uid, entry.wanted, entry.there, urgency)

    def next_at(self, now: float) -> float | None:
        """When to ask for what is due again, unless a write is answered before; None with nothing
        to write till then."""
        waits: Counter[Urgency] = Counter()
        first: dict[Urgency, float] = {}
        for key, urgency in self._different.items():
            entry = self._entries[key]
            if not entry.under_way:
                begins_at = _begins_at(entry, urgency)
                first[urgency] = min(first.get(urgency, begins_at), begins_at)
                waits[urgency] += begins_at <= now
        times = [
            max(begins_at, free_at)
            for urgency, begins_at in first.items()
            if (free_at := self._leaves.free_at(now, urgency, waits)) is not None
        ]
        return min(times, default=None)

    def written(self, write: Write, now: float) -> None:
        """The API server has it."""
        entry = self._answered(write, now)
        if entry is not None:
            entry.there, entry.written_at, entry.failures = write.status, now, 0
            self._judge(write.key, entry, now)

    def failed(self, write: Write, now: float) -> None:
        """It was not written, as far as known; it is tried again, what is there being unknown.

        Later each time, and behind what waits by then: what fails for ever keeps nothing else back.
        """
        entry = self._answered(write, now)
        if entry is not None:
            entry.since = now
            entry.not_before = now + min(RETRY_S * 2**entry.failures, RETRY_AT_MOST_S)
            entry.failures = min(entry.failures + 1, _MOST_FAILURES)
            self._judge(write.key, entry, now)

    def gone(self, write: Write, now: float) -> None:
        """There is no such object any more."""
        if self._answered(write, now) is not None:
            self._forget(write.key)

    def _answered(self, write: Write, now: float) -> _Entry | None:
        self._leaves.answered(now, write.urgency)
        entry = self._entries.get(write.key)
        if entry is None or entry.uid != write.uid:
            return None
        entry.under_way = False
        return entry

    def _forget(self, key: ResourceKey) -> None:
        self._entries.pop(key, None)
        self._different.pop(key, None)

    def _judge(self, key: ResourceKey, entry: _Entry, now: float) -> None:
        urgency = urgency_of(entry.there, entry.wanted)
        if urgency is None:
            self._different.pop(key, None)
            return
        if key not in self._different:
            entry.since = now
        self._different[key] = urgency


def urgency_of(there: StatusDocument | None, wanted: StatusDocument) -> Urgency | None:
    """How urgent the difference is; None where there is none. Absent fields and empty lists are the
    same, and when a condition flipped is no difference of its own."""
    if there is None:
        return Urgency.EXHAUSTED if _verdict(wanted, "Exhausted")[:1] == ("True",) else _CONDITION
    if _verdict(there, "Exhausted")[:1] != _verdict(wanted, "Exhausted")[:1]:
        return Urgency.EXHAUSTED
    if _conditions(there) != _conditions(wanted) or any(
        there.get(name) != wanted.get(name) for name in _GENERATIONS
    ):
        return _CONDITION
    return None if comparable(there) == comparable(wanted) else Urgency.NUMBERS


_CONDITION: Final = Urgency.CONDITION
_GENERATIONS: Final = ("observedGeneration", "servingGeneration")


def comparable(status: StatusDocument) -> dict[str, Any]:
    """A status without what says nothing by itself."""
    told = {name: value for name, value in status.items() if value not in (None, [], {}, ())}
    told["conditions"] = [
        {name: value for name, value in each.items() if name != "lastTransitionTime"}
        for each in status.get("conditions") or ()
    ]
    return told


def _conditions(status: StatusDocument) -> dict[str, tuple[str, ...]]:
    return {each["type"]: _told(each) for each in status.get("conditions") or ()}


def _verdict(status: StatusDocument, kind: str) -> tuple[str, ...]:
    return _conditions(status).get(kind, ())


def _told(condition: Mapping[str, Any]) -> tuple[str, ...]:
    """What is told at once. The message of Exhausted has amounts in it, which are numbers."""
    told = (condition["status"], condition["reason"], str(condition.get("observedGeneration", 0)))
    return told if condition["type"] == "Exhausted" else (*told, condition.get("message", ""))


def _is_settled(entry: _Entry, now: float) -> bool:
    return entry.written_at is None or now - entry.written_at >= SETTLED_S


def _begins_at(entry: _Entry, urgency: Urgency) -> float:
    paced = entry.paced and urgency is Urgency.NUMBERS and not _is_step(entry)
    if not paced or entry.written_at is None:
        return entry.not_before
    return max(entry.not_before, entry.written_at + NUMBERS_S)


def _may_begin(entry: _Entry, urgency: Urgency, now: float) -> bool:
    return not entry.under_way and _begins_at(entry, urgency) <= now


def _is_step(entry: _Entry) -> bool:
    """Another per cent of the limit is used, or the limit or the window is another."""
    there = entry.there or {}
    return any(there.get(name) != entry.wanted.get(name) for name in _STEPS)


_MOST_FAILURES: Final = 10
"""Counted no further: the wait is the longest long before."""

_PACED: Final = "Budget"
_STEPS: Final = ("percent", "limit", "unit", "windowStart", "overrun")
