"""Where a Google access token comes from: a key file, a federated identity, the metadata server.

Credential files are those that Google itself gives out. What such a file may tell a program to run
or to ask is a way into this process, so that only two kinds are followed: a service account's key,
and a workload identity federation whose subject token is a projected file or an address. Sources:
"Using OAuth 2.0 for Server to Server Applications" (RFC 7523 grant), "Workload Identity
Federation" with the Security Token Service (RFC 8693), the IAM Credentials API.
"""

import base64
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal, TypeVar
from urllib.parse import urlencode, urlsplit

import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from signalbox_proxy.signin.contract import SignInError, Surroundings

SCOPE: Final = "https://www.googleapis.com/auth/cloud-platform"

_GRANT: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_EXCHANGE: Final = "urn:ietf:params:oauth:grant-type:token-exchange"
_ACCESS_TOKEN: Final = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105  a type
_LIFE_S: Final = 3600
_FORM: Final = {"content-type": "application/x-www-form-urlencoded"}
_JSON: Final = {"content-type": "application/json"}
_OWN_MACHINE: Final = frozenset({"127.0.0.1", "::1", "localhost"})
_MOST_TOKEN: Final = 16_384
_WRONG_ANSWER: Final = "the token service's answer is not a token"

_Read = TypeVar("_Read")


@dataclass(frozen=True, slots=True)
class AccessToken:
    """A bearer token, and when it ends in seconds since the epoch."""

    value: str
    ends_at: int

    def __repr__(self) -> str:
        return f"AccessToken(ends_at={self.ends_at})"


class _ServiceAccountKey(msgspec.Struct):
    client_email: str
    private_key: str
    token_uri: str
    private_key_id: str = ""

    def __repr__(self) -> str:
        return f"_ServiceAccountKey({self.client_email!r})"


class _SubjectForm(msgspec.Struct):
    type: str = "text"
    subject_token_field_name: str = ""


class _SubjectSource(msgspec.Struct):
    file: str = ""
    url: str = ""
    headers: dict[str, str] = {}
    format: _SubjectForm = msgspec.field(default_factory=_SubjectForm)


class _Federation(msgspec.Struct):
    audience: str
    subject_token_type: str
    token_url: str
    credential_source: _SubjectSource
    service_account_impersonation_url: str = ""


class _Granted(msgspec.Struct):
    access_token: str
    expires_in: int


class _Impersonated(msgspec.Struct, rename="camel"):
    access_token: str
    expire_time: str


class _Kind(msgspec.Struct):
    type: str = ""


