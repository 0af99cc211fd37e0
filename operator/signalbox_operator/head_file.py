"""The head as a file, for `signalbox up`: one machine, several processes at most.

The file holds the envelope of the released snapshot. Writers take an exclusive lock on a file
beside it (flock(2)), so that two control planes on one machine cannot release the same generation
twice; readers need none, because the file is replaced whole (rename(2)). Chunks of the history are
files in a folder beside it.
"""

import fcntl
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from signalbox_operator import chunks as chunking
from signalbox_operator.head import ENCODER, Head, HeadError, HeadMovedError

_MODE: Final = 0o600
_DECODER: Final = msgspec.json.Decoder(Head, strict=True)


@dataclass(frozen=True, slots=True)
class FileHeadStore:
    """The head object of a fleet on one machine."""

    path: Path

    def read_file(self) -> Head | None:
        """The head, None before the first release. Raises HeadError for a damaged file."""
        try:
            data = self.path.read_bytes()
        except FileNotFoundError:
            return None
        try:
            head = _DECODER.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise self._damaged() from None
        if not head.is_whole:
            raise self._damaged()
        return head

    def swap_file(self, expected_generation: int, head: Head) -> Head:
        """Replaces the head, if it still has the expected generation (0: none yet).

        The new file is on the disk when this returns. Raises HeadMovedError otherwise.
        """
        with self._locked():
            current = self.read_file()
            generation = 0 if current is None else current.generation
            if generation != expected_generation:
                raise HeadMovedError(
                    f"the head is at generation {generation}, not {expected_generation}"
                )
            self._replace(self.path, ENCODER.encode(head))
        return head

    async def read(self) -> Head | None:
        """See HeadStore."""
        return self.read_file()

    async def compare_and_swap(self, expected_generation: int, head: Head) -> Head:
        """See HeadStore."""
        return self.swap_file(expected_generation, head)

    async def keep(self, chunks: Mapping[str, bytes], generation: int) -> None:
        """See HeadStore."""
        del generation  # one writer at a time: nothing is swept while a release is under way
        self._folder.mkdir(mode=0o700, exist_ok=True)
        for name, packed in chunks.items():
            if not (self._folder / name).exists():
                self._replace(self._folder / name, packed)

    async def fetch(self, names: Sequence[str]) -> bytes:
        """See HeadStore."""
        try:
            packed = [(self._folder / name).read_bytes() for name in names]
            return chunking.joined(names, packed)
        except (FileNotFoundError, ValueError) as error:
            raise HeadError(f"{self._folder} is damaged: {error}") from None

    async def sweep(self, head: Head) -> None:
        """See HeadStore."""
        if self._folder.is_dir():
            for path in self._folder.iterdir():
                if path.name not in head.sizes:
                    path.unlink(missing_ok=True)

    @property
    def _folder(self) -> Path:
        return self.path.with_name("history")

    @contextmanager
    def _locked(self) -> Iterator[None]:
        lock = os.open(self.path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _MODE)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    def _replace(self, path: Path, data: bytes) -> None:
        fresh = path.with_suffix(".new")
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, _MODE)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def _damaged(self) -> HeadError:
        return HeadError(
            f"{self.path} is damaged. Proxies serve on. Restore it from a proxy's snapshot.json:"
            " a new file would start again at generation 1, which running proxies refuse"
        )
