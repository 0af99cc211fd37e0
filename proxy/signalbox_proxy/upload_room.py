"""How much memory large bodies may take, over all requests of a process: files that are being
uploaded, and answers that are read whole, such as images.

Who uploads without room is refused, before anything is sent. An answer may have been billed: it
waits at its provider, unread, until there is room for all of it.
"""

import asyncio
from typing import Final

from signalbox_proxy.refusals import Refusal

ROOM: Final = 256 * 1024 * 1024
"""Bytes of large bodies at once. Each may take twice that: as it came, and as it is sent."""

SHARES: Final = 4
"""One agent has at most this part of the room: whoever sends much leaves room for others."""


class UploadRoom:
    """Hands out room for bytes that have come, or are about to be read."""

    __slots__ = ("_left", "_of", "_share", "_waiting")

    def __init__(self, room: int = ROOM) -> None:
        self._left = room
        self._share = room // SHARES
        self._of: dict[str, int] = {}
        self._waiting: list[asyncio.Future[None]] = []

    def check(self, size: int, agent: str) -> None:
        """Raises `Refusal("not_ready")` where there is no room for so many bytes now."""
        if size > self._left:
            raise _full("This proxy has too many files to take in at the moment. Try again.")
        if self._of.get(agent, 0) + size > self._share:
            raise _full(f"Agent {agent} sends as many files at once as it may. Try again.")

    def enter(self, size: int, agent: str) -> None:
        """Take room for so many bytes of an agent's. Raises as `check` does."""
        self.check(size, agent)
        self._left -= size
        self._of[agent] = self._of.get(agent, 0) + size

    async def wait(self, size: int, agent: str) -> int:
        """Take room for so many bytes once there is, and say for how many: no more than one agent
        has at most. All that is needed is taken at once, so that nobody waits for those who wait.
        """
        size = min(size, self._share)
        while size > self._left or self._of.get(agent, 0) + size > self._share:
            turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(turn)
            await turn
        self.enter(size, agent)
        return size

    def leave(self, size: int, agent: str) -> None:
        """Give back what `enter` took."""
        self._left += size
        held = self._of.pop(agent, 0) - size
        if held > 0:
            self._of[agent] = held
        waiting, self._waiting = self._waiting, []
        for turn in waiting:
            if not turn.done():
                turn.set_result(None)


def _full(message: str) -> Refusal:
    return Refusal("not_ready", message, retry_after_s=2)
