"""How policies combine: constraints only narrow, preferences come from the most specific."""

from typing import get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from signalbox_snapshot import snapshot as wire
from signalbox_snapshot.policy import Facts, combine, matches, matching

FACTS = Facts(
    agent="retail/search",
    domains=("retail/retail", "platform/company"),
    workload="support",
    task="summary",
    model="platform/mini",
    sensitivity=1,
)


def policy(name: str = "a/one", rank: int = 0, **fields: object) -> wire.Policy:
    whole: dict[str, object] = {
        "id": name,
        "rank": [rank, 0, 0, 0, 0],
        "match": wire.Match(),
        "enforcement": "Enforce",
    }
    return wire.Policy(**(whole | fields))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("match", "expected"),
    [
        (wire.Match(), True),
        (wire.Match(agents=["retail/search"]), True),
        (wire.Match(agents=["retail/other"]), False),
        (wire.Match(agents=[]), False),
        (wire.Match(domains=["retail/retail"]), True),
        (wire.Match(domains=["platform/company"]), True),
        (wire.Match(domains=["wealth/wealth"]), False),
        (wire.Match(workloads=["support"]), True),
        (wire.Match(workloads=["advice"]), False),
        (wire.Match(tasks=["summary"]), True),
        (wire.Match(tasks=["other"]), False),
        (wire.Match(models=["platform/mini"]), True),
        (wire.Match(models=["auto"]), False),
        (wire.Match(sensitivities=[1, 2]), True),
        (wire.Match(sensitivities=[3]), False),
        (wire.Match(agents=["retail/search"], tasks=["other"]), False),
    ],
)
def test_a_policy_matches_when_all_that_it_states_holds(match: wire.Match, expected: bool) -> None:
    assert matches(match, FACTS) is expected
    assert matching([policy(match=match)], FACTS) == ((policy(match=match),) if expected else ())


def test_without_policies_nothing_is_constrained_and_nothing_preferred() -> None:
    effective = combine([])
    assert effective.constraints.lane_classes is None
    assert effective.preferences.candidates is None
    assert (effective.name, effective.policies, effective.dry_run) == ("", (), None)


def test_lists_intersect_and_name_who_keeps_what_out() -> None:
    found = combine(
        [
            policy("a/one", regions=["eu", "us"]),
            policy("b/two", regions=["eu", "asia"]),
            policy("c/three"),
        ]
    ).constraints.regions
    assert found is not None
    assert found.allowed == {"eu"}
    assert found.excluding("us") == ("b/two",)
    assert found.excluding("mars") == ("a/one", "b/two")
    assert found.excluding("eu") == ()


def test_an_empty_intersection_allows_nothing() -> None:
    found = combine([policy("a/one", regions=["eu"]), policy("b/two", regions=["us"])])
    assert found.constraints.regions is not None
    assert found.constraints.regions.allowed == frozenset()


def test_the_highest_floor_and_the_lowest_ceiling_hold() -> None:
    constraints = combine(
        [
            policy("a/one", quality_floor=700_000, max_nano=5, first_chunk_ms=900),
            policy("b/two", quality_floor=800_000, max_nano=9, first_chunk_ms=300),
            policy("c/three", max_nano=5),
        ]
    ).constraints
    assert constraints.quality_floor is not None
    assert (constraints.quality_floor.value, constraints.quality_floor.policies) == (
        800_000,
        ("b/two",),
    )
    assert constraints.max_nano is not None
    assert (constraints.max_nano.value, constraints.max_nano.policies) == (5, ("a/one", "c/three"))
    assert constraints.first_chunk_ms is not None
    assert constraints.first_chunk_ms.value == 300


def test_each_preference_comes_from_the_most_specific_policy_that_states_it() -> None:
    effective = combine(
        [
            policy("a/wide", 0, objective="best", attempts=5, candidates=["m/a"]),
            policy("b/narrow", 1, objective="cheapest"),
        ]
    )
    preferences = effective.preferences
    assert preferences.objective is not None
    assert (preferences.objective.value, preferences.objective.policy) == ("cheapest", "b/narrow")
    assert preferences.attempts is not None
    assert (preferences.attempts.value, preferences.attempts.policy) == (5, "a/wide")
    assert preferences.candidates is not None
    assert preferences.candidates.value == ("m/a",)
    assert effective.name == "b/narrow"


