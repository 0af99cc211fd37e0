"""A market: lanes of every wire format, in and out of the EU, and enough money for everything.

One running installation with one simulated provider; tests change how the provider behaves, ask it
directly, and read its bill.
"""

import json
import urllib.request
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import yaml

from signalbox_cli.up_client import UpClient
from signalbox_simulator.sheet import DEFAULT_SHEET
from support.company import PLATFORM, Company, manifest
from support.oracle import AttemptLine, Oracle, eventually
from support.running import Running, running_up

OPENAI, OPENAI_EU = "api.openai.com", "eu.api.openai.com"
ANTHROPIC, ANTHROPIC_EU = "api.anthropic.com", "eu.api.anthropic.com"
MISTRAL, VLLM = "api.mistral.ai", "vllm.inference.svc"
COUNTRIES = {
    OPENAI: "US",
    OPENAI_EU: "IE",
    ANTHROPIC: "US",
    ANTHROPIC_EU: "DE",
    MISTRAL: "FR",
    VLLM: "DE",
}
EU_HOSTS = frozenset({OPENAI_EU, ANTHROPIC_EU, MISTRAL, VLLM})
CREDENTIALS = {
    OPENAI: "openai",
    OPENAI_EU: "openai-eu",
    ANTHROPIC: "anthropic",
    ANTHROPIC_EU: "anthropic-eu",
    MISTRAL: "mistral",
}
EVERYTHING = f"{PLATFORM}/all"
"""The budget that covers every request."""

WRITERS = tuple(f"writer-{number}" for number in range(8))
WRITER_USD = "0.02"
"""Agents with a budget of their own, which a few seconds of load use up."""

HOURLY = ("counted", "token-counter")
"""Agents with one request an hour, each for one test alone."""

INSIDE_FIRST = {"candidates": ["llama", "gpt-5-mini"], "match": {"tasks": ["inside-first"]}}
"""The cheapest lane is in the EU, the next one is not."""

ALL_CAPABILITIES = [
    *("chat", "tools", "images", "documents", "structuredOutput", "reasoning", "promptCaching")
]
CHAT_LIMITS = {
    "contextTokens": 1_000_000,
    "maxOutputTokens": 128000,
    "defaultOutputTokens": 1024,
    "tokensPerImage": 5000,
}


def lane(name: str, host: str, jurisdiction: str, upstream: str, **spec: Any) -> dict[str, Any]:
    """A lane at one of the provider's hosts, cleared for every class of data."""
    anthropic = host in (ANTHROPIC, ANTHROPIC_EU)
    scheme = "http" if host == VLLM else "https"
    fields: dict[str, Any] = {
        "name": name,
        "class": "public" if jurisdiction == "US" else "regional",
        "provider": host.partition(".")[0],
        "wireFormat": "anthropic" if anthropic else "openai",
        "upstreamModel": upstream,
        "endpoint": f"{scheme}://{host}" + ("" if anthropic else "/v1"),
        "auth": {"type": "apiKey", "key": CREDENTIALS[host]}
        if host in CREDENTIALS
        else {"type": "none"},
        "region": f"{jurisdiction.lower()}-1",
        "jurisdiction": jurisdiction,
        "maxSensitivity": "regulated",
        "limits": {"requestTimeoutSeconds": 8},
    }
    if host in (OPENAI, OPENAI_EU):
        fields["responsesApi"] = True
    return fields | spec


def chat_model(
    name: str, price: Mapping[str, Any], lanes: Sequence[Mapping[str, Any]], **spec: Any
) -> dict[str, Any]:
    fields = {
        "tokenizer": "estimate",
        "capabilities": ALL_CAPABILITIES,
        "limits": CHAT_LIMITS,
        "quality": {"default": "0.80"},
        "price": dict(price),
        "lanes": [dict(each) for each in lanes],
    }
    return manifest("Model", PLATFORM, name, fields | spec)


