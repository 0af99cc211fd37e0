"""Route policies: whom they match, what tenants may say, who overrules and who contradicts whom."""

from typing import Any

import pytest

from signalbox_api.conditions import Reason
from signalbox_operator.compiler import Compilation
from signalbox_snapshot import snapshot as wire
from support.written import (
    PLATFORM,
    about,
    agent,
    asset,
    compiled,
    domain,
    fleet,
    key_of,
    lane,
    model,
    only,
    policy,
    without,
)


def built(*more: Any, name: str = "p") -> wire.Policy:
    found = compiled(fleet(*more)).snapshot.policies
    return next(item for item in found if item.id.endswith(f"/{name}"))


def test_everything_that_a_policy_says_is_carried() -> None:
    found = built(
        policy(
            "p",
            match={
                "domains": ["retail/retail"],
                "agents": ["retail/search"],
                "workloads": ["support", "advice"],
                "tasks": ["summary"],
                "models": ["auto", "mini"],
                "sensitivities": ["regulated", "public"],
            },
            constraints={
                "laneClasses": ["regional", "public"],
                "regions": ["us-east", "eu-west"],
                "jurisdictions": ["US", "DE"],
                "qualityFloor": "0.70",
                "firstChunkMs": 2000,
                "maxUsd": "0.05",
            },
            candidates=["mini", "asked"],
            objective="fastest",
            defaults={"maxOutputTokens": 500},
            retries={"attempts": 2},
            failover=False,
            enforcement="DryRun",
        )
    )
    assert found == wire.Policy(
        id=f"{PLATFORM}/p",
        rank=[1, 2, 1, 1, 1],
        match=wire.Match(
            domains=["retail/retail"],
            agents=["retail/search"],
            workloads=["advice", "support"],
            tasks=["summary"],
            models=["auto", f"{PLATFORM}/mini"],
            sensitivities=[0, 3],
        ),
        enforcement="DryRun",
        lane_classes=["public", "regional"],
        regions=["eu-west", "us-east"],
        jurisdictions=["DE", "US"],
        quality_floor=700_000,
        first_chunk_ms=2000,
        max_nano=50_000_000,
        candidates=[f"{PLATFORM}/mini", "asked"],
        objective="fastest",
        attempts=2,
        failover=False,
        default_output=500,
    )


def test_a_policy_that_says_nothing_matches_all_and_changes_nothing() -> None:
    assert built(policy("p")) == wire.Policy(
        id=f"{PLATFORM}/p", rank=[0, 0, 0, 0, 0], match=wire.Match(), enforcement="Enforce"
    )


@pytest.mark.parametrize(
    ("match", "rank"),
    [
        ({}, [0, 0, 0, 0, 0]),
        ({"agents": ["retail/search"]}, [1, 0, 0, 0, 0]),
        ({"domains": ["company"]}, [0, 1, 0, 0, 0]),
        ({"domains": ["retail/retail"]}, [0, 2, 0, 0, 0]),
        ({"domains": ["company", "retail/shop"]}, [0, 3, 0, 0, 0]),
        ({"workloads": ["a"], "models": ["auto"]}, [0, 0, 1, 0, 1]),
        ({"tasks": ["a"], "sensitivities": ["public"]}, [0, 0, 0, 1, 0]),
    ],
)
def test_who_names_more_precisely_ranks_higher(match: dict[str, Any], rank: list[int]) -> None:
    assert built(domain("shop", "retail", parent="retail"), policy("p", match=match)).rank == rank


@pytest.mark.parametrize(
    ("match", "agents"),
    [
        (None, ["retail/search", "retail/till"]),
        ({"workloads": ["x"]}, ["retail/search", "retail/till"]),
        ({"agents": ["till"]}, ["retail/till"]),
        ({"domains": [f"{PLATFORM}/company"]}, ["retail/search", "retail/till"]),
        ({"domains": ["retail"]}, None),
    ],
)
def test_a_tenants_policy_matches_agents_of_its_namespace_alone(
    match: dict[str, Any] | None, agents: list[str] | None
) -> None:
    """Domains of the namespace need no list: nobody else can use them."""
    found = built(agent("till"), policy("p", "retail", match=match))
    assert found.match.agents == agents
    assert found.rank[0] == int(bool(match and "agents" in match))


