"""What a case of a field is, and the company in which most of them play."""

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from fields.chain import PLATFORM, Company


class Absent:
    """The field is not written."""

    def __repr__(self) -> str:
        return "absent"


ABSENT: Final = Absent()


@dataclass(frozen=True)
class Case:
    """One field of one object, once with the value `was`, once with `now`, all else equal.

    `given` are paths of the base company (`Kind/namespace/name: path`) that both have. `also`
    are fields of the same object that cannot stay when the field changes. `at` chooses among
    list items, the first by default.
    """

    field: str
    story: str
    on: str
    was: Any
    now: Any
    see: Callable[[Company], Any]
    expect: tuple[Any, Any]
    given: Mapping[str, Any] = field(default_factory=dict)
    also: Mapping[str, tuple[Any, Any]] = field(default_factory=dict)
    at: int = 0

    def __str__(self) -> str:
        return f"{self.field}: {self.story}"

    def companies(self) -> tuple[Company, Company]:
        """Before and after."""
        return self._company(0, self.was), self._company(1, self.now)

    def _company(self, moment: int, value: Any) -> Company:
        specs = base()
        for place, given in self.given.items():
            put(specs, place, given)
        path = self.field.partition(".")[2].replace("[]", f".{self.at}")
        put(specs, f"{self.on}: {path}", value)
        for other, values in self.also.items():
            put(specs, f"{self.on}: {other}", values[moment])
        return Company.of(specs)


def put(specs: dict[str, Any], place: str, value: Any) -> None:
    """Writes a value at `Kind/namespace/name: path`, or a whole spec where there is no path."""
    key, _, path = place.partition(": ")
    if not path:
        if value is ABSENT:
            specs.pop(key, None)
        else:
            specs[key] = copy.deepcopy(value)
        return
    here: Any = specs.setdefault(key, {})
    *way, last = path.split(".")
    if value is ABSENT:
        remove(here, [*way, last])
        return
    for step in way:
        here = here[int(step)] if isinstance(here, list) else here.setdefault(step, {})
    if isinstance(here, list):
        here[int(last)] = copy.deepcopy(value)
    else:
        here[last] = copy.deepcopy(value)


def remove(here: Any, way: list[str]) -> None:
    """Removes a field, and the part that is empty without it."""
    step, *rest = way
    key: Any = int(step) if isinstance(here, list) else step
    if isinstance(here, dict) and step not in here:
        return
    if rest:
        remove(here[key], rest)
        if here[key] == {}:
            del here[key]
    else:
        del here[key]


def lane(name: str, **changes: Any) -> dict[str, Any]:
    plain = {
        "name": name,
        "class": "public",
        "provider": "mistral",
        "wireFormat": "openai",
        "upstreamModel": f"upstream-{name}",
        "endpoint": f"https://{name}.example.com/v1",
        "auth": {"type": "apiKey", "key": "first"},
        "region": "us-east",
        "jurisdiction": "US",
        "maxSensitivity": "regulated",
    }
    return plain | changes


def base() -> dict[str, Any]:
    """Two tenants, five models, one budget of five dollars a day.

    `mini` costs 1 and 2 dollars per million tokens on the lane `us`, ten per cent more on `de`;
    `pro` is better and dearer, `claude` speaks Anthropic's wire format, `embed` embeds; `studio`
    is billed by units.
    """
    limits = {"contextTokens": 100_000, "maxOutputTokens": 10_000}
    chat = ["chat", "tools", "structuredOutput", "reasoning"]
    german = {"class": "regional", "region": "eu-central", "jurisdiction": "DE"}
    return {
        f"Domain/{PLATFORM}/company": {
            "ownerTeam": "platform",
            "focusAccount": "6000",
            "allowedNamespaces": ["retail", "wealth"],
        },
        "Domain/retail/retail": {
            "parent": f"{PLATFORM}/company",
            "ownerTeam": "retail",
            "focusAccount": "6410",
            "defaultSensitivity": "internal",
        },
        "Domain/wealth/wealth": {
            "parent": f"{PLATFORM}/company",
            "ownerTeam": "wealth",
            "focusAccount": "6420",
            "defaultSensitivity": "internal",
        },
        "Agent/retail/search": {"domain": "retail", "maxSensitivity": "regulated"},
        "Agent/retail/clerk": {"domain": "retail", "maxSensitivity": "regulated"},
        "Agent/wealth/advisor": {"domain": "wealth", "maxSensitivity": "regulated"},
        f"Model/{PLATFORM}/mini": {
            "tokenizer": "o200k",
            "capabilities": chat,
            "limits": limits,
            "quality": {"default": "0.6"},
            "price": {"input": "1", "output": "2"},
            "lanes": [lane("us"), lane("de", **german, price={"regionalPremium": "0.10"})],
        },
        f"Model/{PLATFORM}/pro": {
            "capabilities": chat,
            "limits": dict(limits),
            "quality": {"default": "0.9"},
            "price": {"input": "10", "output": "20"},
            "lanes": [lane("fr", **german | {"jurisdiction": "FR"})],
        },
        f"Model/{PLATFORM}/claude": {
            "capabilities": [*chat, "images", "documents", "promptCaching"],
            "limits": limits | {"tokensPerImage": 500},
            "quality": {"default": "0.8"},
            "price": {"input": "3", "output": "15"},
            "lanes": [lane("us", wireFormat="anthropic", provider="anthropic")],
        },
        f"Model/{PLATFORM}/embed": {
            "capabilities": ["embeddings"],
            "limits": {"contextTokens": 8191},
            "price": {"input": "1"},
            "lanes": [lane("us")],
        },
        f"Model/{PLATFORM}/studio": {
            "capabilities": ["imageGeneration", "rerank", "speech", "transcription"],
            "limits": {"contextTokens": 4096},
            "price": {
                "perImage": [{"size": "1024x1024", "quality": "hd", "price": "0.08"}],
                "perThousandSearches": "2",
                "perMinute": "0.006",
                "perMillionCharacters": "15",
            },
            "lanes": [lane("us")],
        },
        f"Budget/{PLATFORM}/day": {
            "scope": {"all": True},
            "limit": {"usd": "5"},
            "window": {"every": "day"},
        },
    }
