"""Whether a provider may store an answer, and which lane may continue a stored one. Pure.

Part of the route decision; what is remembered of stored answers, and whose they are, is with
`stored_answers`.
"""

from typing import Final

from msgspec.structs import replace

from signalbox_proxy.model_request import Continued, ModelRequest
from signalbox_proxy.refusals import Refusal
from signalbox_proxy.runtime import PreparedModel
from signalbox_proxy.surfaces.fields import no_bound
from signalbox_snapshot.policy import EffectivePolicy

FIELD: Final = "previous_response_id"

_STORING: Final = ("responses", "chat")
"""Surfaces with `store`. A chat completion is stored only where it asks for that; nothing continues
one."""


def under_policy(request: ModelRequest, policy: EffectivePolicy) -> ModelRequest:
    """The request with `stores` as the policies that match say; the same object where it is not
    stored. What the client leaves open is stored, as OpenAI does, where that is allowed."""
    if request.surface != "responses" or request.body.get("store") is False:
        return request
    if not _is_allowed(policy):
        return request
    return replace(request, stores=True)


def admissible(
    request: ModelRequest, policy: EffectivePolicy, models: list[PreparedModel]
) -> tuple[list[PreparedModel], Refusal | None]:
    """What of `models` may serve: all, or the one lane that stores the answer which the request
    continues. With it why the request may not store its answer, or not continue that one."""
    if request.surface not in _STORING:
        return models, None
    stored = request.continues
    if request.previous_response and stored is None:
        return [], _not_found(request.previous_response)
    if request.body.get("store") and not _is_allowed(policy):
        return [], _not_allowed(policy)
    if (request.stores or stored is not None) and (unbounded := _unbounded(request)):
        return [], unbounded
    if stored is None:
        return models, None
    where = _where_stored(stored, models)
    return where, None if where else _elsewhere(request, stored)


def _unbounded(request: ModelRequest) -> Refusal | None:
    """Of what is stored, its last answer's usage is known. A field by which one turn reads less of
    it than the next would leave that one without a bound."""
    why = "the next turn of a stored conversation may read more than this one is billed for"
    if request.body.get("truncation") == "auto":
        return no_bound("truncation", why)
    reasoning = request.body.get("reasoning") or {}
    if reasoning.get("context") not in (None, "auto"):
        return no_bound("reasoning.context", why)
    return None


def dry_run_objection(request: ModelRequest, policy: EffectivePolicy) -> str:
    """What policies in DryRun would have refused, or ""."""
    dry = policy.dry_run.constraints.storage if policy.dry_run is not None else None
    if dry is None or dry.value == "Allow" or request.surface not in _STORING:
        return ""
    if not request.body.get("store") or not _is_allowed(policy):
        return ""
    return f"storage_not_permitted: RoutePolicy {dry.policy} forbids that a provider stores it"


def _is_allowed(policy: EffectivePolicy) -> bool:
    stated = policy.constraints.storage
    return stated is not None and stated.value == "Allow"


def _not_found(response_id: str) -> Refusal:
    return Refusal(
        "previous_response_not_found",
        f"Previous response with id {response_id[:100]!r} not found: no answer of this agent, with "
        "this user and session, is stored under it. Send the conversation in input instead.",
        FIELD,
    )


def _not_allowed(policy: EffectivePolicy) -> Refusal:
    stated = policy.constraints.storage
    who = "No RoutePolicy allows" if stated is None else f"RoutePolicy {stated.policy} forbids"
    return Refusal(
        "storage_not_permitted",
        f"{who} that a provider stores this answer (responses.store). Send store: false, or "
        "leave it out.",
        "store",
    )


def _where_stored(stored: Continued, models: list[PreparedModel]) -> list[PreparedModel]:
    """The one lane that may serve, out of all that otherwise might: where the answer is stored."""
    return [
        PreparedModel(model.model, lanes, model.capabilities)
        for model in models
        if model.model.id == stored.model
        and (lanes := tuple(lane for lane in model.lanes if lane.lane.name == stored.lane))
    ]


def _elsewhere(request: ModelRequest, stored: Continued) -> Refusal:
    """The lane that stores the answer is none of those that may serve the request."""
    return Refusal(
        "no_capable_lane",
        f"The answer that {FIELD} names is stored by lane {stored.model}/{stored.lane}, which is "
        f"none of those that may serve {request.model} here. Ask for that model, or send the "
        "conversation in input instead.",
        FIELD,
    )
