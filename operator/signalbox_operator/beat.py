"""A loop that waits for long work tells that it lives meanwhile, but not for ever."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

BEAT_S: Final = 5.0
WORK_AT_MOST_S: Final = 900.0
"""Work that takes longer hangs: then nothing is told any more, and the kubelet may step in."""

_Answer = TypeVar("_Answer")


async def beating(work: Awaitable[_Answer], beat: Callable[[], None]) -> _Answer:
    """Waits for work, and calls `beat` from time to time until it ends."""
    ticker = asyncio.create_task(tick(beat))
    try:
        return await work
    finally:
        ticker.cancel()


async def tick(beat: Callable[[], None]) -> None:
    """Calls `beat` every BEAT_S, for WORK_AT_MOST_S."""
    for _ in range(int(WORK_AT_MOST_S / BEAT_S)):
        await asyncio.sleep(BEAT_S)
        beat()
