"""Models and public prices: a price as a Model states it, new Models, and what differs."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from typing import Any, Final

from signalbox_cli.price_data import METERS, ImageRate, PublicPrice, Rates
from signalbox_cli.price_files import PriceFile

SOURCE: Final = "signalbox.dev/price-source"
DATE: Final = "signalbox.dev/price-date"
"""Annotations of a Model: where its prices come from, and as of which day."""

_THRESHOLD: Final = "longContext.aboveTokens"
_IMAGES: Final = "perImage."
_TOKENS: Final = ("input", "cachedInput", "cacheWrite", "output")
_NANO: Final = Decimal("1e-9")
_LANE_CLASSES: Final = {"flex": "flex", "priority": "public", "batch": "batch"}
_SERVICE_TIERS: Final = {"flex": "flex", "priority": "priority"}


@dataclass(frozen=True, slots=True)
class Place:
    """What price data does not know of a lane: where it is, and what may go there."""

    endpoint: str
    wire_format: str
    key: str
    region: str
    jurisdiction: str
    max_sensitivity: str


@dataclass(frozen=True, slots=True)
class Difference:
    """A price that a Model states otherwise than the data, "" where one of them has none."""

    model: str
    lane: str
    meter: str
    stated: str
    public: str


def text(price: Decimal) -> str:
    """A price as decimal text, rounded up to a nano-dollar where it has more digits."""
    rounded = price.quantize(_NANO, ROUND_CEILING).normalize()
    return format(rounded, "f")


def price_of(rates: Rates) -> dict[str, Any]:
    """Rates as a Model or lane states them."""
    price: dict[str, Any] = {}
    for meter in METERS:
        if meter in rates:
            group, _, member = meter.partition(".")
            if member:
                price.setdefault(group, {})[member] = text(rates[meter])
            else:
                price[group] = text(rates[meter])
    return price


def whole_price(public: PublicPrice) -> dict[str, Any]:
    """A Model's price, long context included."""
    price = _with_long(public, public.rates, public.long_rates)
    if public.images:
        price["perImage"] = [_image_price(each) for each in public.images]
    return price


def _image_price(rate: ImageRate) -> dict[str, str]:
    said = {"size": rate.size, "quality": rate.quality, "price": text(rate.price)}
    return {key: value for key, value in said.items() if value}


def tier_price(public: PublicPrice, tier: str) -> dict[str, Any]:
    """What the lane of a service tier states: its own long context too, which is no other's."""
    return _with_long(
        public, (public.tiers or {}).get(tier, {}), (public.tiers_long or {}).get(tier)
    )


def _with_long(public: PublicPrice, rates: Rates, above: Rates | None) -> dict[str, Any]:
    price = price_of(rates)
    if above and public.long_above:
        price["longContext"] = {"aboveTokens": public.long_above, **price_of(above)}
    return price


def annotations(file: PriceFile, public: PublicPrice) -> dict[str, str]:
    """Source and date of a price."""
    named = f"{file.label}: {public.provider}/{public.name}"
    return {
        SOURCE: f"{named}, {public.source}" if public.source else named,
        DATE: public.checked or file.date,
    }


def new_model(
    file: PriceFile, public: PublicPrice, *, name: str, namespace: str, place: Place
) -> dict[str, Any]:
    """A Model with one lane, and one more for each service tier that has prices of its own."""
    lane = {
        "name": "public",
        "class": "public",
        "provider": public.provider,
        "wireFormat": place.wire_format,
        "upstreamModel": public.name,
        "endpoint": place.endpoint,
        "auth": {"type": "apiKey", "key": place.key},
        "region": place.region,
        "jurisdiction": place.jurisdiction,
        "maxSensitivity": place.max_sensitivity,
    }
    limits: dict[str, Any] = {"contextTokens": public.context_tokens}
    if public.max_output_tokens:
        limits["maxOutputTokens"] = min(public.max_output_tokens, public.context_tokens)
    able = [each for each in public.capabilities if each != "images"]
    return {
        "apiVersion": "signalbox.dev/v1alpha1",
        "kind": "Model",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "annotations": annotations(file, public),
        },
        "spec": {
            "capabilities": able,
            "limits": limits,
            "price": whole_price(public),
            "lanes": [lane, *_tier_lanes(public)],
        },
    }


def _tier_lanes(public: PublicPrice) -> Iterator[dict[str, Any]]:
    for tier in public.tiers or {}:
        lane: dict[str, Any] = {"name": tier, "from": "public", "class": _LANE_CLASSES[tier]}
        if tier in _SERVICE_TIERS:
            lane["serviceTier"] = _SERVICE_TIERS[tier]
        yield lane | {"price": tier_price(public, tier)}


