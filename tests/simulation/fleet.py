"""The simulated fleet: machines with a proxy, its supervisor and its journal, on one database.

Production code runs in each of them: `ProxyLedger`, `Traffic` and the request path, `recover_all`.
What a real machine adds (starting processes, noticing that one is gone) is here.
"""

import asyncio
import contextlib
import shutil
from collections.abc import Callable
from pathlib import Path

from signalbox_ledger.asking import connected
from signalbox_ledger.client import JournalError, ProxyLedger
from signalbox_ledger.connection import LedgerUnavailableError
from signalbox_ledger.desk_protocol import ReadmitBy
from signalbox_ledger.journal_lock import holders_in
from signalbox_ledger.records import Run
from signalbox_ledger.recovery import recover_all
from signalbox_proxy.credentials import CredentialStore
from signalbox_proxy.metrics import Metrics
from signalbox_proxy.services import Services
from signalbox_proxy.traffic import Traffic
from signalbox_proxy.upstream import UpstreamCall
from simulation.clients import Request
from simulation.event_loop import SimulatedLoop
from simulation.judge import Judge
from simulation.network import Network
from simulation.provider import Provider
from simulation.scheduler import Process, World
from simulation.upstream_edge import SimulatedUpstream
from support.ledgers import write_off


class Machine:
    """One machine: a proxy that is restarted when it dies, and what recovers its journals."""

    def __init__(
        self,
        world: World,
        network: Network,
        judge: Judge,
        *,
        provider: Provider,
        name: str,
        authority: str,
        folder: Path,
    ) -> None:
        self.world = world
        self.name = name
        self.authority = authority
        self.folder = folder
        self._network = network
        self._judge = judge
        self._provider = provider
        self._chance = world.chance(f"machine {name}")
        self._incarnation = 0
        self.process: Process | None = None
        self.services: Services | None = None
        self.traffic: Traffic | None = None
        self.supervisor = self._new_process("supervisor")
        self.requests: dict[Request, Process] = {}
        self.lost: list[str] = []
        """Holders whose journal went with the machine, until somebody says so."""
        self.gone: set[str] = set()
        """All of them, for the judge."""
        self.unrecovered = False
        self.stopping = False

    def _new_process(self, role: str) -> Process:
        self._incarnation += 1
        process = Process(self.world, f"{self.name}-{role}.{self._incarnation}")
        SimulatedLoop(self.world, process, self._network)
        return process

    @property
    def is_ready(self) -> bool:
        """Whether it takes requests."""
        return (
            self.process is not None
            and self.process.alive
            and self.services is not None
            and self.services.ready
        )

    # The proxy

    def start(self) -> None:
        """Start the proxy; it is ready once it has the newest configuration."""
        if self.process is not None and self.process.alive:
            return
        self.services = None
        process = self.process = self._new_process("proxy")
        process.at_death.append(self._died)
        self.world.note("start", process.name)
        process.loop.create_task(self._main(process))

    async def _main(self, process: Process) -> None:
        try:
            ledger = await ProxyLedger.open(
                name=self.name, socket=Path(self.authority), journal_dir=self.folder
            )
        except JournalError:
            process.kill()
            return
        services = Services(
            name=self.name,
            ledger=ledger,
            upstream=self._upstream(process, ledger),
            credentials=CredentialStore(self.folder),
            metrics=Metrics(),
        )
        self.services = services
        self.traffic = Traffic(services)
        await self._configure(services)
        while not ledger.is_fenced and not self.stopping:
            await asyncio.sleep(0.25)
        services.stopping = True
        if services.in_flight:
            await asyncio.wait(services.in_flight, timeout=1.0)
        for task in sorted(services.in_flight, key=asyncio.Task.get_name):
            task.cancel()
        await asyncio.sleep(0)
        await ledger.close()
        self.world.note("exit", process.name)
        process.kill()

    def _upstream(self, process: Process, ledger: ProxyLedger) -> SimulatedUpstream:
        """The way out, with the judge beside it: each call was journalled just before."""
        journalled: list[Run] = []
        dispatching, record = ledger.dispatching, ledger.record

        def noted(run: Run) -> None:
            dispatching(run)
            journalled[:] = [run]

        def recorded(run: Run) -> None:
            record(run)
            self._judge.recorded(process, run)

        def sent(call: int, _: UpstreamCall) -> None:
            self._judge.dispatched(process, journalled.pop() if journalled else None, call)

        ledger.dispatching = noted  # type: ignore[method-assign]
        ledger.record = recorded  # type: ignore[method-assign]
        return SimulatedUpstream(self._provider, process, sent)

    def push(self) -> None:
        """The control plane hands over the newest configuration."""
        if self.is_ready and self.process is not None and self.services is not None:
            self.process.loop.create_task(self._configure(self.services))

    async def _configure(self, services: Services) -> None:
        """What `Configuration` does once it has a runtime."""
        runtime = self._judge.scenario.runtime
        current = services.runtime
        if current is not None and current.generation >= runtime.generation:
            return
        await services.ledger.configure(runtime.generation, runtime.budget_specs)
        current = services.runtime
        if current is None or current.generation < runtime.generation:
            services.runtime = runtime

    def handle(self, request: Request, done: Callable[[Request, int], None]) -> None:
        """A request reaches the proxy."""
        process, traffic = request.process, self.traffic
        if traffic is None:
            return
        self.requests[request] = process

        async def served() -> None:
            response = await traffic.handle(request)  # type: ignore[arg-type]
            self.requests.pop(request, None)
            if not request.transport.gone:
                self.world.at(
                    self.world.now + 300, None, done, request, response.status, what="client"
                )

        process.loop.create_task(served())

    # The supervisor

    def _died(self) -> None:
        self.requests.clear()
        self.unrecovered = True
        delay = self._chance.randrange(20_000, 900_000)
        self.world.after(delay, self.supervisor, self._noticed)

    def _noticed(self) -> None:
        self.world.note("noticed", self.name)
        self.supervisor.loop.create_task(self._care())

    async def _care(self) -> None:
        """Recover what is left, and start the proxy again, whether or not that worked."""
        await self._recover()
        await asyncio.sleep(self._chance.randrange(1, 400) / 1000)
        if not self.stopping:
            self.start()
        while self.unrecovered:
            await asyncio.sleep(0.5)
            await self._recover()

    async def _recover(self) -> None:
        try:
            for holder in list(self.lost):
                with contextlib.suppress(LookupError):  # one that never drew anything
                    await write_off(Path(self.authority), holder)
                self.lost.remove(holder)
            done = await recover_all(Path(self.authority), [self.folder])
        except LedgerUnavailableError:
            return
        for each in done:
            self.world.note("recovered", f"{each.holder} {each.runs} {each.unknown}")
            if each.problem:
                self.world.violate(f"{each.holder} cannot be recovered: {each.problem}")
        self.unrecovered = False

    def readmit(self) -> None:
        """A person lets draws flow again."""
        self.supervisor.loop.create_task(self._readmit())

    async def _readmit(self) -> None:
        with contextlib.suppress(LedgerUnavailableError):
            async with connected(Path(self.authority)) as ask:
                await ask(ReadmitBy("somebody"))

    @property
    def is_connected(self) -> bool:
        """Whether its proxy has presented its slices to the authority that is there now, and
        settled again what that one's database lacks."""
        if not self.is_ready or self.services is None:
            return False
        ledger = self.services.ledger
        return ledger._connection.is_up and not ledger._flusher.is_behind

    def supervisor_dies(self) -> None:
        """The supervisor is killed, perhaps in the middle of a recovery; its next one goes on."""
        self.supervisor.kill()
        self.supervisor = self._new_process("supervisor")
        self.unrecovered = True
        self.world.after(300_000, self.supervisor, self._noticed)

    def lose(self) -> None:
        """The machine is gone with its journals; another one takes its place."""
        holders = list(holders_in(self.folder))
        if self.process is not None:
            self.process.kill()
        self.supervisor.kill()
        shutil.rmtree(self.folder, ignore_errors=True)
        self.lost.extend(holders)
        self.gone.update(holders)
        self.supervisor = self._new_process("supervisor")
        self.world.after(self._chance.randrange(500_000, 4_000_000), self.supervisor, self._noticed)
