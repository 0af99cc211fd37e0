"""Status and Events in a cluster: what the loop reports and the ledger says, to the API server.

`report` takes note and returns. Five tasks do the rest: one follows the ledger, one judges what
each status should say (`status_judge`), one writes what the plan hands out (`status_plan`), one
tells Events, one looks for proxies that are gone. None waits for another: what the ledger says is
taken up while thousands of objects are being judged.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from pydantic import ValidationError

from signalbox_api import KINDS, ResourceKey
from signalbox_api.fleet import FleetStatus
from signalbox_api.kinds import FLEET
from signalbox_api.status import Status
from signalbox_operator.cluster.api import ApiError, ClusterApi, custom
from signalbox_operator.cluster.events import Events
from signalbox_operator.cluster.lost_proxies import LostProxies
from signalbox_operator.control_port import ControlPort, ProxyAddress
from signalbox_operator.fleet_metrics import Seen
from signalbox_operator.forecast import Trend
from signalbox_operator.ledger_port import LedgerPort, LedgerUnreachableError
from signalbox_operator.reporter import Report
from signalbox_operator.status_judge import Judge
from signalbox_operator.status_plan import StatusPlan, Write
from signalbox_operator.trust import TrustTold

ACCOUNTS_S: Final = 0.5
"""How often the ledger is asked."""

UNHEARD_S: Final = 30.0
"""After so long without an answer the Fleet says that numbers are old."""

LOOK_S: Final = 0.5
"""How often the Fleet is judged where nothing wakes the judge."""

ALL_AGAIN_S: Final = 60.0
"""How often every object is judged again: keys expire, models are retired."""

_KINDS: Final = {kind.name: kind for kind in (*KINDS.values(), FLEET)}

_log = logging.getLogger("signalbox.operator.status")


class StatusWriter:
    """The reporter of a cluster. `run` has to be a task of the process."""

    def __init__(
        self,
        api: ClusterApi,
        *,
        namespace: str,
        fleet: str,
        release: str,
        trust: Callable[[], TrustTold | None] = lambda: None,
    ) -> None:
        self._api = api
        self._trust = trust
        self._plan = StatusPlan()
        self._fleet = ResourceKey(FLEET.name, namespace, fleet)
        self._judge = Judge(self._plan, self._fleet)
        self._events = Events(api)
        self._ledger = LedgerPort()
        self._trend = Trend()
        self._lost = LostProxies(api, self._proxies, namespace=namespace, release=release)
        self._woken = asyncio.Event()
        self._planned = asyncio.Event()
        self._heard_at = time.monotonic()
        self._unheard = ""
        self._is_fleet_read = False
        self._all_at = time.monotonic()
        self._writing: set[asyncio.Task[None]] = set()

    async def report(self, report: Report) -> None:
        """See Reporter."""
        self._judge.take(report)
        self._woken.set()

    def seen(self) -> Seen:
        """What is told at the moment, for metrics."""
        judge = self._judge
        return Seen(fleet=judge.fleet, statuses=judge.statuses(), waiting=self._plan.waiting)

    async def run(self, control: Callable[[], ControlPort]) -> None:
        """Follows, judges, writes and tells until cancelled; `control` is how proxies are called
        at the moment."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._keep_hearing(control))
            tasks.create_task(self._keep_judging())
            tasks.create_task(self._keep_writing())
            tasks.create_task(self._events.run())
            tasks.create_task(self._lost.run(control))

    async def _keep_hearing(self, control: Callable[[], ControlPort]) -> None:
        while True:
            again_at = time.monotonic() + ACCOUNTS_S
            await self._hear(control())
            self._woken.set()
            await asyncio.sleep(max(0.01, again_at - time.monotonic()))

    async def _keep_judging(self) -> None:
        while True:
            self._woken.clear()
            await self._read_fleet()
            await self._judge_all()
            await _wait(self._woken, LOOK_S)

    async def _judge_all(self) -> None:
        now = time.monotonic()
        if now - self._all_at >= ALL_AGAIN_S:
            self._all_at = now
            self._judge.all_again()
        unheard = self._unheard if now - self._heard_at >= UNHEARD_S else ""
        members = self._lost.members
        self._judge.trust = self._trust()
        self._events.offer(self._judge.judge_fleet(members, unheard, _wall(), now))
        self._planned.set()
        while not self._judge.is_done:
            self._events.offer(self._judge.judge_some(_wall(), time.monotonic()))
            self._planned.set()
            await asyncio.sleep(0)

    async def _hear(self, control: ControlPort) -> None:
        if self._judge.report is None:
            return
        try:
            accounts, _ = await self._ledger.accounts(control, self._proxies())
        except LedgerUnreachableError as error:
            self._unheard = str(error)
            return
        self._heard_at, self._unheard = time.monotonic(), ""
        # The ledger's clock decides about windows; while it says nothing new, this one goes on.
        seconds = max(accounts.now_ms // 1000, int(time.time()))
        self._judge.hear(self._trend.noted(accounts.facts(), seconds))

    async def _read_fleet(self) -> None:
        """What an operator before told of the fleet: once, before anything is written to it."""
        if self._is_fleet_read:
            return
        try:
            found = await self._api.get(_path(self._fleet))
        except ApiError as error:
            if not error.is_missing:
                _log.warning("the Fleet cannot be read: %s", error)
            return
        self._is_fleet_read = True
        status = _fleet_status(found)
        if status is not None:
            self._lost.remember(status.members)
        self._judge.read_fleet(status)

    async def _keep_writing(self) -> None:
        while True:
            self._planned.clear()
            now = time.monotonic()
            for write in self._plan.due(now):
                task = asyncio.create_task(self._write(write))
                self._writing.add(task)
                task.add_done_callback(self._writing.discard)
            next_at = self._plan.next_at(time.monotonic())
            limit = None if next_at is None else max(0.005, next_at - time.monotonic())
            await _wait(self._planned, limit)

    async def _write(self, write: Write) -> None:
        try:
            await self._api.patch_status(_path(write.key), _patch(write), uid=write.uid)
        except ApiError as error:
            if error.status in _GONE and write.key != self._fleet:
                self._plan.gone(write, time.monotonic())
            else:
                self._plan.failed(write, time.monotonic())
                _log.warning("cannot write the status of %s: %s", write.key, error)
        else:
            self._plan.written(write, time.monotonic())
        finally:
            self._planned.set()

    def _proxies(self) -> Sequence[ProxyAddress]:
        """Ready ones first."""
        report = self._judge.report
        if report is None:
            return ()
        ready = {proxy.name for proxy in report.fleet.proxies if proxy.ready}
        return sorted(report.proxies, key=lambda each: each.name not in ready)


_GONE: Final = frozenset({404, 410})
"""No such object. A conflict (409), because the name stands for another one now, is tried again: by
then the loop has told of the other one."""


def _patch(write: Write) -> dict[str, Any]:
    """The status with None where a field has to go: a merge keeps what it does not name."""
    names = [field.alias or name for name, field in _status_type(write.key).model_fields.items()]
    return {name: write.status.get(name) for name in names}


def _status_type(key: ResourceKey) -> type[Status]:
    return _KINDS[key.kind].status


def _path(key: ResourceKey) -> str:
    return custom(_KINDS[key.kind].plural, key.namespace, key.name)


def _fleet_status(found: dict[str, Any]) -> FleetStatus | None:
    try:
        return FleetStatus.model_validate(found.get("status"), by_alias=True, by_name=False)
    except ValidationError:
        return None


def _wall() -> datetime:
    return datetime.now(tz=UTC)


async def _wait(event: asyncio.Event, limit_s: float | None) -> None:
    try:
        async with asyncio.timeout(limit_s):
            await event.wait()
    except TimeoutError:
        return
