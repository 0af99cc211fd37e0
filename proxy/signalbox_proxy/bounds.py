"""The most tokens that one attempt can be billed for, before it is sent. Pure.

Input: UTF-8 bytes of all text (a byte-level tokenizer cannot exceed them), of a translation those
by which it grew, tokens that the client
counted itself, images at the Model's figure, and what the provider's template may add. Output:
the limit that is sent, for each choice.
"""

from signalbox_proxy.model_request import ModelRequest, TokenBound
from signalbox_proxy.refusals import Refusal
from signalbox_snapshot.snapshot import Model


def token_bound(
    request: ModelRequest, model: Model, output_limit: int, *, grown_bytes: int = 0
) -> TokenBound:
    """The bound for one candidate; `output_limit` is per choice.

    `grown_bytes` are what a translation holds beyond the client's text
    (`Translations.grown_bytes`).

    Raises `Refusal("no_bound")` where the Model states no tokens per image and the request has
    some.
    """
    text = request.text_bytes + grown_bytes + request.input_tokens
    return _with_overhead(request, model, text, output_limit * request.choices)


def expected_tokens(
    request: ModelRequest, model: Model, output_limit: int, counted: int
) -> TokenBound:
    """What the attempt will probably be billed for; `counted` is `tokenizer.count` of the texts.

    Output is taken as a quarter of the limit, the same share for every candidate: the figure
    ranks candidates by price, it is no forecast of length. Images count in full. Of the
    template's overhead only the share per message counts: it is a bound, not a mean.
    """
    limits = model.limits
    text = counted + request.input_tokens
    text += request.messages * min(limits.per_message, 4) + request.tools * min(limits.per_tool, 8)
    text += request.images * limits.per_image
    return TokenBound(input=text, output=-(-output_limit // 4) * request.choices)


def _with_overhead(request: ModelRequest, model: Model, text: int, output: int) -> TokenBound:
    limits = model.limits
    if request.images and not limits.per_image:
        raise Refusal(
            "no_bound",
            f"Model {model.id} states no tokens per image, so images have no bound on their cost. "
            "Leave them out, or ask for another model.",
            "messages",
        )
    return TokenBound(
        input=text
        + limits.per_request
        + limits.per_message * request.messages
        + limits.per_tool * request.tools
        + limits.per_image * request.images,
        output=output,
    )
