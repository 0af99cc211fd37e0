"""Model: what runs, what it can do, what it costs and on which lanes it is reached."""

import re
from enum import StrEnum
from typing import Annotated, Final, Literal, Self

from pydantic import Field, model_validator

from signalbox_api.base import Part, Resource, Rule
from signalbox_api.lane import Lane
from signalbox_api.price import ModelPrice
from signalbox_api.scalars import (
    UNIQUE,
    Instant,
    ModelName,
    Share,
    SomeTokens,
    Text,
    Tokens,
    Word,
)
from signalbox_api.status import ModelStatus

_LABEL: Final = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN: Final = re.compile(rf"{_LABEL}(\.{_LABEL})*", flags=re.ASCII)

RESERVED_NAMES: Final = ("auto", "asked")
"""`auto` asks a policy to choose, `asked` stands for the model asked for: no model is called so."""


class Tokenizer(StrEnum):
    """How the expected cost is counted. The bound never depends on it."""

    O200K = "o200k"
    CL100K = "cl100k"
    ESTIMATE = "estimate"


class Capability(StrEnum):
    """What a request may need and a model may have."""

    CHAT = "chat"
    TOOLS = "tools"
    IMAGES = "images"
    DOCUMENTS = "documents"
    STRUCTURED_OUTPUT = "structuredOutput"
    EMBEDDINGS = "embeddings"
    REASONING = "reasoning"
    PROMPT_CACHING = "promptCaching"
    RERANK = "rerank"
    IMAGE_GENERATION = "imageGeneration"
    TRANSCRIPTION = "transcription"
    SPEECH = "speech"


class Overhead(Part):
    """Upper bounds of the tokens that a provider's template adds to what the client wrote."""

    per_request: Tokens = 600
    """Added once to each request. The default covers the published tool-use preambles."""
    per_message: Tokens = 8
    """Added for each message: role markers and separators."""
    per_tool: Tokens = 16
    """Added for each tool beyond the bytes of its definition."""


class ModelLimits(Part):
    """Token limits. Without a bound nothing is dispatched."""

    context_tokens: SomeTokens
    """Most tokens of input and output together. Requests that are clearly longer are not routed
    to the model; of embeddings each input counts on its own, and the provider judges."""
    max_output_tokens: SomeTokens | None = None
    """Most output tokens, reasoning included; of images that are billed by tokens, those of one.
    Needed by models with the capability chat."""
    default_output_tokens: SomeTokens | None = None
    """Output limit of requests that state none. Absent: 1024, or maxOutputTokens if lower."""
    tokens_per_image: SomeTokens | None = None
    """Most tokens that one image is billed as. Needed by the capability images."""
    audio_seconds: SomeTokens | None = None
    """Most seconds of audio that are billed for one request. Absent: of audio that is billed by
    the minute only WAV files are taken, whose length can be read."""
    overhead: Overhead = Overhead()
    """Upper bounds of the tokens that the provider's template adds."""

    rules = (
        Rule(
            "!has(self.maxOutputTokens) || self.maxOutputTokens <= self.contextTokens",
            "maxOutputTokens is above contextTokens; lower it",
        ),
        Rule(
            "!has(self.defaultOutputTokens) || !has(self.maxOutputTokens)"
            " || self.defaultOutputTokens <= self.maxOutputTokens",
            "defaultOutputTokens is above maxOutputTokens; lower it",
        ),
    )

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        most = self.max_output_tokens
        if most is not None and most > self.context_tokens:
            raise ValueError(self.rules[0].message)
        if most is not None and (self.default_output_tokens or 0) > most:
            raise ValueError(self.rules[1].message)
        return self


class Quality(Part):
    """How good the answers are, from 0 to 1: your own measurement or a published score."""

    default: Share
    """Quality where no workload says otherwise, such as "0.88"."""
    by_workload: Annotated[dict[Word, Share], Field(max_length=64)] = Field(default_factory=dict)
    """Quality by workload."""

    rules = (
        Rule(
            "!has(self.byWorkload) || self.byWorkload.all(w,"
            " w.matches('^[A-Za-z0-9]([-._A-Za-z0-9]{0,61}[A-Za-z0-9])?$'))",
            "a key of byWorkload is no workload; write at most 63 letters, digits, '-', '_' and"
            " '.', a"
            " letter or digit at both ends",
        ),
    )


class Deprecation(Part):
    """The end of a model."""

    at: Instant | None = None
    """From this instant on the model no longer serves. Absent: it serves on, and its status names
    the replacement."""
    replacement: ModelName | None = None
    """The Model that answers in its place from then on, for agents that may use it. Absent:
    requests are refused."""

    rules = (
        Rule(
            "has(self.at) || has(self.replacement)",
            "deprecation says nothing; write at, the instant at which the model ends, or"
            " replacement",
        ),
    )

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.at is None and self.replacement is None:
            raise ValueError(self.rules[0].message)
        return self


