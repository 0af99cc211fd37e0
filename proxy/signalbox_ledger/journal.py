"""The journal of one incarnation of a proxy: what it dispatched and what became of it.

Append-only. Entries are written with `write()` before the provider sees a byte, without fsync: a
killed process loses nothing, a lost machine is posted as slice loss. What makes a settlement
durable is the authority's commit, so no fsync here could fail and be tried again. The room of a
segment is set aside when it begins: a full disk is met there, not at an entry.

Offsets are logical, over all segments. An entry is a big-endian 32-bit length, the CRC-32 of what
follows, one byte for its kind, and msgpack. The first of every segment names format, holder and
proxy; behind the last are zeros, a length that no entry has.

Whoever can take the lock beside the segments knows that the process is gone.
"""

import errno
import os
import re
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import msgspec

from signalbox_ledger.journal_lock import JournalError, JournalLock
from signalbox_ledger.machine_boot import boot_id
from signalbox_ledger.records import Run

__all__ = [
    "ATTEMPT_ENDED",
    "DISPATCHING",
    "FORMAT",
    "HEADER",
    "KEPT_SEGMENTS",
    "MAX_ENTRY",
    "RECORD",
    "SEGMENT_BYTES",
    "Entry",
    "Journal",
    "JournalError",
    "JournalHeader",
    "JournalLock",
    "Kind",
    "decode_run",
    "encode_run",
    "entries",
    "frame_entry",
    "frame_run",
    "read_range",
    "segment_path",
    "segments_of",
]

Kind = Literal[1, 2, 3, 4]
HEADER: Literal[1] = 1
DISPATCHING: Literal[2] = 2
RECORD: Literal[3] = 3
ATTEMPT_ENDED: Literal[4] = 4
"""A run goes on after an attempt that ended, and nothing of it is in flight."""

FORMAT = 1
SEGMENT_BYTES = 4 * 1024 * 1024
"""Room of a segment behind what it begins with."""

MAX_ENTRY = 4 * 1024 * 1024
KEPT_SEGMENTS = 4
_BATCH_BYTES = 1024 * 1024

_FRAME = struct.Struct(">II")
_SEGMENT = re.compile(r"^(?P<holder>[A-Za-z0-9-]{1,80})\.(?P<start>\d{16})\.journal$")

_encoder = msgspec.msgpack.Encoder()
_run_decoder = msgspec.msgpack.Decoder(Run)


