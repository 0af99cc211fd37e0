"""What the wire format of a lane means for a request: whether it is translated, and what then
reaches the provider. Pure; read by the route decision and by what is held.
"""

from collections.abc import Mapping
from typing import Final

from signalbox_proxy.model_request import CacheWrite, ModelRequest, SurfaceName
from signalbox_snapshot.snapshot import Lane, WireFormat

NATIVE: Final[Mapping[SurfaceName, WireFormat]] = {
    "chat": "openai",
    "embeddings": "openai",
    "messages": "anthropic",
}
"""The format of each surface: lanes that speak it are sent what the client wrote."""

_WITHOUT_CACHE_POINTS: Final[frozenset[WireFormat]] = frozenset({"openai", "gemini"})
"""Formats that a translation writes no cache points into: their providers cache by themselves."""

_CACHES_ONLY_IF_ASKED: Final[frozenset[WireFormat]] = frozenset({"anthropic"})


def is_native(request: ModelRequest, lane: Lane) -> bool:
    """Whether the lane speaks the client's own format."""
    return lane.wire_format == NATIVE[request.surface]


def needs_on(request: ModelRequest, lane: Lane) -> frozenset[str]:
    """The capabilities that a request asks of a lane's model; cache points only where they go."""
    if lane.wire_format in _WITHOUT_CACHE_POINTS and not is_native(request, lane):
        return request.needs - {"promptCaching"}
    return request.needs


def cache_write_on(request: ModelRequest, lane: Lane) -> CacheWrite:
    """The dearest cache write that a lane's provider may bill for the request."""
    if is_native(request, lane):
        return request.cache_write
    if lane.wire_format in _WITHOUT_CACHE_POINTS:
        return "implicit"
    if request.cache_write == "implicit" and lane.wire_format in _CACHES_ONLY_IF_ASKED:
        return "none"
    return request.cache_write
