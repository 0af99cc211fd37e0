"""The last good snapshot on disk: what a proxy starts from when nobody answers.

Written whole or not at all: to a file beside it, synced, then renamed. The highest generation
ever accepted stays there, so that an older one is refused even after a restart.
"""

import os
from pathlib import Path


class LastGood:
    """The envelope that this proxy runs, as a file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> bytes | None:
        """The stored envelope, or None where there is none that can be read."""
        try:
            return self._path.read_bytes()
        except OSError:
            return None

    def write(self, envelope: bytes) -> None:
        """Replace the stored envelope. Raises OSError; the old one then stays."""
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        beside = self._path.with_suffix(".new")
        with beside.open("wb") as file:
            file.write(envelope)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(self._path)
        folder = os.open(self._path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
