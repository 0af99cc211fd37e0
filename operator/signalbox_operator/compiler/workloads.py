"""ServiceAccounts that stand for agents: which exist, whose each is, who signs their tokens.

An agent names ServiceAccounts of its own namespace only. One stands for one agent: whoever had it
keeps it, among newcomers the first by name gets it. One that does not exist stands for nobody, and
one that was made again is another: that is what its uid is for.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec

from signalbox_api import Agent, Resource, ResourceKey
from signalbox_api.conditions import Reason
from signalbox_operator.compiler.findings import Case
from signalbox_snapshot import snapshot as wire


@dataclass(frozen=True, slots=True)
class WorkloadIdentity:
    """What a cluster says: who signs tokens, and the uid of every ServiceAccount, by
    namespace/name."""

    issuers: tuple[wire.Issuer, ...] = ()
    accounts: Mapping[str, str] = field(default_factory=dict)

    def wire_issuers(self) -> list[wire.Issuer] | msgspec.UnsetType:
        """As the snapshot tells them."""
        return sorted(self.issuers, key=lambda each: each.issuer) or msgspec.UNSET


def holders(written: Mapping[str, Agent], before: Mapping[ResourceKey, Resource]) -> dict[str, str]:
    """Which agent each ServiceAccount stands for, both as namespace/name."""
    found: dict[str, str] = {}
    kept: dict[str, str] = {}
    for name, agent in sorted(written.items()):
        previous = before.get(agent.key)
        had = set(_named(previous)) if isinstance(previous, Agent) else set()
        for account in _named(agent):
            owned = f"{agent.key.namespace}/{account}"
            found.setdefault(owned, name)
            if account in had:
                kept.setdefault(owned, name)
    return found | kept


def build_accounts(
    identity: WorkloadIdentity | None,
    holding: Mapping[str, str],
    forms: tuple[Agent, Agent],
    case: Case,
) -> list[wire.ServiceAccount] | msgspec.UnsetType:
    """The ServiceAccounts of an agent that stand in both forms, the one to build and the one that
    people see: what was taken out is revoked at once."""
    agent, written = forms
    kept = set(_named(written))
    built = []
    for position, account in enumerate(_named(agent)):
        field_name = f"spec.credentials.serviceAccounts[{position}]"
        owned = f"{case.key.namespace}/{account}"
        holder = holding.get(owned, case.id)
        if holder != case.id:
            case.error(
                field_name,
                Reason.DUPLICATE,
                f"ServiceAccount {account} stands for Agent {holder} already",
                "Give each agent a ServiceAccount of its own, or take it from the other one first",
            )
        elif account in kept:
            uid = _uid(identity, owned, field_name, case)
            built += [wire.ServiceAccount(name=account, uid=uid)] if uid else []
    return sorted(built, key=lambda each: each.name) or msgspec.UNSET


def _uid(identity: WorkloadIdentity | None, owned: str, field_name: str, case: Case) -> str:
    uid = identity.accounts.get(owned, "") if identity is not None else ""
    if not uid:
        case.warn(
            field_name,
            Reason.REF_NOT_FOUND,
            f"ServiceAccount {owned} does not exist: nobody proves the agent by it"
            if identity is not None
            else f"ServiceAccount {owned} proves nothing here: there is no cluster that signs"
            " its tokens",
            "Create it, or leave it out",
        )
    return uid


def _named(agent: Agent) -> tuple[str, ...]:
    return agent.spec.credentials.service_accounts if agent.spec.credentials else ()
