"""Lists that keep the inventory true: whole ones at the start, lists of names from then on.

Every kind's names and versions are listed every 30 seconds. What is gone without an event goes, and
what came without one is fetched. A kind that cannot be listed (its CRD is not installed, the API
server is away) stays as it is; before it was listed once nothing is compiled.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any, Final

from signalbox_api import KINDS, ResourceKey
from signalbox_operator.cluster.api import ApiError, ClusterApi, custom
from signalbox_operator.inventory import Inventory

EVERY_S: Final = 30.0
AGAIN_S: Final = 1.0
FETCHED_AT_MOST: Final = 200
"""Objects that are fetched one by one; where more are missing, all are listed."""

_AT_ONCE: Final = 8

_log = logging.getLogger("signalbox.operator.lists")


class WatchError(Exception):
    """The watch of a kind brings nothing any more."""


class Lists:
    """Lists for one inventory; `changed` is called when a list brought news."""

    def __init__(self, api: ClusterApi, inventory: Inventory, changed: Callable[[], None]) -> None:
        self._api = api
        self._inventory = inventory
        self._changed = changed
        self._suspects: dict[str, int] = {}

    async def run(self) -> None:
        """Lists all kinds once, then compares names every 30 s, until cancelled.

        Raises WatchError where the watch of a kind is dead.
        """
        while not self._inventory.is_complete:
            await self._first()
            if not self._inventory.is_complete:
                await asyncio.sleep(AGAIN_S)
        while True:
            await asyncio.sleep(EVERY_S)
            for kind in KINDS:
                try:
                    await self._compare(kind)
                except ApiError as error:
                    _log.warning("cannot list %s: %s", kind, error)

    async def everything(self) -> None:
        """Lists every kind whole. Raises ApiError."""
        for kind in KINDS:
            await self._whole(kind)

    async def _first(self) -> None:
        for kind in self._inventory.unlisted:
            try:
                await self._whole(kind)
            except ApiError as error:
                _log.warning("cannot list %s: %s", kind, error)

    async def _whole(self, kind: str) -> None:
        listing = await self._api.list(custom(KINDS[kind].plural))
        if self._inventory.listed(kind, listing) or self._inventory.is_complete:
            self._changed()

    async def _compare(self, kind: str) -> None:
        listing = await self._api.list_metadata(custom(KINDS[kind].plural))
        changed, missing = self._inventory.compared(kind, listing)
        self._suspect(kind, is_behind=bool(changed or missing))
        if len(missing) > FETCHED_AT_MOST:
            await self._whole(kind)
        elif missing:
            changed |= await self._fetch(missing)
        if changed:
            _log.info("a list of %s told of changes that no watch told of", kind)
            self._changed()

    def _suspect(self, kind: str, *, is_behind: bool) -> None:
        """A watch that was behind a list has until the next one to bring anything at all."""
        events = self._inventory.events[kind]
        if self._suspects.pop(kind, None) == events:
            raise WatchError(
                f"{kind} objects changed {EVERY_S:.0f} s ago, and their watch has told of nothing"
            )
        if is_behind:
            self._suspects[kind] = events

    async def _fetch(self, keys: Sequence[ResourceKey]) -> bool:
        gate = asyncio.Semaphore(_AT_ONCE)

        async def one(key: ResourceKey) -> bool:
            async with gate:
                return self._inventory.fetched(key, await self._object(key))

        return any(await asyncio.gather(*(one(key) for key in keys)))

    async def _object(self, key: ResourceKey) -> dict[str, Any] | None:
        try:
            return await self._api.get(custom(KINDS[key.kind].plural, key.namespace, key.name))
        except ApiError as error:
            if error.is_missing:
                return None
            raise
