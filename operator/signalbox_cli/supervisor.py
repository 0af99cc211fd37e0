"""The supervisor's life: prepare, start everything in order, watch, end everything in order."""

import asyncio
import contextlib
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
from rich.console import Console
from rich.text import Text

from signalbox_cli.check import print_remarks
from signalbox_cli.controller import Applied, Controller
from signalbox_cli.dev_keys import dev_key
from signalbox_cli.failure import Failure
from signalbox_cli.fleet import Fleet
from signalbox_cli.ports import Wanted, require_free
from signalbox_cli.settings import UpSettings
from signalbox_cli.start_screen import print_start
from signalbox_cli.state import FLEET
from signalbox_cli.status_loop import PERIOD_S, StatusLoop
from signalbox_cli.terminal import err, out
from signalbox_cli.watcher import Fingerprint, fingerprint, watch_folder
from signalbox_operator.control_port import ControlPort, ProxyAddress
from signalbox_operator.head_file import FileHeadStore
from signalbox_operator.publish import Publisher


async def supervise(settings: UpSettings) -> None:
    """Runs everything until SIGINT or SIGTERM. Raises Failure when it cannot start."""
    settings.state.prepare()
    with settings.state.locked():
        require_free(settings.host, _ports(settings))
        stopping = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stopping.set)
        supervisor = Supervisor(settings, err())
        async with supervisor.running():
            await _until(stopping, supervisor.start())
            if not stopping.is_set():
                await _until(stopping, supervisor.watch())
        err().print("Stopped.", style="dim")


class Supervisor:
    """Everything that one `up` owns."""

    def __init__(self, settings: UpSettings, progress: Console) -> None:
        self._settings = settings
        self._progress = progress
        self._began = time.monotonic()
        self._fleet = Fleet(settings, tell=self.tell, hand_over=self._hand_over)
        self._controller: Controller | None = None
        self._status: StatusLoop | None = None
        self._known: Fingerprint = {}
        self._trouble = ""

    def tell(self, sentence: str) -> None:
        """Shows something that happened."""
        moment = Text(time.strftime("%H:%M:%S"), style="dim")
        self._progress.print(Text.assemble(moment, f"  {sentence}"), soft_wrap=True)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """What must be ended, whatever happens in between."""
        timeout = aiohttp.ClientTimeout(total=30)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            key, token = self._settings.state.signing_keys(), self._settings.state.token()
            control = ControlPort(session, token)
            publisher = Publisher(
                FileHeadStore(self._settings.state.head), key, control, fleet=FLEET
            )
            self._controller = Controller(self._settings, self._fleet, publisher, control)
            self._status = StatusLoop(self._settings, self._fleet, self._controller)
            try:
                yield
            finally:
                await self._status.stop()
                if self._fleet.processes():
                    self.tell("stopping: proxies finish what they are answering")
                await self._fleet.stop()

    async def start(self) -> None:
        """Starts all processes in order and shows the start screen."""
        controller, status = self._parts()
        self.tell("starting the ledger's authority")
        await self._fleet.start_authority()
        if self._settings.simulate:
            self.tell("starting the simulated provider")
            await self._fleet.start_simulator()
        proxies = ", ".join(self._settings.proxy_names)
        self.tell(f"starting {proxies}")
        await self._fleet.start_proxies()
        self.tell(f"compiling {self._settings.manifests} and releasing it")
        self._known = fingerprint(self._settings.manifests)
        applied = await controller.start_serving()
        self._show_remarks(applied)
        self._require_dev_agents(applied)
        if not applied.reading.objects:
            self.tell(f"no objects of signalbox.dev in {self._settings.manifests}: nobody can ask")
        await status.start()
        self.tell(f"ready after {time.monotonic() - self._began:.1f} s")
        agents = controller.catalogue.dev_agents(applied.reading.objects)
        keys = [dev_key(self._settings.state, agent) for agent in agents]
        print_start(out(), self._settings, applied.compiled.compilation.snapshot, keys)

    async def watch(self) -> None:
        """Applies every change of the folder and keeps status fresh, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._keep_status_fresh())
            async for _ in watch_folder(self._settings.manifests, self._known):
                await self._apply()
                await self._refresh()

    async def _apply(self) -> None:
        try:
            self._show(await self._parts()[0].apply())
        except (Failure, OSError) as failure:
            self.tell(f"the change is not applied: {failure}")
        except Exception as error:  # noqa: BLE001  no manifest may end what serves
            self.tell(f"the change is not applied: {error!r}")

    async def _keep_status_fresh(self) -> None:
        while True:
            await asyncio.sleep(PERIOD_S)
            await self._refresh()

    async def _refresh(self) -> None:
        """Status may be stale for a while; what serves does not end for that."""
        trouble = ""
        try:
            await self._parts()[1].refresh()
        except Exception as error:  # noqa: BLE001
            trouble = f"status is not fresh: {error!r}"
            if trouble != self._trouble:
                self.tell(trouble)
        self._trouble = trouble

    def _show(self, applied: Applied) -> None:
        self._show_remarks(applied)
        if applied.problem:
            self.tell(f"not released: {applied.problem}")
            return
        if applied.reading.kept:
            kept = ", ".join(str(key) for key in applied.reading.kept)
            self.tell(f"in force as before, until the file can be read: {kept}")
        if applied.rollout is None or not applied.rollout.changed:
            self.tell("nothing changes for anybody")
            return
        for sentence in applied.changes:
            self.tell(sentence)
        for unreachable in applied.rollout.unreachable:
            self.tell(f"{unreachable.proxy} gets it when it answers again: {unreachable.reason}")
        self.tell(f"released as generation {applied.rollout.head.generation}")

    def _require_dev_agents(self, applied: Applied) -> None:
        snapshot = applied.compiled.compilation.snapshot
        agents = [agent.id for agent in snapshot.agents]
        for wanted in self._settings.dev_keys:
            if wanted not in agents:
                known = ", ".join(agents) or "none"
                raise Failure(
                    f"--dev-key {wanted}: there is no such agent in force; there are {known}"
                )

    def _show_remarks(self, applied: Applied) -> None:
        remarks = [each for each in applied.compiled.remarks if each.severity != "info"]
        print_remarks(self._progress, remarks)

    async def _hand_over(self, proxy: ProxyAddress) -> None:
        await self._parts()[0].hand_over(proxy)

    def _parts(self) -> tuple[Controller, StatusLoop]:
        if self._controller is None or self._status is None:
            raise RuntimeError("the supervisor is not running")
        return self._controller, self._status


async def _until(stopping: asyncio.Event, work: "asyncio._CoroutineLike[None]") -> None:
    """Does the work until it is done or stopping is asked for."""
    doing, waiting = asyncio.create_task(work), asyncio.create_task(stopping.wait())
    await asyncio.wait({doing, waiting}, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    if not doing.done():
        doing.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await doing


def _ports(settings: UpSettings) -> list[Wanted]:
    wanted = [Wanted(settings.port, "traffic", "--port")]
    for number, name in enumerate(settings.proxy_names):
        control = Wanted(settings.control_port + number, f"control of {name}", "--control-port")
        metrics = Wanted(settings.metrics_port + number, f"metrics of {name}", "--metrics-port")
        wanted += [control, metrics]
    return wanted