class JournalHeader(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The first entry of a segment. `boot`: see `machine_boot`."""

    format: int
    holder: str
    name: str
    boot: str = ""


class Entry(msgspec.Struct, frozen=True):
    """One entry, and the logical offset behind it."""

    kind: int
    body: bytes
    end: int


def frame_entry(kind: Kind, body: bytes) -> bytes:
    """One entry as it stands in the file."""
    first, length = bytes((kind,)), 1 + len(body)
    if length > MAX_ENTRY:
        raise JournalError(f"entry of {length} bytes is above {MAX_ENTRY}")
    return b"".join((_FRAME.pack(length, zlib.crc32(body, zlib.crc32(first))), first, body))


def entries(data: bytes, start: int = 0) -> Iterator[Entry]:
    """Whole, undamaged entries from the beginning of `data`; stops at the first that is not."""
    position = 0
    while len(data) - position >= _FRAME.size:
        length, crc = _FRAME.unpack_from(data, position)
        end = position + _FRAME.size + length
        if not 0 < length <= MAX_ENTRY or end > len(data):
            return
        content = data[position + _FRAME.size : end]
        if zlib.crc32(content) != crc:
            return
        yield Entry(kind=content[0], body=content[1:], end=start + end)
        position = end


def encode_run(run: Run) -> bytes:
    """A run as the body of an entry. Raises JournalError for what msgpack cannot say."""
    try:
        return _encoder.encode(run)
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        raise JournalError(f"run {run.run_id} cannot be encoded: {error}") from error


def frame_run(kind: Kind, run: Run) -> bytes:
    """A run as an entry. One that is too long goes without its reasons: what was sent and what it
    cost is kept, whatever a request managed to put into a decision."""
    try:
        return frame_entry(kind, encode_run(run))
    except JournalError:
        bare = msgspec.structs.replace(
            run, decision={}, dry_run_refusals=[], refusal_detail="", verdicts=[]
        )
        return frame_entry(kind, encode_run(bare))


def decode_run(body: bytes) -> Run:
    """The run of an entry's body. Raises JournalError."""
    try:
        return _run_decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise JournalError(f"entry is not a run: {error}") from error


class Journal:
    """The journal that a living incarnation appends to.

    Not for several threads. After an error the file is cut back to its last whole entry.
    """

    def __init__(self, directory: Path, holder: str, name: str) -> None:
        self.holder = holder
        self.end = 0
        self._directory = directory
        header = JournalHeader(format=FORMAT, holder=holder, name=name, boot=boot_id())
        self._header = frame_entry(HEADER, _encoder.encode(header))
        self._segments: list[int] = []
        self._room = 0
        self._file = -1
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = JournalLock.take(directory, holder)
        if lock is None:
            raise JournalError(f"incarnation {holder} is taken already")
        self._lock = lock
        self.rotate([])

    def append(self, entry: bytes) -> int:
        """Write one framed entry, for which there is room; give the offset behind it. Raises
        JournalError."""
        position = self.end - self._segments[-1]
        if position + len(entry) > self._room:
            raise JournalError(f"journal of {self.holder}: no room for {len(entry)} bytes")
        try:
            written = os.pwrite(self._file, entry, position)
        except OSError as error:
            raise JournalError(f"journal of {self.holder}: {error.strerror}") from error
        if written != len(entry):
            os.ftruncate(self._file, position)
            self._room = position
            raise JournalError(f"journal of {self.holder}: the disk takes no more")
        self.end += written
        return self.end

    def has_room(self, length: int) -> bool:
        """Whether an entry of so many bytes fits into the segment; else a new one is due."""
        return self.end - self._segments[-1] + length <= self._room

    def free_bytes(self) -> int:
        """What the disk of the journal has left for this process."""
        disk = os.statvfs(self._directory)
        return disk.f_bavail * disk.f_frsize

    def rotate(self, carried: list[bytes], *, room_for: int = 0) -> None:
        """Begin a segment and set its room aside. `carried` entries are what is still dispatched:
        written again, so that earlier segments can go. Raises JournalError; the old segment then
        goes on."""
        path = self._path(self.end)
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        beginning = b"".join((self._header, *carried))
        room = len(beginning) + max(SEGMENT_BYTES, room_for)
        try:
            file = os.open(path, flags, 0o600)
        except OSError as error:
            raise JournalError(f"journal of {self.holder}: {error.strerror}") from error
        try:
            os.posix_fallocate(file, 0, room)
            _write_whole(file, beginning)
        except OSError as error:
            os.close(file)
            path.unlink()
            raise JournalError(f"journal of {self.holder}: {error.strerror}") from error
        if self._file >= 0:
            os.close(self._file)
        self._file = file
        self._room = room
        self._segments.append(self.end)
        self.end += len(beginning)

    def read(self, start: int, end: int) -> bytes:
        """Bytes between two offsets, over segments. Raises JournalError."""
        return read_range(self._directory, self.holder, self._segments, (start, end))

    def read_entries(self, start: int, end: int) -> bytes:
        """Whole entries from `start` on, up to about a megabyte, none beyond `end`.

        Raises JournalError where they are not kept.
        """
        data = self.read(start, min(end, start + MAX_ENTRY + _FRAME.size))
        reached = start
        for entry in entries(data, start):
            if entry.end - start > _BATCH_BYTES and reached > start:
                break
            reached = entry.end
        if reached == start:
            raise JournalError(f"journal of {self.holder}: no entry begins at {start}")
        return data[: reached - start]

    @property
    def kept_from(self) -> int:
        """The first offset that is still on disk."""
        return self._segments[0]

    def forget(self, acknowledged: int) -> None:
        """Delete segments that are settled as a whole, but for the newest few: a database that
        fails over to a copy may have lost what it settled last."""
        settled = sum(start <= acknowledged for start in self._segments[1:])
        for start in self._segments[: max(0, settled - KEPT_SEGMENTS)]:
            self._path(start).unlink(missing_ok=True)
            self._segments.remove(start)

    def close(self, *, settled: bool) -> None:
        """Close it; with nothing left to recover, delete it."""
        os.close(self._file)
        if not settled:
            self._lock.release()
            return
        for start in self._segments:
            self._path(start).unlink(missing_ok=True)
        self._lock.remove()

    def _path(self, start: int) -> Path:
        return segment_path(self._directory, self.holder, start)


def _write_whole(file: int, data: bytes) -> None:
    if os.pwrite(file, data, 0) != len(data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def segment_path(directory: Path, holder: str, start: int) -> Path:
    """Where the segment of `holder` that begins at offset `start` lies."""
    return directory / f"{holder}.{start:016d}.journal"


def segments_of(directory: Path, holder: str) -> list[int]:
    """Offsets at which the segments of `holder` begin, ascending."""
    found = (_SEGMENT.match(path.name) for path in directory.glob(f"{holder}.*.journal"))
    return sorted(int(match["start"]) for match in found if match and match["holder"] == holder)


def read_range(directory: Path, holder: str, segments: list[int], span: tuple[int, int]) -> bytes:
    """Bytes of the span [start, end) of a journal made of `segments`."""
    start, end = span
    parts: list[bytes] = []
    for index, first in enumerate(segments):
        following = segments[index + 1] if index + 1 < len(segments) else end
        low, high = max(start, first), min(end, following)
        if low >= high:
            continue
        with segment_path(directory, holder, first).open("rb", buffering=0) as file:
            parts.append(os.pread(file.fileno(), high - low, low - first))
    data = b"".join(parts)
    if len(data) != end - start:
        raise JournalError(f"journal of {holder}: bytes {start} to {end} are not all there")
    return data
