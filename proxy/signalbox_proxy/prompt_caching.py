"""What a policy says of providers' prompt caches, put into one request. Pure.

`under_policy` is asked once for each request, with the route decision; where nothing is said it
gives the request as it is. `sent_on` is asked for the one lane that is called.
"""

import hashlib
from typing import Final

import msgspec

from signalbox_proxy.classification import Facts
from signalbox_proxy.model_request import CacheWrite, ModelRequest
from signalbox_proxy.runtime import PreparedLane
from signalbox_proxy.surfaces.cache_points import has_prefix, with_points, without_points
from signalbox_proxy.wire_formats import places_points
from signalbox_snapshot.policy import EffectivePolicy
from signalbox_snapshot.snapshot import PromptCaching

SURFACES: Final = frozenset({"chat", "messages", "responses"})

LEAST_BYTES: Final = 1024
"""Text of fewer bytes has fewer tokens than any provider keeps: no cache point is placed."""

KEY: Final = "prompt_cache_key"


def caching_of(policy: EffectivePolicy) -> PromptCaching:
    """What all policies that match say: `Keep` where none says anything."""
    chosen = policy.preferences.caching
    return "Keep" if chosen is None else chosen.value


def under_policy(
    request: ModelRequest, policy: EffectivePolicy, facts: Facts, fleet: str
) -> ModelRequest:
    """The request as the policy wants it: the same object where that changes nothing.

    A cache key of the client's becomes its domain's own, so that no two domains meet under one.
    """
    if request.surface not in SURFACES:
        return request
    mode = caching_of(policy)
    if mode == "Off":
        return _without_points(request)
    key = request.body.get(KEY)
    if key is not None and request.surface != "messages":
        body = request.body | {KEY: domain_key(fleet, facts.domain.id, "key", key)}
        request = msgspec.structs.replace(request, body=body)
    if mode == "Place" and _may_place(request):
        own = "" if key is not None else domain_key(fleet, facts.domain.id, "agent", facts.agent.id)
        request = msgspec.structs.replace(request, places_points=True, cache_key=own)
    return request


def domain_key(fleet: str, domain: str, kind: str, name: str) -> str:
    """A `prompt_cache_key` that no other domain can bring about: of a fixed length, and in other
    fleets another one. `kind` keeps what clients choose apart from what the proxy does."""
    parts = (fleet, domain, kind, name)
    digest = hashlib.sha256()
    for part in parts:
        text = part.encode("utf-8", "surrogatepass")
        digest.update(len(text).to_bytes(8, "big") + text)
    return f"sb-{digest.hexdigest()[:40]}"


def sent_on(request: ModelRequest, lane: PreparedLane) -> ModelRequest:
    """The request as its own surface sends it to a lane: with the cache points placed there."""
    if not request.places_points or request.surface not in lane.native_to:
        return request
    if not places_points(request, lane):
        return request
    return msgspec.structs.replace(request, body=with_points(request.body))


def _may_place(request: ModelRequest) -> bool:
    """Points of its own stand as they are; so does the word of a client of OpenAI's that nothing
    is to be kept."""
    if request.cache_write in ("5m", "1h"):
        return False
    if request.cache_write == "none" and request.surface != "messages":
        return False
    return request.text_bytes >= LEAST_BYTES and has_prefix(request.surface, request.body)


def _without_points(request: ModelRequest) -> ModelRequest:
    body = without_points(request.surface, request.body)
    is_explicit = request.surface == "messages" or body.get("prompt_cache_options") is not None
    cache_write: CacheWrite = "none" if is_explicit else "implicit"
    return msgspec.structs.replace(
        request,
        body=body,
        cache_write=cache_write,
        needs=request.needs - {"promptCaching"},
    )
