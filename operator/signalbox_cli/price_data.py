"""What an entry of public price data says of one model at one provider.

Prices are exact decimals in USD per million tokens. What an entry bills that Signalbox has no
place for is named, not dropped.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

METERS: Final = (
    *("input", "cachedInput", "cacheWrite.5m", "cacheWrite.1h", "output", "audioInput"),
    *("perThousandSearches", "perMinute", "perMillionCharacters"),
)
"""What is priced, by the names of a Model's price."""

Rates = Mapping[str, Decimal]
"""USD per million tokens, or for what the name says, by meter; one without a price is absent."""


class UnbelievableError(ValueError):
    """A file is not what it should be; the message names file, place and reason."""


class UnstatableError(ValueError):
    """A Model cannot state what an entry says; the message is the reason."""


@dataclass(frozen=True, slots=True)
class ImageRate:
    """USD for one image of a size and quality, "" for any."""

    size: str
    quality: str
    price: Decimal


@dataclass(frozen=True, slots=True)
class PublicPrice:
    """One model at one provider. `long_rates` replace `rates` above `long_above` input tokens.

    `tiers` are other prices by service tier: flex, priority, batch; `tiers_long` are theirs above
    `long_above`. `images` are prices by the image, in the order in which they count. `unused` names
    what the entry bills besides. `capabilities` are those of a Model, as far as the data tells
    them. `obstacle` says why a Model cannot state these prices, "" where it can.
    """

    provider: str
    name: str
    rates: Rates
    matches: Callable[[str], bool]
    long_above: int = 0
    long_rates: Rates | None = None
    tiers: Mapping[str, Rates] | None = None
    tiers_long: Mapping[str, Rates] | None = None
    images: tuple[ImageRate, ...] = ()
    context_tokens: int = 0
    max_output_tokens: int = 0
    capabilities: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()
    source: str = ""
    checked: str = ""
    obstacle: str = ""


def number(where: str, value: object) -> Decimal:
    """A price: a decimal that is neither negative nor absurd."""
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise UnbelievableError(f"{where}: {str(value)[:40]!r} is no number")
    price = Decimal(value)
    if not price.is_finite() or not 0 <= price < 1_000_000:
        raise UnbelievableError(f"{where}: {str(value)[:40]} is no price")
    return price


def whole(value: object) -> int:
    """A number of tokens, 0 where there is none."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 < value <= 100_000_000:
        return value
    return 0
