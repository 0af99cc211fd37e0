"""The canonical spelling of a snapshot, and the refusal of everything that is not one."""

import json
import random
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from signalbox_snapshot import codec
from signalbox_snapshot import snapshot as wire
from signalbox_snapshot.check import SnapshotError


def spelled(document: Any) -> bytes:
    """Canonical JSON of arbitrary data, written without the code under test."""
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return text.encode()


def test_what_is_encoded_is_decoded_to_the_same(snapshot: wire.Snapshot) -> None:
    assert codec.decode(codec.encode(snapshot)) == snapshot


def test_the_bytes_are_what_any_json_library_calls_sorted_and_compact(
    snapshot: wire.Snapshot,
) -> None:
    payload = codec.encode(snapshot)
    assert payload == spelled(json.loads(payload))
    assert "東京" in payload.decode()


def test_no_number_in_a_snapshot_is_a_float(snapshot: wire.Snapshot) -> None:
    def refuse(text: str) -> float:
        raise AssertionError(text)

    json.loads(codec.encode(snapshot), parse_float=refuse)


def test_the_version_is_the_sha256_of_the_bytes() -> None:
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert codec.version(b"") == empty


def test_one_nano_dollar_more_is_another_version(snapshot: wire.Snapshot) -> None:
    budget = msgspec.structs.replace(snapshot.budgets[0], limit=snapshot.budgets[0].limit + 1)
    other = msgspec.structs.replace(snapshot, budgets=[budget])
    assert codec.version(codec.encode(other)) != codec.version(codec.encode(snapshot))


Edit = Callable[[dict[str, Any]], object]