def own_lanes(model: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """A Model's lanes that take nothing from another."""
    return [lane for lane in model["spec"]["lanes"] if "from" not in lane]


def find(
    files: Sequence[PriceFile], lane: Mapping[str, Any]
) -> tuple[PriceFile, PublicPrice] | None:
    """What the first file that knows a lane's model says of it."""
    for file in files:
        found = file.find(lane["provider"], lane["upstreamModel"])
        if found is not None:
            return file, found
    return None


def refreshed(files: Sequence[PriceFile], model: Mapping[str, Any]) -> dict[str, Any] | None:
    """The Model with the data's price in place of its own; None where the data has none.

    The price of the Model is that of its first lane that states none of its own; lanes of service
    tiers that take the rest from it get theirs. What the data has no word for stays.
    """
    for lane in own_lanes(model):
        stated = set(lane.get("price", {})) - {"multiplier", "regionalPremium"}
        found = None if stated else find(files, lane)
        if found is None:
            continue
        file, public = found
        if public.obstacle:
            continue
        metadata = dict(model["metadata"])
        metadata["annotations"] = metadata.get("annotations", {}) | annotations(file, public)
        spec = model["spec"]
        price = _kept(spec.get("price", {}), public) | whole_price(public)
        lanes = [
            _refreshed_tier(each, public) if each.get("from") == lane["name"] else each
            for each in spec["lanes"]
        ]
        return {**model, "metadata": metadata, "spec": {**spec, "price": price, "lanes": lanes}}
    return None


def _kept(price: Mapping[str, Any], public: PublicPrice) -> dict[str, Any]:
    """Of what was stated, what the data does not replace: other units, where it has none."""
    replaced = {meter.partition(".")[0] for meter in (*_TOKENS, *public.rates)} | {"longContext"}
    if public.images:
        replaced.add("perImage")
    return {name: value for name, value in price.items() if name not in replaced}


def _refreshed_tier(lane: dict[str, Any], public: PublicPrice) -> dict[str, Any]:
    price = tier_price(public, _tier(lane))
    return lane | {"price": _kept(lane.get("price", {}), public) | price} if price else lane


def differences(files: Sequence[PriceFile], model: Mapping[str, Any]) -> Iterator[Difference]:
    """Where a Model's own lanes and those of its service tiers differ from the data."""
    named = f"{model['metadata']['namespace']}/{model['metadata']['name']}"
    base = model["spec"].get("price") or {}
    own = {lane["name"]: lane for lane in own_lanes(model)}
    for lane in model["spec"]["lanes"]:
        source = own[lane.get("from", lane["name"])]
        found = find(files, source)
        if found is None:
            continue
        _, public = found
        if public.obstacle:
            continue
        tier = _tier(lane)
        price = tier_price(public, tier) if tier else whole_price(public)
        wanted, stated = _flat(price), _stated(base, source, lane)
        compared = set(wanted) if tier else wanted.keys() | stated.keys()
        if not public.images:  # data that prices no image tells nothing of a Model's
            compared = {meter for meter in compared if not meter.startswith(_IMAGES)}
        for meter in sorted(compared):
            ours, theirs = stated.get(meter), wanted.get(meter)
            if ours != theirs:
                yield Difference(named, lane["name"], meter, _shown(ours), _shown(theirs))


def _shown(price: Decimal | None) -> str:
    return "" if price is None else text(price)


def _tier(lane: Mapping[str, Any]) -> str:
    if lane.get("class") == "batch":
        return "batch"
    tier: str = lane.get("serviceTier", "")
    return tier


def _stated(base: Mapping[str, Any], *lanes: Mapping[str, Any]) -> dict[str, Decimal]:
    """List prices of a lane: what is nearer replaces the rest; multiplied, without premium."""
    stated = _flat(base)
    factor = Decimal(1)
    for lane in lanes:
        price = lane.get("price", {})
        if "perImage" in price:  # all of them
            stated = {key: each for key, each in stated.items() if not key.startswith(_IMAGES)}
        stated |= _flat(price)
        factor = Decimal(price.get("multiplier", factor))
    return {key: each if key == _THRESHOLD else each * factor for key, each in stated.items()}


def _flat(price: Mapping[str, Any], prefix: str = "") -> dict[str, Decimal]:
    """Prices by their path, such as longContext.cacheWrite.5m or perImage.1024x1024.hd; of two for
    the same images the first, which is the one that counts."""
    flat: dict[str, Decimal] = {}
    for key, value in price.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{key}.")
        elif key == "perImage":
            for row in value:
                name = f"{_IMAGES}{row.get('size', 'any')}.{row.get('quality', 'any')}"
                flat.setdefault(name, Decimal(row["price"]))
        elif key not in ("multiplier", "regionalPremium"):
            flat[f"{prefix}{key}"] = Decimal(value)
    return flat
