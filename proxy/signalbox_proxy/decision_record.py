"""The route decision as it stands in a run: every candidate, and why it lost. Pure.

Small by grouping: losers by step and reason, then by model, so that 600 candidates take a few
kilobytes. Amounts are nano-USD.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from signalbox_proxy.prompt_caching import caching_of
from signalbox_proxy.quotes import Quote
from signalbox_proxy.routing import Decision
from signalbox_proxy.wire_formats import places_points

MAX_DETAILED = 10
"""Acceptable candidates that are told with their bounds; of the others, the expected cost."""

MAX_ASKED = 256
"""Characters of the model's name that a client asked for."""


def decision_record(decision: Decision) -> dict[str, Any]:
    """The JSON of a decision."""
    record: dict[str, Any] = {
        "asked": decision.asked[:MAX_ASKED],
        "objective": decision.objective,
        "policies": list(decision.policy.policies),
        "acceptable": [_acceptable(decision, quote) for quote in decision.ranking[:MAX_DETAILED]],
    }
    caching = caching_of(decision.policy)
    if caching != "Keep":
        record["prompt_caching"] = caching
    request = decision.request
    if request.stores:
        record["stores"] = True
    if request.continues is not None:
        record["continues"] = msgspec.to_builtins(request.continues)
    if decision.cold:
        record["best_without_cache"] = decision.cold[0].lane.id
    if len(decision.ranking) > MAX_DETAILED:
        record["further"] = _further(decision.ranking[MAX_DETAILED:])
    lost: dict[str, dict[str, dict[str, list[str]]]] = {}
    for loss in decision.losses:
        models = lost.setdefault(loss.step, {}).setdefault(loss.reason, {})
        models.setdefault(loss.lane.model.id, []).append(loss.lane.lane.name)
    if lost:
        record["lost"] = lost
    return record


def _acceptable(decision: Decision, quote: Quote) -> dict[str, Any]:
    """One candidate; `translated_to` names the wire format where that is not the client's own,
    `cached_tokens` are those of the session that its provider probably keeps."""
    record: dict[str, Any] = {
        "lane": quote.lane.id,
        "expected_nano": quote.expected_nano,
        "bound_nano": quote.worst_nano,
        "bound_input": quote.bound.input,
        "bound_output": quote.bound.output,
    }
    if quote.cached_tokens:
        record["cached_tokens"] = quote.cached_tokens
    request, lane = decision.request, quote.lane
    if request.places_points and places_points(request, lane):
        record["cache_points"] = "placed"
    if request.surface not in lane.native_to:
        record["translated_to"] = lane.lane.wire_format
    return record


def _further(quotes: Sequence[Quote]) -> dict[str, dict[str, int]]:
    """Expected cost by model and lane."""
    models: dict[str, dict[str, int]] = {}
    for quote in quotes:
        models.setdefault(quote.lane.model.id, {})[quote.lane.lane.name] = quote.expected_nano
    return models
