"""Events that wait to be told, by turns of namespaces: a few a second leave, and who has thousands
to tell keeps nobody else's back. Pure.

At most `most` wait. Where more come, what is dropped is the newest of the namespace that has most
waiting, or what came, where that has no fewer.
"""

from collections import deque

from signalbox_operator.status_notes import Note


class NoteQueue:
    """Notes that wait."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._count = 0
        self._waiting: dict[str, deque[Note]] = {}

    def __len__(self) -> int:
        return self._count

    def put(self, note: Note) -> bool:
        """Takes a note in; whether that is without dropping one, this or another."""
        namespace = note.key.namespace
        fits = self._count < self._most
        if not fits:
            longest = max(self._waiting, key=lambda name: len(self._waiting[name]))
            if len(self._waiting[longest]) <= len(self._waiting.get(namespace, ())) + 1:
                return False
            self._waiting[longest].pop()
            self._count -= 1
        self._waiting.setdefault(namespace, deque()).append(note)
        self._count += 1
        return fits

    def take(self) -> Note:
        """The next note: of the namespace whose turn it is, its oldest. Raises KeyError where none
        waits."""
        namespace = next(iter(self._waiting), None)
        if namespace is None:
            raise KeyError("nothing waits")
        queue = self._waiting.pop(namespace)
        note = queue.popleft()
        self._count -= 1
        if queue:
            self._waiting[namespace] = queue
        return note
