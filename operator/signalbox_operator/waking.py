"""What wakes the loop of `reconcile`: changes, of which many at once are one; and a tick."""

import asyncio
import time
from typing import Final

SETTLE_S: Final = 0.05
"""What changes within this time is compiled together."""

SETTLE_AT_MOST_S: Final = 0.5
TICK_S: Final = 1.0


class Waking:
    """Whether something changed since the loop last looked."""

    def __init__(self) -> None:
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """Something changed."""
        self._woken.set()

    async def settled(self) -> None:
        """Waits for a change, at most for a tick; then until changes pause."""
        try:
            await asyncio.wait_for(self._woken.wait(), TICK_S)
        except TimeoutError:
            return
        latest = time.monotonic() + SETTLE_AT_MOST_S
        while self._woken.is_set() and time.monotonic() < latest:
            self._woken.clear()
            await asyncio.sleep(SETTLE_S)
        self._woken.clear()
