"""Whose status is written next: namespaces take turns, so that no tenant's crowd delays another's.

Pure. Writes are few a second and shared by all; a tenant with ten thousand objects to write gets
the same share of them as one with a single object, until nobody else waits. Within a namespace who
waits longest comes first. Turns are counted as fair queueing counts them: a namespace that asked
for nothing for a while has saved nothing up. Each urgency has turns of its own: who had many of
the one keeps nobody from another.
"""

import heapq
from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

from signalbox_api import ResourceKey


class Waiting(NamedTuple):
    """One write that could begin, and since when it waits."""

    since: float
    key: ResourceKey


class Turns:
    """Remembers who had how many turns, of one urgency."""

    def __init__(self) -> None:
        self._next: dict[str, int] = {}
        self._round = 0

    def order(self, waiting: Iterable[Waiting], most: int) -> list[Waiting]:
        """The first `most` of these, by turns."""
        groups: defaultdict[str, list[Waiting]] = defaultdict(list)
        for each in waiting:
            groups[each.key.namespace].append(each)
        placed = (
            (max(self._next.get(namespace, 0), self._round) + place, each)
            for namespace, group in groups.items()
            for place, each in enumerate(heapq.nsmallest(most, group))
        )
        return [each for _, each in heapq.nsmallest(most, placed)]

    def took(self, namespace: str) -> None:
        """A write of this namespace begins."""
        turn = max(self._next.get(namespace, 0), self._round)
        self._next[namespace] = turn + 1
        if turn > self._round:
            self._round = turn
            self._next = {name: at for name, at in self._next.items() if at > turn}
