"""Keeps one child running: when it ends unasked, it is started again, later each time it fails.

What has to happen between its end and its next start (settling a dead proxy's journal) and after
(handing it the snapshot) is given as functions.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from signalbox_cli.children import Child, Program
from signalbox_cli.failure import Failure

FIRST_PAUSE_S: Final = 0.2
LONGEST_PAUSE_S: Final = 10.0
STEADY_S: Final = 30.0
"""After running for so long, an end counts as the first again."""

READY_LIMIT_S: Final = 30.0


async def _nothing() -> None:
    return None


@dataclass(frozen=True, slots=True)
class Care:
    """What to do around a restart, and where to tell people about it."""

    tell: Callable[[str], None]
    after_end: Callable[[], Awaitable[None]] = _nothing
    after_start: Callable[[], Awaitable[None]] = _nothing


class Keeper:
    """One program that shall run until it is stopped."""

    def __init__(self, program: Program, care: Care) -> None:
        self.program = program
        self.restarts = 0
        self._care = care
        self._child: Child | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        """Its process id, None while it does not run."""
        child = self._child
        return None if child is None or child.exit_code is not None else child.pid

    async def start(self) -> str:
        """Starts it, waits until it is ready, and keeps it from then on.

        Gives what it said with `ready`. Raises Failure when it does not get ready.
        """
        said = await self._start_once()
        self._task = asyncio.create_task(self._keep(), name=f"keeper of {self.program.name}")
        return said

    async def stop(self, grace_s: float) -> None:
        """Ends it and keeps it no longer."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._child is not None:
            await self._child.stop(grace_s)

    async def _start_once(self) -> str:
        self._child = await Child.start(self.program)
        return await self._child.ready(READY_LIMIT_S)

    async def _keep(self) -> None:
        failures = 0
        while self._child is not None:
            since = time.monotonic()
            code = await self._child.ended()
            if time.monotonic() - since > STEADY_S:
                failures = 0
            how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
            self._care.tell(f"{self.program.name} {how}; restarting")
            failures = await self._restart(failures)

    async def _restart(self, failures: int) -> int:
        while True:
            await asyncio.sleep(min(FIRST_PAUSE_S * 2**failures, LONGEST_PAUSE_S))
            failures = min(failures + 1, 10)
            try:
                await self._care.after_end()
                await self._start_once()
                await self._care.after_start()
            except Failure as failure:
                self._care.tell(failure.message)
                await self._give_up_on_child()
                continue
            except Exception as error:  # noqa: BLE001  or it would never run again
                self._care.tell(f"{self.program.name} cannot be started: {error!r}")
                await self._give_up_on_child()
                continue
            self.restarts += 1
            self._care.tell(f"{self.program.name} runs again")
            return failures

    async def _give_up_on_child(self) -> None:
        if self._child is not None:
            await self._child.stop(0)