@pytest.mark.parametrize(
    ("match", "field"),
    [
        ({"agents": ["wealth/advisor"]}, "spec.match.agents[0]"),
        ({"domains": ["retail", "wealth/wealth"]}, "spec.match.domains[1]"),
    ],
)
def test_a_tenant_governs_nobody_else(match: dict[str, Any], field: str) -> None:
    found = compiled(fleet(policy("p", "retail", match=match)))
    finding = about(found, "RoutePolicy", "p")[0]
    assert (finding.reason, finding.field) == (Reason.REF_NOT_PERMITTED, field)
    state = found.states[key_of("RoutePolicy", "p", "retail")]
    assert state.agents == (0 if "agents" in match else 1)


def test_a_tenants_candidates_are_models_that_its_agents_may_use() -> None:
    objects = [
        model("maxi"),
        agent("search", models={"allow": ["mini"]}),
        policy("p", "retail", candidates=["maxi", "asked", "mini"]),
    ]
    found = compiled(fleet(*objects))
    assert found.snapshot.policies[0].candidates == ["asked", f"{PLATFORM}/mini"]
    finding = about(found, "RoutePolicy", "p")[0]
    assert (finding.reason, finding.field) == (Reason.REF_NOT_PERMITTED, "spec.candidates[0]")


def test_two_names_of_one_model_are_one_candidate() -> None:
    found = built(model("mini", aliases=["small"]), policy("p", candidates=["small", "mini"]))
    assert found.candidates == [f"{PLATFORM}/mini"]


@pytest.mark.parametrize(
    ("spec", "left"),
    [
        ({"candidates": ["gone"]}, {"candidates": []}),
        ({"candidates": ["gone", "mini"]}, {"candidates": [f"{PLATFORM}/mini"]}),
        ({"match": {"models": ["gone"]}}, {"match": wire.Match(models=[])}),
        ({"match": {"domains": ["gone"]}}, {"match": wire.Match(domains=[])}),
        ({"match": {"agents": ["gone"]}}, {"match": wire.Match(agents=[])}),
    ],
)
def test_a_policy_keeps_its_constraints_when_something_that_it_names_is_gone(
    spec: dict[str, Any], left: dict[str, Any]
) -> None:
    constraints = {"laneClasses": ["public"]}
    found = compiled(fleet(policy("p", constraints=constraints, **spec)))
    kept = found.snapshot.policies[0]
    assert kept.lane_classes == ["public"]
    assert {name: getattr(kept, name) for name in left} == left
    assert about(found, "RoutePolicy", "p")[0].reason is Reason.REF_NOT_FOUND


def overruled(found: Compilation, name: str, namespace: str = PLATFORM) -> tuple[str, ...]:
    return found.states[key_of("RoutePolicy", name, namespace)].overruled_by


def test_a_policy_is_told_whose_preferences_come_before_its_own() -> None:
    found = compiled(
        fleet(
            policy("wide", objective="best"),
            policy("narrow", match={"agents": ["retail/search"]}, objective="cheapest"),
        )
    )
    assert overruled(found, "wide") == (f"{PLATFORM}/narrow",)
    assert overruled(found, "narrow") == ()
    finding = only(found, "RoutePolicy", "wide")
    assert (finding.severity, finding.reason) == ("info", Reason.OVERRULED)
    assert f"{PLATFORM}/narrow" in finding.message


