"""Prices of images in LiteLLM's price data: a key for each size and quality of one model.

`[PROVIDER/][QUALITY/]WIDTH-x-HEIGHT/MODEL`, priced by the image or by the pixel; a key without a
size prices every image of its model, and counts where there is none with one. What is billed by
tokens stands with all others in `price_litellm`.
"""

import re
from collections.abc import Iterator, Mapping
from decimal import ROUND_CEILING, Context, Decimal
from typing import Any, Final

from signalbox_cli.price_data import ImageRate, PublicPrice, number

MODE: Final = "image_generation"
_PER_IMAGE: Final = ("output_cost_per_image", "input_cost_per_image")
_PER_PIXEL: Final = ("output_cost_per_pixel", "input_cost_per_pixel")
_SIZE: Final = re.compile(r"(\d{2,5})-x-(\d{2,5})", re.ASCII)


def image_prices(file: str, document: Mapping[str, Any]) -> Iterator[PublicPrice]:
    """One price for each model whose images have prices, cheapest image first: what a client
    leaves open is then the cheapest, as at the providers. Raises `UnbelievableError`."""
    found: dict[tuple[str, str], list[ImageRate]] = {}
    sources: dict[tuple[str, str], str] = {}
    for key, entry in document.items():
        if not isinstance(entry, dict) or entry.get("mode") != MODE:
            continue
        provider = str(entry.get("litellm_provider") or "")
        named = _named(key.removeprefix(f"{provider}/"))
        if named is None:
            continue
        name, size, quality = named
        price = _price(f"{file}: {key}", entry, size)
        if price:
            found.setdefault((provider, name), []).append(ImageRate(size, quality, price))
            sources.setdefault((provider, name), str(entry.get("source") or ""))
    for (provider, name), rates in found.items():
        yield PublicPrice(
            provider=provider,
            name=name,
            rates={},
            images=_in_order(rates),
            matches=lambda _: False,
            capabilities=("imageGeneration",),
            source=sources[provider, name],
        )


def _named(key: str) -> tuple[str, str, str] | None:
    """Model, size and quality of a key; None for one that says more, such as a number of steps."""
    parts = key.split("/")
    if len(parts) == 1:
        return key, "", ""
    size = _SIZE.fullmatch(parts[-2])
    if size is None or len(parts) > 3:
        return None
    return parts[-1], f"{size[1]}x{size[2]}", parts[0] if len(parts) == 3 else ""


def _price(where: str, entry: Mapping[str, Any], size: str) -> Decimal:
    """USD for one image; one that is listed both ways, in and out, is billed once."""
    by_image = max(_numbers(where, entry, _PER_IMAGE), default=Decimal(0))
    if by_image or not size:
        return by_image
    width, _, height = size.partition("x")
    pixels = int(width) * int(height)
    prices = (_of_pixels(price, pixels) for price in _numbers(where, entry, _PER_PIXEL))
    return max(prices, default=Decimal(0))


def _of_pixels(price: Decimal, pixels: int) -> Decimal:
    """The price of an image by that of a pixel, which is the quotient of the two, rounded to some
    digits: rounded up to one digit less, it is the price again, and never less than was told."""
    digits = max(2, len(price.normalize().as_tuple().digits) - 1)
    return Context(prec=digits, rounding=ROUND_CEILING).multiply(price, Decimal(pixels))


def _numbers(where: str, entry: Mapping[str, Any], fields: tuple[str, ...]) -> list[Decimal]:
    told = ((field, entry.get(field)) for field in fields)
    return [number(f"{where}: {field}", value) for field, value in told if value is not None]


def _in_order(rates: list[ImageRate]) -> tuple[ImageRate, ...]:
    sized = [rate for rate in rates if rate.size] or rates
    return tuple(sorted(sized, key=lambda rate: (rate.price, rate.size, rate.quality)))
