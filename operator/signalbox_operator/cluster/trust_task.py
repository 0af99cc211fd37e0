"""Looks after the release's Secrets while the operator runs, and tells what it came to."""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from signalbox_operator.cluster.api import ApiError, ClusterApi, custom
from signalbox_operator.cluster.trust_keeper import FleetTrust, TrustKeeper, TrustLook
from signalbox_operator.trust import RINGS, TrustTold, request_annotation

PERIOD_S: Final = 5.0
FAILING_S: Final = 60.0
"""A look that fails is told of the Fleet after so long: an API server that restarts is no news."""

_log = logging.getLogger("signalbox.operator.trust")


def requests_of(fleet: Mapping[str, Any]) -> dict[str, str]:
    """What people wrote to a Fleet to have a ring changed: the value of its annotation
    `signalbox.dev/rotate-RING`, any text that was not there before."""
    annotations = (fleet.get("metadata") or {}).get("annotations") or {}
    found = {ring: str(annotations.get(request_annotation(ring), ""))[:256] for ring in RINGS}
    return {ring: value for ring, value in found.items() if value}


class TrustTask:
    """A loop over `TrustKeeper.look`. `known` tells of proxies and head, without the requests;
    `look` is what the last one came to, None before the first; `told` what status says of it."""

    def __init__(self, api: ClusterApi, *, namespace: str, release: str, fleet: str) -> None:
        self._api = api
        self._fleet_path = custom("fleets", namespace, fleet)
        self._keeper = TrustKeeper(
            api, namespace=namespace, release=release, clock=lambda: datetime.now(UTC)
        )
        self._said: tuple[str, ...] = ()
        self.known: Callable[[], FleetTrust] = FleetTrust
        self.look: TrustLook | None = None
        self.told: TrustTold | None = None
        self._failing_since: float | None = None

    async def run(self) -> None:
        """Looks until cancelled. What fails is told and tried again."""
        while True:
            try:
                self.look = await self._look()
            except (ApiError, ValueError) as error:
                sentence = f"the Secrets of the release cannot be looked after: {error}"
                self._log((sentence,))
                self._failed(sentence, time.monotonic())
            else:
                self._failing_since = None
                self.told = TrustTold(self.look.waiting, self.look.problems)
                self._log((*self.look.problems, *self.look.waiting))
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

    def _failed(self, sentence: str, now: float) -> None:
        if self._failing_since is None:
            self._failing_since = now
        if now - self._failing_since >= FAILING_S:
            waiting = self.told.waiting if self.told is not None else ()
            self.told = TrustTold(waiting, (sentence,))

    def _log(self, sentences: tuple[str, ...]) -> None:
        if sentences != self._said:
            for sentence in sentences:
                _log.warning("%s", sentence)
            self._said = sentences
