"""The loop: inventory, compile, publish, report. One pass after the other, woken by changes.

A failed step is told and tried again; it never ends the loop, and never releases half of anything.
The compiler runs in a thread, so that watches and health go on. Whoever else released in between is
found by compare-and-swap: the next pass then begins with what the API server has now.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Final

from signalbox_api import Resource, ResourceKey
from signalbox_operator.beat import beating
from signalbox_operator.compiler import Compilation, compile_objects
from signalbox_operator.compiler.workloads import WorkloadIdentity
from signalbox_operator.difference import difference
from signalbox_operator.fleet_view import FleetView
from signalbox_operator.head import Head, HeadError, HeadMovedError, HeadWentBackError
from signalbox_operator.history import FIRST, Record, attributed
from signalbox_operator.inventory import Inventory, Known
from signalbox_operator.losses import Loss, LossGuard
from signalbox_operator.losses_kept import HoldStore, KeptHolds
from signalbox_operator.lowering import lowered, lowest_schema
from signalbox_operator.passes import Passes, not_released
from signalbox_operator.publish import Publisher
from signalbox_operator.reporter import Report, Reporter
from signalbox_operator.target import Fetch, Target, Targets
from signalbox_operator.waking import Waking
from signalbox_operator.wanted import (
    objects_to_compile,
    read_forms,
    resources_of,
    standing,
    unreadable_of,
    with_unreadable,
    written_forms,
)
from signalbox_snapshot import codec
from signalbox_snapshot.check import SnapshotError

RETRY_S: Final = 2.0

_MadeOf = tuple[int, str, int, WorkloadIdentity | None]

_log = logging.getLogger("signalbox.operator.loop")


@dataclass(slots=True)
class Wishes:
    """What people ask of the loop besides their objects, by annotations of the Fleet."""

    confirmed_loss: str = ""
    rollback: str = ""


@dataclass(slots=True)
class _Compiled:
    """The last compilation and what it was made of."""

    compilation: Compilation
    version: str
    losses: tuple[Loss, ...]
    made_of: _MadeOf


@dataclass(slots=True)
class Reconciler:
    """The loop of one operator. `relist` lists every kind anew; `beat` tells that it lives;
    `identity` is what the cluster says of ServiceAccounts, None before it was asked; `holds` keeps
    those of the loss guard."""

    inventory: Inventory
    publisher: Publisher
    fleet: FleetView
    reporter: Reporter
    platform_namespace: str
    fleet_name: str
    relist: Callable[[], Awaitable[None]]
    fetch: Fetch
    simulate_url: str | None = None
    holds: HoldStore | None = None
    identity: Callable[[], WorkloadIdentity | None] = WorkloadIdentity
    wishes: Wishes = field(default_factory=Wishes)
    in_force: dict[ResourceKey, Resource] = field(default_factory=dict)
    beat_at: float = field(default_factory=time.monotonic)
    passes: Passes = field(default_factory=Passes)
    _guard: LossGuard = field(init=False)
    _kept: KeptHolds = field(init=False)
    _targets: Targets = field(init=False)
    _waking: Waking = field(default_factory=Waking)
    _compiled: _Compiled | None = None
    _problem: str = ""
    _rollback_problem: str = ""
    _forgot: str = ""
    _is_known: bool = False
    _told: Report | None = None

    def __post_init__(self) -> None:
        self._guard = LossGuard(self.fleet_name, self.platform_namespace)
        self._kept = KeptHolds(self._guard, self.holds)
        self._targets = Targets(self.fetch)

    @property
    def lacks(self) -> str:
        """Why nothing can be released: no pass succeeded yet, or the latest failed; "" if not."""
        unlisted = ", ".join(self.inventory.unlisted)
        return f"not listed yet: {unlisted}" if unlisted else self.passes.lacks

    def wake(self) -> None:
        """Something changed: compile soon."""
        self._waking.wake()

    async def run(self) -> None:
        """Passes until cancelled. Raises HeadWentBackError: nothing known here is of use then."""
        while True:
            await self._waking.settled()
            try:
                await self.one_pass()
            except HeadMovedError:
                _log.info("another operator released; listing everything anew")
                self.passes.failure("another operator releases")
                self._is_known = False
                self.wake()
            except HeadWentBackError:
                raise
            except Exception as error:  # noqa: BLE001  told, and tried again
                _log.exception("a pass of the loop failed")
                self.passes.failure(f"{type(error).__name__}: {error}")
                await self._report_failure(error)
                await asyncio.sleep(RETRY_S)
                self.wake()

    async def one_pass(self) -> None:
        """One pass. Nothing is compiled before every kind was listed."""
        self._beat()
        if not self.inventory.is_complete or self.identity() is None:
            return
        if not self._is_known:
            await self._begin()
        compiled = await self._compile()
        is_released = await self._publish(compiled)
        if not is_released:
            self.passes.failure(self._problem)
        await self._report(compiled)
        if is_released:
            self.passes.success()

    async def _report_failure(self, error: Exception) -> None:
        """Tells people, by what was compiled last: a release that fails for good looks like any
        other to them, were it not for this."""
        self._problem = not_released(error)
        if not self.passes.is_told:
            return
        try:
            if self._is_known and self._compiled is not None:
                await self._report(self._compiled)
            elif self._told is not None:
                told = replace(self._told, problem=self._problem, now=datetime.now(tz=UTC))
                await self.reporter.report(told)
            elif self.inventory.is_complete and self.identity() is not None:
                made = await self._compile_known(self.inventory.known(), (), self._made_of())
                await self._report(made)
        except Exception:  # noqa: BLE001  it may be why the pass failed
            _log.exception("a failed pass cannot be reported")

    def _beat(self) -> None:
        self.beat_at = time.monotonic()

    async def _begin(self) -> None:
        """Reads the head with its forms, and lists everything: at first, and as others release."""
        head = await self.publisher.refresh()
        self.fleet.take(head)
        await self.relist()
        await self._remember(head)
        known = self.inventory.known()
        await self._kept.begin(self.in_force, standing(known), self.wishes.confirmed_loss)
        await beating(self.fleet.hear(), self._beat)
        self._compiled, self._is_known = None, True

    async def _remember(self, head: Head | None) -> None:
        """Accepted forms whose content is gone are told until the next release has new ones; what
        is accepted as it is written goes on without them, unless it is held."""
        self.in_force, self._forgot = {}, ""
        try:
            if head is not None and head.accepted:
                self.in_force = read_forms(await self.fetch(head.accepted))
        except HeadError as error:
            self._forgot = f"what was accepted before this operator began is not known: {error}"
            _log.error("%s", self._forgot)

    async def _compile(self) -> _Compiled:
        made_of = self._made_of()
        if self._compiled is not None and self._compiled.made_of == made_of:
            return self._compiled
        known, confirmed = self.inventory.known(), self.wishes.confirmed_loss
        losses = self._guard.held(self.in_force, standing(known), confirmed, time.monotonic())
        await self._kept.keep()
        self._compiled = await self._compile_known(known, losses, made_of)
        return self._compiled

    def _made_of(self) -> _MadeOf:
        schema = lowest_schema(self.fleet.heard)
        return self.inventory.revision, self.wishes.confirmed_loss, schema, self.identity()

    async def _compile_known(
        self, known: Mapping[ResourceKey, Known], losses: tuple[Loss, ...], made_of: _MadeOf
    ) -> _Compiled:
        objects = objects_to_compile(known, self.in_force, losses)
        work = asyncio.to_thread(self._compile_now, objects, *made_of[2:])
        made, version = await beating(work, self._beat)
        return _Compiled(with_unreadable(made, unreadable_of(known)), version, losses, made_of)

    def _compile_now(
        self, objects: list[Resource], schema: int, identity: WorkloadIdentity | None
    ) -> tuple[Compilation, str]:
        compilation = compile_objects(
            objects,
            platform_namespace=self.platform_namespace,
            simulate_url=self.simulate_url,
            previous=self.in_force,
            identity=identity,
        )
        compilation = lowered(compilation, schema)
        return compilation, codec.version(codec.encode(compilation.snapshot))

    async def _publish(self, compiled: _Compiled) -> bool:
        """Whether what is wanted is released, now or already."""
        head = await self.publisher.head()
        compilation = compiled.compilation
        target = await self._targets.choose(
            compilation.snapshot, compiled.version, head, self.wishes.rollback
        )
        self._rollback_problem = target.problem
        above = self.fleet.ahead()
        is_sealed = head is not None and self.publisher.is_sealed(head)
        if target.is_head(head) and is_sealed and not above:
            self._problem = ""
            self.in_force = compilation.in_force
            return True
        work = asyncio.to_thread(self._record, head, compilation, target)
        record = await beating(work, self._beat)
        rollout = None
        try:
            rollout = await self.publisher.release(
                target.snapshot, self.fleet.releasing(), record, anew=True, above=above
            )
        except (SnapshotError, HeadError) as error:
            self._problem = f"the snapshot cannot be released: {error}"
            _log.error("%s", self._problem)
            return False
        finally:
            self.fleet.released(rollout)
        self._problem, self._forgot = "", ""
        self.in_force = compilation.in_force
        _log.info("generation %d is released", rollout.head.generation)
        return True

    def _record(self, head: Head | None, compilation: Compilation, target: Target) -> Record:
        before = None if head is None else head.content()
        sentences = difference(before, target.snapshot) if before is not None else FIRST
        return Record(
            at=int(time.time()),
            accepted=written_forms(compilation.in_force),
            changes=tuple(attributed(sentences, self.inventory.known())),
            restores=target.pin.generation if target.pin is not None else 0,
            pin=target.pin,
        )

    async def _report(self, compiled: _Compiled) -> None:
        known = self.inventory.known()
        problem = self._problem if self.passes.is_told else ""
        self._told = Report(
            objects=resources_of(known),
            unreadable=unreadable_of(known),
            compilation=compiled.compilation,
            version=compiled.version,
            head=self.publisher.known_head,
            fleet=self.fleet.facts(),
            proxies=self.fleet.addresses,
            now=datetime.now(tz=UTC),
            held=tuple(loss.sentence for loss in compiled.losses),
            problem="; ".join(filter(None, (problem, self._forgot))),
            rollback_problem=self._rollback_problem,
        )
        await self.reporter.report(self._told)
