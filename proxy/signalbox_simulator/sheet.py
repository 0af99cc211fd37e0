"""The simulator's own price sheet: YAML, prices in USD per million tokens as decimal strings."""

from __future__ import annotations

import math
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

PICO_PER_USD = 10**12
TOKENS_PER_PRICE = 10**6
DEFAULT_SHEET = Path(__file__).with_name("default_prices.yaml")

Capability = Literal[
    "tools",
    "images",
    "files",
    "structured_output",
    "thinking",
    "adaptive_thinking",
    "thinking_levels",
]
Surface = Literal[
    "chat_completions",
    "embeddings",
    "generate_content",
    "messages",
    "models",
    "converse",
    "sts",
    "identity",
    "azure",
    "responses",
    "speech",
    "images",
    "rerank",
    "transcriptions",
]
Kind = Literal["chat", "embedding", "speech", "image", "rerank", "transcription"]


def _decimal(value: object) -> Fraction:
    """Read a decimal string exactly; YAML floats would already have lost digits."""
    if not isinstance(value, str) or not value.replace(".", "", 1).isdigit():
        raise ValueError('write a decimal string such as "0.25"')
    return Fraction(value)


Decimal = Annotated[Fraction, BeforeValidator(_decimal)]


class Section(BaseModel):
    """Anything in the sheet; unknown keys are errors, so that no slip makes a meter free."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)


class Prices(Section):
    """USD per million tokens by meter; a meter without a price is not offered."""

    input: Decimal
    output: Decimal = Fraction(0)
    cached_input: Decimal | None = None
    cache_write_5m: Decimal | None = None
    cache_write_1h: Decimal | None = None


class UnitPrices(Section):
    """USD by units other than tokens of text; images by "SIZE/QUALITY"."""

    million_characters: Decimal | None = None
    million_audio_tokens: Decimal | None = None
    thousand_searches: Decimal | None = None
    minute: Decimal | None = None
    image: dict[str, Decimal] = {}


class LongContext(Section):
    """Prices of the whole request once its input, cached or not, exceeds the threshold."""

    above_input_tokens: int = Field(gt=0)
    usd_per_million: Prices


class Usage(BaseModel):
    """What one answer consumed, in tokens; ``reasoning`` is a part of ``output``.

    What is counted in units stands below. ``audio_tokens`` are beside ``input``.
    """

    model_config = ConfigDict(frozen=True)

    input: int = 0
    cached_input: int = 0
    cache_write_5m: int = 0
    cache_write_1h: int = 0
    output: int = 0
    reasoning: int = 0
    characters: int = 0
    images: int = 0
    image_kind: str = ""
    searches: int = 0
    audio_seconds: int = 0
    audio_tokens: int = 0

    def written(self) -> dict[str, object]:
        """Give the meters of tokens, and of the others those that counted something."""
        return {
            name: value
            for name, value in self.model_dump().items()
            if value or name in TOKEN_METERS
        }

    @property
    def prompt(self) -> int:
        """All input tokens, however they were metered."""
        return self.input + self.cached_input + self.cache_write_5m + self.cache_write_1h


TOKEN_METERS = ("input", "cached_input", "cache_write_5m", "cache_write_1h", "output", "reasoning")


class ModelSheet(Section):
    """One model: its prices, limits and the fields that it does not take."""

    kind: Kind = "chat"
    owner: str
    served_as: str | None = None
    aliases: list[str] = []
    usd_per_million: Prices = Prices.model_construct(input=Fraction(0))
    usd_per: UnitPrices = UnitPrices()
    long_context: LongContext | None = None
    service_tiers: dict[str, Decimal] = {}
    token_scale: Decimal = Fraction(1)
    tool_preamble_tokens: int = Field(default=0, ge=0)
    max_input_tokens: int = Field(gt=0)
    max_output_tokens: int = Field(default=0, ge=0)
    context_window: int | None = None
    cache_minimum_tokens: int = Field(default=1024, gt=0)
    dimensions: int = Field(default=0, ge=0)
    reasoning_efforts: list[str] = []
    default_effort: str | None = None
    chat_tools_need_no_effort: bool = False
    capabilities: list[Capability] = []
    refuses: dict[str, str | None] = {}
    fixed: dict[str, int] = {}

    @model_validator(mode="after")
    def _has_a_price(self) -> ModelSheet:
        stated = self.model_fields_set
        if "usd_per_million" not in stated and not (
            "usd_per" in stated and self.kind not in ("chat", "embedding")
        ):
            raise ValueError("a model without a price")
        return self

    def output_room(self, prompt_tokens: int) -> int:
        """Give how many tokens the model could still generate after such a prompt."""
        if self.context_window is None:
            return self.max_output_tokens
        return min(self.max_output_tokens, self.context_window - prompt_tokens)


class HostSheet(Section):
    """One host: what it speaks, whom it lets in, what it serves, its price difference.

    ``unknown_fields`` maps fields that the host refuses to those that it takes instead. With
    ``stream_usage: always`` the last choice's last chunk carries the usage, asked for or not.
    """

    surfaces: list[Surface]
    multiplier: Decimal = Fraction(1)
    authentication: Literal["required", "none"] = "required"
    credentials: list[str] | None = None
    models: list[str]
    unknown_fields: dict[str, str] = {}
    stream_usage: Literal["asked", "always"] = "asked"


class Sheet(Section):
    """The whole price sheet."""

    hosts: dict[str, HostSheet]
    models: dict[str, ModelSheet]

    @model_validator(mode="after")
    def _hosts_name_known_models(self) -> Sheet:
        for host, section in self.hosts.items():
            for model in section.models:
                if model not in self.models:
                    raise ValueError(f"hosts.{host}.models: no model {model!r} under models")
        return self

    def find(self, host: str, name: str) -> tuple[str, ModelSheet] | None:
        """Find the model that a host serves under a name or alias."""
        for model in self.hosts[host].models:
            section = self.models[model]
            if name == model or name == section.served_as or name in section.aliases:
                return model, section
        return None


def load(path: Path = DEFAULT_SHEET) -> Sheet:
    """Read a price sheet; raises ValueError or OSError naming what is wrong."""
    return Sheet.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))


def amount_pico_usd(sheet: Sheet, host: str, model: str, usage: Usage, tier: str) -> int:
    """Price one answer in pico-USD: sum of tokens x price x tier x host, rounded up once."""
    section = sheet.models[model]
    prices = section.usd_per_million
    long_context = section.long_context
    if long_context is not None and usage.prompt > long_context.above_input_tokens:
        prices = long_context.usd_per_million
    total = (
        usage.input * prices.input
        + usage.output * prices.output
        + usage.cached_input * (prices.cached_input or prices.input)
        + usage.cache_write_5m * (prices.cache_write_5m or prices.input)
        + usage.cache_write_1h * (prices.cache_write_1h or prices.input)
        + _millions_of_units(section.usd_per, usage)
    )
    factor = section.service_tiers.get(tier, Fraction(1)) * sheet.hosts[host].multiplier
    return math.ceil(total * factor * PICO_PER_USD / TOKENS_PER_PRICE)


def _millions_of_units(prices: UnitPrices, usage: Usage) -> Fraction:
    """Sum up what is not tokens of text, times a million; a unit without a price is a mistake."""
    counted = (
        (usage.characters, prices.million_characters, 1),
        (usage.audio_tokens, prices.million_audio_tokens, 1),
        (usage.searches, prices.thousand_searches, Fraction(TOKENS_PER_PRICE, 1000)),
        (usage.audio_seconds, prices.minute, Fraction(TOKENS_PER_PRICE, 60)),
        (usage.images, prices.image.get(usage.image_kind), TOKENS_PER_PRICE),
    )
    total = Fraction(0)
    for quantity, price, millions in counted:
        if quantity and price is None:
            raise ValueError("the sheet has no price for what was used")
        total += quantity * (price or 0) * millions
    return total