def models() -> list[dict[str, Any]]:
    """As in the quickstart, but every model that can has a lane in the EU."""
    dearer = {"price": {"regionalPremium": "0.10"}}
    reasoning = {"outputLimitField": "max_completion_tokens"}
    cache = {"cacheWrite": {"5m": "1.25", "1h": "2"}}
    embedding = manifest(
        "Model",
        PLATFORM,
        "text-embedding-3-small",
        {
            "tokenizer": "cl100k",
            "capabilities": ["embeddings"],
            "limits": {"contextTokens": 8191},
            "quality": {"default": "0.60"},
            "price": {"input": "0.02"},
            "lanes": [
                lane("us", OPENAI, "US", "text-embedding-3-small"),
                lane("eu", OPENAI_EU, "IE", "text-embedding-3-small", **dearer),
            ],
        },
    )
    return [
        embedding,
        chat_model(
            "gpt-5-mini",
            {"input": "0.25", "cachedInput": "0.025", "output": "2"},
            [
                lane("us", OPENAI, "US", "gpt-5-mini", **reasoning),
                lane("eu", OPENAI_EU, "IE", "gpt-5-mini", **reasoning, **dearer),
            ],
            tokenizer="o200k",
        ),
        chat_model(
            "claude-haiku-4-5",
            {"input": "1", "cachedInput": "0.10", "output": "5", **cache},
            [
                lane("us", ANTHROPIC, "US", "claude-haiku-4-5"),
                lane("eu", ANTHROPIC_EU, "DE", "claude-haiku-4-5", **dearer),
            ],
        ),
        chat_model(
            "mistral-small",
            {"input": "0.15", "cachedInput": "0.015", "output": "0.6"},
            [lane("fr", MISTRAL, "FR", "mistral-small-latest")],
            aliases=["mistral-small-latest"],
        ),
        chat_model(
            "llama",
            {"input": "0.135", "output": "0.40"},
            [lane("own", VLLM, "DE", "llama-3.3-70b-instruct", **{"class": "sovereign"})],
            capabilities=["chat", "tools", "structuredOutput"],
        ),
        chat_model(
            "us-only",
            {"input": "0.05", "cachedInput": "0.005", "output": "0.4"},
            [lane("us", OPENAI, "US", "gpt-5-nano", **reasoning)],
        ),
    ]


def people(company: Company) -> list[dict[str, Any]]:
    """Domains `shop` (anywhere) and `bank` (EU), their agents, and one budget for all."""
    shop, bank = f"{PLATFORM}/shop", f"{PLATFORM}/bank"
    strict = f"{PLATFORM}/strict"
    asset = {
        "domain": bank,
        "sensitivity": "regulated",
        "residency": {"jurisdictions": ["EU"]},
        "location": "eu-central-1",
        "retention": "7y",
    }
    french = asset | {"residency": {"jurisdictions": ["FR", "IE"]}, "sensitivity": "confidential"}
    everything = ["llama", "mistral-small", "us-only", "gpt-5-mini", "claude-haiku-4-5"]
    return [
        company.domain("shop", PLATFORM, allowedNamespaces=["shop"]),
        company.domain(
            "bank", PLATFORM, allowedNamespaces=["bank"], residency={"jurisdictions": ["EU"]}
        ),
        company.domain(
            "strict",
            PLATFORM,
            allowedNamespaces=["bank"],
            parent=bank,
            residency={"jurisdictions": ["DE", "FR"]},
        ),
        manifest("DataAsset", "bank", "portfolios", asset),
        manifest("DataAsset", "bank", "annals", french),
        *(company.agent(name, "shop", shop) for name in ("buyer", "caller", "leaver", *WRITERS)),
        company.agent("barred", "shop", shop, models={"allow": ["mistral-small"]}),
        company.agent("poor", "shop", shop),
        company.agent("narrow", "shop", shop),
        company.agent("thin", "shop", shop),
        company.agent("meek", "shop", shop, maxSensitivity="internal"),
        *(company.agent(name, "shop", shop) for name in HOURLY),
        company.agent("teller", "bank", bank),
        company.agent("clerk", "bank", strict),
        company.agent("advisor", "bank", bank, defaults={"dataAssets": ["portfolios"]}),
        manifest(
            "RoutePolicy",
            PLATFORM,
            "auto",
            {"candidates": everything, "match": {"models": ["auto"]}},
        ),
        manifest("RoutePolicy", PLATFORM, "inside-first", INSIDE_FIRST),
        company.budget("all", PLATFORM, {"usd": "1000000"}, scope={"all": True}),
        *(
            company.budget(name, "shop", {"usd": WRITER_USD}, scope={"agent": name})
            for name in WRITERS
        ),
        company.budget("poor", "shop", {"usd": "0.000001"}, scope={"agent": "poor"}),
        company.budget("narrow", "shop", {"usd": "0.003"}, scope={"agent": "narrow"}),
        company.budget("thin", "shop", {"usd": "0.003"}, scope={"agent": "thin"}),
        *(
            company.budget(
                name, "shop", {"requests": 1}, scope={"agent": name}, window={"every": "hour"}
            )
            for name in HOURLY
        ),
    ]


