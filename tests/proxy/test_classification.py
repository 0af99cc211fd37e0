"""The class of a request only rises, and its residency lock only narrows."""

from typing import Any

import pytest

from signalbox_proxy.classification import Facts, check_tools, classify
from signalbox_proxy.declarations import NOTHING, Declarations, read_declarations
from signalbox_proxy.refusals import Refusal
from signalbox_proxy.runtime import Runtime
from signalbox_snapshot.snapshot import SENSITIVITY_NAMES
from support.snapshots import EU, PLATFORM, agent, asset, domain, snapshot

ASSETS = [
    asset("retail/orders", sensitivity=2),
    asset("retail/swiss", sensitivity=1, jurisdictions=["CH"]),
    asset("retail/european", sensitivity=1, jurisdictions=EU),
    asset("retail/french", sensitivity=0, jurisdictions=["FR"]),
    asset("retail/secret", sensitivity=3),
    asset(f"{PLATFORM}/shared", sensitivity=2, domain="retail/main"),
    asset("wealth/portfolios", sensitivity=3, jurisdictions=EU),
]


def classified(
    said: dict[str, str] | None = None,
    *,
    metadata: dict[str, str] | None = None,
    domains: dict[str, Any] | None = None,
    agents: dict[str, Any] | None = None,
) -> Facts:
    given = snapshot(
        domains=[domain("retail/main", **(domains or {})), domain("wealth/main")],
        agents=[agent("retail/support", **(agents or {}))],
        data_assets=ASSETS,
        budgets=[],
    )
    runtime = Runtime.build(given, version="v", generation=1)
    headers = {f"x-signalbox-{name}": value for name, value in (said or {}).items()}
    stated = {f"x-signalbox-{name}": value for name, value in (metadata or {}).items()}
    declared = read_declarations(headers, stated, "")
    return classify(runtime, given.agents[0], declared, 1000)


def refused(**how: Any) -> Refusal:
    with pytest.raises(Refusal) as raised:
        classified(how.pop("said", None), **how)
    return raised.value


NO_BUDGETS = {"budgets": []}


@pytest.mark.parametrize(
    ("default", "stated", "assets", "expected"),
    [
        ("internal", "", "", "internal"),
        ("internal", "public", "", "internal"),
        ("internal", "confidential", "", "confidential"),
        ("public", "public", "", "public"),
        ("internal", "", "orders", "confidential"),
        ("internal", "regulated", "orders", "regulated"),
        ("regulated", "public", "orders", "regulated"),
        ("internal", "", f"{PLATFORM}/shared", "confidential"),
        ("internal", "", "orders,secret", "regulated"),
    ],
)
def test_the_highest_of_default_statement_and_assets_counts(
    default: str, stated: str, assets: str, expected: str
) -> None:
    facts = classified(
        {"sensitivity": stated, "data-assets": assets},
        domains={"default_sensitivity": SENSITIVITY_NAMES.index(default)},
        agents=NO_BUDGETS,
    )
    assert SENSITIVITY_NAMES[facts.sensitivity] == expected


def test_metadata_and_headers_add_up() -> None:
    facts = classified(
        {"sensitivity": "public", "data-assets": "orders"},
        metadata={"sensitivity": "confidential", "data-assets": "french", "task": "t"},
        agents=NO_BUDGETS,
    )
    assert facts.sensitivity == 2
    assert [each.id for each in facts.data_assets] == ["retail/orders", "retail/french"]
    assert facts.task == "t"


def test_no_class_is_no_run() -> None:
    bare = {"default_sensitivity": None}
    assert refused(domains=bare, agents=NO_BUDGETS).code == "unclassified"
    assert refused(said={"data-assets": "orders"}, domains=bare, agents=NO_BUDGETS).code == (
        "unclassified"
    )
    stated = classified({"sensitivity": "public"}, domains=bare, agents=NO_BUDGETS)
    assert stated.sensitivity == 0


@pytest.mark.parametrize("said", [{"sensitivity": "regulated"}, {"data-assets": "secret"}])
def test_an_agent_may_not_send_above_its_class(said: dict[str, str]) -> None:
    found = refused(said=said, agents=NO_BUDGETS | {"max_sensitivity": 2})
    assert found.code == "sensitivity_not_permitted"
    assert "at most confidential" in found.message


@pytest.mark.parametrize("name", ["nothing", "wealth/portfolios", "a/b/c", "/orders"])
def test_an_asset_is_the_agents_own_or_the_platforms(name: str) -> None:
    found = refused(said={"data-assets": name}, agents=NO_BUDGETS)
    assert found.code == "unknown_data_asset"
    assert found.param == "x-signalbox-data-assets"


@pytest.mark.parametrize(
    ("lock", "assets", "expected"),
    [
        (None, "", None),
        (None, "orders", None),
        (EU, "", set(EU)),
        (EU, "orders", set(EU)),
        (None, "european", set(EU)),
        (EU, "french", {"FR"}),
        (None, "european,french", {"FR"}),
        ([], "", set()),
    ],
)
def test_the_lock_is_what_domain_and_assets_all_allow(
    lock: list[str] | None, assets: str, expected: set[str] | None
) -> None:
    facts = classified({"data-assets": assets}, domains={"jurisdictions": lock}, agents=NO_BUDGETS)
    assert facts.jurisdictions == expected


@pytest.mark.parametrize(("lock", "assets"), [(EU, "swiss"), (None, "swiss,european")])
def test_locks_that_exclude_each_other_are_a_conflict(lock: list[str] | None, assets: str) -> None:
    found = refused(
        said={"data-assets": assets}, domains={"jurisdictions": lock}, agents=NO_BUDGETS
    )
    assert found.code == "residency_conflict"
    assert "retail/" in found.message


def test_defaults_of_the_agent_hold_where_nothing_is_said() -> None:
    facts = classified(
        agents=NO_BUDGETS | {"default_workload": "advice", "default_data_assets": ["retail/orders"]}
    )
    assert (facts.workload, facts.sensitivity) == ("advice", 2)
    assert classified({"workload": "mail"}, agents=NO_BUDGETS).workload == "mail"


@pytest.mark.parametrize(
    "said",
    [
        {"user": "x" * 257},
        {"session": "a\tb"},
        {"task": "a\u202eb"},
        {"sensitivity": "secret"},
        {"pin": "maybe"},
        {"data-assets": ",".join(f"a{n}" for n in range(33))},
    ],
)
def test_a_declaration_that_cannot_be_meant_is_invalid(said: dict[str, str]) -> None:
    found = refused(said=said, agents=NO_BUDGETS)
    assert found.code == "invalid_request"
    assert found.param == f"x-signalbox-{next(iter(said))}"


def test_the_user_of_the_body_counts_unless_a_header_names_one() -> None:
    assert read_declarations({}, {}, "u1") == Declarations("u1", "", "", "", None, (), False)
    assert read_declarations({"x-signalbox-user": "u2"}, {}, "u1").user == "u2"
    assert read_declarations({}, {}, "") is NOTHING


def test_tools_are_those_that_the_agent_may_use() -> None:
    check_tools(agent(tools=None), ["anything"])
    check_tools(agent(tools=["quote"]), ["quote"])
    with pytest.raises(Refusal, match="may not use the tool 'trade'"):
        check_tools(agent(tools=["quote"]), ["quote", "trade"])
    with pytest.raises(Refusal, match="It may use: none"):
        check_tools(agent(tools=[]), ["quote"])
    check_tools(agent(tools=[]), [])
