"""Prices: the worst case covers every bill, and every line adds up."""

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signalbox_ledger.records import Usage
from signalbox_proxy import pricing
from signalbox_proxy.model_request import TokenBound
from signalbox_proxy.refusals import Refusal
from signalbox_snapshot.snapshot import Lane, LongContext, PriceTable, Tier

PRICES = st.integers(0, 200_000_000_000)
TIERS = st.builds(
    Tier, input=PRICES, cached_input=PRICES, cache_write_5m=PRICES, cache_write_1h=PRICES,
    output=PRICES,
)  # fmt: skip
TABLES = st.builds(
    PriceTable,
    standard=TIERS,
    long_context=st.none() | st.builds(LongContext, above_tokens=st.integers(0, 4000), tier=TIERS),
)
COUNTS = st.integers(0, 3000)


def lane_with(price: PriceTable, listed: PriceTable | None, **changes: Any) -> Lane:
    return Lane(
        name="us", lane_class="public", provider="acme", wire_format="openai",
        upstream_model="m", endpoint="https://a.example", auth="none", auth_key="",
        region="us", jurisdiction="US", max_sensitivity=0, list_price=listed, price=price,
        **changes,
    )  # fmt: skip


def bill(usage: Usage, price: PriceTable) -> Fraction:
    """What a provider bills, exactly: written from the price sheet, not from the code."""
    total = usage.input + usage.cached_input + usage.cache_write_5m + usage.cache_write_1h
    tier = price.standard
    if price.long_context is not None and total > price.long_context.above_tokens:
        tier = price.long_context.tier
    return Fraction(
        usage.input * tier.input
        + usage.cached_input * tier.cached_input
        + usage.cache_write_5m * (tier.cache_write_5m or 0)
        + usage.cache_write_1h * (tier.cache_write_1h or 0)
        + usage.output * tier.output,
        1_000_000,
    )


@given(
    COUNTS, COUNTS, COUNTS, COUNTS, COUNTS, TABLES, st.integers(0, 50),
    st.sampled_from(["none", "implicit", "5m", "1h"]),
)  # fmt: skip
def test_a_settlement_never_exceeds_its_hold(
    fresh: int, cached: int, short: int, long: int, output: int, price: PriceTable, slack: int,
    cache_write: Any,
) -> None:  # fmt: skip
    usage = Usage(
        input=fresh,
        cached_input=cached,
        cache_write_5m=short if cache_write != "none" else 0,
        cache_write_1h=long if cache_write == "1h" else 0,
        output=output,
    )
    total = usage.input + usage.cached_input + usage.cache_write_5m + usage.cache_write_1h
    bound = TokenBound(input=total + slack, output=output + slack)
    lane = lane_with(price, price)
    held = pricing.worst_nano(bound, price, cache_write)
    lines = pricing.charges(usage, lane, 1)
    settled = sum(line.cost for line in lines)
    assert 0 <= settled <= held
    assert 0 <= settled - bill(usage, price) < max(1, len(lines))
    in_full = sum(line.cost for line in pricing.charges_in_full(bound, lane, 1, cache_write))
    assert bill(usage, price) <= in_full <= held


