"""Azure: an Entra access token for the identity of a pod, by the OAuth 2.0 client credentials flow.

The proof is the pod's projected service account token (workload identity federation, RFC 7523
assertions), or a client secret where a lane names one. Source of requests and answers: Microsoft
identity platform, "OAuth 2.0 client credentials flow".
"""

from typing import Final
from urllib.parse import urlencode

import msgspec

from signalbox_proxy.signin.contract import SignInError, Surroundings, Unsigned
from signalbox_snapshot.snapshot import Identity, Lane

_AUTHORITY: Final = "https://login.microsoftonline.com"
_ASSERTION: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_MOST_S: Final = 24 * 3600


class _Token(msgspec.Struct):
    access_token: str
    expires_in: int


class AzureSigner:
    """Holds one token; see `contract.Signer`."""

    __slots__ = ("_ends_at", "_identity", "_key", "_surroundings", "_token", "renew_at")

    def __init__(self, lane: Lane, surroundings: Surroundings) -> None:
        self._identity = lane.identity or Identity()
        self._key = lane.auth_key
        self._surroundings = surroundings
        self._token = ""
        self._ends_at = 0
        self.renew_at = 0

    def __repr__(self) -> str:
        return f"AzureSigner(client={self._identity.client!r})"

    async def renew(self, now_s: int) -> None:
        """Ask Entra for a token; renewed when three quarters of its life are over."""
        environment = self._surroundings.environment
        tenant = self._identity.tenant or environment.get("AZURE_TENANT_ID", "")
        client = self._identity.client or environment.get("AZURE_CLIENT_ID", "")
        if not tenant or not client:
            raise SignInError(
                "azure needs a tenant and a client: write them into auth, or give the pod "
                "AZURE_TENANT_ID and AZURE_CLIENT_ID"
            )
        form = {
            "grant_type": "client_credentials",
            "client_id": client,
            "scope": self._identity.scope,
            **self._proof(),
        }
        authority = environment.get("AZURE_AUTHORITY_HOST", "") or _AUTHORITY
        answer = await self._surroundings.fetch(
            "POST",
            f"{authority.rstrip('/')}/{tenant}/oauth2/v2.0/token",
            {"content-type": "application/x-www-form-urlencoded"},
            urlencode(form).encode(),
        )
        if answer.status != 200:
            raise SignInError(f"Entra refused the client {client} with status {answer.status}")
        try:
            token = msgspec.json.decode(answer.body, type=_Token)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise SignInError("Entra's answer is not a token") from None
        if not token.access_token.isascii() or not token.access_token.isprintable():
            raise SignInError("Entra's token cannot stand in a header")
        life_s = max(0, min(token.expires_in, _MOST_S))
        self._token = token.access_token
        self._ends_at = now_s + life_s
        self.renew_at = now_s + life_s * 3 // 4

    def headers(self, call: Unsigned, now_s: int) -> dict[str, str]:
        """The bearer token."""
        if not self._token or now_s >= self._ends_at:
            raise SignInError("azure: no valid token is held")
        return {"authorization": f"Bearer {self._token}"}

    def _proof(self) -> dict[str, str]:
        if self._key:
            secret = self._surroundings.credential(self._key)
            if secret is None:
                raise SignInError(f"the credential {self._key} is missing")
            return {"client_secret": secret}
        path = self._surroundings.environment.get("AZURE_FEDERATED_TOKEN_FILE", "")
        if not path:
            raise SignInError("azure needs AZURE_FEDERATED_TOKEN_FILE, or auth.key of a secret")
        try:
            assertion = self._surroundings.read(path).strip()
        except (OSError, UnicodeDecodeError):
            raise SignInError("the file of AZURE_FEDERATED_TOKEN_FILE cannot be read") from None
        return {"client_assertion_type": _ASSERTION, "client_assertion": assertion}