def test_a_tie_goes_to_the_first_by_namespace_and_name() -> None:
    effective = combine([policy("b/b", failover=True), policy("a/z", failover=False)])
    assert effective.preferences.failover is not None
    assert effective.preferences.failover.value is False


def test_an_agent_is_more_specific_than_any_depth_of_domain() -> None:
    deep = policy("a/deep", objective="best")
    deep = msgspec.structs.replace(deep, rank=[0, 9, 1, 1, 1])
    agent = policy("z/agent", 1, objective="fastest")
    found = combine([deep, agent]).preferences.objective
    assert found is not None
    assert found.policy == "z/agent"


def test_a_dry_run_acts_on_nothing_and_is_told_apart() -> None:
    effective = combine(
        [
            policy("a/one", regions=["eu", "us"]),
            policy("b/trial", 5, enforcement="DryRun", regions=["us"], objective="best"),
        ]
    )
    assert effective.policies == ("a/one",)
    assert effective.constraints.regions is not None
    assert effective.constraints.regions.allowed == {"eu", "us"}
    assert effective.preferences.objective is None
    assert effective.dry_run is not None
    assert effective.dry_run.policies == ("b/trial",)
    assert effective.dry_run.constraints.regions is not None
    assert effective.dry_run.constraints.regions.allowed == {"us"}


def test_residency_has_no_dry_run() -> None:
    effective = combine([policy("b/trial", enforcement="DryRun", jurisdictions=["DE"])])
    assert effective.constraints.jurisdictions is not None
    assert effective.constraints.jurisdictions.allowed == {"DE"}
    assert effective.dry_run is not None
    assert effective.dry_run.constraints.jurisdictions is None


def subset(*names: str) -> st.SearchStrategy[list[str] | None]:
    return st.none() | st.lists(st.sampled_from(names), unique=True).map(sorted)


POLICIES = st.lists(
    st.builds(
        policy,
        name=st.text("abc", min_size=1, max_size=4).map(lambda text: f"n/{text}"),
        rank=st.integers(0, 2),
        enforcement=st.sampled_from(["Enforce", "Enforce", "DryRun"]),
        lane_classes=subset(*get_args(wire.LaneClass)),
        regions=subset("eu", "us", "asia"),
        jurisdictions=subset("DE", "FR", "US"),
        quality_floor=st.none() | st.integers(0, 1_000_000),
        first_chunk_ms=st.none() | st.integers(1, 9),
        max_nano=st.none() | st.integers(0, 9),
        candidates=st.none() | st.lists(st.sampled_from(["asked", "m/a", "m/b"]), unique=True),
        objective=st.none() | st.sampled_from(["cheapest", "best"]),
        attempts=st.none() | st.integers(1, 8),
    ),
    max_size=6,
    unique_by=lambda item: item.id,
)


@given(POLICIES, st.randoms(use_true_random=False))
def test_the_order_in_which_policies_come_never_matters(
    policies: list[wire.Policy], chance: object
) -> None:
    shuffled = list(policies)
    chance.shuffle(shuffled)  # type: ignore[attr-defined]
    assert combine(shuffled) == combine(policies)


@given(POLICIES)
def test_one_more_policy_never_widens_anything(policies: list[wire.Policy]) -> None:
    if not policies:
        return
    before, after = combine(policies[1:]).constraints, combine(policies).constraints
    for name in ("lane_classes", "regions", "jurisdictions"):
        narrow, wide = getattr(after, name), getattr(before, name)
        assert wide is None or narrow.allowed <= wide.allowed
    for name in ("first_chunk_ms", "max_nano"):
        narrow, wide = getattr(after, name), getattr(before, name)
        assert wide is None or narrow.value <= wide.value
    floor, lower = after.quality_floor, before.quality_floor
    assert lower is None or (floor is not None and floor.value >= lower.value)


@given(POLICIES)
def test_a_dry_run_changes_nothing_but_residency(policies: list[wire.Policy]) -> None:
    enforced = [item for item in policies if item.enforcement == "Enforce"]
    with_trials, without = combine(policies), combine(enforced)
    assert with_trials.preferences == without.preferences
    for name in ("lane_classes", "regions", "quality_floor", "first_chunk_ms", "max_nano"):
        assert getattr(with_trials.constraints, name) == getattr(without.constraints, name)
