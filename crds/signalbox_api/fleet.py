"""`Fleet`: what runs, as the operator tells it. Nobody writes one, and none is read from manifests.

Not one of `KINDS`, which people write; `kinds.FLEET` describes it to `kubectl`.
"""

from typing import Annotated, Final, Literal

from pydantic import Field, StringConstraints

from signalbox_api.base import Part, Resource, StatusPart
from signalbox_api.scalars import Instant
from signalbox_api.status import Count, Line, Status

MAX_MEMBERS: Final = 256
"""Most proxies whose Pods are remembered."""

MAX_HELD: Final = 16
"""Most sentences about what is held back."""


class FleetSpec(Part):
    """Empty: a fleet is what the other kinds make of it."""


class FleetProxies(StatusPart):
    """How many proxies there are. One that just started is not ready before it has a snapshot."""

    ready: Count = 0
    """Proxies that may get traffic."""
    programmed: Count = 0
    """Ready proxies that run the released generation."""
    total: Count = 0
    """All proxies that are found, reachable or not."""
    summary: Annotated[str, StringConstraints(max_length=32)] = "0/0"
    """Programmed out of total, such as "3/3"."""


class FleetPin(StatusPart):
    """An earlier release that somebody went back to."""

    generation: Count
    """The generation whose content serves."""
    until: Instant
    """When what is written serves again by itself."""
    by: Line = ""
    """Who asked for it, as far as known."""


class FleetHeld(StatusPart):
    """What is written and held back until a person confirms it."""

    changes: Count
    """How many things are held back."""
    messages: Annotated[tuple[Line, ...], Field(max_length=MAX_HELD)] = ()
    """What is held back, why, and how to go on."""


class FleetMember(StatusPart):
    """A proxy whose journal goes with its Pod: once the Pod is gone, so is what it did not settle,
    and its slices of budgets are charged in full."""

    name: Annotated[str, StringConstraints(max_length=253)]
    """Name of the Pod, and of the proxy in the ledger."""
    uid: Annotated[str, StringConstraints(max_length=128)]
    """The Pod's UID."""


class FleetStatus(Status):
    """State of the fleet."""

    fleet_id: Annotated[str, StringConstraints(max_length=128)] | None = None
    """Names this history of releases for ever."""
    generation: Count | None = None
    """The released generation. It only grows."""
    version: Annotated[str, StringConstraints(max_length=64)] | None = None
    """SHA-256 of the released snapshot."""
    proxies: FleetProxies | None = None
    """How many proxies there are, and how many run the released generation."""
    pinned: FleetPin | None = None
    """Set while an earlier release serves; `signalbox history` lists them."""
    held: FleetHeld | None = None
    """Set while something is held back."""
    members: Annotated[tuple[FleetMember, ...], Field(max_length=MAX_MEMBERS)] = ()
    """Proxies whose journal goes with their Pod, as last seen."""


class Fleet(Resource):
    """What runs: the released generation, how many proxies run it, what is pinned or held back.

    Written by the operator alone, one in the platform's namespace; deleting it changes nothing, the
    operator writes it again.
    """

    kind: Literal["Fleet"] = "Fleet"
    spec: FleetSpec = FleetSpec()
    """Empty."""
    status: FleetStatus | None = None
    """What runs; written by Signalbox."""
