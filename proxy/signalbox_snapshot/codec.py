"""The one spelling of a snapshot: canonical JSON, and the way back that trusts nothing.

Canonical means: keys sorted, no spaces, UTF-8 without escapes that JSON does not need, integers
only, every field written out. Equal snapshots therefore have equal bytes, and the sha256 of the
bytes is the snapshot's version. The control plane encodes; a proxy decodes what it was sent.
"""

import hashlib
import re
from typing import Final

import msgspec

from signalbox_snapshot.check import SnapshotError, check
from signalbox_snapshot.schemas import SCHEMA_1, beyond
from signalbox_snapshot.snapshot import SCHEMA, Snapshot

MAX_BYTES: Final = 64 * 1024 * 1024
"""Largest snapshot that is decoded."""

ACCEPTED_SCHEMAS: Final = (SCHEMA, SCHEMA_1)
"""Schemas that this release decodes: its own and the one before."""

_AT = re.compile(r"(?s)(?P<reason>.*?)(?: - at `(?P<path>[^`]*)`)?")
_ENCODER: Final = msgspec.json.Encoder(order="sorted")
_DECODER: Final = msgspec.json.Decoder(Snapshot, strict=True)


class _Header(msgspec.Struct, frozen=True):
    schema: int


_HEADER_DECODER: Final = msgspec.json.Decoder(_Header, strict=True)


def encode(snapshot: Snapshot) -> bytes:
    """The canonical JSON of a snapshot."""
    return _ENCODER.encode(snapshot)


def version(payload: bytes) -> str:
    """The version of a snapshot: sha256 of its canonical bytes, in lower-case hex."""
    return hashlib.sha256(payload).hexdigest()


def decode(payload: bytes) -> Snapshot:
    """Reads canonical bytes back; raises SnapshotError for anything that is not a snapshot."""
    if len(payload) > MAX_BYTES:
        raise SnapshotError("$", f"has {len(payload)} bytes; a snapshot has at most {MAX_BYTES}")
    try:
        schema = _HEADER_DECODER.decode(payload).schema
        if schema not in ACCEPTED_SCHEMAS:
            raise SnapshotError(
                "$.schema", f"is {schema}; this release reads {_spoken(ACCEPTED_SCHEMAS)}"
            )
        snapshot = _DECODER.decode(payload)
    except msgspec.DecodeError as error:
        raise _as_snapshot_error(error) from None
    except (UnicodeDecodeError, RecursionError):
        raise SnapshotError("$", "is not JSON in UTF-8 of bounded depth") from None
    if schema == SCHEMA_1:
        for found in beyond(snapshot):
            raise SnapshotError(found.path, "is not known in schema 1")
    check(snapshot)
    if encode(snapshot) != payload:
        raise SnapshotError("$", "is not canonical: a key is repeated, unsorted or spelled freely")
    return snapshot


def _as_snapshot_error(error: msgspec.DecodeError) -> SnapshotError:
    match = _AT.fullmatch(str(error))
    if match is None:
        return SnapshotError("$", str(error))
    return SnapshotError(match["path"] or "$", match["reason"])


def _spoken(schemas: tuple[int, ...]) -> str:
    return " and ".join(f"schema {schema}" for schema in schemas)
