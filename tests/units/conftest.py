"""One installation with models that are billed by units, and the official client pointed at it."""

from collections.abc import Iterator, Mapping
from typing import Any

import openai
import pytest

from support.company import PLATFORM, manifest
from support.market import OPENAI, OPENAI_EU, Market, lane, open_market

DEARER = {"price": {"regionalPremium": "0.10"}}
LIMITS = {"contextTokens": 4096}
COHERE, JINA = "api.cohere.com", "api.jina.ai"
PER_IMAGE = [
    {"size": "1024x1024", "quality": "standard", "price": "0.040"},
    {"size": "1792x1024", "quality": "standard", "price": "0.080"},
    {"size": "1024x1024", "quality": "hd", "price": "0.080"},
    {"size": "1792x1024", "quality": "hd", "price": "0.120"},
]


def model(
    name: str,
    capability: str,
    price: Mapping[str, Any],
    *lanes: Mapping[str, Any],
    limits: Mapping[str, Any] = LIMITS,
) -> dict[str, Any]:
    fields = {
        "capabilities": [capability],
        "limits": dict(limits),
        "price": dict(price),
        "lanes": [dict(each) for each in lanes],
    }
    return manifest("Model", PLATFORM, name, fields)


MODELS = [
    model(
        "tts-1",
        "speech",
        {"perMillionCharacters": "15"},
        lane("us", OPENAI, "US", "tts-1"),
        lane("eu", OPENAI_EU, "IE", "tts-1", **DEARER),
    ),
    model(
        "tts-1-hd", "speech", {"perMillionCharacters": "30"}, lane("us", OPENAI, "US", "tts-1-hd")
    ),
    model(
        "gpt-4o-mini-tts",
        "speech",
        {"input": "0.60", "output": "12"},
        lane("us", OPENAI, "US", "gpt-4o-mini-tts"),
        limits={"contextTokens": 16000, "maxOutputTokens": 9000},
    ),
    model(
        "dall-e-3",
        "imageGeneration",
        {"perImage": PER_IMAGE},
        lane("us", OPENAI, "US", "dall-e-3"),
        lane("eu", OPENAI_EU, "IE", "dall-e-3", **DEARER),
    ),
    model(
        "gpt-image-1",
        "imageGeneration",
        {"input": "5", "cachedInput": "1.25", "output": "40"},
        lane("us", OPENAI, "US", "gpt-image-1"),
        limits={"contextTokens": 65536, "maxOutputTokens": 6240},
    ),
    model(
        "whisper-1",
        "transcription",
        {"perMinute": "0.006"},
        lane("us", OPENAI, "US", "whisper-1"),
        lane("eu", OPENAI_EU, "IE", "whisper-1", **DEARER),
    ),
    model(
        "whisper-bounded",
        "transcription",
        {"perMinute": "0.006"},
        lane("us", OPENAI, "US", "whisper-1"),
        limits={"contextTokens": 4096, "audioSeconds": 1500},
    ),
    model(
        "gpt-4o-transcribe",
        "transcription",
        {"input": "2.5", "audioInput": "6", "output": "10"},
        lane("us", OPENAI, "US", "gpt-4o-transcribe"),
        limits={"contextTokens": 16000, "maxOutputTokens": 2000},
    ),
    model(
        "rerank-v3.5",
        "rerank",
        {"perThousandSearches": "2"},
        lane(
            "us",
            COHERE,
            "US",
            "rerank-v3.5",
            endpoint=f"https://{COHERE}/v2",
            provider="cohere",
            auth={"type": "apiKey", "key": "cohere"},
        ),
    ),
    model(
        "jina-reranker",
        "rerank",
        {"input": "0.02"},
        lane(
            "eu",
            JINA,
            "DE",
            "jina-reranker-v2-base-multilingual",
            auth={"type": "apiKey", "key": "jina"},
        ),
    ),
]


@pytest.fixture(scope="session")
def market(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Market]:
    with open_market(tmp_path_factory.mktemp("units"), extra=MODELS) as opened:
        yield opened


@pytest.fixture(autouse=True)
def _well_behaved(market: Market) -> Iterator[None]:
    yield
    market.behave()


@pytest.fixture
def client(market: Market) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(
        base_url=market.openai_url, api_key=market.key("buyer"), max_retries=0
    ) as made:
        yield made


@pytest.fixture
def direct(market: Market) -> Iterator[openai.OpenAI]:
    """The provider itself, without Signalbox in between."""
    base_url = f"{market.provider_url}/{OPENAI}/v1"
    with openai.OpenAI(base_url=base_url, api_key=market.credential(OPENAI)) as made:
        yield made
