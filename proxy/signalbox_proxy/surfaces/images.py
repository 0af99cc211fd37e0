"""OpenAI's images: `POST /v1/images/generations`. Never streamed.

Billed by the image, by its size and quality, or by tokens, where the usage record settles it.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from signalbox_proxy.model_request import ModelRequest, SurfaceName, Units
from signalbox_proxy.surfaces.contract import AnswerFacts
from signalbox_proxy.surfaces.decoding import encode_body
from signalbox_proxy.surfaces.fields import MODEL, Field, FieldTable, no_bound
from signalbox_proxy.surfaces.openai_shape import OpenAIShape, unit_request
from signalbox_proxy.surfaces.texts import Texts
from signalbox_proxy.surfaces.usage import responses_usage
from signalbox_proxy.unit_pricing import chosen_price
from signalbox_proxy.unreadable import UNREADABLE
from signalbox_snapshot.snapshot import Lane

MAX_IMAGES: Final = 10
"""Most images of one request, as OpenAI states it."""

_CHOICE: Final = Annotated[str, Meta(min_length=1, max_length=64)]

TABLE: Final = FieldTable(
    "ImagesBody",
    {
        "model": MODEL,
        "prompt": Field(
            "priced",
            Annotated[str, Meta(min_length=1, max_length=32_000)],
            "by UTF-8 bytes, where the lane bills tokens",
        ),
        "n": Field("priced", Annotated[int, Meta(ge=1, le=MAX_IMAGES)], "multiplies the images"),
        "size": Field("priced", _CHOICE, "decides the price of an image"),
        "quality": Field("priced", _CHOICE, "decides the price of an image"),
        "stream": Field("governed", bool, "false only"),
        "partial_images": Field(
            "governed", Annotated[int, Meta(ge=0, le=3)], "0 only; each is billed as output"
        ),
        "user": Field("governed", str, "the user, where no header names one"),
        "style": Field("neutral", _CHOICE, "every style costs the same"),
        "background": Field("neutral", _CHOICE, "every background costs the same"),
        "moderation": Field("neutral", Literal["auto", "low"], "a filter that is not billed"),
        "response_format": Field("neutral", Literal["url", "b64_json"], "not billed"),
        "output_format": Field("neutral", Literal["png", "jpeg", "webp"], "not billed"),
        "output_compression": Field("neutral", Annotated[int, Meta(ge=0, le=100)], "not billed"),
        "input_fidelity": Field("refused", None, "it changes how images are counted"),
    },
    ("model", "prompt"),
)


class _Answer(msgspec.Struct):
    data: list[msgspec.Raw]
    """Images are counted; objects of what is in them would take many times the memory."""

    usage: Any = None


_DECODER: Final = msgspec.json.Decoder(_Answer)


class ImagesSurface(OpenAIShape):
    """The surface object; see `contract.Surface`."""

    name: SurfaceName = "images"
    path = "/v1/images/generations"
    resource = "/images/generations"

    def parse(self, body: dict[str, Any], headers: Mapping[str, str]) -> ModelRequest:
        """Understand a decoded body."""
        asked = TABLE.read(body)
        if asked.stream:
            raise no_bound("stream", "an image that streams is billed for what is shown of it")
        if asked.partial_images:
            raise no_bound("partial_images", "each partial image is billed as output")
        texts = Texts()
        texts.add(asked.prompt)
        texts.messages = 1
        count = asked.n or 1
        units = Units(
            "images",
            count,
            True,
            "size" if asked.size else "quality" if asked.quality else "model",
            size=asked.size or "",
            quality=asked.quality or "",
        )
        return unit_request(
            asked,
            body,
            texts,
            units,
            surface="images",
            choices=count,
            needs=frozenset({"imageGeneration"}),
            user=asked.user or "",
        )

    def upstream_body(self, request: ModelRequest, lane: Lane, output_limit: int | None) -> bytes:
        """The body for one lane. What the client left open is what the price is for, and said."""
        body = {**request.body, "model": lane.upstream_model}
        chosen = None if request.units is None else chosen_price(request.units, lane)
        if chosen is not None:
            body |= {
                field: value
                for field, value in (("size", chosen[0].size), ("quality", chosen[0].quality))
                if value
            }
        return encode_body(body)

    def read_answer(self, request: ModelRequest, body: bytes) -> AnswerFacts:
        """Read a whole answer. An image that did not come may have been billed all the same."""
        facts = AnswerFacts(finish="stop")
        try:
            answer = _DECODER.decode(body)
        except UNREADABLE:
            facts.error = "the answer is not a list of images"
            return facts
        facts.items = len(answer.data)
        facts.units = max(facts.items, request.choices)
        facts.usage = responses_usage(answer.usage, "none")
        facts.ended = True
        facts.complete = facts.items == request.choices
        return facts


IMAGES = ImagesSurface()
