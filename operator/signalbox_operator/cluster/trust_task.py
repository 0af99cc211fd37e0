"""Looks after the release's Secrets while the operator runs, and tells what it came to."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from signalbox_operator.cluster.api import ApiError, ClusterApi, custom
from signalbox_operator.cluster.release_secrets import NOTE
from signalbox_operator.cluster.trust_keeper import FleetTrust, TrustKeeper, TrustLook
from signalbox_operator.trust import RINGS

PERIOD_S: Final = 5.0

_log = logging.getLogger("signalbox.operator.trust")


def requests_of(fleet: Mapping[str, Any]) -> dict[str, str]:
    """What people wrote to a Fleet to have a ring changed: the value of its annotation
    `signalbox.dev/rotate-RING`, any text that was not there before."""
    annotations = (fleet.get("metadata") or {}).get("annotations") or {}
    found = {ring: str(annotations.get(f"{NOTE}rotate-{ring}", ""))[:256] for ring in RINGS}
    return {ring: value for ring, value in found.items() if value}


class TrustTask:
    """A loop over `TrustKeeper.look`. `known` tells of proxies and head, without the requests;
    `look` is what the last one came to, None before the first."""

    def __init__(self, api: ClusterApi, *, namespace: str, release: str, fleet: str) -> None:
        self._api = api
        self._fleet_path = custom("fleets", namespace, fleet)
        self._keeper = TrustKeeper(
            api, namespace=namespace, release=release, clock=lambda: datetime.now(UTC)
        )
        self._said: tuple[str, ...] = ()
        self.known: Callable[[], FleetTrust] = FleetTrust
        self.look: TrustLook | None = None

    async def run(self) -> None:
        """Looks until cancelled. What fails is told and tried again."""
        while True:
            try:
                self.look = await self._look()
            except (ApiError, ValueError) as error:
                self._tell((f"the Secrets of the release cannot be looked after: {error}",))
            else:
                self._tell((*self.look.problems, *self.look.waiting))
            await asyncio.sleep(PERIOD_S)

    async def _look(self) -> TrustLook:
        known = self.known()
        requests = await self._requests()
        return await self._keeper.look(FleetTrust(known.proxies, known.head_key, requests))

    async def _requests(self) -> dict[str, str]:
        try:
            return requests_of(await self._api.get(self._fleet_path))
        except ApiError as error:
            if error.is_missing:
                return {}
            raise

    def _tell(self, sentences: tuple[str, ...]) -> None:
        if sentences != self._said:
            for sentence in sentences:
                _log.warning("%s", sentence)
            self._said = sentences
