"""What is to be released: what is written, or while a pin holds, an earlier release's content."""

import contextlib
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import msgspec

from signalbox_operator.going_back import RollbackError, content_for_now, next_pin
from signalbox_operator.head import Entry, Head, HeadError, Pin
from signalbox_operator.history import entry_of
from signalbox_snapshot import codec
from signalbox_snapshot import snapshot as wire
from signalbox_snapshot.check import SnapshotError
from signalbox_snapshot.schemas import lower
from signalbox_snapshot.snapshot import Snapshot

Fetch = Callable[[Sequence[str]], Awaitable[bytes]]
"""Gives the content of chunks, joined; see `HeadStore.fetch`."""


@dataclass(frozen=True, slots=True)
class Target:
    """What is to be released, with its version, the pin that chose it, and what is wrong with what
    was asked for."""

    snapshot: Snapshot
    version: str
    pin: Pin | None = None
    problem: str = ""

    def is_head(self, head: Head | None) -> bool:
        """Whether this is what is released already, for the same reason."""
        return head is not None and head.version == self.version and head.pin == self.pin


@dataclass(slots=True)
class Targets:
    """Chooses the target; remembers content that was fetched and fitted to what is written."""

    fetch: Fetch
    _old: dict[str, Snapshot] = field(default_factory=dict)
    _fitted: tuple[str, str, Target] | None = None

    async def choose(
        self, written: Snapshot, version: str, head: Head | None, request: str
    ) -> Target:
        """The target now. What cannot be gone back to leaves what is written, or the pin before."""
        before = head.pin if head is not None else None
        problem = ""
        try:
            pin = next_pin(before, request, int(time.time()))
            if head is not None and pin is not None:
                return await self._pinned(written, version, head, pin)
        except RollbackError as error:
            problem = str(error)
            if head is not None and before is not None and before.until > time.time():
                with contextlib.suppress(RollbackError):
                    kept = await self._pinned(written, version, head, before)
                    return Target(kept.snapshot, kept.version, kept.pin, problem)
        return Target(written, version, None, problem)

    async def _pinned(self, written: Snapshot, version: str, head: Head, pin: Pin) -> Target:
        entry = entry_of(head, pin.generation)
        if entry is None:
            kept = head.history[-1].generation if head.history else head.generation
            raise RollbackError(
                f"generation {pin.generation} is not kept; generations from {kept} on are"
            )
        if self._fitted is not None and self._fitted[:2] == (entry.version, version):
            fitted = self._fitted[2]
        else:
            fitted = _fitted(await self._content(head, entry, pin), written, pin)
            self._fitted = (entry.version, version, fitted)
        return Target(fitted.snapshot, fitted.version, pin)

    async def _content(self, head: Head, entry: Entry, pin: Pin) -> Snapshot:
        """The content of that release. Where that is gone or damaged, a pin that holds already has
        it in the head, as it was fitted last."""
        if entry.version in self._old:
            return self._old[entry.version]
        try:
            content = codec.decode(await self.fetch(entry.chunks))
        except (HeadError, SnapshotError) as error:
            if head.pin is None or head.pin.generation != pin.generation:
                raise RollbackError(f"its content cannot be read: {error}") from None
            return _released(head)
        self._old = {entry.version: content}
        return content


def _released(head: Head) -> Snapshot:
    try:
        return codec.decode(head.envelope.snapshot.encode())
    except SnapshotError as error:
        raise RollbackError(f"its content is not read by this release: {error}") from None


def _fitted(old: Snapshot, written: Snapshot, pin: Pin) -> Target:
    """Raises RollbackError where the two do not go together in a form that proxies accept."""
    whole = msgspec.structs.replace(content_for_now(old, written), schema=wire.SCHEMA)
    snapshot = lower(whole, written.schema).snapshot
    payload = codec.encode(snapshot)
    try:
        codec.decode(payload)
    except SnapshotError as error:
        raise RollbackError(
            f"generation {pin.generation} cannot serve with the keys and locks of now: {error}"
        ) from None
    return Target(snapshot, codec.version(payload))
