"""AWS: keys of a role or a user, and SigV4 signatures with them, for the service that is called.

Where the keys come from, the first that there is:

1. `auth.key`, a long-lived pair in the credentials folder: `KEYID:SECRET` or `KEYID:SECRET:TOKEN`;
2. the pod's projected token (IAM roles for service accounts): AssumeRoleWithWebIdentity with
   AWS_WEB_IDENTITY_TOKEN_FILE for `auth.role`, or AWS_ROLE_ARN;
3. EKS Pod Identity, or a task's role: AWS_CONTAINER_CREDENTIALS_FULL_URI with
   AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE.

With 1 and 3 a role in `auth.role` is assumed with these keys. Sources: AWS STS API Reference
(AssumeRole, AssumeRoleWithWebIdentity); AWS SDKs and Tools Reference Guide (container credential
provider, AWS_ENDPOINT_URL_STS). Instance metadata is not asked: a pod has an identity of its own.
"""

import re
from datetime import datetime
from typing import Final
from urllib.parse import urlencode, urlsplit

import msgspec

from signalbox_proxy.signin.contract import SignInError, Surroundings, Unsigned
from signalbox_proxy.signin.sigv4 import AwsKeys, sign
from signalbox_snapshot.snapshot import Identity, Lane

SERVICE: Final = "bedrock"
"""The name that calls of Amazon Bedrock are signed for (its service model's `signingName`)."""

_LOOK_AGAIN_S: Final = 30
_MOST_S: Final = 12 * 3600
_NEVER: Final = 1 << 62
_KEY_ID: Final = re.compile(r"[A-Za-z0-9]{16,128}")
_SECRET: Final = re.compile(r"[A-Za-z0-9/+=]{16,256}")
_TOKEN: Final = re.compile(r"[A-Za-z0-9/+=._~-]{0,8192}")
_ELEMENT: Final = re.compile(
    rb"<(AccessKeyId|SecretAccessKey|SessionToken|Expiration)>([^<&]{1,8192})</\1>"
)
_LINK_LOCAL: Final = frozenset(
    {"169.254.170.2", "169.254.170.23", "fd00:ec2::23", "127.0.0.1", "::1", "localhost"}
)
"""Where plain HTTP may be asked for keys: the addresses of ECS, EKS and the machine itself."""


class _Container(msgspec.Struct, rename="pascal"):
    access_key_id: str
    secret_access_key: str
    token: str
    expiration: str


