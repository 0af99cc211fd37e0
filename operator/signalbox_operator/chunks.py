"""Documents cut into pieces that are named by their content, so that equal pieces are stored once.

Pure. A document is cut after an element of a list wherever a checksum of that element says so, not
at fixed distances: a change moves only the cuts around it, and releases that differ in one object
share all other chunks. A chunk is stored compressed (RFC 1950) and named by the first 32 hex digits
of the sha256 of its content.
"""

import hashlib
import re
import zlib
from collections.abc import Mapping, Sequence
from typing import Final

SMALLEST: Final = 64 * 1024
LARGEST: Final = 384 * 1024
"""Bounds of a chunk's content in bytes, save for the last one's lower bound."""

MAX_STORED: Final = 512 * 1024
"""Largest chunk as it is stored."""

_ONE_IN: Final = 64
"""Of how many elements one ends a chunk, once the chunk is large enough."""

_BETWEEN: Final = re.compile(rb"\},\{")
_NAME: Final = 32
_LEVEL: Final = 6


def cut(document: bytes) -> list[bytes]:
    """The pieces of a document, in order; none for an empty one."""
    pieces, start, before = [], 0, 0
    for match in _BETWEEN.finditer(document):
        end = match.end() - 1
        element, before = document[before:end], end
        while end - start > LARGEST:
            pieces.append(document[start : start + LARGEST])
            start += LARGEST
        if end - start >= SMALLEST and zlib.crc32(element) % _ONE_IN == 0:
            pieces.append(document[start:end])
            start = end
    while start < len(document):
        pieces.append(document[start : start + LARGEST])
        start += LARGEST
    return pieces


def name_of(piece: bytes) -> str:
    """The name of a chunk with this content."""
    return hashlib.sha256(piece).hexdigest()[:_NAME]


def packed(document: bytes, known: Mapping[str, bytes] | None = None) -> dict[str, bytes]:
    """The chunks of a document as they are stored, by name and in order. A chunk that stands in it
    twice is there once: see `names`. `known` are packed chunks that need not be packed again."""
    before = known or {}
    found: dict[str, bytes] = {}
    for piece in cut(document):
        name = name_of(piece)
        if name not in found:
            found[name] = before.get(name) or zlib.compress(piece, _LEVEL)
    return found


def names(document: bytes) -> tuple[str, ...]:
    """The names of a document's chunks, in order."""
    return tuple(name_of(piece) for piece in cut(document))


def joined(wanted: Sequence[str], stored: Sequence[bytes]) -> bytes:
    """The document of stored chunks. Raises ValueError where one is not what its name says."""
    pieces = []
    for name, data in zip(wanted, stored, strict=True):
        unpacker = zlib.decompressobj()
        try:
            piece = unpacker.decompress(data, LARGEST + 1)
        except zlib.error:
            raise ValueError(f"chunk {name} cannot be read") from None
        if len(piece) > LARGEST or name_of(piece) != name:
            raise ValueError(f"chunk {name} has other content")
        pieces.append(piece)
    return b"".join(pieces)
