"""What changed for whom, in sentences that a person reads on reload."""

from signalbox_api import Resource
from signalbox_operator.difference import difference
from support.written import (
    agent,
    asset,
    budget,
    company,
    compiled,
    domain,
    fleet,
    lane,
    model,
    policy,
    without,
)

KEY = {"name": "k1", "sha256": "0123456789abcdef" * 4}


def told(before: list[Resource], after: list[Resource]) -> list[str]:
    return difference(compiled(before).snapshot, compiled(after).snapshot)


def test_nothing_changed_is_nothing_told() -> None:
    assert told(fleet(), fleet()[::-1]) == []


def test_a_raised_limit_is_told_with_the_agents_that_it_concerns() -> None:
    scope = {"domain": "retail"}
    before = fleet(agent("assistant"), budget("day", "retail", scope=scope, limit={"usd": "0.20"}))
    after = fleet(agent("assistant"), budget("day", "retail", scope=scope, limit={"usd": "0.30"}))
    assert told(before, after) == [
        "Budget retail/day: limit 0.20 -> 0.30 USD; affects agents retail/assistant, retail/search"
    ]


def test_what_concerns_everybody_says_so() -> None:
    assert told(fleet(), fleet(budget("day", limit={"usd": "1"}))) == [
        "Budget signalbox-system/day: limit 5.00 -> 1.00 USD; affects all 2 agents"
    ]


def test_added_and_removed_objects_are_told_once() -> None:
    more = fleet(asset("faq"))
    assert told(fleet(), more) == ["DataAsset retail/faq: added; affects no agent"]
    assert told(more, fleet()) == ["DataAsset retail/faq: removed; affects no agent"]


def test_a_removed_budget_concerns_those_whom_it_bound() -> None:
    before = fleet(budget("b", "wealth"))
    assert told(before, fleet()) == ["Budget wealth/b: removed; affects agent wealth/advisor"]


def test_a_first_snapshot_is_all_new() -> None:
    found = difference(None, compiled(fleet()).snapshot)
    assert len(found) == len(fleet())
    assert all(": added" in sentence for sentence in found)


def test_a_narrowed_lock_is_told_for_every_domain_below() -> None:
    lock = company(residency={"jurisdictions": ["EU"]})
    found = told(fleet(lock), fleet(company(residency={"jurisdictions": ["DE"]})))
    assert found[0] == "Domain retail/retail: jurisdictions EU -> DE; affects agent retail/search"
    assert len(found) == 3


def test_prices_are_told_by_lane_in_dollars() -> None:
    before = fleet(model("mini", lanes=[lane("us"), lane("eu")]))
    lanes = [lane("us"), lane("eu", price={"regionalPremium": "0.10"})]
    (sentence,) = told(before, fleet(model("mini", lanes=lanes)))
    assert "lane eu price standard input 1.00 -> 1.10 USD/Mtok" in sentence
    assert "lane eu premium 0 -> 0.1" in sentence
    assert "lane us" not in sentence


def test_a_new_lane_and_a_lost_price_are_told() -> None:
    (sentence,) = told(fleet(), fleet(model("mini", lanes=[lane("us"), lane("eu")])))
    assert "lane eu region us-east added" in sentence
    (sentence,) = told(fleet(), fleet(model("mini", price=None)))
    assert "lane us price none added" in sentence
    assert "lane us price standard input 1.00 USD/Mtok removed" in sentence


def test_a_changed_key_is_told_without_its_digest() -> None:
    before = fleet(agent("search", credentials={"keys": [KEY]}))
    after = fleet(
        agent("search", credentials={"keys": [KEY | {"expiresAt": "2027-05-01T00:00:00Z"}]})
    )
    assert told(before, after) == [
        "Agent retail/search: key k1 expires at none -> 2027-05-01T00:00:00Z"
    ]
    (sentence,) = told(fleet(), before)
    assert KEY["sha256"] not in sentence


def test_classes_shares_and_switches_are_in_words() -> None:
    before = fleet(policy("p", match={"sensitivities": ["public"]}, failover=True))
    after = fleet(
        policy(
            "p",
            match={"sensitivities": ["public", "regulated"]},
            constraints={"qualityFloor": "0.70", "maxUsd": "0.05", "firstChunkMs": 900},
            failover=False,
        )
    )
    (sentence,) = told(before, after)
    for step in (
        "match sensitivities public -> public, regulated",
        "quality floor none -> 0.7",
        "max none -> 0.05 USD",
        "first chunk none -> 900 ms",
        "failover yes -> no",
    ):
        assert step in sentence


def test_many_agents_are_counted_after_the_first_few() -> None:
    agents = [agent(f"a{number}") for number in range(9)]
    before = fleet(*agents, domain("retail", "retail", ownerTeam="one"))
    after = fleet(*agents, domain("retail", "retail", ownerTeam="two"))
    (sentence,) = told(before, after)
    assert sentence.endswith("retail/a0, retail/a1, retail/a2, retail/a3, retail/a4 and 5 more")


def test_a_deleted_model_is_told_for_the_agents_that_could_use_it() -> None:
    before = fleet(model("maxi"), agent("search", models={"allow": ["mini", "maxi"]}))
    after = without(before, "Model", "maxi")
    found = told(before, after)
    assert "Model signalbox-system/maxi: removed; affects all 2 agents" in found
    assert (
        "Agent retail/search: models signalbox-system/maxi, signalbox-system/mini ->"
        " signalbox-system/mini" in found
    )
