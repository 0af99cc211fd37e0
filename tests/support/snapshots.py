"""Snapshots made by hand: a small company on the simulated provider, changed as a test needs it."""

from typing import Any

import msgspec

from signalbox_proxy.identity import format_key, key_digest
from signalbox_snapshot.snapshot import (
    SCHEMA,
    Agent,
    Budget,
    DataAsset,
    Domain,
    Key,
    Lane,
    LongContext,
    Match,
    Model,
    Policy,
    PriceTable,
    Quality,
    Snapshot,
    Tier,
    TokenLimits,
    Window,
)

PLATFORM = "signalbox-system"
SECRET = "c2VjcmV0LXNlY3JldC1zZWNyZXQ"
OPENAI, OPENAI_EU = "api.openai.com", "eu.api.openai.com"
ANTHROPIC, MISTRAL, VLLM = "api.anthropic.com", "api.mistral.ai", "vllm.inference.svc"
CREDENTIALS = {
    "openai": "sk-simulated-openai",
    "anthropic": "sk-ant-simulated",
    "mistral": "sk-mistral",
}
EU = ["DE", "FR", "IE", "SE"]


def key_of(agent: str) -> str:
    """The key of an agent made by `agent`."""
    namespace, _, name = agent.partition("/")
    return format_key(namespace, name, SECRET)


def agent(id_: str = "retail/support", **changes: Any) -> Agent:
    namespace, _, name = id_.partition("/")
    fields: dict[str, Any] = {
        "domain": f"{namespace}/main",
        "max_sensitivity": 3,
        "keys": [Key(name="k1", sha256=key_digest(namespace, name, SECRET))],
        "default_workload": "",
        "default_data_assets": [],
        "models": None,
        "tools": None,
        "budgets": [f"{namespace}/day"],
    }
    return Agent(id=id_, **fields | changes)


def domain(id_: str = "retail/main", **changes: Any) -> Domain:
    fields: dict[str, Any] = {
        "owner_team": id_.partition("/")[0],
        "focus_account": "6410",
        "default_sensitivity": 1,
        "jurisdictions": None,
        "ancestors": [],
    }
    return Domain(id=id_, **fields | changes)


def asset(id_: str, **changes: Any) -> DataAsset:
    fields: dict[str, Any] = {
        "domain": f"{id_.partition('/')[0]}/main",
        "sensitivity": 1,
        "jurisdictions": None,
        "location": "",
        "retention": "1y",
    }
    return DataAsset(id=id_, **fields | changes)


def price(input_usd: str, output_usd: str, cached_usd: str = "", **changes: Any) -> PriceTable:
    """Prices in USD per million tokens; cache writes cost a quarter more, and twice as much."""
    input_ = nano(input_usd)
    tier = Tier(
        input=input_,
        cached_input=nano(cached_usd) if cached_usd else input_,
        cache_write_5m=input_ * 5 // 4,
        cache_write_1h=input_ * 2,
        output=nano(output_usd),
    )
    return PriceTable(standard=msgspec.structs.replace(tier, **changes))


def nano(usd: str) -> int:
    whole, _, fraction = usd.partition(".")
    return int(whole) * 10**9 + int(fraction.ljust(9, "0"))


def lane(name: str, **changes: Any) -> Lane:
    table = changes.pop("price", price("1", "4"))
    fields: dict[str, Any] = {
        "lane_class": "public",
        "provider": "openai",
        "wire_format": "openai",
        "upstream_model": "gpt-5-mini",
        "endpoint": f"https://{OPENAI}",
        "auth": "apiKey",
        "auth_key": "openai",
        "region": "us-east-1",
        "jurisdiction": "US",
        "max_sensitivity": 3,
        "list_price": table,
        "price": table,
        "output_limit_field": "max_completion_tokens",
    }
    return Lane(name=name, **fields | changes)


def model(id_: str = f"{PLATFORM}/mini", *, lanes: list[Lane], **changes: Any) -> Model:
    name = id_.partition("/")[2]
    limits = {
        "context": 272_000,
        "max_output": 32_000,
        "default_output": 1024,
        "per_image": 3000,
        "per_request": 64,
        "per_message": 16,
        "per_tool": 64,
    } | changes.pop("limits", {})
    fields: dict[str, Any] = {
        "name": name,
        "names": [name],
        "tokenizer": "o200k",
        "capabilities": ["chat", "images", "promptCaching", "structuredOutput", "tools"],
        "limits": TokenLimits(**limits),
        "quality": Quality(default=800_000),
    }
    return Model(id=id_, lanes=lanes, **fields | changes)