class ModelSpec(Part):
    """A model, its abilities, limits, prices and lanes."""

    display_name: Text | None = None
    """Name for people, in lists of models. Absent: the object's name."""
    aliases: Annotated[tuple[ModelName, ...], Field(max_length=32), UNIQUE] = ()
    """Further names by which clients may ask for the model. Unique among all models."""
    tokenizer: Tokenizer = Tokenizer.ESTIMATE
    """How the expected cost is counted: o200k, cl100k, or estimate where the vocabulary is not
    public."""
    capabilities: Annotated[tuple[Capability, ...], Field(min_length=1, max_length=16), UNIQUE]
    """What the model can do. Requests that need more are not routed to it."""
    limits: ModelLimits
    """Token limits."""
    quality: Quality | None = None
    """How good the answers are. Absent: the model passes no quality floor."""
    price: ModelPrice | None = None
    """What the provider charges. Absent: requests are refused with no_price, unless a lane states
    its own prices."""
    lanes: Annotated[tuple[Lane, ...], Field(min_length=1, max_length=16)]
    """The ways to reach the model."""
    deprecation: Deprecation | None = None
    """The end of the model."""

    rules = (
        Rule(
            "self.lanes.all(l, !has(l.from) || (l.from != l.name"
            " && self.lanes.exists(m, m.name == l.from && !has(m.from))))",
            "from leads nowhere; name another lane of this model that has no from itself",
        ),
        Rule(
            "!has(self.aliases) || !self.aliases.exists(a, a in ['auto', 'asked'])",
            "auto and asked have a meaning of their own; choose another alias",
        ),
        Rule(
            "!('chat' in self.capabilities) || has(self.limits.maxOutputTokens)",
            "limits.maxOutputTokens is missing; the capability chat needs it as the bound of an"
            " answer",
        ),
        Rule(
            "!('images' in self.capabilities) || has(self.limits.tokensPerImage)",
            "limits.tokensPerImage is missing; the capability images needs it as the bound of an"
            " image",
        ),
        Rule(
            "!('chat' in self.capabilities) || !has(self.price) || has(self.price.output)",
            'price.output is missing; the capability chat needs it, write "0" where output is free',
        ),
        Rule(
            "!('chat' in self.capabilities || 'embeddings' in self.capabilities)"
            " || !has(self.price) || has(self.price.input)",
            "price.input is missing; the capabilities chat and embeddings need it, write"
            ' "0" where input is free',
        ),
        Rule(
            "!has(self.price) || !has(self.price.input) || has(self.price.output)"
            " || !('imageGeneration' in self.capabilities && !has(self.price.perImage)"
            " || 'transcription' in self.capabilities && !has(self.price.perMinute)"
            " || 'speech' in self.capabilities && !has(self.price.perMillionCharacters))",
            "price.output is missing; images without perImage, transcripts without perMinute and"
            " speech without perMillionCharacters are billed by tokens, write"
            ' "0" where output is free',
        ),
    )

    @model_validator(mode="after")
    def _lanes_inherit_once(self) -> Self:
        own = {lane.name for lane in self.lanes if lane.from_lane is None}
        if len({lane.name for lane in self.lanes}) < len(self.lanes):
            raise ValueError("two lanes have the same name; rename one")
        if any(lane.from_lane is not None and lane.from_lane not in own for lane in self.lanes):
            raise ValueError(self.rules[0].message)
        return self

    @model_validator(mode="after")
    def _free_aliases(self) -> Self:
        if any(alias in RESERVED_NAMES for alias in self.aliases):
            raise ValueError(self.rules[1].message)
        return self

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        limits, able = self.limits, self.capabilities
        missing = (
            Capability.CHAT in able and limits.max_output_tokens is None,
            Capability.IMAGES in able and limits.tokens_per_image is None,
            Capability.CHAT in able and self.price is not None and self.price.output is None,
            bool({Capability.CHAT, Capability.EMBEDDINGS} & {*able})
            and self.price is not None
            and self.price.input is None,
            self._lacks_price_of_answers,
        )
        for absent, rule in zip(missing, self.rules[2:], strict=True):
            if absent:
                raise ValueError(rule.message)
        return self

    @property
    def _lacks_price_of_answers(self) -> bool:
        """Whether answers beside text are billed by tokens, and those of answers by nothing."""
        price, able = self.price, self.capabilities
        if price is None or price.input is None or price.output is not None:
            return False
        by_unit = (
            (Capability.IMAGE_GENERATION, price.per_image),
            (Capability.TRANSCRIPTION, price.per_minute),
            (Capability.SPEECH, price.per_million_characters),
        )
        return any(capability in able and stated is None for capability, stated in by_unit)


class Model(Resource):
    """What runs: aliases, capabilities, limits, quality, price, lanes. Platform namespace only.

    A lane is one way to reach the model: a provider, a place, a class of capacity, a price. Each
    request is priced on every lane that may carry it before one is chosen; a lane without a price,
    or a request without a bound, is never sent.
    """

    name_rule = Rule(
        "self.metadata.name.size() <= 63 && !(self.metadata.name in ['auto', 'asked'])",
        "metadata.name does not fit a Model; write at most 63 lower-case letters, digits, '-' and"
        " '.', but neither auto nor asked",
    )

    kind: Literal["Model"] = "Model"
    spec: ModelSpec
    """What is wanted."""
    status: ModelStatus | None = None
    """What is in force; written by Signalbox."""

    @staticmethod
    def _name_fits(name: str) -> bool:
        return (
            len(name) <= 63
            and _SUBDOMAIN.fullmatch(name) is not None
            and name not in RESERVED_NAMES
        )
