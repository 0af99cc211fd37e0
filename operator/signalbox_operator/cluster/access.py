"""What the operator needs to speak to its fleet, as the Secrets of the release hold it.

The chart renders the Secrets empty and `trust` fills them; until they are filled nothing can be
released. Names and keys of the Secrets are listed in docs/architecture.md.
"""

import base64
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from signalbox_operator.cluster.api import ApiError, ClusterApi, core
from signalbox_operator.control_port import ControlTls
from signalbox_snapshot import signing_keys


@dataclass(frozen=True, slots=True)
class Access:
    """The signing key, the token of the control ports, and the authorities of their certificates
    (PEM, "" where ports are called without TLS). Nothing of it shows in a repr."""

    signing_key: Ed25519PrivateKey = field(repr=False, compare=False)
    signing_pem: bytes = field(repr=False)
    token: str = field(repr=False)
    authorities: str = field(repr=False)

    def tls(self, server_name: str) -> ControlTls | None:
        """How the control ports prove who they are."""
        if not self.authorities:
            return None
        context = ssl.create_default_context(cadata=self.authorities)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        return ControlTls(context, server_name)


async def read_access(
    api: ClusterApi, namespace: str, release: str, *, plain: bool
) -> Access | None:
    """What the Secrets hold, None while one of them is empty. Raises ApiError, and ValueError for
    content that is none of what it should be."""
    signer = await _secret(api, namespace, f"{release}-signer")
    tokens = await _secret(api, namespace, f"{release}-tokens")
    trusted = {} if plain else await _secret(api, namespace, f"{release}-trust")
    pem = signer.get("signing-keys.pem", b"")
    token = tokens.get("control-tokens", b"").decode("ascii").strip().partition("\n")[0].strip()
    authorities = trusted.get("ca.crt", b"").decode("ascii")
    if not pem or not token or not (plain or authorities):
        return None
    return Access(signing_keys.load_private(pem), pem, token, authorities)


async def _secret(api: ClusterApi, namespace: str, name: str) -> Mapping[str, bytes]:
    try:
        stored: Mapping[str, Any] = await api.get(core("secrets", namespace, name))
    except ApiError as error:
        if error.is_missing:
            return {}
        raise
    data: Mapping[str, str] = stored.get("data") or {}
    return {key: base64.b64decode(value) for key, value in data.items()}