class GoogleSources:
    """Asks for tokens with what the surroundings hold; keeps nothing."""

    __slots__ = ("_surroundings",)

    def __init__(self, surroundings: Surroundings) -> None:
        self._surroundings = surroundings

    async def from_file(self, document: str, now_s: int, *, as_itself: bool) -> AccessToken:
        """A token by a credential file's content.

        `as_itself` leaves out the service account that a federation's file names: another one is
        acted as. Raises `SignInError`.
        """
        kind = _read(document, _Kind, "the credential file is not JSON").type
        if kind == "service_account":
            return await self._by_key(
                _read(document, _ServiceAccountKey, "the service account's key is incomplete"),
                now_s,
            )
        if kind == "external_account":
            wrong = "the federation's file is incomplete, or names another source than file or url"
            federation = _read(document, _Federation, wrong)
            token = await self._by_federation(federation, now_s)
            if as_itself or not federation.service_account_impersonation_url:
                return token
            return await self.acting(token, federation.service_account_impersonation_url)
        raise SignInError(
            f"a credential file of type {kind[:40]!r} is not followed; give a service_account or "
            "an external_account"
        )

    async def from_metadata(self, host: str, now_s: int) -> AccessToken:
        """The token of the pod's own service account, by the metadata server."""
        url = f"http://{host}/computeMetadata/v1/instance/service-accounts/default/token"
        headers = {"metadata-flavor": "Google"}
        return await self._granted("GET", url, headers=headers, body=b"", now_s=now_s)

    async def acting(self, token: AccessToken, url: str) -> AccessToken:
        """A token of another service account; `url` is its generateAccessToken method."""
        body = msgspec.json.encode({"scope": [SCOPE], "lifetime": f"{_LIFE_S}s"})
        headers = {**_JSON, "authorization": f"Bearer {token.value}"}
        answer = await self._surroundings.fetch("POST", _checked_url(url), headers, body)
        if answer.status != 200:
            raise SignInError(f"acting as a service account was refused, status {answer.status}")
        found = _read(answer.body, _Impersonated, _WRONG_ANSWER)
        try:
            ends_at = datetime.fromisoformat(found.expire_time)
        except ValueError:
            raise SignInError("the token's end cannot be read") from None
        if ends_at.tzinfo is None:
            raise SignInError("the token's end has no time zone")
        return AccessToken(_checked_token(found.access_token), int(ends_at.timestamp()))

    async def _by_key(self, key: _ServiceAccountKey, now_s: int) -> AccessToken:
        url = _checked_url(key.token_uri)
        form = {"grant_type": _GRANT, "assertion": _assertion(key, now_s)}
        body = urlencode(form).encode()
        return await self._granted("POST", url, headers=_FORM, body=body, now_s=now_s)

    async def _by_federation(self, federation: _Federation, now_s: int) -> AccessToken:
        form = {
            "grant_type": _EXCHANGE,
            "audience": federation.audience,
            "scope": SCOPE,
            "requested_token_type": _ACCESS_TOKEN,
            "subject_token_type": federation.subject_token_type,
            "subject_token": await self._subject(federation.credential_source),
        }
        url = _checked_url(federation.token_url)
        body = urlencode(form).encode()
        return await self._granted("POST", url, headers=_FORM, body=body, now_s=now_s)

    async def _subject(self, source: _SubjectSource) -> str:
        """The pod's own token: read anew each time, since it is rotated."""
        if source.file:
            try:
                told = self._surroundings.read(source.file)
            except (OSError, UnicodeDecodeError):
                raise SignInError("the federation's token file cannot be read") from None
        elif source.url:
            answer = await self._surroundings.fetch("GET", _checked_url(source.url), source.headers)
            if answer.status != 200:
                raise SignInError(f"the federation's token source answered {answer.status}")
            told = answer.body.decode("utf-8", "replace")
        else:
            raise SignInError("the federation's token comes from neither a file nor an address")
        if source.format.type == "json":
            found = _read(told, dict[str, Any], "the federation's token source is not JSON")
            told = str(found.get(source.format.subject_token_field_name, ""))
        return _checked_token(told.strip())

    async def _granted(
        self,
        method: Literal["GET", "POST"],
        url: str,
        *,
        headers: dict[str, str],
        body: bytes,
        now_s: int,
    ) -> AccessToken:
        answer = await self._surroundings.fetch(method, url, headers, body)
        if answer.status != 200:
            host = urlsplit(url).hostname
            raise SignInError(f"{host} gave no token, status {answer.status}")
        found = _read(answer.body, _Granted, _WRONG_ANSWER)
        return AccessToken(_checked_token(found.access_token), now_s + max(0, found.expires_in))


def _assertion(key: _ServiceAccountKey, now_s: int) -> str:
    """The signed JWT that stands for the service account (RFC 7515, RS256)."""
    try:
        private = serialization.load_pem_private_key(key.private_key.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise SignInError("the service account's private key cannot be read") from None
    if not isinstance(private, rsa.RSAPrivateKey):
        raise SignInError("the service account's private key is not an RSA key")
    header = {"alg": "RS256", "typ": "JWT", "kid": key.private_key_id}
    claims = {
        "iss": key.client_email,
        "scope": SCOPE,
        "aud": key.token_uri,
        "iat": now_s,
        "exp": now_s + _LIFE_S,
    }
    signed = b".".join(_encoded(msgspec.json.encode(part)) for part in (header, claims))
    signature = private.sign(signed, padding.PKCS1v15(), hashes.SHA256())
    return b".".join((signed, _encoded(signature))).decode()


def _encoded(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def _checked_url(url: str) -> str:
    """An address that may be asked: secrets leave over TLS, or stay on this machine."""
    try:
        parts = urlsplit(url)
    except ValueError:
        parts = urlsplit("")
    if parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _OWN_MACHINE):
        return url
    raise SignInError("a credential file names an address that is not https")


def _checked_token(token: str) -> str:
    if not token or len(token) > _MOST_TOKEN or not token.isascii() or not token.isprintable():
        raise SignInError("what should be a token cannot stand in a header")
    return token


def _read(document: str | bytes, kind: type[_Read], wrong: str) -> _Read:
    try:
        return msgspec.json.decode(document, type=kind)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        raise SignInError(wrong) from None
