"""The objects with their status as `up` shows them, and whoever watches them.

Stands where the API server stands in a cluster: it numbers versions and tells watchers what
changed. It decides nothing.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

MAX_WAITING: Final = 10_000
"""Events that a slow watcher may be behind; beyond, it is let go and has to ask again."""

Item = dict[str, Any]


class _Key(NamedTuple):
    kind: str
    namespace: str
    name: str


def _key(item: Mapping[str, Any]) -> _Key:
    return _Key(item["kind"], item["metadata"]["namespace"], item["metadata"]["name"])


class Board:
    """All objects, sorted by kind, namespace and name, with a version for each change."""

    def __init__(self, version: int = 0) -> None:
        self._items: dict[_Key, Item] = {}
        self._version = version
        self._watchers: dict[asyncio.Queue[Item | None], str] = {}

    def items(self, kind: str = "") -> list[Item]:
        """The objects, of one kind or of all."""
        return [item for key, item in sorted(self._items.items()) if kind in ("", key.kind)]

    def replace(self, items: Sequence[Item]) -> None:
        """Shows these objects from now on and tells watchers what is new, changed or gone."""
        wanted = {_key(item): item for item in items}
        for key in sorted(self._items.keys() - wanted.keys()):
            self._tell(key.kind, {"type": "DELETED", "object": self._items.pop(key)})
        for key, item in sorted(wanted.items()):
            shown = self._items.get(key)
            if shown is not None and _without_version(shown) == item:
                continue
            self._version += 1
            versioned = item | {
                "metadata": item["metadata"] | {"resourceVersion": str(self._version)}
            }
            self._items[key] = versioned
            event = "ADDED" if shown is None else "MODIFIED"
            self._tell(key.kind, {"type": event, "object": versioned})

    async def watch(self, kind: str) -> AsyncIterator[Item]:
        """Events of one kind: the present objects, a bookmark, then changes until `close`."""
        waiting: asyncio.Queue[Item | None] = asyncio.Queue(MAX_WAITING)
        self._watchers[waiting] = kind
        try:
            for item in self.items(kind):
                yield {"type": "ADDED", "object": item}
            yield {"type": "BOOKMARK", "object": {}}
            while (event := await waiting.get()) is not None:
                yield event
        finally:
            self._watchers.pop(waiting, None)

    def close(self) -> None:
        """Ends all watches."""
        for waiting in list(self._watchers):
            self._end(waiting)

    def _tell(self, kind: str, event: Item) -> None:
        for waiting, wanted in list(self._watchers.items()):
            if wanted != kind:
                continue
            if waiting.full():
                self._end(waiting)
            else:
                waiting.put_nowait(event)

    def _end(self, waiting: "asyncio.Queue[Item | None]") -> None:
        del self._watchers[waiting]
        if waiting.full():
            waiting.get_nowait()
        waiting.put_nowait(None)


def _without_version(item: Item) -> Item:
    metadata = {
        name: value for name, value in item["metadata"].items() if name != "resourceVersion"
    }
    return item | {"metadata": metadata}
