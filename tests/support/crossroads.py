"""Crossroads: a model behind each wire format, so that every client meets every provider.

Built on `market`: one running installation with one simulated provider, every price the provider's
own. `anywhere` has a lane of each format, the cheapest first.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from support.company import PLATFORM, Company, manifest
from support.market import ANTHROPIC, OPENAI, Market
from support.oracle import Oracle
from support.running import running_up

BEDROCK = "bedrock-runtime.us-east-1.amazonaws.com"
GEMINI = "generativelanguage.googleapis.com"

HAIKU = {
    "input": "1",
    "cachedInput": "0.10",
    "cacheWrite": {"5m": "1.25", "1h": "2"},
    "output": "5",
}
LANES: dict[str, dict[str, Any]] = {
    "openai": {
        "endpoint": f"https://{OPENAI}/v1",
        "upstreamModel": "gpt-5.4-mini",
        "outputLimitField": "max_completion_tokens",
        "auth": {"type": "apiKey", "key": "openai"},
        "price": {"input": "0.75", "cachedInput": "0.075", "output": "4.5"},
    },
    "anthropic": {
        "endpoint": f"https://{ANTHROPIC}",
        "upstreamModel": "claude-haiku-4-5",
        "auth": {"type": "apiKey", "key": "anthropic"},
        "price": HAIKU,
    },
    "bedrock": {
        "endpoint": f"https://{BEDROCK}",
        "upstreamModel": "anthropic.claude-haiku-4-5-20251001-v1:0",
        "auth": {"type": "aws", "region": "us-east-1"},
        "price": HAIKU,
    },
    "gemini": {
        "endpoint": f"https://{GEMINI}/v1beta",
        "upstreamModel": "gemini-2.5-flash",
        "auth": {"type": "apiKey", "key": "gemini"},
        "price": {"input": "0.30", "cachedInput": "0.03", "output": "2.50"},
    },
}
HOSTS = {"openai": OPENAI, "anthropic": ANTHROPIC, "bedrock": BEDROCK, "gemini": GEMINI}
HOSTS["openai-chat"] = OPENAI
"""The provider's host by wire format. A model of each format's name has its only lane there."""

FORMATS = tuple(LANES)

CHAT_ONLY = "openai-chat"
"""A model behind OpenAI's format whose server has chat completions only."""

_CAPABILITIES = [
    *("chat", "tools", "images", "documents", "structuredOutput", "reasoning", "promptCaching")
]


def lane(wire: str, **spec: Any) -> dict[str, Any]:
    """The lane of one wire format."""
    fields = {
        "name": wire,
        "class": "public",
        "provider": wire,
        "wireFormat": wire,
        "region": "us-east-1",
        "jurisdiction": "US",
        "maxSensitivity": "regulated",
        "limits": {"requestTimeoutSeconds": 300},
    }
    return fields | LANES[wire] | spec


def model(name: str, *lanes: dict[str, Any], **spec: Any) -> dict[str, Any]:
    """A model whose lanes state their own prices."""
    fields: dict[str, Any] = {
        "tokenizer": "o200k",
        "capabilities": _CAPABILITIES,
        "limits": {
            "contextTokens": 200_000,
            "maxOutputTokens": 60_000,
            "defaultOutputTokens": 1024,
            "tokensPerImage": 5000,
        },
        "price": HAIKU,
        "lanes": list(lanes),
    }
    return manifest("Model", PLATFORM, name, fields | spec)


def manifests(company: Company) -> list[dict[str, Any]]:
    """A model of each format, one with all of them, an agent with money."""
    return [
        *(model(wire, lane(wire)) for wire in FORMATS),
        model(CHAT_ONLY, lane("openai", responsesApi=False)),
        model("anywhere", *(lane(wire) for wire in FORMATS)),
        model("no-cache", lane("openai"), capabilities=["chat", "tools"]),
        company.domain("shop", PLATFORM, allowedNamespaces=["shop"]),
        company.agent("buyer", "shop", f"{PLATFORM}/shop"),
        company.budget("all", PLATFORM, {"usd": "1000"}, scope={"all": True}),
    ]


def nothing_more(company: Company) -> list[dict[str, Any]]:
    return []


@contextmanager
def open_crossroads(
    folder: Path, more: Callable[[Company], list[dict[str, Any]]] = nothing_more
) -> Iterator[Market]:
    """Opens crossroads with its state under `folder`, and `more` objects than its own."""
    company = Company(folder / "manifests")
    company.write("all", *manifests(company), *more(company))
    behaviour = folder / "behaviour.yaml"
    behaviour.write_text(json.dumps({}))
    options = {"SIGNALBOX_SIMULATOR_BEHAVIOUR": str(behaviour)}
    flags = ["--dev-key", "shop/buyer"]
    with running_up(folder, company.folder, flags, environment=options) as running:
        yield Market(company, running, Oracle(running.state), behaviour)
