"""Agents and data assets: what cannot be proven is not granted."""

from typing import Any

import pytest

from signalbox_api import Resource
from signalbox_api.conditions import Reason
from signalbox_snapshot import snapshot as wire
from support.written import (
    PLATFORM,
    about,
    agent,
    asset,
    budget,
    company,
    compiled,
    domain,
    fleet,
    lane,
    model,
    only,
    without,
)

TINY = model("tiny", lanes=[lane(maxSensitivity="public")])
COMPANY_INTERNAL = company(defaultSensitivity="internal")


def built(*more: Any, name: str = "search") -> wire.Agent:
    found = compiled(fleet(*more)).snapshot
    return next(item for item in found.agents if item.id.endswith(f"/{name}"))


def test_an_agent_carries_what_it_says() -> None:
    key = {"name": "k2", "sha256": "a" * 64, "expiresAt": "2027-05-01T00:00:00Z"}
    adopted = {"name": "k1", "sha256": "b" * 64, "lookup": "c" * 16}
    found = built(
        asset("faq"),
        agent(
            "search",
            maxSensitivity="internal",
            defaults={"workload": "support", "dataAssets": ["faq"]},
            models={"allow": ["mini"]},
            tools={"allow": ["quote", "book"]},
            credentials={"keys": [key, adopted]},
        ),
    )
    assert found == wire.Agent(
        id="retail/search",
        domain="retail/retail",
        max_sensitivity=1,
        keys=[
            wire.Key(name="k1", sha256="b" * 64, lookup="c" * 16, expires_at=None),
            wire.Key(name="k2", sha256="a" * 64, expires_at=1_809_129_600),
        ],
        default_workload="support",
        default_data_assets=["retail/faq"],
        models=[f"{PLATFORM}/mini"],
        tools=["book", "quote"],
        budgets=[f"{PLATFORM}/day"],
    )


def test_absent_lists_permit_everything_and_empty_ones_nothing() -> None:
    free = built()
    assert (free.models, free.tools) == (None, None)
    bound = built(agent("search", models={"allow": []}, tools={"allow": []}))
    assert (bound.models, bound.tools) == ([], [])


@pytest.mark.parametrize(
    ("reference", "reason"),
    [
        ("gone", Reason.REF_NOT_FOUND),
        ("wealth/wealth", Reason.REF_NOT_PERMITTED),
        (f"{PLATFORM}/closed", Reason.REF_NOT_PERMITTED),
    ],
)
def test_an_agent_without_a_domain_that_it_may_use_is_not_served(
    reference: str, reason: Reason
) -> None:
    found = compiled(fleet(domain("closed", parent="company"), agent("search", domain=reference)))
    assert [item.id for item in found.snapshot.agents] == ["wealth/advisor"]
    finding = only(found, "Agent", "search")
    assert (finding.reason, finding.field) == (reason, "spec.domain")


def test_a_platform_domain_is_usable_from_the_namespaces_that_it_admits() -> None:
    assert built(agent("search", domain=f"{PLATFORM}/company")).domain == f"{PLATFORM}/company"


def test_the_right_namespace_is_suggested_where_the_platform_has_the_name() -> None:
    found = compiled(fleet(agent("search", domain="company")))
    assert f"Write {PLATFORM}/company" in only(found, "Agent", "search").fix


def test_a_similar_name_is_suggested() -> None:
    found = compiled(fleet(agent("search", models={"allow": ["mimi"]})))
    assert "Did you mean mini?" in only(found, "Agent", "search").fix


def test_permitted_models_are_found_by_any_name_and_missing_ones_left_out() -> None:
    found = compiled(
        fleet(
            model("mini", aliases=["small"]),
            agent("search", models={"allow": ["gone", "small", "mini"]}),
        )
    )
    assert found.snapshot.agents[0].models == [f"{PLATFORM}/mini"]
    assert only(found, "Agent", "search").field == "spec.models.allow[0]"


