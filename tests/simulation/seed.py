"""Runs one seed: puts a fleet together, lets it live, lets it come to rest, closes the books."""

import asyncio
import gc
import logging
import shutil
import signal
import tempfile
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from simulation.authority_host import AuthorityHost, create_tables
from simulation.books import Books, Figures
from simulation.durable import Durable
from simulation.edges import simulated_machine
from simulation.faults import Faults
from simulation.fleet import Machine
from simulation.judge import Judge
from simulation.load import Load
from simulation.network import Network
from simulation.provider import HONEST, MIXED, Provider
from simulation.scenario import Scenario, sheets
from simulation.scheduler import MICRO, World

_process_time = time.process_time

REST_US = 80 * MICRO
"""Within so much time after the last fault nothing is held any more: idle slices are given back
after a minute."""


CPU_LIMIT_S = 60.0
"""A seed takes three seconds; one that takes so much more hangs."""


@dataclass
class Outcome:
    """What became of one seed."""

    seed: int
    events: int
    trace_hash: str
    seconds: float
    simulated_s: float
    violations: list[str]
    figures: Figures
    faults: dict[str, int]
    answers: dict[int, int]
    refusals: dict[str, int]
    runs: int
    calm: bool
    trace: list[str] = field(default_factory=list)

    @classmethod
    def hung(cls, seed: int) -> "Outcome":
        """A seed of which nothing was heard in time."""
        what = ["it did not end in time"]
        return cls(seed, 0, "", 0.0, 0.0, what, Figures(), {}, {}, {}, 0, calm=False)


class Hang(BaseException):
    """The code under test computes for ever."""


@contextmanager
def bounded(world: World, seconds: float) -> Iterator[None]:
    """Raise `Hang` after so much CPU time, wherever that is, and again if it is swallowed."""

    def hangs(_: int, frame: FrameType | None) -> None:
        world.violate("computes for ever:\n" + "".join(traceback.format_stack(frame)[-4:]))
        signal.setitimer(signal.ITIMER_PROF, 1)
        raise Hang

    before = signal.signal(signal.SIGPROF, hangs)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def in_memory() -> Path | None:
    """Where files cost no disk, if there is such a place."""
    memory = Path("/dev/shm")
    return memory if memory.is_dir() else None


def run_seed(
    seed: int, *, events: int = 20_000, trace: bool = False, folders: Path | None = None
) -> Outcome:
    """Simulate `seed` for at least so many events; everything that broke is in the outcome.

    Its files lie under `folders` while it runs.
    """
    began = _process_time()
    world = World(seed, events)
    if trace:
        world.trace_lines = []
    scenario = Scenario(world)
    folder = Path(tempfile.mkdtemp(prefix="sim", dir=folders or in_memory()))
    logging.disable(logging.INFO if trace else logging.CRITICAL)
    gc.disable()  # what a seed leaves is small, and `end` collects it
    try:
        with simulated_machine(world, scenario.start_us) as disk:
            simulation = Simulation(world, scenario, disk, folder)
            with suppress(Hang), bounded(world, CPU_LIMIT_S):
                simulation.live()
            outcome = simulation.outcome(seed)
            simulation.end()
    finally:
        gc.enable()
        logging.disable(logging.NOTSET)
        asyncio._set_running_loop(None)
        shutil.rmtree(folder, ignore_errors=True)
    outcome.seconds = _process_time() - began
    return outcome


