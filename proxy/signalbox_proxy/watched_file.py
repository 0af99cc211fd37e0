"""A small file that others replace while this process runs: a mounted Secret, say.

Looked at by its stamp, so that looking costs no read. A mounted Secret changes by a symbolic link
that leads elsewhere: the stamp is that of what the path leads to.
"""

from pathlib import Path

MAX_BYTES = 256 * 1024
"""What is read of a file at most; no file that is meant is as long."""


class WatchedFile:
    """The content of a path, where it differs from what was read last."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._stamp: tuple[int, int, int] | None = None

    def changed(self) -> bytes | None:
        """The content, if it was not given before; None where it was, or cannot be read now."""
        try:
            status = self.path.stat()
            stamp = (status.st_mtime_ns, status.st_ino, status.st_size)
            if stamp == self._stamp:
                return None
            with self.path.open("rb") as file:
                content = file.read(MAX_BYTES)
        except OSError:
            return None
        self._stamp = stamp
        return content

    def forget(self) -> None:
        """Give the content again, although it was given."""
        self._stamp = None
