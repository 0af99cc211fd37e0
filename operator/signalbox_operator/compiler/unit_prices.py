"""Prices of what is not billed by tokens of text: images, searches, minutes, characters. Pure.

A lane's own prices come before the Model's; prices of images are one list, taken as a whole.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from signalbox_api.amounts import nano_usd
from signalbox_api.price import ImagePrice, LanePrice, ModelPrice
from signalbox_snapshot import snapshot as wire

_FIELDS: Final[tuple[tuple[str, wire.UnitMeter], ...]] = (
    ("audio_input", "audio_input"),
    ("per_thousand_searches", "searches"),
    ("per_minute", "audio_seconds"),
    ("per_million_characters", "characters"),
)


def unit_prices(stated: Sequence[ModelPrice | LanePrice]) -> list[wire.UnitPrice]:
    """The prices of all units that are stated, the lane's first in `stated`."""
    found = [
        wire.UnitPrice(meter=meter, price=nano_usd(price))
        for field, meter in _FIELDS
        if (price := _first(field, stated)) is not None
    ]
    return found + _images(stated)


def covered_rows(images: Sequence[ImagePrice]) -> Iterator[tuple[int, int]]:
    """Rows that are the price of no request, each with the earlier one that fits whatever it does:
    positions in the list."""
    for position, image in enumerate(images):
        for before, earlier in enumerate(images[:position]):
            if earlier.size in (None, image.size) and earlier.quality in (None, image.quality):
                yield position, before
                break


def _first(field: str, stated: Sequence[ModelPrice | LanePrice]) -> str | None:
    texts: list[str | None] = [getattr(price, field) for price in stated]
    return next((text for text in texts if text is not None), None)


def _images(stated: Sequence[ModelPrice | LanePrice]) -> list[wire.UnitPrice]:
    images = next((price.per_image for price in stated if price.per_image is not None), ())
    return [
        wire.UnitPrice(
            meter="images",
            price=nano_usd(image.price),
            size=image.size or "",
            quality=image.quality or "",
        )
        for image in images
    ]
