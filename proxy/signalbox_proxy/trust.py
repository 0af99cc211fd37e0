"""Whose snapshots are accepted: the fleet's signing keys and tokens, from files that change.

In a cluster the files are mounted Secrets: empty until the operator fills them, later replaced as a
whole while the process runs. Two of each are accepted, so that they can be changed one after the
other. What is told of them (`Trust.told`) are digests: keys are public, tokens are long and random.
"""

import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from signalbox_proxy.watched_file import WatchedFile
from signalbox_snapshot import envelope, signing_keys

MAX_TOKENS = 2
_TOKEN = re.compile(r"[!-~]{16,512}")


class TrustError(ValueError):
    """A file that holds something, but not what it should. Quotes nothing of it."""


@dataclass(frozen=True, slots=True)
class Trust:
    """The fleet's name, the keys that sign its snapshots, the tokens of its control ports.

    All tokens are accepted, the first is sent. Without keys or tokens nobody is.
    """

    fleet: str
    keys: Mapping[str, Ed25519PublicKey] = field(default_factory=dict)
    tokens: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"Trust(fleet={self.fleet!r}, keys={sorted(self.keys)})"

    def admits(self, authorization: bytes) -> bool:
        """Whether a value of the header `Authorization` is one of the fleet's tokens.

        All are compared, each in constant time.
        """
        found = False
        for token in self.tokens:
            found |= hmac.compare_digest(authorization, f"Bearer {token}".encode())
        return found

    def told(self) -> dict[str, Any]:
        """What the control port tells of it: names of keys, digests of tokens, in their order."""
        return {"keys": list(self.keys), "tokens": [token_digest(each) for each in self.tokens]}


def token_digest(token: str) -> str:
    """The name of a token: 16 hex digits of a sha256 of its own."""
    return hashlib.sha256(f"signalbox-control-token/v1 {token}".encode()).hexdigest()[:16]


class TrustFiles:
    """`Trust` as two files tell it: public keys in PEM, and a token a line."""

    def __init__(self, fleet: str, keys: Path, tokens: Path) -> None:
        self.trust = Trust(fleet)
        self._keys = WatchedFile(keys)
        self._tokens = WatchedFile(tokens)

    def refresh(self) -> bool:
        """Read what changed; whether anything did.

        A file that is missing changes nothing, an empty one takes back what it held. Raises
        TrustError for one that is malformed, once; what was trusted before then stays.
        """
        keys, tokens = self._keys.changed(), self._tokens.changed()
        before, problems = self.trust, []
        if keys is not None:
            try:
                loaded = signing_keys.load_public_keys(keys)
            except (ValueError, TypeError) as error:
                problems.append(f"{self._keys.path}: {error}")
            else:
                self.trust = Trust(before.fleet, envelope.trust(*loaded), self.trust.tokens)
        if tokens is not None:
            try:
                self.trust = Trust(before.fleet, self.trust.keys, _tokens(tokens))
            except ValueError as error:
                problems.append(f"{self._tokens.path}: {error}")
        if problems:
            raise TrustError("; ".join(problems))
        return self.trust is not before


def _tokens(content: bytes) -> tuple[str, ...]:
    found = tuple(content.decode("latin-1").split())
    if len(found) > MAX_TOKENS or not all(map(_TOKEN.fullmatch, found)):
        raise ValueError(
            f"does not hold at most {MAX_TOKENS} tokens, one a line, of 16 to 512 ASCII characters"
        )
    return found
