"""What lanes bill, as the snapshot tells it: tiers of tokens, and prices of other units.

Part of the wire types of `snapshot`, and with the base of all of them. Integers only.
"""

from typing import Literal

import msgspec

UnitMeter = Literal["images", "searches", "audio_seconds", "characters", "audio_input"]


class Wire(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of all wire types: immutable, and an unknown field is a fault, never ignored."""


class Tier(Wire, frozen=True):
    """Prices of one tier, in nano-USD per million tokens. 0 is free, not unknown.

    A cache write without a price is None: what could cause one is refused.
    """

    input: int
    cached_input: int
    cache_write_5m: int | None
    cache_write_1h: int | None
    output: int


class LongContext(Wire, frozen=True):
    """The tier that bills the whole request once its input has more than `above_tokens`."""

    above_tokens: int
    tier: Tier


class UnitPrice(Wire, frozen=True):
    """The price of one unit, for images of one size and quality ("" stands for any).

    In nano-USD: of an image, of 1000 searches, of 60 seconds of audio, of a million characters or
    of a million tokens of audio input.
    """

    meter: UnitMeter
    price: int
    size: str = ""
    quality: str = ""


class PriceTable(Wire, frozen=True):
    """What a lane bills. Absent tiers were filled in by the compiler.

    `units` are the prices of what is not billed by tokens of text; of several for one meter the
    first that fits holds. `without_tokens` says that `standard` is no price: such a lane bills
    by units alone. Both are left out of the document where there is nothing to say.
    """

    standard: Tier
    long_context: LongContext | None = None
    units: list[UnitPrice] | msgspec.UnsetType = msgspec.UNSET
    without_tokens: bool | msgspec.UnsetType = msgspec.UNSET

    def of_units(self, meter: UnitMeter) -> list[UnitPrice]:
        """The prices of one meter, in the order that decides."""
        units = [] if self.units is msgspec.UNSET else self.units
        return [unit for unit in units if unit.meter == meter]

    @property
    def by_tokens(self) -> bool:
        """Whether tokens have a price."""
        return self.without_tokens is not True
