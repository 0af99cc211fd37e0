"""Which form is in force: updates that cannot act wait, deletions act at once and fail closed."""

from typing import Any

from signalbox_api.conditions import Reason
from signalbox_operator.compiler import ObjectState
from support.written import (
    PLATFORM,
    agent,
    asset,
    budget,
    company,
    compiled,
    domain,
    fleet,
    key_of,
    model,
    only,
    policy,
    without,
    written,
)


def numbered(generation: int, name: str = "search", **spec: Any) -> Any:
    facts = {"domain": "retail", "maxSensitivity": "internal"}
    return written("Agent", name, "retail", facts | spec, generation=generation)


def state_of(found: Any, kind: str, name: str, namespace: str) -> ObjectState:
    state: ObjectState = found.states[key_of(kind, name, namespace)]
    return state


def test_an_update_that_names_something_missing_leaves_the_form_before_in_force() -> None:
    first = compiled(fleet(numbered(1, maxSensitivity="public")))
    second = compiled(fleet(numbered(2, models={"allow": ["gone"]})), first)
    assert second.snapshot == first.snapshot
    state = state_of(second, "Agent", "search", "retail")
    assert (state.generation, state.serving_generation) == (2, 1)
    assert (state.accepted, state.reason) == (False, Reason.REF_NOT_FOUND)


def test_the_form_before_stays_in_force_over_many_refused_updates() -> None:
    found = first = compiled(fleet(numbered(1)))
    for generation in range(2, 5):
        found = compiled(fleet(numbered(generation, models={"allow": ["gone"]})), found)
    assert found.snapshot == first.snapshot
    assert state_of(found, "Agent", "search", "retail").serving_generation == 1


def test_an_update_is_taken_up_once_what_it_names_exists() -> None:
    found = compiled(fleet(numbered(1)))
    found = compiled(fleet(numbered(2, models={"allow": ["maxi"]})), found)
    found = compiled(fleet(numbered(2, models={"allow": ["maxi"]}), model("maxi")), found)
    assert found.snapshot.agents[0].models == [f"{PLATFORM}/maxi"]
    state = state_of(found, "Agent", "search", "retail")
    assert (state.accepted, state.serving_generation) == (True, 2)


def test_what_was_never_accepted_has_no_form_to_go_back_to() -> None:
    found = compiled(fleet(numbered(1, models={"allow": ["gone"]})))
    found = compiled(fleet(numbered(2, models={"allow": ["lost", "mini"]})), found)
    assert found.snapshot.agents[0].models == [f"{PLATFORM}/mini"]
    assert (
        key_of("Agent", "search", "retail")
        not in compiled(fleet(numbered(1, models={"allow": ["gone"]}))).in_force
    )


def test_deleting_what_an_object_names_takes_effect_at_once() -> None:
    objects = fleet(model("maxi"), numbered(1, models={"allow": ["maxi"]}))
    before = compiled(objects)
    after = compiled(without(objects, "Model", "maxi"), before)
    assert after.snapshot.agents[0].models == []
    state = state_of(after, "Agent", "search", "retail")
    assert (state.accepted, state.serving_generation) == (False, 1)


def test_a_deleted_domain_takes_agents_assets_and_budgets_along() -> None:
    objects = fleet(asset("faq"), budget("b", "retail", scope={"domain": "retail"}), numbered(1))
    after = compiled(without(objects, "Domain", "retail"), compiled(objects))
    assert [item.id for item in after.snapshot.agents] == ["wealth/advisor"]
    assert after.snapshot.data_assets == []
    assert [item.id for item in after.snapshot.budgets] == [f"{PLATFORM}/day"]
    assert state_of(after, "Agent", "search", "retail").serving_generation is None


def test_what_comes_back_is_in_force_again() -> None:
    objects = fleet(numbered(1))
    first = compiled(objects)
    gone = compiled(without(objects, "Domain", "retail"), first)
    assert compiled(objects, gone).snapshot == first.snapshot


def test_a_deleted_default_asset_stops_the_agent_whatever_it_was_before() -> None:
    objects = fleet(asset("faq"), numbered(1, defaults={"dataAssets": ["faq"]}))
    after = compiled(without(objects, "DataAsset", "faq"), compiled(objects))
    assert after.snapshot.agents[0].models == []


