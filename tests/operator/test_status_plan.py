"""Which status is written when: what matters first, never too many, nothing twice."""

import random
from bisect import bisect_left
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signalbox_api import ResourceKey
from signalbox_operator.status_leaves import KEPT, RATE, SHARE, Urgency
from signalbox_operator.status_plan import (
    NUMBERS_S,
    RETRY_AT_MOST_S,
    RETRY_S,
    SETTLED_S,
    StatusPlan,
    Write,
)


def budget(number: int) -> ResourceKey:
    return ResourceKey("Budget", "ns", f"b{number:03}")


def condition(kind: str, status: str, reason: str = "R", message: str = "") -> dict[str, Any]:
    return {
        "type": kind,
        "status": status,
        "reason": reason,
        "message": message,
        "lastTransitionTime": "2026-05-01T12:00:00Z",
        "observedGeneration": 1,
    }


def status(
    *, exhausted: str = "False", accepted: str = "True", percent: int = 0, **more: Any
) -> dict[str, Any]:
    return {
        "observedGeneration": 1,
        "percent": percent,
        "conditions": [
            condition("Accepted", accepted),
            condition("Exhausted", exhausted, message=f"{percent} % is spent"),
        ],
        **more,
    }


class Bench:
    """A plan with a clock, and an API server that takes everything at once."""

    def __init__(self) -> None:
        self.plan = StatusPlan()
        self.now = 1_000.0
        self.writes: list[tuple[float, Write]] = []

    def want(
        self, key: ResourceKey, wanted: dict[str, Any], there: dict[str, Any] | None = None
    ) -> None:
        self.plan.want(key, "u", wanted, there, self.now)

    def step(self) -> list[Write]:
        due = self.plan.due(self.now)
        for write in due:
            self.writes.append((self.now, write))
            self.plan.written(write, self.now)
        return due

    def go_on(self, seconds: float, each: Callable[[], None] = lambda: None) -> None:
        end = self.now + seconds
        while self.now < end:
            each()
            self.step()
            self.now += 0.05

    def written(self, key: ResourceKey) -> list[float]:
        return [at for at, write in self.writes if write.key == key]

    def most_in_a_second(self) -> int:
        times = [at for at, _ in self.writes]
        return max((bisect_left(times, at + 1.0) - n for n, at in enumerate(times)), default=0)


def test_what_the_api_server_has_already_is_not_written() -> None:
    bench = Bench()
    bench.want(budget(0), status(percent=7), status(percent=7))
    bench.want(budget(1), status(percent=7), status(percent=7, exhaustsAt=None, worst=[]))
    later = status(percent=7)
    later["conditions"][0]["lastTransitionTime"] = "2030-01-01T00:00:00Z"
    bench.want(budget(2), later, status(percent=7))
    assert bench.step() == []
    assert bench.plan.next_at(bench.now) is None


def test_what_was_written_is_not_written_again() -> None:
    bench = Bench()
    for _ in range(3):
        bench.want(budget(0), status(percent=7))
        bench.go_on(5)
    assert len(bench.writes) == 1


def test_the_most_urgent_comes_first() -> None:
    bench = Bench()
    there = status()
    bench.want(budget(0), status(percent=1), there)
    bench.want(budget(1), status(accepted="False"), there)
    bench.want(budget(2), status(exhausted="True"), there)
    bench.want(budget(3), status(), None)
    assert [write.urgency for write in bench.step()] == [
        Urgency.EXHAUSTED,
        Urgency.CONDITION,
        Urgency.CONDITION,
        Urgency.NUMBERS,
    ]


def test_exhaustion_is_written_before_a_thousand_others_that_wait() -> None:
    bench = Bench()
    for number in range(1_000):
        bench.want(budget(number), status(accepted="False"), status())
    bench.go_on(3)
    bench.want(budget(999), status(exhausted="True"), status())
    asked_at = bench.now
    bench.go_on(1.2)
    assert bench.written(budget(999))[0] <= asked_at + 1.0


