"""Tokens of workloads: ServiceAccounts prove their agent by what kubelet projected for them.

Verified by the issuers' keys, which the snapshot brings: nobody is asked while a request waits. A
token (RFC 7519) is signed with the algorithm that its key is for, names issuer and audience as the
snapshot does, is in its time, and names a ServiceAccount, by namespace, name and uid, that an agent
of that namespace lists. Everything else in it is ignored, keys and addresses of keys above all.

A verified token is remembered until its end or the next snapshot, by its digest, so that signatures
are not checked again for each request.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import jwt

from signalbox_snapshot.snapshot import Agent, Issuer
from signalbox_snapshot.workload_check import PublicKey, load_key

MAX_TOKEN: Final = 8_000
"""Longest token that is looked at, in characters; projected ones have some 1,200."""

MAX_REMEMBERED: Final = 4_096
SKEW_S: Final = 30
"""So far the issuer's clock may be ahead of the authority's. An end is never stretched."""

_OPTIONS: Final[Any] = {
    "require": ["exp", "iat", "iss", "aud", "sub"],
    "verify_exp": False,  # by the authority's clock, below
    "verify_iat": False,
    "verify_nbf": False,
}
_MALFORMED: Final = (jwt.PyJWTError, ValueError, TypeError, KeyError, RecursionError, OverflowError)


@dataclass(frozen=True, slots=True)
class Workload:
    """A ServiceAccount that proved itself, and until when (seconds since the epoch)."""

    agent: Agent
    account: str
    expires_at: int


@dataclass(frozen=True, slots=True)
class _Key:
    issuer: str
    audience: str
    algorithm: str
    key: PublicKey


class WorkloadTokens:
    """Verifies the tokens that one snapshot accepts."""

    __slots__ = ("_accounts", "_keys", "_remembered")

    def __init__(self, issuers: Iterable[Issuer], agents: Iterable[Agent]) -> None:
        self._keys = _keys_by_id(issuers)
        self._accounts: Mapping[str, tuple[Agent, str]] = {
            f"{agent.id.partition('/')[0]}/{account.name}": (agent, account.uid)
            for agent in agents
            for account in agent.accounts
        }
        self._remembered: dict[bytes, Workload] = {}

    def verified(self, token: str, now_s: int) -> Workload | None:
        """Whose token it is; None for one that is not accepted.

        One that is accepted but for its end is given too, with that end: `expires_at` is in the
        past.
        """
        if not self._accounts or len(token) > MAX_TOKEN:
            return None
        digest = hashlib.sha256(token.encode()).digest()
        known = self._remembered.get(digest)
        if known is not None:
            return known
        try:
            found = self._verify(token, now_s)
        except _MALFORMED:
            return None
        if found is not None and found.expires_at > now_s:
            if len(self._remembered) >= MAX_REMEMBERED:
                del self._remembered[next(iter(self._remembered))]
            self._remembered[digest] = found
        return found

    def _verify(self, token: str, now_s: int) -> Workload | None:
        header = jwt.get_unverified_header(token)
        if "crit" in header:
            return None
        for key in self._keys.get(str(header.get("kid", "")), ()):
            if header.get("alg") != key.algorithm:
                continue
            try:
                claims = jwt.decode(
                    token,
                    key.key,
                    algorithms=[key.algorithm],
                    audience=key.audience,
                    issuer=key.issuer,
                    options=_OPTIONS,
                )
            except jwt.PyJWTError:
                continue
            return self._workload(claims, now_s)
        return None

    def _workload(self, claims: Mapping[str, Any], now_s: int) -> Workload | None:
        expires_at, begins = claims["exp"], [claims["iat"], claims.get("nbf", claims["iat"])]
        if any(type(instant) is not int for instant in (expires_at, *begins)):
            return None
        if max(begins) > now_s + SKEW_S:
            return None
        said = claims["kubernetes.io"]
        namespace, account = said["namespace"], said["serviceaccount"]
        name, uid = account["name"], account["uid"]
        if claims["sub"] != f"system:serviceaccount:{namespace}:{name}":
            return None
        agent, expected = self._accounts.get(f"{namespace}/{name}", (None, ""))
        if agent is None or not expected or uid != expected:
            return None
        return Workload(agent, name, expires_at)


def is_token(presented: str) -> bool:
    """Whether a credential has the form of a signed token: three parts, the first a JSON object."""
    return presented.startswith("eyJ") and presented.count(".") == 2


def _keys_by_id(issuers: Iterable[Issuer]) -> Mapping[str, Sequence[_Key]]:
    found: dict[str, list[_Key]] = {}
    for issuer in issuers:
        for key in issuer.keys:
            made = _Key(issuer.issuer, issuer.audience, key.algorithm, load_key(key))
            found.setdefault(key.id, []).append(made)
    return found
