"""The signed envelope in which a snapshot travels from the control plane to a proxy.

Ed25519 (RFC 8032) over the canonical JSON of `{fleet, generation, min_generation, version}`. The
version is the sha256 of the snapshot's bytes and is computed again on arrival, so that the
signature covers every byte of the snapshot without being computed over all of them.

`min_generation` is the latest generation that took something away (a key, an agent, a place where
data may go): what is older must not be served by once anybody knows. It stands here and not in
the snapshot, so that equal content stays equal. 0, before anything was taken away, is left out.
"""

import hashlib
import re
from collections.abc import Mapping
from typing import Final

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from signalbox_snapshot import codec
from signalbox_snapshot.check import MAX_INTEGER, SnapshotError
from signalbox_snapshot.snapshot import Snapshot

MAX_BYTES: Final = 2 * codec.MAX_BYTES + 4096
"""Largest envelope that is opened: each quote of a snapshot is escaped inside it."""

_SIGNATURE: Final = re.compile(r"[0-9a-f]{128}")


class Envelope(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True
):
    """A snapshot with its origin. `signature` is lower-case hex, `snapshot` the canonical JSON."""

    fleet: str
    generation: int
    version: str
    key_id: str
    signature: str
    snapshot: str
    min_generation: int = 0


class EnvelopeError(ValueError):
    """An envelope that is not accepted. `path` leads into it, or into the snapshot it carries."""

    def __init__(self, reason: str, path: str = "$") -> None:
        super().__init__(f"{path}: {reason}")
        self.reason = reason
        self.path = path


_ENCODER: Final = msgspec.json.Encoder(order="sorted")
_DECODER: Final = msgspec.json.Decoder(Envelope, strict=True)


def key_id(public_key: Ed25519PublicKey) -> str:
    """The name of a key: the first 16 hex digits of the sha256 of its 32 raw bytes."""
    return hashlib.sha256(public_key.public_bytes_raw()).hexdigest()[:16]


def trust(*public_keys: Ed25519PublicKey) -> dict[str, Ed25519PublicKey]:
    """The keys by their names, as `open_sealed` wants them."""
    return {key_id(key): key for key in public_keys}


def seal(
    private_key: Ed25519PrivateKey,
    *,
    fleet: str,
    generation: int,
    payload: bytes,
    min_generation: int = 0,
) -> Envelope:
    """Signs canonical snapshot bytes for a fleet as the given generation."""
    version = codec.version(payload)
    signed = _signed_bytes(fleet, generation, min_generation, version)
    return Envelope(
        fleet=fleet,
        generation=generation,
        version=version,
        key_id=key_id(private_key.public_key()),
        signature=private_key.sign(signed).hex(),
        snapshot=payload.decode(),
        min_generation=min_generation,
    )


def encode(envelope: Envelope) -> bytes:
    """The envelope as it is sent and stored."""
    return _ENCODER.encode(envelope)


def open_sealed(
    data: bytes, trusted: Mapping[str, Ed25519PublicKey], fleet: str
) -> tuple[Envelope, Snapshot]:
    """Verifies an envelope and reads its snapshot; raises EnvelopeError for all that is amiss.

    The signature is checked before anything inside the snapshot is looked at.
    """
    envelope = _read(data)
    if envelope.fleet != fleet:
        raise EnvelopeError(f"is for fleet {envelope.fleet!r}, not {fleet!r}", "$.fleet")
    if not 1 <= envelope.generation <= MAX_INTEGER:
        raise EnvelopeError("is not a positive 64-bit integer", "$.generation")
    if not 0 <= envelope.min_generation <= envelope.generation:
        raise EnvelopeError("does not lie between 0 and the generation", "$.min_generation")
    key = trusted.get(envelope.key_id)
    if key is None:
        raise EnvelopeError(f"{envelope.key_id!r} is not a key of this fleet", "$.key_id")
    payload = envelope.snapshot.encode()
    if codec.version(payload) != envelope.version:
        raise EnvelopeError("is not the sha256 of the snapshot", "$.version")
    _verify(key, envelope)
    try:
        return envelope, codec.decode(payload)
    except SnapshotError as error:
        raise EnvelopeError(error.reason, f"$.snapshot{error.path.removeprefix('$')}") from None


def _read(data: bytes) -> Envelope:
    if len(data) > MAX_BYTES:
        raise EnvelopeError(f"has {len(data)} bytes; an envelope has at most {MAX_BYTES}")
    try:
        return _DECODER.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise EnvelopeError(f"is not an envelope: {error}") from None


def _verify(key: Ed25519PublicKey, envelope: Envelope) -> None:
    if not _SIGNATURE.fullmatch(envelope.signature):
        raise EnvelopeError("is not 128 lower-case hex digits", "$.signature")
    signed = _signed_bytes(
        envelope.fleet, envelope.generation, envelope.min_generation, envelope.version
    )
    try:
        key.verify(bytes.fromhex(envelope.signature), signed)
    except InvalidSignature:
        raise EnvelopeError("does not fit fleet, generations and version", "$.signature") from None


def _signed_bytes(fleet: str, generation: int, min_generation: int, version: str) -> bytes:
    signed: dict[str, str | int] = {"fleet": fleet, "generation": generation, "version": version}
    if min_generation:
        signed["min_generation"] = min_generation
    return _ENCODER.encode(signed)
