"""Two thousand requests, good and bad: the good are answered as the provider answers them, the bad
get a clear 4xx, and nothing costs more than it held.

The strict simulator is asked directly first: what it accepts is valid. The short form asks 200.
"""

import asyncio
import io
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest
from anthropic.types import Message, message_create_params
from openai.types import CreateEmbeddingResponse, EmbeddingCreateParams
from openai.types.chat import ChatCompletion, completion_create_params
from pydantic import TypeAdapter

from support.corpus import CHAT, EMBEDDINGS, MESSAGES, Sample, corpus
from support.market import ANTHROPIC, MISTRAL, OPENAI, Market

AT_ONCE = 12
DEFAULT_LIMIT = 1024
ON_PURPOSE = {
    ("no_bound", "service_tier"),  # the lane decides the tier
    ("no_bound", "tools[0].type"),  # tools that run at the provider, billed per call
    ("no_bound", "anthropic-beta"),  # a beta that is not known to leave the bill alone
    ("invalid_request", "user"),  # longer than an account's name may be
}
"""What Signalbox refuses although the provider would answer, by code and field of the request."""

QUESTIONS: dict[str, TypeAdapter[Any]] = {
    CHAT: TypeAdapter(completion_create_params.CompletionCreateParams),
    MESSAGES: TypeAdapter(message_create_params.MessageCreateParams),
    EMBEDDINGS: TypeAdapter(EmbeddingCreateParams),
}
"""The types that the SDKs give to requests: what the provider took must be one of them."""

ANSWERS: dict[str, Any] = {
    CHAT: ChatCompletion,
    MESSAGES: Message,
    EMBEDDINGS: CreateEmbeddingResponse,
}


@dataclass(frozen=True)
class Heard:
    """One answer: `content` is what two answers to the same request share."""

    status: int
    body: bytes
    headers: dict[str, str]

    def content(self, path: str) -> Any:
        if self.headers.get("content-type", "").startswith("text/event-stream"):
            return [essence(path, event) for event in events(self.body)]
        return essence(path, json.loads(self.body))


def events(stream: bytes) -> list[Any]:
    lines = [line[6:] for line in stream.splitlines() if line.startswith(b"data: ")]
    return [json.loads(line) for line in lines if line != b"[DONE]"]


def essence(path: str, document: Any) -> Any:
    """A document without names, times and what the provider's cache did."""
    for name in ("id", "created"):
        document.pop(name, None)
    if path == MESSAGES:
        usages = [document.get("usage"), document.get("message", {}).get("usage")]
        document.get("message", {}).pop("id", None)
        for usage in filter(None, usages):
            for name in list(usage):
                if name != "output_tokens":
                    del usage[name]
    elif document.get("usage"):
        document["usage"].pop("prompt_tokens_details", None)
    else:
        document.pop("usage", None)  # null where usage was asked for: the same to an SDK
    return document


def host_of(sample: Sample) -> str:
    if sample.path == MESSAGES:
        return ANTHROPIC
    document = sample.document
    asked = document.get("model") if document else None
    return MISTRAL if asked == "mistral-small-latest" else OPENAI


def straight(sample: Sample) -> bytes:
    """What is sent to the provider directly: the same, with the effective output limit.

    The limit stands in the field that the host knows, as Signalbox writes it.
    """
    document = sample.document
    if sample.path != CHAT or document is None or sample.family == "odd number":
        return sample.body
    known = "max_tokens" if host_of(sample) == MISTRAL else "max_completion_tokens"
    given = [name for name in ("max_tokens", "max_completion_tokens") if name in document]
    if len(given) == 2 or b"1e400" in sample.body:
        return sample.body
    limit = document.pop(given[0]) if given else DEFAULT_LIMIT
    document[known] = DEFAULT_LIMIT if limit is None else limit
    return json.dumps(document, ensure_ascii=False).encode("utf-8", "surrogatepass")


async def post(
    session: aiohttp.ClientSession, url: str, body: bytes, headers: dict[str, str]
) -> Heard:
    sent = {"content-type": "application/json", "content-length": str(len(body))} | headers
    async with session.post(url, data=io.BytesIO(body), headers=sent) as answer:
        told = {name.lower(): value for name, value in answer.headers.items()}
        return Heard(answer.status, await answer.read(), told)


