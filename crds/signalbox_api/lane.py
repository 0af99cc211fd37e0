"""Lane: one way to reach a model, with its place, its class and its price."""

import re
from enum import StrEnum
from typing import Annotated, Final, Self

from pydantic import Field, Strict, model_validator

from signalbox_api.base import Part, Rule
from signalbox_api.lane_auth import LaneAuth
from signalbox_api.price import LanePrice
from signalbox_api.scalars import Country, Endpoint, Label, Milliseconds, ModelName, Switch, Word
from signalbox_api.sensitivity import Sensitivity

_INTERNAL_HOST = (
    "^http://(localhost|127\\.0\\.0\\.1|[a-z0-9][-a-z0-9]*|[-.a-z0-9]+\\.svc(\\.cluster\\.local)?)"
    "(:[0-9]+)?(/.*)?$"
)
_CEL_INTERNAL_HOST: Final = _INTERNAL_HOST.replace("\\", "\\\\")
_INTERNAL: Final = re.compile(_INTERNAL_HOST, flags=re.ASCII)


class LaneClass(StrEnum):
    """What kind of capacity a lane is."""

    PUBLIC = "public"
    REGIONAL = "regional"
    RESERVED = "reserved"
    SOVEREIGN = "sovereign"
    BATCH = "batch"
    FLEX = "flex"


class WireFormat(StrEnum):
    """The HTTP API that the endpoint speaks."""

    OPENAI = "openai"
    ANTHROPIC = "anthropic"
    BEDROCK = "bedrock"
    GEMINI = "gemini"


class OutputLimitField(StrEnum):
    """How the output limit is spelt in an OpenAI chat request."""

    MAX_TOKENS = "max_tokens"
    MAX_COMPLETION_TOKENS = "max_completion_tokens"


class LaneLimits(Part):
    """How long an attempt on a lane may take."""

    request_timeout_seconds: Annotated[int, Strict(), Field(ge=1, le=3600)] | None = None
    """Longest duration of an attempt, streaming included. Absent: 600."""


class Lane(Part):
    """One way to reach the model. With `from`, everything left out is taken from that lane."""

    name: Label
    """Name of the lane among the model's lanes; recorded with every run."""
    from_lane: Annotated[Label | None, Field(alias="from")] = None
    """Another lane of this model from which everything left out here is taken."""
    lane_class: Annotated[LaneClass | None, Field(alias="class")] = None
    """Kind of capacity: public, regional, reserved, sovereign, batch or flex."""
    provider: Word | None = None
    """Who serves and bills, such as openai, anthropic, bedrock, vertex, azure or vllm."""
    wire_format: WireFormat | None = None
    """The HTTP API that the endpoint speaks: openai (also of Azure, vLLM, Ollama, Mistral, Groq),
    anthropic, bedrock (Amazon's Converse) or gemini (generateContent, of Vertex AI too)."""
    upstream_model: ModelName | None = None
    """The model's name at the provider."""
    output_limit_field: OutputLimitField | None = None
    """With wireFormat openai: the field that carries the output limit of a chat request,
    max_completion_tokens where the provider insists on it. Absent: max_tokens."""
    responses_api: Switch | None = None
    """With wireFormat openai: whether the endpoint serves /responses too, which then gets such
    requests as clients write them. Absent: true for the provider openai; elsewhere they are
    translated into chat completions."""
    api_version: Word | None = None
    """With wireFormat openai: the api-version of Azure OpenAI's paths by deployment, such as
    2024-10-21; the endpoint is then the resource's own address and upstreamModel the deployment.
    Absent: OpenAI's own paths, which Azure serves below /openai/v1."""
    service_tier: Word | None = None
    """Value of service_tier that the proxy sets on every attempt, such as flex. Absent: none."""
    endpoint: Endpoint | None = None
    """Base URL without the API's own path: https, or http for hosts inside the cluster (one label,
    or a name that ends in .svc or .svc.cluster.local) and this machine."""
    auth: LaneAuth | None = None
    """How the proxy authenticates to the provider."""
    region: Word | None = None
    """The provider's region that serves, such as eu-central-1."""
    jurisdiction: Country | None = None
    """ISO 3166-1 code of the country whose law the serving machines are under; residency locks
    are compared with it."""
    max_sensitivity: Sensitivity | None = None
    """The highest class that may be sent on this lane."""
    price: LanePrice | None = None
    """How the price differs from the model's. Absent: the model's price."""
    typical_first_chunk_ms: Milliseconds | None = None
    """Usual time to the first chunk of an answer, in milliseconds. Where a policy sets
    firstChunkMs, lanes that are usually slower are left out."""
    limits: LaneLimits | None = None
    """How long an attempt may take."""

    rules = (
        Rule(
            "has(self.from) || (has(self.class) && has(self.provider) && has(self.wireFormat)"
            " && has(self.upstreamModel) && has(self.endpoint) && has(self.auth)"
            " && has(self.region) && has(self.jurisdiction) && has(self.maxSensitivity))",
            "the lane is incomplete; write class, provider, wireFormat, upstreamModel, endpoint,"
            " auth,"
            " region, jurisdiction and maxSensitivity, or from: the lane to take them from",
        ),
        Rule(
            "!has(self.endpoint) || self.endpoint.startsWith('https://')"
            f" || self.endpoint.matches('{_CEL_INTERNAL_HOST}')",
            "endpoint is not encrypted; write https://, as http:// is for hosts inside the"
            " cluster, such"
            " as http://vllm.models.svc:8000",
        ),
    )

    @model_validator(mode="after")
    def _complete(self) -> Self:
        needed = (
            self.lane_class,
            self.provider,
            self.wire_format,
            self.upstream_model,
            self.endpoint,
            self.auth,
            self.region,
            self.jurisdiction,
            self.max_sensitivity,
        )
        if self.from_lane is None and any(value is None for value in needed):
            raise ValueError(self.rules[0].message)
        return self

    @model_validator(mode="after")
    def _encrypted_outside(self) -> Self:
        if self.endpoint is None or self.endpoint.startswith("https://"):
            return self
        if not _INTERNAL.match(self.endpoint):
            raise ValueError(self.rules[1].message)
        return self
