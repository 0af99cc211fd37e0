"""Frames on the authority's Unix socket.

A frame is a length and a request number (two big-endian 32-bit integers; the length counts what
follows the number) and a msgpack array, see `signalbox_ledger.protocol`. Decoding is strict and
bounded: what is no message of the protocol raises FrameError.
"""

import struct
from typing import TypeVar

import msgspec

from signalbox_ledger.desk_protocol import AnyReply, AnyRequest
from signalbox_ledger.protocol import Message, Reply

MAX_FRAME = 8 * 1024 * 1024
HEADER = struct.Struct(">II")

Read = TypeVar("Read")

_encoder = msgspec.msgpack.Encoder()
_request_decoder: msgspec.msgpack.Decoder[AnyRequest] = msgspec.msgpack.Decoder(AnyRequest)
_reply_decoder: msgspec.msgpack.Decoder[Reply] = msgspec.msgpack.Decoder(Reply)
_any_reply_decoder: msgspec.msgpack.Decoder[AnyReply] = msgspec.msgpack.Decoder(AnyReply)


class FrameError(Exception):
    """What came in is not a frame of this protocol; the connection is of no further use."""


def frame(number: int, message: Message) -> bytes:
    """One message as it goes over the wire. Raises FrameError above `MAX_FRAME`."""
    body = _encoder.encode(message)
    if len(body) > MAX_FRAME:
        raise FrameError(f"message of {len(body)} bytes is above {MAX_FRAME}")
    return HEADER.pack(len(body), number) + body


def decode_request(body: bytes) -> AnyRequest:
    """Read a request. Raises FrameError."""
    try:
        return _request_decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise FrameError(f"not a request: {error}") from error


def decode_reply(body: bytes) -> Reply:
    """Read a reply to a proxy. Raises FrameError."""
    return _reply(_reply_decoder, body)


def decode_any_reply(body: bytes) -> AnyReply:
    """Read a reply to a proxy or to a person. Raises FrameError."""
    return _reply(_any_reply_decoder, body)


def _reply(decoder: msgspec.msgpack.Decoder[Read], body: bytes) -> Read:
    try:
        return decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise FrameError(f"not a reply: {error}") from error


class FrameReader:
    """Cuts a stream of bytes into frames. Holds at most one unfinished frame."""

    __slots__ = ("_buffer",)

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        """Add what came in; give the (number, body) of every frame that is whole."""
        buffer = self._buffer
        buffer += data
        frames: list[tuple[int, bytes]] = []
        position = 0
        while len(buffer) - position >= HEADER.size:
            length, number = HEADER.unpack_from(buffer, position)
            if length > MAX_FRAME:
                raise FrameError(f"frame of {length} bytes is above {MAX_FRAME}")
            end = position + HEADER.size + length
            if len(buffer) < end:
                break
            frames.append((number, bytes(buffer[position + HEADER.size : end])))
            position = end
        del buffer[:position]
        return frames
