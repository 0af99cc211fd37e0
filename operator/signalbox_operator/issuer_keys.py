"""The keys that sign ServiceAccount tokens, as the API server publishes them. Pure.

Source of the formats: OpenID Connect Discovery 1.0 (`issuer`), RFC 7517 and 7518 (JSON Web Keys).
Only signature keys for RS256 and ES256 are taken; others are left out.

API servers of one cluster may publish different sets while their keys are changed: a key that is
missing in one answer is kept for a while, and gone after that. Keys are compared by what they are;
one that comes back under the same name as another key takes its place.
"""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from signalbox_snapshot.workload_check import load_key
from signalbox_snapshot.workloads import MAX_ISSUER_KEYS, Issuer, IssuerKey

AUDIENCE: Final = "signalbox"
GRACE_S: Final = 300.0
"""How long a key is kept that answers do not have any more."""


@dataclass(frozen=True, slots=True)
class IssuerKeys:
    """What was published, and when each key was seen last (seconds of a clock that only grows)."""

    issuer: str = ""
    keys: Mapping[str, IssuerKey] = field(default_factory=dict)
    seen_at: Mapping[str, float] = field(default_factory=dict)

    def wire(self, audience: str = AUDIENCE) -> tuple[Issuer, ...]:
        """As the snapshot tells it; nothing while nothing was read."""
        if not self.issuer or not self.keys:
            return ()
        ordered = [self.keys[name] for name in sorted(self.keys)]
        return (Issuer(issuer=self.issuer, audience=audience, keys=ordered),)


def learned(
    before: IssuerKeys, configuration: Mapping[str, Any], key_set: Mapping[str, Any], now: float
) -> IssuerKeys:
    """What is known after an answer. Raises ValueError for an answer without an issuer or without
    any key of use: then what was known before stays."""
    issuer = configuration.get("issuer")
    listed = key_set.get("keys")
    if not isinstance(issuer, str) or not issuer or not isinstance(listed, list):
        raise ValueError("the API server publishes no issuer or no keys")
    published = {key.id: key for key in map(_key, listed) if key is not None}
    if not published:
        raise ValueError("the API server publishes no key for RS256 or ES256")
    kept: dict[str, IssuerKey] = {}
    if issuer == before.issuer:
        kept = {
            name: key
            for name, key in before.keys.items()
            if now - before.seen_at.get(name, now) <= GRACE_S
        }
    known = dict(list((kept | published).items())[-MAX_ISSUER_KEYS:])
    seen = {name: now if name in published else before.seen_at[name] for name in known}
    return IssuerKeys(issuer, known, seen)


def _key(written: object) -> IssuerKey | None:
    """A JSON Web Key as the snapshot tells it; None for one of no use here."""
    if not isinstance(written, dict) or written.get("use", "sig") != "sig":
        return None
    name = written.get("kid")
    if not isinstance(name, str) or not name:
        return None
    try:
        public = _public(written)
        if public is None:
            return None
        der = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        algorithm = "RS256" if isinstance(public, rsa.RSAPublicKey) else "ES256"
        made = IssuerKey(
            id=name,
            algorithm="RS256" if algorithm == "RS256" else "ES256",
            spki=base64.b64encode(der).decode(),
        )
        load_key(made)
    except (ValueError, TypeError, KeyError, binascii.Error):
        return None
    return made


def _public(written: Mapping[str, Any]) -> rsa.RSAPublicKey | ec.EllipticCurvePublicKey | None:
    if written.get("kty") == "RSA" and written.get("alg", "RS256") == "RS256":
        return rsa.RSAPublicNumbers(_integer(written["e"]), _integer(written["n"])).public_key()
    if written.get("kty") == "EC" and written.get("crv") == "P-256":
        x, y = _integer(written["x"]), _integer(written["y"])
        return ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()
    return None


def _integer(text: str) -> int:
    return int.from_bytes(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)), "big")