BROKEN: dict[str, tuple[Edit, str]] = {
    "a schema of the future": (lambda s: s.update(schema=99), "$.schema"),
    "an unknown field": (lambda s: s["agents"][0].update(admin=True), "$.agents[0]"),
    "a missing field": (lambda s: s["budgets"][0].pop("unit"), "$.budgets[0]"),
    "a word where a number belongs": (
        lambda s: s["budgets"][0].update(limit="5"),
        "$.budgets[0].limit",
    ),
    "a number with a point": (lambda s: s["budgets"][0].update(limit=5.0), "$.budgets[0].limit"),
    "negative money": (lambda s: s["budgets"][0].update(limit=-1), "$.budgets[0].limit"),
    "money beyond 64 bits": (lambda s: s["budgets"][0].update(limit=2**63), "$.budgets[0].limit"),
    "a negative price": (
        lambda s: s["models"][0]["lanes"][0]["price"]["standard"].update(input=-1),
        "$.models[0].lanes[0].price.standard.input",
    ),
    "a class that does not exist": (
        lambda s: s["agents"][0].update(max_sensitivity=4),
        "$.agents[0].max_sensitivity",
    ),
    "an agent of no domain": (
        lambda s: s["agents"][0].update(domain="wealth/gone"),
        "$.agents[0].domain",
    ),
    "an asset of no domain": (
        lambda s: s["data_assets"][0].update(domain="x/y"),
        "$.data_assets[0].domain",
    ),
    "a default asset that is not there": (
        lambda s: s["agents"][0].update(default_data_assets=["a/b"]),
        "$.agents[0].default_data_assets[0]",
    ),
    "a permitted model that is not there": (
        lambda s: s["agents"][0].update(models=["a/b"]),
        "$.agents[0].models[0]",
    ),
    "a budget that is not there": (
        lambda s: s["agents"][0].update(budgets=["a/b"]),
        "$.agents[0].budgets[0]",
    ),
    "a budget named twice": (
        lambda s: s["agents"][0].update(budgets=["platform/day", "platform/day"]),
        "$.agents[0].budgets",
    ),
    "a matched domain that is not there": (
        lambda s: s["policies"][0]["match"].update(domains=["a/b"]),
        "$.policies[0].match.domains[0]",
    ),
    "a matched agent that is not there": (
        lambda s: s["policies"][0]["match"].update(agents=["a/b"]),
        "$.policies[0].match.agents[0]",
    ),
    "a matched model that is not there": (
        lambda s: s["policies"][0]["match"].update(models=["asked"]),
        "$.policies[0].match.models[0]",
    ),
    "a candidate that is not there": (
        lambda s: s["policies"][0].update(candidates=["auto"]),
        "$.policies[0].candidates[0]",
    ),
    "a replacement that is not there": (
        lambda s: s["models"][0].update(replacement="platform/maxi"),
        "$.models[0].replacement",
    ),
    "an id without namespace": (lambda s: s["models"][0].update(id="mini"), "$.models[0].id"),
    "domains out of order": (lambda s: s["domains"].reverse(), "$.domains[1].id"),
    "a domain twice": (
        lambda s: s["domains"].append(s["domains"][-1]),
        "$.domains[2].id",
    ),
    "a domain below itself": (
        lambda s: s["domains"][0].update(ancestors=["platform/company"]),
        "$.domains[0].ancestors",
    ),
    "a chain of parents that skips one": (
        lambda s: s["domains"][0].update(ancestors=["wealth/wealth"]),
        "$.domains[0].ancestors",
    ),
    "a child wider than its parent": (
        lambda s: s["domains"][1].update(jurisdictions=["DE", "US"]),
        "$.domains[1].jurisdictions",
    ),
    "a child without its parent's lock": (
        lambda s: s["domains"][1].update(jurisdictions=None),
        "$.domains[1].jurisdictions",
    ),
    "countries out of order": (
        lambda s: s["domains"][0].update(jurisdictions=["FR", "DE"]),
        "$.domains[0].jurisdictions",
    ),
    "a group instead of its countries": (
        lambda s: s["data_assets"][0].update(jurisdictions=["EEA"]),
        "$.data_assets[0].jurisdictions[0]",
    ),
    "a digest in capitals": (
        lambda s: s["agents"][0]["keys"][0].update(sha256="0F" * 32),
        "$.agents[0].keys[0].sha256",
    ),
    "a lookup that is none": (
        lambda s: s["agents"][0]["keys"][0].update(lookup="x"),
        "$.agents[0].keys[0].lookup",
    ),
    "two keys of one name": (
        lambda s: s["agents"][0]["keys"].append(s["agents"][0]["keys"][0]),
        "$.agents[0].keys[1].name",
    ),
    "a model without its own name": (
        lambda s: s["models"][0].update(names=["mini-latest"]),
        "$.models[0].names",
    ),
    "an alias twice": (
        lambda s: s["models"][0].update(names=["mini", "a", "a"]),
        "$.models[0].names[2]",
    ),
    "more output than context": (
        lambda s: s["models"][0]["limits"].update(max_output=9000),
        "$.models[0].limits.max_output",
    ),
    "a default above the most": (
        lambda s: s["models"][0]["limits"].update(default_output=5000),
        "$.models[0].limits.default_output",
    ),
    "quality above 1": (
        lambda s: s["models"][0]["quality"].update(default=1_000_001),
        "$.models[0].quality.default",
    ),
    "two lanes of one name": (
        lambda s: s["models"][0]["lanes"].append(s["models"][0]["lanes"][0]),
        "$.models[0].lanes[1].name",
    ),
    "a price without its list price": (
        lambda s: s["models"][0]["lanes"][0].update(list_price=None),
        "$.models[0].lanes[0].price",
    ),
    "an endpoint that is a file": (
        lambda s: s["models"][0]["lanes"][0].update(endpoint="file:///etc/passwd"),
        "$.models[0].lanes[0].endpoint",
    ),
    "an endpoint with a user in it": (
        lambda s: s["models"][0]["lanes"][0].update(endpoint="https://a@b/"),
        "$.models[0].lanes[0].endpoint",
    ),
    "a lane in no country": (
        lambda s: s["models"][0]["lanes"][0].update(jurisdiction="EU1"),
        "$.models[0].lanes[0].jurisdiction",
    ),
    "a lane without its key": (
        lambda s: s["models"][0]["lanes"][0].update(auth_key=""),
        "$.models[0].lanes[0].auth_key",
    ),
    "a window of nothing": (
        lambda s: s["budgets"][0]["window"].update(count=0),
        "$.budgets[0].window.count",
    ),
    "warning steps out of order": (
        lambda s: s["budgets"][0].update(warn_at_percent=[80, 50]),
        "$.budgets[0].warn_at_percent",
    ),
    "a floor above 1": (
        lambda s: s["policies"][0].update(quality_floor=1_000_001),
        "$.policies[0].quality_floor",
    ),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_a_fault_is_refused_with_its_path(snapshot: wire.Snapshot, fault: str) -> None:
    edit, path = BROKEN[fault]
    document = json.loads(codec.encode(snapshot))
    edit(document)
    with pytest.raises(SnapshotError) as caught:
        codec.decode(spelled(document))
    assert caught.value.path == path
    assert caught.value.reason


@pytest.mark.parametrize(
    "payload",
    [b"", b"null", b"[]", b"{}", b'{"schema":2}', b"\xff\xfe", b'{"schema":2', b"[" * 200_000],
    ids=["empty", "null", "list", "no fields", "too few", "no UTF-8", "cut", "deep"],
)
def test_what_is_no_snapshot_at_all_is_refused(payload: bytes) -> None:
    with pytest.raises(SnapshotError):
        codec.decode(payload)


def test_deep_nesting_in_a_field_is_refused(snapshot: wire.Snapshot) -> None:
    payload = codec.encode(snapshot)[:-1] + b',"x":' + b"[" * 200_000 + b"]" * 200_000 + b"}"
    with pytest.raises(SnapshotError):
        codec.decode(payload)


@pytest.mark.parametrize(
    "respell",
    [
        lambda payload: payload.replace(b'"schema":2', b'"schema": 2'),
        lambda payload: payload.replace(b'"schema":2', b'"schema":2,"schema":2'),
        lambda payload: payload.replace(b"mini", b"\\u006dini"),
        lambda payload: payload + b"\n",
    ],
    ids=["space", "key twice", "escape", "newline"],
)
def test_another_spelling_of_the_same_is_refused(
    snapshot: wire.Snapshot, respell: Callable[[bytes], bytes]
) -> None:
    """One version stands for one snapshot: whoever reads it, with whatever library."""
    with pytest.raises(SnapshotError, match="canonical"):
        codec.decode(respell(codec.encode(snapshot)))


def test_a_snapshot_beyond_the_bound_is_not_even_parsed() -> None:
    with pytest.raises(SnapshotError, match="at most"):
        codec.decode(b" " * (codec.MAX_BYTES + 1))


def test_random_damage_is_an_error_and_never_a_crash(snapshot: wire.Snapshot) -> None:
    payload = codec.encode(snapshot)
    chance = random.Random(7)
    refused = 0
    for _ in range(500):
        damaged = bytearray(payload)
        for _ in range(chance.randrange(1, 4)):
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        try:
            codec.decode(bytes(damaged))
        except SnapshotError:
            refused += 1
    assert refused > 300
