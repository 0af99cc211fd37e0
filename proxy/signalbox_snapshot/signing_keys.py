"""How signing keys are stored: PEM with PKCS #8 (RFC 8410) or SubjectPublicKeyInfo inside.

The control plane holds the private keys, every proxy the public ones: two of each while one takes
the other's place, one PEM block after the other. Nothing here opens a file.
"""

import re
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

MAX_KEYS: Final = 2
"""So many keys of a fleet are in use at once: the one that signs, and the one before or next."""

_BLOCK: Final = re.compile(rb"-----BEGIN ([A-Z ]{1,40})-----[^-]{1,8192}-----END \1-----")


def private_pem(key: Ed25519PrivateKey) -> bytes:
    """The private key in PEM, not encrypted: the file's mode protects it."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def public_pem(key: Ed25519PublicKey) -> bytes:
    """The public key in PEM."""
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def load_private(pem: bytes) -> Ed25519PrivateKey:
    """Reads a private key; raises ValueError, without a byte of it, when it is not Ed25519 PEM."""
    try:
        key = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ValueError("the signing key is not an Ed25519 private key in PEM") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise TypeError("the signing key is not an Ed25519 key")
    return key


def load_public(pem: bytes) -> Ed25519PublicKey:
    """Reads a public key; raises ValueError when it is not Ed25519 PEM."""
    try:
        key = load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError("the verification key is not an Ed25519 public key in PEM") from None
    if not isinstance(key, Ed25519PublicKey):
        raise TypeError("the verification key is not an Ed25519 key")
    return key


def load_private_keys(pem: bytes) -> list[Ed25519PrivateKey]:
    """Reads up to two private keys, the one that signs first; none from an empty file.

    Raises ValueError or TypeError, without a byte of them, for anything else.
    """
    return [load_private(block) for block in _blocks(pem)]


def load_public_keys(pem: bytes) -> list[Ed25519PublicKey]:
    """Reads up to two public keys, none from an empty file; raises as `load_private_keys` does."""
    return [load_public(block) for block in _blocks(pem)]


def _blocks(pem: bytes) -> list[bytes]:
    found = [match[0] for match in _BLOCK.finditer(pem)]
    if len(found) > MAX_KEYS:
        raise ValueError(f"holds {len(found)} keys; at most {MAX_KEYS} are accepted")
    if _BLOCK.sub(b"", pem).strip():
        raise ValueError("holds something else than keys in PEM")
    return found
