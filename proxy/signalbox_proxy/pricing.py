"""What an attempt may cost, will probably cost, and did cost. Pure, integers of nano-USD.

A line costs ceil(tokens x price / 1,000,000), where prices are nano-USD per million tokens. The
long-context tier bills a whole request once its input, cached and written tokens included, is
above the threshold.
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import Final

from signalbox_ledger.money import line_cost
from signalbox_ledger.records import Charge, Meter, Usage
from signalbox_proxy.model_request import CacheWrite, TokenBound
from signalbox_proxy.refusals import Refusal
from signalbox_snapshot.snapshot import Lane, PriceTable, Tier

_PPM: Final = 1_000_000

INPUT_METERS: Final[tuple[Meter, ...]] = (
    "input",
    "cached_input",
    "cache_write_5m",
    "cache_write_1h",
)
METERS: Final[tuple[Meter, ...]] = (*INPUT_METERS, "output")

_WRITES: Final[dict[CacheWrite, tuple[Meter, ...]]] = {
    "none": (),
    "implicit": ("cache_write_5m",),
    "5m": ("cache_write_5m",),
    "1h": ("cache_write_5m", "cache_write_1h"),
}


def worst_nano(
    bound: TokenBound, price: PriceTable, cache_write: CacheWrite, apart: int = 0
) -> int:
    """The most that an attempt within `bound` can be billed.

    Every input token at the dearest meter that the request can cause, at the dearest tier that
    its bound can reach with `apart` tokens of input that are billed elsewhere. Input may be billed
    in up to four lines, each rounded up by less than one nano-USD, hence the three beyond the one
    line's own rounding.
    """
    input_price, output_price = _dearest(bound, price, cache_write, apart)
    input_cost = line_cost(bound.input, input_price)
    if input_cost:
        input_cost += len(INPUT_METERS) - 1
    return input_cost + line_cost(bound.output, output_price)


def expected_nano(expected: TokenBound, price: PriceTable, cached: int = 0) -> int:
    """The probable cost of `bounds.expected_tokens`, of which `cached` are read from a cache."""
    tier = _tier(price, expected.input)
    cost = line_cost(expected.input - cached, tier.input) + line_cost(expected.output, tier.output)
    return cost + line_cost(cached, tier.cached_input) if cached else cost


def dearest_input(bound: TokenBound, price: PriceTable) -> int:
    """The most that all the input of `bound` can cost as text that nobody asks to keep."""
    return line_cost(bound.input, _dearest(bound, price, "none", 0)[0])


def charges(usage: Usage, lane: Lane, attempt: int, apart: int = 0) -> list[Charge]:
    """The lines of an answered attempt; meters without tokens have none.

    `base` is the Model's list price of as many uncached tokens; the differences to it are told
    apart: `cache_saving` (negative for a cache write that costs more than plain input),
    `batch_saving` of the lane's multiplier, `premium` of its region or its own price list
    (negative where that is cheaper). `apart` are tokens of input that are billed elsewhere, and
    make the request as long as the others do. Raises ValueError for a lane without a price: such a
    lane is never called.
    """
    if lane.price is None:
        raise ValueError(f"lane {lane.name} has no price")
    quantities = [_quantity(usage, meter) for meter in METERS]
    total = apart + sum(quantities[: len(INPUT_METERS)])
    tiers = (_tier(lane.price, total), _tier(lane.list_price or lane.price, total))
    return [
        _charge(lane, attempt, meter, quantity, tiers)
        for meter, quantity in zip(METERS, quantities, strict=True)
        if quantity
    ]


def charges_in_full(
    bound: TokenBound, lane: Lane, attempt: int, cache_write: CacheWrite, apart: int = 0
) -> list[Charge]:
    """The lines of an attempt whose end is not known: all that its provider may bill, beside
    `apart` tokens of input that are billed elsewhere."""
    if lane.price is None:
        raise ValueError(f"lane {lane.name} has no price")
    prices = _dearest(bound, lane.price, cache_write, apart)
    lines: tuple[tuple[Meter, int, int], ...] = (
        ("input", bound.input, prices[0]),
        ("output", bound.output, prices[1]),
    )
    return [
        Charge(
            attempt=attempt,
            meter=meter,
            quantity=quantity,
            unit_price=unit_price,
            cost=line_cost(quantity, unit_price),
            base=line_cost(quantity, unit_price),
            kind="unknown",
        )
        for meter, quantity, unit_price in lines
        if quantity
    ]


def _charge(
    lane: Lane, attempt: int, meter: Meter, quantity: int, tiers: tuple[Tier, Tier]
) -> Charge:
    tier, listed = tiers
    unit_price = _unit_price(tier, meter)
    cost = line_cost(quantity, unit_price)
    uncached = listed.output if meter == "output" else listed.input
    base = line_cost(quantity, uncached)
    at_list = line_cost(quantity, _unit_price(listed, meter))
    batch_saving = 0
    if lane.multiplier_ppm != _PPM:
        discounted = -(-at_list * lane.multiplier_ppm // _PPM)
        batch_saving = at_list - (discounted if lane.premium_ppm else cost)
    return Charge(
        attempt=attempt,
        meter=meter,
        quantity=quantity,
        unit_price=unit_price,
        cost=cost,
        base=base,
        cache_saving=base - at_list,
        batch_saving=batch_saving,
        premium=cost - at_list + batch_saving,
    )


def _dearest(
    bound: TokenBound, price: PriceTable, cache_write: CacheWrite, apart: int
) -> tuple[int, int]:
    """Highest prices of an input and an output token that the bound can meet."""
    return _dearest_prices(tuple(_reachable(price, bound.input + apart)), cache_write)


@lru_cache(maxsize=4096)
def _dearest_prices(tiers: tuple[Tier, ...], cache_write: CacheWrite) -> tuple[int, int]:
    """Highest prices of an input and an output token over tiers, the standard one first."""
    meters: list[Meter] = ["input", "cached_input", *_WRITES[cache_write]]
    standard = tiers[0]
    unpriced_5m = cache_write == "5m" and standard.cache_write_5m is None
    if unpriced_5m or (cache_write == "1h" and standard.cache_write_1h is None):
        raise Refusal(
            "no_bound",
            f"The request asks for a cache write of {cache_write}, which has no price here. "
            "Leave the cache markers out, or ask for another model.",
            "cache_control",
        )
    dearest_input = max(_unit_price(tier, meter) for tier in tiers for meter in meters)
    return dearest_input, max(tier.output for tier in tiers)


def _reachable(price: PriceTable, most_input: int) -> Iterator[Tier]:
    yield price.standard
    if price.long_context is not None and most_input > price.long_context.above_tokens:
        yield price.long_context.tier


def _tier(price: PriceTable, total_input: int) -> Tier:
    if price.long_context is not None and total_input > price.long_context.above_tokens:
        return price.long_context.tier
    return price.standard


def _quantity(usage: Usage, meter: Meter) -> int:
    quantity: int = getattr(usage, meter)
    return quantity


def _unit_price(tier: Tier, meter: Meter) -> int:
    """A meter's price; a cache write without one, which nobody asked for, is plain input."""
    unit_price: int | None = getattr(tier, meter)
    return tier.input if unit_price is None else unit_price
