"""What an operator tells Prometheus of the Fleet, its objects and its certificates."""

from dataclasses import replace

import pytest
from prometheus_client import CollectorRegistry

from signalbox_api.conditions import ConditionStatus, ConditionType
from signalbox_operator.facts import FleetFacts, ProxyFacts
from signalbox_operator.fleet_metrics import DEGRADED, FleetMetrics, Seen
from signalbox_operator.fleet_status import fleet_status
from signalbox_operator.head import Pin
from signalbox_operator.passes import Passes
from signalbox_operator.trust import TrustTold
from support.statuses import NOW, everything_a_fleet_can_say, reported, sealed, told
from support.written import agent, fleet


def scraped(seen: Seen) -> CollectorRegistry:
    registry = CollectorRegistry()
    registry.register(FleetMetrics(lambda: seen))
    return registry


def value(seen: Seen, name: str, **labels: str) -> float | None:
    return scraped(seen).get_sample_value(f"signalbox_{name}", labels)


def test_every_reason_for_which_a_fleet_is_degraded_is_a_series_of_its_own() -> None:
    reasons = {
        each.reason
        for status in everything_a_fleet_can_say()
        for each in status.conditions
        if each.type is ConditionType.DEGRADED and each.status is ConditionStatus.TRUE
    }
    assert reasons == set(DEGRADED)
    for reason in reasons:
        status = next(
            each
            for each in everything_a_fleet_can_say()
            if any(
                one.type is ConditionType.DEGRADED and one.reason is reason
                for one in each.conditions
            )
        )
        shown = [value(Seen(fleet=status), "fleet_degraded", reason=one) for one in DEGRADED]
        assert shown == [float(one is reason) for one in DEGRADED]


def test_before_anything_is_known_every_series_is_there_at_zero() -> None:
    assert [value(Seen(), "fleet_degraded", reason=reason) for reason in DEGRADED] == [0.0] * 8
    assert value(Seen(), "objects_not_accepted", kind="Agent") == 0
    assert value(Seen(), "fleet_proxies", state="outdated") == 0
    assert value(Seen(), "operator_failed_passes_total") == 0


def test_held_pinned_and_outdated_are_told_as_the_fleet_tells_them() -> None:
    report = told(fleet())
    facts = FleetFacts(7, "", (ProxyFacts("a", True, 7), ProxyFacts("b", True, 6)))
    pinned = replace(
        report,
        head=sealed(report.compilation, pin=Pin(generation=5, until=1_777_700_000)),
        held=("Three of five Agents are gone at once.",),
        fleet=replace(facts, proxies=(*facts.proxies, ProxyFacts("c", ready=False))),
    )
    seen = Seen(fleet=fleet_status(pinned))
    assert value(seen, "fleet_held") == 1
    assert value(seen, "fleet_pinned") == 1
    states = ("found", "ready", "outdated")
    assert [value(seen, "fleet_proxies", state=state) for state in states] == [3, 2, 1]


def test_a_change_of_keys_tells_since_when_it_waits() -> None:
    waits = fleet_status(told(fleet()), trust=TrustTold(waiting=("the new token waits",)))
    name = "fleet_rotation_waits_since_timestamp_seconds"
    assert value(Seen(fleet=waits), name) == NOW.timestamp()
    assert value(Seen(), name) == 0


def test_objects_are_counted_by_kind_and_what_is_not_accepted_counts_once() -> None:
    objects = fleet(agent("lost", domain="gone"))
    behind = told(objects, fleet_facts=FleetFacts(7, "", (ProxyFacts("a", True, 6),)))
    version = behind.version
    items = reported(objects, fleet_facts=replace(behind.fleet, version=version))
    seen = Seen(statuses={item.key: item.status for item in items})  # type: ignore[attr-defined]
    agents = sum(item.kind == "Agent" for item in items)
    assert value(seen, "objects", kind="Agent") == agents
    assert value(seen, "objects_not_accepted", kind="Agent") == 1
    assert value(seen, "objects_not_programmed", kind="Agent") == agents - 1
    assert value(seen, "objects_not_accepted", kind="Model") == 0


def test_failed_passes_and_the_ends_of_certificates_are_told() -> None:
    passes = Passes()
    passes.success()
    for _ in range(3):
        passes.failure("exceeded quota")
    seen = Seen(passes=passes, waiting=4, ends={"control": 1_800_000_000.0})
    assert value(seen, "operator_failed_passes_total") == 3
    assert value(seen, "operator_statuses_waiting") == 4
    ends = value(seen, "certificate_end_timestamp_seconds", certificate="control")
    assert ends == 1_800_000_000


@pytest.mark.parametrize("labels", ["retail", "wealth", "proxy-0", "mini"])
def test_no_object_namespace_or_proxy_names_a_series(labels: str) -> None:
    """Ten thousand agents are as many series as one."""
    report = told(fleet())
    statuses = {item.key: item.status for item in reported(fleet())}  # type: ignore[attr-defined]
    seen = Seen(fleet=fleet_status(report), statuses=statuses)
    values = {
        text
        for family in scraped(seen).collect()
        for sample in family.samples
        for text in sample.labels.values()
    }
    assert values
    assert labels not in values
