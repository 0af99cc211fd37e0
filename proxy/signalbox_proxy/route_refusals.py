"""What a client is told when no lane may carry its request: who, what, how much, what to do.

Part of the route decision. Pure. The code is that of the first step, in the fixed order, that
removed the last of the candidates.
"""

from collections.abc import Sequence

from signalbox_proxy.amounts import quantity
from signalbox_proxy.candidates import CODES, STEPS, Loss, Offer, Step
from signalbox_proxy.caps import Cap
from signalbox_proxy.quotes import Quote, Quoter
from signalbox_proxy.refusals import Refusal
from signalbox_proxy.runtime import PreparedAgent, Runtime
from signalbox_snapshot.policy import AUTO
from signalbox_snapshot.snapshot import SENSITIVITY_NAMES

MAX_NAMED = 6
"""Most lanes or models that a sentence lists."""


def unknown_model(runtime: Runtime, agent: PreparedAgent, name: str) -> Refusal:
    """There is no such model, or `auto` has no policy to choose by."""
    if name == AUTO:
        return Refusal(
            "model_not_found",
            f"No RoutePolicy with candidates matches this request of agent {agent.agent.id}, so "
            "the model auto means nothing here. Ask for a model by name.",
            "model",
        )
    usable = [
        model.model.name
        for model in runtime.models.values()
        if agent.models is None or model.model.id in agent.models
    ]
    return Refusal(
        "model_not_found",
        f"There is no model {name[:64]!r}. Agent {agent.agent.id} may use: {_listed(usable)}.",
        "model",
    )


def refusal_for(offer: Offer, losses: Sequence[Loss]) -> Refusal:
    """The refusal for a request that lost every lane before the price caps."""
    removed = {loss.step for loss in losses}
    step: Step = next((step for step in reversed(STEPS) if step in removed), "capability")
    last = [loss for loss in losses if loss.step == step]
    reasons = _listed(list(dict.fromkeys(f"{loss.lane.id} {loss.reason}" for loss in last)), "; ")
    return Refusal(CODES[step], _sentence(offer, step, last, reasons), _param(step, last))


def over_cap(quoter: Quoter, over: Sequence[tuple[Quote, Cap]]) -> Refusal:
    """The refusal for a request that costs too much everywhere, by its cheapest lane."""
    quote, cap = min(over, key=lambda pair: (pair[0].worst_nano, pair[0].lane.id))
    fits = quoter.largest_output(quote, cap.unit, cap.amount)
    advice = f"Lower max_tokens to {fits}" if fits else "Shorten the prompt"
    return Refusal(
        "quote_exceeds_policy",
        f"This request may use {quantity(quote.amount(cap.unit), cap.unit)} on {quote.lane.id}; "
        f"{cap.source} allows {quantity(cap.amount, cap.unit)} per request. {advice}, or ask for "
        "a cheaper model.",
        "max_tokens" if fits else "",
    )


def _sentence(offer: Offer, step: Step, last: Sequence[Loss], reasons: str) -> str:
    facts = offer.facts
    who = f"Agent {facts.agent.id}"
    if step == "permission":
        if offer.substitutes_barred:
            return (
                f"RoutePolicy {offer.substitutes_barred} offers other models than "
                f"{offer.request.model}. Leave out x-signalbox-pin, or ask for one of those."
            )
        return f"{who} may not use {_barred(offer, last)}. It may use: {_permitted(offer)}."
    if step == "residency":
        lock = ", ".join(sorted(facts.jurisdictions or ()))
        return (
            f"This request is locked to {lock} by domain {facts.domain.id} and its data, and no "
            f"lane is there: {reasons}. Ask for a model with a lane inside the lock."
        )
    if step == "sensitivity":
        return (
            f"This request is {SENSITIVITY_NAMES[facts.sensitivity]}, and no lane that is left is "
            f"cleared for it: {reasons}. Ask for a model with a lane that is."
        )
    if step == "quality_floor":
        return (
            f"No lane that is left is good enough for workload {facts.workload or 'default'}: "
            f"{reasons}. Ask for a better model."
        )
    if step == "bound":
        return last[0].reason
    if step == "price":
        return f"No lane that is left has a price: {reasons}. Give the Model a price."
    return (
        f"No lane can carry this request: {reasons}. Change the request or ask for another model."
    )


def _barred(offer: Offer, last: Sequence[Loss]) -> str:
    """What was asked for, or what a permitted model was replaced by."""
    asked = offer.request.model
    successors = sorted(
        {loss.lane.model.name for loss in last if asked not in loss.lane.model.names}
    )
    if asked == AUTO or not successors:
        return asked
    return f"{_listed(successors)}, which replaces {asked}"


def _permitted(offer: Offer) -> str:
    return _listed(sorted(offer.agent.models or ()))


def _param(step: Step, last: Sequence[Loss]) -> str:
    """The field at fault: of several lanes that cannot say one, the first one's."""
    if last and all(loss.field for loss in last):
        return last[0].field[:200]
    return "model" if step in ("permission", "capability", "policy") else ""


def _listed(names: Sequence[str], separator: str = ", ") -> str:
    if not names:
        return "none"
    more = len(names) - MAX_NAMED
    shown = separator.join(names[:MAX_NAMED])
    return f"{shown} and {more} more" if more > 0 else shown
