"""The inventory is what exists, whatever events are lost, late or repeated."""

from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from signalbox_api import Resource, ResourceKey
from signalbox_operator.inventory import Inventory
from signalbox_operator.listing import Listing, Stub
from signalbox_operator.reporter import Unreadable

KIND = "Budget"


def budget(name: str, version: int, *, limit: object = "1", uid: str = "u") -> dict[str, Any]:
    return {
        "apiVersion": "signalbox.dev/v1alpha1",
        "kind": KIND,
        "metadata": {
            "name": name,
            "namespace": "ns",
            "uid": uid,
            "resourceVersion": str(version),
            "generation": 1,
        },
        "spec": {"scope": {"all": True}, "limit": {"usd": limit}, "window": {"every": "day"}},
    }


def key(name: str) -> ResourceKey:
    return ResourceKey(KIND, "ns", name)


def names(*objects: dict[str, Any], version: int | str) -> Listing[Stub]:
    stubs = tuple(Stub.of(item["metadata"]) for item in objects)
    return Listing(stubs, str(version))


def whole(*objects: dict[str, Any], version: int | str) -> Listing[dict[str, Any]]:
    return Listing(objects, str(version))


@pytest.fixture
def inventory() -> Inventory:
    made = Inventory([KIND])
    made.listed(KIND, whole(budget("a", 1), budget("b", 2), version=5))
    return made


def test_nothing_is_complete_before_every_kind_was_listed() -> None:
    inventory = Inventory(["Agent", KIND])
    inventory.event(KIND, "ADDED", budget("a", 1))
    inventory.listed(KIND, whole(version=1))
    assert not inventory.is_complete
    assert inventory.unlisted == ("Agent",)
    inventory.listed("Agent", whole(version=1))
    assert inventory.is_complete


def test_a_ghost_goes_with_the_next_list_of_names(inventory: Inventory) -> None:
    """Its deletion happened while no watch looked."""
    assert inventory.compared(KIND, names(budget("a", 1), version=9)) == (True, [])
    assert list(inventory.known()) == [key("a")]


def test_an_object_that_came_after_the_list_is_no_ghost(inventory: Inventory) -> None:
    inventory.event(KIND, "ADDED", budget("c", 12))
    assert inventory.compared(KIND, names(budget("a", 1), budget("b", 2), version=9)) == (False, [])
    assert key("c") in inventory.known()


def test_what_no_event_told_of_is_to_be_fetched(inventory: Inventory) -> None:
    listing = names(budget("a", 1), budget("b", 8), budget("c", 7), version=9)
    assert inventory.compared(KIND, listing) == (False, [key("b"), key("c")])
    assert inventory.fetched(key("c"), budget("c", 7))
    assert not inventory.fetched(key("d"), None)
    assert key("c") in inventory.known()


def test_where_versions_are_no_numbers_a_ghost_is_missed_twice_first() -> None:
    inventory = Inventory([KIND])
    one = budget("a", 1)
    one["metadata"]["resourceVersion"] = "x1"
    inventory.event(KIND, "ADDED", one)
    assert inventory.compared(KIND, names(version="x9"))[0] is False
    assert inventory.compared(KIND, names(version="x9"))[0] is True
    assert inventory.known() == {}


def test_a_late_event_neither_undoes_a_change_nor_raises_the_dead(inventory: Inventory) -> None:
    inventory.event(KIND, "MODIFIED", budget("a", 10, limit="2"))
    assert not inventory.event(KIND, "MODIFIED", budget("a", 7, limit="1"))
    inventory.event(KIND, "DELETED", budget("a", 11))
    assert not inventory.event(KIND, "MODIFIED", budget("a", 10))
    assert key("a") not in inventory.known()


def test_a_late_deletion_spares_what_was_created_again(inventory: Inventory) -> None:
    inventory.event(KIND, "ADDED", budget("a", 20, uid="new"))
    assert not inventory.event(KIND, "DELETED", budget("a", 19))
    assert inventory.known()[key("a")].uid == "new"


def test_a_written_status_wakes_nobody(inventory: Inventory) -> None:
    before = inventory.revision
    changed = budget("a", 6) | {"status": {"observedGeneration": 1}}
    assert not inventory.event(KIND, "MODIFIED", changed)
    assert inventory.revision == before
    assert inventory.known()[key("a")].version == "6"


def test_an_object_that_cannot_be_read_names_its_field(inventory: Inventory) -> None:
    assert inventory.event(KIND, "MODIFIED", budget("a", 6, limit="much"))
    content = inventory.known()[key("a")].content
    assert isinstance(content, Unreadable)
    assert [problem.path for problem in content.problems] == ["spec.limit.usd"]


def test_the_tool_that_wrote_last_is_known_and_a_status_writer_is_none(
    inventory: Inventory,
) -> None:
    item = budget("a", 6, limit="2")
    item["metadata"]["managedFields"] = [
        {"manager": "kubectl", "time": "2026-01-01T00:00:00Z"},
        {"manager": "argocd", "time": "2026-01-02T00:00:00Z"},
        {"manager": "signalbox-operator", "time": "2026-01-03T00:00:00Z", "subresource": "status"},
    ]
    inventory.event(KIND, "MODIFIED", item)
    assert inventory.known()[key("a")].manager == "argocd"


def test_the_deletion_of_an_object_that_cannot_be_read_is_news(inventory: Inventory) -> None:
    inventory.event(KIND, "MODIFIED", budget("a", 6, limit="a lot"))
    assert not inventory.known()[key("a")].is_terminating
    gone = budget("a", 7, limit="a lot")
    gone["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert inventory.event(KIND, "MODIFIED", gone)
    assert inventory.known()[key("a")].is_terminating


class LostAndLate(RuleBasedStateMachine):
    """An API server whose events are dropped, repeated and delayed at will; lists are true."""

    def __init__(self) -> None:
        super().__init__()
        self.version = 0
        self.stored: dict[str, dict[str, Any]] = {}
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.inventory = Inventory([KIND])
        self.inventory.listed(KIND, whole(version=0))

    @rule(name=st.sampled_from("abc"))
    def write(self, name: str) -> None:
        self.version += 1
        self.stored[name] = budget(name, self.version, limit=str(self.version))
        self.events.append(("MODIFIED", self.stored[name]))

    @rule(name=st.sampled_from("abc"))
    def delete(self, name: str) -> None:
        if name in self.stored:
            self.version += 1
            gone = self.stored.pop(name)
            metadata = gone["metadata"] | {"resourceVersion": str(self.version)}
            self.events.append(("DELETED", gone | {"metadata": metadata}))

    @rule(position=st.integers(0, 20))
    def deliver(self, position: int) -> None:
        """Any event, in any order, and maybe again later."""
        if self.events:
            self.inventory.event(KIND, *self.events[position % len(self.events)])

    @rule()
    def sweep(self) -> None:
        listing = names(*self.stored.values(), version=self.version)
        _, missing = self.inventory.compared(KIND, listing)
        for each in missing:
            self.inventory.fetched(each, self.stored.get(each.name))
        assert self.inventory_now() == self.truth()

    @invariant()
    def nothing_is_newer_than_the_truth(self) -> None:
        for each, known in self.inventory.known().items():
            assert isinstance(known.content, Resource)
            assert int(known.version) <= self.version
            assert each.name in "abc"

    def inventory_now(self) -> dict[str, str]:
        return {each.name: known.version for each, known in self.inventory.known().items()}

    def truth(self) -> dict[str, str]:
        return {name: item["metadata"]["resourceVersion"] for name, item in self.stored.items()}


TestLostAndLate = LostAndLate.TestCase