@pytest.mark.parametrize(
    ("wide", "narrow"),
    [
        ({"objective": "best"}, {"objective": "best"}),
        ({"objective": "best"}, {"failover": False}),
        ({"objective": "best", "match": {"workloads": ["a"]}}, {"match": {"workloads": ["b"]}}),
        ({"objective": "best", "match": {"models": ["mini"]}}, {"match": {"models": ["auto"]}}),
        (
            {"objective": "best", "match": {"sensitivities": ["public"]}},
            {"match": {"sensitivities": ["internal"]}},
        ),
        (
            {"objective": "best", "match": {"agents": ["wealth/advisor"]}},
            {"match": {"agents": ["retail/search"]}},
        ),
        (
            {"objective": "best", "match": {"domains": ["wealth/wealth"]}},
            {"match": {"agents": ["retail/search"]}},
        ),
        ({"objective": "best"}, {"objective": "cheapest", "enforcement": "DryRun"}),
    ],
    ids=["same", "other", "workload", "model", "class", "agent", "domain", "dry run"],
)
def test_policies_that_never_meet_or_agree_are_not_told(
    wide: dict[str, Any], narrow: dict[str, Any]
) -> None:
    narrow = {"objective": "cheapest"} | narrow if "failover" not in narrow else narrow
    found = compiled(fleet(policy("a", **narrow), policy("b", **wide)))
    assert overruled(found, "a") == overruled(found, "b") == ()


def test_constraints_that_exclude_each_other_are_told_to_both() -> None:
    found = compiled(
        fleet(
            policy("a", constraints={"laneClasses": ["public"]}),
            policy("b", "retail", constraints={"laneClasses": ["sovereign"]}),
            policy("c", "wealth", constraints={"laneClasses": ["public"]}),
        )
    )
    states = {key.name: state.disputed_by for key, state in found.states.items()}
    assert states["a"] == ("retail/b",)
    assert states["b"] == (f"{PLATFORM}/a",)
    assert states["c"] == ()
    assert about(found, "RoutePolicy", "a")[0].reason is Reason.CONFLICT


@pytest.mark.parametrize(
    ("spec", "met"),
    [
        ({"constraints": {"laneClasses": ["public"]}}, True),
        ({"constraints": {"laneClasses": ["sovereign"]}}, False),
        ({"constraints": {"regions": ["us-east"]}}, True),
        ({"constraints": {"regions": ["mars"]}}, False),
        ({"constraints": {"jurisdictions": ["EU"]}}, False),
        ({"constraints": {"jurisdictions": ["EU", "US"]}}, True),
        ({"constraints": {"qualityFloor": "0.8"}}, True),
        ({"constraints": {"qualityFloor": "0.9"}}, True),
        ({"constraints": {"qualityFloor": "0.91"}}, False),
        ({"constraints": {"qualityFloor": "0.9"}, "match": {"workloads": ["x"]}}, False),
        ({"constraints": {"qualityFloor": "0.9"}, "match": {"workloads": ["advice"]}}, True),
        ({"constraints": {"firstChunkMs": 500}}, True),
        ({"constraints": {"firstChunkMs": 499}}, False),
        ({"constraints": {"regions": ["us-east"]}, "candidates": ["asked"]}, True),
        ({"candidates": ["gone"]}, False),
    ],
)
def test_constraints_that_no_lane_satisfies_are_told(spec: dict[str, Any], met: bool) -> None:
    mini = model(
        "mini",
        quality={"default": "0.8", "byWorkload": {"advice": "0.9"}},
        lanes=[lane(typicalFirstChunkMs=500)],
    )
    found = about(compiled(fleet(mini, policy("p", **spec))), "RoutePolicy", "p")
    assert any(item.reason is Reason.CONFLICT for item in found) is not met


def test_deleting_an_agent_never_widens_a_policy() -> None:
    objects = fleet(asset("faq"), policy("p", match={"agents": ["retail/search"]}))
    before = compiled(objects)
    after = compiled(without(objects, "Agent", "search"), before)
    assert after.snapshot.policies[0].match.agents == []
