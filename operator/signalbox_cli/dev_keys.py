"""Keys that `up` makes for agents, so that a first request needs no preparation.

A key is made once, kept under STATE/dev-keys (readable by its owner only), and its digest is added
to the agent's credentials when the objects are loaded. No manifest ever contains it.
"""

import secrets
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Final

from signalbox_api import Agent, Resource
from signalbox_api.agent import AgentKey, Credentials
from signalbox_api.keys import new_key
from signalbox_cli.state import StateFolder, write_private

KEY_NAME: Final = "signalbox-up"
"""Name of the added key among the agent's; shown in runs and status."""

SECRET_BYTES: Final = 24


@dataclass(frozen=True, slots=True, repr=False)
class DevKey:
    """A key of an agent on this machine."""

    agent: str
    key: str
    sha256: str


def dev_key(state: StateFolder, agent: str) -> DevKey:
    """The key of `namespace/name`, made at the first call and the same ever after."""
    namespace, _, name = agent.partition("/")
    path = state.dev_keys / f"{namespace}.{name}"
    if not path.exists():
        made = new_key(namespace, name, secrets.token_bytes(SECRET_BYTES))
        write_private(path, f"{made.key}\n{made.sha256}\n".encode())
    key, sha256 = path.read_text(encoding="ascii").split()
    return DevKey(agent, key, sha256)


def agents_without_keys(objects: Iterable[Resource]) -> list[str]:
    """Agents that list no key at all, as namespace/name, sorted."""
    return sorted(
        f"{each.metadata.namespace}/{each.metadata.name}"
        for each in objects
        if isinstance(each, Agent)
        and not (each.spec.credentials is not None and each.spec.credentials.keys)
    )


def with_dev_keys(objects: Iterable[Resource], keys: Collection[DevKey]) -> list[Resource]:
    """The objects, with each key's digest added to its agent."""
    digests = {key.agent: key.sha256 for key in keys}
    return [
        _with_key(each, digests[agent]) if isinstance(each, Agent) and agent in digests else each
        for each in objects
        for agent in (f"{each.metadata.namespace}/{each.metadata.name}",)
    ]


def _with_key(agent: Agent, sha256: str) -> Agent:
    listed = agent.spec.credentials.keys if agent.spec.credentials is not None else ()
    added = AgentKey(name=KEY_NAME, sha256=sha256)
    credentials = Credentials(keys=(*(key for key in listed if key.name != KEY_NAME), added))
    spec = agent.spec.model_copy(update={"credentials": credentials})
    return agent.model_copy(update={"spec": spec})
