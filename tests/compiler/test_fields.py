"""Every field of the snapshot is governed by something that people write.

Each edit below changes one thing about one object; together they must move every field of every
wire type. A field that nothing can move would be one that nobody can ask for.
"""

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from signalbox_api import Resource
from signalbox_snapshot import snapshot as wire
from support.written import (
    PLATFORM,
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
)

DE = {"jurisdictions": ["DE"]}
LONG = {"aboveTokens": 1000, "input": "5"}
DIGEST = "a" * 64
KEY = {"name": "k", "sha256": DIGEST}


HD = {"perImage": [{"size": "1024x1024", "quality": "hd", "price": "0.08"}]}


def painter(price: dict[str, Any]) -> dict[str, Any]:
    return {"capabilities": ["imageGeneration", "transcription"], "price": price}


def rich(*more: Resource) -> list[Resource]:
    return fleet(
        asset("faq"),
        model("mini", price={"input": "1", "output": "2", "longContext": LONG}),
        model("next"),
        model("studio", **painter(HD)),
        agent("search", credentials={"keys": [KEY]}),
        policy("p"),
        *more,
    )


def mini(**spec: Any) -> Resource:
    price = {"input": "1", "output": "2", "longContext": LONG}
    return model("mini", **{"price": price} | spec)


def limits(**more: Any) -> dict[str, Any]:
    return {"limits": {"contextTokens": 8192, "maxOutputTokens": 4096} | more}


def search(**spec: Any) -> Resource:
    return agent("search", **{"credentials": {"keys": [KEY]}} | spec)


def keyed(**more: Any) -> Resource:
    return search(credentials={"keys": [KEY | more]})


EDITS: list[Resource] = [
    asset("a-first"),
    model("a-first"),
    budget("a-first"),
    company(ownerTeam="x", focusAccount="x", defaultSensitivity="public", residency=DE),
    domain("shop", "retail", parent="retail"),
    domain("retail", "retail", parent=f"{PLATFORM}/group"),
    domain("group"),
    asset("faq", domain=f"{PLATFORM}/company", sensitivity="public", residency=DE),
    asset("faq", location="x", retention="7y"),
    agent("other"),
    search(domain=f"{PLATFORM}/company", maxSensitivity="public"),
    search(defaults={"workload": "x", "dataAssets": ["faq"]}),
    search(models={"allow": []}, tools={"allow": []}),
    keyed(name="k2", sha256="b" * 64),
    keyed(lookup="c" * 16, expiresAt="2030-01-01T00:00:00Z"),
    search(credentials={}),
    mini(aliases=["x"], tokenizer="o200k", capabilities=["chat", "tools"]),
    mini(**limits(contextTokens=9000, maxOutputTokens=5000, defaultOutputTokens=5)),
    mini(**limits(tokensPerImage=5)),
    mini(**limits(overhead={"perRequest": 1, "perMessage": 1, "perTool": 1})),
    mini(quality={"default": "0.5", "byWorkload": {"x": "0.5"}}),
    mini(deprecation={"at": "2030-01-01T00:00:00Z", "replacement": "next"}),
    mini(price={"input": "3", "cachedInput": "3", "output": "3", "longContext": LONG}),
    mini(
        price={
            "input": "1",
            "output": "2",
            "cacheWrite": {"5m": "3", "1h": "3"},
            "longContext": LONG | {"aboveTokens": 5},
        }
    ),
    mini(price={"input": "1", "output": "2"}),
    mini(price=None),
    mini(lanes=[lane("x", **{"class": "regional"}, provider="x", wireFormat="anthropic")]),
    mini(lanes=[lane(upstreamModel="x", endpoint="https://x", auth={"type": "none"})]),
    mini(lanes=[lane(auth={"type": "apiKey", "key": "x"}, region="x", jurisdiction="DE")]),
    mini(
        lanes=[lane(auth={"type": "aws", "role": "arn:aws:iam::123456789012:role/r"}, region="x")]
    ),
    mini(lanes=[lane(auth={"type": "google", "serviceAccount": "a@b.gserviceaccount.com"})]),
    mini(lanes=[lane(auth={"type": "azure", "tenant": "t", "client": "c"})]),
    mini(lanes=[lane(maxSensitivity="public", serviceTier="x", typicalFirstChunkMs=5)]),
    mini(lanes=[lane(price={"multiplier": "0.5", "regionalPremium": "0.1"})]),
    mini(displayName="Mini"),
    mini(**limits(audioSeconds=5)),
    model("studio", **painter({"perImage": [{"price": "0.04"}]})),
    model("studio", **painter({"perMinute": "0.08"})),
    model("studio", **painter({"input": "1", "output": "1"})),
    mini(lanes=[lane(outputLimitField="max_completion_tokens")]),
    mini(lanes=[lane(responsesApi=True)]),
    mini(lanes=[lane(apiVersion="2024-10-21")]),
    mini(lanes=[lane(limits={"requestTimeoutSeconds": 5})]),
    budget("day", scope={"workload": "x"}, per="user", whenMissing="refuse"),
    budget("day", limit={"tokens": 5}, maxPerRequest={"tokens": 5}, warnAtPercent=[5]),
    budget("day", window={"every": "hour", "count": 2, "timeZone": "Asia/Tokyo"}),
    budget("day", enforcement="DryRun", onExhausted="CheaperLane"),
    budget("day", per="session", maxNewSubjectsPerAgent=5),
    policy("more"),
    policy("p", match={"domains": ["company"], "agents": ["retail/search"]}),
    policy("p", match={"workloads": ["x"], "tasks": ["x"], "models": ["auto"]}),
    policy("p", match={"sensitivities": ["public"]}, enforcement="DryRun"),
    policy("p", constraints={"laneClasses": ["public"], "regions": ["x"], **DE}),
    policy("p", constraints={"qualityFloor": "0.5", "firstChunkMs": 5, "maxUsd": "5"}),
    policy("p", candidates=["mini"], objective="best", retries={"attempts": 1}),
    policy("p", failover=False, defaults={"maxOutputTokens": 5}),
    policy("p", promptCaching="Off"),
    policy("p", responses={"store": "Allow"}),
]


