"""Rerank: `POST /v1/rerank`, in the shape that Cohere's, Jina's and vLLM's servers share.

Billed by the search, whose number the answer tells (Cohere), or by tokens (Jina, vLLM). One search
is a query with up to 100 documents; a document that has more than 500 tokens together with the
query counts once for each chunk of that size (Cohere's pricing page).
"""

from collections.abc import Mapping
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from signalbox_ledger.money import ceil_div
from signalbox_ledger.records import Usage
from signalbox_proxy.model_request import ModelRequest, SurfaceName, Units
from signalbox_proxy.refusals import Refusal
from signalbox_proxy.surfaces import errors
from signalbox_proxy.surfaces.contract import AnswerFacts
from signalbox_proxy.surfaces.fields import MAX_INT, MODEL, Field, FieldTable, Part
from signalbox_proxy.surfaces.openai_shape import OpenAIShape, unit_request
from signalbox_proxy.surfaces.texts import Texts
from signalbox_proxy.surfaces.usage import MAX_TOKENS
from signalbox_proxy.unreadable import UNREADABLE

MAX_DOCUMENTS: Final = 1000
"""Most documents of one request, as Cohere recommends it."""

CHUNK_TOKENS: Final = 500
DOCUMENTS_PER_SEARCH: Final = 100

CUTS_DOCUMENTS: Final = "cohere"
"""Who is known to cut documents to `max_tokens_per_doc`; others may leave it unread."""


class Document(Part):
    """A document as an object."""

    text: str


_Count = Annotated[int, Meta(ge=1, le=MAX_INT)]

TABLE: Final = FieldTable(
    "RerankBody",
    {
        "model": MODEL,
        "query": Field(
            "priced",
            Annotated[str, Meta(min_length=1)],
            "by UTF-8 bytes, with every document",
        ),
        "documents": Field(
            "priced",
            Annotated[list[str | Document], Meta(min_length=1, max_length=MAX_DOCUMENTS)],
            "by UTF-8 bytes, in chunks of 500 with the query, 100 chunks to a search",
        ),
        "max_tokens_per_doc": Field(
            "priced", _Count, "bounds the chunks of a document where the provider is cohere"
        ),
        "top_n": Field("neutral", _Count, "what is returned is not billed"),
        "return_documents": Field("neutral", bool, "what is returned is not billed"),
        "priority": Field(
            "neutral", Annotated[int, Meta(ge=0, le=999)], "the order among one's own requests"
        ),
        "rank_fields": Field("refused", None, "documents are texts here, without fields"),
        "max_chunks_per_doc": Field("refused", None, "say max_tokens_per_doc"),
    },
    ("model", "query", "documents"),
)


class _Billed(msgspec.Struct):
    search_units: Any = None


class _Meta(msgspec.Struct):
    billed_units: _Billed | None = None


class _Answer(msgspec.Struct):
    results: list[Any]
    meta: _Meta | None = None
    usage: Any = None
    id: Any = None


_DECODER: Final = msgspec.json.Decoder(_Answer)


class RerankSurface(OpenAIShape):
    """The surface object; see `contract.Surface`."""

    name: SurfaceName = "rerank"
    path = "/v1/rerank"
    resource = "/rerank"

    def parse(self, body: dict[str, Any], headers: Mapping[str, str]) -> ModelRequest:
        """Understand a decoded body."""
        asked = TABLE.read(body)
        texts = Texts()
        texts.add(asked.query)
        query = texts.bytes
        chunks = cut = 0
        for document in asked.documents:
            before = texts.bytes
            texts.add(document if isinstance(document, str) else document.text)
            chunks += _chunks(query, texts.bytes - before, None)
            cut += _chunks(query, texts.bytes - before, asked.max_tokens_per_doc)
        texts.messages = len(asked.documents)
        # By tokens, each document is read together with the query.
        texts.bytes += query * (len(asked.documents) - 1)
        searches, limited = (ceil_div(most, DOCUMENTS_PER_SEARCH) for most in (chunks, cut))
        units = Units("searches", searches, False, "documents", limited=(CUTS_DOCUMENTS, limited))
        return unit_request(
            asked, body, texts, units, surface="rerank", needs=frozenset({"rerank"})
        )

    def read_answer(self, request: ModelRequest, body: bytes) -> AnswerFacts:
        """Read a whole answer, and what it says was billed."""
        facts = AnswerFacts(finish="stop")
        try:
            answer = _DECODER.decode(body)
        except UNREADABLE:
            facts.error = "the answer is not a ranking"
            return facts
        facts.items = len(answer.results)
        facts.answer_id = answer.id if isinstance(answer.id, str) else ""
        billed = answer.meta.billed_units if answer.meta else None
        facts.units = None if billed is None else _whole(billed.search_units)
        facts.usage = _usage(answer.usage)
        facts.ended = facts.complete = True
        return facts

    def error(self, refusal: Refusal, run_id: str) -> tuple[int, dict[str, str], bytes]:
        """A refusal in Cohere's error shape, with OpenAI's beside it."""
        status, headers, body = errors.openai_error(refusal, run_id)
        document = {"id": run_id, "message": refusal.message} | msgspec.json.decode(body)
        return status, headers, msgspec.json.encode(document)


def _chunks(query: int, document: int, most: int | None) -> int:
    """Most chunks that a document of so many bytes is cut into; a token has at least one byte.

    Whether a chunk's size counts with the query, or the query takes room in each, is not said:
    the larger of the two.
    """
    tokens = document if most is None else min(document, most)
    together = ceil_div(query + tokens, CHUNK_TOKENS)
    room = max(1, CHUNK_TOKENS - query)
    return max(1, together, ceil_div(tokens, room))


def _whole(value: object) -> int | None:
    """A plausible number of searches, a fraction of one counting as one; None for anything else."""
    if isinstance(value, float) and 0 <= value <= MAX_TOKENS:
        return -int(-value // 1)
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if 0 <= value <= MAX_TOKENS else None


def _usage(record: object) -> Usage | None:
    """Tokens of input; some servers tell the total alone."""
    if not isinstance(record, dict):
        return None
    told = [_whole(record.get(name)) for name in ("prompt_tokens", "total_tokens")]
    known = [count for count in told if count is not None]
    return Usage(input=max(known)) if known else None


RERANK = RerankSurface()
