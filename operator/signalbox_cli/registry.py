"""What an API server remembers of each object: uid, creation, and a generation that grows with it.

Objects of `up` come from files, which know none of this. The registry keeps it in STATE, so that a
restart changes nothing, and an edit of a spec raises `metadata.generation` as in a cluster.
"""

import hashlib
import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated, Final
from uuid import UUID, uuid5

import msgspec

from signalbox_api import Resource
from signalbox_cli.state import write_private

_NAMESPACE: Final = UUID("6c1f8d52-8a0e-5a53-9a2e-9d3f6d0c7f11")


class Remembered(msgspec.Struct, frozen=True):
    """One object's memory. `created` is an RFC 3339 instant."""

    uid: str
    created: str
    generation: Annotated[int, msgspec.Meta(ge=1)]
    digest: str


class Registry:
    """The memory of all objects of one state folder."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: dict[str, Remembered] = {}
        if path.exists():
            self._known = msgspec.json.decode(path.read_bytes(), type=dict[str, Remembered])

    def stamp(self, objects: Sequence[Resource], now: datetime) -> list[Resource]:
        """The objects with uid, generation and creation, as an API server would store them."""
        known = {str(each.key): self._remember(each, now) for each in objects}
        if known != self._known:
            self._known = known
            write_private(self._path, msgspec.json.format(msgspec.json.encode(known)))
        return list(self._stamped(objects))

    def _remember(self, item: Resource, now: datetime) -> Remembered:
        key, digest = str(item.key), _digest(item)
        before = self._known.get(key)
        if before is None:
            created = now.isoformat(timespec="seconds").replace("+00:00", "Z")
            return Remembered(str(uuid5(_NAMESPACE, f"{key} {created}")), created, 1, digest)
        if before.digest == digest:
            return before
        return msgspec.structs.replace(before, generation=before.generation + 1, digest=digest)

    def _stamped(self, objects: Iterable[Resource]) -> Iterable[Resource]:
        for item in objects:
            remembered = self._known[str(item.key)]
            metadata = item.metadata.model_copy(
                update={
                    "uid": remembered.uid,
                    "generation": remembered.generation,
                    "creation_timestamp": datetime.fromisoformat(remembered.created),
                }
            )
            yield item.model_copy(update={"metadata": metadata})


def _digest(item: Resource) -> str:
    spec = item.manifest().get("spec")
    return hashlib.sha256(json.dumps(spec, sort_keys=True).encode()).hexdigest()
