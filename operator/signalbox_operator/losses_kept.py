"""Holds of the loss guard outlive the operator: written down when they change, read when it begins.

An operator that starts again finds the objects gone and their forms in the last release. Most holds
it would make anew from that; one of which almost everything came back, or that was made of several
small steps, it would not, and values that people copied would be good no more.
"""

import logging
import zlib
from collections.abc import Mapping
from typing import Final, Protocol

import msgspec

from signalbox_api import Resource, ResourceKey
from signalbox_operator.losses import LossGuard, Remembered

MAX_BYTES: Final = 900_000
"""As a ConfigMap holds it, base64 aside: the API server takes 1 MiB."""

_MOST_WRITTEN: Final = 64 * 1024 * 1024
_DECODER: Final = msgspec.json.Decoder(tuple[Remembered, ...])

_log = logging.getLogger("signalbox.operator.losses")


class HoldStore(Protocol):
    """Where holds are written down, as bytes."""

    async def read(self) -> bytes | None:
        """What was kept last, None where nothing was. Raises where that cannot be told."""

    async def keep(self, data: bytes) -> None:
        """Keeps this instead. Raises where it is not kept."""


class KeptHolds:
    """Keeps what a guard remembers. Without a store nothing outlives the process."""

    def __init__(self, guard: LossGuard, store: HoldStore | None) -> None:
        self._guard = guard
        self._store = store
        self._kept: tuple[Remembered, ...] | None = None

    async def begin(self, in_force: Mapping[ResourceKey, Resource]) -> None:
        """Goes on with what was kept. Raises as the store does: nothing may be let go before."""
        if self._store is None:
            return
        data = await self._store.read()
        try:
            self._kept = read_holds(data) if data is not None else ()
        except ValueError as error:
            _log.error("holds of before are not known: %s", error)
            self._kept = ()
        self._guard.resume(self._kept, in_force)

    async def keep(self) -> None:
        """Writes down what changed, before anything is released by it."""
        holds = self._guard.remembered()
        if self._store is None or holds == self._kept:
            return
        data = written_holds(holds)
        if len(data) > MAX_BYTES:
            _log.error("holds of %d bytes are too large to outlive this process", len(data))
        else:
            await self._store.keep(data)
        self._kept = holds


def written_holds(holds: tuple[Remembered, ...]) -> bytes:
    """Holds as they are kept."""
    return zlib.compress(msgspec.json.encode(holds), 6)


def read_holds(data: bytes) -> tuple[Remembered, ...]:
    """Raises ValueError for what was not written by `written_holds`."""
    unpacking = zlib.decompressobj()
    try:
        return _DECODER.decode(unpacking.decompress(data, _MOST_WRITTEN))
    except (zlib.error, msgspec.DecodeError) as error:
        raise ValueError(f"what is kept of them is damaged: {error}") from None
