"""Tenancy as a matrix: every field that names something, filled from another tenant's namespace.

None gets through: the foreign name stands nowhere in what the object became, and nothing of the
other tenant changes, whoever else is told what.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec
import pytest

from signalbox_api import KINDS, Resource
from signalbox_api.scalars import REF_PATTERN
from signalbox_operator.compiler import Compilation, compile_objects
from signalbox_snapshot import snapshot as wire

PLATFORM, OWN, OTHER = "signalbox-system", "retail", "wealth"
ROOT = {"ownerTeam": "t", "focusAccount": "1", "defaultSensitivity": "internal"}
MONEY = {"limit": {"usd": "1"}, "window": {"every": "day"}}

FOREIGN: Final[Mapping[str, tuple[str, dict[str, Any]]]] = {
    "Agent.domain": ("Agent", {"domain": "wealth/d", "maxSensitivity": "internal"}),
    "Agent.defaults.dataAssets[]": (
        "Agent",
        {
            "domain": "d",
            "maxSensitivity": "internal",
            "defaults": {"dataAssets": ["wealth/asset"]},
        },
    ),
    "Budget.scope.agent": ("Budget", {"scope": {"agent": "wealth/agent"}, **MONEY}),
    "Budget.scope.domain": ("Budget", {"scope": {"domain": "wealth/d"}, **MONEY}),
    "DataAsset.domain": ("DataAsset", {"domain": "wealth/d", "sensitivity": "internal"}),
    "Domain.parent": ("Domain", {"parent": "wealth/d", **ROOT}),
    "RoutePolicy.match.agents[]": (
        "RoutePolicy",
        {"match": {"agents": ["wealth/agent"]}, "constraints": {"qualityFloor": "0.99"}},
    ),
    "RoutePolicy.match.domains[]": (
        "RoutePolicy",
        {"match": {"domains": ["wealth/d"]}, "constraints": {"qualityFloor": "0.99"}},
    ),
}
"""Every field that can name another object by namespace, with a foreign name in it."""


def written(kind: str, name: str, namespace: str, spec: Mapping[str, Any]) -> Resource:
    metadata = {"name": name, "namespace": namespace, "generation": 1}
    return KINDS[kind].resource.model_validate({"kind": kind, "metadata": metadata, "spec": spec})


def company() -> list[Resource]:
    """Two tenants, each with a domain, an agent, a data asset and a budget of its own."""
    made = [
        written("Domain", "root", PLATFORM, ROOT | {"allowedNamespaces": [OWN, OTHER]}),
        written("Domain", "closed", PLATFORM, ROOT | {"allowedNamespaces": [OTHER]}),
        written("Budget", "all", PLATFORM, {"scope": {"all": True}, **MONEY}),
    ]
    for namespace in (OWN, OTHER):
        asks = {"domain": "d", "maxSensitivity": "internal"}
        made += [
            written("Domain", "d", namespace, ROOT | {"parent": f"{PLATFORM}/root"}),
            written("DataAsset", "asset", namespace, {"domain": "d", "sensitivity": "internal"}),
            written("Agent", "agent", namespace, asks),
            written("Budget", "day", namespace, {"scope": {"agent": "agent"}, **MONEY}),
        ]
    return made


def compiled(*more: Resource) -> Compilation:
    return compile_objects([*company(), *more], platform_namespace=PLATFORM)


def of_namespace(snapshot: wire.Snapshot, namespace: str) -> dict[str, bytes]:
    """What objects of a namespace became, by kind and id."""
    kinds = ("domains", "agents", "data_assets", "models", "budgets", "policies")
    return {
        f"{kind} {item.id}": msgspec.json.encode(item)
        for kind in kinds
        for item in getattr(snapshot, kind)
        if item.id.startswith(f"{namespace}/")
    }


def named(schema: Mapping[str, Any], definitions: Mapping[str, Any], path: str) -> Iterator[str]:
    """The fields of a type that hold a reference."""
    if "$ref" in schema:
        schema = definitions[schema["$ref"].rpartition("/")[2]]
    if schema.get("pattern") == REF_PATTERN:
        yield path
    for part in (*schema.get("anyOf", ()), *schema.get("allOf", ())):
        yield from named(part, definitions, path)
    for name, part in schema.get("properties", {}).items():
        yield from named(part, definitions, f"{path}.{name}")
    if "items" in schema:
        yield from named(schema["items"], definitions, f"{path}[]")


def test_the_matrix_has_every_field_that_names_something() -> None:
    found = set()
    for kind, described in KINDS.items():
        schema = described.resource.model_json_schema(by_alias=True)
        definitions = schema["$defs"]
        spec = schema["properties"]["spec"]
        found |= set(named(spec, definitions, kind))
    assert found == set(FOREIGN)


@pytest.mark.parametrize("field", FOREIGN)
def test_another_tenants_object_cannot_be_named(field: str) -> None:
    kind, spec = FOREIGN[field]
    before = compiled()
    attack = written(kind, "attack", OWN, spec)
    after = compiled(attack)
    refused = [item for item in after.findings if item.name == "attack"]
    assert any(item.severity == "error" and "NotPermitted" in item.reason for item in refused)
    for became in of_namespace(after.snapshot, OWN).values():
        assert b"wealth/" not in became
    assert of_namespace(after.snapshot, OTHER) == of_namespace(before.snapshot, OTHER)


@pytest.mark.parametrize(
    "field", [each for each in FOREIGN if each.endswith((".domain", ".domains[]", ".parent"))]
)
def test_nor_what_the_platform_gave_to_the_other_tenant_only(field: str) -> None:
    kind, spec = FOREIGN[field]
    text = msgspec.json.encode(spec).replace(b"wealth/d", f"{PLATFORM}/closed".encode())
    attack = written(kind, "attack", OWN, msgspec.json.decode(text))
    after = compiled(attack)
    refused = [item for item in after.findings if item.name == "attack"]
    assert any(item.severity == "error" and "NotPermitted" in item.reason for item in refused)
    for became in of_namespace(after.snapshot, OWN).values():
        assert b"/closed" not in became


@pytest.mark.parametrize("kind", ["Budget", "RoutePolicy"])
def test_a_tenants_object_for_all_is_for_its_own_agents(kind: str) -> None:
    spec: dict[str, Any] = {"scope": {"all": True}, **MONEY}
    if kind == "RoutePolicy":
        spec = {"match": {}, "constraints": {"qualityFloor": "0.99"}}
    before, after = compiled(), compiled(written(kind, "attack", OWN, spec))
    assert of_namespace(after.snapshot, OTHER) == of_namespace(before.snapshot, OTHER)
    for policy in after.snapshot.policies:
        if policy.id == f"{OWN}/attack":
            assert policy.match.agents is not None or policy.match.domains is not None
            assert not any(
                name.startswith(f"{OTHER}/")
                for name in (*(policy.match.agents or ()), *(policy.match.domains or ()))
            )


def test_a_tenants_model_is_no_lane_for_anybody() -> None:
    lane = {
        "name": "l",
        "class": "public",
        "provider": "p",
        "wireFormat": "openai",
        "upstreamModel": "m",
        "endpoint": "https://evil.example/v1",
        "auth": {"type": "apiKey", "key": "openai"},
        "region": "eu",
        "jurisdiction": "DE",
        "maxSensitivity": "regulated",
    }
    spec = {
        "tokenizer": "estimate",
        "capabilities": ["chat"],
        "limits": {"contextTokens": 1000, "maxOutputTokens": 100},
        "quality": {"default": "0.9"},
        "price": {"input": "0", "output": "0"},
        "lanes": [lane],
    }
    after = compiled(written("Model", "mini", OWN, spec))
    assert after.snapshot.models == []
    assert b"evil.example" not in msgspec.json.encode(after.snapshot)


def test_a_deleted_domain_takes_its_agents_and_budgets_with_it_and_nobody_spends() -> None:
    given = [each for each in company() if str(each.key) != f"Domain {OTHER}/d"]
    given = [
        each for each in given if not (each.key.kind == "Domain" and each.key.namespace == OTHER)
    ]
    scoped = written("Budget", "team", OTHER, {"scope": {"domain": "d"}, **MONEY})
    after = compile_objects([*given, scoped], platform_namespace=PLATFORM)
    assert not [agent for agent in after.snapshot.agents if agent.id.startswith(f"{OTHER}/")]
    assert not [item for item in after.snapshot.budgets if item.id == f"{OTHER}/team"]
    assert [item for item in after.snapshot.agents if item.id == f"{OWN}/agent"]
