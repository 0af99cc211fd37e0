"""Many objects gone at once: held until a person says that it is meant.

Pure. A deleted namespace or CRD, or a mistaken prune, takes hundreds of objects away within
seconds, and would refuse everybody. Where more than a quarter of the Agents, Models or Domains
(and at least `FEWEST`) is gone within `WINDOW_S`, whatever is gone by then stays in force in its
last accepted form, of every kind: agents without the policies that bound them would be worse than
either. All other changes go on taking effect.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from signalbox_api import Resource, ResourceKey

GUARDED: Final = ("Agent", "Domain", "Model")
FEWEST: Final = 4
WINDOW_S: Final = 300.0
ANNOTATION: Final = "signalbox.dev/confirm-loss"

_A_QUARTER: Final = 4
_SHOWN: Final = 3
_ID: Final = 12


@dataclass(frozen=True, slots=True)
class Loss:
    """Objects that are gone and held. `value` is what confirms the loss of exactly these."""

    keys: frozenset[ResourceKey]
    value: str
    sentence: str


@dataclass(slots=True)
class LossGuard:
    """Remembers what went lately, so that a loss in small steps is seen as well."""

    fleet: str
    _went: list[tuple[float, ResourceKey]] = field(default_factory=list)

    def held(
        self,
        in_force: Mapping[ResourceKey, Resource],
        present: Iterable[ResourceKey],
        confirmed: str,
        now: float,
    ) -> Loss | None:
        """What is to be held of what is gone; None where nothing is, or where it is confirmed.

        `in_force` are the accepted forms of the last release, `present` what exists, `confirmed`
        the value of the Fleet's annotation, `now` seconds of any steady clock.
        """
        existing = frozenset(present)
        gone = in_force.keys() - existing
        self._went = [(at, key) for at, key in self._went if now - at < WINDOW_S]
        counts = self._counts(gone)
        too_many = [
            kind
            for kind in GUARDED
            if counts[kind] >= FEWEST
            and counts[kind] * _A_QUARTER > self._total(kind, existing, counts)
        ]
        if gone and too_many:
            loss = self._loss(gone, too_many, counts)
            if confirmed != loss.value:
                return loss
            self._went.clear()
            return None
        self._went += [(now, key) for key in gone if key.kind in GUARDED]
        return None

    def _counts(self, gone: Iterable[ResourceKey]) -> dict[str, int]:
        lately = {key for _, key in self._went}.union(gone)
        return {kind: sum(key.kind == kind for key in lately) for kind in GUARDED}

    def _total(self, kind: str, existing: Iterable[ResourceKey], counts: Mapping[str, int]) -> int:
        return sum(key.kind == kind for key in existing) + counts[kind]

    def _loss(
        self, gone: Iterable[ResourceKey], kinds: Iterable[str], counts: Mapping[str, int]
    ) -> Loss:
        names = sorted(gone)
        value = hashlib.sha256("\n".join(map(str, names)).encode()).hexdigest()[:_ID]
        listed = ", ".join(map(str, names[:_SHOWN]))
        more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        many = ", ".join(f"{counts[kind]} {kind}s" for kind in kinds)
        return Loss(
            frozenset(names),
            value,
            f"{many} are gone at once; {listed}{more} stay in force. If that is meant: kubectl"
            f" annotate fleet {self.fleet} {ANNOTATION}={value} --overwrite",
        )
