"""Status: what is in force, what the fleet runs, what is left; when a condition last flipped."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from signalbox_api import Resource
from signalbox_api.conditions import Condition, ConditionStatus, ConditionType, Reason
from signalbox_operator.control_port import Rejected
from signalbox_operator.facts import AccountFacts, FleetFacts, ProxyFacts, SubjectFacts
from signalbox_operator.status import Releases, Report, with_status
from support.statuses import DAY, NOW, account, reported, running, version_of
from support.written import (
    PLATFORM,
    agent,
    asset,
    budget,
    compiled,
    domain,
    fleet,
    lane,
    model,
    policy,
    without,
    written,
)


def of(objects: list[Resource], kind: str, name: str) -> Any:
    return next(item for item in objects if (item.kind, item.metadata.name) == (kind, name)).status  # type: ignore[attr-defined]


def condition(objects: list[Resource], kind: str, name: str, aspect: str) -> Condition:
    conditions = of(objects, kind, name).conditions
    return next(item for item in conditions if item.type is ConditionType(aspect))  # type: ignore[no-any-return]


def test_what_is_in_force_everywhere_is_accepted_and_programmed() -> None:
    found = reported(fleet(policy("p")))
    for item in found:
        for aspect in ("Accepted", "Programmed"):
            told = condition(found, item.kind, item.metadata.name, aspect)
            assert (told.status, told.reason) == (ConditionStatus.TRUE, Reason(aspect))


def test_status_survives_the_way_through_yaml() -> None:
    for item in reported(fleet(policy("p"), asset("faq")), accounts=(account(),)):
        again = type(item).model_validate(item.manifest())
        assert again.status == item.status  # type: ignore[attr-defined]


def test_a_refused_update_says_which_generation_serves() -> None:
    spec = {"domain": "retail", "maxSensitivity": "internal"}
    first = fleet(written("Agent", "search", "retail", spec, generation=3))
    broken = {**spec, "models": {"allow": ["gone"]}}
    second = fleet(written("Agent", "search", "retail", broken, generation=4))
    found = reported(second, compiled(second, compiled(first)))
    status = of(found, "Agent", "search")
    assert (status.observed_generation, status.serving_generation) == (4, 3)
    accepted = condition(found, "Agent", "search", "Accepted")
    assert (accepted.status, accepted.reason) == (ConditionStatus.FALSE, Reason.REF_NOT_FOUND)
    assert accepted.observed_generation == 4
    assert "spec.models.allow[0]: Model gone does not exist." in accepted.message
    assert accepted.message.endswith("Generation 3 stays in force.")
    assert condition(found, "Agent", "search", "Programmed").reason is Reason.NOT_ACCEPTED


def test_a_rejection_names_the_proxy_the_place_and_the_reason() -> None:
    objects = fleet()
    found = compiled(objects)
    refused = Rejected("proxy-0", "names x, which is not in the snapshot", "$.agents[0].domain")
    facts = running(found, ProxyFacts("proxy-0", True, 6, "0" * 64, refused))
    told = condition(reported(objects, found, fleet_facts=facts), "Model", "mini", "Programmed")
    assert (told.status, told.reason) == (ConditionStatus.FALSE, Reason.REJECTED)
    assert told.message == (
        "proxy-0 refused generation 7: $.agents[0].domain names x, which is not in the snapshot."
        " The one before serves on."
    )


def test_a_ready_proxy_that_lags_behind_counts_and_one_that_is_not_ready_does_not() -> None:
    objects = fleet()
    found = compiled(objects)
    proxies = (
        ProxyFacts("proxy-0", True, 7, version_of(found)),
        ProxyFacts("proxy-1", True, 6, "0" * 64),
        ProxyFacts("proxy-2", False),
    )
    told = condition(
        reported(objects, found, fleet_facts=running(found, *proxies)),
        "Model",
        "mini",
        "Programmed",
    )
    assert (told.status, told.reason) == (ConditionStatus.FALSE, Reason.PENDING)
    assert told.message == "Not every ready proxy runs it yet."


def test_the_fleet_runs_what_is_compiled_or_the_status_says_so() -> None:
    objects = fleet()
    told = condition(
        reported(objects, fleet_facts=FleetFacts(7, "0" * 64)), "Model", "mini", "Programmed"
    )
    assert (told.reason, told.message) == (Reason.PENDING, "Not released yet.")


BUDGETS = [
    (account(), "False", Reason.WITHIN_LIMIT, "0.00 of 5.00 USD is spent (0 %)."),
    (
        account(settled=2_500_000_000),
        "False",
        Reason.WARN_LEVEL,
        "50 % is reached. 2.50 of 5.00 USD is spent (50 %).",
    ),
    (account(settled=4_999_999_999), "False", Reason.WARN_LEVEL, "80 % is reached."),
    (
        account(settled=5_000_000_000),
        "True",
        Reason.EXHAUSTED,
        "5.00 of 5.00 USD is spent (100 %). The next window begins at 2026-05-02T00:00:00Z",
    ),
    (account(settled=4_990_000_000, refused=True), "True", Reason.EXHAUSTED, "4.99 of 5.00 USD"),
    (
        account(settled=1, overrun=1_000_000_000),
        "False",
        Reason.OVERRUN,
        "Providers billed 1.00 USD more than was held.",
    ),
    (account(settled=4_500_000_000, overrun=500_000_000), "True", Reason.OVERRUN, "Providers"),
]


@pytest.mark.parametrize(("facts", "status", "reason", "message"), BUDGETS)
def test_a_budget_says_what_is_left(
    facts: AccountFacts, status: str, reason: Reason, message: str
) -> None:
    found = reported(fleet(budget("day", warnAtPercent=[50, 80])), accounts=(facts,))
    told = condition(found, "Budget", "day", "Exhausted")
    assert (told.status.value, told.reason) == (status, reason)
    assert message in told.message


def test_amounts_are_decimal_text() -> None:
    facts = account(settled=1_234_000_000, held=66_000_000, overrun=100_000_000)
    found = of(reported(fleet(), accounts=(facts,)), "Budget", "day")
    assert (found.unit, found.limit, found.settled, found.held) == ("usd", "5.00", "1.234", "0.066")
    assert (found.remaining, found.overrun, found.percent) == ("3.60", "0.10", 26)
    assert (found.window_end - found.window_start) == timedelta(days=1)
    assert found.window == "day"


def test_a_window_of_several_units_says_how_many() -> None:
    short = budget("day", window={"every": "minute", "count": 2})
    assert of(reported(fleet(short)), "Budget", "day").window == "2 minutes"


def test_whole_units_are_written_as_whole_numbers() -> None:
    objects = fleet(budget("rate", limit={"requests": 60}))
    found = of(reported(objects), "Budget", "rate")
    assert (found.unit, found.limit, found.settled) == ("requests", "60", "0")
    assert found.subjects is None


def test_before_the_ledger_is_heard_only_the_limit_is_known() -> None:
    found = reported(fleet(), accounts=None)
    status = of(found, "Budget", "day")
    assert (status.limit, status.settled) == ("5.00", None)
    assert condition(found, "Budget", "day", "Exhausted").reason is Reason.NOT_REPORTED


@pytest.mark.parametrize(
    ("left", "exhausted", "status", "reason", "message"),
    [
        (1_000_000_000, 0, "False", Reason.WITHIN_LIMIT, "has used 80 % of 5.00 USD."),
        (0, 1, "True", Reason.EXHAUSTED, "1 of 3 session accounts have nothing left of 5.00 USD."),
        (0, 3, "True", Reason.EXHAUSTED, "3 of 3 session accounts have nothing left of 5.00 USD."),
    ],
)
def test_one_exhausted_session_is_enough_to_call_the_budget_exhausted(
    left: int, exhausted: int, status: str, reason: Reason, message: str
) -> None:
    facts = AccountFacts(DAY, 5_000_000_000, 9_000_000_000, 0, 0, left, 0, 0, 3, exhausted)
    found = reported(fleet(budget("day", per="session")), accounts=(facts,))
    told = condition(found, "Budget", "day", "Exhausted")
    assert (told.status.value, told.reason) == (status, reason)
    assert message in told.message
    day = of(found, "Budget", "day")
    assert (day.subjects, day.exhausted_subjects) == (3, exhausted)
    assert day.percent == (80 if left else 100)


def test_the_ten_worst_accounts_are_named_and_no_more() -> None:
    many = tuple(SubjectFacts(f"u-{n:02}", 10**9, 0, 0, 4 * 10**9) for n in range(30))
    first = SubjectFacts("u-00", 4_500_000_000, 200_000_000, 250_000_000, 250_000_000)
    facts = AccountFacts(
        DAY, 5_000_000_000, 34 * 10**9, 0, 0, 250_000_000, 0, 0, 31, 0, worst=(first, *many)
    )
    found = of(reported(fleet(budget("day", per="user")), accounts=(facts,)), "Budget", "day")
    assert [each.name for each in found.worst] == [f"u-{n:02}" for n in range(10)]
    worst = found.worst[0]
    assert (worst.settled, worst.held, worst.remaining, worst.percent) == (
        "4.50",
        "0.20",
        "0.05",
        95,
    )


def test_a_budget_that_all_share_names_nobody() -> None:
    facts = replace(account(), worst=(SubjectFacts("u", 1, 0, 0, 1),))
    assert of(reported(fleet(), accounts=(facts,)), "Budget", "day").worst == ()


def test_when_a_budget_will_be_used_up_is_an_instant() -> None:
    facts = replace(account(), exhausts_at=1_777_650_000)
    found = of(reported(fleet(), accounts=(facts,)), "Budget", "day")
    assert found.exhausts_at == datetime(2026, 5, 1, 15, 40, tzinfo=UTC)


def test_newcomers_do_not_flip_what_every_proxy_ran_already() -> None:
    objects = fleet()
    found = compiled(objects)
    facts = running(found)
    first = with_status(objects, Report(found, facts, (), NOW))
    behind = ProxyFacts("proxy-2", True, 6, "0" * 64)
    grown = replace(facts, proxies=(*facts.proxies, behind))
    second = with_status(first, Report(found, grown, (), NOW))
    assert second == first
    nobody = replace(facts, proxies=(ProxyFacts("proxy-0", False),))
    assert with_status(first, Report(found, nobody, (), NOW)) == first


def test_a_newcomer_counts_for_what_no_proxy_ran_yet() -> None:
    objects = fleet()
    found = compiled(objects)
    grown = running(found, ProxyFacts("proxy-0", True, 7), ProxyFacts("proxy-2", True, 6))
    told = condition(reported(objects, found, fleet_facts=grown), "Model", "mini", "Programmed")
    assert (told.status, told.reason) == (ConditionStatus.FALSE, Reason.PENDING)


def test_an_older_release_is_enough_for_what_it_brought() -> None:
    objects = fleet()
    found = compiled(objects)
    mini = next(item.key for item in objects if item.kind == "Model")
    facts = running(found, ProxyFacts("proxy-0", True, 5), ProxyFacts("proxy-1", True, 7))
    report = Report(found, facts, (), NOW, releases=Releases(since={mini: 5}))
    told = with_status(objects, report)
    assert condition(told, "Model", "mini", "Programmed").status is ConditionStatus.TRUE
    assert condition(told, "Budget", "day", "Programmed").status is ConditionStatus.FALSE


def test_each_kind_says_what_people_look_for() -> None:
    keys = [
        {"name": "old", "sha256": "a" * 64, "expiresAt": "2026-05-01T12:00:00Z"},
        {"name": "new", "sha256": "b" * 64, "expiresAt": "2026-05-01T12:00:01Z"},
    ]
    found = reported(
        fleet(
            domain("shop", "retail", parent="retail", residency={"jurisdictions": ["DE"]}),
            agent("search", domain="shop", credentials={"keys": keys}),
            asset("faq", domain="shop", retention="7y"),
            model(
                "mini", price=None, lanes=[lane("us"), lane("eu", price={"input": 1, "output": 1})]
            ),
            model("old", deprecation={"at": "2026-05-01T11:00:00Z", "replacement": "mini"}),
            budget("advice", scope={"workload": "advice"}),
            policy("p", "retail", objective="best"),
            policy("q", "retail", match={"agents": ["search"]}, objective="cheapest"),
        )
    )
    shop = of(found, "Domain", "shop")
    assert shop.path == f"{PLATFORM}/company > retail/retail > retail/shop"
    assert (shop.jurisdictions, shop.agents) == (("DE",), 1)
    assert of(found, "Domain", "company").agents == 2
    search = of(found, "Agent", "search")
    assert (search.domain, search.budgets, search.keys) == ("retail/shop", (DAY,), 1)
    faq = of(found, "DataAsset", "faq")
    assert (faq.domain, faq.jurisdictions, faq.retention_days) == ("retail/shop", ("DE",), 2555)
    mini = of(found, "Model", "mini")
    assert (mini.lanes, mini.serving_lanes) == ("1/2", ("eu",))
    assert mini.quarantined_lanes == ()
    old = of(found, "Model", "old")
    assert (old.lanes, old.replacement) == ("0/1", f"{PLATFORM}/mini")
    wide = of(found, "RoutePolicy", "p")
    assert (wide.agents, wide.overruled_by) == (1, ("retail/q",))
    assert condition(found, "RoutePolicy", "p", "Conflicted").reason is Reason.OVERRULED
    assert condition(found, "RoutePolicy", "q", "Conflicted").reason is Reason.NO_CONFLICT


def test_an_object_of_which_nothing_is_in_force_has_no_details() -> None:
    found = reported(fleet(agent("lost", domain="gone"), budget("b", scope={"agent": "x/y"})))
    assert of(found, "Agent", "lost").domain is None
    assert of(found, "Budget", "b").limit is None
    accepted = condition(found, "Agent", "lost", "Accepted")
    assert accepted.message.endswith("Nothing of it is in force.")


def test_what_is_left_out_is_told() -> None:
    found = reported(fleet(agent("search", models={"allow": ["gone", "mini"]})))
    accepted = condition(found, "Agent", "search", "Accepted")
    assert accepted.status is ConditionStatus.FALSE
    assert accepted.message.endswith("What could not be resolved is left out, and refused.")


def test_the_last_transition_moves_only_when_a_status_flips() -> None:
    objects = fleet()
    found = compiled(objects)
    facts = running(found)
    first = with_status(objects, Report(found, facts, (account(),), NOW))
    later = NOW + timedelta(hours=1)
    spent = (account(settled=5_000_000_000),)
    second = with_status(
        objects, Report(found, facts, spent, later), {item.key: item for item in first}
    )
    assert condition(second, "Budget", "day", "Accepted").last_transition_time == NOW
    assert condition(second, "Budget", "day", "Exhausted").last_transition_time == later
    latest = NOW + timedelta(hours=2)
    third = with_status(second, Report(found, facts, spent, latest))
    assert condition(third, "Budget", "day", "Exhausted").last_transition_time == later


def test_equal_facts_give_equal_status() -> None:
    objects = fleet(policy("p"))
    report = Report(compiled(objects), running(compiled(objects)), (account(),), NOW)
    assert with_status(objects, report) == with_status(objects, report)


def test_a_deleted_object_has_no_status_and_harms_nobody() -> None:
    objects = without(fleet(), "Budget", "day")
    assert [item.kind for item in reported(objects)] == [item.kind for item in objects]


def test_a_model_tells_which_of_its_lanes_some_proxy_calls_no_more() -> None:
    objects = fleet(model("mini", lanes=[lane("eu"), lane("us")]), model("other"))
    found = compiled(objects)
    wary = ProxyFacts("proxy-1", True, 7, version_of(found), None, (f"{PLATFORM}/mini/us",))
    facts = running(found, ProxyFacts("proxy-0", True, 7, version_of(found)), wary)
    status = with_status(objects, Report(found, facts, (), NOW))
    assert of(status, "Model", "mini").quarantined_lanes == ("us",)
    assert of(status, "Model", "other").quarantined_lanes == ()