def budget(id_: str = "retail/day", limit: int = 10**10, **changes: Any) -> Budget:
    fields: dict[str, Any] = {
        "scope": "all",
        "workload": "",
        "per": None,
        "when_missing": "share",
        "unit": "usd",
        "limit": limit,
        "window": window(),
        "max_per_request": None,
        "warn_at_percent": [],
        "enforcement": "Enforce",
    }
    return Budget(id=id_, **fields | changes)


def window(every: Any = "lifetime", count: int = 1, time_zone: str = "UTC") -> Window:
    return Window(every=every, count=count, time_zone=time_zone)


def policy(id_: str = "retail/routes", *, match: Match | None = None, **changes: Any) -> Policy:
    fields: dict[str, Any] = {"rank": [0, 0, 0, 0, 0], "enforcement": "Enforce"}
    return Policy(id=id_, match=match or Match(), **fields | changes)


def mini(**changes: Any) -> Model:
    """gpt-5-mini as the provider sells it, in America and, a tenth dearer, in Europe."""
    listed = price("0.25", "2", "0.025")
    return model(
        f"{PLATFORM}/mini",
        lanes=[
            lane("us", price=listed),
            lane(
                "eu",
                endpoint=f"https://{OPENAI_EU}",
                region="eu-central-1",
                jurisdiction="DE",
                lane_class="regional",
                list_price=listed,
                price=price("0.275", "2.2", "0.0275"),
                premium_ppm=100_000,
            ),
        ],
        **changes,
    )


def small(**changes: Any) -> Model:
    """A model of another provider, in France."""
    return model(
        f"{PLATFORM}/small",
        lanes=[
            lane(
                "fr",
                provider="mistral",
                endpoint=f"https://{MISTRAL}",
                auth_key="mistral",
                upstream_model="mistral-small-latest",
                region="eu-west-3",
                jurisdiction="FR",
                price=price("0.15", "0.6", "0.015"),
                output_limit_field="max_tokens",
            )
        ],
        **{"tokenizer": "estimate"} | changes,
    )


def haiku(**changes: Any) -> Model:
    return model(
        f"{PLATFORM}/haiku",
        lanes=[
            lane(
                "us",
                provider="anthropic",
                wire_format="anthropic",
                endpoint=f"https://{ANTHROPIC}",
                auth_key="anthropic",
                upstream_model="claude-haiku-4-5",
                price=price("1", "5", "0.10"),
                output_limit_field="max_tokens",
            )
        ],
        **{"tokenizer": "estimate", "limits": {"per_request": 1024}} | changes,
    )


def embedder() -> Model:
    return model(
        f"{PLATFORM}/embedder",
        lanes=[lane("us", upstream_model="text-embedding-3-small", price=price("0.02", "0"))],
        capabilities=["embeddings"],
    )


def snapshot(**changes: Any) -> Snapshot:
    """Two domains, one locked to the EU; four models; a budget each. Lists are sorted here."""
    fields: dict[str, Any] = {
        "schema": SCHEMA,
        "platform_namespace": PLATFORM,
        "domains": [
            domain("retail/main"),
            domain("wealth/main", jurisdictions=EU, default_sensitivity=2),
        ],
        "agents": [agent("retail/support"), agent("wealth/advisor")],
        "data_assets": [asset("wealth/portfolios", sensitivity=3, jurisdictions=EU)],
        "models": [embedder(), haiku(), mini(), small()],
        "budgets": [budget("retail/day"), budget("wealth/day")],
        "policies": [],
    } | changes
    for name, value in fields.items():
        if isinstance(value, list):
            fields[name] = sorted(value, key=lambda item: str(item.id))
    return Snapshot(**fields)


def simulated(given: Snapshot, url: str) -> Snapshot:
    """The same snapshot with every lane at the simulator."""

    def moved(each: Lane) -> Lane:
        host, _, path = each.endpoint.removeprefix("https://").partition("/")
        return msgspec.structs.replace(each, endpoint=f"{url}/{host}/{path or 'v1'}")

    models = [
        msgspec.structs.replace(each, lanes=[moved(one) for one in each.lanes])
        for each in given.models
    ]
    return msgspec.structs.replace(given, models=models)


def long_context(table: PriceTable, above: int, input_usd: str, output_usd: str) -> PriceTable:
    tier = price(input_usd, output_usd).standard
    return msgspec.structs.replace(table, long_context=LongContext(above_tokens=above, tier=tier))
