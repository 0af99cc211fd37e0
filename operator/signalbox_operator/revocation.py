"""What a new snapshot takes away: keys, agents, places where data may go.

Pure. A proxy that was cut off from the control plane serves on by its last snapshot, and that is
wanted, save for these: the release then raises the fleet's lower bound (`min_generation` in the
envelope), and proxies with an older snapshot stop. In doubt a change counts as taking away: the
price is that proxies which did not hear of it answer 503 until they do.
"""

from collections.abc import Iterator, Mapping

from signalbox_operator.locks import Lock, both, is_within, lock_of, locks_more
from signalbox_snapshot import snapshot as wire


def taken_away(old: wire.Snapshot, new: wire.Snapshot) -> list[str]:
    """What `new` no longer permits of what `old` did: one phrase each, for people."""
    return [
        *_agents_and_keys(old, new),
        *_issuer_keys(old, new),
        *_narrowed(_locks(old), _locks(new)),
        *_policies(old, new),
        *_moved_lanes(old, new),
    ]


def _agents_and_keys(old: wire.Snapshot, new: wire.Snapshot) -> Iterator[str]:
    """A digest that is gone, or expires earlier. It covers the agent, so it is sought there."""
    agents = {agent.id: agent for agent in new.agents}
    for before in old.agents:
        agent = agents.get(before.id)
        if agent is None:
            yield f"Agent {before.id} is deleted"
            continue
        accounts = {(account.name, account.uid) for account in agent.accounts}
        for account in before.accounts:
            if (account.name, account.uid) not in accounts:
                yield f"Agent {before.id}: ServiceAccount {account.name} is revoked"
        keys = {key.sha256: key for key in agent.keys}
        for key in before.keys:
            now = keys.get(key.sha256)
            if now is None or now.lookup != key.lookup:
                yield f"Agent {before.id}: key {key.name} is revoked"
            elif now.expires_at is not None and (
                key.expires_at is None or now.expires_at < key.expires_at
            ):
                yield f"Agent {before.id}: key {key.name} expires earlier"


def _issuer_keys(old: wire.Snapshot, new: wire.Snapshot) -> Iterator[str]:
    """A key that signs tokens no more, or tokens that have to be meant for somebody else now."""
    kept = {
        (issuer.issuer, issuer.audience, key.spki)
        for issuer in new.token_issuers
        for key in issuer.keys
    }
    for issuer in old.token_issuers:
        for key in issuer.keys:
            if (issuer.issuer, issuer.audience, key.spki) not in kept:
                yield f"Issuer {issuer.issuer}: key {key.id} is revoked"


def _locks(snapshot: wire.Snapshot) -> dict[str, Lock]:
    """Every residency lock, and what they come to for each agent's requests."""
    domains = {domain.id: lock_of(domain.jurisdictions) for domain in snapshot.domains}
    assets = {asset.id: lock_of(asset.jurisdictions) for asset in snapshot.data_assets}
    agents = {}
    for agent in snapshot.agents:
        lock = domains[agent.domain]
        for name in agent.default_data_assets:
            lock = both(lock, assets[name])
        agents[agent.id] = lock
    return {
        f"{kind} {name}": lock
        for kind, locks in (("Domain", domains), ("DataAsset", assets), ("Agent", agents))
        for name, lock in locks.items()
    }


def _narrowed(old: Mapping[str, Lock], new: Mapping[str, Lock]) -> Iterator[str]:
    for name, before in old.items():
        if name in new and not is_within(before, new[name]):
            yield f"{name}: the residency lock is tighter"


def _policies(old: wire.Snapshot, new: wire.Snapshot) -> Iterator[str]:
    """A policy's jurisdictions act even in DryRun."""
    before = {policy.id: policy for policy in old.policies}
    for policy in new.policies:
        if locks_more(before.get(policy.id), policy):
            yield f"RoutePolicy {policy.id}: its jurisdictions are tighter"


def _moved_lanes(old: wire.Snapshot, new: wire.Snapshot) -> Iterator[str]:
    """A lane that turns out to be elsewhere was on the wrong side of somebody's lock."""
    places = {
        (model.id, lane.name): lane.jurisdiction for model in new.models for lane in model.lanes
    }
    for model in old.models:
        for lane in model.lanes:
            now = places.get((model.id, lane.name), lane.jurisdiction)
            if now != lane.jurisdiction:
                yield f"Model {model.id}: lane {lane.name} is in {now}, not {lane.jurisdiction}"
