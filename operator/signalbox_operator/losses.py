"""Many objects gone at once: held until a person says that it is meant.

Pure. A deleted namespace or CRD, or a mistaken prune, takes hundreds of objects away within
seconds, and would refuse everybody. Where more than a quarter of the Agents, Models or Domains
(and at least `FEWEST`, or all of at least `FEWEST_OF_ALL`) is gone within `WINDOW_S`, a hold
begins: whatever is gone stays in force in its last accepted form, of every kind, and so do the
Budgets and RoutePolicies that went shortly before, for agents without what binds them would be
worse than either. Agents that were released as
gone never come back: their keys may have leaked.

Where one namespace lost most, the hold is of that namespace alone, so that no tenant holds up what
others delete. All other changes go on taking effect. What of a hold has to outlive the process is a
value (`Remembered`); the held forms themselves are among those of the last release.
"""

import hashlib
import secrets
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from signalbox_api import Resource, ResourceKey

GUARDED: Final = ("Agent", "Domain", "Model")
BINDING: Final = ("Budget", "RoutePolicy")
FEWEST: Final = 4
FEWEST_OF_ALL: Final = 2
"""Whoever deletes the only object means it; and one of three is an everyday act."""

WINDOW_S: Final = 300.0
ANNOTATION: Final = "signalbox.dev/confirm-loss"

_A_QUARTER: Final = 4
_SHOWN: Final = 3
_ID: Final = 12

_Keys = frozenset[ResourceKey]


@dataclass(frozen=True, slots=True)
class Loss:
    """Objects that are gone and held, by key. `value` is what confirms the loss of exactly these
    and is never valid for another."""

    forms: Mapping[ResourceKey, Resource]
    value: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Remembered:
    """A hold as another process goes on with it: see `_Hold` for its parts. `chain` has keys and
    values in their order."""

    where: str | None
    salt: str
    chain: tuple[tuple[ResourceKey, str], ...]
    last: str
    before: tuple[ResourceKey, ...] = ()
    restored: tuple[ResourceKey, ...] = ()


@dataclass(slots=True)
class _Hold:
    """A loss that nobody confirmed yet.

    `where` is the namespace that it is of; None: all that no other hold is of. `members` are what
    it may hold: what stood when it began, so that it cannot be made to grow. `restored` are the
    forms that went shortly before, `before` the guarded keys that did. `chain` has the guarded
    members in the order in which they went, each with the value that confirms it and all before it:
    whatever goes while a person copies a value, that value stays good for what it stood for.
    """

    where: str | None
    salt: str
    members: _Keys
    restored: Mapping[ResourceKey, Resource]
    before: _Keys
    chain: dict[ResourceKey, str] = field(default_factory=dict)
    last: str = ""

    def grow(self, gone: Iterable[ResourceKey]) -> None:
        for key in sorted(gone):
            if key.kind in GUARDED and key in self.members and key not in self.chain:
                linked = f"{self.last or self.salt}\n{key}".encode()
                self.last = hashlib.sha256(linked).hexdigest()[:_ID]
                self.chain[key] = self.last

    def back(self, existing: _Keys) -> None:
        """What exists again went not."""
        self.before -= existing
        self.restored = {k: form for k, form in self.restored.items() if k not in existing}

    def confirmed(self, value: str) -> _Keys:
        """Takes out of the chain what a value confirms."""
        keys = list(self.chain)
        upto = next((n for n, key in enumerate(keys) if self.chain[key] == value), -1) + 1
        for key in keys[:upto]:
            del self.chain[key]
        return frozenset(keys[:upto])


