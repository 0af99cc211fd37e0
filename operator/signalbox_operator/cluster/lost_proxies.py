"""Gives up proxies whose Pod is gone with its journal, through a proxy that lives.

Every ten seconds, and only where a Pod that was seen is missing. `gone_pods` has the rules. Who is
remembered stands in the Fleet's status, so that another operator knows it too.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from signalbox_api.fleet import FleetMember
from signalbox_operator import gone_pods
from signalbox_operator.cluster.api import ApiError, ClusterApi, core
from signalbox_operator.control_port import ControlPort, ProxyAddress
from signalbox_operator.ledger_port import LedgerPort, LedgerUnreachableError

EVERY_S: Final = 10.0
BY: Final = "signalbox-operator"

_log = logging.getLogger("signalbox.operator.lost")


class LostProxies:
    """Remembers the Pods of proxies, and gives up those that are gone."""

    def __init__(
        self,
        api: ClusterApi,
        proxies: Callable[[], Sequence[ProxyAddress]],
        *,
        namespace: str,
        release: str,
    ) -> None:
        self._api = api
        self._proxies = proxies
        self._path = core("pods", namespace)
        self._labels = f"app.kubernetes.io/instance={release},app.kubernetes.io/component=proxy"
        self._ledger = LedgerPort()
        self.members: list[FleetMember] = []

    def remember(self, known: Iterable[FleetMember]) -> None:
        """Takes up what an operator before knew."""
        self.members = gone_pods.members((*known, *self.members), ())

    async def run(self, control: Callable[[], ControlPort]) -> None:
        """Looks until cancelled."""
        while True:
            await asyncio.sleep(EVERY_S)
            try:
                await self.look(control())
            except (ApiError, LedgerUnreachableError) as error:
                _log.warning("lost proxies cannot be looked for: %s", error)

    async def look(self, control: ControlPort) -> None:
        """Looks once. Raises ApiError and LedgerUnreachableError."""
        pods = (await self._api.list(self._path, labels=self._labels)).items
        self.members = gone_pods.members(self.members, pods)
        present = {pod["metadata"]["name"] for pod in pods}
        if all(member.name in present for member in self.members):
            return
        holders = await self._ledger.holders(control, self._proxies())
        # What is given up was asked for after the list of Pods: a Pod that is missing stays so,
        # because the name of a ReplicaSet's Pod is never used again.
        for holder in gone_pods.gone(self.members, pods, holders):
            if await self._ledger.give_up(control, self._proxies(), holder.holder, BY):
                _log.warning(
                    "%s is given up: its Pod is gone; what it held is charged in full",
                    holder.holder,
                )
        self.members = gone_pods.settled(self.members, pods, holders)
