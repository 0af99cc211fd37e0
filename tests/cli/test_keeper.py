"""What keeps a child of `up` running, whatever stands in its way."""

import asyncio
import os
import resource
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from signalbox_cli.children import Program
from signalbox_cli.keeper import Care, Keeper


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Program:
    """A child that says that it is ready, and waits for its end."""
    module = "print('ready', flush=True)\nimport time\ntime.sleep(600)\n"
    (tmp_path / "kept_child.py").write_text(module)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return Program("child", "kept_child", [], tmp_path / "child.log")


@contextmanager
def no_room(free: int) -> Iterator[None]:
    """Files of this process may not grow beyond `free` bytes, as on a disk that is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (free, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(90):
        while not condition():
            await asyncio.sleep(0.02)


async def test_a_child_is_ready_though_its_log_has_no_room(program: Program) -> None:
    program.log.write_bytes(b"x" * 100)
    keeper = Keeper(program, Care(lambda _: None))
    with no_room(100):
        await keeper.start()
        assert keeper.pid is not None
        await keeper.stop(5)
    assert program.log.read_bytes() == b"x" * 100


async def test_a_child_runs_again_though_what_comes_before_failed_with_an_error_of_the_disk(
    program: Program,
) -> None:
    told: list[str] = []
    failures = iter([OSError(28, "No space left on device"), RuntimeError("unforeseen")])

    async def after_end() -> None:
        if error := next(failures, None):
            raise error

    keeper = Keeper(program, Care(told.append, after_end))
    await keeper.start()
    first = keeper.pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    await until(lambda: keeper.restarts == 1)
    assert keeper.pid not in (None, first)
    assert any("No space left" in each for each in told)
    await keeper.stop(5)
