"""What the Fleet says of keys, authorities and tokens, and of a rollback that cannot be."""

from dataclasses import replace
from datetime import timedelta

from signalbox_api.conditions import Condition, ConditionStatus, ConditionType, Reason
from signalbox_api.fleet import FleetStatus
from signalbox_operator.fleet_status import fleet_status
from signalbox_operator.trust import TrustTold
from support.statuses import NOW, told
from support.written import fleet

WAITS = TrustTold(waiting=("the new token (tokens) waits for proxy-1 to follow",))
MALFORMED = TrustTold(problems=("Secrets signer and trust (signer): no PEM",))


def condition(status: FleetStatus, kind: ConditionType) -> Condition:
    return next(each for each in status.conditions if each.type is kind)


def test_the_fleet_says_for_whom_a_change_of_keys_waits_and_since_when() -> None:
    report = told(fleet())
    quiet = fleet_status(report, trust=TrustTold())
    assert condition(quiet, ConditionType.ROTATING).reason is Reason.NOTHING_CHANGES
    began = NOW + timedelta(minutes=1)
    waits = fleet_status(replace(report, now=began), before=quiet, trust=WAITS)
    later = fleet_status(
        replace(report, now=NOW + timedelta(hours=1)),
        before=waits,
        trust=TrustTold(waiting=("the new token (tokens) waits for proxy-2 to follow",)),
    )
    said = condition(later, ConditionType.ROTATING)
    assert (said.status, said.reason) == (ConditionStatus.TRUE, Reason.WAITS_FOR_PROXIES)
    assert said.message == "The new token (tokens) waits for proxy-2 to follow."
    assert said.last_transition_time == began


def test_a_change_that_waits_is_no_trouble_and_a_secret_that_nobody_can_use_is() -> None:
    report = told(fleet())
    waits = fleet_status(report, trust=WAITS)
    assert condition(waits, ConditionType.DEGRADED).reason is Reason.ALL_WELL
    malformed = fleet_status(report, trust=MALFORMED)
    degraded = condition(malformed, ConditionType.DEGRADED)
    assert (degraded.status, degraded.reason) == (ConditionStatus.TRUE, Reason.SECRETS_UNUSABLE)
    assert degraded.message == "Secrets signer and trust (signer): no PEM."
    assert condition(malformed, ConditionType.ROTATING).status is ConditionStatus.UNKNOWN


def test_before_anybody_looked_nothing_is_said_of_keys() -> None:
    said = condition(fleet_status(told(fleet())), ConditionType.ROTATING)
    assert (said.status, said.reason) == (ConditionStatus.UNKNOWN, Reason.PENDING)


def test_a_rollback_that_cannot_be_is_no_failed_release_and_a_failed_release_comes_first() -> None:
    report = told(fleet(), rollback_problem="generation 3 is not kept")
    degraded = condition(fleet_status(report), ConditionType.DEGRADED)
    assert (degraded.status, degraded.reason) == (ConditionStatus.TRUE, Reason.ROLLBACK_REFUSED)
    assert degraded.message == "generation 3 is not kept"
    failing = fleet_status(replace(report, problem="exceeded quota"))
    assert condition(failing, ConditionType.DEGRADED).reason is Reason.NOT_RELEASED
