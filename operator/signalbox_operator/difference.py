"""What a new snapshot changes, for whom: sentences for people who just changed a file.

Pure. One sentence for each object that was added, removed or changed, with the agents whose
requests it concerns, such as: "Budget retail/day: limit 0.20 -> 0.30 USD; affects agents
retail/assistant, retail/search".
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final

import msgspec

from signalbox_api.amounts import MILLION, usd_text
from signalbox_operator.compiler.conversion import countries_in_words
from signalbox_snapshot import snapshot as wire

_SHOWN: Final = 5
_DERIVED: Final = frozenset({"id", "budgets", "ancestors", "rank"})
"""Fields that follow from other objects, which are told of themselves."""

_PRICES: Final = frozenset({"input", "cached_input", "cache_write_5m", "cache_write_1h", "output"})
_INSTANTS: Final = frozenset({"expires_at", "retires_at"})
_AMOUNTS: Final = frozenset({"limit", "max_per_request"})
_UNITS: Final = frozenset({"USD", "USD/Mtok", "tokens", "requests", "ms"})
_DIGEST: Final = 8

_Object = wire.Domain | wire.DataAsset | wire.Model | wire.Agent | wire.Budget | wire.Policy


@dataclass(frozen=True, slots=True)
class _Kind:
    """A kind of object: its name, its list in a snapshot, and whom one of them concerns."""

    name: str
    listed: Callable[[wire.Snapshot], Sequence[_Object]]
    concerns: Callable[[_Object, wire.Agent, Sequence[str]], bool]


def difference(old: wire.Snapshot | None, new: wire.Snapshot) -> list[str]:
    """The sentences, by kind and object; all objects are new where there was no snapshot."""
    before = old or msgspec.structs.replace(
        new, domains=[], agents=[], data_assets=[], models=[], budgets=[], policies=[]
    )
    sentences: list[str] = []
    for kind in _KINDS:
        gone = {item.id: item for item in kind.listed(before)}
        come = {item.id: item for item in kind.listed(new)}
        for name in sorted(gone.keys() | come.keys()):
            what = _change(gone.get(name), come.get(name))
            if what:
                whom = _affected(kind, (before, gone.get(name)), (new, come.get(name)))
                sentences.append(f"{kind.name} {name}: {what}{whom}")
    return sentences


def _change(old: _Object | None, new: _Object | None) -> str:
    if old is None:
        return "added"
    if new is None:
        return "removed"
    if old == new:
        return ""
    before, after = _texts(old), _texts(new)
    return "; ".join(
        _step(field, before.get(field), after.get(field))
        for field in dict.fromkeys((*before, *after))
        if before.get(field) != after.get(field)
    )


def _step(field: str, old: str | None, new: str | None) -> str:
    if old is None:
        return f"{field} {new} added"
    if new is None:
        return f"{field} {old} removed"
    unit = new.rpartition(" ")[2]
    return f"{field} {old.removesuffix(f' {unit}') if unit in _UNITS else old} -> {new}"


def _texts(item: _Object) -> dict[str, str]:
    """Every field of an object as text, nested ones by their path in words."""
    unit = item.unit if isinstance(item, wire.Budget) else ""
    found: dict[str, str] = {}
    for field in item.__struct_fields__:
        if field not in _DERIVED:
            _collect(found, field, field, getattr(item, field), unit)
    return found


def _collect(found: dict[str, str], path: str, field: str, value: object, unit: str) -> None:
    if isinstance(value, msgspec.Struct):
        for inner in value.__struct_fields__:
            _collect(found, f"{path} {inner}", inner, getattr(value, inner), unit)
    elif isinstance(value, dict):
        for key, item in value.items():
            _collect(found, f"{path} {key}", "quality", item, unit)
    elif isinstance(value, list) and value and isinstance(value[0], wire.Lane | wire.Key):
        for item in value:
            for inner in item.__struct_fields__[1:]:
                inner_path = f"{field[:-1]} {item.name} {inner}"
                _collect(found, inner_path, inner, getattr(item, inner), unit)
    else:
        quality = "quality" if path.startswith("quality") else field
        found[_words(path)] = _text(quality, value, unit)


def _words(path: str) -> str:
    """A path without the units that stand in names: the values bring their own."""
    for unit in ("_ppm", "_ms", "_nano"):
        path = path.removesuffix(unit)
    return path.replace("_", " ")


def _text(field: str, value: object, unit: str) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return _number(field, value, unit)
    if isinstance(value, list) and field == "jurisdictions":
        return countries_in_words(value)
    if isinstance(value, list):
        names = [_text(field, item, unit) for item in value]
        return ", ".join(names) if names else "nothing"
    text = str(value)
    return f"{text[:_DIGEST]}…" if field == "sha256" else text or "none"


def _number(field: str, value: int, unit: str) -> str:
    if field in _PRICES:
        return f"{usd_text(value)} USD/Mtok"
    if field == "max_nano" or (field in _AMOUNTS and unit == "usd"):
        return f"{usd_text(value)} USD"
    if field in _AMOUNTS:
        return f"{value} {unit}"
    if field.startswith("quality") or field.endswith("_ppm"):
        return f"{Decimal(value) / MILLION:f}"
    if "sensitivit" in field:
        return wire.SENSITIVITY_NAMES[value]
    if field in _INSTANTS:
        return datetime.fromtimestamp(value, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return f"{value} ms" if field.endswith("_ms") else str(value)


def _affected(kind: _Kind, *sides: tuple[wire.Snapshot, _Object | None]) -> str:
    if kind.name == "Agent":
        return ""
    everybody: set[str] = set()
    concerned: set[str] = set()
    for snapshot, item in sides:
        chains = {domain.id: (domain.id, *domain.ancestors) for domain in snapshot.domains}
        everybody.update(agent.id for agent in snapshot.agents)
        concerned.update(
            agent.id
            for agent in snapshot.agents
            if item is not None and kind.concerns(item, agent, chains[agent.domain])
        )
    if not concerned:
        return "; affects no agent"
    if concerned == everybody and len(everybody) > 1:
        return f"; affects all {len(everybody)} agents"
    names = sorted(concerned)
    more = len(names) - _SHOWN
    noun = "agent" if len(names) == 1 else "agents"
    return f"; affects {noun} {', '.join(names[:_SHOWN])}" + (
        f" and {more} more" if more > 0 else ""
    )


def _domain_concerns(item: _Object, agent: wire.Agent, chain: Sequence[str]) -> bool:
    return item.id in chain


def _asset_concerns(item: _Object, agent: wire.Agent, chain: Sequence[str]) -> bool:
    return item.id in agent.default_data_assets


def _model_concerns(item: _Object, agent: wire.Agent, chain: Sequence[str]) -> bool:
    return agent.models is None or item.id in agent.models


def _budget_concerns(item: _Object, agent: wire.Agent, chain: Sequence[str]) -> bool:
    return item.id in agent.budgets


def _policy_concerns(item: _Object, agent: wire.Agent, chain: Sequence[str]) -> bool:
    match: wire.Match = item.match if isinstance(item, wire.Policy) else wire.Match()
    named = match.agents is None or agent.id in match.agents
    return named and (match.domains is None or not set(chain).isdisjoint(match.domains))


def _itself(item: _Object, agent: wire.Agent, chain: Sequence[str]) -> bool:
    return item.id == agent.id


_KINDS: Final = (
    _Kind("Domain", lambda snapshot: snapshot.domains, _domain_concerns),
    _Kind("Agent", lambda snapshot: snapshot.agents, _itself),
    _Kind("DataAsset", lambda snapshot: snapshot.data_assets, _asset_concerns),
    _Kind("Model", lambda snapshot: snapshot.models, _model_concerns),
    _Kind("Budget", lambda snapshot: snapshot.budgets, _budget_concerns),
    _Kind("RoutePolicy", lambda snapshot: snapshot.policies, _policy_concerns),
)
