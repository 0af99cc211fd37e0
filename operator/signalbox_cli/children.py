"""Child processes of `up`: started with a log of their own, ended in order, never left behind.

A child is in a session of its own, so that Ctrl-C reaches the supervisor alone, which then ends the
children in the right order. Should the supervisor itself be killed, the kernel kills them
(`PR_SET_PDEATHSIG`); what they had under way is found in their journals by the next start.
"""

import asyncio
import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

_PR_SET_PDEATHSIG: Final = 1
LOG_TAIL: Final = 4096
"""Bytes at the end of a log in which the reason of an early end is looked for."""


@dataclass(frozen=True, slots=True)
class Program:
    """How a child is started: a name for people, the module, its arguments, its log."""

    name: str
    module: str
    arguments: Sequence[str]
    log: Path
    environment: Mapping[str, str] = field(default_factory=dict)


class Child:
    """A running child process."""

    def __init__(self, program: Program, process: asyncio.subprocess.Process) -> None:
        self.program = program
        self._process = process

    @classmethod
    async def start(cls, program: Program) -> "Child":
        """Starts the program; its output goes to its log, after what earlier ones wrote."""
        with program.log.open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                program.module,
                *program.arguments,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=_die_with_parent(),
                env={**os.environ, **program.environment},
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

    async def ended(self) -> int:
        """Waits for its end and returns its exit code."""
        return await self._process.wait()

    async def stop(self, grace_s: float) -> None:
        """Asks it to end, and kills it when it has not done so within the grace."""
        if self.exit_code is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(self._process.wait(), grace_s)
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()

    def last_words(self) -> str:
        """The last line of its log: usually why it ended."""
        try:
            with self.program.log.open("rb") as log:
                log.seek(0, os.SEEK_END)
                log.seek(max(0, log.tell() - LOG_TAIL))
                lines = log.read().decode("utf-8", "replace").strip().splitlines()
        except OSError:
            return ""
        return lines[-1].strip() if lines else ""


def _die_with_parent() -> Callable[[], None]:
    # Looked up before the fork: between fork and exec only calls into the kernel are safe.
    libc = ctypes.CDLL(None, use_errno=True)
    parent = os.getpid()

    def arrange() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os.kill(os.getpid(), signal.SIGKILL)

    return arrange
