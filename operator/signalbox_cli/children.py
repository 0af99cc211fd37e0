"""Child processes of `up`: started with a log of their own, ended in order, never left behind.

A child is in a session of its own, so that Ctrl-C reaches the supervisor alone, which then ends the
children in the right order. Each is told `--die-with-parent`: should the supervisor itself be
killed, the kernel ends them, and what they had under way is found in their journals by the next
start. A child prints `ready`, and what else belongs there, on one line of its standard output.
"""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from signalbox_cli.failure import Failure

READY: Final = "ready"
LOG_TAIL: Final = 4096
"""Bytes at the end of a log in which the reason of an early end is looked for."""

MAX_LOG_BYTES: Final = 16 * 1024 * 1024
"""A log that is larger when its child starts is set aside as `.old`."""


@dataclass(frozen=True, slots=True)
class Program:
    """How a child is started: a name for people, the module, its arguments, its log, and the
    environment variables that it does not get."""

    name: str
    module: str
    arguments: Sequence[str]
    log: Path
    without: Collection[str] = ()


class Child:
    """A running child process."""

    def __init__(self, program: Program, process: asyncio.subprocess.Process) -> None:
        self.program = program
        self._process = process
        self._ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._reading = asyncio.create_task(self._read(), name=f"output of {program.name}")

    @classmethod
    async def start(cls, program: Program) -> "Child":
        """Starts the program; its output goes to its log, after what earlier ones wrote."""
        _set_aside(program.log)
        environment = {k: v for k, v in os.environ.items() if k not in program.without}
        with program.log.open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                program.module,
                "--die-with-parent",
                *program.arguments,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                env=environment,
                start_new_session=True,
            )
        return cls(program, process)

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """How it ended, None while it runs; negative: the signal that ended it."""
        return self._process.returncode

    async def ready(self, limit_s: float) -> str:
        """Waits until it says that it is ready and gives what it said with that.

        Raises Failure when it ends before, or is not ready within the limit.
        """
        try:
            return await asyncio.wait_for(asyncio.shield(self._ready), limit_s)
        except TimeoutError:
            raise Failure(
                f"{self.program.name} is not ready after {limit_s:.0f} s; see {self.program.log}"
            ) from None

    async def ended(self) -> int:
        """Waits for its end and returns its exit code."""
        code = await self._process.wait()
        await self._reading
        return code

    async def stop(self, grace_s: float) -> None:
        """Asks it to end, and kills it when it has not done so within the grace."""
        if self.exit_code is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(self.ended(), grace_s)
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self.ended()

    def last_words(self) -> str:
        """The last line of its log: usually why it ended."""
        try:
            with self.program.log.open("rb") as log:
                log.seek(max(0, log.seek(0, os.SEEK_END) - LOG_TAIL))
                lines = log.read().decode("utf-8", "replace").strip().splitlines()
        except OSError:
            return ""
        return lines[-1].strip() if lines else ""

    async def _read(self) -> None:
        output = self._process.stdout
        if output is None:
            return
        with self.program.log.open("ab", buffering=0) as log:
            async for line in output:
                with contextlib.suppress(OSError):  # a full disk must not cost us the line
                    log.write(line)
                word, _, rest = line.decode("utf-8", "replace").strip().partition(" ")
                if word == READY and not self._ready.done():
                    self._ready.set_result(rest)
        code = await self._process.wait()
        if not self._ready.done():
            self._ready.set_exception(
                Failure(
                    f"{self.program.name} ended with {code} before it was ready:"
                    f" {self.last_words() or 'it said nothing'} (log: {self.program.log})"
                )
            )
            self._ready.exception()


def _set_aside(log: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        if log.stat().st_size > MAX_LOG_BYTES:
            log.replace(log.with_suffix(".log.old"))
