"""What the wire format of a lane means for a request: whether it is translated, and what then
reaches the provider. Pure; read by the route decision and by what is held.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from signalbox_proxy.model_request import CacheWrite, ModelRequest, SurfaceName
from signalbox_snapshot.snapshot import Lane, WireFormat

if TYPE_CHECKING:
    from signalbox_proxy.runtime import PreparedLane  # which is prepared with what stands here

NATIVE: Final[Mapping[SurfaceName, WireFormat]] = {
    "chat": "openai",
    "embeddings": "openai",
    "responses": "openai",
    "messages": "anthropic",
    "count_tokens": "anthropic",
    "images": "openai",
    "rerank": "openai",
    "speech": "openai",
    "transcriptions": "openai",
}
"""The format of each surface: lanes that speak it are sent what the client wrote."""

FREE: Final[frozenset[SurfaceName]] = frozenset({"count_tokens"})
"""Surfaces that no provider bills: no money and no tokens are held for them. Each is a request all
the same: who limits requests limits what a provider is asked."""

_WITHOUT_CACHE_POINTS: Final[frozenset[WireFormat]] = frozenset({"openai", "gemini"})
"""Formats that a translation writes no cache points into: their providers cache by themselves."""

CACHES_IF_ASKED: Final[frozenset[WireFormat]] = frozenset({"anthropic", "bedrock"})
"""Formats with cache points: nothing is kept, or read, without one."""

_CACHES_ONLY_IF_ASKED: Final[frozenset[WireFormat]] = frozenset({"anthropic"})


def native_surfaces(lane: Lane) -> frozenset[SurfaceName]:
    """The surfaces whose own format a lane speaks; `PreparedLane` keeps them.

    OpenAI's is spoken by many servers, of which few serve responses.
    """
    return frozenset(
        surface
        for surface, wire in NATIVE.items()
        if wire == lane.wire_format and (surface != "responses" or lane.responses_api)
    )


def is_native(request: ModelRequest, lane: Lane) -> bool:
    """Whether the lane speaks the client's own format: see `native_surfaces`."""
    return request.surface in native_surfaces(lane)


def is_free(request: ModelRequest) -> bool:
    """Whether no provider bills the request."""
    return request.surface in FREE


def is_translated(request: ModelRequest, lane: Lane) -> bool:
    """Whether the lane can be sent a translation only. A count for a model that has no lane of
    the client's format is the proxy's own: nothing of it is sent."""
    return not is_native(request, lane) and request.surface != "count_tokens"


def needs_on(request: ModelRequest, prepared: "PreparedLane") -> frozenset[str]:
    """The capabilities that a request asks of a lane's model; cache points only where they go."""
    is_own = request.surface in prepared.native_to
    if not is_own and prepared.lane.wire_format in _WITHOUT_CACHE_POINTS:
        return request.needs - {"promptCaching"}
    return request.needs


def places_points(request: ModelRequest, prepared: "PreparedLane") -> bool:
    """Whether cache points that the client did not set go to a lane: where the policy says so, the
    format has them, the model knows them and what they write has a price."""
    if not request.places_points:
        return False
    lane = prepared.lane
    return (
        lane.wire_format in CACHES_IF_ASKED
        and "promptCaching" in prepared.model.capabilities
        and lane.price is not None
        and lane.price.standard.cache_write_5m is not None
    )


def cache_write_on(request: ModelRequest, prepared: "PreparedLane") -> CacheWrite:
    """The dearest cache write that a lane's provider may bill for the request."""
    if request.places_points and places_points(request, prepared):
        return "5m"
    if request.surface in prepared.native_to:
        return request.cache_write
    lane = prepared.lane
    if lane.wire_format in _WITHOUT_CACHE_POINTS:
        return "implicit"
    if request.cache_write == "implicit" and lane.wire_format in _CACHES_ONLY_IF_ASKED:
        return "none"
    return request.cache_write
