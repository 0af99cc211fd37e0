"""The head: which snapshot is released, as which generation. One file, changed by compare-and-swap.

The file holds the envelope of the released snapshot. Writers take an exclusive lock on a file
beside it (flock(2)), so that two control planes on one machine cannot release the same generation
twice; readers need none, because the file is replaced whole (rename(2)).
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from signalbox_snapshot import codec, envelope
from signalbox_snapshot.envelope import Envelope

_MODE: Final = 0o600
_ENCODER: Final = msgspec.json.Encoder(order="sorted")


class HeadError(Exception):
    """The head file cannot be read; the message says where it lies and what to do."""


class HeadMovedError(Exception):
    """Another control plane released in the meantime; read the head again and compile again."""


class Head(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is released: generation (from 1), version, and the envelope in which it travels."""

    generation: int
    version: str
    envelope: Envelope

    @property
    def sealed(self) -> bytes:
        """The envelope as it is sent to proxies."""
        return envelope.encode(self.envelope)


_DECODER: Final = msgspec.json.Decoder(Head, strict=True)


@dataclass(frozen=True, slots=True)
class HeadStore:
    """The head object of a fleet on one machine."""

    path: Path

    def read(self) -> Head | None:
        """The head, None before the first release. Raises HeadError for a damaged file."""
        try:
            data = self.path.read_bytes()
        except FileNotFoundError:
            return None
        try:
            head = _DECODER.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise self._damaged() from None
        sealed = head.envelope
        if (head.generation, head.version) != (sealed.generation, sealed.version):
            raise self._damaged()
        if codec.version(sealed.snapshot.encode()) != head.version:
            raise self._damaged()
        return head

    def compare_and_swap(self, expected_generation: int, sealed: Envelope) -> Head:
        """Replaces the head, if it still has the expected generation (0: none yet).

        The new file is on the disk when this returns. Raises HeadMovedError otherwise.
        """
        head = Head(generation=sealed.generation, version=sealed.version, envelope=sealed)
        with self._locked():
            current = self.read()
            generation = 0 if current is None else current.generation
            if generation != expected_generation:
                raise HeadMovedError(
                    f"the head is at generation {generation}, not {expected_generation}"
                )
            self._replace(_ENCODER.encode(head))
        return head

    @contextmanager
    def _locked(self) -> Iterator[None]:
        lock = os.open(self.path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _MODE)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    def _replace(self, data: bytes) -> None:
        fresh = self.path.with_suffix(".new")
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, _MODE)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self.path)
        folder = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def _damaged(self) -> HeadError:
        return HeadError(
            f"{self.path} is damaged. Proxies serve on. Restore it from a proxy's snapshot.json:"
            " a new file would start again at generation 1, which running proxies refuse"
        )
