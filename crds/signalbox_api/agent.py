"""Agent: the identity under which an application, agent or copilot asks."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from signalbox_api.base import Part, Resource
from signalbox_api.scalars import (
    UNIQUE,
    Instant,
    Label,
    Lookup,
    ModelName,
    Ref,
    Sha256,
    ToolName,
    Word,
)
from signalbox_api.sensitivity import Sensitivity
from signalbox_api.status import AgentStatus


class AgentDefaults(Part):
    """What holds for requests that do not say it themselves."""

    workload: Word | None = None
    """Workload of requests that name none; quality floors, budgets and reports go by it."""
    data_assets: Annotated[tuple[Ref, ...], Field(max_length=32), UNIQUE] = ()
    """Data assets that every request of this agent touches, as name or namespace/name. Requests
    can add to them, never take away."""


class AllowedModels(Part):
    """Which models may serve the agent."""

    allow: Annotated[tuple[ModelName, ...], Field(max_length=128), UNIQUE]
    """Names of Models. An empty list allows none."""


class AllowedTools(Part):
    """Which tools requests may offer to a model."""

    allow: Annotated[tuple[ToolName, ...], Field(max_length=256), UNIQUE]
    """Names of tools and functions as they stand in requests. An empty list allows none."""


class AgentKey(Part):
    """One API key, known by its digest only. Several at once make rotation possible."""

    name: Label
    """Name of the key among the agent's keys; shown wherever the key itself must not be."""
    sha256: Sha256
    """Digest that `signalbox key new` or `signalbox key adopt` printed, 64 hexadecimal digits. It
    covers namespace, agent and secret: copied to another agent it opens nothing."""
    lookup: Lookup | None = None
    """Printed by `signalbox key adopt` only: 16 hexadecimal digits by which an adopted key, which
    does not name its agent, is found."""
    expires_at: Instant | None = None
    """From this instant on the key is refused. Absent: it does not expire."""


class Credentials(Part):
    """How requests prove that they come from this agent."""

    keys: Annotated[tuple[AgentKey, ...], Field(max_length=16)] = ()
    """API keys by digest."""
    service_accounts: Annotated[tuple[Label, ...], Field(max_length=16), UNIQUE] = ()
    """ServiceAccounts of the agent's own namespace, by name. In a cluster their projected tokens
    (audience `signalbox`) are accepted like keys; one ServiceAccount stands for one agent. An
    agent without keys and ServiceAccounts cannot be used."""

    @model_validator(mode="after")
    def _named_apart(self) -> Self:
        if len({key.name for key in self.keys}) < len(self.keys):
            raise ValueError("two keys have the same name; rename one")
        return self


class AgentSpec(Part):
    """Who asks, on whose account, and what it may send and use."""

    domain: Ref
    """The domain that pays and whose rules apply, as name or namespace/name."""
    max_sensitivity: Sensitivity
    """The highest class that the agent may send. Requests above it are refused."""
    defaults: AgentDefaults | None = None
    """What holds for requests that do not say it themselves."""
    models: AllowedModels | None = None
    """Models that may serve the agent. Absent: all."""
    tools: AllowedTools | None = None
    """Tools that requests may offer. Absent: all."""
    credentials: Credentials | None = None
    """How requests prove that they come from this agent."""


class Agent(Resource):
    """What asks: its domain, keys, highest sensitivity, defaults, models and tools.

    An application, agent or copilot is one Agent. It proves itself by a key; the domain that it
    names pays. What it may use can be narrowed here; nothing that a client says widens it.
    """

    kind: Literal["Agent"] = "Agent"
    spec: AgentSpec
    """What is wanted."""
    status: AgentStatus | None = None
    """What is in force; written by Signalbox."""
