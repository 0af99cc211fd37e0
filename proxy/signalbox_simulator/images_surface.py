"""``POST /v1/images/generations``: a text in, images out, billed by the image or by tokens.

Written from OpenAI's API reference ("Create image") and its guide to image generation, which gives
the tokens of an image by size and quality.
"""

from __future__ import annotations

import base64
import hashlib
import struct
import zlib
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from . import tokens
from .behaviour import Effects
from .openai_surface import OpenaiSurface, served_model
from .refusals import Refusal
from .sheet import ModelSheet, Usage
from .strict import Given, Strict, validate
from .surface import Context, WholeAnswer, encoded

TOKENS = {
    ("1024x1024", "low"): 272,
    ("1024x1024", "medium"): 1056,
    ("1024x1024", "high"): 4160,
    ("1024x1536", "low"): 408,
    ("1024x1536", "medium"): 1584,
    ("1024x1536", "high"): 6240,
    ("1536x1024", "low"): 400,
    ("1536x1024", "medium"): 1568,
    ("1536x1024", "high"): 6208,
}


class ImagesRequest(Strict):
    """The body of ``POST /v1/images/generations``; each model takes a part of it."""

    model: Annotated[str, Field(min_length=1)]
    prompt: Annotated[str, Field(min_length=1, max_length=32_000)]
    n: Given[Annotated[int, Field(ge=1, le=10)]] = None
    size: Given[str] = None
    quality: Given[str] = None
    style: Given[Literal["vivid", "natural"]] = None
    response_format: Given[Literal["url", "b64_json"]] = None
    background: Given[Literal["transparent", "opaque", "auto"]] = None
    moderation: Given[Literal["low", "auto"]] = None
    output_format: Given[Literal["png", "jpeg", "webp"]] = None
    output_compression: Given[Annotated[int, Field(ge=0, le=100)]] = None
    partial_images: Given[Annotated[int, Field(ge=0, le=3)]] = None
    stream: Given[bool] = None
    user: Given[str] = None


class ImagesSurface(OpenaiSurface):
    """The images endpoint."""

    def read(self, document: dict[str, object], context: Context) -> ImagesPending:
        """Validate and meter a request; raises Refusal."""
        request = validate(ImagesRequest, document)
        name, model = served_model(context, request.model)
        if model.kind != "image":
            raise Refusal(400, f"The model {name!r} makes no images.", param="model")
        return (_by_image if model.usd_per.image else _by_tokens)(request, name, model, context)


def _by_image(
    request: ImagesRequest, name: str, model: ModelSheet, context: Context
) -> ImagesPending:
    if (request.n or 1) > 1:
        raise _invalid("n", "You must provide n=1 for this model.")
    for field in ("background", "moderation", "output_format", "output_compression", "stream"):
        if getattr(request, field) is not None:
            raise Refusal(400, f"Unknown parameter: '{field}'.", param=field)
    kind = f"{request.size or '1024x1024'}/{request.quality or 'standard'}"
    if kind not in model.usd_per.image:
        raise _invalid("size", f"The size or quality is not supported by this model: {kind}.")
    return ImagesPending(request, name, Usage(images=request.n or 1, image_kind=kind), context)


def _by_tokens(
    request: ImagesRequest, name: str, model: ModelSheet, context: Context
) -> ImagesPending:
    for field in ("style", "response_format"):
        if getattr(request, field) is not None:
            raise Refusal(400, f"Unknown parameter: '{field}'.", param=field)
    size = "1024x1024" if request.size in (None, "auto") else request.size
    quality = "high" if request.quality in (None, "auto") else request.quality
    each = TOKENS.get((str(size), str(quality)))
    if each is None:
        raise _invalid("size", f"Invalid size or quality: {size}, {quality}.")
    usage = Usage(input=tokens.count(request.prompt) + 7, output=each * (request.n or 1))
    return ImagesPending(request, name, usage, context)


def _invalid(field: str, message: str) -> Refusal:
    return Refusal(400, message, param=field, code="invalid_value")


@dataclass(frozen=True)
class ImagesPending:
    """A metered request."""

    request: ImagesRequest
    model: str
    usage: Usage
    context: Context
    tier: str = "default"
    stream: bool = False

    @property
    def last_user_text(self) -> str:
        """Where directives may stand: what is to be seen."""
        return self.request.prompt

    def compose(self, effects: Effects) -> ImagesAnswer:
        """Compose the images."""
        return ImagesAnswer(self, self.usage)


@dataclass(frozen=True)
class ImagesAnswer(WholeAnswer):
    """Images of one pixel, whose colour depends on the prompt."""

    pending: ImagesPending
    usage: Usage

    def whole(self, *, omit_usage: bool) -> bytes:
        """Give the list of images."""
        request, usage = self.pending.request, self.usage
        seen = [_pixel(f"{self.pending.model} {request.prompt} {i}") for i in range(request.n or 1)]
        by_url = not usage.output and request.response_format != "b64_json"
        place = f"https://images.example/{self.pending.context.request_id}"
        document: dict[str, object] = {
            "created": self.pending.context.created,
            "data": [
                {"url": f"{place}/{number}.png", "revised_prompt": request.prompt}
                if by_url
                else {"b64_json": base64.b64encode(image).decode()}
                for number, image in enumerate(seen)
            ],
        }
        if not omit_usage:
            document["usage"] = self._told()
        return encoded(document)

    def _told(self) -> dict[str, object]:
        """Give the usage record: also beside images that are billed by the piece, as servers of
        this shape do, where nobody is to take it for the bill.
        """
        taken = self.usage.input or tokens.count(self.pending.request.prompt)
        made = self.usage.output or self.usage.images * TOKENS["1024x1024", "medium"]
        return {
            "input_tokens": taken,
            "input_tokens_details": {"image_tokens": 0, "text_tokens": taken},
            "output_tokens": made,
            "total_tokens": taken + made,
        }


def _pixel(seed: str) -> bytes:
    """Give a PNG of one pixel (RFC 2083)."""
    colour = hashlib.blake2b(seed.encode(), digest_size=3).digest()
    chunks = (
        (b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(b"\0" + colour)),
        (b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )
