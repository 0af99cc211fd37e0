"""A snapshot in which every kind of object and every optional part occurs."""

from signalbox_snapshot import snapshot as wire


def whole_snapshot() -> wire.Snapshot:
    tier = wire.Tier(
        input=1_000_000_000,
        cached_input=100_000_000,
        cache_write_5m=1_250_000_000,
        cache_write_1h=None,
        output=2_000_000_000,
    )
    price = wire.PriceTable(
        standard=tier, long_context=wire.LongContext(above_tokens=200_000, tier=tier)
    )
    lane = wire.Lane(
        name="us",
        lane_class="public",
        provider="openai",
        wire_format="openai",
        upstream_model="upstream",
        endpoint="https://api.example.com/v1",
        auth="apiKey",
        auth_key="openai",
        region="us-east",
        jurisdiction="US",
        max_sensitivity=2,
        list_price=price,
        price=price,
    )
    model = wire.Model(
        id="platform/mini",
        name="mini",
        names=["mini", "mini-latest"],
        tokenizer="o200k",
        capabilities=["chat"],
        limits=wire.TokenLimits(
            context=8192,
            max_output=4096,
            default_output=1024,
            per_image=0,
            per_request=600,
            per_message=8,
            per_tool=16,
        ),
        quality=wire.Quality(default=800_000, by_workload={"advice": 900_000}),
        lanes=[lane],
        retires_at=1_900_000_000,
        replacement=None,
    )
    root = wire.Domain(
        id="platform/company",
        owner_team="Straße & Söhne 東京",
        focus_account="6000",
        default_sensitivity=1,
        jurisdictions=["DE", "FR"],
        ancestors=[],
    )
    child = wire.Domain(
        id="wealth/wealth",
        owner_team="wealth",
        focus_account="6420",
        default_sensitivity=2,
        jurisdictions=["DE"],
        ancestors=["platform/company"],
    )
    agent = wire.Agent(
        id="wealth/advisor",
        domain="wealth/wealth",
        max_sensitivity=3,
        keys=[wire.Key(name="k1", sha256="0f" * 32, lookup="ab" * 8, expires_at=1_900_000_000)],
        default_workload="advice",
        default_data_assets=["wealth/portfolios"],
        models=["platform/mini"],
        tools=["quote"],
        budgets=["platform/day"],
    )
    return wire.Snapshot(
        schema=wire.SCHEMA,
        platform_namespace="platform",
        domains=[root, child],
        agents=[agent],
        data_assets=[
            wire.DataAsset(
                id="wealth/portfolios",
                domain="wealth/wealth",
                sensitivity=3,
                jurisdictions=["DE"],
                location="eu-central-1",
                retention="7y",
            )
        ],
        models=[model],
        budgets=[
            wire.Budget(
                id="platform/day",
                scope="all",
                workload="",
                per="session",
                when_missing="share",
                unit="usd",
                limit=5_000_000_000,
                window=wire.Window(every="day", count=1, time_zone="Europe/Berlin"),
                max_per_request=50_000_000,
                warn_at_percent=[50, 80],
                enforcement="Enforce",
                on_exhausted="CheaperLane",
                new_subjects=500,
            )
        ],
        policies=[
            wire.Policy(
                id="wealth/advice",
                rank=[0, 2, 1, 0, 0],
                match=wire.Match(domains=["wealth/wealth"], models=["auto", "platform/mini"]),
                enforcement="Enforce",
                jurisdictions=["DE"],
                quality_floor=700_000,
                candidates=["asked", "platform/mini"],
                objective="cheapest",
            )
        ],
    )