class Simulation:
    """One seed's world, from its first event to its books."""

    def __init__(self, world: World, scenario: Scenario, disk: object, folder: Path) -> None:
        self.world = world
        self.scenario = scenario
        self.durable = Durable(world, scenario.start_us)
        create_tables(self.durable, world)
        self.network = Network(world)
        self.judge = Judge(world, scenario, self.durable, self.network.heard)
        self.provider = Provider(world, sheets())
        self.provider.mix = HONEST if scenario.honest else MIXED
        self.provider.on_bill = self.judge.billed
        self.provider.on_usage_told = self.judge.usage_told
        paths = ("authority-0", "authority-1") if scenario.postgres else ("authority-0",)
        self.authorities = [
            AuthorityHost(world, self.network, self.durable, self.judge, path=path)
            for path in paths
        ]
        self.machines = [self._machine(number, folder, paths) for number in range(3)]
        self.load = Load(world, scenario, self.judge, self.machines)
        self.faults = Faults(
            world,
            scenario,
            self.network,
            disk,  # type: ignore[arg-type]
            durable=self.durable,
            machines=self.machines,
            authorities=self.authorities,
        )
        self._rested_at = 0

    def _machine(self, number: int, folder: Path, paths: tuple[str, ...]) -> Machine:
        name = f"p{number}"
        return Machine(
            self.world,
            self.network,
            self.judge,
            provider=self.provider,
            name=name,
            authority=paths[number % len(paths)],
            folder=folder / name,
        )

    def live(self) -> None:
        """The whole of it."""
        world = self.world
        for authority in self.authorities:
            authority.start()
        for machine in self.machines:
            machine.start()
        self.load.start()
        self.faults.start()
        if self.scenario.changes:
            world.after(4 * MICRO, None, self._change)
        if self.scenario.promotes:
            self.durable.on_promote.append(self.judge.promoted)
            world.after(5 * MICRO, None, self._readmit)
        enough = world.max_events - 1_500
        world.run(lambda: world.events >= enough)
        self.load.stopped = True
        self.faults.stop()
        deadline = world.now + REST_US
        world.after(MICRO, None, self._rest)
        world.run(lambda: self._rested_at > 0 or world.now > deadline)
        if not world.violations:
            self._at_rest()
            world.run(lambda: world.events >= world.max_events)

    def _change(self) -> None:
        """The control plane releases a new configuration, to one proxy first."""
        if self.load.stopped:
            return
        self.scenario.change()
        chance = self.world.chance(f"push {self.scenario.generation}")
        for number, machine in enumerate(chance.sample(self.machines, len(self.machines))):
            delay = chance.randrange(1 + number * 800_000)
            self.world.after(delay, None, machine.push)
        self.world.after(chance.randrange(500_000, 8_000_000), None, self._change)

    def _readmit(self) -> None:
        """Somebody looks every few seconds, and readmits once every live proxy is connected."""
        ((frozen,),) = self.durable.connection.execute("SELECT frozen FROM ledger_state").fetchall()
        if frozen and all(machine.is_connected for machine in self.machines):
            self.machines[0].readmit()
        self.world.after(3 * MICRO, None, self._readmit)

    def _rest(self) -> None:
        """Once a second: is everything settled, and nothing held? A copy that was promoted learns
        what is held only from those who present it."""
        execute = self.durable.connection.execute
        (held,) = execute("SELECT COUNT(*) FROM slice").fetchone()
        (frozen,) = execute("SELECT frozen FROM ledger_state").fetchone()
        if not held and not frozen and self._is_idle():
            self._rested_at = self.world.now
        self.world.after(MICRO, None, self._rest)

    def _is_idle(self) -> bool:
        return not any(
            machine.requests or machine.unrecovered or not machine.is_ready or machine.lost
            for machine in self.machines
        )

    def _at_rest(self) -> None:
        """Nothing hangs, and every proxy serves again."""
        for machine in self.machines:
            for request in machine.requests:
                self.world.violate(
                    f"request {request.asked.number} at {machine.name} never ended; "
                    f"it began at {request.began}"
                )
            if not machine.is_ready:
                self.world.violate(f"{machine.name} does not serve after all is mended")
            if machine.unrecovered:
                self.world.violate(f"{machine.name} has journals that are not recovered")

    def outcome(self, seed: int) -> Outcome:
        """The books, and all that was counted."""
        world = self.world
        gone = {holder for machine in self.machines for holder in machine.gone}
        books = Books(self.judge, gone)
        figures = books.figures
        if not world.violations:
            figures = books.close()
        figures.false_refusals = self.judge.false_refusals
        return Outcome(
            seed=seed,
            events=world.events,
            trace_hash=world.trace_hash,
            seconds=0.0,
            simulated_s=world.now / MICRO,
            violations=list(world.violations),
            figures=figures,
            faults=self.faults.happened,
            answers=self.load.answered,
            refusals=self.judge.refused,
            runs=self.judge.runs,
            calm=self.scenario.calm,
            trace=world.trace_lines or [],
        )

    def end(self) -> None:
        """Take everything apart while the simulated machine is still there: what dies now may
        run its `finally` blocks, and must not reach a real one."""
        for machine in self.machines:
            machine.start = lambda: None  # type: ignore[method-assign]
            if machine.process is not None:
                machine.process.kill()
            machine.supervisor.kill()
        for authority in self.authorities:
            if authority.process is not None:
                authority.process.kill()
        self.world.forget()
        self.durable.close()
        gc.collect()