@dataclass(slots=True)
class LossGuard:
    """Remembers what went lately, so that a loss in small steps is seen as well, and every hold
    until it is confirmed or everything is back. `salt` draws what makes each hold's values new."""

    fleet: str
    platform: str
    salt: Callable[[], str] = secrets.token_hex
    _lately: dict[ResourceKey, tuple[float, Resource]] = field(default_factory=dict)
    _granted: _Keys = frozenset()
    _holds: list[_Hold] = field(default_factory=list)

    def held(
        self,
        in_force: Mapping[ResourceKey, Resource],
        present: Iterable[ResourceKey],
        confirmed: str,
        now: float,
    ) -> tuple[Loss, ...]:
        """What is to be held of what is gone, a `Loss` for each hold.

        `in_force` are the accepted forms of the last release, `present` what exists and is not
        under deletion, `confirmed` the value of the Fleet's annotation, `now` seconds of any steady
        clock.
        """
        existing = frozenset(present)
        gone = frozenset(in_force.keys() - existing)
        self._granted &= gone
        self._lately = {
            key: went
            for key, went in self._lately.items()
            if now - went[0] < WINDOW_S and key not in existing
        }
        for hold in self._holds:
            hold.back(existing)
            hold.grow(gone - self._granted)
        self._holds = [each for each in self._holds if self._goes_on(each, gone, confirmed)]
        self._begin(in_force, existing, gone - self._granted)
        losses = tuple(self._loss(hold, in_force, gone) for hold in self._holds)
        kept = self._granted.union(*(loss.forms for loss in losses))
        for key in gone - kept:
            self._lately.setdefault(key, (now, in_force[key]))
        return losses

    def remembered(self) -> tuple[Remembered, ...]:
        """Every hold there is."""
        return tuple(
            Remembered(
                where=hold.where,
                salt=hold.salt,
                chain=tuple(hold.chain.items()),
                last=hold.last,
                before=tuple(sorted(hold.before)),
                restored=tuple(sorted(hold.restored)),
            )
            for hold in self._holds
        )

    def resume(self, holds: Iterable[Remembered], in_force: Mapping[ResourceKey, Resource]) -> None:
        """Goes on with the holds of a process before, unless there are any here; `in_force` are the
        forms of the last release. What is still gone of them stays held, however little it is, and
        values that people copied stay good."""
        if self._holds:
            return
        others = frozenset(each.where for each in holds)
        for each in holds:
            self._holds.append(
                _Hold(
                    where=each.where,
                    salt=each.salt,
                    members=frozenset(k for k in in_force if self._within(each.where, k, others)),
                    restored={key: in_force[key] for key in each.restored if key in in_force},
                    before=frozenset(each.before),
                    chain={key: value for key, value in each.chain if key in in_force},
                    last=each.last,
                )
            )

    def _goes_on(self, hold: _Hold, gone: _Keys, confirmed: str) -> bool:
        """Takes a confirmation in; whether something is still neither confirmed nor back."""
        granted = hold.confirmed(confirmed)
        self._granted |= granted & gone
        if any(key in gone for key in hold.chain):
            return True
        if granted:
            others = frozenset[ResourceKey]().union(
                *(other.members for other in self._holds if other is not hold)
            )
            self._granted |= (hold.members & gone) - others
            for key in hold.before.union(hold.restored):
                self._lately.pop(key, None)
        return False

    def _begin(
        self, in_force: Mapping[ResourceKey, Resource], existing: _Keys, gone: _Keys
    ) -> None:
        """Begins holds until what is under none is no loss of many.

        A namespace that lost most, but loses nothing now, is left out of the count: its loss was
        small enough to be released, and is no reason to hold what another one loses.
        """
        aside: set[str | None] = {hold.where for hold in self._holds}
        while None not in aside:
            lost = [key for key in gone.union(self._lately) if key.namespace not in aside]
            standing = [key for key in existing if key.namespace not in aside]
            losing = {
                key.namespace for key in gone if key.kind in GUARDED and key.namespace not in aside
            }
            if not losing or not _are_many(lost, standing):
                return
            most = _namespaces_of_many(lost, standing)
            where = most.pop() if len(most) == 1 else None
            aside.add(where)
            if where is None or where in losing:
                hold = self._new(where, in_force)
                hold.grow(gone)
                self._holds.append(hold)

    def _new(self, where: str | None, in_force: Mapping[ResourceKey, Resource]) -> _Hold:
        """A hold of a namespace and of what the platform binds it by; of all that is free."""
        reach = frozenset(key for key in in_force if self._reaches(where, key))
        lately = {key: form for key, (_, form) in self._lately.items() if self._reaches(where, key)}
        restored = {key: form for key, form in lately.items() if key.kind in BINDING}
        before = frozenset(key for key in lately if key.kind in GUARDED)
        return _Hold(where, self.salt(), reach.union(restored), restored, before)

    def _reaches(self, where: str | None, key: ResourceKey) -> bool:
        return self._within(where, key, frozenset(hold.where for hold in self._holds))

    def _within(self, where: str | None, key: ResourceKey, others: frozenset[str | None]) -> bool:
        if key.kind in BINDING and key.namespace == self.platform:
            return True
        return key.namespace == where if where is not None else key.namespace not in others

    def _forms(
        self, hold: _Hold, in_force: Mapping[ResourceKey, Resource], gone: _Keys
    ) -> dict[ResourceKey, Resource]:
        held = {key: in_force[key] for key in (hold.members & gone) - self._granted}
        return {**hold.restored, **held}

    def _loss(self, hold: _Hold, in_force: Mapping[ResourceKey, Resource], gone: _Keys) -> Loss:
        forms = self._forms(hold, in_force, gone)
        names = sorted(forms)
        listed = ", ".join(map(str, names[:_SHOWN]))
        more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        counts = dict.fromkeys(GUARDED, 0)
        for key in hold.before.union(key for key in hold.chain if key in gone):
            counts[key.kind] += 1
        many = ", ".join(f"{count} {kind}s" for kind, count in counts.items() if count)
        return Loss(
            forms,
            hold.last,
            f"{many} are gone at once. If that is meant: kubectl annotate fleet {self.fleet}"
            f" {ANNOTATION}={hold.last} --overwrite -n {self.platform} ; until then"
            f" {listed}{more} stay in force",
        )


def _are_many(lost: Iterable[ResourceKey], standing: Iterable[ResourceKey]) -> bool:
    """Whether more than a quarter of a guarded kind is lost, and not just a few; or all of it."""
    gone = Counter(key.kind for key in lost)
    rest = Counter(key.kind for key in standing)
    return any(
        gone[kind] >= (FEWEST if rest[kind] else FEWEST_OF_ALL)
        and gone[kind] * _A_QUARTER > gone[kind] + rest[kind]
        for kind in GUARDED
    )


def _namespaces_of_many(lost: Iterable[ResourceKey], standing: Iterable[ResourceKey]) -> set[str]:
    """The namespaces of which the same is true by themselves."""
    parts: defaultdict[str, tuple[list[ResourceKey], list[ResourceKey]]]
    parts = defaultdict(lambda: ([], []))
    for key in lost:
        parts[key.namespace][0].append(key)
    for key in standing:
        parts[key.namespace][1].append(key)
    return {where for where, part in parts.items() if _are_many(*part)}
