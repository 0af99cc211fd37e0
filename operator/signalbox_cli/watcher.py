"""Tells when a manifest changed."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

from watchfiles import Change, awatch

SUFFIXES: Final = (".yaml", ".yml", ".json")
SETTLE_MS: Final = 200
"""An editor writes a file in several steps; what follows within this time is one change."""


async def watch_folder(folder: Path) -> AsyncIterator[None]:
    """Yields after each change of a manifest in the folder, or of the one file."""
    async for _ in awatch(
        folder, watch_filter=_is_manifest, step=SETTLE_MS, debounce=SETTLE_MS * 8
    ):
        yield


def _is_manifest(change: Change, path: str) -> bool:
    del change
    name = Path(path).name
    return not name.startswith(".") and name.endswith(SUFFIXES)
