"""What is worth an Event: what a status says now and did not say before.

Pure. Every note has a name made of what it is about, so that it is told once, whoever tells it: an
operator that starts again, or a second one, makes the same names. Budgets are named by window and
limit, refusals by generation.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

from signalbox_api import ResourceKey
from signalbox_api.conditions import Condition, ConditionStatus, ConditionType
from signalbox_api.status import BudgetStatus, Status

MAX_MESSAGE: Final = 1024
"""Longest message of an Event, in characters, as the API server bounds it."""

ALIKE: Final = 20
"""So many notes of one reason are told by object when they come at once; the rest as a number."""

_MAX_NAME: Final = 200

NoteReason = Literal[
    "BudgetWarning", "BudgetExhausted", "NotAccepted", "FailedClosed", "Degraded", "AndMore"
]


@dataclass(frozen=True, slots=True)
class Note:
    """One Event to be told. `key` and `uid` are of the object that it is about."""

    key: ResourceKey
    uid: str
    reason: NoteReason
    message: str
    name: str


@dataclass(frozen=True, slots=True)
class About:
    """An object, and at which per cent its owner wants to be warned."""

    key: ResourceKey
    uid: str
    warn_at_percent: Sequence[int] = ()


def notes(about: About, before: Status | None, now: Status) -> list[Note]:
    """What to tell of an object whose status was `before`, None where it had none."""
    found = [*_refusals(about, before, now)]
    if isinstance(now, BudgetStatus):
        known = before if isinstance(before, BudgetStatus) else None
        found += _warnings(about, known, now)
        found += _exhaustion(about, known, now)
    return found


def degraded(key: ResourceKey, before: Status | None, now: Status) -> list[Note]:
    """What to tell of the fleet."""
    was, told = _condition(before, _DEGRADED), _condition(now, _DEGRADED)
    if told is None or told.status is not _TRUE or (was and was.reason is told.reason):
        return []
    parts = ("degraded", told.reason, _second(told.last_transition_time))
    return [_note(key, "", "Degraded", told.message, parts)]


def few_of_each(found: Sequence[Note], fleet: ResourceKey, now: datetime) -> list[Note]:
    """The notes, of each reason at most ALIKE; what is left out is told once, of the fleet."""
    told: list[Note] = []
    counted: Counter[NoteReason] = Counter()
    left_out: Counter[tuple[NoteReason, str]] = Counter()
    for note in found:
        counted[note.reason] += 1
        if counted[note.reason] <= ALIKE:
            told.append(note)
        else:
            left_out[note.reason, note.key.kind] += 1
    if left_out:
        parts = [f"{count} {kind}: {reason}" for (reason, kind), count in sorted(left_out.items())]
        message = f"At once and not told one by one: {', '.join(parts)}."
        told.append(_note(fleet, "", "AndMore", message, (_second(now), message)))
    return told


_TRUE: Final = ConditionStatus.TRUE
_FALSE: Final = ConditionStatus.FALSE
_DEGRADED: Final = ConditionType.DEGRADED


def _refusals(about: About, before: Status | None, now: Status) -> Iterable[Note]:
    was, told = (_condition(each, ConditionType.ACCEPTED) for each in (before, now))
    if told is None or told.status is not _FALSE:
        return
    same_form = was is not None and was.observed_generation == told.observed_generation
    if same_form and was is not None and (was.status, was.message) == (told.status, told.message):
        return
    digest = hashlib.sha256(told.message.encode()).hexdigest()
    generation = str(told.observed_generation)
    if same_form and was is not None and was.status is _TRUE:
        since = _second(told.last_transition_time)
        message = f"Was in force and is not as written any more: {told.message}"
        yield _note(about.key, about.uid, "FailedClosed", message, (generation, since, digest))
    else:
        yield _note(about.key, about.uid, "NotAccepted", told.message, (generation, digest))


def _warnings(about: About, before: BudgetStatus | None, now: BudgetStatus) -> Iterable[Note]:
    """Each step between what was used before in this window and what is used now."""
    if now.percent is None:
        return
    same = before is not None and before.window_start == now.window_start
    was = (before.percent or 0) if same and before is not None else 0
    for step in sorted(about.warn_at_percent):
        if was < step <= now.percent:
            message = f"{step} % of {now.limit} {now.unit} is used{_window(now)}."
            parts = ("warning", str(step), *_account(now))
            yield _note(about.key, about.uid, "BudgetWarning", message, parts)


def _exhaustion(about: About, before: BudgetStatus | None, now: BudgetStatus) -> Iterable[Note]:
    was, told = (_condition(each, ConditionType.EXHAUSTED) for each in (before, now))
    if told is None or told.status is not _TRUE:
        return
    same = before is not None and before.window_start == now.window_start
    if same and was is not None and was.status is _TRUE:
        return
    parts = ("exhausted", *_account(now))
    yield _note(about.key, about.uid, "BudgetExhausted", told.message, parts)


def _account(status: BudgetStatus) -> tuple[str, str]:
    start = status.window_start
    return ("" if start is None else _second(start), status.limit or "")


def _window(status: BudgetStatus) -> str:
    if status.window_end is None:
        return ""
    return f" in the window that ends at {_second(status.window_end)}"


def _note(
    key: ResourceKey, uid: str, reason: NoteReason, message: str, parts: Iterable[str]
) -> Note:
    digest = hashlib.sha256("\n".join((*key, uid, reason, *parts)).encode()).hexdigest()[:16]
    name = f"{key.name[:_MAX_NAME]}.{digest}"
    return Note(key, uid, reason, message[:MAX_MESSAGE], name)


def _condition(status: Status | None, kind: ConditionType) -> Condition | None:
    conditions = () if status is None else status.conditions
    return next((each for each in conditions if each.type is kind), None)


def _second(instant: datetime) -> str:
    return f"{instant:%Y-%m-%dT%H:%M:%SZ}"
