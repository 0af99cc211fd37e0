"""The operator as a process: put together, run, ended.

Its parts are tasks of one loop. When one of them ends, the process does, with exit code 1, and its
supervisor starts another: nothing that it holds is lost, and proxies serve on meanwhile.
"""

import asyncio
import logging
import signal
import uuid
from collections.abc import Coroutine
from dataclasses import replace
from typing import Any, Final

import aiohttp
from aiohttp import web

from signalbox_api import Resource
from signalbox_operator.cluster.access import Access, read_access
from signalbox_operator.cluster.api import ApiError, ClusterApi, connected
from signalbox_operator.cluster.canary import Canary
from signalbox_operator.cluster.discovery import proxies_of
from signalbox_operator.cluster.head_store import ClusterHeadStore
from signalbox_operator.cluster.hold_store import ClusterHoldStore
from signalbox_operator.cluster.lists import Lists
from signalbox_operator.cluster.status_writer import StatusWriter
from signalbox_operator.cluster.trust_keeper import FleetTrust
from signalbox_operator.cluster.trust_task import TrustTask
from signalbox_operator.cluster.watches import Watches
from signalbox_operator.cluster.webhook import Webhook
from signalbox_operator.cluster.workload_identity import WorkloadIdentities
from signalbox_operator.control_port import ControlPort, ProxyAddress
from signalbox_operator.fleet_metrics import FleetMetrics, Seen
from signalbox_operator.fleet_view import FleetView
from signalbox_operator.going_back import ANNOTATION as ROLLBACK
from signalbox_operator.health import health_application, listen
from signalbox_operator.inventory import Inventory
from signalbox_operator.losses import ANNOTATION as CONFIRM_LOSS
from signalbox_operator.publish import Publisher
from signalbox_operator.reconcile import Reconciler, Wishes
from signalbox_operator.settings import OperatorSettings
from signalbox_operator.tasks import named, told
from signalbox_operator.wanted import resources_of
from signalbox_operator.warnings_for import warnings_for

ACCESS_S: Final = 5.0
"""How often the Secrets are read."""

AGAIN_S: Final = 1.0
END_S: Final = 5.0
"""How long parts may take to end; kopf waits longer for every object that it watched."""

_log = logging.getLogger("signalbox.operator")


async def run(settings: OperatorSettings) -> int:
    """Runs until SIGTERM or SIGINT; the exit code."""
    async with connected() as api, aiohttp.ClientSession(trust_env=False) as session:
        return await Operator(settings, api, session).run()


