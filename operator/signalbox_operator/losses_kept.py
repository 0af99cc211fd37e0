"""Holds of the loss guard outlive the operator: written down when they change, read when it begins.

An operator that starts again finds the objects gone and their forms in the last release. Most holds
it would make anew from that; one of which almost everything came back, or that was made of several
small steps, it would not, and values that people copied would be good no more.
"""

import logging
import zlib
from collections.abc import Collection, Iterable, Mapping
from typing import Final, Protocol

import msgspec

from signalbox_api import Resource, ResourceKey
from signalbox_operator.losses import ANNOTATION, LossGuard, Remembered

MAX_BYTES: Final = 900_000
"""As a ConfigMap holds it, base64 aside: the API server takes 1 MiB."""

_SHOWN: Final = 3
_MOST_WRITTEN: Final = 64 * 1024 * 1024
_DECODER: Final = msgspec.json.Decoder(tuple[Remembered, ...])

_log = logging.getLogger("signalbox.operator.losses")


class HoldStore(Protocol):
    """Where holds are written down, as bytes."""

    @property
    def place(self) -> str:
        """Where that is, as people find it."""

    async def read(self) -> bytes | None:
        """What was kept last, None where nothing was. Raises where that cannot be told."""

    async def keep(self, data: bytes) -> None:
        """Keeps this instead. Raises where it is not kept."""


class HoldsUnknownError(Exception):
    """There are holds, and what they hold is not known: a release would let it go. The message says
    what to do."""


class KeptHolds:
    """Keeps what a guard remembers. Without a store nothing outlives the process."""

    def __init__(self, guard: LossGuard, store: HoldStore | None) -> None:
        self._guard = guard
        self._store = store
        self._kept: tuple[Remembered, ...] | None = None

    async def begin(
        self,
        in_force: Mapping[ResourceKey, Resource],
        present: Iterable[ResourceKey],
        confirmed: str,
    ) -> None:
        """Goes on with what was kept; `in_force`, `present` and `confirmed` as `LossGuard.held` has
        them. Nothing may be let go before: raises as the store does, and HoldsUnknownError where
        what was kept is damaged, or where what it holds is neither in force, as far as known (the
        head or its accepted forms may be lost), nor there again, nor confirmed.
        """
        if self._store is None:
            return
        data = await self._store.read()
        try:
            kept = read_holds(data) if data is not None else ()
        except ValueError as error:
            raise HoldsUnknownError(
                f"{self._store.place}: {error}. Restore it; or, if everything that is gone is meant"
                " to be, delete it"
            ) from None
        known = in_force.keys() | frozenset(present)
        for hold in kept:
            self._require_known(hold, known, confirmed)
        self._kept = kept
        self._guard.resume(kept, in_force)

    def _require_known(
        self, hold: Remembered, known: Collection[ResourceKey], confirmed: str
    ) -> None:
        values = [value for _, value in hold.chain]
        granted = values.index(confirmed) + 1 if confirmed in values else 0
        lacking = sorted(key for key, _ in hold.chain[granted:] if key not in known)
        if lacking:
            listed = ", ".join(map(str, lacking[:_SHOWN]))
            raise HoldsUnknownError(
                f"{len(lacking)} objects are gone and held, and the forms in which they serve are"
                f" not known: {listed}. Restore the head and its chunks, or the objects; or, if the"
                f" loss is meant: kubectl annotate fleet {self._guard.fleet} {ANNOTATION}="
                f"{values[-1]} --overwrite -n {self._guard.platform}"
            )

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
