"""What a well-formed snapshot must satisfy beyond its types: order, references, ranges, locks.

`codec.decode` runs it on everything that arrives, so that a proxy never builds its indexes from
a document in which an id is missing twice or leads nowhere. Pure; linear in the snapshot's size.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Final, Protocol, TypeVar

import msgspec

from signalbox_snapshot import snapshot as wire
from signalbox_snapshot.faults import SnapshotError
from signalbox_snapshot.workload_check import check_workloads

__all__ = ["MAX_INTEGER", "SnapshotError", "check"]

MAX_INTEGER: Final = 2**63 - 1
"""Every integer of a snapshot is stored in signed 64 bits somewhere."""

_PPM: Final = 1_000_000
_MAX_PERCENT: Final = 100
_ID: Final = re.compile(r"[^/\s]{1,63}/[^/\s]{1,253}")
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_LOOKUP: Final = re.compile(r"([0-9a-f]{16})?")
_COUNTRY: Final = re.compile(r"[A-Z]{2}")
_ENDPOINT: Final = re.compile(r"https?://[^\s?#@]+")


class _Identified(Protocol):
    @property
    def id(self) -> str: ...


def check(snapshot: wire.Snapshot) -> None:
    """Raises SnapshotError for the first rule that does not hold."""
    _check_integers(snapshot, "$")
    domains = _index(snapshot.domains, "$.domains")
    agents = _index(snapshot.agents, "$.agents")
    assets = _index(snapshot.data_assets, "$.data_assets")
    models = _index(snapshot.models, "$.models")
    budgets = _index(snapshot.budgets, "$.budgets")
    _index(snapshot.policies, "$.policies")
    _check_domains(domains)
    for path, asset in _items(snapshot.data_assets, "$.data_assets"):
        _refer(f"{path}.domain", asset.domain, domains)
        _check_countries(f"{path}.jurisdictions", asset.jurisdictions)
    for path, agent in _items(snapshot.agents, "$.agents"):
        _refer(f"{path}.domain", agent.domain, domains)
        _refer_all(f"{path}.default_data_assets", agent.default_data_assets, assets)
        _refer_all(f"{path}.models", agent.models, models)
        _refer_all(f"{path}.budgets", agent.budgets, budgets)
        _check_keys(path, agent)
    check_workloads(snapshot)
    _check_models(snapshot.models, models)
    for path, budget in _items(snapshot.budgets, "$.budgets"):
        _check_budget(path, budget)
    asked = models | {"auto": None}
    candidates = models | {"asked": None}
    for path, policy in _items(snapshot.policies, "$.policies"):
        _refer_all(f"{path}.match.domains", policy.match.domains, domains)
        _refer_all(f"{path}.match.agents", policy.match.agents, agents)
        _refer_all(f"{path}.match.models", policy.match.models, asked)
        _refer_all(f"{path}.candidates", policy.candidates, candidates)
        _check_countries(f"{path}.jurisdictions", policy.jurisdictions)
        _at_most(f"{path}.quality_floor", policy.quality_floor, _PPM)


_Item = TypeVar("_Item")
_One = TypeVar("_One", bound=_Identified)


def _items(items: Sequence[_Item], path: str) -> Iterator[tuple[str, _Item]]:
    return ((f"{path}[{position}]", item) for position, item in enumerate(items))


def _index(items: Sequence[_One], path: str) -> dict[str, _One]:
    for place, item in _items(items, path):
        if not _ID.fullmatch(item.id):
            raise SnapshotError(f"{place}.id", "is not namespace/name")
    for position, (one, other) in enumerate(pairwise(items)):
        if one.id >= other.id:
            fault = "occurs twice" if one.id == other.id else f"stands after {one.id}"
            raise SnapshotError(f"{path}[{position + 1}].id", f"{other.id} {fault}")
    return {item.id: item for item in items}


def _refer(path: str, reference: str, known: Mapping[str, object]) -> None:
    if reference not in known:
        raise SnapshotError(path, f"names {reference}, which is not in the snapshot")


def _refer_all(path: str, references: Sequence[str] | None, known: Mapping[str, object]) -> None:
    for place, reference in _items(references or (), path):
        _refer(place, reference, known)
    if references is not None and len(set(references)) != len(references):
        raise SnapshotError(path, "names something twice")


def _check_domains(domains: Mapping[str, wire.Domain]) -> None:
    for position, domain in enumerate(domains.values()):
        path = f"$.domains[{position}]"
        _check_countries(f"{path}.jurisdictions", domain.jurisdictions)
        if domain.id in domain.ancestors:
            raise SnapshotError(f"{path}.ancestors", "leads back to the domain itself")
        _refer_all(f"{path}.ancestors", domain.ancestors, domains)
        if not domain.ancestors:
            continue
        parent = domains[domain.ancestors[0]]
        if parent.ancestors != domain.ancestors[1:]:
            raise SnapshotError(f"{path}.ancestors", f"differs from those of {parent.id}")
        if parent.jurisdictions is not None and not (
            domain.jurisdictions is not None
            and set(domain.jurisdictions) <= set(parent.jurisdictions)
        ):
            raise SnapshotError(f"{path}.jurisdictions", f"is wider than that of {parent.id}")


def _check_countries(path: str, countries: Sequence[str] | None) -> None:
    for place, country in _items(countries or (), path):
        if not _COUNTRY.fullmatch(country):
            raise SnapshotError(place, "is not a country code of two capital letters")
    if countries and any(one >= other for one, other in pairwise(countries)):
        raise SnapshotError(path, "is not sorted or names a country twice")


def _check_keys(path: str, agent: wire.Agent) -> None:
    names = set()
    for place, key in _items(agent.keys, f"{path}.keys"):
        if not _SHA256.fullmatch(key.sha256):
            raise SnapshotError(f"{place}.sha256", "is not a sha256 in lower-case hex")
        if not _LOOKUP.fullmatch(key.lookup):
            raise SnapshotError(f"{place}.lookup", "is neither empty nor 16 lower-case hex digits")
        if key.name in names:
            raise SnapshotError(f"{place}.name", "occurs twice")
        names.add(key.name)


def _check_models(models: Sequence[wire.Model], known: Mapping[str, wire.Model]) -> None:
    owners: dict[str, str] = {}
    for path, model in _items(models, "$.models"):
        if model.name not in model.names:
            raise SnapshotError(f"{path}.names", "lacks the model's own name")
        for place, name in _items(model.names, f"{path}.names"):
            if name in owners:
                raise SnapshotError(place, f"already belongs to {owners[name]}")
            owners[name] = model.id
        if model.replacement is not None:
            _refer(f"{path}.replacement", model.replacement, known)
        _at_most(f"{path}.limits.max_output", model.limits.max_output, model.limits.context)
        _at_most(
            f"{path}.limits.default_output", model.limits.default_output, model.limits.max_output
        )
        for workload, quality in {"": model.quality.default, **model.quality.by_workload}.items():
            _at_most(f"{path}.quality.{workload or 'default'}", quality, _PPM)
        lanes = set()
        for place, lane in _items(model.lanes, f"{path}.lanes"):
            if lane.name in lanes:
                raise SnapshotError(f"{place}.name", "occurs twice")
            lanes.add(lane.name)
            _check_lane(place, lane)


def _check_lane(path: str, lane: wire.Lane) -> None:
    if (lane.price is None) != (lane.list_price is None):
        raise SnapshotError(f"{path}.price", "and list_price are either both there or both absent")
    if not _ENDPOINT.fullmatch(lane.endpoint):
        raise SnapshotError(f"{path}.endpoint", "is not an http or https address without query")
    if not _COUNTRY.fullmatch(lane.jurisdiction):
        raise SnapshotError(f"{path}.jurisdiction", "is not a country code of two capital letters")
    has_key = bool(lane.auth_key)
    if (lane.auth == "none" and has_key) or (lane.auth == "apiKey" and not has_key):
        raise SnapshotError(f"{path}.auth_key", "goes with auth apiKey, and not with none")
    if (lane.identity is None) != (lane.auth in ("apiKey", "none")):
        raise SnapshotError(f"{path}.identity", "goes with auth aws, google or azure")
    if lane.auth == "aws" and lane.identity is not None and not lane.identity.region:
        raise SnapshotError(f"{path}.identity.region", "is missing; aws signs for a region")


def _check_budget(path: str, budget: wire.Budget) -> None:
    if budget.window.count < 1:
        raise SnapshotError(f"{path}.window.count", "is not positive")
    steps = budget.warn_at_percent
    if any(not 1 <= step <= _MAX_PERCENT for step in steps) or sorted(set(steps)) != steps:
        raise SnapshotError(f"{path}.warn_at_percent", "is not ascending from 1 to 100")


def _at_most(path: str, value: int | None, limit: int) -> None:
    if value is not None and value > limit:
        raise SnapshotError(path, f"is {value}; at most {limit} makes sense")


def _check_integers(value: object, path: str) -> None:
    """Amounts, prices, limits, instants: nothing is ever negative or beyond 64 bits."""
    if isinstance(value, int):
        if not 0 <= value <= MAX_INTEGER:
            raise SnapshotError(path, f"is {value}; integers lie between 0 and {MAX_INTEGER}")
    elif isinstance(value, msgspec.Struct):
        for field in value.__struct_fields__:
            _check_integers(getattr(value, field), f"{path}.{field}")
    elif isinstance(value, dict):
        for key, item in value.items():
            _check_integers(item, f"{path}.{key}")
    elif isinstance(value, list):
        for position, item in enumerate(value):
            _check_integers(item, f"{path}[{position}]")
