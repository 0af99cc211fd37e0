"""The simulated providers: they answer, fail in every way, and keep their own bill.

Behind `upstream_edge`. A line of the bill is written when the work is done, whether or not anybody
is still there to hear the answer.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any, Literal

import msgspec

from signalbox_proxy.upstream import UpstreamCall
from simulation.bill import BillLine, Sheet
from simulation.scheduler import Process, World

Behaviour = Literal[
    "answer",
    "throttled",
    "error",
    "rejected",
    "unreachable",
    "late",
    "broken",
    "cut",
    "no_usage",
    "zero_usage",
    "greedy",
    "beside",
]
"""`greedy` bills all that the bound allows; `beside` counts cached tokens beside the prompt."""

HONEST: tuple[tuple[Behaviour, int], ...] = (("answer", 100),)
MIXED: tuple[tuple[Behaviour, int], ...] = (
    ("answer", 150),
    ("throttled", 4),
    ("error", 4),
    ("rejected", 3),
    ("unreachable", 3),
    ("late", 2),
    ("broken", 2),
    ("cut", 2),
    ("no_usage", 2),
    ("zero_usage", 3),
    ("greedy", 6),
    ("beside", 4),
)
METERED: frozenset[Behaviour] = frozenset(("answer", "zero_usage", "greedy", "beside"))
"""Those that end with a usage record."""

UNBILLED: Mapping[str, int] = {"throttled": 429, "error": 503, "rejected": 400}


class _Said(msgspec.Struct):
    content: str


class _Options(msgspec.Struct):
    include_usage: bool = False


class _Body(msgspec.Struct):
    model: str
    messages: list[_Said]
    stream: bool = False
    stream_options: _Options | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None


_decoder = msgspec.json.Decoder(_Body)


class Provider:
    """All providers together, outside of the fleet."""

    def __init__(self, world: World, sheets: Mapping[str, Sheet]) -> None:
        self.world = world
        self.sheets = sheets
        self.bill: list[BillLine] = []
        self.calls = 0
        self.mix: tuple[tuple[Behaviour, int], ...] = HONEST
        self.on_bill: Callable[[BillLine], None] = self.bill.append
        self.on_usage_told: Callable[[int], None] = lambda _: None
        """Hears of a call whose answer has come back whole, with its usage record."""
        self._chance = world.chance("provider")

    def behaviour(self) -> Behaviour:
        """What becomes of the next call."""
        if len(self.mix) == 1:
            return self.mix[0][0]
        names = [name for name, _ in self.mix]
        return self._chance.choices(names, [weight for _, weight in self.mix])[0]

    def take(self, call: UpstreamCall, process: Process) -> "Exchange":
        """Begin to work on a call."""
        self.calls += 1
        return Exchange(self, process, call, self._chance)


@dataclass(slots=True)
class _Usage:
    prompt: int
    cached: int
    output: int
    is_beside: bool = False

    def record(self) -> dict[str, Any]:
        prompt = self.prompt - self.cached if self.is_beside else self.prompt
        return {
            "prompt_tokens": prompt,
            "completion_tokens": self.output,
            "total_tokens": prompt + self.output,
            "prompt_tokens_details": {"cached_tokens": self.cached},
        }


class Exchange:
    """One call at the provider, and the events that come back from it."""

    def __init__(
        self, provider: Provider, process: Process, call: UpstreamCall, chance: Random
    ) -> None:
        self.number = provider.calls
        self._provider = provider
        self._process = process
        self._chance = chance
        self._body = _decoder.decode(call.body)
        self.behaviour = provider.behaviour()
        self.arrived: deque[tuple[str, Any]] = deque()
        self.waiter: asyncio.Future[None] | None = None
        self.closed = False
        self._due = 0
        self.first_us = chance.randrange(2_000, 400_000)
        if chance.random() < 0.03:
            self.first_us += chance.randrange(4_000_000)
        self._after(chance.randrange(200, 2_000), self._work)

    def _after(self, delay: int, step: Callable[[], None]) -> None:
        self._provider.world.after(delay, None, step)

    def tell(self, what: str, value: Any = None) -> None:
        """Something comes back; nobody may be there to hear it."""
        world, process = self._provider.world, self._process
        self._due = max(self._due, world.now + self._chance.randrange(100, 600))
        world.at(self._due, process, self._hear, what, value, what="provider")

    def _hear(self, what: str, value: Any) -> None:
        world = self._provider.world
        world.note("provider", f"{self.number} {what}", value if isinstance(value, bytes) else b"")
        if what == "end" and self.behaviour in METERED and not self.closed:
            self._provider.on_usage_told(self.number)
        self.arrived.append((what, value))
        if self.waiter is not None and not self.waiter.done():
            self.waiter.set_result(None)

    async def next(self) -> tuple[str, Any]:
        """The next thing that came back."""
        while not self.arrived:
            self.waiter = self._process.loop.create_future()
            await self.waiter
        return self.arrived.popleft()

    def _work(self) -> None:
        behaviour = self.behaviour
        if behaviour == "unreachable":
            self.tell("refused")
        elif behaviour in UNBILLED:
            self.tell("head", UNBILLED[behaviour])
            self.tell("body", b'{"error": {"message": "no"}}')
            self.tell("end")
        else:
            self._after(self.first_us, self._answer)

    def _usage(self) -> _Usage:
        text = sum(len(said.content.encode()) for said in self._body.messages)
        most = self._body.max_tokens or self._body.max_completion_tokens or 1
        if self.behaviour == "zero_usage":
            return _Usage(0, 0, 0)
        if self.behaviour == "greedy":
            return _Usage(text + 64 + 16 * len(self._body.messages), 0, most)
        prompt = self._chance.randint(text // 4, text) + 8
        if self.behaviour == "beside":
            return _Usage(prompt, 2 * prompt // 3, self._chance.randint(1, most), is_beside=True)
        cached = self._chance.choice((0, 0, prompt // 2, prompt))
        return _Usage(prompt, cached, self._chance.randint(1, most))

    def _answer(self) -> None:
        usage = self._usage()
        sheet = self._provider.sheets[self._body.model]
        line = BillLine(
            call=self.number,
            model=self._body.model,
            prompt=usage.prompt,
            output=usage.output,
            pico=sheet.bill(usage.prompt, usage.cached, usage.output),
        )
        self._provider.on_bill(line)
        if self.behaviour == "late":
            return
        if self.behaviour == "broken":
            self.tell("broken")
            return
        self.tell("head", 200)
        if self._body.stream:
            self._stream(usage)
        else:
            self._whole(usage)

    def _whole(self, usage: _Usage) -> None:
        choice = {
            "index": 0,
            "message": {"role": "assistant", "content": "yes"},
            "finish_reason": "stop",
        }
        body: dict[str, Any] = {"object": "chat.completion", "choices": [choice]}
        if self.behaviour != "no_usage":
            body["usage"] = usage.record()
        if self.behaviour == "cut":
            self.tell("broken")
            return
        self.tell("body", msgspec.json.encode(body))
        self.tell("end")

    def _stream(self, usage: _Usage) -> None:
        pieces = [
            {"choices": [{"index": 0, "delta": {"content": "ye"}, "finish_reason": None}]}
            for _ in range(self._chance.randrange(1, 4))
        ]
        events = [b"data: " + msgspec.json.encode(piece) + b"\n\n" for piece in pieces]
        stop = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
        events.append(b"data: " + msgspec.json.encode(stop) + b"\n\n")
        if self.behaviour != "no_usage":
            last = {"choices": [], "usage": usage.record()}
            events.append(b"data: " + msgspec.json.encode(last) + b"\n\n")
        events.append(b"data: [DONE]\n\n")
        cut_at = self._chance.randrange(1, len(events)) if self.behaviour == "cut" else None
        self._send(deque(events[:cut_at]), "end" if cut_at is None else "broken")

    def _send(self, events: deque[bytes], ending: str) -> None:
        """A chunk now, the others later; nobody sends to who has left, and bills all the same."""
        if self.closed:
            return
        chunk = events.popleft()
        if self._chance.random() < 0.3 and events:
            chunk += events.popleft()
        self.tell("body", chunk)
        gap = self._chance.randrange(700, 40_000)
        if events:
            self._after(gap, lambda: self._send(events, ending))
        else:
            self._after(gap, lambda: self.tell(ending))
