"""Prices of a model and how a lane differs from them.

USD per million tokens as decimal text. "0" is free, an absent price is no price: what would need
it is refused. `amounts.nano_usd` turns a price into integer nano-USD per million tokens.
"""

from typing import Annotated, Self

from pydantic import Field, model_validator

from signalbox_api.base import Part, Rule
from signalbox_api.scalars import Factor, Price, SomeTokens


class CacheWrite(Part):
    """Prices of writing a prompt to the provider's cache, by lifetime."""

    five_minutes: Annotated[Price | None, Field(alias="5m")] = None
    """USD per million tokens written for five minutes."""
    one_hour: Annotated[Price | None, Field(alias="1h")] = None
    """USD per million tokens written for one hour."""


class LongContext(Part):
    """Prices that replace the others for the whole request when its input is long."""

    above_tokens: SomeTokens
    """The prices hold when the input, cached tokens included, has more tokens than this."""
    input: Price | None = None
    """USD per million input tokens. Absent: the normal price."""
    cached_input: Price | None = None
    """USD per million input tokens read from the provider's cache. Absent: the normal price of
    cached tokens, or the input price given here where there is none."""
    cache_write: CacheWrite | None = None
    """Prices of writing to the provider's cache. Absent: the normal prices."""
    output: Price | None = None
    """USD per million output tokens. Absent: the normal price."""


class ModelPrice(Part):
    """What the provider charges, in USD per million tokens."""

    input: Price
    """USD per million input tokens."""
    cached_input: Price | None = None
    """USD per million input tokens read from the provider's cache. Absent: the input price."""
    cache_write: CacheWrite | None = None
    """Prices of writing to the provider's cache. Absent: requests that ask for it are refused."""
    output: Price | None = None
    """USD per million output tokens, reasoning included. Needed by models that answer in text."""
    long_context: LongContext | None = None
    """Prices for requests with a long input. Absent: one price whatever the length."""


class LanePrice(Part):
    """How a lane's price differs: own prices first, then times multiplier, then plus premium."""

    multiplier: Factor | None = None
    """Factor on every price, such as "0.5" for a batch lane. Absent: 1."""
    regional_premium: Factor | None = None
    """Share added for the region, such as "0.10" for ten per cent; charged and reported apart."""
    input: Price | None = None
    """USD per million input tokens on this lane. Absent: the model's."""
    cached_input: Price | None = None
    """USD per million cached input tokens on this lane. Absent: the model's."""
    cache_write: CacheWrite | None = None
    """Prices of writing to the provider's cache on this lane. Absent: the model's."""
    output: Price | None = None
    """USD per million output tokens on this lane. Absent: the model's."""
    long_context: LongContext | None = None
    """Prices for requests with a long input on this lane. Absent: the model's."""

    rules = (
        Rule(
            "has(self.multiplier) || has(self.regionalPremium) || has(self.input)"
            " || has(self.cachedInput) || has(self.cacheWrite) || has(self.output)"
            " || has(self.longContext)",
            'price says nothing; write what differs, such as multiplier: "0.5", or leave price out',
        ),
    )

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not self.model_fields_set:
            raise ValueError(self.rules[0].message)
        return self
