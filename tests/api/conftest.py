"""One complete object of each kind, and the API server's own validator as a fixture."""

import copy
import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

from signalbox_api.crd_schema import structural
from signalbox_api.kinds import KINDS

REPOSITORY = Path(__file__).parents[2]
CRDS = REPOSITORY / "crds"
_SOURCE = REPOSITORY / "tests" / "crdcheck"
_DIGEST = "0123456789abcdef" * 4

_LONG_CONTEXT = {
    "aboveTokens": 200_000,
    "input": "6",
    "cachedInput": "0.60",
    "cacheWrite": {"5m": "7.50", "1h": "12"},
    "output": "22.50",
}
_LANE = {
    "name": "us",
    "class": "public",
    "provider": "anthropic",
    "wireFormat": "anthropic",
    "upstreamModel": "claude-sonnet-4-5",
    "outputLimitField": "max_tokens",
    "responsesApi": True,
    "apiVersion": "2024-10-21",
    "serviceTier": "standard",
    "endpoint": "https://api.anthropic.com",
    "auth": {"type": "apiKey", "key": "anthropic"},
    "region": "us-east",
    "jurisdiction": "US",
    "maxSensitivity": "confidential",
    "typicalFirstChunkMs": 800,
    "limits": {"requestTimeoutSeconds": 300},
}
_AWS = {
    "type": "aws",
    "role": "arn:aws:iam::123456789012:role/models",
    "region": "eu-central-1",
}
_GOOGLE = {"type": "google", "serviceAccount": "models@company.iam.gserviceaccount.com"}
_AZURE = {
    "type": "azure",
    "key": "azure-secret",
    "tenant": "company.example",
    "client": "0b1c2d3e",
    "scope": "https://cognitiveservices.azure.com/.default",
}
_UNITS: dict[str, Any] = {
    "audioInput": "6",
    "perImage": [{"size": "1024x1024", "quality": "hd", "price": "0.08"}],
    "perThousandSearches": "2",
    "perMinute": "0.006",
    "perMillionCharacters": "15",
}
_LANE_PRICE = {
    "multiplier": "0.5",
    "regionalPremium": "0.10",
    "input": "3",
    "cachedInput": "0.30",
    "cacheWrite": {"5m": "3.75", "1h": "6"},
    "output": "15",
    "longContext": _LONG_CONTEXT,
    **_UNITS,
}
COMPLETE: dict[str, dict[str, Any]] = {
    "Domain": {
        "ownerTeam": "Wealth Management",
        "focusAccount": "6420",
        "defaultSensitivity": "confidential",
        "residency": {"jurisdictions": ["EU", "CH"]},
        "parent": "platform/company",
        "allowedNamespaces": ["wealth", "advice"],
    },
    "DataAsset": {
        "domain": "wealth",
        "sensitivity": "regulated",
        "residency": {"jurisdictions": ["EU"]},
        "location": "eu-central-1",
        "retention": "7y",
    },
    "Agent": {
        "domain": "platform/wealth",
        "maxSensitivity": "regulated",
        "defaults": {"workload": "advice", "dataAssets": ["portfolios"]},
        "models": {"allow": ["sonnet"]},
        "tools": {"allow": ["quote", "trade"]},
        "credentials": {
            "keys": [
                {
                    "name": "k1",
                    "sha256": _DIGEST,
                    "lookup": _DIGEST[:16],
                    "expiresAt": "2027-05-01T00:00:00Z",
                },
            ],
            "serviceAccounts": ["advisor"],
        },
    },
    "Model": {
        "displayName": "Claude Sonnet 4.5",
        "aliases": ["claude-sonnet", "anthropic/claude-sonnet"],
        "tokenizer": "estimate",
        "capabilities": ["chat", "tools", "images", "documents"],
        "limits": {
            "contextTokens": 1_000_000,
            "maxOutputTokens": 64_000,
            "defaultOutputTokens": 1024,
            "tokensPerImage": 5000,
            "audioSeconds": 1500,
            "overhead": {"perRequest": 600, "perMessage": 8, "perTool": 16},
        },
        "quality": {"default": "0.88", "byWorkload": {"advice": "0.91"}},
        "price": {
            "input": "3",
            "cachedInput": "0.30",
            "cacheWrite": {"5m": "3.75", "1h": "6"},
            "output": "15",
            "longContext": _LONG_CONTEXT,
            **_UNITS,
        },
        "lanes": [
            _LANE,
            {"name": "batch", "from": "us", "class": "batch", "price": _LANE_PRICE},
            {"name": "bedrock", "from": "us", "auth": _AWS},
            {"name": "vertex", "from": "us", "auth": _GOOGLE},
            {"name": "azure", "from": "us", "auth": _AZURE},
        ],
        "deprecation": {"at": "2027-05-01T00:00:00Z", "replacement": "opus"},
    },
    "Budget": {
        "scope": {"domain": "wealth"},
        "per": "user",
        "whenMissing": "refuse",
        "limit": {"usd": "0.20"},
        "window": {"every": "minute", "count": 5, "timeZone": "Europe/Berlin"},
        "maxPerRequest": {"usd": "0.05"},
        "maxNewSubjectsPerAgent": 500,
        "onExhausted": "CheaperLane",
        "warnAtPercent": [50, 80],
        "enforcement": "DryRun",
    },
    "RoutePolicy": {
        "match": {
            "domains": ["wealth"],
            "agents": ["wealth/advisor"],
            "workloads": ["advice"],
            "tasks": ["summary"],
            "models": ["sonnet", "auto"],
            "sensitivities": ["confidential", "regulated"],
        },
        "constraints": {
            "laneClasses": ["regional", "sovereign"],
            "regions": ["eu-central-1"],
            "jurisdictions": ["EU"],
            "qualityFloor": "0.70",
            "firstChunkMs": 2000,
            "maxUsd": "0.05",
        },
        "candidates": ["llama", "asked"],
        "objective": "cheapest",
        "defaults": {"maxOutputTokens": 512},
        "retries": {"attempts": 2},
        "failover": True,
        "promptCaching": "Place",
        "responses": {"store": "Allow"},
        "enforcement": "Enforce",
    },
}


