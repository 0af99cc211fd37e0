"""What a charge counts and what its price is for. Pure.

A charge's `unit_price` is nano-USD for `Measure.per` of what its meter counts. `Measure.unit` is
what one price is for, as FOCUS spells a PricingUnit.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

from signalbox_ledger.money import TOKENS_PER_PRICE, ceil_div
from signalbox_ledger.records import Meter


class Measure(NamedTuple):
    """`counted` is one of the meter's units; a price is for `per` of them, called `unit`."""

    counted: str
    per: int
    unit: str


_TOKENS: Final = Measure("Tokens", TOKENS_PER_PRICE, "1000000 Tokens")

MEASURES: Final[Mapping[Meter, Measure]] = {
    "input": _TOKENS,
    "cached_input": _TOKENS,
    "cache_write_5m": _TOKENS,
    "cache_write_1h": _TOKENS,
    "output": _TOKENS,
    "audio_input": _TOKENS,
    "images": Measure("Images", 1, "Images"),
    "searches": Measure("Searches", 1000, "1000 Searches"),
    "audio_seconds": Measure("Seconds", 60, "Minutes"),
    "characters": Measure("Characters", 1_000_000, "1000000 Characters"),
}


def metered_cost(meter: Meter, quantity: int, price: int) -> int:
    """Cost in nano-USD of what a meter counted, rounded up. Raises ValueError below zero."""
    if quantity < 0 or price < 0:
        raise ValueError("quantity and price must not be negative")
    return ceil_div(quantity * price, MEASURES[meter].per)
