"""Builds the turns of a conversation while a client's messages are read.

Wire formats put a tool's results beside the user's words or into messages of their own, and let
one role speak twice; turns alternate.
"""

from collections.abc import Iterable

from signalbox_proxy.translation.conversation import Part, Role, Text, Turn


class Turns:
    """Collects parts by role; neighbours of one role become one turn."""

    def __init__(self) -> None:
        self._turns: list[tuple[Role, list[Part]]] = []

    def add(self, role: Role, parts: Iterable[Part]) -> None:
        """Add what one message said. Empty text says nothing, and some providers refuse it."""
        said = [part for part in parts if not (isinstance(part, Text) and not part.text)]
        if not said:
            return
        if self._turns and self._turns[-1][0] == role:
            self._turns[-1][1].extend(said)
        else:
            self._turns.append((role, said))

    def whole(self) -> tuple[Turn, ...]:
        """All turns, in order."""
        return tuple(Turn(role, tuple(parts)) for role, parts in self._turns)
