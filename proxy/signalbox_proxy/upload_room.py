"""How much memory files that are being uploaded may take, over all requests of a process."""

from typing import Final

from signalbox_proxy.refusals import Refusal

ROOM: Final = 256 * 1024 * 1024
"""Bytes of bodies with files at once. Each may take twice that: as it came, and as it is sent."""


class UploadRoom:
    """Hands out room; nobody waits for it."""

    __slots__ = ("_left",)

    def __init__(self, room: int = ROOM) -> None:
        self._left = room

    def enter(self, size: int) -> int:
        """Take room for so many bytes. Raises `Refusal("not_ready")` where there is none."""
        if size > self._left:
            raise Refusal(
                "not_ready",
                "This proxy has too many files to take in at the moment. Try again.",
                retry_after_s=2,
            )
        self._left -= size
        return size

    def leave(self, size: int) -> None:
        """Give back what `enter` gave."""
        self._left += size
