"""OpenAI's embeddings: `POST /v1/embeddings`. Never streamed; only input is billed."""

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from signalbox_proxy.model_request import ModelRequest, SurfaceName
from signalbox_proxy.surfaces import governed
from signalbox_proxy.surfaces.contract import AnswerFacts
from signalbox_proxy.surfaces.fields import MAX_INT, METADATA, MODEL, Field, FieldTable, invalid
from signalbox_proxy.surfaces.openai_shape import OpenAIShape
from signalbox_proxy.surfaces.texts import Texts
from signalbox_proxy.surfaces.usage import openai_usage
from signalbox_proxy.unreadable import UNREADABLE

MAX_INPUTS: Final = 2048
"""Most inputs of one request, as OpenAI states it."""

Token = Annotated[int, Meta(ge=0, le=MAX_INT)]

TABLE: Final = FieldTable(
    "EmbeddingsBody",
    {
        "model": MODEL,
        "input": Field(
            "priced", str | list[Any], "text by UTF-8 bytes, token arrays by their length"
        ),
        "dimensions": Field(
            "neutral", Annotated[int, Meta(ge=1, le=MAX_INT)], "output is not billed"
        ),
        "encoding_format": Field("neutral", Literal["float", "base64"], "output is not billed"),
        "user": Field("governed", str, "the user, where no header names one"),
        "metadata": METADATA,
    },
    ("model", "input"),
)


class _Answer(msgspec.Struct):
    data: list[Any] = []
    usage: Any = None


_DECODER: Final = msgspec.json.Decoder(_Answer)


class EmbeddingsSurface(OpenAIShape):
    """The surface object; see `contract.Surface`."""

    name: SurfaceName = "embeddings"
    path = "/v1/embeddings"
    resource = "/embeddings"

    def parse(self, body: dict[str, Any], headers: Mapping[str, str]) -> ModelRequest:
        """Understand a decoded body."""
        body, metadata = governed.take_metadata(body)
        asked = TABLE.read(body)
        texts = _collect(asked.input)
        return ModelRequest(
            surface="embeddings",
            body=body,
            model=asked.model,
            stream=False,
            wants_stream_usage=False,
            text_bytes=texts.bytes,
            texts=tuple(texts.collected),
            messages=texts.messages,
            tools=0,
            images=0,
            input_tokens=texts.input_tokens,
            output_limit=0,
            choices=1,
            needs=frozenset({"embeddings"}),
            tool_names=(),
            cache_write="none",
            output_schema=None,
            user=asked.user or "",
            metadata=metadata,
        )

    def read_answer(self, request: ModelRequest, body: bytes) -> AnswerFacts:
        """Read a whole answer."""
        facts = AnswerFacts(finish="stop")
        try:
            answer = _DECODER.decode(body)
        except UNREADABLE:
            facts.error = "the answer is not a list of embeddings"
            return facts
        facts.items = len(answer.data)
        facts.usage = openai_usage(answer.usage, "none", has_output=False)
        facts.ended = True
        facts.complete = facts.items == request.messages
        return facts


def _collect(value: str | list[Any]) -> Texts:
    """Count the inputs: one text, texts, one token array, or token arrays."""
    texts = Texts()
    if isinstance(value, str):
        inputs: list[Any] = [value]
    else:
        inputs = [value] if value and isinstance(value[0], int) else value
    if not inputs:
        raise invalid("input", "input is empty. Send at least one text or token array.")
    if len(inputs) > MAX_INPUTS:
        raise invalid("input", f"input has more than {MAX_INPUTS} entries. Send several requests.")
    kind = type(inputs[0])
    for index, entry in enumerate(inputs):
        texts.messages += 1
        if not entry:
            raise invalid("input", f"input[{index}] is empty. Leave it out.")
        if type(entry) is not kind:
            raise invalid("input", f"input[{index}] is of another type than the first entry.")
        if isinstance(entry, str):
            texts.add(entry)
        else:
            texts.input_tokens += _count_tokens(entry, index)
    return texts


def _count_tokens(entry: Any, index: int) -> int:
    try:
        return len(msgspec.convert(entry, list[Token]))
    except msgspec.ValidationError:
        raise invalid(
            "input", f"input[{index}] is neither a text nor an array of tokens (integers from 0)."
        ) from None


EMBEDDINGS = EmbeddingsSurface()
