"""What production code asks of the machine, answered by the simulation: clocks, chance, disk.

`simulated_machine` replaces `time`, `os.urandom` and the journal's `os` for as long as a seed
runs. Files are real ones in a folder in memory; what the simulation adds are the ways in which a
disk fails, and that a dead process writes nothing more.
"""

import errno
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random
from typing import Any
from unittest.mock import patch

from signalbox_ledger import journal, journal_lock
from simulation.scheduler import Process, ProcessKilled, World

START_US = 1_792_368_000_000_000
"""Virtual time zero on the wall clock, if a seed says nothing else."""


class Disk:
    """What `os` is to the journal. Everything that is not here is the real one."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._owners: dict[int, Process] = {}
        self._kept: dict[str, list[int]] = {}
        self.full: set[str] = set()
        """Processes whose disk has no room: what was set aside before can still be written."""
        self.broken: set[str] = set()
        """Processes whose writes fail, or reach the file in part."""
        self.fatal_writes: dict[str, int] = {}
        """Processes that die at a write, and how many bytes of it still reach the file."""

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def open(self, path: Any, flags: int, mode: int = 0o777) -> int:
        process = self._living()
        file = os.open(path, flags, mode)
        self._owners[file] = process
        if process.name not in self._kept:
            self._kept[process.name] = []
            process.at_death.append(lambda: self.close_all(process))
        self._kept[process.name].append(file)
        return file

    def close(self, file: int) -> None:
        owner = self._owners.pop(file, None)
        if owner is None or not owner.alive:
            return
        self._kept[owner.name].remove(file)
        os.close(file)

    def close_all(self, process: Process) -> None:
        """What the kernel does when a process ends."""
        for file in self._kept.pop(process.name, []):
            self._owners.pop(file, None)
            os.close(file)

    def pwrite(self, file: int, data: bytes, offset: int) -> int:
        process = self._living()
        reach = self.fatal_writes.pop(process.name, None)
        if reach is not None:
            os.pwrite(file, data[: reach % (len(data) + 1)], offset)
            process.kill()
            raise ProcessKilled
        if process.name in self.broken:
            if len(data) % 3:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            return os.pwrite(file, data[: len(data) // 2], offset)
        return os.pwrite(file, data, offset)

    def posix_fallocate(self, file: int, offset: int, length: int) -> None:
        if self._living().name in self.full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        # In memory nothing has to be set aside: a longer file reads as zeros, too.
        if os.fstat(file).st_size < offset + length:
            os.ftruncate(file, offset + length)

    def ftruncate(self, file: int, length: int) -> None:
        self._living()
        os.ftruncate(file, length)

    def statvfs(self, path: Any) -> os.statvfs_result:
        """What the disk has left: plenty, or nothing."""
        blocks = 0 if self._living().name in self.full else 2**20
        return os.statvfs_result((4096, 4096, 2**21, blocks, blocks, 0, 0, 0, 0, 255))

    def _living(self) -> Process:
        process = self._world.current
        if process is None or not process.alive:
            raise ProcessKilled
        return process


def _wall_us(world: World, start_us: int) -> int:
    process = world.current
    return start_us + world.now + (process.wall_us if process is not None else 0)


@contextmanager
def simulated_machine(world: World, start_us: int = START_US) -> Iterator[Disk]:
    """Clocks, chance and disk of the simulation in place of the machine's."""
    disk = Disk(world)
    chance: Random = world.chance("urandom")
    with (
        patch.object(time, "time_ns", lambda: _wall_us(world, start_us) * 1000),
        patch.object(time, "time", lambda: _wall_us(world, start_us) / 1e6),
        patch.object(time, "monotonic", lambda: world.now / 1e6),
        patch.object(time, "monotonic_ns", lambda: world.now * 1000),
        patch.object(os, "urandom", chance.randbytes),
        patch.object(journal, "os", disk),
        patch.object(journal_lock, "os", disk),
    ):
        yield disk
