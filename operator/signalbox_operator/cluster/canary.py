"""The canary: proof that watches bring what is written.

An annotation of the Fleet is changed every 10 seconds, and must come back through the watch. Where
it was written and does not come back within 30 seconds, the watches are dead whatever they say, and
the process ends: its supervisor starts another. While nothing can be written, nothing is concluded.
"""

import asyncio
import logging
import time
from collections.abc import Mapping
from typing import Any, Final

from signalbox_api.base import API_VERSION
from signalbox_operator.cluster.api import ApiError, ClusterApi, custom
from signalbox_operator.listing import version_number

ANNOTATION: Final = "signalbox.dev/canary"
EVERY_S: Final = 10.0
UNSEEN_S: Final = 30.0

_log = logging.getLogger("signalbox.operator.canary")


class CanaryError(Exception):
    """What was written did not come back through the watch."""


class Canary:
    """Touches the Fleet of one operator, and waits to see it."""

    def __init__(
        self,
        api: ClusterApi,
        namespace: str,
        fleet: str,
        *,
        every_s: float = EVERY_S,
        unseen_s: float = UNSEEN_S,
    ) -> None:
        self._api = api
        self._namespace = namespace
        self._fleet = fleet
        self._every_s = every_s
        self._unseen_s = unseen_s
        self._waiting_since: float | None = None
        self._version = ""

    def seen(self, metadata: Mapping[str, Any]) -> None:
        """The watch brought a version of the Fleet."""
        came, written = version_number(metadata["resourceVersion"]), version_number(self._version)
        if metadata["resourceVersion"] == self._version or (
            came is not None and written is not None and came >= written
        ):
            self._waiting_since = None

    async def run(self) -> None:
        """Touches until cancelled. Raises CanaryError once a touch was not seen in time."""
        while True:
            await self._touch()
            await asyncio.sleep(self._every_s)
            since = self._waiting_since
            if since is not None and time.monotonic() - since > self._unseen_s:
                raise CanaryError(
                    f"Fleet {self._fleet} was changed {self._unseen_s:.0f} s ago, and no watch"
                    " told of it"
                )

    async def _touch(self) -> None:
        note = {"metadata": {"annotations": {ANNOTATION: str(time.time_ns())}}}
        path = custom("fleets", self._namespace, self._fleet)
        try:
            touched = await self._touched(path, note)
        except ApiError as error:
            self._waiting_since = None
            _log.warning("cannot touch the Fleet: %s", error)
            return
        self._version = touched["metadata"]["resourceVersion"]
        if self._waiting_since is None:
            self._waiting_since = time.monotonic()

    async def _touched(self, path: str, note: dict[str, Any]) -> dict[str, Any]:
        try:
            return await self._api.merge(path, note)
        except ApiError as error:
            if not error.is_missing:
                raise
        metadata = {"name": self._fleet, "namespace": self._namespace} | note["metadata"]
        body = {"apiVersion": API_VERSION, "kind": "Fleet", "metadata": metadata, "spec": {}}
        return await self._api.create(custom("fleets", self._namespace), body)
