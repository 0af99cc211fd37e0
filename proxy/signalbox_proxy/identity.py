"""Which agent asks: keys, their digests, and the look-up of a request's credential.

First step of the request path. Pure: the clock comes in as a value. A key names its agent
(`sbx.<namespace>.<agent>.<secret>`) and its digest covers that name, so that a digest copied to
another agent opens nothing. Adopted keys (an application's existing key) name nobody; they are
found by `lookup`, a prefix of a digest of its own, and then proven by a digest that covers the
agent. Tokens of ServiceAccounts name theirs, which an agent lists (`workload_tokens`). Digests are
SHA-256 over the canonical JSON of a list whose first item names the purpose.
"""

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec

from signalbox_proxy.refusals import Refusal
from signalbox_proxy.workload_tokens import MAX_TOKEN, Workload, WorkloadTokens, is_token
from signalbox_snapshot.snapshot import Agent, Key

KEY_PREFIX = "sbx."
MAX_KEY_LENGTH = 512
"""Longest credential that is looked at, in characters."""

LOOKUP_LENGTH = 16

_NO_DIGEST = "0" * 64


class Credentials(Protocol):
    """Where keys are looked up: a `Runtime` offers both indexes."""

    @property
    def keys_by_agent(self) -> Mapping[str, tuple[Agent, tuple[Key, ...]]]:
        """Keys that name their agent, by agent id."""

    @property
    def keys_by_lookup(self) -> Mapping[str, Sequence[tuple[Agent, Key]]]:
        """Adopted keys, by `Key.lookup`."""

    @property
    def workloads(self) -> WorkloadTokens:
        """Tokens of ServiceAccounts."""


class Caller(msgspec.Struct, frozen=True):
    """Who proved to be who: an agent, and the name of the key that proved it."""

    agent: Agent
    key_name: str


def format_key(namespace: str, agent: str, secret: str) -> str:
    """Write a key the way clients send it."""
    return f"{KEY_PREFIX}{namespace}.{agent}.{secret}"


def key_digest(namespace: str, agent: str, secret: str) -> str:
    """Digest of a key that names its agent, as `Key.sha256` holds it."""
    return _digest("signalbox-key/v1", namespace, agent, secret)


def adopted_lookup(key: str) -> str:
    """Where an adopted key is looked up, as `Key.lookup` holds it: 16 hex digits."""
    return _digest("signalbox-adopted-lookup/v1", key)[:LOOKUP_LENGTH]


def adopted_digest(namespace: str, agent: str, key: str) -> str:
    """Digest of an adopted key, as `Key.sha256` holds it."""
    return _digest("signalbox-adopted-key/v1", namespace, agent, key)


def identify(credentials: Credentials, authorization: str, api_key: str, now_s: int) -> Caller:
    """Find the agent that a request's credential belongs to.

    `authorization` and `api_key` are the values of the headers `Authorization` (Bearer) and
    `x-api-key`, "" where absent; the first wins. Raises `Refusal("unauthorized")`, which never
    says which part was wrong, save that a proven key has expired.
    """
    presented = _presented(authorization, api_key)
    if is_token(presented):
        workload = credentials.workloads.verified(presented, now_s)
        if workload is not None:
            return _workload_caller(workload, now_s)
    if len(presented) > MAX_KEY_LENGTH:
        raise Refusal("unauthorized", "The API key is not one of this gateway.")
    if presented.startswith(KEY_PREFIX):
        found = _by_name(credentials, presented)
    else:
        found = _by_lookup(credentials, presented)
    if found is None:
        raise Refusal("unauthorized", "The API key is not one of this gateway.")
    agent, key = found
    if key.expires_at is not None and key.expires_at <= now_s:
        raise Refusal(
            "unauthorized",
            f"Key {key.name} of agent {agent.id} has expired. Make a new one with "
            "`signalbox key new` and add its digest to the Agent.",
        )
    return Caller(agent, key.name)


def _presented(authorization: str, api_key: str) -> str:
    if authorization:
        scheme, _, value = authorization.partition(" ")
        presented = value.strip() if scheme.lower() == "bearer" else ""
    else:
        presented = api_key
    if not presented:
        raise Refusal(
            "unauthorized",
            "No API key was sent. Send one as `Authorization: Bearer …` or `x-api-key: …`.",
        )
    if len(presented) > MAX_TOKEN or not presented.isascii() or not presented.isprintable():
        raise Refusal("unauthorized", "The API key is not one of this gateway.")
    return presented


def _workload_caller(workload: Workload, now_s: int) -> Caller:
    if workload.expires_at <= now_s:
        raise Refusal(
            "unauthorized",
            f"The token of ServiceAccount {workload.account} has expired. Read its file again: "
            "kubelet renews it in time.",
        )
    return Caller(workload.agent, f"serviceAccount/{workload.account}")


def _by_name(credentials: Credentials, presented: str) -> tuple[Agent, Key] | None:
    namespace, _, rest = presented[len(KEY_PREFIX) :].partition(".")
    name, _, secret = rest.rpartition(".")
    digest = key_digest(namespace, name, secret)
    entry = credentials.keys_by_agent.get(f"{namespace}/{name}")
    if entry is None:
        hmac.compare_digest(digest, _NO_DIGEST)
        return None
    agent, keys = entry
    found: Key | None = None
    for key in keys:
        if hmac.compare_digest(digest, key.sha256):
            found = key
    return None if found is None else (agent, found)


def _by_lookup(credentials: Credentials, presented: str) -> tuple[Agent, Key] | None:
    found: tuple[Agent, Key] | None = None
    for agent, key in credentials.keys_by_lookup.get(adopted_lookup(presented), ()):
        namespace, _, name = agent.id.partition("/")
        digest = adopted_digest(namespace, name, presented)
        if hmac.compare_digest(digest, key.sha256) and found is None:
            found = (agent, key)
    return found


def _digest(*parts: str) -> str:
    return hashlib.sha256(msgspec.json.encode(parts)).hexdigest()