def test_forty_conditions_that_change_at_once_are_written_within_a_second() -> None:
    bench = Bench()
    for number in range(40):
        bench.want(budget(number), status(exhausted="True"), status())
    bench.go_on(1.1)
    assert len(bench.writes) == 40
    assert bench.most_in_a_second() == RATE


def test_a_write_counts_until_a_second_after_its_answer() -> None:
    """When it takes effect in between, nobody here knows."""
    bench = Bench()
    for number in range(2 * RATE):
        bench.want(budget(number), status(exhausted="True"), status())
    first = bench.plan.due(bench.now)
    assert len(first) == RATE
    bench.now += 5
    assert bench.plan.due(bench.now) == []
    assert bench.plan.next_at(bench.now) is None
    for write in first:
        bench.plan.written(write, bench.now)
    assert bench.plan.due(bench.now + 0.99) == []
    assert bench.plan.next_at(bench.now) == bench.now + 1.0
    assert len(bench.plan.due(bench.now + 1.0)) == RATE


def test_numbers_leave_room_for_conditions() -> None:
    bench = Bench()
    for number in range(500):
        bench.want(budget(number), status(percent=50), status())
    assert len(bench.step()) == RATE - KEPT
    for number in range(500, 500 + KEPT):
        bench.want(budget(number), status(exhausted="True"), status())
    assert [write.urgency for write in bench.step()] == [Urgency.EXHAUSTED] * KEPT


@given(seed=st.integers(0, 10_000))
@settings(max_examples=15, deadline=None)
def test_never_more_than_twenty_in_any_second(seed: int) -> None:
    chance = random.Random(seed)
    bench = Bench()

    def change() -> None:
        for _ in range(chance.randrange(8)):
            number = chance.randrange(300)
            wanted = status(
                exhausted=chance.choice(("True", "False")), percent=chance.randrange(101)
            )
            bench.want(budget(number), wanted, status())

    bench.go_on(8, change)
    assert len(bench.writes) > 100
    assert bench.most_in_a_second() <= RATE


def test_a_step_of_one_per_cent_is_written_at_once_and_less_after_half_a_minute() -> None:
    bench = Bench()
    bench.want(budget(0), status(percent=1, settled="0.010"))
    bench.step()
    bench.want(budget(0), status(percent=2, settled="0.020"))
    bench.now += 1.5
    assert len(bench.step()) == 1
    written_at = bench.now
    bench.want(budget(0), status(percent=2, settled="0.021"))
    bench.go_on(NUMBERS_S - 1)
    assert len(bench.writes) == 2
    assert bench.plan.next_at(bench.now) == written_at + NUMBERS_S
    bench.go_on(2)
    assert bench.writes[-1][1].status["settled"] == "0.021"


def test_other_kinds_are_not_paced() -> None:
    bench = Bench()
    domain = ResourceKey("Domain", "ns", "d")
    for agents in (1, 2, 3):
        bench.want(domain, {"observedGeneration": 1, "agents": agents})
        bench.now += 1.5
        bench.step()
    assert len(bench.writes) == 3


def test_messages_with_amounts_are_numbers_and_all_other_messages_are_told_at_once() -> None:
    bench = Bench()
    there = status(percent=7)
    more, why = status(percent=7), status(percent=7)
    more["conditions"][1]["message"] = "other amounts"
    why["conditions"][0]["message"] = "another field"
    bench.want(budget(0), more, there)
    bench.want(budget(1), why, there)
    assert [write.urgency for write in bench.step()] == [Urgency.CONDITION, Urgency.NUMBERS]


def test_a_write_that_failed_is_tried_again_after_a_moment() -> None:
    bench = Bench()
    bench.want(budget(0), status(exhausted="True"), status())
    (write,) = bench.plan.due(bench.now)
    assert bench.plan.due(bench.now) == []
    bench.plan.failed(write, bench.now)
    assert bench.step() == []
    bench.now += RETRY_S
    assert len(bench.step()) == 1


