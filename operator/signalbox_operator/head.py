"""The head: which snapshot is released, as which generation, and what was released before.

One object, changed by compare-and-swap alone. `HeadStore` is what keeps it: a file on one machine
(`head_file`), a ConfigMap in a cluster (`cluster.head_store`). Beside the head lie chunks, pieces
of what was released, named by the sha256 of their content; history is lists of such names.
"""

from collections.abc import Mapping, Sequence
from typing import Final, Protocol

import msgspec

from signalbox_snapshot import codec, envelope
from signalbox_snapshot.check import SnapshotError
from signalbox_snapshot.envelope import Envelope
from signalbox_snapshot.snapshot import Snapshot


class HeadError(Exception):
    """The head cannot be read; the message says where it lies and what to do."""


class HeadMovedError(Exception):
    """Another control plane released in the meantime; read the head again and compile again."""


class HeadWentBackError(Exception):
    """The store has an older head than it had: it was put back to an earlier time, with all that
    lies in it. What is known here of objects, versions and chunks is of a time that never was."""


class Pin(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """An earlier generation's content stays released `until` (seconds since the epoch).

    `by` is who asked for it, as far as known; `request` is what was asked, word by word, so that
    the same request is not carried out twice.
    """

    generation: int
    until: int
    by: str = ""
    request: str = ""


class Entry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One release of the history. `at` is in seconds since the epoch.

    `chunks` joined are the snapshot's bytes. `changes` are sentences about what changed against
    the release before, cut after a few. `restores` is the generation whose content it brought back.
    """

    generation: int
    version: str
    at: int
    chunks: tuple[str, ...] = ()
    changes: tuple[str, ...] = ()
    restores: int = 0


class Head(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True
):
    """What is released: generation (from 1), version, and the envelope in which it travels.

    `fleet_id` names this history for ever. `history` holds the latest releases, newest first, this
    one included. `accepted` joined are the accepted forms of all objects, so that a control plane
    that starts again knows them. `sizes` are the stored bytes of every chunk that is named here.
    """

    generation: int
    version: str
    envelope: Envelope
    fleet_id: str = ""
    history: tuple[Entry, ...] = ()
    accepted: tuple[str, ...] = ()
    sizes: dict[str, int] = msgspec.field(default_factory=dict)
    pin: Pin | None = None

    @classmethod
    def of(cls, sealed: Envelope) -> "Head":
        """The head that releases an envelope, without a history."""
        return cls(generation=sealed.generation, version=sealed.version, envelope=sealed)

    @property
    def sealed(self) -> bytes:
        """The envelope as it is sent to proxies."""
        return envelope.encode(self.envelope)

    @property
    def is_whole(self) -> bool:
        """Whether envelope and head speak of the same, unchanged content."""
        sealed = self.envelope
        return (self.generation, self.version) == (
            sealed.generation,
            sealed.version,
        ) and codec.version(sealed.snapshot.encode()) == self.version

    def content(self) -> Snapshot | None:
        """What is released; None where it is of a release that this one cannot read."""
        try:
            return codec.decode(self.envelope.snapshot.encode())
        except SnapshotError:
            return None


ENCODER: Final = msgspec.json.Encoder(order="sorted")


class HeadStore(Protocol):
    """Where the head of one fleet is kept."""

    async def read(self) -> Head | None:
        """The head, None before the first release. Raises HeadError for a damaged one."""

    async def compare_and_swap(self, expected_generation: int, head: Head) -> Head:
        """Replaces the head, if it still is the one that was read with that generation (0: none).

        Raises HeadMovedError otherwise. What `head` names as chunks was kept before.
        """

    async def keep(self, chunks: Mapping[str, bytes], generation: int) -> None:
        """Stores chunks that a release of that generation is going to name."""

    async def fetch(self, names: Sequence[str]) -> bytes:
        """The content of chunks, joined. Raises HeadError where one is missing or damaged."""

    async def sweep(self, head: Head) -> None:
        """Removes chunks that neither this head nor a release under way names."""
