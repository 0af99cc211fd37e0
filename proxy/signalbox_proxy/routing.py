"""The route decision: which lanes may carry a request, in which order, and why not the others.

Steps price and route of the request path, and what `signalbox explain` shows. Pure:
`decide(runtime, facts, request)` gives a `Decision`, refusals included. Hard constraints first
(`candidates`), then bound, price and cap, then the objective orders what is acceptable.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from signalbox_proxy import storage
from signalbox_proxy.cache_affinity import NOWHERE, Warmth
from signalbox_proxy.candidates import (
    Loss,
    Offer,
    Step,
    has_ended,
    policy_loss,
    quality_loss,
    quality_of,
    split,
)
from signalbox_proxy.caps import Cap, caps_for, exceeded
from signalbox_proxy.classification import Facts
from signalbox_proxy.model_request import ModelRequest
from signalbox_proxy.prompt_caching import caching_of, under_policy
from signalbox_proxy.quotes import Quote, Quoter
from signalbox_proxy.refusals import Refusal
from signalbox_proxy.route_refusals import over_cap, refusal_for, unknown_model
from signalbox_proxy.runtime import PreparedLane, PreparedModel, Runtime
from signalbox_proxy.translation.translations import Translations
from signalbox_snapshot.policy import ASKED, AUTO, EffectivePolicy
from signalbox_snapshot.snapshot import Objective

DEFAULT_ATTEMPTS = 3
DEFAULT_OBJECTIVE: Objective = "cheapest"
UNKNOWN_LATENCY_MS = 1 << 31


class Decision(msgspec.Struct, frozen=True):
    """Where a request may run. `ranking` holds what is acceptable, the best first.

    `refusal` is set when nothing is. `dry_run_refusals` says what policies in DryRun would have
    refused. `attempts` bounds the calls of one run; `first_chunk_ms` each stream's first byte.
    `translations` carry the request to lanes that speak another format than its client.
    `request` is the client's with the policy's word on prompt caching and on stored answers: what
    is quoted and sent.
    `cold` is the ranking without the session's caches, where that has another first: for their
    sake nothing is refused that a budget could hold without them.
    """

    asked: str
    policy: EffectivePolicy
    objective: Objective
    ranking: tuple[Quote, ...]
    losses: tuple[Loss, ...]
    refusal: Refusal | None
    dry_run_refusals: tuple[str, ...]
    attempts: int
    first_chunk_ms: int | None
    translations: Translations
    request: ModelRequest
    cold: tuple[Quote, ...] = ()


def decide(
    runtime: Runtime, facts: Facts, request: ModelRequest, warmth: Warmth = NOWHERE
) -> Decision:
    """Decide where a request may run; never raises a refusal, it carries it.

    `warmth` is what providers probably keep of the request's session.
    """
    asked = runtime.models_by_name.get(request.model)
    model_asked = AUTO if request.model == AUTO else asked.model.id if asked else ""
    policy = runtime.policy_for(facts, model_asked)
    agent = runtime.agents[facts.agent.id]
    request = storage.under_policy(under_policy(request, policy, facts, runtime.fleet), policy)
    models = _models(runtime, policy, asked, facts) if model_asked else []
    translations = Translations(request)
    if not models:
        unknown = unknown_model(runtime, agent, request.model)
        return _decision(request, policy, translations, refusal=unknown)
    models, barred = storage.admissible(request, policy, models)
    if barred is not None:
        return _decision(request, policy, translations, refusal=barred)
    barred_by = _pin_barred_by(facts, policy, asked)
    offer = Offer(agent, facts, request, policy.constraints, translations, barred_by)
    eligible, losses = split(offer, models)
    caps = caps_for(agent, facts, policy)
    quoter = Quoter(request)
    priced = _price(quoter, offer, eligible, policy, caps)
    losses.extend(priced.losses)
    ranking = cold = _ranked(priced.quotes, facts, _objective(policy))
    if warmth and caching_of(policy) != "Off":
        ranking = _ranked(quoter.warmed(cold, warmth), facts, _objective(policy))
    refusal = None
    if not ranking:
        refusal = over_cap(quoter, priced.over) if priced.over else refusal_for(offer, losses)
    decision = _decision(
        request,
        policy,
        translations,
        ranking=ranking,
        losses=losses,
        refusal=refusal,
        dry_run_refusals=_dry_run(offer, policy, caps, ranking),
    )
    is_drawn = bool(cold) and cold[0].lane is not ranking[0].lane
    return msgspec.structs.replace(decision, cold=tuple(cold)) if is_drawn else decision


@dataclass(slots=True)
class _Priced:
    """What pricing left, what it removed, and by which caps."""

    quotes: list[Quote]
    losses: list[Loss]
    over: list[tuple[Quote, Cap]]


def _decision(
    request: ModelRequest,
    policy: EffectivePolicy,
    translations: Translations,
    *,
    ranking: Sequence[Quote] = (),
    losses: Sequence[Loss] = (),
    refusal: Refusal | None = None,
    dry_run_refusals: Sequence[str] = (),
) -> Decision:
    preferences = policy.preferences
    attempts = DEFAULT_ATTEMPTS if preferences.attempts is None else preferences.attempts.value
    if preferences.failover is not None and not preferences.failover.value:
        attempts = 1
    limit = policy.constraints.first_chunk_ms
    return Decision(
        asked=request.model,
        policy=policy,
        objective=_objective(policy),
        ranking=tuple(ranking),
        losses=tuple(losses),
        refusal=refusal,
        dry_run_refusals=tuple(dry_run_refusals),
        attempts=max(1, attempts),
        first_chunk_ms=None if limit is None else limit.value,
        translations=translations,
        request=request,
    )


def _objective(policy: EffectivePolicy) -> Objective:
    choice = policy.preferences.objective
    return DEFAULT_OBJECTIVE if choice is None else choice.value


def _models(
    runtime: Runtime, policy: EffectivePolicy, asked: PreparedModel | None, facts: Facts
) -> list[PreparedModel]:
    """The models to choose from: the one asked for, or what a policy puts in its place.

    A model that has ended is represented by its replacement, save for a client that insists.
    """
    chosen = policy.preferences.candidates
    if facts.pin and asked is not None:
        return [asked]
    if chosen is None:
        named = [] if asked is None else [asked]
    else:
        ids = [asked.model.id if name == ASKED and asked else name for name in chosen.value]
        named = [runtime.models[name] for name in ids if name in runtime.models]
    serving = (_serving(runtime, model, facts.now_s) for model in named)
    return list({model.model.id: model for model in serving}.values())


def _serving(runtime: Runtime, model: PreparedModel, now_s: int) -> PreparedModel:
    """The model, or the one that answers in its place after its end."""
    seen = {model.model.id}
    while has_ended(model.model, now_s):
        successor = runtime.models.get(model.model.replacement or "")
        if successor is None or successor.model.id in seen:
            break
        seen.add(successor.model.id)
        model = successor
    return model


def _pin_barred_by(facts: Facts, policy: EffectivePolicy, asked: PreparedModel | None) -> str:
    """The policy whose candidates leave out the model that the client insists on, or ""."""
    chosen = policy.preferences.candidates
    if not facts.pin or asked is None or chosen is None:
        return ""
    return "" if ASKED in chosen.value or asked.model.id in chosen.value else chosen.policy


def _price(
    quoter: Quoter,
    offer: Offer,
    eligible: Sequence[PreparedLane],
    policy: EffectivePolicy,
    caps: Sequence[Cap],
) -> _Priced:
    """Price what is eligible; drop what has no bound, no price, or costs more than a cap."""
    priced = _Priced([], [], [])
    default = policy.preferences.default_output
    for lane in eligible:
        if lane.lane.price is None:
            priced.losses.append(Loss(lane, "price", "no price"))
            continue
        try:
            quote = quoter.quote(
                lane,
                lane.lane.price,
                None if default is None else default.value,
                grown_bytes=_grown_bytes(offer, lane),
            )
        except Refusal as refusal:
            step: Step = "price" if refusal.code == "no_price" else "bound"
            priced.losses.append(Loss(lane, step, refusal.message, refusal.param))
            continue
        if too_long := quoter.beyond_context(quote):
            priced.losses.append(Loss(lane, "capability", too_long))
            continue
        cap = exceeded(quote, caps, "Enforce")
        if cap is None:
            priced.quotes.append(quote)
        else:
            priced.over.append((quote, cap))
            priced.losses.append(Loss(lane, "cap", f"may cost more than {cap.sentence}"))
    return priced


def _grown_bytes(offer: Offer, lane: PreparedLane) -> int:
    if offer.request.surface in lane.native_to:
        return 0
    return offer.translations.grown_bytes(lane.lane)


def _ranked(quotes: list[Quote], facts: Facts, objective: Objective) -> list[Quote]:
    """Order what is acceptable, the best first.

    cheapest: expected cost, then nearness to the data, then latency. fastest: latency, then
    cost. best: quality for the workload, then cost. Ties end at the id, so that equal input
    gives an equal order.
    """
    if len(quotes) == 1:
        return quotes
    locations = {asset.location for asset in facts.data_assets if asset.location}

    def key(quote: Quote) -> tuple[int, int, int, int, str]:
        lane = quote.lane.lane
        latency = UNKNOWN_LATENCY_MS if lane.first_chunk_ms is None else lane.first_chunk_ms
        cost = quote.expected_nano
        distance = 0 if lane.region in locations else 1
        if objective == "fastest":
            return (0, latency, cost, distance, quote.lane.id)
        quality = quality_of(quote.lane, facts.workload) if objective == "best" else 0
        return (-quality, cost, distance, latency, quote.lane.id)

    return sorted(quotes, key=key)


def _dry_run(
    offer: Offer, policy: EffectivePolicy, caps: Sequence[Cap], ranking: Sequence[Quote]
) -> list[str]:
    """What would have been refused, had everything in DryRun been enforced."""
    if not ranking:
        return []
    refusals: list[str] = []
    if policy.dry_run is not None:
        constraints = policy.dry_run.constraints
        reasons = [
            policy_loss(constraints, quote.lane)
            or quality_loss(constraints, quote.lane, offer.facts.workload)
            for quote in ranking
        ]
        if all(reasons):
            refusals.append(f"RoutePolicy: {ranking[0].lane.id}: {reasons[0]}")
    if unstored := storage.dry_run_objection(offer.request, policy):
        refusals.append(unstored)
    over = [exceeded(quote, caps, "DryRun") for quote in ranking]
    if over[0] is not None and all(over):
        refusals.append(f"quote_exceeds_policy: {ranking[0].lane.id}: {over[0].sentence}")
    return refusals
