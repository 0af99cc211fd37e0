"""What goes wrong: drawn from the seed, one to three things at once, all healed in the end."""

from collections.abc import Callable

from simulation.authority_host import AuthorityHost
from simulation.durable import Durable
from simulation.edges import Disk
from simulation.fleet import Machine
from simulation.network import Link, Network
from simulation.scenario import Scenario
from simulation.scheduler import MICRO, World

Fault = Callable[[], None]

_JOURNALS_GO = (
    "kill a proxy",
    "kill a proxy between two steps",
    "kill a proxy in a write",
    "restart a proxy",
    "lose a machine",
)


class Faults:
    """Breaks things at drawn instants, and mends them some time later."""

    def __init__(
        self,
        world: World,
        scenario: Scenario,
        network: Network,
        disk: Disk,
        *,
        durable: Durable,
        machines: list[Machine],
        authorities: list[AuthorityHost],
    ) -> None:
        self._world = world
        self._scenario = scenario
        self._network = network
        self._disk = disk
        self._durable = durable
        self._machines = machines
        self._authorities = authorities
        self._chance = world.chance("faults")
        self._mends: dict[int, Fault] = {}
        self._number = 0
        self.stopped = False
        self.happened: dict[str, int] = {}
        self._kinds: list[tuple[str, Fault, int]] = [
            ("kill a proxy", self._kill, 6),
            ("kill a proxy between two steps", self._kill_between, 6),
            ("kill a proxy in a write", self._kill_writing, 6),
            ("restart a proxy", self._restart, 3),
            ("stop a proxy for a while", self._stop, 5),
            ("lose a machine", self._lose, 2),
            ("kill a supervisor", self._kill_supervisor, 2),
            ("a clock is wrong", self._clock, 4),
            ("a disk is full or broken", self._full, 4),
            ("kill the authority", self._kill_authority, 5),
            ("die at a commit", self._die_at_commit, 8),
            ("the database is down", self._down, 4),
            ("the database is slow", self._slow, 4),
            ("cut a link", self._cut, 6),
            ("a link is a black hole", self._hole, 5),
            ("a link is slow", self._slow_link, 4),
            ("promote a copy that lags", self._promote, 8),
        ]
        without = _JOURNALS_GO if scenario.promotes else ("promote a copy that lags",)
        self._kinds = [kind for kind in self._kinds if kind[0] not in without]

    def start(self) -> None:
        """Begin once the fleet has served a little."""
        if self._scenario.faults_at_once:
            self._world.after(2 * MICRO, None, self._next)

    def stop(self) -> None:
        """Mend everything; nothing breaks from now on."""
        self.stopped = True
        for number in list(self._mends):
            self._mend(number)
        self._durable.crashes.clear()
        self._disk.fatal_writes.clear()
        for machine in self._machines:
            if machine.process is not None:
                machine.process.fuse = None

    def _next(self) -> None:
        if self.stopped:
            return
        if len(self._mends) < self._scenario.faults_at_once:
            name, fault, _ = self._chance.choices(
                self._kinds, [weight for _, _, weight in self._kinds]
            )[0]
            self.happened[name] = self.happened.get(name, 0) + 1
            self._world.events += 1
            self._world.note("fault", name)
            fault()
        gap = int(self._chance.expovariate(1) * self._scenario.fault_gap_us) + 1000
        self._world.after(gap, None, self._next)

    def _for_a_while(self, mend: Fault, *spans: int) -> None:
        """Mend it after one of `spans`, in milliseconds, or so."""
        self._number += 1
        number = self._number
        self._mends[number] = mend
        span = self._chance.choice(spans) * self._chance.randrange(500, 1500)
        self._world.after(span, None, self._mend, number)

    def _mend(self, number: int) -> None:
        mend = self._mends.pop(number, None)
        if mend is not None:
            self._world.note("mend", str(number))
            mend()

    def _machine(self) -> Machine:
        return self._chance.choice(self._machines)

    def _authority(self) -> AuthorityHost:
        return self._chance.choice(self._authorities)

    # Proxies and their machines

    def _kill(self) -> None:
        machine = self._machine()
        if machine.process is not None:
            machine.process.kill()

    def _kill_between(self) -> None:
        machine = self._machine()
        if machine.process is not None:
            machine.process.fuse = self._chance.randrange(400)

    def _kill_writing(self) -> None:
        machine = self._machine()
        if machine.process is not None and machine.process.alive:
            reach = self._chance.choice((0, 10**6, self._chance.randrange(2000)))
            self._disk.fatal_writes[machine.process.name] = reach

    def _restart(self) -> None:
        machine = self._machine()
        machine.stopping = True

        def again() -> None:
            machine.stopping = False
            if machine.process is None or not machine.process.alive:
                machine.start()

        self._for_a_while(again, 2000)

    def _stop(self) -> None:
        machine = self._machine()
        process = machine.process
        if process is not None and process.alive and not process.paused:
            process.pause()
            self._for_a_while(process.resume, 50, 400, 3000, 9000)

    def _lose(self) -> None:
        self._machine().lose()

    def _kill_supervisor(self) -> None:
        self._machine().supervisor_dies()

    def _clock(self) -> None:
        process = self._machine().process
        if process is not None:
            process.wall_us = self._chance.choice((-3600, -300, -20, 0, 20, 300)) * MICRO

    def _full(self) -> None:
        process = self._machine().process
        if process is not None:
            name = process.name
            struck = self._chance.choice((self._disk.full, self._disk.broken))
            struck.add(name)
            self._for_a_while(lambda: struck.discard(name), 300, 2000)

    # The authority and its database

    def _kill_authority(self) -> None:
        process = self._authority().process
        if process is not None:
            process.kill()

    def _die_at_commit(self) -> None:
        process = self._authority().process
        if process is not None:
            fates = (
                ("before", "after", "lost", "unheard")
                if self._scenario.postgres
                else (
                    "before",
                    "after",
                )
            )
            self._durable.crashes[process.name] = self._chance.choice(fates)

    def _down(self) -> None:
        if not self._scenario.postgres:
            self._kill_authority()
            return
        self._durable.is_down = True
        self._for_a_while(self._up, 100, 1000, 5000)

    def _up(self) -> None:
        self._durable.is_down = False

    def _slow(self) -> None:
        if self._scenario.postgres:
            self._durable.slow_us = self._chance.choice((5_000, 40_000, 400_000))
            self._for_a_while(self._fast, 300, 3000)
            return
        process = self._authority().process
        if process is not None and process.alive and not process.paused:
            process.pause()
            self._for_a_while(process.resume, 50, 400, 3000)

    def _fast(self) -> None:
        self._durable.slow_us = 0

    def _promote(self) -> None:
        copy = self._durable.copy()
        lag = self._chance.choice((100_000, 1_000_000, 3_000_000))

        def promote() -> None:
            self._durable.promote(copy)

        self._number += 1
        self._mends[self._number] = promote
        self._world.after(lag, None, self._mend, self._number)

    # The sockets between them

    def _link(self) -> Link | None:
        machine = self._machine()
        if machine.process is None:
            return None
        return self._network.link(machine.process.name, machine.authority)

    def _cut(self) -> None:
        link = self._link()
        if link is not None:
            self._network.cut(link)

    def _hole(self) -> None:
        link = self._link()
        if link is None or link.is_hole:
            return
        link.is_hole = True
        cut = self._chance.random() < 0.5

        def mend() -> None:
            if cut:
                link.is_hole = False
                self._network.cut(link)
            else:
                self._network.heal(link)

        self._for_a_while(mend, 100, 1000, 8000)

    def _slow_link(self) -> None:
        link = self._link()
        if link is not None:
            link.slow_us = self._chance.choice((3_000, 30_000, 300_000))

            def mend() -> None:
                link.slow_us = 0

            self._for_a_while(mend, 500, 4000)