def test_a_withdrawn_namespace_acts_like_a_deletion() -> None:
    before = compiled(fleet())
    after = compiled(fleet(company(allowedNamespaces=["wealth"])), before)
    assert [item.id for item in after.snapshot.agents] == ["wealth/advisor"]


def test_an_object_under_deletion_counts_as_deleted() -> None:
    dying = written(
        "Model",
        "mini",
        PLATFORM,
        model("mini").manifest()["spec"],
        deletionTimestamp="2026-01-01T00:00:00Z",
    )
    assert compiled(fleet(dying)).snapshot.models == []


def test_a_domain_that_is_moved_to_a_missing_parent_stays_where_it_was() -> None:
    before = compiled(fleet())
    after = compiled(fleet(domain("retail", "retail", parent="gone")), before)
    assert after.snapshot == before.snapshot
    assert only(after, "Domain", "retail").reason is Reason.REF_NOT_FOUND


def test_domains_that_are_moved_into_a_circle_stay_where_they_were() -> None:
    before = compiled(fleet(domain("a", "retail"), domain("b", "retail", parent="a")))
    after = compiled(
        fleet(domain("a", "retail", parent="b"), domain("b", "retail", parent="a")), before
    )
    assert after.snapshot == before.snapshot
    assert only(after, "Domain", "a").reason is Reason.CYCLE
    assert [item for item in after.findings if item.name == "b"] == []


def test_a_child_moved_below_a_refused_newcomer_stays_where_it_was() -> None:
    before = compiled(fleet())
    after = compiled(
        fleet(domain("new", "retail", parent="gone"), domain("retail", "retail", parent="new")),
        before,
    )
    assert after.snapshot == before.snapshot


def test_a_policy_whose_update_names_a_missing_model_keeps_its_candidates() -> None:
    before = compiled(fleet(policy("p", candidates=["mini"])))
    after = compiled(fleet(policy("p", candidates=["gone"])), before)
    assert after.snapshot.policies == before.snapshot.policies


def test_a_price_that_is_taken_away_is_gone() -> None:
    """The form before must not go on billing by a price that its owner withdrew."""
    after = compiled(fleet(model("mini", price=None)), compiled(fleet()))
    assert after.snapshot.models[0].lanes[0].price is None
    assert state_of(after, "Model", "mini", PLATFORM).serving_generation == 0


def test_copies_that_differ_are_told_and_always_resolved_alike() -> None:
    one, other = budget("day", limit={"usd": "1"}), budget("day", limit={"usd": "2"})
    rest = without(fleet(), "Budget", "day")
    found = compiled([*rest, one, other])
    assert found.snapshot == compiled([*rest, other, one]).snapshot
    assert only(found, "Budget", "day").reason is Reason.DUPLICATE


def test_equal_copies_are_one_object() -> None:
    assert compiled([*fleet(), *fleet()]).findings == ()


def test_one_bad_object_of_each_kind_takes_nothing_else_down() -> None:
    good = compiled(fleet())
    bad = compiled(
        fleet(
            domain("bad", "retail", parent="gone"),
            asset("bad", domain="gone"),
            agent("bad", domain="gone"),
            model("bad", "retail"),
            budget("bad", scope={"agent": "gone"}),
        )
    )
    assert bad.snapshot == good.snapshot
    assert len(bad.errors) == 5


def test_a_key_is_revoked_even_by_an_update_that_is_refused() -> None:
    keys = [{"name": name, "sha256": name * 64} for name in "abc"]
    first = compiled(fleet(numbered(1, credentials={"keys": keys})))
    ending = keys[1] | {"expiresAt": "2026-01-01T00:00:00Z"}
    fresh = {"name": "d", "sha256": "d" * 64}
    update = numbered(2, models={"allow": ["gone"]}, credentials={"keys": [ending, keys[2], fresh]})
    second = compiled(fleet(update), first)
    assert state_of(second, "Agent", "search", "retail").serving_generation == 1
    found = {key.name: key.expires_at for key in second.snapshot.agents[0].keys}
    assert found == {"b": 1_767_225_600, "c": None}
