"""How much memory files that are being uploaded may take, over all requests of a process."""

from typing import Final

from signalbox_proxy.refusals import Refusal

ROOM: Final = 256 * 1024 * 1024
"""Bytes of bodies with files at once. Each may take twice that: as it came, and as it is sent."""

SHARES: Final = 4
"""One agent has at most this part of the room: whoever sends much leaves room for others."""


class UploadRoom:
    """Hands out room for bytes that have come; nobody waits for it."""

    __slots__ = ("_left", "_of", "_share")

    def __init__(self, room: int = ROOM) -> None:
        self._left = room
        self._share = room // SHARES
        self._of: dict[str, int] = {}

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

    def leave(self, size: int, agent: str) -> None:
        """Give back what `enter` took."""
        self._left += size
        held = self._of.pop(agent, 0) - size
        if held > 0:
            self._of[agent] = held


def _full(message: str) -> Refusal:
    return Refusal("not_ready", message, retry_after_s=2)
