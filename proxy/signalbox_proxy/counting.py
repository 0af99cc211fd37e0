"""Counting tokens: who counts, and the proxy's own count where no provider does.

A count is about the model that would get the request. Its own lanes of Anthropic's format count
exactly; a model without one is counted here, by its tokenizer, and nothing leaves.
"""

from typing import Final

from aiohttp.web import Response

from signalbox_proxy.model_request import ModelRequest
from signalbox_proxy.quotes import Quote, Quoter
from signalbox_proxy.replies import SERVER
from signalbox_proxy.routing import Decision
from signalbox_proxy.run_draft import RunDraft
from signalbox_proxy.surfaces.count_tokens import counted_answer

COUNTED_BY: Final = "x-signalbox-counted-by"
"""Header of a count that is an estimate of the proxy's own: the model's tokenizer."""


def candidates_of(request: ModelRequest, decision: Decision) -> list[Quote]:
    """The candidates that the request is sent to, the best first; for a count perhaps none.

    Raises the decision's refusal where nothing may carry the request.
    """
    if decision.refusal is not None:
        raise decision.refusal
    if request.surface != "count_tokens":
        return list(decision.ranking)
    model = decision.ranking[0].lane.model
    return [
        quote
        for quote in decision.ranking
        if quote.lane.model is model and request.surface in quote.lane.native_to
    ]


def count_here(run: RunDraft, request: ModelRequest, decision: Decision) -> Response:
    """Count with the tokenizer of the model that would get the request."""
    lane = decision.ranking[0].lane
    counted = Quoter(request).expected_input(lane)
    run.outcome, run.status = "answered", 200
    return Response(
        body=counted_answer(counted),
        content_type="application/json",
        headers={
            "server": SERVER,
            "x-request-id": run.run_id,
            "request-id": run.run_id,
            "x-signalbox-run-id": run.run_id,
            "x-signalbox-model": lane.model.name,
            "x-signalbox-cost-usd": "0",
            COUNTED_BY: f"{lane.model.tokenizer} tokenizer",
        },
    )
