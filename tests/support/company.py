"""Manifests that a test writes: one platform, one domain, agents with keys, budgets."""

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from signalbox_api.keys import new_key

PLATFORM = "signalbox-system"
API_VERSION = "signalbox.dev/v1alpha1"


def manifest(kind: str, namespace: str, name: str, spec: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": API_VERSION,
        "kind": kind,
        "metadata": {"name": name, "namespace": namespace},
        "spec": dict(spec),
    }


def chat_model(name: str, host: str, region: str, jurisdiction: str, **spec: Any) -> dict[str, Any]:
    """A chat model of `mistral-small-latest`'s price on one lane at `host`."""
    lane = {
        "name": region,
        "class": "regional",
        "provider": "mistral",
        "wireFormat": "openai",
        "upstreamModel": "mistral-small-latest",
        "endpoint": f"https://{host}/v1",
        "auth": {"type": "apiKey", "key": "mistral"},
        "region": region,
        "jurisdiction": jurisdiction,
        "maxSensitivity": "regulated",
    }
    model = {
        "tokenizer": "estimate",
        "capabilities": ["chat", "tools", "images", "structuredOutput", "promptCaching"],
        "limits": {
            "contextTokens": 262144,
            "maxOutputTokens": 131072,
            "defaultOutputTokens": 1024,
            "tokensPerImage": 5000,
        },
        "quality": {"default": "0.80"},
        "price": {"input": "0.15", "cachedInput": "0.015", "output": "0.6"},
        "lanes": [lane],
    }
    return manifest("Model", PLATFORM, name, model | spec)


@dataclass
class Company:
    """A folder of manifests that grows; `keys` are the agents' keys by agent name."""

    folder: Path
    keys: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)

    def write(self, file: str, *objects: Mapping[str, Any]) -> None:
        """Writes one file whole, as an editor's save does: JSON is YAML."""
        text = "\n---\n".join(json.dumps(each, indent=1) for each in objects)
        waiting = self.folder.parent / f".{file}.new"
        waiting.write_text(text)
        waiting.rename(self.folder / f"{file}.yaml")

    def domain(self, name: str, namespace: str, **spec: Any) -> dict[str, Any]:
        defaults = {"ownerTeam": name, "focusAccount": "6410", "defaultSensitivity": "internal"}
        return manifest("Domain", namespace, name, defaults | spec)

    def agent(self, name: str, namespace: str, domain: str, **spec: Any) -> dict[str, Any]:
        """An agent with a fresh key, kept in `keys`."""
        fresh = new_key(namespace, name, secrets.token_bytes(24))
        self.keys[name] = fresh.key
        defaults = {
            "domain": domain,
            "maxSensitivity": "regulated",
            "defaults": {"workload": "support"},
            "credentials": {"keys": [{"name": "test", "sha256": fresh.sha256}]},
        }
        return manifest("Agent", namespace, name, defaults | spec)

    def budget(
        self, name: str, namespace: str, limit: Mapping[str, Any], **spec: Any
    ) -> dict[str, Any]:
        defaults = {"limit": dict(limit), "window": {"every": "lifetime"}}
        return manifest("Budget", namespace, name, defaults | spec)


def usd(nano: int) -> str:
    """Nano-USD as the decimal text that manifests want."""
    whole, rest = divmod(nano, 10**9)
    return f"{whole}.{rest:09d}"


def nano(text: str) -> int:
    """Decimal text of USD, as status has it, in nano-USD."""
    return int(Decimal(text) * 10**9)
