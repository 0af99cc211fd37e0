"""Prices of a model and how a lane differs from them.

USD per million tokens, or per unit where a provider bills by units, as decimal text. "0" is free,
an absent price is no price: what would need it is refused. `amounts.nano_usd` turns a price into
integer nano-USD.
"""

from typing import Annotated, Self

from pydantic import Field, model_validator

from signalbox_api.base import Part, Rule
from signalbox_api.scalars import Factor, Price, SomeTokens, Word


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


class ImagePrice(Part):
    """The price of one image of a size and quality."""

    size: Word | None = None
    """The size, as clients write it, such as 1024x1024. Absent: any."""
    quality: Word | None = None
    """The quality, as clients write it, such as hd. Absent: any."""
    price: Price
    """USD per image."""


ImagePrices = Annotated[tuple[ImagePrice, ...], Field(min_length=1, max_length=64)]


class ModelPrice(Part):
    """What the provider charges: USD per million tokens, or per unit where it bills by units."""

    input: Price | None = None
    """USD per million input tokens. Needed by models with the capability chat or embeddings."""
    cached_input: Price | None = None
    """USD per million input tokens read from the provider's cache. Absent: the input price."""
    cache_write: CacheWrite | None = None
    """Prices of writing to the provider's cache. Absent: requests that ask for it are refused."""
    output: Price | None = None
    """USD per million output tokens, reasoning included. Needed by models that answer in text, and
    by those whose images, transcripts or speech are billed by tokens."""
    long_context: LongContext | None = None
    """Prices for requests with a long input. Absent: one price whatever the length."""
    audio_input: Price | None = None
    """USD per million input tokens of audio. Absent: the input price."""
    per_image: ImagePrices | None = None
    """Prices of images by size and quality; the first that fits a request is its price, and is
    asked for where the request leaves the choice. Absent: images are billed by tokens."""
    per_thousand_searches: Price | None = None
    """USD per thousand searches, as a reranking provider counts them. Absent: by tokens."""
    per_minute: Price | None = None
    """USD per minute of audio that is transcribed, counted by the second. Absent: by tokens."""
    per_million_characters: Price | None = None
    """USD per million characters (Unicode code points) that are spoken."""


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
    audio_input: Price | None = None
    """USD per million input tokens of audio on this lane. Absent: the model's."""
    per_image: ImagePrices | None = None
    """Prices of images on this lane, all of them. Absent: the model's."""
    per_thousand_searches: Price | None = None
    """USD per thousand searches on this lane. Absent: the model's."""
    per_minute: Price | None = None
    """USD per minute of audio on this lane. Absent: the model's."""
    per_million_characters: Price | None = None
    """USD per million characters on this lane. Absent: the model's."""

    rules = (
        Rule(
            "has(self.multiplier) || has(self.regionalPremium) || has(self.input)"
            " || has(self.cachedInput) || has(self.cacheWrite) || has(self.output)"
            " || has(self.longContext) || has(self.audioInput) || has(self.perImage)"
            " || has(self.perThousandSearches) || has(self.perMinute)"
            " || has(self.perMillionCharacters)",
            'price says nothing; write what differs, such as multiplier: "0.5", or leave price out',
        ),
    )

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not self.model_fields_set:
            raise ValueError(self.rules[0].message)
        return self
