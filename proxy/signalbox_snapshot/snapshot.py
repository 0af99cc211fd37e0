"""The snapshot: one immutable document with all that a proxy needs to decide a request.

These are wire types. The proxy builds its own indexes from them (`signalbox_proxy.runtime`).
Everything is an integer, a string, a boolean or a list: no floats, so that equal input gives
equal bytes on every machine. Money is nano-USD (1 USD = 10**9), prices are nano-USD per million
tokens, shares are parts per million (ppm), durations are milliseconds, instants are seconds
since the Unix epoch. Identities are `namespace/name`.
"""

from typing import Literal

import msgspec

from signalbox_snapshot.prices import LongContext, PriceTable, Tier, UnitMeter, UnitPrice, Wire
from signalbox_snapshot.workloads import Issuer, OfWorkloads, ServiceAccount, WithIssuers

__all__ = [
    "Issuer",
    "LongContext",
    "PriceTable",
    "ServiceAccount",
    "Tier",
    "UnitMeter",
    "UnitPrice",
    "Wire",
]
"""What stands in a module of its own, and is read from here."""

SCHEMA = 2
"""The schema that this release writes. A proxy accepts this one and the one before."""

Sensitivity = Literal[0, 1, 2, 3]
"""public, internal, confidential, regulated: ordered, so that classes compare as integers."""

SENSITIVITY_NAMES = ("public", "internal", "confidential", "regulated")

LaneClass = Literal["public", "regional", "reserved", "sovereign", "batch", "flex"]
WireFormat = Literal["openai", "anthropic", "bedrock", "gemini"]
Auth = Literal["apiKey", "none", "aws", "google", "azure"]
Enforcement = Literal["Enforce", "DryRun"]
Objective = Literal["cheapest", "fastest", "best"]
PromptCaching = Literal["Keep", "Place", "Off"]
ResponseStorage = Literal["Allow", "Never"]
Unit = Literal["usd", "tokens", "requests"]
Every = Literal["minute", "hour", "day", "week", "month", "quarter", "lifetime"]
Per = Literal["user", "session", "agent"]
OnExhausted = Literal["Refuse", "CheaperLane"]


class Identity(Wire, frozen=True):
    """Whom a lane signs in as, with `auth` aws, google or azure; "" is what the pod brings.

    aws: `role` is the ARN of the role to assume, `region` the one that calls are signed for.
    google: `service_account` is the account to act as. azure: `tenant` and `client` are the
    application, `scope` is what the token is for.
    """

    role: str = ""
    region: str = ""
    service_account: str = ""
    tenant: str = ""
    client: str = ""
    scope: str = ""


class Lane(Wire, frozen=True):
    """One way to run a model: a provider, a place, a price.

    `auth_key` names a credential of the proxy's: always with `auth` apiKey; with aws, google and
    azure one that stands in for the pod's own identity, "" for none.

    `list_price` is the Model's own price; `price` is what this lane bills, with `multiplier_ppm`
    (batch and flex discounts; 1_000_000 is none) and `premium_ppm` (regional premium) applied,
    rounded up per tier. The two are kept so that a charge can show what each cost or saved.
    """

    name: str
    lane_class: LaneClass
    provider: str
    wire_format: WireFormat
    upstream_model: str
    endpoint: str
    auth: Auth
    auth_key: str
    region: str
    jurisdiction: str
    max_sensitivity: Sensitivity
    list_price: PriceTable | None
    price: PriceTable | None
    multiplier_ppm: int = 1_000_000
    premium_ppm: int = 0
    output_limit_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    responses_api: bool = False
    api_version: str = ""
    service_tier: str = ""
    first_chunk_ms: int | None = None
    request_timeout_ms: int = 600_000
    identity: Identity | None = None


class TokenLimits(Wire, frozen=True):
    """Bounds of a model, in tokens.

    `per_request`, `per_message` and `per_tool` are what the provider's chat template may add to
    the text itself: with UTF-8 bytes as the bound of text they make the input bound of section
    Money in docs/architecture.md. `audio_seconds` is the longest audio that is billed for one
    request; left out where it is not stated.
    """

    context: int
    max_output: int
    default_output: int
    per_image: int
    per_request: int
    per_message: int
    per_tool: int
    audio_seconds: int | msgspec.UnsetType = msgspec.UNSET


class Quality(Wire, frozen=True):
    """Quality by workload in ppm of 1; `default` where a workload has none of its own."""

    default: int
    by_workload: dict[str, int] = msgspec.field(default_factory=dict)


class Model(Wire, frozen=True):
    """What runs. `names` holds the name and every alias that a client may ask for.

    `display_name` is for people, "" where the name serves.
    """

    id: str
    name: str
    names: list[str]
    tokenizer: Literal["o200k", "cl100k", "estimate"]
    capabilities: list[str]
    limits: TokenLimits
    quality: Quality
    lanes: list[Lane]
    retires_at: int | None = None
    replacement: str | None = None
    display_name: str = ""


