"""Write Amazon's event streams: one binary message per event.

Lengths and checksums as in the Amazon Event Stream Specification: total length, headers' length,
CRC32 of both, headers (name, type 7, value), payload, CRC32 of everything before.
"""

from __future__ import annotations

import zlib

import msgspec

CONTENT_TYPE = "application/vnd.amazon.eventstream"
STRING = 7
PADDING = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"


def event(name: str, document: dict[str, object]) -> bytes:
    """Give an event, padded as Bedrock pads against guesses by length."""
    padded = {**document, "p": PADDING[: 1 + len(str(document)) % len(PADDING)]}
    headers = {
        ":event-type": name,
        ":content-type": "application/json",
        ":message-type": "event",
    }
    return frame(headers, msgspec.json.encode(padded))


def exception(name: str, message: str) -> bytes:
    """Give an exception, which ends a stream."""
    headers = {
        ":exception-type": name,
        ":content-type": "application/json",
        ":message-type": "exception",
    }
    return frame(headers, msgspec.json.encode({"message": message}))


def frame(headers: dict[str, str], payload: bytes) -> bytes:
    """Give one message."""
    written = b"".join(_header(name, value) for name, value in headers.items())
    total = 12 + len(written) + len(payload) + 4
    prelude = total.to_bytes(4, "big") + len(written).to_bytes(4, "big")
    message = prelude + _checksum(prelude) + written + payload
    return message + _checksum(message)


def _header(name: str, value: str) -> bytes:
    encoded, data = name.encode(), value.encode()
    return bytes([len(encoded)]) + encoded + bytes([STRING]) + len(data).to_bytes(2, "big") + data


def _checksum(data: bytes) -> bytes:
    return zlib.crc32(data).to_bytes(4, "big")
