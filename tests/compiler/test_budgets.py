"""Budgets: amounts, and which agents each one binds."""

from typing import Any

import pytest

from signalbox_api.conditions import Reason
from signalbox_snapshot import snapshot as wire
from support.written import (
    PLATFORM,
    agent,
    budget,
    compiled,
    domain,
    fleet,
    only,
    without,
)


def bound(*more: Any) -> dict[str, set[str]]:
    """The names of the budgets in `more` by the agent that they bind."""
    names = {item.metadata.name for item in more}
    found = compiled(fleet(domain("shop", "retail", parent="retail"), *more)).snapshot
    return {
        item.id: {name for each in item.budgets if (name := each.split("/")[1]) in names}
        for item in found.agents
    }


@pytest.mark.parametrize(
    ("namespace", "scope", "agents"),
    [
        (PLATFORM, {"all": True}, {"retail/search", "retail/till", "wealth/advisor"}),
        ("retail", {"all": True}, {"retail/search", "retail/till"}),
        (
            PLATFORM,
            {"domain": "company"},
            {"retail/search", "retail/till", "wealth/advisor"},
        ),
        ("retail", {"domain": f"{PLATFORM}/company"}, {"retail/search", "retail/till"}),
        ("retail", {"domain": "retail"}, {"retail/search", "retail/till"}),
        ("retail", {"domain": "shop"}, {"retail/till"}),
        (PLATFORM, {"domain": "retail/shop"}, {"retail/till"}),
        ("retail", {"agent": "till"}, {"retail/till"}),
        (PLATFORM, {"agent": "wealth/advisor"}, {"wealth/advisor"}),
        ("wealth", {"workload": "advice"}, {"wealth/advisor"}),
        (
            PLATFORM,
            {"workload": "advice"},
            {"retail/search", "retail/till", "wealth/advisor"},
        ),
    ],
)
def test_a_budget_binds_whom_its_scope_names(
    namespace: str, scope: dict[str, Any], agents: set[str]
) -> None:
    found = bound(budget("b", namespace, scope=scope), agent("till", domain="shop"))
    assert {name for name, budgets in found.items() if "b" in budgets} == agents


@pytest.mark.parametrize(
    ("scope", "reason"),
    [
        ({"domain": "gone"}, Reason.REF_NOT_FOUND),
        ({"agent": "gone"}, Reason.REF_NOT_FOUND),
        ({"domain": "wealth/wealth"}, Reason.REF_NOT_PERMITTED),
        ({"agent": "wealth/advisor"}, Reason.REF_NOT_PERMITTED),
        ({"agent": f"{PLATFORM}/robot"}, Reason.REF_NOT_PERMITTED),
    ],
)
def test_a_tenant_budgets_nobody_else(scope: dict[str, str], reason: Reason) -> None:
    robot = agent("robot", PLATFORM, domain="company")
    found = compiled(fleet(robot, budget("b", "retail", scope=scope)))
    assert [item.id for item in found.snapshot.budgets] == [f"{PLATFORM}/day"]
    assert only(found, "Budget", "b").reason is reason


def test_a_workload_scope_is_carried_for_the_request_to_decide() -> None:
    found = compiled(fleet(budget("b", scope={"workload": "advice"}))).snapshot.budgets[0]
    assert (found.workload, found.scope) == ("advice", "workload advice")


@pytest.mark.parametrize(
    ("limit", "unit", "amount"),
    [
        ({"usd": "0.20"}, "usd", 200_000_000),
        ({"usd": 0}, "usd", 0),
        ({"tokens": 5}, "tokens", 5),
        ({"requests": 60}, "requests", 60),
    ],
)
def test_limits_are_integers_of_their_unit(limit: dict[str, Any], unit: str, amount: int) -> None:
    found = compiled(fleet(budget("day", limit=limit))).snapshot.budgets[0]
    assert (found.unit, found.limit) == (unit, amount)


def test_everything_else_is_carried() -> None:
    found = compiled(
        fleet(
            budget(
                "day",
                per="session",
                whenMissing="refuse",
                window={"every": "minute", "count": 5, "timeZone": "Europe/Berlin"},
                maxPerRequest={"usd": "0.05"},
                warnAtPercent=[80, 50],
                enforcement="DryRun",
                onExhausted="CheaperLane",
                maxNewSubjectsPerAgent=500,
            )
        )
    ).snapshot.budgets[0]
    assert found == wire.Budget(
        id=f"{PLATFORM}/day",
        scope="all",
        workload="",
        per="session",
        when_missing="refuse",
        unit="usd",
        limit=5_000_000_000,
        window=wire.Window(every="minute", count=5, time_zone="Europe/Berlin"),
        max_per_request=50_000_000,
        warn_at_percent=[50, 80],
        enforcement="DryRun",
        on_exhausted="CheaperLane",
        new_subjects=500,
    )


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"scope": {"workload": "advice"}}, "spec.scope"),
        ({"per": "user"}, "spec.per"),
        ({"limit": {"tokens": 5}}, "spec.limit"),
        ({"window": {"every": "week"}}, "spec.window"),
        ({"window": {"every": "day", "timeZone": "Asia/Tokyo"}}, "spec.window"),
    ],
)
def test_what_an_account_counts_cannot_change(changed: dict[str, Any], field: str) -> None:
    before = compiled(fleet())
    after = compiled(fleet(budget("day", **changed)), before)
    assert after.snapshot.budgets == before.snapshot.budgets
    finding = only(after, "Budget", "day")
    assert (finding.reason, finding.field) == (Reason.INVALID, field)


def test_the_limit_may_change_at_any_time() -> None:
    after = compiled(fleet(budget("day", limit={"usd": "1"})), compiled(fleet()))
    assert after.snapshot.budgets[0].limit == 10**9
    assert after.findings == ()


def test_a_budget_made_again_under_its_old_name_is_a_new_object() -> None:
    before = compiled(fleet())
    gone = compiled(without(fleet(), "Budget", "day"), before)
    assert gone.snapshot.budgets == []
    again = compiled(fleet(budget("day", window={"every": "week"})), gone)
    assert again.snapshot.budgets[0].window.every == "week"


@pytest.mark.parametrize(
    ("per", "new_subjects"), [("user", 10_000), ("session", 10_000), ("agent", None), (None, None)]
)
def test_who_does_not_say_how_many_names_an_agent_may_bring_gets_a_bound(
    per: str | None, new_subjects: int | None
) -> None:
    """Callers choose names of users and sessions, but not of agents."""
    spec = {} if per is None else {"per": per}
    (found,) = compiled(fleet(budget("day", **spec))).snapshot.budgets
    assert found.new_subjects == new_subjects
