"""The kinds of the group, each with what `kubectl` needs to know about it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from signalbox_api.agent import Agent, AgentSpec
from signalbox_api.base import Part, Resource
from signalbox_api.budget import Budget, BudgetSpec
from signalbox_api.data_asset import DataAsset, DataAssetSpec
from signalbox_api.domain import Domain, DomainSpec
from signalbox_api.fleet import Fleet, FleetSpec, FleetStatus
from signalbox_api.model import Model, ModelSpec
from signalbox_api.route_policy import RoutePolicy, RoutePolicySpec
from signalbox_api.status import (
    AgentStatus,
    BudgetStatus,
    DataAssetStatus,
    DomainStatus,
    ModelStatus,
    RoutePolicyStatus,
    Status,
)


@dataclass(frozen=True, slots=True)
class Column:
    """A column of `kubectl get`. `wide` columns show with `-o wide` only."""

    title: str
    path: str
    kind: str = "string"
    wide: bool = False
    description: str = ""


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind: its type, its names and its columns."""

    resource: type[Resource]
    spec: type[Part]
    status: type[Status]
    plural: str
    short: str
    columns: tuple[Column, ...]

    @property
    def name(self) -> str:
        """The kind as written in manifests."""
        return self.resource.__name__


def _condition(title: str, *, wide: bool = False) -> Column:
    path = f".status.conditions[?(@.type=='{title}')].status"
    return Column(title, path, wide=wide, description=f"Status of the condition {title}.")


_ACCEPTED = _condition("Accepted")
_PROGRAMMED = _condition("Programmed")
_REASON = Column(
    "Reason",
    ".status.conditions[?(@.status!='True')].reason",
    description="Why the first condition that is not True is not: Accepted, Programmed, the rest.",
)
"""Conditions stand in the order of `CONDITIONS_OF`, and of several a column shows the first."""
_MESSAGE = Column(
    "Message",
    ".status.conditions[?(@.status!='True')].message",
    wide=True,
    description="What that condition says: what is wrong, and what to do.",
)
_NOTE = Column(
    "Note",
    ".status.conditions[?(@.type=='Accepted')].message",
    wide=True,
    description="What Accepted says: what is noteworthy though it is in force.",
)
_AGE = Column("Age", ".metadata.creationTimestamp", "date")

