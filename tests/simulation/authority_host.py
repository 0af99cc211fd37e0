"""An authority as a simulated process: the real turns, service and store on the database.

With SQLite it commits where it runs; with PostgreSQL in its one worker thread, which is simulated
by `event_loop.SimulatedLoop.run_in_executor`: work begins and ends some time later, and a slow
database makes that longer.
"""

import asyncio
from collections.abc import Callable, Sequence

from signalbox_ledger import migrate
from signalbox_ledger.database import DatabaseError
from signalbox_ledger.lanes import Clock
from signalbox_ledger.protocol import Reply, Request
from signalbox_ledger.session import Session
from signalbox_ledger.store import Store
from signalbox_ledger.turns import Authority, Connection
from simulation.durable import Durable, SimulatedDatabase
from simulation.event_loop import SimulatedLoop
from simulation.judge import Judge
from simulation.network import Network
from simulation.scheduler import MICRO, Process, World

Answer = Callable[[Sequence[tuple[Session, Request]], int], list[Reply]]


class Worker:
    """Stands for the executor of one thread: what runs in it is up to the loop."""


class AuthorityHost:
    """Starts an authority on a path, and again whenever it has died."""

    def __init__(
        self, world: World, network: Network, durable: Durable, judge: Judge, *, path: str
    ) -> None:
        self._world = world
        self._network = network
        self._durable = durable
        self._judge = judge
        self.path = path
        self.on_postgres = judge.scenario.postgres
        self.incarnation = 0
        self.process: Process | None = None
        self._chance = world.chance(f"authority {path}")
        self._wall_us = self._chance.choice((-300, -20, 0, 0, 20, 300)) * MICRO
        """How far the clock of its machine is off: only the database's counts."""

    def start(self) -> None:
        """One more incarnation of the process."""
        self.incarnation += 1
        process = self.process = Process(self._world, f"{self.path}.{self.incarnation}")
        loop = SimulatedLoop(self._world, process, self._network)
        process.wall_us = self._wall_us
        loop.work_us = lambda: self._chance.randrange(100, 900) + self._durable.slow_us
        process.at_death.append(self._died)
        self._world.note("start", process.name)
        loop.create_task(self._main(process, loop))

    def _died(self) -> None:
        self._world.after(self._chance.randrange(50_000, 1_500_000), None, self.start)

    def _connect(self, process: Process) -> Callable[[], SimulatedDatabase]:
        def connect() -> SimulatedDatabase:
            return SimulatedDatabase(self._durable, process, on_postgres=self.on_postgres)

        return connect

    async def _main(self, process: Process, loop: SimulatedLoop) -> None:
        try:
            store = Store(self._connect(process))
        except DatabaseError:
            await asyncio.sleep(0.2)
            process.kill()
            return
        worker = Worker() if self.on_postgres else None
        records = (Store(self._connect(process)), Worker()) if self.on_postgres else None
        authority = Authority(store, Clock(store.now_ms), worker, records=records)  # type: ignore[arg-type]
        self._listen_in(authority)
        await loop.create_unix_server(lambda: Connection(authority), self.path)
        process.chores = [  # type: ignore[attr-defined]
            asyncio.create_task(chore) for chore in (authority.tidy(), authority.beat())
        ]

    def _listen_in(self, authority: Authority) -> None:
        """Let the judge hear of every request at the instant of its commit."""
        for lane in authority.lanes:
            lane.service.answer_all = self._heard(lane.service.answer_all)  # type: ignore[method-assign]

    def _heard(self, answer: Answer) -> Answer:
        durable, judge = self._durable, self._judge

        def tell(session: Session, request: Request, reply: Reply) -> None:
            durable.committed.append(lambda: judge.on_commit(session.holder, request, reply))

        def heard(asked: Sequence[tuple[Session, Request]], now_ms: int) -> list[Reply]:
            replies = answer(asked, now_ms)
            for (session, request), reply in zip(asked, replies, strict=True):
                tell(session, request, reply)
            return replies

        return heard


def create_tables(durable: Durable, world: World) -> None:
    """The tables, as the first authority makes them."""
    maker = Process(world, "tables")
    database = SimulatedDatabase(durable, maker, on_postgres=False)
    migrate.ensure_schema(database, ":memory:")
