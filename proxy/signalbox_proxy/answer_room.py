"""The room that one request's answer takes while it is read and sent: see `upload_room`.

Small answers take none, so that ordinary traffic asks nobody.
"""

import asyncio
from typing import Final

from signalbox_proxy.refusals import Refusal
from signalbox_proxy.upload_room import UploadRoom

FREE: Final = 1024 * 1024
"""Bytes of an answer that take no room."""


class AnswerRoom:
    """Room for the answers of one request of an agent, one after the other."""

    __slots__ = ("_agent", "_held", "_room")

    def __init__(self, room: UploadRoom, agent: str) -> None:
        self._room = room
        self._agent = agent
        self._held = 0

    @property
    def is_taken(self) -> bool:
        """Whether an answer takes room."""
        return self._held > 0

    async def enter(self, size: int, until: float) -> None:
        """Wait until there is room for an answer of at most so many bytes.

        Raises a final `Refusal("not_ready")` at `until`, by the loop's clock: the answer may have
        been billed, and another lane's would be as long.
        """
        self.leave()
        try:
            async with asyncio.timeout_at(until):
                self._held = await self._room.enter_answer(size, self._agent)
        except TimeoutError:
            raise Refusal(
                "not_ready",
                "This proxy had no room for so large an answer, which may have been billed. Ask "
                "for less at once.",
                is_final=True,
            ) from None

    def keep(self, size: int) -> None:
        """So many bytes came: give back the rest."""
        if self._held > size:
            self._room.leave_answer(self._held - size, self._agent)
            self._held = size

    def leave(self) -> None:
        """Give back all of it."""
        self.keep(0)
