"""Going back: an earlier release's content, with what must not come back taken out of it.

Pure. Going back is a new release of old content, except that keys are those of now (revoked ones
stay revoked), deleted agents stay deleted, and residency is current: locks of domains, assets and
policies, and where lanes are. Going from the result to what is written now takes nothing away.

A pin says which content, and for how long. People write it as an annotation of the Fleet, by
`signalbox rollback`; it ends by itself, and then what is written serves again.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Final, TypeVar

import msgspec

from signalbox_operator.head import Pin
from signalbox_operator.locks import Lock, both, is_within, lock_of, locks_more
from signalbox_snapshot import snapshot as wire

ANNOTATION: Final = "signalbox.dev/rollback"
LONGEST_S: Final = 30 * 24 * 3600
"""A pin lasts at most this long: it is a way out of trouble, not a way to configure."""

_LOCK: Final = "+lock"
"""Ending of the names of policies that carry a lock of now; no name of an object has a `+`."""


class RollbackError(ValueError):
    """A request to go back that cannot be carried out; the message says why."""


class _Request(msgspec.Struct, frozen=True):
    generation: int
    until: str
    by: str = ""


def request_text(generation: int, until: datetime, by: str) -> str:
    """A request to serve a generation's content until an instant, as the annotation holds it."""
    stated = _Request(generation, until.astimezone(UTC).isoformat(timespec="seconds"), by)
    return msgspec.json.encode(stated).decode()


def next_pin(current: Pin | None, text: str, now: int) -> Pin | None:
    """The pin that holds now, by the one of the head and by what is asked for.

    A pin holds until its end, though the request for it be lost; a request for generation 0 ends
    it. Raises RollbackError for what is no request.
    """
    if not text:
        return current if current is not None and current.until > now else None
    try:
        asked = msgspec.json.decode(text, type=_Request)
        until = int(datetime.fromisoformat(asked.until).timestamp())
    except (msgspec.DecodeError, ValueError):
        raise RollbackError(
            f"the annotation {ANNOTATION} of the Fleet is no request to go back; use `signalbox"
            " rollback`, or remove it"
        ) from None
    if until - now > LONGEST_S:
        raise RollbackError(f"a release can be pinned for {LONGEST_S // 86_400} days at most")
    if until <= now or asked.generation == 0:
        return None
    return Pin(generation=asked.generation, until=until, by=asked.by[:256], request=text)


def content_for_now(old: wire.Snapshot, now: wire.Snapshot) -> wire.Snapshot:
    """The content of `old` as it may serve now. Agents that are newer than it are not in it."""
    domains = _domains(old, now)
    assets = _with_locks(old.data_assets, now.data_assets, domains)
    agents = _agents(old, now, domains, assets)
    models = _models(old, now)
    policies = [
        *(_of_living_agents(policy, agents) for policy in old.policies),
        *_current_locks(old, now, agents, {model.id for model in models}),
    ]
    return msgspec.structs.replace(
        old,
        domains=_sorted(domains.values()),
        data_assets=_sorted(assets.values()),
        agents=_sorted(agents.values()),
        models=models,
        policies=_sorted(policies),
        schema=now.schema,
        issuers=now.issuers,
    )


def _domains(old: wire.Snapshot, now: wire.Snapshot) -> dict[str, wire.Domain]:
    """Old domains under their old parents, and newer ones; each with the lock of now, which is
    never wider than its parent's."""
    written = {item.id: item for item in now.domains} | {item.id: item for item in old.domains}
    current = {item.id: lock_of(item.jurisdictions) for item in now.domains}
    made: dict[str, wire.Domain] = {}

    def place(name: str) -> wire.Domain:
        if name not in made:
            item = written[name]
            parent = place(item.ancestors[0]) if item.ancestors else None
            lock = current.get(name, lock_of(item.jurisdictions))
            if parent is not None:
                lock = both(lock, lock_of(parent.jurisdictions))
            ancestors = [parent.id, *parent.ancestors] if parent is not None else []
            made[name] = msgspec.structs.replace(
                item, jurisdictions=_listed(lock), ancestors=ancestors
            )
        return made[name]

    for name in written:
        place(name)
    return made