def test_what_fails_again_and_again_is_tried_ever_less_often_until_it_succeeds() -> None:
    bench = Bench()
    bench.want(budget(0), status(exhausted="True"), status())
    waits: list[float] = []
    for _ in range(7):
        (write,) = bench.plan.due(bench.now)
        bench.plan.failed(write, bench.now)
        next_at = bench.plan.next_at(bench.now)
        assert next_at is not None
        waits.append(next_at - bench.now)
        bench.now = next_at
    assert waits == [1, 2, 4, 8, 16, 16, 16]
    assert waits[-1] == RETRY_AT_MOST_S
    assert len(bench.step()) == 1
    bench.want(budget(0), status(exhausted="False"))
    bench.now += 5
    (write,) = bench.plan.due(bench.now)
    bench.plan.failed(write, bench.now)
    assert bench.plan.next_at(bench.now) == bench.now + RETRY_S


def test_statuses_that_nobody_can_write_keep_no_other_back() -> None:
    """As many as may leave in a second fail each time; what comes later is written all the same."""
    bench = Bench()
    refused = {budget(number) for number in range(RATE)}
    others = {budget(number) for number in range(100, 100 + RATE)}
    for key in sorted(refused):
        bench.want(key, status(exhausted="True"), status())
    for wait in (0.0, 1.0):
        bench.now += wait
        for write in bench.plan.due(bench.now):
            bench.plan.failed(write, bench.now)
        for key in sorted(others):
            bench.want(key, status(exhausted="True"), status())
    bench.now += 1.0
    assert {write.key for write in bench.step()} == others


def test_an_object_that_was_made_again_waits_behind_those_that_wait_already() -> None:
    """Whoever deletes and makes an object again and again comes no sooner than others."""
    bench = Bench()
    bench.want(budget(0), status(accepted="False"), status())
    for number in range(1, RATE + 1):
        bench.want(budget(number), status(accepted="False"), status())
    bench.now += 1.0
    bench.plan.want(budget(0), "another", status(accepted="False"), status(), bench.now)
    assert budget(0) not in {write.key for write in bench.plan.due(bench.now)}


def test_what_changed_while_it_was_written_is_written_afterwards() -> None:
    bench = Bench()
    bench.want(budget(0), status(percent=1))
    (write,) = bench.plan.due(bench.now)
    bench.want(budget(0), status(percent=9))
    bench.plan.written(write, bench.now)
    bench.now += 0.1
    assert [each.status["percent"] for each in bench.step()] == [9]


def test_an_object_that_is_gone_or_another_one_is_forgotten() -> None:
    bench = Bench()
    bench.want(budget(0), status(percent=1))
    (write,) = bench.plan.due(bench.now)
    bench.plan.gone(write, bench.now)
    assert bench.plan.next_at(bench.now) is None
    bench.want(budget(1), status(percent=1))
    (late,) = bench.plan.due(bench.now)
    bench.plan.want(budget(1), "another", status(percent=2), None, bench.now)
    bench.plan.written(late, bench.now)
    assert [each.uid for each in bench.step()] == ["another"]
    bench.want(budget(2), status(percent=1))
    bench.plan.keep_only([budget(1)])
    assert bench.step() == []


@pytest.mark.parametrize(("after", "writes"), [(1.0, 0), (SETTLED_S, 1)])
def test_an_older_watch_is_not_believed_and_somebody_elses_status_is_put_right(
    after: float, writes: int
) -> None:
    bench = Bench()
    bench.want(budget(0), status(percent=1), None)
    bench.step()
    bench.now += after
    bench.want(budget(0), status(percent=1), status(percent=0))
    assert len(bench.step()) == writes


def of_tenant(namespace: str, number: int) -> ResourceKey:
    return ResourceKey("Budget", namespace, f"b{number:05}")