def test_without_its_default_asset_an_agent_may_use_no_model() -> None:
    """Its requests would be classified too low."""
    found = compiled(fleet(agent("search", defaults={"dataAssets": ["gone"]})))
    search = found.snapshot.agents[0]
    assert (search.id, search.models, search.default_data_assets) == ("retail/search", [], [])
    assert only(found, "Agent", "search").field == "spec.defaults.dataAssets[0]"


def test_a_money_budget_in_dry_run_lets_an_agent_start() -> None:
    assert compiled(fleet(budget("day", enforcement="DryRun"))).findings == ()


@pytest.mark.parametrize("limit", [None, {"requests": 5}, {"tokens": 5}])
def test_an_agent_to_which_no_money_budget_applies_is_told(limit: dict[str, int] | None) -> None:
    rate = [] if limit is None else [budget("rate", limit=limit)]
    found = compiled(without(fleet(*rate), "Budget", "day"))
    finding = only(found, "Agent", "search")
    assert (finding.severity, finding.reason) == ("warning", Reason.INVALID)
    assert "no_budget" in finding.message


EU = {"jurisdictions": ["EU"]}


@pytest.mark.parametrize(
    ("objects", "field", "message"),
    [
        (
            [domain("retail", "retail", residency=EU)],
            "spec.domain",
            "no lane of the models that the agent may use takes public requests in EU",
        ),
        (
            [
                domain("retail", "retail", residency=EU, defaultSensitivity="regulated"),
                model("own", lanes=[lane(jurisdiction="DE", maxSensitivity="internal")]),
            ],
            "spec.domain",
            "takes regulated requests in EU",
        ),
        (
            [agent("search", models={"allow": ["tiny"]}), TINY, COMPANY_INTERNAL],
            "spec.domain",
            "takes internal requests",
        ),
        (
            [
                asset("faq", sensitivity="regulated"),
                agent("search", maxSensitivity="internal", defaults={"dataAssets": ["faq"]}),
            ],
            "spec.maxSensitivity",
            "every request is at least regulated",
        ),
        (
            [
                asset("one", residency={"jurisdictions": ["US"]}),
                asset("two", residency={"jurisdictions": ["DE"]}),
                agent("search", defaults={"dataAssets": ["one", "two"]}),
            ],
            "spec.domain",
            "in no country",
        ),
    ],
)
def test_an_agent_whose_requests_can_run_nowhere_is_told(
    objects: list[Resource], field: str, message: str
) -> None:
    finding = only(compiled(fleet(*objects)), "Agent", "search")
    assert (finding.severity, finding.reason, finding.field) == (
        "warning",
        Reason.CONFLICT,
        field,
    )
    assert message in finding.message


def test_an_asset_is_locked_by_itself_and_by_its_domain() -> None:
    lock = {"residency": {"jurisdictions": ["EU"]}}
    objects = fleet(
        domain("wealth", "wealth", **lock),
        asset(
            "portfolios",
            "wealth",
            sensitivity="regulated",
            residency={"jurisdictions": ["DE", "US"]},
            location="eu-central-1",
            retention="7y",
        ),
        asset("news", "wealth"),
    )
    news, portfolios = compiled(objects).snapshot.data_assets
    assert portfolios == wire.DataAsset(
        id="wealth/portfolios",
        domain="wealth/wealth",
        sensitivity=3,
        jurisdictions=["DE"],
        location="eu-central-1",
        retention="7y",
    )
    assert news.jurisdictions is not None
    assert len(news.jurisdictions) == 27


def test_an_asset_whose_lock_contradicts_its_domain_can_be_used_nowhere() -> None:
    found = compiled(
        fleet(
            company(residency={"jurisdictions": ["EU"]}),
            asset("us-only", residency={"jurisdictions": ["US"]}),
        )
    )
    assert found.snapshot.data_assets[0].jurisdictions == []
    assert only(found, "DataAsset", "us-only").reason is Reason.CONFLICT


def test_an_asset_of_no_domain_is_unknown_to_requests() -> None:
    found = compiled(fleet(asset("faq", domain="gone")))
    assert found.snapshot.data_assets == []
    assert about(found, "DataAsset", "faq")[0].reason is Reason.REF_NOT_FOUND
