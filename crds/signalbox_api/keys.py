"""The format of agent keys and of the digests that stand in for them.

A digest covers namespace, agent and secret, so that a digest copied to another agent opens nothing.
The data plane verifies keys with code of its own; this format is the contract between the two
(test vectors: tests/api/key_vectors.json).

- key: `sbx.<namespace>.<agent>.<secret>`, the secret in URL-safe base64 without padding
- digest: sha256 in hex over the canonical JSON of `["signalbox-key/v1", namespace, agent, secret]`
- adopted key, any text an application already has: digest over
  `["signalbox-adopted-key/v1", namespace, agent, key]`; as such a key does not name its agent, it
  is found by `lookup`: the first 16 hex digits of the sha256 over
  `["signalbox-adopted-lookup/v1", key]`

Canonical JSON: UTF-8, no spaces, nothing escaped but `"` and `\\`, which is unambiguous because
every part consists of printable ASCII.
"""

import base64
import hashlib
import json
import re
from dataclasses import dataclass
from typing import Final

from signalbox_api.scalars import LABEL_PATTERN

PREFIX: Final = "sbx"
MIN_SECRET_BYTES: Final = 16
"""Below 128 bits a digest could be reversed by trying."""
MAX_SECRET_BYTES: Final = 64
MIN_ADOPTED: Final = 20
MAX_ADOPTED: Final = 512

_LABEL: Final = re.compile(LABEL_PATTERN, flags=re.ASCII)


@dataclass(frozen=True, slots=True, repr=False)
class NewKey:
    """A fresh key and its digest. The key is shown once and stored nowhere."""

    key: str
    sha256: str


@dataclass(frozen=True, slots=True)
class AdoptedKey:
    """What an agent lists for a key that an application already has."""

    sha256: str
    lookup: str


def new_key(namespace: str, agent: str, secret: bytes) -> NewKey:
    """Forms the key of an agent from random bytes, which the caller draws.

    Raises ValueError when a name is no DNS label or the secret has fewer than 16 or more than 64
    bytes.
    """
    _check_names(namespace, agent)
    if not MIN_SECRET_BYTES <= len(secret) <= MAX_SECRET_BYTES:
        raise ValueError(f"the secret needs {MIN_SECRET_BYTES} to {MAX_SECRET_BYTES} bytes")
    text = base64.urlsafe_b64encode(secret).rstrip(b"=").decode("ascii")
    return NewKey(
        key=f"{PREFIX}.{namespace}.{agent}.{text}",
        sha256=_digest("signalbox-key/v1", namespace, agent, text),
    )


def adopt_key(namespace: str, agent: str, key: str) -> AdoptedKey:
    """Digest and lookup of a key that an application already has.

    Raises ValueError, never quoting the key, when it is not 20 to 512 printable ASCII characters
    without spaces, or has the form of a Signalbox key.
    """
    _check_names(namespace, agent)
    if not MIN_ADOPTED <= len(key) <= MAX_ADOPTED:
        raise ValueError(f"an adopted key needs {MIN_ADOPTED} to {MAX_ADOPTED} characters")
    if not all("!" <= character <= "~" for character in key):
        raise ValueError("an adopted key consists of printable ASCII characters without spaces")
    if key.startswith(f"{PREFIX}."):
        raise ValueError("this is a Signalbox key; list the digest that came with it")
    return AdoptedKey(
        sha256=_digest("signalbox-adopted-key/v1", namespace, agent, key),
        lookup=_digest("signalbox-adopted-lookup/v1", key)[:16],
    )


def _check_names(namespace: str, agent: str) -> None:
    for what, name in (("namespace", namespace), ("agent", agent)):
        if not _LABEL.fullmatch(name):
            raise ValueError(f"{what} {name[:80]!r} is not a DNS label")


def _digest(*parts: str) -> str:
    canonical = json.dumps(parts, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()
