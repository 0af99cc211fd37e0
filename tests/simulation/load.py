"""The clients: single requests and bursts from a barrier, retries, some that leave early."""

import msgspec

from simulation.clients import Asked, Request
from simulation.fleet import Machine
from simulation.judge import Judge
from simulation.scenario import Scenario
from simulation.scheduler import World
from support.snapshots import key_of

_BURSTS = (2, 5, 12, 30)
_AGAIN = frozenset({429, 502, 503, 504})


class Load:
    """Asks until it is told to stop."""

    def __init__(
        self, world: World, scenario: Scenario, judge: Judge, machines: list[Machine]
    ) -> None:
        self._world = world
        self._scenario = scenario
        self._judge = judge
        self._machines = machines
        self._chance = world.chance("load")
        self.stopped = False
        self.answered: dict[int, int] = {}
        """Answers by status; 0 is a connection that nobody accepted."""

    def start(self) -> None:
        """Begin once the fleet is up."""
        self._world.after(500_000, None, self._next)

    def _next(self) -> None:
        if self.stopped:
            return
        chance, scenario = self._chance, self._scenario
        gap = int(chance.expovariate(1) * scenario.mean_gap_us) + 1
        if chance.random() < scenario.burst_share / 10:
            size = chance.choice(_BURSTS)
            gap *= size
            for _ in range(size):
                self._world.after(1, None, self._ask, scenario.ask(), 0)
        else:
            self._ask(scenario.ask(), 0)
        self._world.after(gap, None, self._next)

    def _ask(self, asked: Asked, tries: int) -> None:
        machine = self._chance.choice(self._machines)
        if not machine.is_ready or machine.process is None:
            self._count(0)
            self._again(asked, tries)
            return
        request = self._request(machine, asked)
        self._world.note("ask", f"{asked.number} {machine.name}")

        def done(_: Request, status: int) -> None:
            self._count(status)
            self._world.note("answer", f"{asked.number} {status}")
            if status in _AGAIN:
                self._again(asked, tries)

        machine.handle(request, done)
        if asked.leaves_after is not None:
            self._world.after(asked.leaves_after, None, self._leave, request)

    def _leave(self, request: Request) -> None:
        request.transport.gone = True

    def _again(self, asked: Asked, tries: int) -> None:
        if tries < 2 and not self.stopped and self._chance.random() < 0.4:
            delay = self._chance.randrange(50_000, 3_000_000)
            self._world.after(delay, None, self._ask, asked, tries + 1)

    def _count(self, status: int) -> None:
        self.answered[status] = self.answered.get(status, 0) + 1

    def _request(self, machine: Machine, asked: Asked) -> Request:
        body = {
            "model": asked.model,
            "messages": [{"role": "user", "content": asked.text}],
            "stream": asked.stream,
        }
        if asked.limit is not None:
            body["max_completion_tokens"] = asked.limit
        headers = {
            "authorization": f"Bearer {key_of(asked.agent)}",
            "content-type": "application/json",
            "x-signalbox-user": asked.user,
            "x-signalbox-session": asked.session,
        }
        assert machine.process is not None
        return Request(self._world, machine.process, asked, headers, msgspec.json.encode(body))
