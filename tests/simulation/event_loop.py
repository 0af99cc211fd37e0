"""The event loop of one simulated process: asyncio as production code knows it, on virtual time.

Offers what the ledger and the request path use: callbacks, timers, tasks, and Unix sockets, which
lead into `network`. Everything else is left to the abstract class and fails loudly.
"""

import asyncio
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import Any

from simulation.network import Network
from simulation.scheduler import MICRO, Handle, Process, World


class SimulatedLoop(asyncio.AbstractEventLoop):
    """One process's loop. It never runs by itself: the world's scheduler does."""

    def __init__(self, world: World, process: Process, network: Network) -> None:
        self._world = world
        self._ready = world.ready
        self._process = process
        self._network = network
        self._tasks = 0
        self.work_us: Callable[[], int] = lambda: 200
        """How long a thread takes to begin, and again to tell that it is done."""
        process.loop = self

    def time(self) -> float:
        """Seconds of virtual time."""
        return self._world.now / MICRO

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return True

    def is_closed(self) -> bool:
        return False

    def call_soon(
        self, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> Handle:
        handle = Handle(self._process, callback, args, context)
        self._ready(handle)
        return handle

    def call_later(
        self,
        delay: float,
        callback: Callable[..., Any],
        *args: Any,
        context: Context | None = None,
    ) -> Handle:
        return self.call_at(self.time() + delay, callback, *args, context=context)

    def call_at(
        self,
        when: float,
        callback: Callable[..., Any],
        *args: Any,
        context: Context | None = None,
    ) -> Handle:
        due = int(when * MICRO)
        if due / MICRO < when:
            due += 1  # a timer never fires before its time
        handle = Handle(self._process, callback, args, context)
        handle.when_us = due
        self._world.at(due, self._process, _fire, handle)
        return handle

    def create_future(self) -> "asyncio.Future[Any]":
        return asyncio.Future(loop=self)

    def create_task(
        self,
        coro: Coroutine[Any, Any, Any],
        *,
        name: str | None = None,
        context: Context | None = None,
    ) -> "asyncio.Task[Any]":
        self._tasks += 1
        task = asyncio.Task(coro, loop=self, name=name or f"{self._tasks:08}", context=context)
        task._log_destroy_pending = False
        return task

    def run_in_executor(
        self, executor: Any, func: Callable[..., Any], *args: Any
    ) -> "asyncio.Future[Any]":
        """A thread of one step: it runs some time from now, and tells later still."""
        future = self.create_future()
        due = self._world.now + self.work_us()
        self._world.at(due, self._process, self._work, future, func, args, what="thread")
        return future

    def _work(self, future: "asyncio.Future[Any]", func: Callable[..., Any], args: Any) -> None:
        error: Exception | None = None
        result = None
        try:
            result = func(*args)
        except Exception as raised:  # noqa: BLE001  a thread hands on whatever it met
            error = raised
        due = self._world.now + self.work_us()
        self._world.at(due, self._process, _tell, future, result, error, what="thread")

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """A task that nobody looks at failed: production would only log it."""
        error = context.get("exception")
        if self._process.alive and isinstance(error, Exception) and "Task" in context["message"]:
            self._world.violate(f"{self._process.name}: {context['message']}: {error!r}")

    async def create_unix_connection(
        self, protocol_factory: Callable[[], Any], path: Any = None, **_: Any
    ) -> tuple[Any, Any]:
        return await self._network.connect(self._process, str(path), protocol_factory)

    async def create_unix_server(
        self, protocol_factory: Callable[[], Any], path: Any = None, **_: Any
    ) -> Any:
        return self._network.listen(self._process, str(path), protocol_factory)


def _fire(handle: Handle) -> None:
    callback = handle.callback
    if callback is not None:
        handle.context.run(callback, *handle.args)


def _tell(future: "asyncio.Future[Any]", result: Any, error: Exception | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)
