"""What the bench gives the proxy: a small company, so that every step of the path has work.

One agent under two domains, three money budgets and a request budget that never run out, two
policies, and a model with two lanes of which the cheapest leads to the mock. Written as a
snapshot: the bench measures the data plane alone.
"""

from signalbox_snapshot import snapshot as wire

LARGE = 10**18  # nano-USD, and requests: a limit that no bench reaches


def tier(input_price: int, output_price: int) -> wire.Tier:
    return wire.Tier(
        input=input_price,
        cached_input=input_price // 10,
        cache_write_5m=input_price,
        cache_write_1h=input_price,
        output=output_price,
    )


def lane(name: str, endpoint: str, price: wire.PriceTable) -> wire.Lane:
    return wire.Lane(
        name=name,
        lane_class="public",
        provider="openai",
        wire_format="openai",
        upstream_model="gpt-bench",
        endpoint=endpoint,
        auth="apiKey",
        auth_key="openai",
        region="us-east",
        jurisdiction="US",
        max_sensitivity=2,
        list_price=price,
        price=price,
        output_limit_field="max_completion_tokens",
    )


def budget(name: str, unit: wire.Unit, scope: str) -> wire.Budget:
    return wire.Budget(
        id=f"shop/{name}",
        scope=scope,
        workload="",
        per=None,
        when_missing="share",
        unit=unit,
        limit=LARGE,
        window=wire.Window(every="day", count=1, time_zone="UTC"),
        max_per_request=None,
        warn_at_percent=[80],
        enforcement="Enforce",
    )


def policy(name: str, **fields: object) -> wire.Policy:
    return wire.Policy(
        id=f"shop/{name}",
        rank=[0, 1, 0, 0, 0],
        match=wire.Match(domains=["shop/retail"]),
        enforcement="Enforce",
        **fields,  # type: ignore[arg-type]
    )


def snapshot(upstream: str, key_sha256: str) -> wire.Snapshot:
    """The bench's configuration; `upstream` is the mock's base URL, without a slash at the end."""
    prices = wire.PriceTable(standard=tier(250_000_000, 2_000_000_000))
    dearer = wire.PriceTable(standard=tier(275_000_000, 2_200_000_000))
    budgets = [
        budget("company-day", "usd", "all"),
        budget("requests-day", "requests", "domain shop/retail"),
        budget("retail-day", "usd", "domain shop/retail"),
        budget("search-day", "usd", "agent shop/search"),
    ]
    return wire.Snapshot(
        schema=wire.SCHEMA,
        platform_namespace="platform",
        domains=[
            wire.Domain(
                id=name,
                owner_team="shop",
                focus_account="6410",
                default_sensitivity=1,
                jurisdictions=None,
                ancestors=ancestors,
            )
            for name, ancestors in (("shop/company", []), ("shop/retail", ["shop/company"]))
        ],
        agents=[
            wire.Agent(
                id="shop/search",
                domain="shop/retail",
                max_sensitivity=2,
                keys=[wire.Key(name="bench", sha256=key_sha256)],
                default_workload="search",
                default_data_assets=[],
                models=None,
                tools=None,
                budgets=[each.id for each in budgets],
            )
        ],
        data_assets=[],
        models=[
            wire.Model(
                id="platform/gpt-bench",
                name="gpt-bench",
                names=["gpt-bench"],
                tokenizer="o200k",
                capabilities=["chat"],
                limits=wire.TokenLimits(
                    context=128_000,
                    max_output=16_000,
                    default_output=1_024,
                    per_image=0,
                    per_request=16,
                    per_message=8,
                    per_tool=16,
                ),
                quality=wire.Quality(default=880_000),
                lanes=[
                    lane("eu", upstream, dearer),
                    lane("us", upstream, prices),
                ],
            )
        ],
        budgets=budgets,
        policies=[
            policy("floor", quality_floor=700_000, max_nano=100_000_000),
            policy("prefer", objective="cheapest", attempts=2, failover=True),
        ],
    )
