"""The lock beside a journal: whoever can take it knows that the process which wrote it is gone."""

import fcntl
import os
import re
from pathlib import Path

_HOLDER = re.compile(r"^[A-Za-z0-9-]{1,80}$")


class JournalError(Exception):
    """The journal cannot be written or read; nothing may be dispatched."""


class JournalLock:
    """The lock that an incarnation holds while its process lives."""

    __slots__ = ("_file", "path")

    def __init__(self, path: Path, file: int) -> None:
        self.path = path
        self._file = file

    @classmethod
    def take(cls, directory: Path, holder: str) -> "JournalLock | None":
        """Take the lock of `holder`, or None where its process lives (or it has no lock)."""
        if not _HOLDER.match(holder):
            raise JournalError(f"not a holder id: {holder!r}")
        path = directory / f"{holder}.lock"
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(file)
            return None
        if os.fstat(file).st_nlink == 0:
            os.close(file)
            return None
        return cls(path, file)

    def remove(self) -> None:
        """Release it and leave nothing behind."""
        self.path.unlink(missing_ok=True)
        os.close(self._file)

    def release(self) -> None:
        """Release it; the file stays for whoever recovers the incarnation."""
        os.close(self._file)


def holders_in(directory: Path) -> list[str]:
    """Incarnations that left a lock in `directory`, alive or not."""
    return sorted(path.stem for path in directory.glob("*.lock") if _HOLDER.match(path.stem))
