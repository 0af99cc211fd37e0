"""The three rings of `trust`, as Secrets hold them: how each is read, made and written.

| ring | held in | shown to proxies in |
| --- | --- | --- |
| signer | `<release>-signer`: `signing-keys.pem` | `<release>-trust`: `signing-keys.pem` |
| control | `<release>-signer`: `ca.crt`, `ca.key` | `<release>-trust`: `ca.crt` |
| tokens | `<release>-tokens`: `control-tokens` | the same |
"""

import hashlib
import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Protocol

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from signalbox_operator.cluster.certificates import (
    Pair,
    digest,
    is_due,
    new_authority,
    pairs,
    split,
)
from signalbox_operator.control_port import ProxyStatus
from signalbox_operator.trust import Seen
from signalbox_snapshot import envelope, signing_keys

MAX_ITEMS: Final = 2
OTHER: Final = "another"
"""What a proxy goes by whose certificate is not the newest."""

Data = Mapping[str, bytes]


class RingKind(Protocol):
    """One kind of thing that is changed without a gap. Items are secrets: names are not."""

    name: str
    held: str
    shown: str

    def read(self, held: Data) -> list[Any]:
        """What is held, the first in use. Raises ValueError or TypeError, quoting nothing."""

    def name_of(self, item: Any) -> str:
        """The name that proxies tell of it."""

    def read_shown(self, shown: Data) -> tuple[str, ...]:
        """The names of what proxies are told."""

    def make(self, now: datetime) -> Any:
        """A new one."""

    def write(self, items: Sequence[Any]) -> Data:
        """Items as they are held."""

    def write_shown(self, items: Sequence[Any]) -> Data:
        """Items as proxies are told them."""

    def ends_soon(self, item: Any, now: datetime) -> bool:
        """Whether it has to be replaced without anybody asking."""

    def seen(self, status: ProxyStatus, names: tuple[str, ...], leaf: str) -> Seen:
        """What a proxy says of this ring; `leaf` names the control port's newest certificate."""


class SignerRing:
    """Keys that sign snapshots."""

    name, held, shown = "signer", "signer", "trust"

    def read(self, held: Data) -> list[Ed25519PrivateKey]:
        """See `RingKind`."""
        return signing_keys.load_private_keys(held.get("signing-keys.pem", b""))

    def name_of(self, item: Ed25519PrivateKey) -> str:
        """See `RingKind`."""
        return envelope.key_id(item.public_key())

    def read_shown(self, shown: Data) -> tuple[str, ...]:
        """See `RingKind`."""
        keys = signing_keys.load_public_keys(shown.get("signing-keys.pem", b""))
        return tuple(envelope.key_id(key) for key in keys)

    def make(self, now: datetime) -> Ed25519PrivateKey:
        """See `RingKind`."""
        return Ed25519PrivateKey.generate()

    def write(self, items: Sequence[Ed25519PrivateKey]) -> Data:
        """See `RingKind`."""
        return {"signing-keys.pem": b"".join(signing_keys.private_pem(key) for key in items)}

    def write_shown(self, items: Sequence[Ed25519PrivateKey]) -> Data:
        """See `RingKind`."""
        public = (signing_keys.public_pem(key.public_key()) for key in items)
        return {"signing-keys.pem": b"".join(public)}

    def ends_soon(self, item: Ed25519PrivateKey, now: datetime) -> bool:
        """Keys of snapshots have no end of their own."""
        return False

    def seen(self, status: ProxyStatus, names: tuple[str, ...], leaf: str) -> Seen:
        """See `RingKind`."""
        return Seen(status.name, status.trusts.keys, status.key_id)


class ControlRing:
    """Authorities of the control ports' certificates."""

    name, held, shown = "control", "signer", "trust"

    def read(self, held: Data) -> list[Pair]:
        """See `RingKind`."""
        found = pairs(held.get("ca.crt", b""), held.get("ca.key", b""))
        if len(found) > MAX_ITEMS:
            raise ValueError(f"holds {len(found)} authorities; at most {MAX_ITEMS} are accepted")
        return found

    def name_of(self, item: Pair) -> str:
        """See `RingKind`."""
        return item.digest

    def read_shown(self, shown: Data) -> tuple[str, ...]:
        """See `RingKind`."""
        return tuple(digest(each) for each in split(shown.get("ca.crt", b"")))

    def make(self, now: datetime) -> Pair:
        """See `RingKind`."""
        return new_authority("signalbox control", now)

    def write(self, items: Sequence[Pair]) -> Data:
        """See `RingKind`."""
        return {
            "ca.crt": b"".join(item.certificate for item in items),
            "ca.key": b"".join(item.key for item in items),
        }

    def write_shown(self, items: Sequence[Pair]) -> Data:
        """See `RingKind`."""
        return {"ca.crt": b"".join(item.certificate for item in items)}

    def ends_soon(self, item: Pair, now: datetime) -> bool:
        """See `RingKind`."""
        return is_due(item.certificate, now)

    def seen(self, status: ProxyStatus, names: tuple[str, ...], leaf: str) -> Seen:
        """See `RingKind`."""
        follows = bool(leaf) and status.trusts.certificate == leaf
        return Seen(status.name, status.trusts.authorities, names[0] if follows else OTHER)


class TokenRing:
    """Tokens of the control ports."""

    name, held, shown = "tokens", "tokens", "tokens"

    def read(self, held: Data) -> list[str]:
        """See `RingKind`."""
        found = held.get("control-tokens", b"").decode("latin-1").split()
        if len(found) > MAX_ITEMS:
            raise ValueError(f"holds {len(found)} tokens; at most {MAX_ITEMS} are accepted")
        return found

    def name_of(self, item: str) -> str:
        """As `signalbox_proxy.trust.token_digest`: that is the contract between the two."""
        named = hashlib.sha256(f"signalbox-control-token/v1 {item}".encode("latin-1"))
        return named.hexdigest()[:16]

    def read_shown(self, shown: Data) -> tuple[str, ...]:
        """See `RingKind`."""
        return tuple(self.name_of(each) for each in self.read(shown))

    def make(self, now: datetime) -> str:
        """See `RingKind`."""
        return secrets.token_urlsafe(32)

    def write(self, items: Sequence[str]) -> Data:
        """See `RingKind`."""
        return {"control-tokens": "".join(f"{item}\n" for item in items).encode("latin-1")}

    def write_shown(self, items: Sequence[str]) -> Data:
        """See `RingKind`."""
        return self.write(items)

    def ends_soon(self, item: str, now: datetime) -> bool:
        """Tokens have no end of their own."""
        return False

    def seen(self, status: ProxyStatus, names: tuple[str, ...], leaf: str) -> Seen:
        """See `RingKind`."""
        accepted = status.trusts.tokens
        return Seen(status.name, accepted, accepted[0] if accepted else "")


KINDS: Final[tuple[RingKind, ...]] = (SignerRing(), ControlRing(), TokenRing())