def manifest(kind: str, spec: Mapping[str, Any], name: str = "example") -> dict[str, Any]:
    """An object of a kind as JSON-compatible data."""
    return {
        "apiVersion": "signalbox.dev/v1alpha1",
        "kind": kind,
        "metadata": {"name": name, "namespace": "default"},
        "spec": copy.deepcopy(dict(spec)),
    }


@pytest.fixture(scope="session")
def complete() -> Callable[[str], dict[str, Any]]:
    """A complete valid object of a kind: `complete("Budget")`."""
    return lambda kind: manifest(kind, COMPLETE[kind])


@pytest.fixture(scope="session")
def crdcheck() -> Path:
    """The validator, built once from tests/crdcheck and kept in the user's cache."""
    go = shutil.which("go")
    if go is None:
        if os.environ.get("CI") == "true":
            pytest.fail("Go is needed where CI=true: it builds the API server's CRD validator")
        pytest.skip("Go is not installed: the CRDs are not checked by the API server's validator")
    cache = Path(os.environ.get("SIGNALBOX_CACHE") or Path.home() / ".cache" / "signalbox")
    sources = sorted([*_SOURCE.glob("*.go"), _SOURCE / "go.mod", _SOURCE / "go.sum"])
    version = hashlib.sha256(b"\0".join(path.read_bytes() for path in sources)).hexdigest()[:16]
    binary = cache / f"crdcheck-{version}"
    if not binary.exists():
        cache.mkdir(parents=True, exist_ok=True)
        fresh = cache / f".crdcheck-{version}-{os.getpid()}"
        command = ["nice", go, "build", "-o", str(fresh), "."]
        built = subprocess.run(command, cwd=_SOURCE, capture_output=True, text=True)
        assert built.returncode == 0, built.stderr
        fresh.replace(binary)
    return binary


@pytest.fixture(scope="session")
def judge(crdcheck: Path) -> Callable[[Iterable[Mapping[str, Any]]], list[list[str]]]:
    """What the API server says to each `{"old": …, "new": …}`: the errors, none if accepted."""

    def ask(cases: Iterable[Mapping[str, Any]]) -> list[list[str]]:
        lines = "".join(json.dumps(case) + "\n" for case in cases)
        answer = subprocess.run(
            [crdcheck, "table", CRDS], input=lines, capture_output=True, text=True, timeout=120
        )
        assert answer.returncode == 0, answer.stderr + answer.stdout
        return [json.loads(line)["errors"] for line in answer.stdout.splitlines()]

    return ask


@pytest.fixture(scope="session")
def every_pattern() -> set[str]:
    """Every pattern that stands in a spec of a CRD."""
    found: set[str] = set()
    pending: list[Any] = [structural(kind.spec, defaults=True) for kind in KINDS.values()]
    while pending:
        here = pending.pop()
        if isinstance(here, dict):
            if isinstance(here.get("pattern"), str):
                found.add(here["pattern"])
            pending += here.values()
    return found
