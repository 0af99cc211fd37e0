"""The hard constraints: which lanes may carry a request at all, and why the others may not.

Part of the route decision. Pure. Every lane passes the same steps in the same order, and loses
at the first that it fails: permission, residency, sensitivity, capability, policy, quality
floor, price. Prices are checked by `routing`, on what is left.
"""

from collections.abc import Callable, Sequence
from typing import Literal, get_args

import msgspec

from signalbox_proxy.classification import Facts
from signalbox_proxy.model_request import ModelRequest
from signalbox_proxy.refusals import Code
from signalbox_proxy.runtime import PreparedAgent, PreparedLane, PreparedModel
from signalbox_proxy.translation.contract import Untranslatable
from signalbox_proxy.translation.translations import Translations
from signalbox_proxy.wire_formats import is_translated, needs_on
from signalbox_snapshot.policy import Constraints
from signalbox_snapshot.snapshot import SENSITIVITY_NAMES, Model

Step = Literal[
    "permission",
    "residency",
    "sensitivity",
    "capability",
    "policy",
    "quality_floor",
    "bound",
    "price",
    "cap",
]

STEPS: tuple[Step, ...] = get_args(Step)
"""The order that decides which refusal a request gets: the last of these that removed a lane."""

CODES: dict[Step, Code] = {
    "permission": "model_not_permitted",
    "residency": "residency",
    "sensitivity": "sensitivity_not_permitted",
    "capability": "no_capable_lane",
    "policy": "no_capable_lane",
    "quality_floor": "quality_floor",
    "bound": "no_bound",
    "price": "no_price",
    "cap": "quote_exceeds_policy",
}

PPM = 1_000_000
_NARROWED = ("lane class", "region", "jurisdiction")


class Loss(msgspec.Struct, frozen=True):
    """Why one lane may not carry the request; `field` is the part of it that is at fault."""

    lane: PreparedLane
    step: Step
    reason: str
    field: str = ""


class Offer(msgspec.Struct, frozen=True):
    """What a lane is checked against: who asks, with what, under which constraints.

    `substitutes_barred` is the policy that leaves out the model which the client insists on.
    """

    agent: PreparedAgent
    facts: Facts
    request: ModelRequest
    constraints: Constraints
    translations: Translations
    substitutes_barred: str = ""


Check = Callable[[Offer, PreparedModel, PreparedLane], str]
"""Gives the reason why a lane may not carry the request, or ""."""


def split(offer: Offer, models: Sequence[PreparedModel]) -> tuple[list[PreparedLane], list[Loss]]:
    """Part the lanes of `models` into those that may carry the request and those that may not."""
    eligible: list[PreparedLane] = []
    losses: list[Loss] = []
    for model in models:
        for lane in model.lanes:
            loss = hard_loss(offer, model, lane)
            if loss is None:
                eligible.append(lane)
            else:
                losses.append(loss)
    return eligible, losses


def hard_loss(offer: Offer, model: PreparedModel, lane: PreparedLane) -> Loss | None:
    """The first hard constraint that a lane fails, or None."""
    for step, reason_of in _CHECKS:
        reason = reason_of(offer, model, lane)
        if reason:
            return Loss(lane, step, reason, _field(offer, lane, reason_of))
    return None


def policy_loss(constraints: Constraints, lane: PreparedLane) -> str:
    """Why the constraints of policies keep a lane out, or "". Quality has a step of its own."""
    where = lane.lane
    narrowings = (constraints.lane_classes, constraints.regions, constraints.jurisdictions)
    if narrowings != (None, None, None):
        values = (where.lane_class, where.region, where.jurisdiction)
        for narrowing, value, name in zip(narrowings, values, _NARROWED, strict=True):
            if narrowing is not None and value not in narrowing.allowed:
                by = ", ".join(narrowing.excluding(value))
                return f"{name} {value or 'unnamed'} is not among those of {by}"
    limit = constraints.first_chunk_ms
    latency = where.first_chunk_ms
    if limit is None or latency is None or latency <= limit.value:
        return ""
    by = ", ".join(limit.policies)
    return f"first chunk after {latency} ms, {by} allows {limit.value} ms"