@given(
    COUNTS, COUNTS, COUNTS, COUNTS, TABLES, TABLES, st.integers(1, 2_000_000),
    st.integers(0, 500_000),
)  # fmt: skip
def test_every_line_is_base_less_savings_plus_premium(
    fresh: int, cached: int, short: int, output: int, price: PriceTable, listed: PriceTable,
    multiplier: int, premium: int,
) -> None:  # fmt: skip
    lane = lane_with(price, listed, multiplier_ppm=multiplier, premium_ppm=premium)
    usage = Usage(input=fresh, cached_input=cached, cache_write_5m=short, output=output)
    for line in pricing.charges(usage, lane, 3):
        assert line.cost == line.base - line.cache_saving - line.batch_saving + line.premium
        assert line.cost >= 0
        assert line.quantity > 0
        assert line.attempt == 3
        assert line.cost == -(-line.quantity * line.unit_price // 1_000_000)
        if multiplier == 1_000_000:
            assert line.batch_saving == 0


def scaled(tier: Tier, ppm: int) -> Tier:
    return Tier(
        **{name: -(-getattr(tier, name) * ppm // 1_000_000) for name in Tier.__struct_fields__}
    )


@pytest.fixture
def tier(make_lane: Callable[..., Lane]) -> Tier:
    price = make_lane().price
    assert price is not None
    return price.standard


def test_a_cached_token_shows_what_the_cache_saved(make_lane: Any, tier: Tier) -> None:
    (line,) = pricing.charges(Usage(cached_input=1000), make_lane(), 1)
    assert (line.base, line.cost, line.cache_saving) == (3_000_000, 300_000, 2_700_000)
    assert (line.premium, line.batch_saving) == (0, 0)


def test_a_cache_write_shows_what_the_cache_cost(make_lane: Any) -> None:
    (line,) = pricing.charges(Usage(cache_write_1h=1000), make_lane(), 1)
    assert (line.base, line.cost, line.cache_saving) == (3_000_000, 6_000_000, -3_000_000)


def test_a_batch_lane_shows_its_saving(make_lane: Any, tier: Tier) -> None:
    lane = make_lane(price=PriceTable(standard=scaled(tier, 500_000)), multiplier_ppm=500_000)
    (line,) = pricing.charges(Usage(output=1000), lane, 1)
    assert (line.base, line.batch_saving, line.premium) == (15_000_000, 7_500_000, 0)
    assert line.cost == 7_500_000


def test_a_regional_lane_shows_its_premium(make_lane: Any, tier: Tier) -> None:
    lane = make_lane(price=PriceTable(standard=scaled(tier, 1_100_000)), premium_ppm=100_000)
    (line,) = pricing.charges(Usage(input=1000), lane, 1)
    assert (line.base, line.premium, line.cost) == (3_000_000, 300_000, 3_300_000)


def test_a_regional_batch_lane_shows_both(make_lane: Any, tier: Tier) -> None:
    lane = make_lane(
        price=PriceTable(standard=scaled(tier, 550_000)),
        multiplier_ppm=500_000,
        premium_ppm=100_000,
    )
    (line,) = pricing.charges(Usage(input=1000), lane, 1)
    assert (line.batch_saving, line.premium) == (1_500_000, 150_000)


def test_the_long_context_tier_bills_the_whole_request(make_lane: Any, tier: Tier) -> None:
    price = PriceTable(
        standard=tier, long_context=LongContext(above_tokens=1000, tier=scaled(tier, 2_000_000))
    )
    lane = make_lane(price=price, list_price=price)
    at_threshold = Usage(input=400, cached_input=600, output=10)
    above = Usage(input=401, cached_input=600, output=10)
    assert {line.unit_price for line in pricing.charges(at_threshold, lane, 1)} == {
        tier.input, tier.cached_input, tier.output,
    }  # fmt: skip
    assert {line.unit_price for line in pricing.charges(above, lane, 1)} == {
        2 * tier.input, 2 * tier.cached_input, 2 * tier.output,
    }  # fmt: skip


def test_zero_usage_has_no_lines(make_lane: Any) -> None:
    assert pricing.charges(Usage(), make_lane(), 1) == []


def test_free_is_free(make_lane: Any) -> None:
    free = Tier(input=0, cached_input=0, cache_write_5m=0, cache_write_1h=0, output=0)
    price = PriceTable(standard=free)
    assert pricing.worst_nano(TokenBound(input=10**6, output=10**6), price, "1h") == 0


def test_a_lane_without_a_price_cannot_be_charged(make_lane: Any) -> None:
    with pytest.raises(ValueError, match="no price"):
        pricing.charges(Usage(input=1), make_lane(price=None), 1)
    with pytest.raises(ValueError, match="no price"):
        pricing.charges_in_full(TokenBound(input=1, output=1), make_lane(price=None), 1, "none")


def test_the_expected_cost_lies_within_the_worst(make_lane: Any) -> None:
    price = make_lane().price
    expected = pricing.expected_nano(TokenBound(input=100, output=50), price)
    assert expected == 100 * 3000 + 50 * 15000
    assert expected <= pricing.worst_nano(TokenBound(input=100, output=50), price, "none")


def without_writes(tier: Tier) -> PriceTable:
    return PriceTable(
        standard=Tier(
            input=tier.input,
            cached_input=tier.cached_input,
            cache_write_5m=None,
            cache_write_1h=None,
            output=tier.output,
        )
    )


@pytest.mark.parametrize("asked", ["5m", "1h"])
def test_a_cache_write_that_is_asked_for_needs_a_price(tier: Tier, asked: Any) -> None:
    with pytest.raises(Refusal, match="no price") as caught:
        pricing.worst_nano(TokenBound(input=10, output=1), without_writes(tier), asked)
    assert caught.value.code == "no_bound"


def test_an_implicit_cache_write_without_a_price_is_plain_input(make_lane: Any, tier: Tier) -> None:
    price = without_writes(tier)
    bound = TokenBound(input=1000, output=0)
    assert pricing.worst_nano(bound, price, "implicit") == pricing.worst_nano(bound, price, "none")
    (line,) = pricing.charges(Usage(cache_write_5m=1000), make_lane(price=price), 1)
    assert line.unit_price == tier.input


def test_an_implicit_cache_write_is_held_at_its_price(tier: Tier) -> None:
    bound = TokenBound(input=1_000_000, output=0)
    price = PriceTable(standard=tier)
    held = pricing.worst_nano(bound, price, "implicit")
    assert held == (tier.cache_write_5m or 0) + 3
