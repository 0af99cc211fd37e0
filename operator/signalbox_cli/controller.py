"""The control plane of one machine: folder in, snapshot released, findings and changes told.

What the operator does in a cluster, `Controller` does for `up`: the compiler, the publisher and the
status are the same. It runs at the start, whenever a file changes, and once a second for status.
"""

import asyncio
import contextlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from signalbox_cli.catalogue import Catalogue, Reading
from signalbox_cli.credentials import make_simulated
from signalbox_cli.failure import Failure
from signalbox_cli.fleet import Fleet
from signalbox_cli.manifest_folder import Compiled, compiled
from signalbox_cli.settings import UpSettings
from signalbox_operator.control_port import (
    ControlPort,
    ProxyAddress,
    ProxyStatus,
    ahead_of,
    refusal_of,
)
from signalbox_operator.difference import difference
from signalbox_operator.going_back import RollbackError, next_pin
from signalbox_operator.head import HeadError, HeadMovedError
from signalbox_operator.history import FIRST, Record
from signalbox_operator.publish import Publisher, Rollout
from signalbox_operator.target import Targets
from signalbox_snapshot import codec
from signalbox_snapshot.check import SnapshotError

READY_LIMIT_S: Final = 20.0
POLL_S: Final = 0.05


@dataclass(frozen=True, slots=True)
class Applied:
    """What became of the folder's present content."""

    reading: Reading
    compiled: Compiled
    rollout: Rollout | None
    changes: tuple[str, ...]
    problem: str = ""


class Controller:
    """Reads, compiles, releases; knows what is in force."""

    def __init__(
        self, settings: UpSettings, fleet: Fleet, publisher: Publisher, control: ControlPort
    ) -> None:
        self._settings = settings
        self._fleet = fleet
        self._publisher = publisher
        self._control = control
        self._targets = Targets(publisher.fetch)
        self.catalogue = Catalogue(settings)
        self.applied: Applied | None = None
        self._one_at_a_time = asyncio.Lock()
        self._required = 0

    async def apply(self) -> Applied:
        """Reads the folder and releases what it says; what cannot be released changes nothing."""
        async with self._one_at_a_time:
            reading = self.catalogue.read(datetime.now(tz=UTC))
            if self._settings.simulate:
                make_simulated(self._settings.state, reading.objects)
            whole = compiled(
                reading.loaded,
                reading.objects,
                platform_namespace=self._settings.platform_namespace,
                simulate_url=self._fleet.simulate_url,
                previous=self.catalogue.in_force,
            )
            self.applied = await self._release(reading, whole)
            return self.applied

    async def hand_over(self, proxy: ProxyAddress) -> None:
        """Gives a proxy that was started again what is released."""
        refusal = refusal_of(await self._publisher.push_to(proxy))
        if refusal is not None:
            raise Failure(f"{proxy.name} refuses the snapshot: {refusal.path}: {refusal.reason}")

    async def start_serving(self) -> Applied:
        """Applies the folder at the start and waits until every proxy serves it."""
        applied = await self.apply()
        if applied.problem:
            raise Failure(applied.problem)
        await asyncio.gather(*(self.hand_over(each) for each in self._fleet.addresses))
        try:
            async with asyncio.timeout(READY_LIMIT_S):
                statuses = await self.statuses()
                while not all(each and each.ready for each in statuses):
                    await self._keep_above(statuses)
                    await asyncio.sleep(POLL_S)
                    statuses = await self.statuses()
        except TimeoutError:
            logs = self._settings.state.logs
            raise Failure(
                f"the proxies are not ready after {READY_LIMIT_S:.0f} s; see {logs}"
            ) from None
        return applied

    async def statuses(self) -> Sequence[ProxyStatus | None]:
        """What each proxy says of itself; None where one does not answer."""
        found = await asyncio.gather(
            *(self._control.status_of(each) for each in self._fleet.addresses)
        )
        return [each if isinstance(each, ProxyStatus) else None for each in found]

    async def catch_up(self, proxies: Sequence[ProxyStatus | None]) -> None:
        """Gives the released snapshot to proxies that could not be reached when it was released."""
        await self._keep_above(proxies)
        rollout = self.applied.rollout if self.applied is not None else None
        if rollout is None:
            return
        await self._require(rollout)
        refused = {each.proxy for each in rollout.rejections}
        for address, status in zip(self._fleet.addresses, proxies, strict=True):
            behind = status is not None and (status.generation or 0) < rollout.head.generation
            if behind and address.name not in refused and not rollout.pending:
                await self._publisher.push_to(address)

    async def keep_pin(self) -> None:
        """Releases anew where somebody asked to go back, or where that is over."""
        head = await self._publisher.head()
        with contextlib.suppress(RollbackError):
            pin = head.pin if head is not None else None
            if head is not None and next_pin(pin, self._rollback(), int(time.time())) != pin:
                await self.apply()

    async def _keep_above(self, proxies: Sequence[ProxyStatus | None]) -> None:
        """Releases anew where a ledger turns out to know a higher generation than the head's: its
        database was kept, and the folder of the state was lost."""
        head = await self._publisher.head()
        if head is not None and ahead_of(head, filter(None, proxies)):
            await self.apply()

    def _rollback(self) -> str:
        """What `signalbox rollback` asked for last."""
        path = self._settings.state.rollback
        return path.read_text() if path.exists() else ""

    async def _release(self, reading: Reading, whole: Compiled) -> Applied:
        try:
            return await self._publish(reading, whole)
        except (SnapshotError, HeadError, HeadMovedError) as error:
            return Applied(reading, whole, None, (), f"the snapshot cannot be released: {error}")

    async def _publish(self, reading: Reading, whole: Compiled) -> Applied:
        head = await self._publisher.head()
        before = codec.decode(head.envelope.snapshot.encode()) if head else None
        snapshot = whole.compilation.snapshot
        version = codec.version(codec.encode(snapshot))
        target = await self._targets.choose(snapshot, version, head, self._rollback())
        changes = tuple(difference(before, target.snapshot))
        restores = target.pin.generation if target.pin else 0
        told = changes if before is not None else FIRST
        record = Record(int(time.time()), changes=told, restores=restores, pin=target.pin)
        statuses = filter(None, await self.statuses())
        above = ahead_of(head, statuses)
        anew = head is not None and (head.pin != target.pin or above > 0)
        rollout = await self._publisher.release(
            target.snapshot, self._fleet.addresses, record, anew=anew, above=above
        )
        problem = "; ".join(
            f"{each.proxy} refuses the snapshot: {each.path}: {each.reason}"
            for each in rollout.refusals
        )
        await self._require(rollout)
        if not problem:
            self.catalogue.accepted(whole.compilation.in_force)
        return Applied(reading, whole, rollout, changes if rollout.changed else (), problem)

    async def _require(self, rollout: Rollout) -> None:
        """Has proxies that cannot be reached stop, where the release took something away.

        Not while a proxy refuses it, or cannot keep it: then the last good snapshot is what serves.
        """
        bound = rollout.head.envelope.min_generation
        if rollout.refusals or bound <= self._required:
            return
        if await self._fleet.require_generation(bound):
            self._required = bound
