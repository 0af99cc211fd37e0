"""Amazon event streams as bytes: cut a stream into whole messages, each one checked.

Binary framing of `application/vnd.amazon.eventstream`, as the Amazon Event Stream Specification
(smithy.io, AWS protocols) has it: total length, length of headers, CRC32 of these two, headers,
payload, CRC32 of all before. A stream that fails a check cannot be read on: there is nothing in it
by which the next message could be found.
"""

import struct
from collections.abc import Iterator
from typing import Final, NamedTuple
from zlib import crc32

from signalbox_proxy.translation.contract import Unreadable

MAX_MESSAGE: Final = 8 * 1024 * 1024
"""Largest single message, in bytes; what its length claims is not waited for beyond that."""

_PRELUDE: Final = struct.Struct(">III")
_CRC: Final = struct.Struct(">I")
_LENGTH: Final = struct.Struct(">H")
_LEAST: Final = _PRELUDE.size + _CRC.size
_STRING: Final = 7
_BYTES: Final = 6
_FIXED: Final = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}
"""Bytes that a header's value takes, by type: booleans, integers, a timestamp, a UUID."""


class Message(NamedTuple):
    """One message: its headers of type string, and its payload."""

    headers: dict[str, str]
    payload: bytes


class MessageSplitter:
    """Collects bytes and gives whole messages. Time is linear in the bytes, whatever the chunks."""

    __slots__ = ("_buffer",)

    def __init__(self) -> None:
        self._buffer = bytearray()

    def split(self, data: bytes) -> Iterator[Message]:
        """Take the next bytes, give the messages that they complete.

        Raises `Unreadable` behind the last good message, and for all that comes after it.
        """
        buffer = self._buffer
        buffer += data
        position = 0
        try:
            while len(buffer) - position >= _PRELUDE.size:
                length = _length(buffer, position)
                if len(buffer) - position < length:
                    break
                message = _message(bytes(buffer[position : position + length]))
                position += length
                yield message
        finally:
            del buffer[:position]

    @property
    def is_empty(self) -> bool:
        """Whether no message is begun."""
        return not self._buffer


def _length(buffer: bytearray, position: int) -> int:
    """The length of the message that begins here, once its prelude is checked."""
    length, headers, checksum = _PRELUDE.unpack_from(buffer, position)
    if crc32(buffer[position : position + 8]) != checksum:
        raise Unreadable("a message of the stream has a wrong checksum in its prelude")
    if length > MAX_MESSAGE:
        raise Unreadable(f"a message of the stream is larger than {MAX_MESSAGE} bytes")
    if length < _LEAST + headers:
        raise Unreadable("a message of the stream is shorter than its headers")
    return int(length)


def _message(data: bytes) -> Message:
    headers_length = _PRELUDE.unpack_from(data)[1]
    (checksum,) = _CRC.unpack_from(data, len(data) - _CRC.size)
    if crc32(data[: -_CRC.size]) != checksum:
        raise Unreadable("a message of the stream has a wrong checksum")
    end = _PRELUDE.size + headers_length
    try:
        headers = dict(_headers(data[_PRELUDE.size : end]))
    except (struct.error, IndexError, UnicodeDecodeError):
        raise Unreadable("a message of the stream has malformed headers") from None
    return Message(headers, data[end : -_CRC.size])


def _headers(data: bytes) -> Iterator[tuple[str, str]]:
    """The headers of type string; the others are passed over."""
    position = 0
    while position < len(data):
        name_end = position + 1 + data[position]
        name = data[position + 1 : name_end].decode()
        kind = data[name_end]
        position = name_end + 1
        if kind in (_STRING, _BYTES):
            (length,) = _LENGTH.unpack_from(data, position)
            position += _LENGTH.size + length
            if kind == _STRING:
                yield name, data[position - length : position].decode()
        elif kind in _FIXED:
            position += _FIXED[kind]
        else:
            raise Unreadable(f"a message of the stream has a header of the unknown type {kind}")
    if position != len(data):
        raise Unreadable("a message of the stream has malformed headers")
