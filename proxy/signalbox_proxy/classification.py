"""How sensitive a request is, who owns it and where it may run. Only ever raised, never guessed.

Second step of the request path. Pure: values in, `Facts` or a `Refusal` out. The class is the
highest of the domain's default, what the client states and the data assets that it saw; the
residency lock is the intersection of the domain's lock with those of the assets.
"""

from collections.abc import Iterable, Mapping
from typing import Protocol

import msgspec

from signalbox_proxy.declarations import Declarations
from signalbox_proxy.refusals import Refusal
from signalbox_snapshot.snapshot import (
    SENSITIVITY_NAMES,
    Agent,
    DataAsset,
    Domain,
    Sensitivity,
)


class Registry(Protocol):
    """What a classification looks up: a `Runtime` offers it."""

    @property
    def domains(self) -> Mapping[str, Domain]:
        """Domains by id."""

    @property
    def data_assets(self) -> Mapping[str, DataAsset]:
        """Data assets by id."""

    @property
    def platform_namespace(self) -> str:
        """The namespace whose data assets every tenant may name."""


class Facts(msgspec.Struct, frozen=True):
    """All that the decision needs to know of a request besides its content.

    `jurisdictions` is the residency lock: where an attempt may run, None for anywhere.
    `now_s` is the authority's time in seconds since the epoch.
    """

    agent: Agent
    domain: Domain
    workload: str
    task: str
    session: str
    user: str
    sensitivity: Sensitivity
    jurisdictions: frozenset[str] | None
    data_assets: tuple[DataAsset, ...]
    pin: bool
    now_s: int


def classify(registry: Registry, agent: Agent, declared: Declarations, now_s: int) -> Facts:
    """Give a request its class and its lock.

    Raises `Refusal` with `unknown_data_asset`, `unclassified`, `sensitivity_not_permitted` or
    `residency_conflict`.
    """
    domain = registry.domains[agent.domain]
    assets = _assets(registry, agent, declared.data_assets)
    sensitivity = _sensitivity(domain, declared.sensitivity, assets)
    if sensitivity > agent.max_sensitivity:
        raise Refusal(
            "sensitivity_not_permitted",
            f"Agent {agent.id} may send at most {SENSITIVITY_NAMES[agent.max_sensitivity]} data; "
            f"this request is {SENSITIVITY_NAMES[sensitivity]}. Send it as an agent whose "
            "maxSensitivity allows it.",
        )
    return Facts(
        agent=agent,
        domain=domain,
        workload=declared.workload or agent.default_workload,
        task=declared.task,
        session=declared.session,
        user=declared.user,
        sensitivity=sensitivity,
        jurisdictions=_lock(domain, assets),
        data_assets=assets,
        pin=declared.pin,
        now_s=now_s,
    )


def check_tools(agent: Agent, tool_names: Iterable[str]) -> None:
    """Refuse tools that the agent may not use: `Refusal("tool_not_permitted")`."""
    if agent.tools is None:
        return
    for name in tool_names:
        if name not in agent.tools:
            allowed = ", ".join(agent.tools) or "none"
            raise Refusal(
                "tool_not_permitted",
                f"Agent {agent.id} may not use the tool {name[:64]!r}. It may use: {allowed}.",
                "tools",
            )


def _assets(registry: Registry, agent: Agent, named: tuple[str, ...]) -> tuple[DataAsset, ...]:
    ids = list(agent.default_data_assets)
    namespace = agent.id.partition("/")[0]
    for name in named:
        identity = name if "/" in name else f"{namespace}/{name}"
        owner = identity.partition("/")[0]
        if owner not in (namespace, registry.platform_namespace):
            raise _unknown_asset(agent, name)
        if identity not in ids:
            ids.append(identity)
    assets = []
    for identity in ids:
        asset = registry.data_assets.get(identity)
        if asset is None:
            raise _unknown_asset(agent, identity)
        assets.append(asset)
    return tuple(assets)


def _unknown_asset(agent: Agent, name: str) -> Refusal:
    return Refusal(
        "unknown_data_asset",
        f"There is no DataAsset {name} that agent {agent.id} may name. Use a name of its own "
        "namespace, or namespace/name of the platform's.",
        "x-signalbox-data-assets",
    )


def _sensitivity(
    domain: Domain, stated: Sensitivity | None, assets: tuple[DataAsset, ...]
) -> Sensitivity:
    if stated is None and domain.default_sensitivity is None:
        raise Refusal(
            "unclassified",
            f"Domain {domain.id} has no default sensitivity and this request states none. Send "
            f"x-signalbox-sensitivity: one of {', '.join(SENSITIVITY_NAMES)}.",
            "x-signalbox-sensitivity",
        )
    level: Sensitivity = max(domain.default_sensitivity or 0, stated or 0)
    for asset in assets:
        level = max(level, asset.sensitivity)
    return level


def _lock(domain: Domain, assets: tuple[DataAsset, ...]) -> frozenset[str] | None:
    lock: frozenset[str] | None = (
        None if domain.jurisdictions is None else frozenset(domain.jurisdictions)
    )
    for asset in assets:
        if asset.jurisdictions is None:
            continue
        own = frozenset(asset.jurisdictions)
        narrowed = own if lock is None else lock & own
        if not narrowed:
            raise Refusal(
                "residency_conflict",
                f"No jurisdiction satisfies both domain {domain.id} and data asset {asset.id} "
                f"(which allows {', '.join(sorted(own))}). Leave the asset out, or send the "
                "request from a domain whose residency lock overlaps.",
                "x-signalbox-data-assets",
            )
        lock = narrowed
    return lock
