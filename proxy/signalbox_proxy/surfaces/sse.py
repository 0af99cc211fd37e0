"""Server-sent events as bytes: cut a stream into whole events, however the network split it.

Follows the WHATWG event-stream format (lines end with LF, CRLF or CR; a blank line ends an
event; lines that begin with a colon are comments). Bytes are never re-encoded: what is passed on
is what came.
"""

import re
from collections.abc import Iterator
from typing import Final

MAX_EVENT: Final = 8 * 1024 * 1024
"""Largest single event, in bytes."""

_BLANK_LINE: Final = re.compile(rb"(?>\r\n|\n|\r)(?>\r\n|\n|\r)")


class EventTooLargeError(ValueError):
    """An event exceeded `MAX_EVENT`."""


class EventSplitter:
    """Collects bytes and gives whole events, each with its closing blank line.

    Time is linear in the bytes, whatever the chunks: no byte is searched twice except the last
    few of a chunk.
    """

    __slots__ = ("_buffer", "_has_cr", "_searched")

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._searched = 0
        self._has_cr = False

    def split(self, data: bytes) -> list[bytes]:
        """Take the next bytes, give the events that they complete. Raises EventTooLargeError."""
        if not self._has_cr and b"\r" in data:
            self._has_cr = True
        if not (self._buffer or self._has_cr) and data.endswith(b"\n\n"):  # whole events, mostly
            events = [event + b"\n\n" for event in data[:-2].split(b"\n\n")]
            self._searched = 0
            return events
        self._buffer += data
        events = self._split_any() if self._has_cr else self._split_lf()
        if len(self._buffer) > MAX_EVENT:
            raise EventTooLargeError(f"an event is larger than {MAX_EVENT} bytes")
        return events

    def rest(self) -> bytes:
        """What is left of an event that was not ended; the splitter is empty afterwards."""
        rest = bytes(self._buffer)
        self._buffer.clear()
        self._searched = 0
        return rest

    def _split_lf(self) -> list[bytes]:
        buffer = self._buffer
        last = buffer.rfind(b"\n\n", self._searched)
        if last < 0:
            self._searched = max(0, len(buffer) - 1)
            return []
        whole = bytes(buffer[:last])
        del buffer[: last + 2]
        self._searched = max(0, len(buffer) - 1)
        return [event + b"\n\n" for event in whole.split(b"\n\n")]

    def _split_any(self) -> list[bytes]:
        buffer = self._buffer
        events: list[bytes] = []
        start = 0
        for match in _BLANK_LINE.finditer(buffer, self._searched):
            if match.end() == len(buffer) and buffer.endswith(b"\r"):
                break  # perhaps half of a CRLF; the next bytes tell
            events.append(bytes(buffer[start : match.end()]))
            start = match.end()
        del buffer[:start]
        self._searched = max(0, len(buffer) - 3)
        return events


def data_of(event: bytes) -> bytes:
    """The data of an event, several data lines joined by LF; b"" if it has none."""
    if event.startswith(b"data: ") and event.count(b"\n") == 2 and b"\r" not in event:
        return event[6:-2]
    parts = [value for name, value in fields_of(event) if name == b"data"]
    return b"\n".join(parts)


def fields_of(event: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The fields of an event in order, comments left out."""
    for line in event.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n"):
        name, _, value = line.partition(b":")
        if name:
            yield name, value.removeprefix(b" ")
