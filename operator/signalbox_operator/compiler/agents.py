"""Agents: domain, keys, permissions. What cannot be proven is not granted.

A key that is taken out of the manifest is revoked at once, even where the rest of the update is
refused and the form before stays in force.
"""

from collections.abc import Sequence

from signalbox_api import Agent
from signalbox_api.agent import AgentKey
from signalbox_operator.compiler.conversion import epoch_seconds, sensitivity
from signalbox_operator.compiler.findings import Case
from signalbox_operator.compiler.references import World, find, find_model
from signalbox_operator.compiler.workloads import build_accounts
from signalbox_snapshot import snapshot as wire


def build_agent(world: World, written: Agent, agent: Agent, case: Case) -> wire.Agent | None:
    """The agent without its budgets; None where its domain is not in force: nobody pays for it.

    `agent` is the form to build, `written` the one that people see: keys and ServiceAccounts must
    stand in both.

    A model that does not exist is left out of its list. With a default data asset that does not
    exist no model remains: without it, requests would be classified too low.
    """
    spec = agent.spec
    domain = find(world, case, "Domain", spec.domain, "spec.domain")
    assets, complete = _default_assets(world, agent, case)
    models = _models(world, agent, case)
    if domain is None:
        return None
    defaults = spec.defaults
    return wire.Agent(
        id=case.id,
        domain=domain,
        max_sensitivity=sensitivity(spec.max_sensitivity.rank),
        keys=_keys(agent, written),
        default_workload=(defaults.workload or "") if defaults else "",
        default_data_assets=assets,
        models=models if complete else [],
        tools=None if spec.tools is None else sorted(spec.tools.allow),
        budgets=[],
        service_accounts=build_accounts(
            world.identity, world.account_holders, (agent, written), case
        ),
    )


def _default_assets(world: World, agent: Agent, case: Case) -> tuple[list[str], bool]:
    stated = agent.spec.defaults.data_assets if agent.spec.defaults else ()
    found = [
        find(world, case, "DataAsset", name, f"spec.defaults.dataAssets[{position}]")
        for position, name in enumerate(stated)
    ]
    return sorted({name for name in found if name is not None}), None not in found


def _models(world: World, agent: Agent, case: Case) -> list[str] | None:
    if agent.spec.models is None:
        return None
    found = (
        find_model(world, case, name, f"spec.models.allow[{position}]")
        for position, name in enumerate(agent.spec.models.allow)
    )
    return sorted({name for name in found if name is not None})


def _keys(agent: Agent, written: Agent) -> list[wire.Key]:
    kept = {key.sha256: key for key in _listed(written)}
    return [
        wire.Key(
            name=key.name,
            sha256=key.sha256,
            lookup=key.lookup or "",
            expires_at=epoch_seconds(kept[key.sha256].expires_at),
        )
        for key in sorted(_listed(agent), key=lambda key: key.name)
        if key.sha256 in kept
    ]


def _listed(agent: Agent) -> Sequence[AgentKey]:
    return agent.spec.credentials.keys if agent.spec.credentials else ()
