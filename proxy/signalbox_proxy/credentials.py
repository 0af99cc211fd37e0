"""The providers' credentials: files of one folder, one per key, read by the proxy alone.

A snapshot names a key (`Lane.auth_key`), never a value. Values live in memory only and appear in
no log, no error and no `repr`. Mounted Secrets change under a running process, so files are
looked at again from time to time (`refresh`).
"""

import json
from collections.abc import Iterable
from pathlib import Path

MAX_BYTES = 16_384


class CredentialStore:
    """Credentials by name, as last read."""

    __slots__ = ("_folder", "_stamps", "_values")

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._values: dict[str, str] = {}
        self._stamps: dict[str, tuple[int, int]] = {}

    def __repr__(self) -> str:
        return f"CredentialStore({len(self._values)} credentials)"

    def get(self, name: str) -> str | None:
        """The credential of that name, or None where there is none. No file is touched."""
        return self._values.get(name)

    def refresh(self, names: Iterable[str]) -> list[str]:
        """Read what changed; give those of `names` that are missing.

        What is no longer named stays known while its file is there: a request keeps the snapshot
        that it began with, and so the lanes that only that one has.
        """
        wanted = set(names)
        missing = []
        for name in sorted(wanted | self._values.keys()):
            if not self._read(name):
                self._values.pop(name, None)
                self._stamps.pop(name, None)
                missing.append(name)
        return [name for name in missing if name in wanted]

    def _read(self, name: str) -> bool:
        path = self._folder / name
        if path.name != name:
            return False
        try:
            status = path.stat()
            stamp = (status.st_mtime_ns, status.st_ino)
            if self._stamps.get(name) == stamp:
                return True
            if status.st_size > MAX_BYTES:
                return False
            value = path.read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError):
            return False
        if value.startswith("{"):
            value = _on_one_line(value)
        if not value or not value.isascii() or not value.isprintable():
            return False
        self._values[name] = value
        self._stamps[name] = stamp
        return True


def _on_one_line(document: str) -> str:
    """A JSON document, such as a service account's key, without line breaks; "" if it is none."""
    try:
        return json.dumps(json.loads(document))
    except (ValueError, RecursionError):
        return ""
