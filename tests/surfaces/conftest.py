"""Models, lanes and requests that the tests of surfaces and prices share."""

from collections.abc import Callable
from typing import Any

import pytest

from signalbox_proxy.refusals import Refusal
from signalbox_proxy.surfaces import BY_PATH, CHAT, EMBEDDINGS, MESSAGES, Surface
from signalbox_snapshot.snapshot import Lane, Model, PriceTable, Quality, Tier, TokenLimits
from support.acme import acme_lane

TIER = Tier(
    input=3_000_000_000,
    cached_input=300_000_000,
    cache_write_5m=3_750_000_000,
    cache_write_1h=6_000_000_000,
    output=15_000_000_000,
)


@pytest.fixture
def make_lane() -> Callable[..., Lane]:
    def make(**changes: Any) -> Lane:
        table = PriceTable(standard=TIER)
        return acme_lane(**({"list_price": table, "price": table} | changes))

    return make


@pytest.fixture
def make_model(make_lane: Callable[..., Lane]) -> Callable[..., Model]:
    def make(**limits: int) -> Model:
        given = {
            "context": 200_000,
            "max_output": 64_000,
            "default_output": 1024,
            "per_image": 5000,
            "per_request": 600,
            "per_message": 8,
            "per_tool": 16,
        }
        return Model(
            id="platform/large",
            name="large",
            names=["large"],
            tokenizer="o200k",
            capabilities=["chat", "tools", "images"],
            limits=TokenLimits(**(given | limits)),
            quality=Quality(default=900_000),
            lanes=[make_lane()],
        )

    return make


@pytest.fixture(params=[CHAT, MESSAGES, EMBEDDINGS], ids=lambda surface: surface.name)
def surface(request: pytest.FixtureRequest) -> Surface:
    found: Surface = request.param
    assert BY_PATH[found.path] is found
    return found


@pytest.fixture
def refused() -> Callable[..., Refusal]:
    """Parse a body that must be refused and give the refusal."""

    def parse(surface: Surface, body: dict[str, Any], **headers: str) -> Refusal:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        with pytest.raises(Refusal) as caught:
            surface.parse(body, named)
        refusal: Refusal = caught.value
        return refusal

    return parse