@dataclass
class Market:
    """The running installation; `behaviour` is the file that the provider obeys."""

    company: Company
    running: Running
    oracle: Oracle
    behaviour: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.running.port}"

    @property
    def openai_url(self) -> str:
        return f"{self.url}/v1"

    def key(self, agent: str) -> str:
        return self.company.keys[agent]

    @property
    def provider_url(self) -> str:
        port = (self.running.state / "simulator" / "port").read_text().strip()
        return f"http://127.0.0.1:{port}"

    def credential(self, host: str) -> str:
        """What the provider accepts at a host."""
        return (self.running.state / "credentials" / CREDENTIALS[host]).read_text()

    def behave(self, *rules: Mapping[str, Any]) -> None:
        """Put these rules in the place of those before; none: the provider behaves well."""
        waiting = self.behaviour.with_suffix(".new")
        waiting.write_text(json.dumps({"rules": list(rules)}))
        waiting.replace(self.behaviour)

    def stats(self) -> dict[str, dict[str, int]]:
        """What each host of the provider saw: requests, bytes, billed, refused."""
        with urllib.request.urlopen(f"{self.provider_url}/_simulator/stats", timeout=10) as answer:
            return dict(json.load(answer)["hosts"])

    def requests(self, hosts: Sequence[str] | frozenset[str] | None = None) -> int:
        stats = self.stats()
        return sum(stats[host]["requests"] for host in hosts or stats if host in stats)

    def client(self) -> UpClient:
        return UpClient(self.running.state)

    def pids(self) -> dict[str, int | None]:
        """Process ids of authority, simulator and proxies as the supervisor knows them."""
        processes = self.client().status()["processes"]
        return {name: each["pid"] for name, each in processes.items()}

    def budgets(self) -> dict[str, dict[str, Any]]:
        """Status of all budgets by namespace/name."""
        return {
            "{namespace}/{name}".format(**item["metadata"]): item.get("status", {})
            for item in self.client().objects()
            if item["kind"] == "Budget"
        }

    def runs(self, agent: str) -> int:
        """How many runs of one agent are recorded."""
        sql = "SELECT COUNT(*) FROM inference_run WHERE agent = ?"
        return int(self.oracle.query(sql, agent)[0][0])

    def recorded(self, agent: str, runs: int) -> list[AttemptLine]:
        """The attempts of one agent, once so many of its runs are recorded; none was lost."""
        eventually(lambda: self.runs(agent) >= runs, what=f"{runs} runs of {agent}")
        assert self.runs(agent) == runs, f"more runs of {agent} than requests"
        return self.oracle.attempts(agent)

    def settled(self, *, within_s: float = 60.0) -> dict[str, Any]:
        """Status of all budgets once nothing is held and what status tells is the ledger's sum.

        A leaked hold never lets this return. Takes as long as proxies keep idle slices.
        """

        def at_rest() -> dict[str, dict[str, Any]] | None:
            ledger = self.oracle.query("SELECT COALESCE(SUM(cost_nano_usd), 0) FROM charge_record")
            budgets = self.budgets()
            held = [name for name, each in budgets.items() if Decimal(each["held"])]
            told = Decimal(budgets[EVERYTHING]["settled"]) * 10**9
            return None if held or told != ledger[0][0] else budgets

        found = eventually(at_rest, limit_s=within_s, what="nothing held")
        assert isinstance(found, dict)
        return found

    def overruns(self) -> set[str]:
        """Budgets for which a provider billed more than was held."""
        return {name for name, each in self.budgets().items() if Decimal(each["overrun"])}

    def attempts_of(self, run_ids: Collection[str]) -> list[AttemptLine]:
        """The attempts of these runs, once all of them are recorded."""
        marks = ",".join("?" * len(run_ids))
        sql = f"SELECT COUNT(*) FROM inference_run WHERE run_id IN ({marks})"
        eventually(
            lambda: self.oracle.query(sql, *run_ids)[0][0] == len(run_ids), what="runs recorded"
        )
        return [line for line in self.oracle.attempts() if line.run_id in run_ids]

    def run(self, run_id: str) -> dict[str, Any]:
        """One run as `signalbox runs ID -o json` tells it."""
        return dict(json.loads(self.running.signalbox("runs", run_id, "-o", "json")))


@contextmanager
def open_market(
    folder: Path, arguments: Sequence[str] = (), extra: Sequence[Mapping[str, Any]] = ()
) -> Iterator[Market]:
    """Opens a market with its state under `folder`; a second time, it finds its state again.
    `extra` are further manifests."""
    company = Company(folder / "manifests")
    if not list(company.folder.iterdir()):
        company.write("models", *models())
        company.write("people", *people(company))
        if extra:
            company.write("extra", *[dict(each) for each in extra])
        (folder / "keys.json").write_text(json.dumps(company.keys))
    company.keys.update(json.loads((folder / "keys.json").read_text()))
    behaviour = folder / "behaviour.yaml"
    behaviour.write_text("{}")
    options = {
        "SIGNALBOX_SIMULATOR_BEHAVIOUR": str(behaviour),
        "SIGNALBOX_SIMULATOR_PRICES": str(_sheet(folder)),
    }
    flags = ["--dev-key", "shop/buyer", *arguments]
    with running_up(folder, company.folder, flags, environment=options) as running:
        yield Market(company, running, Oracle(running.state), behaviour)


def _sheet(folder: Path) -> Path:
    """The simulator's own prices with one more host: Anthropic's models, served in the EU."""
    sheet = yaml.safe_load(DEFAULT_SHEET.read_text())
    sheet["hosts"][ANTHROPIC_EU] = sheet["hosts"][ANTHROPIC] | {"multiplier": "1.10"}
    path = folder / "prices.yaml"
    path.write_text(yaml.safe_dump(sheet))
    return path


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that only waits to be reaped does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in ("Z", "X")
