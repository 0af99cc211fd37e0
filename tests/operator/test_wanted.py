"""What is compiled where an object cannot be read, and what outlives a control plane."""

from typing import Any

from signalbox_api import Resource, ResourceKey
from signalbox_operator.compiler import compile_objects
from signalbox_operator.inventory import Inventory
from signalbox_operator.listing import Listing
from signalbox_operator.losses import Loss
from signalbox_operator.wanted import (
    objects_to_compile,
    read_forms,
    standing,
    unreadable_of,
    with_unreadable,
    written_forms,
)

KEY = ResourceKey("Budget", "platform", "day")


def budget(limit: str, generation: int) -> dict[str, Any]:
    return {
        "apiVersion": "signalbox.dev/v1alpha1",
        "kind": "Budget",
        "metadata": {
            "name": "day",
            "namespace": "platform",
            "resourceVersion": str(generation),
            "generation": generation,
            "labels": {"team": "x"},
        },
        "spec": {"scope": {"all": True}, "limit": {"usd": limit}, "window": {"every": "day"}},
    }


def inventory_of(item: dict[str, Any]) -> Inventory:
    made = Inventory(["Budget"])
    made.listed("Budget", Listing((item,), "99"))
    return made


def in_force() -> dict[ResourceKey, Resource]:
    known = inventory_of(budget("5", 3)).known()
    objects = objects_to_compile(known, {})
    return compile_objects(objects, platform_namespace="platform").in_force


def test_an_unreadable_update_leaves_the_accepted_form_in_force_and_its_state_says_so() -> None:
    accepted = read_forms(written_forms(in_force()))
    known = inventory_of(budget("a lot", 4)).known()
    objects = objects_to_compile(known, accepted)
    made = compile_objects(objects, platform_namespace="platform", previous=accepted)
    made = with_unreadable(made, unreadable_of(known))
    state = made.states[KEY]
    assert (state.generation, state.serving_generation, state.accepted) == (4, 3, False)
    assert [finding.field for finding in state.findings] == ["spec.limit.usd"]
    assert [budget.limit for budget in made.snapshot.budgets] == [5_000_000_000]
    assert made.errors[0].key == KEY


def test_an_unreadable_object_that_was_never_accepted_is_in_force_in_no_form() -> None:
    known = inventory_of(budget("a lot", 1)).known()
    made = compile_objects(objects_to_compile(known, {}), platform_namespace="platform")
    made = with_unreadable(made, unreadable_of(known))
    assert made.snapshot.budgets == []
    assert made.states[KEY].serving_generation is None
    assert not made.states[KEY].accepted
    assert made.in_force == {}


def deleted(item: dict[str, Any]) -> dict[str, Any]:
    """As the API server has it while a finalizer keeps it."""
    item["metadata"] |= {"deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["some.dev/x"]}
    return item


def test_what_is_on_its_way_out_is_gone_whether_it_can_be_read_or_not() -> None:
    for limit in ("5", "a lot"):
        known = inventory_of(deleted(budget(limit, 4))).known()
        assert objects_to_compile(known, in_force()) == []
        assert standing(known) == []
    assert standing(inventory_of(budget("5", 3)).known()) == [KEY]


def test_what_is_held_stays_in_its_accepted_form_until_its_finalizers_end_and_after() -> None:
    loss = Loss(in_force(), "value", "sentence")
    for limit in ("7", "a lot"):
        known = inventory_of(deleted(budget(limit, 4))).known()
        assert objects_to_compile(known, in_force(), [loss]) == list(loss.forms.values())
    assert objects_to_compile({}, {}, [loss]) == list(loss.forms.values())


def test_accepted_forms_are_read_back_as_they_act() -> None:
    before = in_force()
    after = read_forms(written_forms(before))
    assert after.keys() == before.keys()
    one, other = before[KEY], after[KEY]
    assert one.model_dump()["spec"] == other.model_dump()["spec"]
    assert other.metadata.generation == 3
    assert written_forms(after) == written_forms(before)


def test_forms_that_this_release_cannot_read_are_left_out() -> None:
    assert read_forms(b'[{"apiVersion":"signalbox.dev/v0","kind":"Budget"}]') == {}
