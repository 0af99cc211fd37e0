"""Who signs the tokens of workloads, and which ServiceAccounts stand for an agent.

Part of the wire types of `snapshot`. A key is the DER of its SubjectPublicKeyInfo (RFC 5280) in
base64, with the algorithm that it is used with and no other.
"""

from typing import Literal

import msgspec

from signalbox_snapshot.prices import Wire

TokenAlgorithm = Literal["RS256", "ES256"]
MAX_ISSUERS = 4
MAX_ISSUER_KEYS = 16


class ServiceAccount(Wire, frozen=True):
    """A ServiceAccount of the agent's own namespace. `uid` tells it from one that was deleted and
    made again under the same name."""

    name: str
    uid: str


class IssuerKey(Wire, frozen=True):
    """One key of an issuer, found by `id` (the token's `kid`)."""

    id: str
    algorithm: TokenAlgorithm
    spki: str


class Issuer(Wire, frozen=True):
    """Who signs tokens (`iss`), for whom they have to be meant (`aud`), and with which keys."""

    issuer: str
    audience: str
    keys: list[IssuerKey]


class OfWorkloads(Wire, frozen=True):
    """Part of `Agent`. `service_accounts` prove it by their tokens; left out where there are
    none."""

    service_accounts: list[ServiceAccount] | msgspec.UnsetType = msgspec.UNSET

    @property
    def accounts(self) -> list[ServiceAccount]:
        """The ServiceAccounts that stand for it."""
        return [] if self.service_accounts is msgspec.UNSET else self.service_accounts


class WithIssuers(Wire, frozen=True):
    """Part of `Snapshot`. `issuers` sign the tokens of workloads; left out where there are none."""

    issuers: list[Issuer] | msgspec.UnsetType = msgspec.UNSET

    @property
    def token_issuers(self) -> list[Issuer]:
        """Who signs tokens of workloads."""
        return [] if self.issuers is msgspec.UNSET else self.issuers
