"""An issuer of ServiceAccount tokens for tests: what an API server's token endpoint gives."""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from signalbox_snapshot.workloads import Issuer, IssuerKey

ISSUER = "https://kubernetes.default.svc.cluster.local"
AUDIENCE = "signalbox"
UID = "5f4dcc3b-5aa7-4fca-9c1d-1111deadbeef"


@dataclass(frozen=True)
class TokenIssuer:
    """Signs tokens with a key of its own, RSA or on P-256."""

    kid: str
    algorithm: str = "RS256"

    @cached_property
    def key(self) -> rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey:
        if self.algorithm == "ES256":
            return ec.generate_private_key(ec.SECP256R1())
        return rsa.generate_private_key(public_exponent=65537, key_size=2048)

    @property
    def public_der(self) -> bytes:
        return self.key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

    @property
    def public_pem(self) -> bytes:
        return self.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    @property
    def wire_key(self) -> IssuerKey:
        spki = base64.b64encode(self.public_der).decode()
        return IssuerKey(
            id=self.kid, algorithm="ES256" if self.algorithm == "ES256" else "RS256", spki=spki
        )

    def token(
        self,
        namespace: str,
        account: str,
        *,
        now: int,
        header: Mapping[str, Any] | None = None,
        **changes: Any,
    ) -> str:
        """A projected token of an hour's life. Claims that are None are left out."""
        claims = claims_of(namespace, account, now) | changes
        return jwt.encode(
            {name: value for name, value in claims.items() if value is not None},
            self.key,
            algorithm=self.algorithm,
            headers={"kid": self.kid, **(header or {})},
        )


def claims_of(namespace: str, account: str, now: int) -> dict[str, Any]:
    return {
        "aud": [AUDIENCE],
        "exp": now + 3600,
        "iat": now,
        "nbf": now,
        "iss": ISSUER,
        "jti": "1",
        "sub": f"system:serviceaccount:{namespace}:{account}",
        "kubernetes.io": {
            "namespace": namespace,
            "pod": {"name": "p", "uid": "p-1"},
            "serviceaccount": {"name": account, "uid": UID},
        },
    }


def issuer_of(*signers: TokenIssuer, issuer: str = ISSUER, audience: str = AUDIENCE) -> Issuer:
    """The issuer as a snapshot tells it."""
    keys = sorted((each.wire_key for each in signers), key=lambda key: key.id)
    return Issuer(issuer=issuer, audience=audience, keys=keys)


def unsigned(header: Mapping[str, Any], claims: Mapping[str, Any], signature: bytes = b"") -> str:
    """A token of any header, not signed by anybody."""
    parts = (json.dumps(header).encode(), json.dumps(claims).encode(), signature)
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


def _number(value: int) -> str:
    data = value.to_bytes((value.bit_length() + 7) // 8, "big")
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def web_key(signer: TokenIssuer, **changes: Any) -> dict[str, Any]:
    """The public key as a JSON Web Key, with changes."""
    public = signer.key.public_key()
    if isinstance(public, rsa.RSAPublicKey):
        numbers = public.public_numbers()
        made = {"kty": "RSA", "alg": "RS256", "n": _number(numbers.n), "e": _number(numbers.e)}
    else:
        assert isinstance(public, ec.EllipticCurvePublicKey)
        point = public.public_numbers()
        made = {"kty": "EC", "crv": "P-256", "x": _number(point.x), "y": _number(point.y)}
    return {"kid": signer.kid, "use": "sig", **made, **changes}
