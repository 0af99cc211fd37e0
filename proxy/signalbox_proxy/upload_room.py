"""How much memory large bodies may take, over all requests of a process: files that are being
uploaded, and answers that are read whole, such as images.

Who uploads without room is refused, before anything is sent. An answer may have been billed: it
waits at its provider, unread, until there is room for all of it.

What waits may hold a file, its own request's, so it must never wait for files: they leave one
share of the room to answers, and count apart from them in what an agent has. Who has an answer's
room waits for none, and gives it back when the client has been sent it. So the first in line waits
only for answers that are on their way out, whoever holds which files; and there is a line, so
that those who ask for little overtake nobody for ever.
"""

import asyncio
from dataclasses import dataclass
from typing import Final

from signalbox_proxy.refusals import Refusal

ROOM: Final = 256 * 1024 * 1024
"""Bytes of large bodies at once. Each may take twice that: as it came, and as it is sent."""

SHARES: Final = 4
"""One agent's files have at most this part of the room, and so have its answers: whoever sends
much leaves room for others. All files together leave this part of it to answers."""


@dataclass(frozen=True, slots=True, eq=False)
class _Turn:
    """An answer in line; `granted` once room is taken for it."""

    size: int
    agent: str
    granted: "asyncio.Future[None]"


class UploadRoom:
    """Hands out room for bytes that have come, or are about to be read."""

    __slots__ = ("_answers_of", "_files_left", "_files_of", "_left", "_line", "_share")

    def __init__(self, room: int = ROOM) -> None:
        self._share = room // SHARES
        self._left = room
        self._files_left = room - self._share
        self._files_of: dict[str, int] = {}
        self._answers_of: dict[str, int] = {}
        self._line: list[_Turn] = []

    def check(self, size: int, agent: str) -> None:
        """Raises `Refusal("not_ready")` where there is no room for a file's so many bytes now."""
        if size > min(self._left, self._files_left):
            raise _full("This proxy has too many files to take in at the moment. Try again.")
        if self._files_of.get(agent, 0) + size > self._share:
            raise _full(f"Agent {agent} sends as many files at once as it may. Try again.")

    def enter(self, size: int, agent: str) -> None:
        """Take room for so many bytes of an agent's file. Raises as `check` does."""
        self.check(size, agent)
        self._left -= size
        self._files_left -= size
        self._files_of[agent] = self._files_of.get(agent, 0) + size

    def leave(self, size: int, agent: str) -> None:
        """Give back what `enter` took."""
        self._files_left += size
        self._give_back(self._files_of, size, agent)

    async def enter_answer(self, size: int, agent: str) -> int:
        """Take room for an answer of so many bytes once there is, and say for how many: no more
        than one agent's answers have at most. All that is needed is taken at once, by who has no
        room for an answer yet, so that nobody waits for those who wait.
        """
        size = min(size, self._share)
        turn = _Turn(size, agent, asyncio.get_running_loop().create_future())
        self._line.append(turn)
        self._grant()
        try:
            await turn.granted
        except asyncio.CancelledError:
            if turn.granted.cancelled():
                self._grant()
            else:
                self.leave_answer(size, agent)
            raise
        return size

    def leave_answer(self, size: int, agent: str) -> None:
        """Give back what `enter_answer` took, or a part of it."""
        self._give_back(self._answers_of, size, agent)

    def _give_back(self, held_by: dict[str, int], size: int, agent: str) -> None:
        self._left += size
        held = held_by.pop(agent, 0) - size
        if held > 0:
            held_by[agent] = held
        if self._line:
            self._grant()

    def _grant(self) -> None:
        """Take room for those in line, first come first served. Those of an agent that has its
        share are passed over: what they wait for keeps nobody else waiting."""
        line, self._line = self._line, []
        passed_over: set[str] = set()
        is_full = False
        for turn in line:
            if turn.granted.done():  # given up
                continue
            held = self._answers_of.get(turn.agent, 0)
            if held + turn.size > self._share:
                passed_over.add(turn.agent)
            elif turn.size > self._left and turn.agent not in passed_over:
                is_full = True
            if is_full or turn.agent in passed_over:
                self._line.append(turn)
            else:
                self._left -= turn.size
                self._answers_of[turn.agent] = held + turn.size
                turn.granted.set_result(None)


def _full(message: str) -> Refusal:
    return Refusal("not_ready", message, retry_after_s=2)
