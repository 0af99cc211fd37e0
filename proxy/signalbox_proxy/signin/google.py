"""Google: an access token for Vertex AI, and for Gemini where it is not asked with a key.

Where it comes from, the first that there is:

1. `auth.key`, a credential file's content in the credentials folder: a service account's key, or
   the configuration of a workload identity federation;
2. the file of GOOGLE_APPLICATION_CREDENTIALS, of the same two kinds;
3. the metadata server, which on GKE knows the pod's own service account. GCE_METADATA_HOST names
   another one than metadata.google.internal.

`auth.serviceAccount` is then acted as by the IAM Credentials API, for which
GOOGLE_IAMCREDENTIALS_ENDPOINT names another address than Google's.
"""

from typing import Final

from signalbox_proxy.signin.contract import SignInError, Surroundings, Unsigned
from signalbox_proxy.signin.google_sources import AccessToken, GoogleSources
from signalbox_snapshot.snapshot import Identity, Lane

_FILE: Final = "GOOGLE_APPLICATION_CREDENTIALS"
_METADATA: Final = "metadata.google.internal"
_IAM: Final = "https://iamcredentials.googleapis.com"
_MOST_S: Final = 24 * 3600


class GoogleSigner:
    """Holds one token; see `contract.Signer`."""

    __slots__ = ("_key", "_service_account", "_surroundings", "_token", "renew_at")

    def __init__(self, lane: Lane, surroundings: Surroundings) -> None:
        self._service_account = (lane.identity or Identity()).service_account
        self._key = lane.auth_key
        self._surroundings = surroundings
        self._token = AccessToken("", 0)
        self.renew_at = 0

    def __repr__(self) -> str:
        return f"GoogleSigner(service_account={self._service_account!r})"

    async def renew(self, now_s: int) -> None:
        """Get a token again; renewed when three quarters of its life are over."""
        sources = GoogleSources(self._surroundings)
        token = await self._own(sources, now_s)
        if self._service_account:
            endpoint = self._surroundings.environment.get("GOOGLE_IAMCREDENTIALS_ENDPOINT", "")
            account = f"projects/-/serviceAccounts/{self._service_account}"
            url = f"{(endpoint or _IAM).rstrip('/')}/v1/{account}:generateAccessToken"
            token = await sources.acting(token, url)
        ends_at = min(token.ends_at, now_s + _MOST_S)
        self._token = AccessToken(token.value, ends_at)
        self.renew_at = now_s + max(0, ends_at - now_s) * 3 // 4

    def headers(self, call: Unsigned, now_s: int) -> dict[str, str]:
        """The bearer token."""
        if not self._token.value or now_s >= self._token.ends_at:
            raise SignInError("google: no valid token is held")
        return {"authorization": f"Bearer {self._token.value}"}

    async def _own(self, sources: GoogleSources, now_s: int) -> AccessToken:
        """The token of what the lane or the pod brings."""
        as_itself = bool(self._service_account)
        if self._key:
            document = self._surroundings.credential(self._key)
            if document is None:
                raise SignInError(f"the credential {self._key} is missing")
            return await sources.from_file(document, now_s, as_itself=as_itself)
        if path := self._surroundings.environment.get(_FILE, ""):
            try:
                document = self._surroundings.read(path)
            except (OSError, UnicodeDecodeError):
                raise SignInError(f"the file of {_FILE} cannot be read") from None
            return await sources.from_file(document, now_s, as_itself=as_itself)
        host = self._surroundings.environment.get("GCE_METADATA_HOST", "") or _METADATA
        return await sources.from_metadata(host, now_s)
