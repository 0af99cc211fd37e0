"""The bound of images, sound, transcripts and rankings on lanes that bill them by tokens. Pure.

No limit can be told to such a provider, so the Model's own figures bound what it answers.
"""

from typing import Final

from signalbox_proxy.bounds import token_bound
from signalbox_proxy.model_request import ModelRequest, TokenBound
from signalbox_proxy.pricing import dearest_input, worst_nano
from signalbox_proxy.refusals import Refusal
from signalbox_proxy.runtime import PreparedLane
from signalbox_proxy.unit_pricing import UnitLine, audio_line
from signalbox_snapshot.snapshot import Model, PriceTable

USAGE_FORMATS: Final = ("", "json", "verbose_json", "diarized_json")
"""Forms of a transcript that carry a usage record."""

_ROUNDING: Final = 1
"""Input in two lines, text and audio, is rounded up twice."""


def bound_by_tokens(request: ModelRequest, model: Model) -> TokenBound:
    """The most tokens that one attempt is billed.

    An image: the text, and the Model's most output tokens for each. Sound: the text, and the
    Model's most output tokens. A transcript: all that the model takes in and puts out. A ranking:
    the text of query and documents. Raises `Refusal("no_bound")` for what has none.
    """
    limits = model.limits
    if request.surface == "rerank":
        return token_bound(request, model, 0)
    if not limits.max_output:
        raise _no_bound(request, model, "states no maxOutputTokens")
    if request.surface in ("images", "speech"):
        return token_bound(request, model, limits.max_output)
    form = request.body.get("response_format") or ""
    if form not in USAGE_FORMATS:
        raise Refusal(
            "no_bound",
            f"An answer in the form {str(form)[:40]!r} does not tell the tokens that model "
            f"{model.id} bills. Ask for json.",
            "response_format",
        )
    return TokenBound(input=limits.context, output=limits.max_output)


def worst_by_tokens(request: ModelRequest, bound: TokenBound, lane: PreparedLane) -> int:
    """The most that an attempt within `bound` can be billed; its input may be audio."""
    price = _price(lane)
    heard = dearest_audio(request, bound, lane)
    if heard is None:
        return worst_nano(bound, price, "none")
    written = worst_nano(TokenBound(0, bound.output), price, "none", apart=bound.input)
    return heard.worst_nano + _ROUNDING + written


def dearest_audio(request: ModelRequest, bound: TokenBound, lane: PreparedLane) -> UnitLine | None:
    """All the input as audio, where that is dearer than text."""
    if request.surface != "transcriptions":
        return None
    heard = audio_line(lane.lane, bound.input)
    text = dearest_input(bound, _price(lane))
    return heard if heard is not None and heard.worst_nano > text else None


def _price(lane: PreparedLane) -> PriceTable:
    if lane.lane.price is None:
        raise ValueError(f"lane {lane.id} has no price")
    return lane.lane.price


def _no_bound(request: ModelRequest, model: Model, why: str) -> Refusal:
    field = request.units.field if request.units else ""
    return Refusal(
        "no_bound",
        f"Model {model.id} {why}, so {request.surface} have no bound on their cost. Ask for "
        "another model, or have its limits or its price by the unit written.",
        field,
    )