_DOMAIN = (
    Column("Team", ".spec.ownerTeam"),
    Column("Account", ".spec.focusAccount"),
    Column("Sensitivity", ".spec.defaultSensitivity"),
    Column("Residency", ".spec.residency.jurisdictions"),
    Column("Parent", ".spec.parent", wide=True),
    Column("Agents", ".status.agents", "integer", wide=True),
    _ACCEPTED,
    _PROGRAMMED,
    _REASON,
    _MESSAGE,
    _NOTE,
    _AGE,
)
_AGENT = (
    Column("Domain", ".spec.domain"),
    Column("Max-Sensitivity", ".spec.maxSensitivity"),
    Column("Workload", ".spec.defaults.workload", wide=True),
    Column("Keys", ".status.keys", "integer", wide=True),
    Column("Budgets", ".status.budgets", wide=True),
    _ACCEPTED,
    _PROGRAMMED,
    _REASON,
    _MESSAGE,
    _NOTE,
    _AGE,
)
_DATA_ASSET = (
    Column("Domain", ".spec.domain"),
    Column("Sensitivity", ".spec.sensitivity"),
    Column("Residency", ".spec.residency.jurisdictions"),
    Column("Location", ".spec.location", wide=True),
    Column("Retention", ".spec.retention", wide=True),
    _ACCEPTED,
    _PROGRAMMED,
    _REASON,
    _MESSAGE,
    _NOTE,
    _AGE,
)
_MODEL = (
    Column("Lanes", ".status.lanes", description="Lanes that serve, out of all."),
    Column("Input", ".spec.price.input", description="USD per million input tokens."),
    Column("Output", ".spec.price.output", description="USD per million output tokens."),
    Column("Context", ".spec.limits.contextTokens", "integer"),
    Column("Quality", ".spec.quality.default", wide=True),
    Column("Capabilities", ".spec.capabilities", wide=True),
    Column("Ends", ".spec.deprecation.at", wide=True),
    _ACCEPTED,
    _PROGRAMMED,
    _REASON,
    _MESSAGE,
    _NOTE,
    _AGE,
)
_BUDGET = (
    Column("Limit", ".status.limit", description="The limit in force, in the unit beside it."),
    Column("Unit", ".status.unit", description="usd, tokens or requests."),
    Column("Spent", ".status.settled", description="Billed and recorded in this window."),
    Column("Reserved", ".status.held", wide=True, description="Held for requests under way."),
    Column("Remaining", ".status.remaining", description="What can still be reserved."),
    Column("Used%", ".status.percent", "integer", description="Per cent of the limit."),
    Column("Window", ".status.window", wide=True, description="How long a window lasts."),
    Column("Resets", ".status.windowEnd", description="When the budget begins anew."),
    Column("Runs-Out", ".status.exhaustsAt", wide=True, description="If it goes on as lately."),
    Column("Per", ".spec.per", wide=True, description="Who has an account of their own."),
    Column("Overrun", ".status.overrun", wide=True, description="Billed above what was held."),
    Column("Enforcement", ".spec.enforcement", wide=True, description="DryRun refuses nobody."),
    _condition("Exhausted"),
    _ACCEPTED,
    _PROGRAMMED,
    _REASON,
    _MESSAGE,
    _NOTE,
    _AGE,
)
_ROUTE_POLICY = (
    Column("Objective", ".spec.objective"),
    Column("Candidates", ".spec.candidates"),
    Column("Floor", ".spec.constraints.qualityFloor", wide=True),
    Column("Classes", ".spec.constraints.laneClasses", wide=True),
    Column("Enforcement", ".spec.enforcement"),
    _ACCEPTED,
    _PROGRAMMED,
    _condition("Conflicted", wide=True),
    _REASON,
    _MESSAGE,
    _NOTE,
    _AGE,
)

_FLEET = (
    Column("Generation", ".status.generation", "integer", description="What is released."),
    Column("Proxies", ".status.proxies.summary", description="Those that run it, out of all."),
    Column("Pinned", ".status.pinned.generation", "integer", description="What serves instead."),
    Column("Until", ".status.pinned.until", wide=True, description="When the pin ends."),
    Column("Held", ".status.held.changes", "integer", description="What waits for a person."),
    _condition("Degraded"),
    Column(
        "Reason",
        ".status.conditions[?(@.type=='Degraded')].reason",
        description="Why it is degraded or not.",
    ),
    Column(
        "Message",
        ".status.conditions[?(@.type=='Degraded')].message",
        wide=True,
        description="What that says, with what to do.",
    ),
    _condition("Rotating", wide=True),
    Column("Version", ".status.version", wide=True, description="SHA-256 of the snapshot."),
    _AGE,
)

KINDS: Final[Mapping[str, Kind]] = {
    kind.name: kind
    for kind in (
        Kind(Agent, AgentSpec, AgentStatus, "agents", "agt", _AGENT),
        Kind(Budget, BudgetSpec, BudgetStatus, "budgets", "bud", _BUDGET),
        Kind(
            DataAsset,
            DataAssetSpec,
            DataAssetStatus,
            "dataassets",
            "asset",
            _DATA_ASSET,
        ),
        Kind(Domain, DomainSpec, DomainStatus, "domains", "dom", _DOMAIN),
        Kind(Model, ModelSpec, ModelStatus, "models", "mdl", _MODEL),
        Kind(
            RoutePolicy,
            RoutePolicySpec,
            RoutePolicyStatus,
            "routepolicies",
            "rpol",
            _ROUTE_POLICY,
        ),
    )
}
"""Every kind that people write, by its name."""

FLEET: Final = Kind(Fleet, FleetSpec, FleetStatus, "fleets", "sbf", _FLEET)
"""What the operator writes; no kind of people's manifests."""

ALL_KINDS: Final[tuple[Kind, ...]] = (*KINDS.values(), FLEET)
"""Every kind that an API server knows."""