class Domain(Wire, frozen=True):
    """Who owns the spend. `ancestors` starts with the parent and ends at the root.

    `jurisdictions` is the residency lock after inheritance: country codes that an attempt may
    run in, or None for no lock. `default_sensitivity` is inherited too; None means that a
    request must state its own.
    """

    id: str
    owner_team: str
    focus_account: str
    default_sensitivity: Sensitivity | None
    jurisdictions: list[str] | None
    ancestors: list[str]


class DataAsset(Wire, frozen=True):
    """What a request saw. It can only raise the request's class and narrow its lock."""

    id: str
    domain: str
    sensitivity: Sensitivity
    jurisdictions: list[str] | None
    location: str
    retention: str


class Key(Wire, frozen=True):
    """A credential of an agent. `sha256` covers namespace, agent and secret.

    `lookup` is set for adopted keys only, which do not name their agent: see
    `signalbox_proxy.identity`.
    """

    name: str
    sha256: str
    lookup: str = ""
    expires_at: int | None = None


class Agent(OfWorkloads, frozen=True, kw_only=True):
    """What asks. `budgets` lists every budget that may apply to it, workload scopes included."""

    id: str
    domain: str
    max_sensitivity: Sensitivity
    keys: list[Key]
    default_workload: str
    default_data_assets: list[str]
    models: list[str] | None
    tools: list[str] | None
    budgets: list[str]


class Window(Wire, frozen=True):
    """When a budget starts again: `count` units of `every`, aligned in `time_zone` (IANA)."""

    every: Every
    count: int
    time_zone: str


class Budget(Wire, frozen=True):
    """Policy on spend. `limit` and `max_per_request` are in `unit` (usd: nano-USD).

    `workload` restricts it to one workload, "" to none. `per` gives each user, session or agent
    an account of its own. `when_missing` says what a request without that name does: share one
    account, or be refused. `scope` says whom it covers: `all`, `domain ns/name`, `agent ns/name`
    or `workload name`; which agents that are stands in `Agent.budgets`. `new_subjects` is how many
    users or sessions one agent may bring into a window, None without bound (`per` agent, or none).
    `on_exhausted` says whether a cheaper lane may serve where the preferred one cannot be held.
    """

    id: str
    scope: str
    workload: str
    per: Per | None
    when_missing: Literal["share", "refuse"]
    unit: Unit
    limit: int
    window: Window
    max_per_request: int | None
    warn_at_percent: list[int]
    enforcement: Enforcement
    on_exhausted: OnExhausted = "Refuse"
    new_subjects: int | None = None


class Match(Wire, frozen=True):
    """Which requests a policy speaks of. None matches all; domains include their children."""

    domains: list[str] | None = None
    agents: list[str] | None = None
    workloads: list[str] | None = None
    tasks: list[str] | None = None
    models: list[str] | None = None
    sensitivities: list[Sensitivity] | None = None


class Policy(Wire, frozen=True):
    """A route policy. `rank` orders preferences: the highest wins, ties by id, ascending.

    Constraints are None where the policy says nothing; preferences likewise. In `candidates`,
    "asked" stands for the model that the client asked for, anything else is a model id.
    `prompt_caching` and `response_storage` are left out of the document where nothing is said: so
    a snapshot that does not use them has the bytes that it had before there were such fields.
    """

    id: str
    rank: list[int]
    match: Match
    enforcement: Enforcement
    lane_classes: list[LaneClass] | None = None
    regions: list[str] | None = None
    jurisdictions: list[str] | None = None
    quality_floor: int | None = None
    first_chunk_ms: int | None = None
    max_nano: int | None = None
    candidates: list[str] | None = None
    objective: Objective | None = None
    attempts: int | None = None
    failover: bool | None = None
    default_output: int | None = None
    prompt_caching: PromptCaching | msgspec.UnsetType = msgspec.UNSET
    response_storage: ResponseStorage | msgspec.UnsetType = msgspec.UNSET

    @property
    def storage(self) -> ResponseStorage | None:
        """Whether providers may store responses, None where it says nothing."""
        return None if self.response_storage is msgspec.UNSET else self.response_storage

    @property
    def caching(self) -> PromptCaching | None:
        """What it says of prompt caching, None where it says nothing."""
        return None if self.prompt_caching is msgspec.UNSET else self.prompt_caching


class Snapshot(WithIssuers, frozen=True, kw_only=True):
    """The whole configuration of a fleet. Lists are sorted by id; see `codec` for its bytes."""

    schema: int
    platform_namespace: str
    domains: list[Domain]
    agents: list[Agent]
    data_assets: list[DataAsset]
    models: list[Model]
    budgets: list[Budget]
    policies: list[Policy]
