"""The objects that `up` works with: those of the folder, kept where a file is broken, stamped.

An API server refuses a bad object and keeps the one it has. Files know no such thing, so it is done
here: where a file cannot be read whole, what it said before stands until it can.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from signalbox_api import Resource, ResourceKey
from signalbox_api.load import Loaded, read_object, read_paths
from signalbox_cli.dev_keys import agents_without_keys, dev_key, with_dev_keys
from signalbox_cli.failure import Failure
from signalbox_cli.registry import Registry
from signalbox_cli.settings import UpSettings
from signalbox_cli.state import write_private


class _Stored(msgspec.Struct, frozen=True):
    """An object as it was accepted, and the file that it came from."""

    file: str
    manifest: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Reading:
    """What stands now. `kept` are objects whose file is broken; they stay as they were."""

    loaded: Loaded
    objects: tuple[Resource, ...]
    kept: tuple[ResourceKey, ...]


class Catalogue:
    """Reads the folder again and again, and remembers what was accepted."""

    def __init__(self, settings: UpSettings) -> None:
        self._settings = settings
        self._registry = Registry(settings.state.objects)
        self._path = settings.state.accepted
        self._files: dict[ResourceKey, str] = {}
        self.in_force: dict[ResourceKey, Resource] = {}
        for key, resource, file in _restored(self._path):
            self.in_force[key], self._files[key] = resource, file

    def read(self, now: datetime) -> Reading:
        """Reads the folder, keeps what a broken file said before, adds keys, stamps metadata.

        Raises Failure when the folder is gone: that takes nobody's objects away.
        """
        if not self._settings.manifests.exists():
            raise Failure(f"{self._settings.manifests} is gone; put it back")
        loaded = read_paths([self._settings.manifests])
        broken = {problem.file for problem in loaded.problems}
        present = {found.resource.key: found.file for found in loaded.found}
        kept = tuple(
            key
            for key, file in self._files.items()
            if file in broken and key not in present and key in self.in_force
        )
        self._files = present | {key: self._files[key] for key in kept}
        objects = [*loaded.resources, *(self.in_force[key] for key in kept)]
        keys = [dev_key(self._settings.state, agent) for agent in self.dev_agents(objects)]
        stamped = self._registry.stamp(with_dev_keys(objects, keys), now)
        return Reading(loaded, tuple(stamped), kept)

    def dev_agents(self, objects: Sequence[Resource]) -> list[str]:
        """Agents that get a key of this machine, the one whose key is shown first."""
        wanted = dict.fromkeys(self._settings.dev_keys)
        if self._settings.simulate:
            wanted |= dict.fromkeys(agents_without_keys(objects))
        return list(wanted)

    def accepted(self, in_force: Mapping[ResourceKey, Resource]) -> None:
        """Remembers the forms that are in force, also for the next start."""
        self.in_force = dict(in_force)
        stored = [
            _Stored(self._files.get(key, ""), resource.manifest())
            for key, resource in sorted(self.in_force.items())
        ]
        write_private(self._path, msgspec.json.encode(stored))


def _restored(path: Path) -> Iterable[tuple[ResourceKey, Resource, str]]:
    if not path.exists():
        return
    for stored in msgspec.json.decode(path.read_bytes(), type=list[_Stored]):
        resource = read_object(stored.manifest)
        if isinstance(resource, Resource):
            yield resource.key, resource, stored.file
