"""The parts of a process as tasks with names, so that an end says whose it is."""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

_log = logging.getLogger("signalbox.operator")


def named(name: str, part: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    """Starts a part under its name."""
    return asyncio.create_task(part, name=name)


def told(tasks: set[asyncio.Task[Any]]) -> int:
    """Says which part ended and why; the exit code."""
    for task in tasks:
        if task.done() and not task.cancelled():
            _log.error("%s ended: %s", task.get_name(), task.exception() or "by itself")
    return 1
