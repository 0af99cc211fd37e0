"""What Prometheus sees of the fleet through its operator: what the Fleet's status says, and counts.

Looked at when Prometheus asks, from what was judged last. Labels come from closed sets only (kinds,
reasons, states, names of certificates): no object, namespace or proxy names a series.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from signalbox_api import KINDS, ResourceKey
from signalbox_api.conditions import Condition, ConditionStatus, ConditionType, Reason
from signalbox_api.fleet import FleetStatus
from signalbox_api.status import Status
from signalbox_operator.passes import Passes

DEGRADED: Final = (
    Reason.NOT_RELEASED,
    Reason.REJECTED,
    Reason.NO_PROXY,
    Reason.LEDGER_UNREACHABLE,
    Reason.SECRETS_UNUSABLE,
    Reason.ROLLBACK_REFUSED,
    Reason.HELD,
    Reason.PINNED,
)
"""Why a fleet is degraded: each reason is a series from the start, 1 while it is the present."""

_TRUE, _NONE = ConditionStatus.TRUE, Reason.NOT_ACCEPTED
"""Of what is not accepted nothing is to be programmed: it is counted once."""

_COUNTED: Final = {
    ConditionType.ACCEPTED: "signalbox_objects_not_accepted",
    ConditionType.PROGRAMMED: "signalbox_objects_not_programmed",
}


@dataclass(frozen=True, slots=True)
class Seen:
    """What is known at one instant. `fleet` is None before it was judged; `waiting` counts the
    statuses that are not yet as they should be, `ends` when certificates do (seconds since the
    epoch, by name)."""

    passes: Passes | None = None
    fleet: FleetStatus | None = None
    statuses: Mapping[ResourceKey, Status] = field(default_factory=dict)
    waiting: int = 0
    ends: Mapping[str, float] = field(default_factory=dict)


class FleetMetrics(Collector):
    """The families of an operator. `look` gives what is known."""

    def __init__(self, look: Callable[[], Seen]) -> None:
        self._look = look

    def collect(self) -> Iterator[Metric]:
        """The families, when Prometheus asks."""
        seen = self._look()
        yield from _of_passes(seen.passes or Passes())
        yield from _of_fleet(seen.fleet)
        yield from _of_objects(seen.statuses)
        yield GaugeMetricFamily(
            "signalbox_operator_statuses_waiting",
            "Statuses that are not yet written as they should be.",
            seen.waiting,
        )
        ends = GaugeMetricFamily(
            "signalbox_certificate_end_timestamp_seconds",
            "When a certificate that the operator looks after ends.",
            labels=["certificate"],
        )
        for name, at in sorted(seen.ends.items()):
            ends.add_metric([name], at)
        yield ends


def _of_passes(passes: Passes) -> Iterator[Metric]:
    yield CounterMetricFamily(
        "signalbox_operator_failed_passes",
        "Passes of the loop that failed: nothing was released.",
        passes.failed,
    )
    yield GaugeMetricFamily(
        "signalbox_operator_success_age_seconds",
        "Time since a pass of the loop last succeeded, or since the start.",
        time.monotonic() - passes.succeeded_at,
    )


def _of_fleet(fleet: FleetStatus | None) -> Iterator[Metric]:
    degraded = GaugeMetricFamily(
        "signalbox_fleet_degraded",
        "1 for the reason why the Fleet is degraded.",
        labels=["reason"],
    )
    present = _true(fleet, ConditionType.DEGRADED)
    for reason in DEGRADED:
        degraded.add_metric([reason], float(present is not None and present.reason is reason))
    yield degraded
    rotating = _true(fleet, ConditionType.ROTATING)
    yield GaugeMetricFamily(
        "signalbox_fleet_rotation_waits_since_timestamp_seconds",
        "Since when a change of keys, authorities or tokens waits for proxies; 0 where none does.",
        rotating.last_transition_time.timestamp() if rotating is not None else 0,
    )
    held = fleet.held.changes if fleet is not None and fleet.held is not None else 0
    yield GaugeMetricFamily(
        "signalbox_fleet_held", "Losses that are held until a person confirms them.", held
    )
    pinned = fleet is not None and fleet.pinned is not None
    yield GaugeMetricFamily(
        "signalbox_fleet_pinned", "1 while an earlier generation serves.", float(pinned)
    )
    proxies = GaugeMetricFamily(
        "signalbox_fleet_proxies",
        "Proxies: all that are found, those that are ready, and of these those that are outdated.",
        labels=["state"],
    )
    known = fleet.proxies if fleet is not None else None
    ready, programmed = (known.ready, known.programmed) if known is not None else (0, 0)
    proxies.add_metric(["found"], known.total if known is not None else 0)
    proxies.add_metric(["ready"], ready)
    proxies.add_metric(["outdated"], ready - programmed)
    yield proxies


def _true(fleet: FleetStatus | None, kind: ConditionType) -> Condition | None:
    conditions = fleet.conditions if fleet is not None else ()
    return next(
        (each for each in conditions if each.type is kind and each.status is _TRUE),
        None,
    )


def _of_objects(statuses: Mapping[ResourceKey, Status]) -> Iterable[Metric]:
    counts = {kind: dict.fromkeys(KINDS, 0) for kind in _COUNTED}
    objects = dict.fromkeys(KINDS, 0)
    for key, status in statuses.items():
        objects[key.kind] += 1
        for each in status.conditions:
            if each.type in counts and each.status is not _TRUE and each.reason is not _NONE:
                counts[each.type][key.kind] += 1
    yield _by_kind("signalbox_objects", "Objects of each kind.", objects)
    for condition, name in _COUNTED.items():
        meaning = f"Objects of each kind that are not {condition}."
        yield _by_kind(name, meaning, counts[condition])


def _by_kind(name: str, meaning: str, counts: Mapping[str, int]) -> Metric:
    family = GaugeMetricFamily(name, meaning, labels=["kind"])
    for kind, count in counts.items():
        family.add_metric([kind], count)
    return family
