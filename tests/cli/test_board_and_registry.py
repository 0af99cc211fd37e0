"""What stands in for an API server on one machine: versions, watches, generations that last."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

from signalbox_api import Domain, Resource
from signalbox_api.load import read_paths
from signalbox_cli.board import Board, Item
from signalbox_cli.dev_keys import agents_without_keys, dev_key, with_dev_keys
from signalbox_cli.registry import Registry
from signalbox_cli.state import StateFolder
from support.running import QUICKSTART

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


def item(name: str, team: str = "a", kind: str = "Domain") -> Item:
    return {
        "kind": kind,
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {"ownerTeam": team},
    }


def domain(team: str) -> Domain:
    spec = {"ownerTeam": team, "focusAccount": "1"}
    return Domain.model_validate({"metadata": {"name": "d", "namespace": "shop"}, "spec": spec})


async def test_a_watch_begins_with_what_is_there_and_goes_on_with_changes() -> None:
    board = Board()
    board.replace([item("one"), item("two"), item("three", kind="Agent")])
    seen: list[tuple[str, str]] = []

    async def watch() -> None:
        async for event in board.watch("Domain"):
            name = event["object"].get("metadata", {}).get("name", "")
            seen.append((event["type"], name))

    watching = asyncio.create_task(watch())
    while len(seen) < 3:
        await asyncio.sleep(0)
    board.replace([item("two", team="b"), item("four")])
    board.close()
    await watching
    assert seen == [
        ("ADDED", "one"),
        ("ADDED", "two"),
        ("BOOKMARK", ""),
        ("DELETED", "one"),
        ("ADDED", "four"),
        ("MODIFIED", "two"),
    ]


def test_an_object_that_did_not_change_keeps_its_version() -> None:
    board = Board(100)
    board.replace([item("one"), item("two")])
    before = {each["metadata"]["name"]: each["metadata"] for each in board.items()}
    board.replace([item("one"), item("two", team="b")])
    after = {each["metadata"]["name"]: each["metadata"] for each in board.items()}
    assert after["one"] == before["one"]
    assert int(after["two"]["resourceVersion"]) > int(before["two"]["resourceVersion"]) > 100


def test_a_generation_grows_with_the_spec_and_outlives_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "objects.json"

    def stamped(team: str, later: int = 0) -> Resource:
        (found,) = Registry(path).stamp([domain(team)], NOW + timedelta(hours=later))
        return found

    first, same, changed = stamped("a"), stamped("a", 1), stamped("b", 2)
    assert (first.metadata.generation, same.metadata.generation) == (1, 1)
    assert changed.metadata.generation == 2
    assert first.metadata.uid == changed.metadata.uid
    assert changed.metadata.creation_timestamp == NOW


def test_an_object_that_was_deleted_and_made_again_is_another_one(tmp_path: Path) -> None:
    registry = Registry(tmp_path / "objects.json")
    (first,) = registry.stamp([domain("a")], NOW)
    registry.stamp([], NOW)
    (again,) = registry.stamp([domain("a")], NOW + timedelta(seconds=5))
    assert again.metadata.uid != first.metadata.uid
    assert again.metadata.generation == 1


def test_dev_keys_are_added_to_agents_without_touching_a_manifest(tmp_path: Path) -> None:
    state = StateFolder.at(tmp_path)
    state.prepare()
    before = {path: path.read_bytes() for path in QUICKSTART.glob("*.yaml")}
    objects = read_paths([QUICKSTART]).resources
    assert agents_without_keys(objects) == [
        "retail/assistant",
        "retail/catalog",
        "wealth/advisor",
    ]
    key = dev_key(state, "retail/assistant")
    assert dev_key(state, "retail/assistant").key == key.key
    assert key.key not in repr(key)
    keyed = with_dev_keys(objects, [key])
    assert agents_without_keys(keyed) == ["retail/catalog", "wealth/advisor"]
    assert before == {path: path.read_bytes() for path in QUICKSTART.glob("*.yaml")}
