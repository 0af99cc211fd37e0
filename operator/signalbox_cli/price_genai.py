"""The price data of genai-prices: a list of providers with their models, USD per million tokens."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any, Final

from signalbox_cli.price_data import PublicPrice, UnbelievableError, UnstatableError, number, whole

_FIELDS: Final = {
    "input_mtok": "input",
    "cache_read_mtok": "cachedInput",
    "cache_write_mtok": "cacheWrite.5m",
    "cache_write_1h_mtok": "cacheWrite.1h",
    "output_mtok": "output",
}
_MAX_DEPTH: Final = 8


def genai_prices(file: str, providers: Sequence[Any], on: date) -> Iterator[PublicPrice]:
    """All models that are priced by the token, as of a day. Raises `UnbelievableError`."""
    for provider in providers:
        if not isinstance(provider, dict) or not isinstance(provider.get("models"), list):
            raise UnbelievableError(f"{file}: neither of the formats that are understood")
        urls = provider.get("pricing_urls")
        source = str(urls[0]) if isinstance(urls, list) and urls else ""
        for model in provider["models"]:
            if not isinstance(model, dict):
                raise UnbelievableError(f"{file}: a model of {provider.get('id')!r} is no object")
            where = f"{file}: {provider.get('id')}/{model.get('id')}"
            obstacle = ""
            try:
                found = _price(where, model, on)
            except UnstatableError as error:
                found, obstacle = ({}, 0, {}, ()), str(error)
            if found is not None:
                named = _named(found, str(provider.get("id")), source, model)
                yield replace(named, obstacle=obstacle)


def _named(
    found: tuple[dict[str, Decimal], int, dict[str, Decimal], tuple[str, ...]],
    provider: str,
    source: str,
    model: Mapping[str, Any],
) -> PublicPrice:
    rates, above, long_rates, unused = found
    return PublicPrice(
        provider=provider,
        name=str(model.get("id")),
        rates=rates,
        matches=lambda name: _matches(model.get("match"), name.lower()),
        long_above=above,
        long_rates=long_rates or None,
        context_tokens=whole(model.get("context_window")) or whole(model.get("max_tokens")),
        unused=unused,
        source=source,
        checked=str(model.get("prices_checked") or ""),
    )


def _price(
    where: str, model: Mapping[str, Any], on: date
) -> tuple[dict[str, Decimal], int, dict[str, Decimal], tuple[str, ...]] | None:
    prices = _in_force(model.get("prices"), on)
    if not prices or prices.get("input_mtok") is None:
        return None
    rates: dict[str, Decimal] = {}
    long_rates: dict[str, Decimal] = {}
    above: set[int] = set()
    unused = []
    for field, value in prices.items():
        meter = _FIELDS.get(field)
        if meter is None:
            unused += [field] if value else []
            continue
        if not isinstance(value, dict):
            rates[meter] = number(f"{where}: {field}", value)
            continue
        rates[meter] = number(f"{where}: {field}", value.get("base"))
        tiers = value.get("tiers") or []
        if len(tiers) > 1 or not all(isinstance(tier, dict) for tier in tiers):
            raise UnstatableError(f"{field} has more than one tier")
        for tier in tiers:
            above.add(whole(tier.get("start")))
            long_rates[meter] = number(f"{where}: {field}", tier.get("price"))
    if len(above) > 1:
        raise UnstatableError("tiers begin at different lengths of the input")
    return rates, next(iter(above), 0), long_rates, tuple(sorted(unused))


def _in_force(prices: object, on: date) -> Mapping[str, Any]:
    """The prices that hold on a day; of conditional ones the last that has begun."""
    if isinstance(prices, dict):
        return prices
    if not isinstance(prices, list):
        return {}
    held: Mapping[str, Any] = {}
    for each in prices:
        constraint = each.get("constraint") if isinstance(each, dict) else None
        if constraint is None:
            begins = date.min
        elif "start_date" in constraint:
            begins = date.fromisoformat(str(constraint["start_date"]))
        else:
            raise UnstatableError("its price depends on the time of day")
        if begins <= on:
            held = each.get("prices") or {}
    return held


def _matches(clause: object, name: str, depth: int = 0) -> bool:
    """Whether a model goes by a name. Patterns are not followed: they come from outside."""
    if not isinstance(clause, dict) or depth > _MAX_DEPTH:
        return False
    simple: dict[str, Callable[[str, str], bool]] = {
        "equals": str.__eq__,
        "starts_with": str.startswith,
        "ends_with": str.endswith,
        "contains": str.__contains__,
    }
    for kind, test in simple.items():
        if isinstance(wanted := clause.get(kind), str):
            return test(name, wanted.lower())
    if isinstance(anyone := clause.get("or"), list):
        return any(_matches(each, name, depth + 1) for each in anyone)
    if isinstance(everyone := clause.get("and"), list) and everyone:
        return all(_matches(each, name, depth + 1) for each in everyone)
    return False