def moved(one: object, other: object) -> Iterator[str]:
    """The fields, as Type.field, in which two wire values differ."""
    if isinstance(one, msgspec.Struct) and type(one) is type(other):
        for name in one.__struct_fields__:
            first, second = getattr(one, name), getattr(other, name)
            if first != second:
                yield f"{type(one).__name__}.{name}"
                yield from moved(first, second)
    elif one is None and isinstance(other, msgspec.Struct):
        for field in msgspec.structs.fields(other):
            if getattr(other, field.name) != field.default:
                yield f"{type(other).__name__}.{field.name}"
    elif isinstance(one, list) and isinstance(other, list):
        for first, second in zip(one, other, strict=False):
            yield from moved(first, second)


def wire_types() -> list[type[msgspec.Struct]]:
    return [
        item
        for item in vars(wire).values()
        if isinstance(item, type) and issubclass(item, wire.Wire) and item is not wire.Wire
    ]


CLUSTERS = {"Issuer", "IssuerKey", "ServiceAccount", "OfWorkloads", "WithIssuers"}


def test_every_field_of_the_snapshot_can_be_moved_by_something_written() -> None:
    before = compiled(rich()).snapshot
    found = {name for edit in EDITS for name in moved(before, compiled(rich(edit)).snapshot)}
    fields = {f"{item.__name__}.{name}" for item in wire_types() for name in item.__struct_fields__}
    fixed = {"Snapshot.schema", "Snapshot.platform_namespace"}
    # What the cluster says, and nobody writes: tests/compiler/test_workloads.py
    fixed |= {"Snapshot.issuers", "Agent.service_accounts"}
    fixed |= {name for name in fields if name.partition(".")[0] in CLUSTERS}
    assert fields - fixed - found == set()


@pytest.mark.parametrize("position", range(len(EDITS)))
def test_every_edit_changes_the_snapshot(position: int) -> None:
    assert compiled(rich(EDITS[position])).snapshot != compiled(rich()).snapshot
