"""Check Signature Version 4 as AWS does, and issue short-lived keys as its token service does.

Written from AWS's "Create a signed AWS API request" and the STS API reference. A long-lived pair is
a file of the credentials' directory with ``KEYID:SECRET``.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import parse_qs, quote
from xml.sax.saxutils import escape

from aiohttp import web

from .credentials import Credentials
from .refusals import Refusal

SKEW_SECONDS = 300
DURATIONS = range(900, 43201)
AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(?P<key>[A-Za-z0-9]{1,128})/(?P<date>[0-9]{8})"
    r"/(?P<region>[a-z0-9-]{1,32})/(?P<service>[a-z0-9-]{1,32})/aws4_request, ?"
    r"SignedHeaders=(?P<names>[a-z0-9;-]{1,1024}), ?Signature=(?P<signature>[0-9a-f]{64})"
)
ROLE = re.compile(r"arn:aws[a-z-]*:iam::[0-9]{12}:role/[\w+=,.@/-]{1,512}", re.ASCII)


def forbidden(name: str, message: str) -> Refusal:
    """Give a 403 with AWS's own name of the error."""
    return Refusal(403, message, kind=name)


@dataclass(frozen=True)
class _Keys:
    secret: str = field(repr=False)
    name: str
    token: str = field(default="", repr=False)
    ends_at: float = float("inf")


@dataclass
class AwsSignatures:
    """All keys that may sign: the directory's pairs, and what was issued since the start."""

    credentials: Credentials
    _issued: dict[str, _Keys] = field(default_factory=dict, repr=False)

    def authenticate(self, request: web.Request, body: bytes, service: str, host: str) -> str:
        """Give the name of the credential that signed the request; raises Refusal (403)."""
        found = AUTHORIZATION.fullmatch(request.headers.get("Authorization", ""))
        if found is None:
            raise forbidden("IncompleteSignatureException", "Authorization header is malformed.")
        keys = self._keys(found["key"])
        if keys is None or request.headers.get("x-amz-security-token", "") != keys.token:
            raise forbidden(
                "UnrecognizedClientException",
                "The security token included in the request is invalid.",
            )
        if keys.ends_at <= time.time():
            raise forbidden(
                "ExpiredTokenException", "The security token included in the request is expired"
            )
        _check_scope(request, found, service, host)
        expected = _signature(request, body, found, keys.secret)
        if not hmac.compare_digest(expected, found["signature"]):
            raise forbidden(
                "InvalidSignatureException",
                "The request signature we calculated does not match the signature you provided. "
                "Check your AWS Secret Access Key and signing method.",
            )
        return keys.name

    def _keys(self, key_id: str) -> _Keys | None:
        issued = self._issued.get(key_id)
        if issued is not None:
            return issued
        pair = self.credentials.pair(key_id)
        return _Keys(secret=pair[1], name=pair[0]) if pair is not None else None

    def answer(self, request: web.Request, body: bytes, host: str) -> web.Response:
        """Assume a role: with a token that is a credential here, or with keys that sign."""
        try:
            text = self._assume(request, body, host)
            status = 200
        except Refusal as refusal:
            code, status = refusal.kind or "ValidationError", refusal.status
            text = (
                f"<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code>"
                f"<Message>{escape(refusal.message)}</Message></Error></ErrorResponse>"
            )
        return web.Response(text=text, status=status, content_type="text/xml", charset="utf-8")

    def _assume(self, request: web.Request, body: bytes, host: str) -> str:
        form = {name: values[0] for name, values in parse_qs(body.decode("latin-1")).items()}
        if form.get("Version") != "2011-06-15" or not ROLE.fullmatch(form.get("RoleArn", "")):
            raise Refusal(400, "RoleArn and Version have to be given.", kind="ValidationError")
        told = form.get("DurationSeconds", "3600")
        seconds = int(told) if told.isdecimal() and len(told) < 6 else 0
        if seconds not in DURATIONS or not form.get("RoleSessionName"):
            raise Refusal(
                400, "RoleSessionName or DurationSeconds is wrong.", kind="ValidationError"
            )
        action = form.get("Action")
        if action == "AssumeRoleWithWebIdentity":
            name = self.credentials.name(form.get("WebIdentityToken", ""))
            if name is None:
                raise Refusal(
                    400, "The provided token could not be validated.", kind="InvalidIdentityToken"
                )
        elif action == "AssumeRole":
            name = self.authenticate(request, body, "sts", host)
        else:
            raise Refusal(400, "No such action.", kind="InvalidAction")
        return self._issue(action, name, seconds)

    def _issue(self, action: str, name: str, seconds: int) -> str:
        key_id = "ASIA" + secrets.token_hex(8).upper()
        keys = _Keys(
            secret=secrets.token_urlsafe(30).replace("-", "/").replace("_", "+"),
            name=name,
            token=secrets.token_hex(100),
            ends_at=time.time() + seconds,
        )
        self._issued[key_id] = keys
        ends = datetime.fromtimestamp(keys.ends_at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return (
            f'<{action}Response xmlns="https://sts.amazonaws.com/doc/2011-06-15/">'
            f"<{action}Result><Credentials><AccessKeyId>{key_id}</AccessKeyId>"
            f"<SecretAccessKey>{keys.secret}</SecretAccessKey>"
            f"<SessionToken>{keys.token}</SessionToken><Expiration>{ends}</Expiration>"
            f"</Credentials></{action}Result></{action}Response>"
        )


def _check_scope(request: web.Request, found: re.Match[str], service: str, host: str) -> None:
    """The scope must be this service, region and day, and the date not far from now."""
    if found["service"] != service or f".{found['region']}." not in host:
        raise forbidden(
            "InvalidSignatureException",
            f"Credential should be scoped to service {service!r} in the region of {host}.",
        )
    try:
        date = request.headers.get("x-amz-date", "")
        signed_at = datetime.strptime(date, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
    except ValueError:
        raise forbidden("InvalidSignatureException", "The date is malformed.") from None
    if abs(signed_at - time.time()) > SKEW_SECONDS or not date.startswith(found["date"]):
        raise forbidden("InvalidSignatureException", f"Signature expired: {date}")


def _signature(request: web.Request, body: bytes, found: re.Match[str], secret: str) -> str:
    names = found["names"].split(";")
    needed = {"host", *(n.lower() for n in request.headers if n.lower().startswith("x-amz-"))}
    if names != sorted(names) or not needed <= set(names):
        raise forbidden(
            "InvalidSignatureException", "Host and all x-amz- headers have to be signed, in order."
        )
    path, _, query = request.raw_path.partition("?")
    if query:
        raise forbidden("InvalidSignatureException", "No query is expected here.")
    lines = [request.method, quote(path, safe="/-_.~"), ""]
    for name in names:
        values = [" ".join(value.split()) for value in request.headers.getall(name, [""])]
        lines.append(f"{name}:{','.join(values)}")
    lines += ["", found["names"], hashlib.sha256(body).hexdigest()]
    scope = [found["date"], found["region"], found["service"], "aws4_request"]
    text = "\n".join(
        [
            "AWS4-HMAC-SHA256",
            request.headers["x-amz-date"],
            "/".join(scope),
            hashlib.sha256("\n".join(lines).encode()).hexdigest(),
        ]
    )
    key = f"AWS4{secret}".encode()
    for step in scope:
        key = hmac.new(key, step.encode(), hashlib.sha256).digest()
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