def _with_locks(
    old: Iterable[wire.DataAsset],
    now: Iterable[wire.DataAsset],
    domains: Mapping[str, wire.Domain],
) -> dict[str, wire.DataAsset]:
    """Old assets with the lock of now, and newer ones."""
    current = {item.id: item for item in now}
    kept = {
        item.id: msgspec.structs.replace(
            item, jurisdictions=current.get(item.id, item).jurisdictions
        )
        for item in old
    }
    newer = {name: item for name, item in current.items() if item.domain in domains}
    return newer | kept


def _agents(
    old: wire.Snapshot,
    now: wire.Snapshot,
    domains: Mapping[str, wire.Domain],
    assets: Mapping[str, wire.DataAsset],
) -> dict[str, wire.Agent]:
    """Old agents that still exist, with the keys of now. One whose requests are locked further
    since asks from where it is now."""
    budgets = {budget.id for budget in old.budgets}
    current = {agent.id: agent for agent in now.agents}
    locks = {
        agent.id: _lock_of(
            agent, {d.id: d for d in now.domains}, {a.id: a for a in now.data_assets}
        )
        for agent in now.agents
    }
    made = {}
    for before in old.agents:
        agent = current.get(before.id)
        if agent is None:
            continue
        form = msgspec.structs.replace(
            before, keys=agent.keys, service_accounts=agent.service_accounts
        )
        if not is_within(_lock_of(form, domains, assets), locks[before.id]):
            form = msgspec.structs.replace(
                form,
                domain=agent.domain,
                default_data_assets=_joined(before.default_data_assets, agent.default_data_assets),
                budgets=_joined(before.budgets, [b for b in agent.budgets if b in budgets]),
            )
        made[before.id] = form
    return made


def _models(old: wire.Snapshot, now: wire.Snapshot) -> list[wire.Model]:
    """Old models; a lane that still calls the same place is where that is now known to be."""
    current = {(model.id, lane.name): lane for model in now.models for lane in model.lanes}

    def moved(model: wire.Model, lane: wire.Lane) -> wire.Lane:
        known = current.get((model.id, lane.name), lane)
        if (known.endpoint, known.region) != (lane.endpoint, lane.region):
            return lane
        return msgspec.structs.replace(lane, jurisdiction=known.jurisdiction)

    return [
        msgspec.structs.replace(model, lanes=[moved(model, lane) for lane in model.lanes])
        for model in old.models
    ]


def _of_living_agents(policy: wire.Policy, agents: Mapping[str, wire.Agent]) -> wire.Policy:
    if policy.match.agents is None:
        return policy
    living = [name for name in policy.match.agents if name in agents]
    match = msgspec.structs.replace(policy.match, agents=living)
    return msgspec.structs.replace(policy, match=match)


def _current_locks(
    old: wire.Snapshot, now: wire.Snapshot, agents: Mapping[str, wire.Agent], models: set[str]
) -> Iterable[wire.Policy]:
    """The residency that policies demand now, as policies that demand nothing else."""
    before = {policy.id: policy for policy in old.policies}
    for policy in now.policies:
        if not locks_more(before.get(policy.id), policy):
            continue
        match = msgspec.structs.replace(
            policy.match,
            agents=_those(policy.match.agents, agents.__contains__),
            models=_those(policy.match.models, lambda name: name == "auto" or name in models),
        )
        yield wire.Policy(
            id=f"{policy.id}{_LOCK}",
            rank=policy.rank,
            match=match,
            enforcement=policy.enforcement,
            jurisdictions=policy.jurisdictions,
        )


def _lock_of(
    agent: wire.Agent, domains: Mapping[str, wire.Domain], assets: Mapping[str, wire.DataAsset]
) -> Lock:
    lock = lock_of(domains[agent.domain].jurisdictions)
    for name in agent.default_data_assets:
        lock = both(lock, lock_of(assets[name].jurisdictions))
    return lock


def _those(names: list[str] | None, is_known: Callable[[str], bool]) -> list[str] | None:
    return None if names is None else [name for name in names if is_known(name)]


def _listed(lock: Lock) -> list[str] | None:
    return None if lock is None else sorted(lock)


def _joined(one: list[str], other: list[str]) -> list[str]:
    return list(dict.fromkeys((*one, *other)))


_One = TypeVar("_One", wire.Domain, wire.DataAsset, wire.Agent, wire.Policy)


def _sorted(items: Iterable[_One]) -> list[_One]:
    return sorted(items, key=lambda item: item.id)
