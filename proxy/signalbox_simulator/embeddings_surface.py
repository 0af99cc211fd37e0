"""``POST /v1/embeddings``: requests in, repeatable unit vectors out."""

from __future__ import annotations

import array
import base64
import hashlib
import math
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

MAX_TOTAL_TOKENS = 300_000
TokenNumber = Annotated[int, Field(ge=0, lt=200_000)]
TokenNumbers = Annotated[list[TokenNumber], Field(min_length=1, max_length=8192)]


class EmbeddingsRequest(Strict):
    """The body of ``POST /v1/embeddings``."""

    model: Annotated[str, Field(min_length=1)]
    input: (
        Annotated[str, Field(min_length=1)]
        | Annotated[list[Annotated[str, Field(min_length=1)]], Field(min_length=1, max_length=2048)]
        | TokenNumbers
        | Annotated[list[TokenNumbers], Field(min_length=1, max_length=2048)]
    )
    dimensions: Given[Annotated[int, Field(ge=1)]] = None
    encoding_format: Given[Literal["float", "base64"]] = None
    user: Given[str] = None

    @property
    def items(self) -> list[str | list[int]]:
        """The inputs, one by one."""
        if isinstance(self.input, str):
            return [self.input]
        numbers = [item for item in self.input if isinstance(item, int)]
        return [numbers] if numbers else [i for i in self.input if not isinstance(i, int)]


class EmbeddingsSurface(OpenaiSurface):
    """The embeddings endpoint."""

    def read(self, document: dict[str, object], context: Context) -> EmbeddingsPending:
        """Validate and meter a request; raises Refusal."""
        request = validate(EmbeddingsRequest, document)
        name, model = served_model(context, request.model)
        if model.kind != "embedding":
            raise Refusal(
                403,
                f"You are not allowed to generate embeddings from this model: {name}.",
                param="model",
            )
        if request.dimensions is not None and request.dimensions > model.dimensions:
            raise Refusal(
                400,
                f"Invalid value for 'dimensions': at most {model.dimensions}.",
                param="dimensions",
                code="invalid_value",
            )
        counts = [_count(item, model) for item in request.items]
        if max(counts) > model.max_input_tokens or sum(counts) > MAX_TOTAL_TOKENS:
            raise Refusal(
                400,
                f"This model's maximum context length is {model.max_input_tokens} tokens, and "
                f"{MAX_TOTAL_TOKENS} per request; you sent {max(counts)} and {sum(counts)}.",
                param="input",
                code="context_length_exceeded",
            )
        return EmbeddingsPending(request, name, model, sum(counts), context)


def _count(item: str | list[int], model: ModelSheet) -> int:
    return tokens.count(item, model.token_scale) if isinstance(item, str) else len(item)


@dataclass(frozen=True)
class EmbeddingsPending:
    """A metered request."""

    request: EmbeddingsRequest
    model: str
    section: ModelSheet
    tokens: int
    context: Context
    tier: str = "default"
    stream: bool = False

    @property
    def last_user_text(self) -> str:
        """Where directives may stand: a single text."""
        return self.request.input if isinstance(self.request.input, str) else ""

    def compose(self, effects: Effects) -> EmbeddingsAnswer:
        """Compose the vectors."""
        return EmbeddingsAnswer(self, Usage(input=self.tokens))


@dataclass(frozen=True)
class EmbeddingsAnswer(WholeAnswer):
    """Vectors in OpenAI's shape; they are never streamed."""

    pending: EmbeddingsPending
    usage: Usage

    def whole(self, *, omit_usage: bool) -> bytes:
        """Give the list of embeddings."""
        request = self.pending.request
        size = request.dimensions or self.pending.section.dimensions
        data = []
        for index, item in enumerate(request.items):
            vector = embed(self.pending.model, item, size)
            written: object = list(vector)
            if request.encoding_format == "base64":
                written = base64.b64encode(vector.tobytes()).decode()
            data.append({"object": "embedding", "index": index, "embedding": written})
        document: dict[str, object] = {"object": "list", "data": data, "model": self.pending.model}
        if not omit_usage:
            count = self.usage.input
            document["usage"] = {"prompt_tokens": count, "total_tokens": count}
        return encoded(document)


def embed(model: str, item: str | list[int], size: int) -> array.array[float]:
    """Give a unit vector (little-endian 32-bit floats) that depends on model and item alone."""
    digest = hashlib.shake_256(repr((model, item)).encode())
    numbers = array.array("h", digest.digest(2 * size))
    length = math.sqrt(sum(number * number for number in numbers)) or 1.0
    return array.array("f", [number / length for number in numbers])