def quality_loss(constraints: Constraints, lane: PreparedLane, workload: str) -> str:
    """Why the quality floor keeps a lane out, or ""."""
    floor = constraints.quality_floor
    if floor is None:
        return ""
    quality = quality_of(lane, workload)
    if quality >= floor.value:
        return ""
    return f"quality {share(quality)} is under the floor {share(floor.value)} of " + ", ".join(
        floor.policies
    )


def has_ended(model: Model, now_s: int) -> bool:
    """Whether a model's end has come: it no longer serves."""
    return model.retires_at is not None and model.retires_at <= now_s


def quality_of(lane: PreparedLane, workload: str) -> int:
    """A model's quality for a workload, in ppm of 1."""
    quality = lane.model.quality
    return quality.by_workload.get(workload, quality.default)


def share(ppm: int) -> str:
    """Parts per million as a decimal number: `0.7`."""
    whole, rest = divmod(ppm, PPM)
    return f"{whole}.{rest:06d}".rstrip("0").rstrip(".")


def _permission(offer: Offer, model: PreparedModel, lane: PreparedLane) -> str:
    if offer.substitutes_barred:
        return f"{offer.substitutes_barred} offers other models only"
    if offer.agent.models is not None and lane.model.id not in offer.agent.models:
        return f"agent {offer.agent.agent.id} may not use this model"
    return ""


def _residency(offer: Offer, model: PreparedModel, lane: PreparedLane) -> str:
    lock = offer.facts.jurisdictions
    if lock is None or lane.lane.jurisdiction in lock:
        return ""
    return f"{lane.lane.jurisdiction or 'an unnamed jurisdiction'} is outside the residency lock"


def _sensitivity(offer: Offer, model: PreparedModel, lane: PreparedLane) -> str:
    if lane.lane.max_sensitivity >= offer.facts.sensitivity:
        return ""
    return f"cleared for {SENSITIVITY_NAMES[lane.lane.max_sensitivity]} data at most"


def _capability(offer: Offer, model: PreparedModel, lane: PreparedLane) -> str:
    request = offer.request
    if has_ended(lane.model, offer.facts.now_s):
        successor = f", {lane.model.replacement} replaces it" if lane.model.replacement else ""
        return f"retired{successor}"
    missing = needs_on(request, lane) - model.capabilities
    if missing:
        return f"without {', '.join(sorted(missing))}"
    if request.surface not in lane.native_to and is_translated(request, lane.lane):
        wire = lane.lane.wire_format
        if not offer.translations.exist(wire):
            return f"speaks the {wire} wire format only"
    if lane.lane.lane_class == "batch":
        return "a batch lane carries no live request"
    limit = request.output_limit
    if limit is not None and limit > lane.model.limits.max_output:
        return f"at most {lane.model.limits.max_output} output tokens"
    return ""


def _translation(offer: Offer, model: PreparedModel, lane: PreparedLane) -> str:
    """What of the request the lane's format cannot say: asked last, as it reads the whole of it."""
    request = offer.request
    if request.surface in lane.native_to or not is_translated(request, lane.lane):
        return ""
    obstacle = _obstacle(offer, lane)
    return "" if obstacle is None else f"cannot say {obstacle.field}: {obstacle.why}"


def _field(offer: Offer, lane: PreparedLane, check: Check) -> str:
    """The field that a check found at fault, where it is one of the request's."""
    obstacle = None
    if check is _translation:
        obstacle = _obstacle(offer, lane)
    return "" if obstacle is None else obstacle.field


def _obstacle(offer: Offer, lane: PreparedLane) -> Untranslatable | None:
    reasons = "reasoning" in lane.model.capabilities
    return offer.translations.obstacle(lane.lane, reasons=reasons)


def _policy(offer: Offer, model: PreparedModel, lane: PreparedLane) -> str:
    return policy_loss(offer.constraints, lane)


def _quality(offer: Offer, model: PreparedModel, lane: PreparedLane) -> str:
    return quality_loss(offer.constraints, lane, offer.facts.workload)


_CHECKS: tuple[tuple[Step, Check], ...] = (
    ("permission", _permission),
    ("residency", _residency),
    ("sensitivity", _sensitivity),
    ("capability", _capability),
    ("capability", _translation),
    ("policy", _policy),
    ("quality_floor", _quality),
)
