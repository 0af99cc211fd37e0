"""What a release leaves behind: the next head with its history, and the chunks that it names.

Pure. The newest release comes first; the oldest go when there are more than `MAX_RELEASES`, or when
all chunks together would be stored in more than `MAX_STORED` bytes. The newest always stays.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import msgspec

from signalbox_api import ResourceKey
from signalbox_operator import chunks
from signalbox_operator.head import Entry, Head, Pin
from signalbox_operator.inventory import Known
from signalbox_snapshot.envelope import Envelope

MAX_RELEASES: Final = 50
MAX_STORED: Final = 20 * 1024 * 1024
MAX_SENTENCES: Final = 8
MAX_SENTENCE: Final = 200
FIRST: Final = ("first release",)
"""What is told of a release that has none before it."""


@dataclass(frozen=True, slots=True)
class Record:
    """What is to be kept of a release. `at` is in seconds since the epoch.

    `accepted` are the accepted forms of all objects, as `accepted_forms` writes them. `restores` is
    the generation whose content comes back, 0 for none; `pin` is what holds it.
    """

    at: int
    accepted: bytes = b""
    changes: tuple[str, ...] = ()
    restores: int = 0
    pin: Pin | None = None


@dataclass(frozen=True, slots=True)
class Release:
    """The next head, and the packed chunks that have to be kept before it is swapped in."""

    head: Head
    chunks: Mapping[str, bytes]


def next_release(current: Head | None, sealed: Envelope, record: Record, fleet_id: str) -> Release:
    """The head that follows `current` and releases `sealed`."""
    content = sealed.snapshot.encode()
    packed = chunks.packed(content) | chunks.packed(record.accepted)
    entry = Entry(
        generation=sealed.generation,
        version=sealed.version,
        at=record.at,
        chunks=chunks.names(content),
        changes=shortened(record.changes),
        restores=record.restores,
    )
    accepted = chunks.names(record.accepted)
    sizes = (dict(current.sizes) if current else {}) | {
        name: len(data) for name, data in packed.items()
    }
    before = current.history if current else ()
    entries = _bounded((entry, *before), accepted, sizes, record.pin)
    head = Head(
        generation=sealed.generation,
        version=sealed.version,
        envelope=sealed,
        fleet_id=(current.fleet_id if current else "") or fleet_id,
        history=entries,
        accepted=accepted,
        sizes={name: sizes[name] for name in sorted(_named(entries, accepted))},
        pin=record.pin,
    )
    return Release(head, packed)


def entry_of(head: Head, generation: int) -> Entry | None:
    """The release with that generation, None where it is not kept any longer."""
    return next((entry for entry in head.history if entry.generation == generation), None)


def attributed(sentences: Iterable[str], known: Mapping[ResourceKey, Known]) -> Iterator[str]:
    """Each sentence about an object with who wrote that last, as far as its managedFields tell.

    They hold the name that a client gave itself: which tool it was, and no proof of who.
    """
    writers = {str(key): item.manager for key, item in known.items() if item.manager}
    for sentence in sentences:
        writer = writers.get(sentence.partition(":")[0])
        yield f"{sentence}; written by {writer}" if writer else sentence


def shortened(sentences: Iterable[str]) -> tuple[str, ...]:
    """The first few sentences, each cut to a bounded length, and the number of the others."""
    listed = list(sentences)
    kept = [
        each if len(each) <= MAX_SENTENCE else f"{each[: MAX_SENTENCE - 1]}…"
        for each in listed[:MAX_SENTENCES]
    ]
    more = len(listed) - MAX_SENTENCES
    return (*kept, f"and {more} more changes") if more > 0 else tuple(kept)


def without_content(head: Head) -> Head:
    """The head with its envelope emptied of the snapshot, which its newest chunks are."""
    bare = msgspec.structs.replace(head.envelope, snapshot="")
    return msgspec.structs.replace(head, envelope=bare)


def _bounded(
    entries: tuple[Entry, ...],
    accepted: tuple[str, ...],
    sizes: Mapping[str, int],
    pin: Pin | None,
) -> tuple[Entry, ...]:
    """As many of the newest as there is room for. What is pinned stays, in place of another."""
    pinned = tuple(each for each in entries if pin and each.generation == pin.generation)
    kept = entries[:MAX_RELEASES]
    while True:
        whole = kept if not pinned or pinned[0] in kept else (*kept[:-1], *pinned)
        if len(kept) <= 1 + len(pinned) or _stored(whole, accepted, sizes) <= MAX_STORED:
            return whole
        kept = kept[:-1]


def _stored(entries: Iterable[Entry], accepted: Iterable[str], sizes: Mapping[str, int]) -> int:
    return sum(sizes[name] for name in _named(entries, accepted))


def _named(entries: Iterable[Entry], accepted: Iterable[str]) -> set[str]:
    return {name for entry in entries for name in entry.chunks}.union(accepted)
