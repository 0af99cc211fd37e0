"""``POST /v2/rerank`` (Cohere) and ``POST /v1/rerank`` (Jina): documents in, their order out.

Written from Cohere's "Rerank API (v2)" reference and pricing page, and from Jina's reranker API.
Cohere bills searches, Jina tokens; which of the two a model is, its prices say.
"""

from __future__ import annotations

import hashlib
import math
import uuid
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from . import tokens
from .behaviour import Effects
from .refusals import Refusal
from .sheet import Usage
from .strict import Given, Strict, validate
from .surface import EVENT_STREAM, Context, WholeAnswer, encoded, find_model

CHUNK = 500
PER_SEARCH = 100
DEFAULT_DOCUMENT_TOKENS = 4096


class CohereRequest(Strict):
    """The body of Cohere's ``POST /v2/rerank``."""

    model: Annotated[str, Field(min_length=1)]
    query: Annotated[str, Field(min_length=1)]
    documents: Annotated[list[str], Field(min_length=1, max_length=10_000)]
    top_n: Given[Annotated[int, Field(ge=1)]] = None
    max_tokens_per_doc: Given[Annotated[int, Field(ge=1)]] = None
    priority: Given[Annotated[int, Field(ge=0, le=999)]] = None


class JinaDocument(Strict):
    """A document as an object."""

    text: str


class JinaRequest(Strict):
    """The body of Jina's ``POST /v1/rerank``."""

    model: Annotated[str, Field(min_length=1)]
    query: Annotated[str, Field(min_length=1)]
    documents: Annotated[list[str | JinaDocument], Field(min_length=1, max_length=2048)]
    top_n: Given[Annotated[int, Field(ge=1)]] = None
    return_documents: Given[bool] = None


class RerankSurface:
    """The rerank endpoint."""

    stream_type = EVENT_STREAM

    def read(self, document: dict[str, object], context: Context) -> RerankPending:
        """Validate and meter a request; raises Refusal."""
        name = document.get("model")
        found = find_model(context, name) if isinstance(name, str) else None
        if found is None or found[1].kind != "rerank":
            raise Refusal(404, f"model '{str(name)[:100]}' not found")
        model, section = found
        if section.usd_per.thousand_searches is not None:
            asked = validate(CohereRequest, document)
            most = asked.max_tokens_per_doc or DEFAULT_DOCUMENT_TOKENS
            query = tokens.count(asked.query)
            cut = [min(tokens.count(text), most) for text in asked.documents]
            chunks = sum(max(1, math.ceil((query + size) / CHUNK)) for size in cut)
            usage = Usage(searches=math.ceil(chunks / PER_SEARCH))
            return RerankPending(model, asked.query, asked.documents, asked.top_n, usage)
        jina = validate(JinaRequest, document)
        texts = [each if isinstance(each, str) else each.text for each in jina.documents]
        query = tokens.count(jina.query)
        usage = Usage(input=sum(query + tokens.count(text) for text in texts))
        return RerankPending(model, jina.query, texts, jina.top_n, usage)

    def error(self, refusal: Refusal, request_id: str) -> bytes:
        """Give Cohere's error body."""
        return encoded({"id": request_id, "message": refusal.message})


@dataclass(frozen=True)
class RerankPending:
    """A metered request."""

    model: str
    query: str
    documents: list[str]
    top_n: int | None
    usage: Usage
    tier: str = "default"
    stream: bool = False

    @property
    def last_user_text(self) -> str:
        """Where directives may stand: the query."""
        return self.query

    def compose(self, effects: Effects) -> RerankAnswer:
        """Compose the ranking."""
        return RerankAnswer(self, self.usage)


@dataclass(frozen=True)
class RerankAnswer(WholeAnswer):
    """A ranking that depends on query and documents alone."""

    pending: RerankPending
    usage: Usage

    def whole(self, *, omit_usage: bool) -> bytes:
        """Give the ranking, best first."""
        asked = self.pending
        scores = [_score(asked.query, text) for text in asked.documents]
        order = sorted(range(len(scores)), key=lambda index: -scores[index])
        results = [
            {"index": index, "relevance_score": scores[index]}
            for index in order[: asked.top_n or len(order)]
        ]
        if self.usage.searches:
            document: dict[str, object] = {"id": str(uuid.uuid4()), "results": results}
            billed = {} if omit_usage else {"search_units": self.usage.searches}
            document["meta"] = {"api_version": {"version": "2"}, "billed_units": billed}
            return encoded(document)
        document = {"model": asked.model, "object": "list", "results": results}
        if not omit_usage:
            document["usage"] = {"total_tokens": self.usage.input}
        return encoded(document)


def _score(query: str, text: str) -> float:
    """Give a share that any change of query or text changes."""
    digest = hashlib.blake2b(repr((query, text)).encode(), digest_size=4).digest()
    return int.from_bytes(digest, "big") / 2**32