def test_ten_thousand_surplus_objects_of_one_tenant_delay_nobody_else() -> None:
    bench = Bench()
    for number in range(10_000):
        bench.want(of_tenant("crowd", number), status(accepted="False"), status())
    bench.go_on(2)
    others = [of_tenant(f"tenant-{number}", 0) for number in range(8)]
    for key in others:
        bench.want(key, status(accepted="False"), status())
    asked_at = bench.now
    bench.go_on(2.2)
    assert all(bench.written(key)[0] <= asked_at + 1.2 for key in others)
    crowd = [at for at, write in bench.writes if write.key.namespace == "crowd" and at > asked_at]
    assert len(crowd) >= RATE


def test_budgets_of_one_tenant_that_end_all_at_once_delay_no_other_one_that_ended() -> None:
    bench = Bench()
    for number in range(1_000):
        bench.want(of_tenant("crowd", number), status(exhausted="True"), status())
    bench.go_on(2)
    other = of_tenant("tenant", 0)
    bench.want(other, status(exhausted="True"), status())
    asked_at = bench.now
    bench.go_on(1.2)
    assert bench.written(other)[0] <= asked_at + 1.0


def test_budgets_of_one_tenant_that_end_by_the_thousand_stop_no_other_status() -> None:
    """What is most urgent leaves a share of each second to what is less, while it lasts."""
    bench = Bench()
    for number in range(2_000):
        bench.want(of_tenant("crowd", number), status(exhausted="True"), status())
    bench.go_on(2)
    accepted = [of_tenant(f"tenant-{number}", 0) for number in range(8)]
    counted = of_tenant("numbers", 0)
    for key in accepted:
        bench.want(key, status(accepted="False"), status())
    bench.want(counted, status(percent=50), status())
    asked_at = bench.now
    bench.go_on(3.2)
    assert all(bench.written(key)[0] <= asked_at + 2.2 for key in accepted)
    assert bench.written(counted)[0] <= asked_at + 1.2
    crowd = [at for at, write in bench.writes if write.urgency is Urgency.EXHAUSTED]
    assert len([at for at in crowd if asked_at <= at < asked_at + 3]) >= 3 * (
        RATE - sum(SHARE.values())
    )
    assert bench.most_in_a_second() <= RATE


@given(seed=st.integers(0, 10_000))
@settings(max_examples=15, deadline=None)
def test_whoever_waits_until_the_next_write_may_begin_finds_one(seed: int) -> None:
    """Neither asked too often nor too late, whatever waits."""
    chance = random.Random(seed)
    bench = Bench()
    for number in range(120):
        kind = chance.randrange(3)
        wanted = (
            status(exhausted="True"),
            status(accepted="False"),
            status(percent=chance.randrange(1, 99)),
        )[kind]
        bench.want(of_tenant(f"tenant-{number % 7}", number), wanted, status())
    steps = 0
    while (next_at := bench.plan.next_at(bench.now)) is not None:
        assert next_at >= bench.now
        bench.now = next_at
        assert bench.step()
        steps += 1
    assert len(bench.writes) == 120
    assert bench.most_in_a_second() <= RATE


def test_tenants_with_as_much_to_write_get_as_much_of_it_written() -> None:
    bench = Bench()
    for number in range(200):
        for namespace in ("one", "other"):
            bench.want(of_tenant(namespace, number), status(accepted="False"), status())
        bench.now += 0.001
    bench.go_on(5)
    count = {
        name: sum(w.key.namespace == name for _, w in bench.writes) for name in ("one", "other")
    }
    assert abs(count["one"] - count["other"]) <= 1
    assert sum(count.values()) >= 4 * RATE


def test_who_asked_for_nothing_for_long_has_saved_nothing_up() -> None:
    bench = Bench()
    bench.want(of_tenant("late", 0), status(accepted="False"), status())
    for number in range(400):
        bench.want(of_tenant("steady", number), status(accepted="False"), status())
    bench.go_on(10)
    for number in range(1, 200):
        bench.want(of_tenant("late", number), status(accepted="False"), status())
    asked_at = bench.now
    bench.go_on(5)
    steady = sum(w.key.namespace == "steady" for at, w in bench.writes if at >= asked_at)
    assert steady >= 2 * RATE
