"""RoutePolicy: where requests may run, and which of the possible ways is preferred.

The constraints of all policies that match combine; the preferences come from the most specific one.
"""

from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import Field, Strict, model_validator

from signalbox_api.base import Part, Resource, Rule
from signalbox_api.budget import Enforcement
from signalbox_api.lane import LaneClass
from signalbox_api.scalars import (
    UNIQUE,
    Jurisdiction,
    Milliseconds,
    ModelName,
    Ref,
    Share,
    SomeTokens,
    Switch,
    Usd,
    Word,
)
from signalbox_api.sensitivity import Sensitivity
from signalbox_api.status import RoutePolicyStatus


class Objective(StrEnum):
    """What is preferred among the lanes that pass every constraint."""

    CHEAPEST = "cheapest"
    FASTEST = "fastest"
    BEST = "best"


class PromptCaching(StrEnum):
    """What becomes of cache points: marks behind which a provider keeps a prompt's beginning."""

    KEEP = "Keep"
    PLACE = "Place"
    OFF = "Off"


class ResponseStorage(StrEnum):
    """Whether a provider may store answers of the responses API."""

    ALLOW = "Allow"
    NEVER = "Never"


_Refs = Annotated[tuple[Ref, ...], Field(min_length=1, max_length=64), UNIQUE]
_Words = Annotated[tuple[Word, ...], Field(min_length=1, max_length=64), UNIQUE]


class Match(Part):
    """Which requests the policy is about: all that is stated must hold. Absent fields match all."""

    domains: _Refs | None = None
    """Requests of these domains and of the domains below them; name or namespace/name."""
    agents: _Refs | None = None
    """Requests of these agents; name or namespace/name."""
    workloads: _Words | None = None
    """Requests of these workloads."""
    tasks: _Words | None = None
    """Requests with these values of x-signalbox-task."""
    models: Annotated[tuple[ModelName, ...], Field(min_length=1, max_length=64), UNIQUE] | None = (
        None
    )
    """Requests that ask for these Models, by whatever alias, or for auto."""
    sensitivities: (
        Annotated[tuple[Sensitivity, ...], Field(min_length=1, max_length=4), UNIQUE] | None
    ) = None
    """Requests of these classes."""


class Constraints(Part):
    """What must hold on every attempt: first try, retry and failover alike."""

    lane_classes: (
        Annotated[tuple[LaneClass, ...], Field(min_length=1, max_length=6), UNIQUE] | None
    ) = None
    """Only lanes of these classes."""
    regions: _Words | None = None
    """Only lanes in these regions of providers."""
    jurisdictions: (
        Annotated[tuple[Jurisdiction, ...], Field(min_length=1, max_length=64), UNIQUE] | None
    ) = None
    """Only lanes in these countries: ISO 3166-1 codes, or the groups EU and EEA."""
    quality_floor: Share | None = None
    """Only models of at least this quality for the workload, such as "0.70"."""
    first_chunk_ms: Milliseconds | None = None
    """An attempt without a first chunk after so many milliseconds fails over; lanes that are
    usually slower are left out."""
    max_usd: Usd | None = None
    """Only attempts whose upper bound is at most so many US dollars."""


class OutputDefaults(Part):
    """What holds for requests that do not say it themselves."""

    max_output_tokens: SomeTokens | None = None
    """Output limit of requests that state none, before the Model's default."""


class Retries(Part):
    """How often a request is tried."""

    attempts: Annotated[int, Strict(), Field(ge=1, le=8)]
    """Most attempts for one request, the first one included, each with its own hold. 1: never
    again. Without a policy: 3."""


class Responses(Part):
    """What holds for the responses API."""

    store: ResponseStorage
    """Whether a provider may store an answer with all that was said before it, so that
    previous_response_id can continue it. Allow: as the client says, and where it says nothing, as
    OpenAI does: stored. Never: the provider is told to store nothing, and store: true is refused,
    that of a chat completion too. Where policies differ, Never holds. Without a policy: Never."""


class RoutePolicySpec(Part):
    """Which requests it is about, what must hold for them, and what is preferred."""

    match: Match | None = None
    """Which requests the policy is about. Absent: all that its namespace may govern."""
    constraints: Constraints | None = None
    """What must hold on every attempt. Combines with the constraints of other policies."""
    candidates: (
        Annotated[tuple[ModelName, ...], Field(min_length=1, max_length=32), UNIQUE] | None
    ) = None
    """Models that may serve instead of the model asked for; `asked` stands for that one. Absent:
    the model asked for."""
    objective: Objective | None = None
    """What is preferred: cheapest, fastest or best. Absent: cheapest."""
    defaults: OutputDefaults | None = None
    """What holds for requests that do not say it themselves."""
    retries: Retries | None = None
    """How often a request is tried."""
    failover: Switch | None = None
    """Whether a failed attempt may be followed by one on another lane. Absent: true."""
    prompt_caching: PromptCaching | None = None
    """What becomes of a provider's prompt cache. Keep: the client's own cache points pass, where
    the lane can say them. Place: requests without any get them behind tools, system prompt and
    documents, where the Model has a price for them. Off: they are taken out. Absent: Keep."""
    responses: Responses | None = None
    """What holds for the responses API. A constraint: it combines with that of other policies."""
    enforcement: Enforcement = Enforcement.ENFORCE
    """Enforce refuses; DryRun records what the constraints would have refused and lets it pass.
    Residency and classification are always enforced."""

    rules = (
        Rule(
            "!has(self.candidates) || !self.candidates.exists(c, c == 'auto')",
            "candidates names Models, or asked for the model asked for; auto is what clients ask"
            " for and stands for none",
        ),
    )

    @model_validator(mode="after")
    def _candidates_are_models(self) -> Self:
        if self.candidates is not None and "auto" in self.candidates:
            raise ValueError(self.rules[0].message)
        return self


class RoutePolicy(Resource):
    """Where requests run: match, constraints, candidates, objective, retries, failover,
    prompt caching, stored responses.

    Without any policy the model asked for answers on its cheapest lane. The constraints of all
    policies that match hold together; each preference comes from the most specific one: by agent,
    then by the depth of its domain, workload, task and model, ties by namespace and name.
    """

    kind: Literal["RoutePolicy"] = "RoutePolicy"
    spec: RoutePolicySpec
    """What is wanted."""
    status: RoutePolicyStatus | None = None
    """What is in force; written by Signalbox."""