class AwsSigner:
    """Holds the keys of one identity; see `contract.Signer`."""

    __slots__ = ("_ends_at", "_identity", "_key", "_keys", "_surroundings", "renew_at")

    def __init__(self, lane: Lane, surroundings: Surroundings) -> None:
        self._identity = lane.identity or Identity(region=lane.region)
        self._key = lane.auth_key
        self._surroundings = surroundings
        self._keys: AwsKeys | None = None
        self._ends_at = 0
        self.renew_at = 0

    def __repr__(self) -> str:
        return f"AwsSigner(role={self._identity.role!r}, region={self._identity.region!r})"

    async def renew(self, now_s: int) -> None:
        """Get keys again; those that end are renewed when three quarters of their life are over."""
        keys, ends_at = await self._source(now_s)
        if ends_at == _NEVER:
            self.renew_at = now_s + _LOOK_AGAIN_S
        else:
            ends_at = min(ends_at, now_s + _MOST_S)
            self.renew_at = now_s + max(0, ends_at - now_s) * 3 // 4
        self._keys, self._ends_at = keys, ends_at

    def headers(self, call: Unsigned, now_s: int) -> dict[str, str]:
        """The signature of this very call."""
        if self._keys is None or now_s >= self._ends_at:
            raise SignInError("aws: no valid keys are held")
        return sign(call, self._keys, region=self._identity.region, service=SERVICE, now_s=now_s)

    async def _source(self, now_s: int) -> tuple[AwsKeys, int]:
        """Keys, and when they end."""
        environment = self._surroundings.environment
        if self._key:
            own, ends_at = self._named(), _NEVER
        elif path := environment.get("AWS_WEB_IDENTITY_TOKEN_FILE", ""):
            return await self._with_web_identity(path)
        elif address := environment.get("AWS_CONTAINER_CREDENTIALS_FULL_URI", ""):
            own, ends_at = await self._of_container(address)
        else:
            raise SignInError(
                "aws needs an identity: give the pod AWS_WEB_IDENTITY_TOKEN_FILE and AWS_ROLE_ARN "
                "(a service account with a role), EKS Pod Identity, or auth.key"
            )
        if not self._identity.role:
            return own, ends_at
        form = {
            "Action": "AssumeRole",
            "RoleArn": self._identity.role,
            "RoleSessionName": self._session(),
        }
        return await self._ask_sts(form, own, now_s)

    def _named(self) -> AwsKeys:
        """The pair in the credentials folder."""
        pair = self._surroundings.credential(self._key)
        if pair is None:
            raise SignInError(f"the credential {self._key} is missing")
        key_id, _, rest = pair.partition(":")
        secret, _, token = rest.partition(":")
        return _checked(key_id, secret, token, f"the credential {self._key} is not KEYID:SECRET")

    async def _with_web_identity(self, path: str) -> tuple[AwsKeys, int]:
        role = self._identity.role or self._surroundings.environment.get("AWS_ROLE_ARN", "")
        if not role:
            raise SignInError("aws needs a role: write auth.role, or give the pod AWS_ROLE_ARN")
        form = {
            "Action": "AssumeRoleWithWebIdentity",
            "RoleArn": role,
            "RoleSessionName": self._session(),
            "WebIdentityToken": self._read(path, "AWS_WEB_IDENTITY_TOKEN_FILE"),
        }
        return await self._ask_sts(form, None, 0)

    async def _of_container(self, address: str) -> tuple[AwsKeys, int]:
        parts = urlsplit(address)
        if parts.scheme != "https" and parts.hostname not in _LINK_LOCAL:
            raise SignInError("AWS_CONTAINER_CREDENTIALS_FULL_URI is not an address of this host")
        headers = {}
        if path := self._surroundings.environment.get("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", ""):
            headers["authorization"] = self._read(path, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE")
        answer = await self._surroundings.fetch("GET", address, headers)
        if answer.status != 200:
            raise SignInError(f"the agent of the pod's identity answered {answer.status}")
        wrong = "the answer of the agent of the pod's identity has no keys"
        try:
            found = msgspec.json.decode(answer.body, type=_Container)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise SignInError(wrong) from None
        keys = _checked(found.access_key_id, found.secret_access_key, found.token, wrong)
        return keys, _instant(found.expiration, wrong)

    async def _ask_sts(
        self, form: dict[str, str], own: AwsKeys | None, now_s: int
    ) -> tuple[AwsKeys, int]:
        region = self._identity.region
        suffix = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
        told = self._surroundings.environment.get("AWS_ENDPOINT_URL_STS", "").rstrip("/")
        url = (told or f"https://sts.{region}.{suffix}") + "/"
        headers = {"content-type": "application/x-www-form-urlencoded; charset=utf-8"}
        body = urlencode({**form, "Version": "2011-06-15"}).encode()
        if own is not None:
            call = Unsigned("POST", url, headers, body)
            headers |= sign(call, own, region=region, service="sts", now_s=now_s)
        answer = await self._surroundings.fetch("POST", url, headers, body)
        if answer.status != 200:
            raise SignInError(f"STS refused {form['RoleArn']} with status {answer.status}")
        wrong = "STS's answer has no keys"
        found = {name.decode(): value.decode() for name, value in _ELEMENT.findall(answer.body)}
        keys = _checked(
            found.get("AccessKeyId", ""),
            found.get("SecretAccessKey", ""),
            found.get("SessionToken", ""),
            wrong,
        )
        return keys, _instant(found.get("Expiration", ""), wrong)

    def _session(self) -> str:
        """The name under which CloudTrail shows the calls."""
        return self._surroundings.environment.get("AWS_ROLE_SESSION_NAME", "") or "signalbox"

    def _read(self, path: str, variable: str) -> str:
        try:
            text = self._surroundings.read(path).strip()
        except (OSError, UnicodeDecodeError):
            raise SignInError(f"the file of {variable} cannot be read") from None
        if not text or not text.isascii() or not text.isprintable():
            raise SignInError(f"the file of {variable} holds no token")
        return text


def _checked(key_id: str, secret: str, token: str, wrong: str) -> AwsKeys:
    """Keys in which nothing can break a header; `wrong` says what is the matter otherwise."""
    fits = _KEY_ID.fullmatch(key_id) and _SECRET.fullmatch(secret) and _TOKEN.fullmatch(token)
    if not fits:
        raise SignInError(wrong)
    return AwsKeys(key_id, secret, token)


def _instant(text: str, wrong: str) -> int:
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise SignInError(wrong) from None
    if instant.tzinfo is None:
        raise SignInError(wrong)
    return int(instant.timestamp())
