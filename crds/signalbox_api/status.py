"""What the status of each kind says beyond its conditions.

Written by the control plane only; amounts are text in the unit of the budget's limit.
"""

from typing import Annotated, Final

from pydantic import Field, StringConstraints

from signalbox_api.base import StatusPart
from signalbox_api.conditions import Condition
from signalbox_api.scalars import Instant

Count = Annotated[int, Field(ge=0, le=9_007_199_254_740_991)]
Line = Annotated[str, StringConstraints(max_length=512)]
Amount = Annotated[str, StringConstraints(max_length=32, pattern=r"^-?[0-9]+(\.[0-9]+)?$")]
Names = Annotated[tuple[Line, ...], Field(max_length=512)]

MAX_WORST: Final = 10
"""Most accounts that the status of one budget names."""


class Status(StatusPart):
    """Common to all kinds."""

    observed_generation: Count = 0
    """The metadata.generation that this status speaks of."""
    serving_generation: Count | None = None
    """The generation in force: below observedGeneration while a newer one is refused."""
    conditions: Annotated[tuple[Condition, ...], Field(max_length=8)] = ()
    """Accepted, Programmed and what else concerns the kind."""


class DomainStatus(Status):
    """State of a Domain."""

    path: Line | None = None
    """The domain and its parents, outermost first, as namespace/name joined by " > "."""
    jurisdictions: Names = ()
    """Countries that the residency locks of the domain and its parents leave. Empty: no lock."""
    agents: Count | None = None
    """Accepted agents of this domain and of the domains below it."""


class AgentStatus(Status):
    """State of an Agent."""

    domain: Line | None = None
    """The domain that pays, as namespace/name."""
    budgets: Names = ()
    """Budgets that apply to every request of the agent, as namespace/name."""
    keys: Count | None = None
    """Keys that are accepted now: listed and not expired."""


class DataAssetStatus(Status):
    """State of a DataAsset."""

    domain: Line | None = None
    """The owner domain, as namespace/name."""
    jurisdictions: Names = ()
    """Countries where requests that touch the asset may be processed. Empty: no lock."""
    retention_days: Count | None = None
    """The retention in days."""


class ModelStatus(Status):
    """State of a Model."""

    lanes: Line | None = None
    """Lanes that serve, out of all: "2/3"."""
    serving_lanes: Names = ()
    """Names of the lanes that requests can be routed to."""
    quarantined_lanes: Names = ()
    """Lanes that at least one proxy calls no more, as their provider billed above the bound. They
    are called again once the limits or prices that the bound was made of are corrected."""
    replacement: Line | None = None
    """The model that answers in its place after its deprecation."""


class SubjectAccount(StatusPart):
    """The account of one user, session or agent."""

    name: Line
    """The agent as namespace/name. A user or a session by a pseudonym, the same for the same one
    within a budget: names of people do not go to the API server."""
    settled: Amount
    """Billed and recorded."""
    held: Amount
    """Reserved for requests that are under way."""
    remaining: Amount
    """What can still be reserved."""
    percent: Count
    """Used, as per cent of the limit, rounded down."""


class BudgetStatus(Status):
    """State of a Budget in the current window. With `per`, sums over the accounts in use."""

    unit: Annotated[str, StringConstraints(max_length=16)] | None = None
    """What is counted: usd, tokens or requests."""
    limit: Amount | None = None
    """The limit in force."""
    settled: Amount | None = None
    """Billed and recorded."""
    held: Amount | None = None
    """Reserved for requests that are under way, and in slices that proxies hold."""
    remaining: Amount | None = None
    """What can still be reserved: limit - settled - held - overrun. With `per`, by the account that
    has the least."""
    overrun: Amount | None = None
    """What providers billed above the holds."""
    percent: Count | None = None
    """Settled and overrun as per cent of the limit, rounded down. With `per`, of the account that
    has the least left."""
    window: Line | None = None
    """How long a window lasts, such as "day" or "2 minutes"."""
    window_start: Instant | None = None
    """Start of the current window."""
    window_end: Instant | None = None
    """End of the current window, when the budget begins anew; nothing for lifetime."""
    exhausts_at: Instant | None = None
    """When nothing is left if it goes on as in the last quarter of an hour. Nothing where that is
    not before the window ends."""
    subjects: Count | None = None
    """Users, sessions or agents with an account of their own in this window."""
    exhausted_subjects: Count | None = None
    """How many of them have nothing left."""
    worst: Annotated[tuple[SubjectAccount, ...], Field(max_length=MAX_WORST)] = ()
    """With `per`: the accounts with the least left, ten at most, those first."""


class RoutePolicyStatus(Status):
    """State of a RoutePolicy."""

    agents: Count | None = None
    """Accepted agents whose requests it can match."""
    overruled_by: Names = ()
    """Policies whose preferences take precedence wherever this one matches too."""
