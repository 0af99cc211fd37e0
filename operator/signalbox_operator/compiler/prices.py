"""What a lane bills: prices in integers, resolved from the Model and the lane.

A lane's own prices come before the Model's, then all of them are multiplied by `multiplier`, then
`regionalPremium` is added; each price is rounded up once, so that a bound is never too low. The
unit is nano-USD per million tokens.
"""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Final

import msgspec

from signalbox_api.amounts import MILLION, NANO, millionths, nano_usd
from signalbox_api.price import CacheWrite, LanePrice, LongContext, ModelPrice
from signalbox_operator.compiler.unit_prices import unit_prices
from signalbox_snapshot import snapshot as wire

MAX_PRICE: Final = MILLION * NANO
"""Dearest price that is billed, one USD for each token: charges then stay within 64 bits."""

_Stated = ModelPrice | LanePrice | LongContext
_NO_PRICE: Final = LanePrice.model_construct(set())


@dataclass(frozen=True, slots=True)
class LanePrices:
    """The prices of a lane: `listed` before factor and premium, `billed` after them."""

    listed: wire.PriceTable | None
    billed: wire.PriceTable | None
    multiplier_ppm: int
    premium_ppm: int


def lane_prices(
    model: ModelPrice | None,
    lane: LanePrice | None,
    *,
    chat: bool,
    tokens: bool = True,
    answers: AbstractSet[wire.UnitMeter] = frozenset(),
) -> LanePrices:
    """Resolves a lane's prices. Without an input price, or an output price for `chat`, none,
    unless the model does without (`tokens` is false) and has prices by other units; none either
    where factor and premium lead beyond MAX_PRICE, or where the Model's `longContext` would make a
    lane of dearer prices cheaper above its length. Of `answers`, units that the model puts out,
    those without a price are billed by tokens: without an output price nothing is, then."""
    own = lane or _NO_PRICE
    multiplier = MILLION if own.multiplier is None else millionths(own.multiplier)
    premium = 0 if own.regional_premium is None else millionths(own.regional_premium)
    listed = _listed(model, own, chat=chat, tokens=tokens, answers=answers)
    billed = None if listed is None else _billed(listed, multiplier * (MILLION + premium))
    if billed is not None and _highest(billed) > MAX_PRICE:
        listed = billed = None
    return LanePrices(listed, billed, multiplier, premium)


def _highest(table: wire.PriceTable) -> int:
    tiers = [table.standard, *([table.long_context.tier] if table.long_context else [])]
    units = [unit.price for unit in table.units or ()]
    tokens = [price or 0 for tier in tiers for price in msgspec.structs.astuple(tier)]
    return max(*tokens, *units)


def _listed(
    model: ModelPrice | None,
    lane: LanePrice,
    *,
    chat: bool,
    tokens: bool,
    answers: AbstractSet[wire.UnitMeter],
) -> wire.PriceTable | None:
    if model is not None and lane.long_context is None and _undercuts(model, lane):
        return None
    stated: list[ModelPrice | LanePrice] = [lane] if model is None else [lane, model]
    units = unit_prices(stated)
    price_in = _first("input", stated)
    price_out = _first("output", stated)
    cached = _first("cached_input", stated)
    if price_out is None and answers - {unit.meter for unit in units}:
        price_in = None
    if (price_in is None and (tokens or not units)) or (price_out is None and chat):
        return None
    of_input = _or(price_in, 0)
    standard = wire.Tier(
        input=of_input,
        cached_input=_or(cached, of_input),
        cache_write_5m=_first_cache_write("five_minutes", stated),
        cache_write_1h=_first_cache_write("one_hour", stated),
        output=_or(price_out, 0),
    )
    long = lane.long_context or (None if model is None else model.long_context)
    return wire.PriceTable(
        standard=standard,
        long_context=None if long is None else _long_context(long, standard, cached),
        units=units or msgspec.UNSET,
        without_tokens=True if price_in is None else msgspec.UNSET,
    )


def _undercuts(model: ModelPrice, lane: LanePrice) -> bool:
    """Whether a Model's long requests cost less than those of a lane that is dearer than the Model.

    They are another tier's prices then: what is above the Model's for short requests, is so for
    long ones, and by how much only the lane can say.
    """
    long = model.long_context
    if long is None:
        return False
    return any(
        own is not None and longer is not None and own > min(longer, _or(short, longer))
        for own, short, longer in zip(_meters(lane), _meters(model), _meters(long), strict=True)
    )


def _meters(price: _Stated) -> list[int | None]:
    """Prices by tokens, as far as they are stated."""
    writes = [_first_cache_write(name, [price]) for name in ("five_minutes", "one_hour")]
    return [*(_first(name, [price]) for name in ("input", "cached_input", "output")), *writes]


def _long_context(
    long: LongContext, standard: wire.Tier, normal_cached: int | None
) -> wire.LongContext:
    """Where no price of cached tokens is stated at all, they cost what long input costs."""
    price_in = _or(_first("input", [long]), standard.input)
    cached = _or(_first("cached_input", [long]), _or(normal_cached, price_in))
    write_5m = _first_cache_write("five_minutes", [long])
    write_1h = _first_cache_write("one_hour", [long])
    return wire.LongContext(
        above_tokens=long.above_tokens,
        tier=wire.Tier(
            input=price_in,
            cached_input=cached,
            cache_write_5m=standard.cache_write_5m if write_5m is None else write_5m,
            cache_write_1h=standard.cache_write_1h if write_1h is None else write_1h,
            output=_or(_first("output", [long]), standard.output),
        ),
    )


def _first(name: str, stated: Sequence[_Stated]) -> int | None:
    texts: list[str | None] = [getattr(price, name) for price in stated]
    return next((nano_usd(text) for text in texts if text is not None), None)


def _first_cache_write(name: str, stated: Sequence[_Stated]) -> int | None:
    writes: list[CacheWrite] = [price.cache_write for price in stated if price.cache_write]
    texts: list[str | None] = [getattr(write, name) for write in writes]
    return next((nano_usd(text) for text in texts if text is not None), None)


def _or(value: int | None, otherwise: int) -> int:
    return otherwise if value is None else value


def _billed(listed: wire.PriceTable, factor: int) -> wire.PriceTable:
    long = listed.long_context
    return wire.PriceTable(
        standard=_scaled(listed.standard, factor),
        long_context=None
        if long is None
        else wire.LongContext(above_tokens=long.above_tokens, tier=_scaled(long.tier, factor)),
        units=[
            msgspec.structs.replace(unit, price=_ceiling(unit.price, factor))
            for unit in listed.units
        ]
        if listed.units
        else msgspec.UNSET,
        without_tokens=listed.without_tokens,
    )


def _scaled(tier: wire.Tier, factor: int) -> wire.Tier:
    """All prices times `factor`, which is in millionths of millionths, rounded up."""
    write_5m, write_1h = tier.cache_write_5m, tier.cache_write_1h
    return wire.Tier(
        input=_ceiling(tier.input, factor),
        cached_input=_ceiling(tier.cached_input, factor),
        cache_write_5m=None if write_5m is None else _ceiling(write_5m, factor),
        cache_write_1h=None if write_1h is None else _ceiling(write_1h, factor),
        output=_ceiling(tier.output, factor),
    )


def _ceiling(price: int, factor: int) -> int:
    return -(-price * factor // (MILLION * MILLION))
