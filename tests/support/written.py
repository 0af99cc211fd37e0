"""Objects as people write them, for tests of what they mean: small, valid, changed by keyword."""

from collections.abc import Iterable, Mapping
from typing import Any

from signalbox_api import KINDS, Resource, ResourceKey
from signalbox_operator.compiler import Compilation, Finding, compile_objects

PLATFORM = "signalbox-system"
TENANTS = ("retail", "wealth")


def written(kind: str, name: str, namespace: str, spec: Mapping[str, Any], **meta: Any) -> Resource:
    """One object, validated as a manifest would be."""
    metadata = {"name": name, "namespace": namespace, **meta}
    return KINDS[kind].resource.model_validate(
        {"kind": kind, "metadata": metadata, "spec": dict(spec)}
    )


def domain(name: str, namespace: str = PLATFORM, **spec: Any) -> Resource:
    """A domain; of a tenant, a child of the platform's `company`."""
    facts: dict[str, Any] = {"ownerTeam": name, "focusAccount": "6000"}
    if namespace != PLATFORM:
        facts["parent"] = f"{PLATFORM}/company"
    return written("Domain", name, namespace, facts | spec)


def company(**spec: Any) -> Resource:
    """The platform's root domain, open to the tenants."""
    return domain("company", **{"allowedNamespaces": list(TENANTS)} | spec)


def agent(name: str, namespace: str = "retail", **spec: Any) -> Resource:
    facts = {"domain": namespace, "maxSensitivity": "regulated"}
    return written("Agent", name, namespace, facts | spec)


def asset(name: str, namespace: str = "retail", **spec: Any) -> Resource:
    facts = {"domain": namespace, "sensitivity": "confidential"}
    return written("DataAsset", name, namespace, facts | spec)


def lane(name: str = "us", **fields: Any) -> dict[str, Any]:
    facts = {
        "name": name,
        "class": "public",
        "provider": "mistral",
        "wireFormat": "openai",
        "upstreamModel": "upstream",
        "endpoint": "https://api.example.com/v1",
        "auth": {"type": "apiKey", "key": "mistral"},
        "region": "us-east",
        "jurisdiction": "US",
        "maxSensitivity": "regulated",
    }
    return facts | fields


def model(name: str, namespace: str = PLATFORM, **spec: Any) -> Resource:
    facts = {
        "capabilities": ["chat"],
        "limits": {"contextTokens": 8192, "maxOutputTokens": 4096},
        "quality": {"default": "0.8"},
        "price": {"input": "1", "output": "2"},
        "lanes": [lane()],
    }
    return written("Model", name, namespace, facts | spec)


def budget(name: str, namespace: str = PLATFORM, **spec: Any) -> Resource:
    facts = {"scope": {"all": True}, "limit": {"usd": "5"}, "window": {"every": "day"}}
    return written("Budget", name, namespace, facts | spec)


def policy(name: str, namespace: str = PLATFORM, **spec: Any) -> Resource:
    return written("RoutePolicy", name, namespace, spec)


def fleet(*more: Resource) -> list[Resource]:
    """A company with two tenants, one agent each, one model, one budget; objects in `more` with
    the same identity replace theirs."""
    objects = [
        company(),
        domain("retail", "retail"),
        domain("wealth", "wealth"),
        agent("search", "retail"),
        agent("advisor", "wealth"),
        model("mini"),
        budget("day"),
    ]
    by_key = {item.key: item for item in (*objects, *more)}
    return list(by_key.values())


def without(objects: Iterable[Resource], kind: str, name: str) -> list[Resource]:
    """The objects, one deleted."""
    return [item for item in objects if (item.kind, item.metadata.name) != (kind, name)]


def compiled(
    objects: Iterable[Resource],
    previous: Compilation | None = None,
    simulate_url: str | None = None,
) -> Compilation:
    return compile_objects(
        objects,
        platform_namespace=PLATFORM,
        simulate_url=simulate_url,
        previous=None if previous is None else previous.in_force,
    )


def about(compilation: Compilation, kind: str, name: str) -> list[Finding]:
    """The findings about one object."""
    return [item for item in compilation.findings if (item.kind, item.name) == (kind, name)]


def only(compilation: Compilation, kind: str, name: str) -> Finding:
    """The one finding about an object."""
    (finding,) = about(compilation, kind, name)
    return finding


def key_of(kind: str, name: str, namespace: str) -> ResourceKey:
    return ResourceKey(kind, namespace, name)