class Operator:
    """One operator and its parts."""

    def __init__(
        self, settings: OperatorSettings, api: ClusterApi, session: aiohttp.ClientSession
    ) -> None:
        self._settings = settings
        self._api = api
        self._session = session
        self._stop = asyncio.Event()
        self._inventory = Inventory()
        self._loop: Reconciler | None = None
        self._access: Access | None = None
        self._canary = Canary(api, settings.namespace, settings.fleet)
        self._lists = Lists(api, self._inventory, self._wake)
        self._watches = Watches(self._note, started=self._catch_signals)
        self._status = StatusWriter(
            api,
            namespace=settings.namespace,
            fleet=settings.fleet,
            release=settings.release,
            trust=lambda: self._trust.told,
        )
        self._trust = TrustTask(
            api, namespace=settings.namespace, release=settings.release, fleet=settings.fleet
        )
        self._trust.known = self._known_trust
        self._identities = WorkloadIdentities(api, self._wake, enabled=settings.workload_identity)
        self._fleet: FleetView | None = None
        self._heads = ClusterHeadStore(api, settings.namespace, settings.fleet)
        self._lacks = "the API server was not heard yet"

    async def run(self) -> int:
        """Runs all parts until one ends or a signal comes."""
        self._catch_signals()
        health = await self._listen()
        try:
            return await self._run()
        finally:
            await health.cleanup()

    async def _run(self) -> int:
        stopping = asyncio.create_task(self._stop.wait(), name="stop")
        tasks: set[asyncio.Task[Any]] = {stopping}
        try:
            starting = asyncio.create_task(self._start(), name="start")
            tasks |= {starting, *(named(name, part) for name, part in self._early_parts())}
            await asyncio.wait({stopping, starting}, return_when=asyncio.FIRST_COMPLETED)
            if not self._stop.is_set():
                tasks |= {named(name, part) for name, part in self._parts(*starting.result())}
                tasks.remove(starting)
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            return 0 if self._stop.is_set() else told(tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks, timeout=END_S)

    async def _start(self) -> tuple[Reconciler, FleetView]:
        """Waits for what the Secrets hold, and puts the loop together."""
        access = await self._first_access()
        control = self._control(access)
        fleet = self._fleet = FleetView(control, self._discover, self._wake)
        publisher = Publisher(
            self._heads,
            access.signing_key,
            control,
            fleet=self._settings.fleet,
            fleet_id=uuid.uuid4().hex,
        )

        self._loop = Reconciler(
            inventory=self._inventory,
            publisher=publisher,
            fleet=fleet,
            reporter=self._status,
            platform_namespace=self._settings.namespace,
            fleet_name=self._settings.fleet,
            relist=self._lists.everything,
            fetch=self._heads.fetch,
            simulate_url=self._settings.simulate_url,
            holds=ClusterHoldStore(self._api, self._settings.namespace, self._settings.fleet),
            identity=lambda: self._identities.known,
        )
        return self._loop, fleet

    def _early_parts(self) -> list[tuple[str, Coroutine[Any, Any, None]]]:
        """What runs before the Secrets are filled: who fills them, and who serves by them."""
        settings = self._settings
        if settings.control_plain:
            return []
        parts = [("trust", self._trust.run())]
        if settings.webhook_port:
            webhook = Webhook(
                self._api,
                lambda: self._trust.look.webhook if self._trust.look else None,
                self._warnings_for,
                configuration=settings.webhook_configuration,
            )
            parts.append(("webhook", webhook.run(settings.host, settings.webhook_port)))
        return parts

    def _known_trust(self) -> FleetTrust:
        """Which proxies there are and what is released; unknown before both were looked at."""
        head = self._loop.publisher.known_head if self._loop is not None else None
        if self._fleet is None or head is None or not self._fleet.addresses:
            return FleetTrust()
        statuses = self._fleet.statuses
        proxies = {each.name: statuses.get(each.name) for each in self._fleet.addresses}
        return FleetTrust(proxies, head.envelope.key_id)

    def _warnings_for(self, resource: Resource) -> list[str]:
        if not self._inventory.is_complete:
            return []
        return warnings_for(
            resource,
            resources_of(self._inventory.known()),
            self._loop.in_force if self._loop is not None else {},
            platform_namespace=self._settings.namespace,
            identity=self._identities.known,
        )

    def _parts(
        self, loop: Reconciler, fleet: FleetView
    ) -> list[tuple[str, Coroutine[Any, Any, None]]]:
        """What runs, by name; the watches last, because kopf ends what was started after it."""
        return [
            ("lists", self._lists.run()),
            ("identities", self._identities.run()),
            ("proxies", fleet.run()),
            ("loop", loop.run()),
            ("status", self._status.run(lambda: fleet.control)),
            ("canary", self._canary.run()),
            ("head", self._heads.keep_looking()),
            ("access", self._keep_access(loop.publisher, fleet)),
            ("watches", self._watches.run()),
        ]

    async def _first_access(self) -> Access:
        while True:
            try:
                access = await self._read_access()
            except (ApiError, ValueError) as error:
                self._lacks = f"the Secrets cannot be read: {error}"
                _log.warning("%s", self._lacks)
            else:
                if access is not None:
                    self._access = access
                    return access
                self._lacks = "the Secrets of the release are still empty"
            await asyncio.sleep(AGAIN_S)

    async def _keep_access(self, publisher: Publisher, fleet: FleetView) -> None:
        """Takes up keys, tokens and authorities that were changed."""
        while True:
            await asyncio.sleep(ACCESS_S)
            try:
                access = await self._read_access()
            except (ApiError, ValueError) as error:
                _log.warning("the Secrets cannot be read: %s", error)
                continue
            if access is not None and access != self._access:
                self._access = access
                fleet.control = self._control(access)
                publisher.use(access.signing_key, fleet.control)
                _log.info("keys, token or authorities changed")
                self._wake()

    async def _read_access(self) -> Access | None:
        settings = self._settings
        return await read_access(
            self._api, settings.namespace, settings.release, plain=settings.control_plain
        )

    def _control(self, access: Access) -> ControlPort:
        return ControlPort(self._session, access.token, access.tls(self._settings.control_name))

    async def _discover(self) -> tuple[ProxyAddress, ...]:
        settings = self._settings
        return await proxies_of(
            self._api,
            settings.namespace,
            settings.control_service,
            scheme="http" if settings.control_plain else "https",
        )

    def _note(self, kind: str, what: str | None, data: dict[str, Any]) -> None:
        """An event of a watch: stored, and the loop woken where it matters."""
        if kind == "Fleet":
            self._note_fleet(what, data)
        elif self._inventory.event(kind, what, data):
            self._wake()

    def _note_fleet(self, what: str | None, data: dict[str, Any]) -> None:
        metadata = data["metadata"]
        mine = (metadata["namespace"], metadata["name"])
        if mine != (self._settings.namespace, self._settings.fleet) or what == "DELETED":
            return
        self._canary.seen(metadata)
        notes = metadata.get("annotations") or {}
        wishes = Wishes(notes.get(CONFIRM_LOSS, ""), notes.get(ROLLBACK, ""))
        if self._loop is not None and wishes != self._loop.wishes:
            self._loop.wishes = wishes
            self._wake()

    def _wake(self) -> None:
        if self._loop is not None:
            self._loop.wake()

    def _catch_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)

    async def _listen(self) -> web.AppRunner:
        application = health_application(
            self._beat_at,
            self._unready,
            lambda: self._trust.told,
            collectors=(FleetMetrics(self._seen),),
        )
        return await listen(application, self._settings.host, self._settings.metrics_port)

    def _seen(self) -> Seen:
        look = self._trust.look
        return replace(
            self._status.seen(),
            passes=None if self._loop is None else self._loop.passes,
            ends=look.ends if look is not None else {},
        )

    def _beat_at(self) -> float:
        return asyncio.get_running_loop().time() if self._loop is None else self._loop.beat_at

    def _unready(self) -> str:
        return self._lacks if self._loop is None else self._loop.lacks
