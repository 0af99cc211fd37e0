"""Tells when a manifest changed.

The file system's events wake it; what counts is whether the files differ from those that were read
last. So a change made while nobody watched, or whose event was lost, is found all the same.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

from watchfiles import Change, awatch

SUFFIXES: Final = frozenset({".yaml", ".yml", ".json"})

SETTLE_MS: Final = 100
"""An editor writes a file in several steps; what follows within this time is one change."""

LOOK_MS: Final = 2000
"""How often it looks without being woken."""

Fingerprint = dict[str, tuple[int, int, int]]
"""Of each manifest: instant of its last change, size, inode."""


def fingerprint(folder: Path) -> Fingerprint:
    """What the manifests of a folder are like now; to be taken before they are read."""
    found: Fingerprint = {}
    for path in folder.rglob("*") if folder.is_dir() else (folder,):
        if path.suffix not in SUFFIXES:
            continue
        with contextlib.suppress(OSError):
            status = path.stat()
            found[str(path)] = (status.st_mtime_ns, status.st_size, status.st_ino)
    return found


async def watch_folder(folder: Path, known: Fingerprint) -> AsyncIterator[None]:
    """Yields after each change of a manifest, beginning with what differs from `known`."""
    async for _ in _looks(folder):
        now = fingerprint(folder)
        if now != known:
            known = now
            yield


async def _looks(folder: Path) -> AsyncIterator[None]:
    """When to look. Where events cannot be had (the folder is gone for a while, a name in it is no
    text), from time to time."""
    while True:
        with contextlib.suppress(Exception):
            async for _ in awatch(
                folder,
                watch_filter=_is_visible,
                step=SETTLE_MS,
                rust_timeout=LOOK_MS,
                yield_on_timeout=True,
            ):
                yield
        await asyncio.sleep(LOOK_MS / 1000)
        yield


def _is_visible(change: Change, path: str) -> bool:
    del change
    return not Path(path).name.startswith(".")
