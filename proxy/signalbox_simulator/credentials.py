"""Credentials that the simulator accepts: a file each, its name the credential's own."""

from __future__ import annotations

import hashlib
import json
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from .refusals import Refusal
from .sheet import HostSheet

RELOAD_SECONDS = 0.5


@dataclass
class Credentials:
    """Secrets of a directory by digest; read again when the directory may have changed."""

    directory: Path
    _names: dict[bytes, str] = field(default_factory=dict, repr=False)
    _pairs: dict[str, tuple[str, str]] = field(default_factory=dict, repr=False)
    _issued: dict[bytes, tuple[str, float]] = field(default_factory=dict, repr=False)
    _read_at: float = -1.0

    def __post_init__(self) -> None:
        if not self.directory.is_dir():
            raise NotADirectoryError(f"{self.directory} is not a directory")

    def name(self, secret: str) -> str | None:
        """Give the name of a secret, if it is known."""
        if time.monotonic() - self._read_at > RELOAD_SECONDS:
            self._read()
        return self._names.get(_digest(secret))

    def pair(self, key_id: str) -> tuple[str, str] | None:
        """Give name and secret of a pair KEYID:SECRET by its first half, if it is known."""
        if time.monotonic() - self._read_at > RELOAD_SECONDS:
            self._read()
        return self._pairs.get(key_id)

    def documents(self) -> list[dict[str, object]]:
        """Give the secrets that are JSON objects, such as a service account's key."""
        found = []
        for path in sorted(self.directory.iterdir()):
            text = path.read_text(encoding="utf-8").strip() if path.is_file() else ""
            if text.startswith("{"):
                found.append(json.loads(text))
        return found

    def issue(self, name: str, seconds: int) -> str:
        """Give a new access token for a name."""
        token = f"at-{secrets.token_urlsafe(32)}"
        self._issued[_digest(token)] = (name, time.monotonic() + seconds)
        return token

    def issued(self, token: str) -> str | None:
        """Give whom an access token was issued to, while it is valid."""
        name, ends_at = self._issued.get(_digest(token), ("", 0.0))
        return name if time.monotonic() < ends_at else None

    def _read(self) -> None:
        names = {}
        pairs = {}
        for path in sorted(self.directory.iterdir()):
            if path.name.startswith(".") or not path.is_file():
                continue
            secret = path.read_text(encoding="utf-8").strip()
            if secret:
                names[_digest(secret)] = path.name
                key_id, _, rest = secret.partition(":")
                pairs[key_id] = (path.name, rest)
        self._names = names
        self._pairs = {key_id: pair for key_id, pair in pairs.items() if pair[1]}
        self._read_at = time.monotonic()

    def authenticate(self, headers: Mapping[str, str], host: HostSheet) -> str:
        """Give the name of the request's credential; raises Refusal (401) as the providers do."""
        secret = headers.get("x-api-key") if "messages" in host.surfaces else None
        scheme, _, bearer = headers.get("authorization", "").partition(" ")
        if "generate_content" in host.surfaces:
            secret = headers.get("x-goog-api-key")
        if "azure" in host.surfaces:
            secret = headers.get("api-key")
        if secret is None and scheme.lower() == "bearer":
            secret = bearer.strip()
        name = (self.name(secret) or self.issued(secret)) if secret else None
        if host.authentication == "none":
            return name or "anonymous"
        if not secret:
            raise Refusal(
                401,
                "You didn't provide an API key. Provide it in an Authorization header using Bearer "
                "auth (Authorization: Bearer KEY), or in x-api-key where the provider uses that.",
            )
        if name is None and "x-goog-api-key" in headers:
            raise Refusal(400, "API key not valid. Pass a valid API key.", code="API_KEY_INVALID")
        if name is None or (host.credentials is not None and name not in host.credentials):
            raise Refusal(401, "Incorrect API key provided.", code="invalid_api_key")
        return name


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
