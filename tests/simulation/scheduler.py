"""The one scheduler of a simulated fleet: virtual time, one queue, one source of chance.

Under everything else in this folder. Every simulated process has an event loop of its own
(`event_loop`), and all of them share this queue, so that a seed decides the order of everything
that happens. Time is an integer of microseconds and moves only from event to event.

An event is a delivered message, a timer that fired, or a fault. What a process does because of
it, callbacks and task steps, runs at the same instant and is not counted.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable
from contextvars import Context, copy_context
from hashlib import sha256
from heapq import heappop, heappush
from random import Random
from typing import Any

MICRO = 1_000_000
MAX_STEPS = 200_000
"""Callbacks because of one event; more than that is a loop that never waits."""

MAX_EVENTS = 5
"""A seed that takes so many times its events never comes to rest."""


class ProcessKilled(BaseException):
    """Unwinds a synchronous step of a process that is dead already."""


class Handle:
    """A callback of one process: ready to run, or a timer."""

    __slots__ = ("args", "callback", "context", "process", "when_us")

    def __init__(
        self,
        process: "Process",
        callback: Callable[..., Any],
        args: tuple[Any, ...],
        context: Context | None,
    ) -> None:
        self.process = process
        self.callback: Callable[..., Any] | None = callback
        self.args = args
        self.context = copy_context() if context is None else context
        self.when_us = 0

    def cancel(self) -> None:
        """Part of asyncio.Handle."""
        self.callback = None
        self.args = ()

    def cancelled(self) -> bool:
        """Part of asyncio.Handle."""
        return self.callback is None

    def when(self) -> float:
        """Part of asyncio.TimerHandle."""
        return self.when_us / MICRO


class Process:
    """What can be killed, stopped and given a clock that is off. `loop` is its event loop."""

    def __init__(self, world: "World", name: str) -> None:
        self.world = world
        self.name = name
        self.alive = True
        self.paused = False
        self.resumed_at = -1
        self.wall_us = 0
        """How far its wall clock is off."""
        self.fuse: int | None = None
        """Callbacks after which it is killed."""
        self.backlog: list[tuple[Process, Callable[..., None], tuple[Any, ...], str]] = []
        self.at_death: list[Callable[[], None]] = []
        self.remains: list[asyncio.Task[Any]] = []
        """Tasks that were under way at its death: kept, or their `finally` blocks would run."""
        self.loop: asyncio.AbstractEventLoop

    def burns_down(self) -> bool:
        """One step nearer to its end; whether this is it."""
        if self.fuse is None:
            return False
        self.fuse -= 1
        if self.fuse < 0:
            self.kill()
        return not self.alive

    def kill(self) -> None:
        """kill -9: nothing of it runs again, and the kernel closes what it had open."""
        if not self.alive:
            return
        self.alive = False
        self.world.note("kill", self.name)
        self.world.graveyard.append(self)
        self.remains.extend(asyncio.all_tasks(self.loop))
        for close in self.at_death:
            close()

    def pause(self) -> None:
        """SIGSTOP."""
        self.paused = True

    def resume(self) -> None:
        """SIGCONT: what was due meanwhile happens now, in order."""
        self.paused = False
        self.resumed_at = self.world.now
        waiting, self.backlog = self.backlog, []
        for process, callback, args, what in waiting:
            self.world.at(self.world.now, process, callback, *args, what=what)


class World:
    """Virtual time and everything that is due."""

    def __init__(self, seed: int, max_events: int) -> None:
        self.seed = seed
        self.max_events = max_events
        self.now = 0
        self.events = 0
        self.current: Process | None = None
        self.graveyard: list[Process] = []
        self.violations: list[str] = []
        self.trace_lines: list[str] | None = None
        self._queue: list[tuple[int, int, Process | None, Callable[..., None], Any, str]] = []
        self._ready: deque[Handle] = deque()
        self.ready = self._ready.append
        """Run a handle at this instant."""
        self._number = 0
        self._hash = sha256()

    def chance(self, name: str) -> Random:
        """A source of chance of its own, so that one part's draws do not move another's."""
        return Random(f"{self.seed}/{name}")

    @property
    def trace_hash(self) -> str:
        """sha256 over every event so far."""
        return self._hash.hexdigest()

    def note(self, what: str, detail: str, data: bytes = b"") -> None:
        """Add to the trace."""
        line = f"{self.now} {what} {detail}"
        self._hash.update(line.encode() + data)
        if self.trace_lines is not None:
            digest = sha256(data).hexdigest()[:12] if data else ""
            self.trace_lines.append(f"{line} {digest}")

    def violate(self, what: str) -> None:
        """A promise did not hold; the run goes on to the next check."""
        self.note("violation", what)
        if len(self.violations) < 20:
            self.violations.append(f"at {self.now / MICRO:.6f} s: {what}")

    def at(
        self,
        when: int,
        process: Process | None,
        callback: Callable[..., None],
        *args: Any,
        what: str = "timer",
    ) -> None:
        """Call back at an instant, in a process (None: outside of all)."""
        self._number = number = self._number + 1
        due = when if when > self.now else self.now  # noqa: FURB136 - max() costs a call
        heappush(self._queue, (due, number, process, callback, args, what))

    def after(
        self, delay: int, process: Process | None, callback: Callable[..., None], *args: Any
    ) -> None:
        """Call back after so many microseconds."""
        self.at(self.now + delay, process, callback, *args)

    def run(self, until: Callable[[], bool]) -> None:
        """Let things happen until `until`, nothing is left, or a promise was broken."""
        self._settle()
        most = MAX_EVENTS * self.max_events
        while self._queue and not self.violations and not until():
            when, _, process, callback, args, what = heappop(self._queue)
            if process is not None and not self._may_happen(process, callback, args, what):
                continue
            self.now = when
            self.events += 1
            if self.events > most:
                self.violate(f"does not come to rest; the last event was {what} of {process}")
            if what in ("timer", "thread"):
                self.note(what, process.name if process is not None else "")
            self._enter(process)
            try:
                callback(*args)
            except BaseException as error:  # noqa: BLE001  whatever escapes is a fault
                self._met(error, what)
            if self._ready:
                self._settle()
        self._enter(None)

    def _may_happen(
        self, process: Process, callback: Callable[..., None], args: Any, what: str
    ) -> bool:
        """Not to the dead, not what was cancelled; to who is stopped, later."""
        if not process.alive or (what == "timer" and args and _is_void(args[0])):
            return False
        if process.paused:
            process.backlog.append((process, callback, args, what))
            return False
        return True

    def _met(self, error: BaseException, what: str) -> None:
        """Something escaped from the code under test."""
        if isinstance(error, ProcessKilled):
            return
        if not isinstance(error, Exception):
            raise error
        name = self.current.name if self.current is not None else "the world"
        self.violate(f"{what} in {name}: {error!r}")

    def _settle(self) -> None:
        """Run what is ready, until nobody has anything to do at this instant."""
        ready = self._ready
        steps = 0
        while ready:
            handle = ready.popleft()
            callback, process = handle.callback, handle.process
            if callback is None or not process.alive:
                continue
            if process.paused:
                process.backlog.append((process, _run_handle, (handle,), "resumed"))
                continue
            if process.fuse is not None and process.burns_down():
                continue
            steps += 1
            if steps > MAX_STEPS:
                ready.clear()
                self.violate(f"{process.name} never waits")
                return
            if process is not self.current:
                self._enter(process)
            try:
                handle.context.run(callback, *handle.args)
            except BaseException as error:  # noqa: BLE001  whatever escapes is a fault
                self._met(error, "callback")

    def forget(self) -> None:
        """Drop everything that was still due, and bury the dead: what their `finally` blocks
        do now meets processes that can do nothing."""
        self._queue.clear()
        self._ready.clear()
        for process in self.graveyard:
            self._enter(process)
            for task in process.remains:
                with contextlib.suppress(BaseException):
                    task.get_coro().close()
        self._enter(None)
        self.graveyard.clear()

    def _enter(self, process: Process | None) -> None:
        if process is self.current:
            return
        self.current = process
        asyncio._set_running_loop(None if process is None else process.loop)


def _run_handle(handle: Handle) -> None:
    if handle.callback is not None:
        handle.context.run(handle.callback, *handle.args)


def _is_void(argument: Any) -> bool:
    return isinstance(argument, Handle) and argument.callback is None
