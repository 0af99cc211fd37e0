"""The token services of Google and Microsoft, as far as a workload signs in with them.

Written from Google's "Using OAuth 2.0 for Server to Server Applications", the Security Token
Service and IAM Credentials references, the metadata server's guide, and Microsoft's "OAuth 2.0
client credentials flow". What may sign in is what the credentials' directory holds: a file with a
service account's key in JSON, or any other secret as a federated token or a client's secret.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import parse_qsl

from aiohttp import web
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from .credentials import Credentials
from .refusals import Refusal

SKEW_SECONDS = 300
LIFE_SECONDS = 3600
JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
GOOGLE_SCOPE = "https://www.googleapis.com/auth/cloud-platform"
ENTRA_SCOPE = re.compile(r"^(https|api)://[^ ]+/\.default$")
IMPERSONATION = re.compile(
    r"^/v1/projects/-/serviceAccounts/([a-z0-9-]+@[a-z0-9.-]+):generateAccessToken$"
)
METADATA = "/computeMetadata/v1/instance/service-accounts/default/token"
ENTRA = re.compile(r"^/([A-Za-z0-9.-]+)/oauth2/v2\.0/token$")


@dataclass
class IdentityServices:
    """Answers at the paths of all token services; what it issues the credentials know."""

    credentials: Credentials

    def answer(self, request: web.Request, path: str, body: bytes) -> web.Response:
        """Give a token; raises Refusal where the real service would give none."""
        if path == METADATA:
            return self._metadata(request)
        if request.method != "POST":
            raise Refusal(405, f"Not allowed to {request.method} on {path[:200]}.")
        acting = IMPERSONATION.match(path)
        if acting is not None:
            return self._impersonate(request, acting[1], body)
        form = _form(request, body)
        if path == "/token":
            return self._assertion(form)
        if path == "/v1/token":
            return self._exchange(form)
        if ENTRA.match(path):
            return self._client(form)
        raise Refusal(404, f"Invalid URL ({request.method} {path[:200]})")

    def _metadata(self, request: web.Request) -> web.Response:
        if request.method != "GET" or request.headers.get("Metadata-Flavor") != "Google":
            raise Refusal(403, "Missing Metadata-Flavor:Google header.")
        return self._granted("pod")

    def _assertion(self, form: Mapping[str, str]) -> web.Response:
        """Check a service account's signed claims."""
        if form.get("grant_type") != JWT_BEARER:
            raise Refusal(400, "unsupported_grant_type")
        pieces = form.get("assertion", "").split(".")
        if len(pieces) != 3:
            raise Refusal(400, "invalid_grant: the assertion is not a JWT")
        header, claims = (_claims(piece) for piece in pieces[:2])
        key = self._key_of(str(claims.get("iss")))
        try:
            signed = ".".join(pieces[:2]).encode()
            key.public_key().verify(
                _decoded(pieces[2]), signed, padding.PKCS1v15(), hashes.SHA256()
            )
        except InvalidSignature:
            raise Refusal(400, "invalid_grant: Invalid JWT Signature.") from None
        now, issued, ends = time.time(), claims.get("iat"), claims.get("exp")
        if header.get("alg") != "RS256" or not str(claims.get("aud")).endswith("/token"):
            raise Refusal(400, "invalid_grant: Invalid JWT.")
        if not isinstance(issued, int) or not isinstance(ends, int):
            raise Refusal(400, "invalid_grant: Invalid JWT: iat and exp are numbers.")
        if issued > now + SKEW_SECONDS or ends < now or ends - issued > LIFE_SECONDS:
            raise Refusal(400, "invalid_grant: Invalid JWT: Token must be a short-lived token.")
        if claims.get("scope") != GOOGLE_SCOPE:
            raise Refusal(400, "invalid_scope")
        return self._granted(str(claims["iss"]))

    def _key_of(self, account: str) -> rsa.RSAPrivateKey:
        for secret in self.credentials.documents():
            if secret.get("client_email") == account:
                pem = str(secret.get("private_key")).encode()
                key = serialization.load_pem_private_key(pem, password=None)
                if isinstance(key, rsa.RSAPrivateKey):
                    return key
        raise Refusal(400, "invalid_grant: Invalid grant: account not found")

    def _exchange(self, form: Mapping[str, str]) -> web.Response:
        if form.get("grant_type") != EXCHANGE:
            raise Refusal(400, "unsupported_grant_type")
        wanted = ("audience", "scope", "requested_token_type", "subject_token_type")
        if missing := next((name for name in wanted if not form.get(name)), None):
            raise Refusal(400, f"invalid_request: {missing} is missing")
        name = self.credentials.name(form.get("subject_token", ""))
        if name is None:
            raise Refusal(400, "invalid_grant: the subject token is not valid")
        return self._granted(name, issued_token_type=form["requested_token_type"])

    def _impersonate(self, request: web.Request, account: str, body: bytes) -> web.Response:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme != "Bearer" or self.credentials.issued(token) is None:
            raise Refusal(401, "Request had invalid authentication credentials.")
        try:
            document = json.loads(body)
        except ValueError:
            document = None
        if not isinstance(document, dict) or document.get("scope") != [GOOGLE_SCOPE]:
            raise Refusal(400, "Scope required.")
        ends = datetime.fromtimestamp(time.time() + LIFE_SECONDS, UTC)
        return web.json_response(
            {
                "accessToken": self.credentials.issue(account, LIFE_SECONDS),
                "expireTime": ends.strftime("%Y-%m-%dT%H:%M:%SZ"),
            }
        )

    def _client(self, form: Mapping[str, str]) -> web.Response:
        """Check an Entra application's secret or federated assertion."""
        if form.get("grant_type") != "client_credentials" or not form.get("client_id"):
            raise Refusal(400, "AADSTS900144: client_id or grant_type is missing.")
        if not ENTRA_SCOPE.match(form.get("scope", "")):
            raise Refusal(400, "AADSTS1002012: The provided value for scope is not valid.")
        proof = form.get("client_secret", "")
        if form.get("client_assertion_type") == ASSERTION:
            proof = form.get("client_assertion", "")
        if self.credentials.name(proof) is None:
            raise Refusal(401, "AADSTS7000215: Invalid client secret provided.")
        return self._granted(form["client_id"])

    def _granted(self, name: str, **more: str) -> web.Response:
        token = self.credentials.issue(name, LIFE_SECONDS)
        answer = {"access_token": token, "expires_in": LIFE_SECONDS, "token_type": "Bearer"}
        return web.json_response(answer | more)


def _form(request: web.Request, body: bytes) -> dict[str, str]:
    if request.content_type != "application/x-www-form-urlencoded":
        raise Refusal(400, "invalid_request: send a form")
    return dict(parse_qsl(body.decode("utf-8", "replace")))


def _decoded(piece: str) -> bytes:
    try:
        return base64.urlsafe_b64decode(piece + "=" * (-len(piece) % 4))
    except (binascii.Error, ValueError):
        raise Refusal(400, "invalid_grant: the assertion is not a JWT") from None


def _claims(piece: str) -> dict[str, object]:
    try:
        document: object = json.loads(_decoded(piece))
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise Refusal(400, "invalid_grant: the assertion is not a JWT")
    return document
