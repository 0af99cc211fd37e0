"""The inventory: which objects there are, from events and from lists, whatever is late or lost.

Pure. Events may be lost, repeated or late; lists are complete as of their version. An object counts
as it was in its newest version. Deletions that no event told of (ghosts) are found by comparing
with a list of names, and so are objects that no event brought. Nothing is known before every kind
was listed once.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from signalbox_api import KINDS, Resource, ResourceKey
from signalbox_api.load import read_object
from signalbox_operator.listing import Listing, Stub, version_number
from signalbox_operator.reporter import Unreadable

MAX_PROBLEMS: Final = 16

Data = Mapping[str, Any]


@dataclass(slots=True)
class Known:
    """One object in its newest version, read once: a resource, or why it is none.

    `manager` is who wrote the spec last, by the object's own managedFields: "" where unknown.
    """

    version: str
    uid: str
    content: Resource | Unreadable
    manager: str = ""

    @property
    def is_terminating(self) -> bool:
        """Whether it was deleted and only finalizers keep it."""
        if isinstance(self.content, Unreadable):
            return self.content.is_terminating
        return self.content.metadata.deletion_timestamp is not None


@dataclass(slots=True)
class _Kind:
    """What is known of one kind. `gone` keeps the versions at which objects were deleted."""

    objects: dict[ResourceKey, Known] = field(default_factory=dict)
    gone: dict[ResourceKey, int] = field(default_factory=dict)
    missing: frozenset[ResourceKey] = frozenset()
    is_listed: bool = False


class Inventory:
    """All objects of all kinds. `revision` grows with every change."""

    def __init__(self, kinds: Iterable[str] = KINDS) -> None:
        self._kinds = {kind: _Kind() for kind in kinds}
        self.revision = 0
        self.events: Counter[str] = Counter()
        """How many events of each kind the watches brought."""

    @property
    def is_complete(self) -> bool:
        """Whether every kind was listed, so that absence means something."""
        return all(kind.is_listed for kind in self._kinds.values())

    @property
    def unlisted(self) -> tuple[str, ...]:
        """The kinds that were not listed yet."""
        return tuple(name for name, kind in self._kinds.items() if not kind.is_listed)

    def known(self) -> dict[ResourceKey, Known]:
        """Every object as it is now."""
        return {key: known for kind in self._kinds.values() for key, known in kind.objects.items()}

    def event(self, kind: str, what: str | None, data: Data) -> bool:
        """Takes an event of a watch in: ADDED, MODIFIED, DELETED, or None for a first list's item.

        Returns whether anything changed.
        """
        stub = Stub.of(data.get("metadata") or {})
        key = ResourceKey(kind, stub.namespace, stub.name)
        self.events[kind] += 1
        return self._deleted(key, stub) if what == "DELETED" else self._stored(key, stub, data)

    def listed(self, kind: str, listing: Listing[dict[str, Any]]) -> bool:
        """Takes a full list in: what is not in it, and is not newer than it, is gone."""
        changed = False
        stubs = []
        for data in listing.items:
            stub = Stub.of(data.get("metadata") or {})
            stubs.append(stub)
            changed |= self._stored(ResourceKey(kind, stub.namespace, stub.name), stub, data)
        state = self._kinds[kind]
        present = {ResourceKey(kind, stub.namespace, stub.name) for stub in stubs}
        for key in self._absent(state, present, listing.resource_version):
            changed |= self._remove(state, key, listing.resource_version)
        state.is_listed = True
        return changed

    def compared(self, kind: str, listing: Listing[Stub]) -> tuple[bool, Sequence[ResourceKey]]:
        """Takes a list of names in: ghosts go. Returns whether any went, and what is to be fetched
        because it is not known, or not in that version."""
        state = self._kinds[kind]
        present = {ResourceKey(kind, stub.namespace, stub.name): stub for stub in listing.items}
        changed = False
        for key in self._absent(state, present, listing.resource_version):
            changed |= self._remove(state, key, listing.resource_version)
        return changed, [key for key, stub in present.items() if self._is_news(state, key, stub)]

    def fetched(self, key: ResourceKey, data: Data | None) -> bool:
        """Takes one object in that was asked for by name; None where there is none now."""
        state = self._kinds[key.kind]
        if data is None:
            return self._remove(state, key, "")
        return self._stored(key, Stub.of(data.get("metadata") or {}), data)

    def _stored(self, key: ResourceKey, stub: Stub, data: Data) -> bool:
        state = self._kinds[key.kind]
        if not self._is_news(state, key, stub):
            return False
        before = state.objects.get(key)
        known = Known(stub.resource_version, stub.uid, _read(key, data), last_writer(data))
        state.objects[key] = known
        state.gone.pop(key, None)
        if before is not None and same_wish(before.content, known.content):
            return False  # a status was written: nothing is to be compiled for it
        self.revision += 1
        return True

    def _deleted(self, key: ResourceKey, stub: Stub) -> bool:
        state = self._kinds[key.kind]
        known = state.objects.get(key)
        if known is not None and _is_newer(known.version, stub.resource_version):
            return False  # it was created again since
        return self._remove(state, key, stub.resource_version)

    def _remove(self, state: _Kind, key: ResourceKey, resource_version: str) -> bool:
        number = version_number(resource_version)
        if number is not None:
            state.gone[key] = max(number, state.gone.get(key, 0))
        if state.objects.pop(key, None) is None:
            return False
        self.revision += 1
        return True

    def _is_news(self, state: _Kind, key: ResourceKey, stub: Stub) -> bool:
        known, now = state.objects.get(key), version_number(stub.resource_version)
        if known is None:
            return now is None or now > state.gone.get(key, -1)
        return known.version != stub.resource_version and not _is_newer(
            known.version, stub.resource_version
        )

    def _absent(
        self, state: _Kind, present: Iterable[ResourceKey], as_of: str
    ) -> list[ResourceKey]:
        """What is known but was not in a list as of a version.

        Where versions cannot be compared, an object may have come after the list: it has to be
        absent from two lists in a row.
        """
        absent = state.objects.keys() - set(present)
        number = version_number(as_of)
        if number is not None:
            state.gone = {key: at for key, at in state.gone.items() if at > number}
            return [key for key in absent if not _is_newer(state.objects[key].version, as_of)]
        before, state.missing = state.missing, frozenset(absent)
        return [key for key in absent if key in before]


def same_wish(one: Resource | Unreadable, other: Resource | Unreadable) -> bool:
    """Whether two versions of an object ask for the same, whatever their status says."""
    if isinstance(one, Unreadable) or isinstance(other, Unreadable):
        return (
            isinstance(one, Unreadable)
            and isinstance(other, Unreadable)
            and (one.generation, one.problems, one.is_terminating)
            == (other.generation, other.problems, other.is_terminating)
        )
    before, after = one.metadata, other.metadata
    return (before.uid, before.generation, before.deletion_timestamp) == (
        after.uid,
        after.generation,
        after.deletion_timestamp,
    ) and getattr(one, "spec", None) == getattr(other, "spec", None)


def last_writer(data: Data) -> str:
    """Who wrote an object last, status aside, by its own managedFields; "" where they are silent.

    Clients choose that name themselves: it tells tools apart, and is no proof of who it was.
    """
    fields = (data.get("metadata") or {}).get("managedFields")
    written = [
        (str(item.get("time", "")), str(item.get("manager", "")))
        for item in fields or ()
        if isinstance(item, dict) and item.get("subresource") != "status"
    ]
    return max(written, default=("", ""))[1]


def _is_newer(one: str, other: str) -> bool:
    """Whether a version is newer than another; never where they cannot be compared."""
    first, second = version_number(one), version_number(other)
    return first is not None and second is not None and first > second


def _read(key: ResourceKey, data: Data) -> Resource | Unreadable:
    result = read_object(data)
    if isinstance(result, Resource):
        return result
    metadata = data.get("metadata") or {}
    generation = metadata.get("generation")
    return Unreadable(
        key=key,
        generation=generation if isinstance(generation, int) else 0,
        resource_version=str(metadata.get("resourceVersion", "")),
        problems=result[:MAX_PROBLEMS],
        uid=str(metadata.get("uid", "")),
        status=status if isinstance(status := data.get("status"), dict) else {},
        is_terminating=bool(metadata.get("deletionTimestamp")),
    )