async def ask_both(market: Market, samples: Sequence[Sample]) -> list[tuple[Sample, Heard, Heard]]:
    """Each sample's answer from the provider directly and through Signalbox."""
    room = asyncio.Semaphore(AT_ONCE)
    credentials = {host: market.credential(host) for host in (OPENAI, ANTHROPIC, MISTRAL)}
    key, provider = market.key("caller"), market.provider_url

    async def both(sample: Sample) -> tuple[Sample, Heard, Heard]:
        host = host_of(sample)
        version = {"anthropic-version": "2023-06-01"} if sample.path == MESSAGES else {}
        name, scheme = ("x-api-key", "") if version else ("authorization", "Bearer ")
        async with room:
            headers = {name: scheme + credentials[host]} | version | sample.headers
            direct = await post(
                session, f"{provider}/{host}{sample.path}", straight(sample), headers
            )
            headers = {name: scheme + key} | version | sample.headers
            through = await post(session, f"{market.url}{sample.path}", sample.body, headers)
        return sample, direct, through

    async with aiohttp.ClientSession(
        timeout=aiohttp.ClientTimeout(total=60), connector=aiohttp.TCPConnector(limit=0)
    ) as session:
        return await asyncio.gather(*(both(sample) for sample in samples))


def assert_clear(sample: Sample, heard: Heard) -> str:
    """A 4xx that the SDK understands, with a sentence and a code; returns the code."""
    assert 400 <= heard.status <= 499, (sample.family, heard.status, sample.body[:300])
    assert heard.status not in (401, 402, 408, 429), (sample.family, heard.body[:300])
    document = json.loads(heard.body)
    error = document["error"]
    assert len(error["message"]) > 10
    assert heard.headers["x-should-retry"] == "false"
    if sample.path == MESSAGES:
        assert document["type"] == "error"
        assert error["type"]
        assert document["request_id"] == heard.headers["request-id"]
        return str(error["details"]["error_code"])
    assert set(error) == {"message", "type", "param", "code"}
    assert heard.headers["x-request-id"].startswith("r_")
    return str(error["code"])


def field_of(heard: Heard) -> str:
    """The field of the request that a refusal names."""
    error = json.loads(heard.body)["error"]
    return str(error.get("details", error).get("param"))


def judge(sample: Sample, direct: Heard, through: Heard) -> tuple[str, str]:
    """What became of one sample; fails where it is not what it must be."""
    about = (sample.family, sample.path, sample.body[:400], direct.body[:300], through.body[:300])
    assert direct.status < 500, about
    if direct.status != 200:
        return "invalid", assert_clear(sample, through)
    QUESTIONS[sample.path].validate_python(sample.document)
    if through.status != 200:
        code = assert_clear(sample, through)
        assert (code, field_of(through)) in ON_PURPOSE, about
        return "refused on purpose", code
    assert through.content(sample.path) == direct.content(sample.path), about
    is_stream = through.headers["content-type"].startswith("text/event-stream")
    if not is_stream and b'"base64"' not in sample.body:
        ANSWERS[sample.path].model_validate_json(through.body)
    return "valid", ""


def prove(market: Market, samples: Sequence[Sample]) -> Counter[tuple[str, str]]:
    before = market.runs("shop/caller")
    heard = asyncio.run(ask_both(market, samples))
    found = Counter(judge(*each) for each in heard)
    for line in market.recorded("shop/caller", before + len(samples)):
        line.assert_right()
    market.oracle.books("shop/caller").assert_equal()
    assert market.overruns() == set()
    return found


def test_two_hundred_requests_good_and_bad(market: Market) -> None:
    found = prove(market, corpus(200))
    assert sum(count for (kind, _), count in found.items() if kind == "valid") >= 30
    assert sum(count for (kind, _), count in found.items() if kind == "invalid") >= 60


@pytest.mark.proof
def test_two_thousand_requests_good_and_bad(market: Market) -> None:
    found = prove(market, corpus(2000, seed=21))
    assert sum(count for (kind, _), count in found.items() if kind == "valid") >= 600
    assert sum(count for (kind, _), count in found.items() if kind == "invalid") >= 600
