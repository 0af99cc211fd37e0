"""Thousands of broken objects: nothing of one is applied in part, every refusal names object and
field, and a snapshot that proxies accept comes out every time."""

import copy
import os
import random
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from signalbox_api import KINDS, Resource, ResourceKey
from signalbox_operator.compiler import compile_objects
from signalbox_operator.inventory import Inventory
from signalbox_operator.listing import Listing
from signalbox_operator.wanted import objects_to_compile, unreadable_of, with_unreadable
from signalbox_snapshot import codec
from support.running import ROOT

MUTATIONS = int(os.environ.get("SIGNALBOX_MUTATIONS", "5000"))
AT_ONCE = 25
PLATFORM = "signalbox-system"
RUBBISH = [
    *(None, True, -1, 0, 1, 2**63, 1.5, "", " ", "x" * 5000, "nowhere", "a/b/c", "../x", "\x00"),
    *([], {}, [None], {"x": 1}, ["a", "a"], "1e400", "NaN", "-0.1", "2026-13-40T00:00:00Z"),
]


def originals() -> list[dict[str, Any]]:
    """Every sample and the quickstart, as an API server would have them."""
    found = []
    for folder in ("quickstart", "samples"):
        for file in sorted((ROOT / "manifests" / folder).rglob("*.yaml")):
            for document in yaml.safe_load_all(file.read_text()):
                if document and document.get("kind") in KINDS:
                    document["metadata"].setdefault("namespace", "default")
                    found.append(document)
    for number, document in enumerate(found):
        document["metadata"] |= {"resourceVersion": str(number + 1), "generation": 1}
    return list(
        {(d["kind"], d["metadata"]["namespace"], d["metadata"]["name"]): d for d in found}.values()
    )


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from places(inner, (*path, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from places(inner, (*path, index))


def mutated(original: dict[str, Any], drawn: random.Random) -> dict[str, Any]:
    """One to three places of the spec changed, removed, or given a field nobody knows."""
    changed = copy.deepcopy(original)
    changed["metadata"] |= {"resourceVersion": "999999", "generation": 2}
    for _ in range(drawn.randint(1, 3)):
        path = drawn.choice(list(places(changed["spec"])))
        if not path:
            changed["spec"][drawn.choice(["unknown", "domain", "limit"])] = drawn.choice(RUBBISH)
            continue
        holder = changed["spec"]
        for step in path[:-1]:
            holder = holder[step]
        how = drawn.random()
        if how < 0.7:
            holder[path[-1]] = copy.deepcopy(drawn.choice(RUBBISH))
        elif isinstance(holder, dict):
            del holder[path[-1]]
        else:
            holder.insert(path[-1], drawn.choice(RUBBISH))
    return changed


def key_of(item: dict[str, Any]) -> ResourceKey:
    return ResourceKey(item["kind"], item["metadata"]["namespace"], item["metadata"]["name"])


def inventory_of(items: list[dict[str, Any]]) -> Inventory:
    made = Inventory()
    for kind in KINDS:
        made.listed(kind, Listing(tuple(i for i in items if i["kind"] == kind), "9"))
    return made


@pytest.fixture(scope="module")
def accepted() -> tuple[list[dict[str, Any]], dict[ResourceKey, Resource]]:
    items = originals()
    known = inventory_of(items).known()
    made = compile_objects(objects_to_compile(known, {}), platform_namespace=PLATFORM)
    return items, made.in_force


@pytest.mark.parametrize("seed", range(4))
def test_nothing_broken_is_applied_in_part(
    accepted: tuple[list[dict[str, Any]], dict[ResourceKey, Resource]], seed: int
) -> None:
    items, in_force = accepted
    drawn = random.Random(seed)
    refused = 0
    for _ in range(MUTATIONS // 4 // AT_ONCE):
        inventory = inventory_of(items)
        broken = {}
        for original in drawn.sample(items, min(AT_ONCE, len(items))):
            item = mutated(original, drawn)
            inventory.event(item["kind"], "MODIFIED", item)
            broken[key_of(item)] = item
        known = inventory.known()
        objects = objects_to_compile(known, in_force)
        made = compile_objects(objects, platform_namespace=PLATFORM, previous=in_force)
        made = with_unreadable(made, unreadable_of(known))
        codec.decode(codec.encode(made.snapshot))
        for key in broken:
            state = made.states[key]
            errors = [finding for finding in state.findings if finding.severity == "error"]
            assert state.accepted == (not errors)
            for finding in errors:
                refused += 1
                assert finding.key == key
                assert finding.field
                assert finding.message
            if state.form is None or state.serving_generation is None:
                continue
            content = known[key].content
            whole = {in_force[key].model_dump_json()} if key in in_force else set()
            if isinstance(content, Resource):
                whole.add(content.model_dump_json())
            assert state.form.model_dump_json() in whole, key
    assert refused > MUTATIONS // 8
