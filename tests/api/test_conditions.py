"""Conditions have closed reasons and remember when their status changed."""

from datetime import UTC, datetime, timedelta

import pytest
from pydantic import ValidationError

from signalbox_api.conditions import (
    CONDITIONS_OF,
    MESSAGE_LIMIT,
    REASONS,
    Condition,
    ConditionStatus,
    ConditionType,
    Reason,
    condition,
    update_conditions,
)
from signalbox_api.kinds import FLEET, KINDS

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)
TRUE, FALSE = ConditionStatus.TRUE, ConditionStatus.FALSE


def _accepted(status: ConditionStatus, reason: Reason, now: datetime) -> Condition:
    return condition(ConditionType.ACCEPTED, status, reason, generation=1, now=now)


def test_every_reason_has_a_place() -> None:
    placed = {
        reason for statuses in REASONS.values() for some in statuses.values() for reason in some
    }
    assert placed == set(Reason)


def test_every_condition_can_have_every_status() -> None:
    assert REASONS.keys() == set(ConditionType)
    for statuses in REASONS.values():
        assert statuses.keys() == set(ConditionStatus)


def test_every_kind_has_conditions_and_all_say_whether_they_are_accepted_and_programmed() -> None:
    assert CONDITIONS_OF.keys() == {*KINDS, FLEET.name}
    for kind in KINDS:
        types = CONDITIONS_OF[kind]
        assert types[:2] == (ConditionType.ACCEPTED, ConditionType.PROGRAMMED)


def test_reasons_are_camel_case_words() -> None:
    for reason in Reason:
        assert reason.value.isalpha()
        assert reason.value[0].isupper()


def test_a_reason_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ValidationError, match="Accepted=True cannot have the reason Cycle"):
        _accepted(TRUE, Reason.CYCLE, NOW)


def test_the_time_moves_only_when_the_status_does() -> None:
    first = _accepted(FALSE, Reason.CYCLE, NOW)
    (same,) = update_conditions([first], [_accepted(FALSE, Reason.NO_PRICE, LATER)])
    assert same.last_transition_time == NOW
    assert same.reason is Reason.NO_PRICE
    (other,) = update_conditions([same], [_accepted(TRUE, Reason.ACCEPTED, LATER)])
    assert other.last_transition_time == LATER


def test_a_condition_that_was_not_there_is_new_and_one_not_given_is_gone() -> None:
    new = _accepted(TRUE, Reason.ACCEPTED, LATER)
    assert update_conditions([], [new]) == (new,)
    assert update_conditions([new], []) == ()


def test_a_message_fits_what_the_api_allows() -> None:
    long = condition(
        ConditionType.ACCEPTED,
        FALSE,
        Reason.INVALID,
        "x" * (MESSAGE_LIMIT + 1),
        generation=1,
        now=NOW,
    )
    assert len(long.message) == MESSAGE_LIMIT
