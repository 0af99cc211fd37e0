"""Releasing a snapshot to the fleet: one generation at a time, one proxy first, then the rest.

`Publisher.release` changes the head and rolls out; an unchanged snapshot changes nothing. What a
rollout ends with is data (`Rollout`): two rejections stop it, unreachable proxies are listed and
can be tried again with `push_to` whenever the caller likes. A release that takes something away
(`revocation`) raises the lower bound under which no proxy may serve; every later one keeps it.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from signalbox_operator.control_port import (
    Accepted,
    ControlPort,
    ProxyAddress,
    PushOutcome,
    Rejected,
    Unreachable,
    refusal_of,
)
from signalbox_operator.head import Head, HeadMovedError, HeadStore
from signalbox_operator.history import Record, next_release
from signalbox_operator.revocation import taken_away
from signalbox_snapshot import codec
from signalbox_snapshot.envelope import key_id, seal
from signalbox_snapshot.snapshot import Snapshot

REFUSALS: Final = 2
"""So many proxies refuse a snapshot that none accepted before it is kept from the others."""

_NOTHING_RECORDED: Final = Record(at=0)


@dataclass(frozen=True, slots=True)
class Rollout:
    """How a release went. `pending` are the proxies that a rejection kept from being asked."""

    head: Head
    changed: bool
    outcomes: tuple[PushOutcome, ...] = ()
    pending: tuple[str, ...] = ()

    @property
    def rejections(self) -> tuple[Rejected, ...]:
        """Proxies that refused the snapshot."""
        return tuple(item for item in self.outcomes if isinstance(item, Rejected))

    @property
    def refusals(self) -> tuple[Rejected, ...]:
        """The rejections, and what proxies say that cannot keep the snapshot."""
        return tuple(each for each in map(refusal_of, self.outcomes) if each is not None)

    @property
    def unreachable(self) -> tuple[Unreachable, ...]:
        """Proxies that did not answer."""
        return tuple(item for item in self.outcomes if isinstance(item, Unreachable))


class Publisher:
    """Seals snapshots for one fleet and pushes them to its proxies.

    It remembers the head that it knows and swaps from that one only: where somebody else released
    in between, `release` raises HeadMovedError, and the caller compiles anew what is wanted now
    instead of releasing what it wanted before.
    """

    def __init__(
        self,
        store: HeadStore,
        key: Ed25519PrivateKey,
        control: ControlPort,
        *,
        fleet: str,
        fleet_id: str = "",
    ) -> None:
        self._store = store
        self._key = key
        self._control = control
        self._fleet = fleet
        self._fleet_id = fleet_id
        self._head: Head | None = None

    def use(self, key: Ed25519PrivateKey, control: ControlPort) -> None:
        """From now on: this key signs, and ports are called like this."""
        self._key = key
        self._control = control

    def is_sealed(self, head: Head) -> bool:
        """Whether the key that signs now has sealed it: one before may be withdrawn soon."""
        return head.envelope.key_id == key_id(self._key.public_key())

    @property
    def known_head(self) -> Head | None:
        """What is released, as last known; None where nothing is known."""
        return self._head

    async def head(self) -> Head | None:
        """What is released, as last known; read where nothing is known."""
        if self._head is None:
            self._head = await self._store.read()
        return self._head

    async def fetch(self, names: Sequence[str]) -> bytes:
        """The content of chunks that the head names; see HeadStore."""
        return await self._store.fetch(names)

    async def refresh(self) -> Head | None:
        """What is released, read anew."""
        self._head = None
        return await self.head()

    async def release(
        self,
        snapshot: Snapshot,
        proxies: Sequence[ProxyAddress],
        record: Record = _NOTHING_RECORDED,
        *,
        anew: bool = False,
        above: int = 0,
    ) -> Rollout:
        """Makes a snapshot the head, as the next generation, and rolls it out.

        A snapshot equal to the head changes nothing and pushes nothing, unless it is to be released
        `anew`, or another key signs now than sealed the head. It follows the head, and any
        generation that a proxy or a ledger was found to know `above` it: so a history goes on whose
        head was lost. Raises SnapshotError before anything is changed when the snapshot is none
        that a proxy would accept, and HeadMovedError when another control plane released.
        """
        payload = await asyncio.to_thread(codec.encode, snapshot)
        current = await self.head()
        is_equal = current is not None and current.version == codec.version(payload)
        if current is not None and is_equal and not anew and self.is_sealed(current):
            return Rollout(current, changed=False)
        await asyncio.to_thread(codec.decode, payload)
        generation = max(0 if current is None else current.generation, above) + 1
        bound = _min_generation(current, snapshot, generation)
        head = await self._swap(current, payload, record, generation, bound)
        return await self.roll_out(head, proxies)

    async def _swap(
        self, current: Head | None, payload: bytes, record: Record, generation: int, bound: int
    ) -> Head:
        sealed = seal(
            self._key,
            fleet=self._fleet,
            generation=generation,
            payload=payload,
            min_generation=bound,
        )
        made = await asyncio.to_thread(next_release, current, sealed, record, self._fleet_id)
        try:
            await self._store.keep(made.chunks, sealed.generation)
            expected = 0 if current is None else current.generation
            self._head = await self._store.compare_and_swap(expected, made.head)
        except HeadMovedError:
            self._head = None
            raise
        await self._store.sweep(self._head)
        return self._head

    async def roll_out(self, head: Head, proxies: Sequence[ProxyAddress]) -> Rollout:
        """Pushes the head to one proxy after the other until one accepts, then to all the rest.

        One that refuses may be the one at fault: what another accepts goes on. Two stop it.
        """
        sealed = head.sealed
        waiting = list(proxies)
        outcomes: list[PushOutcome] = []
        while waiting and not (outcomes and isinstance(outcomes[-1], Accepted)):
            outcomes.append(await self._control.push_to(waiting.pop(0), sealed))
            if sum(isinstance(each, Rejected) for each in outcomes) >= REFUSALS:
                names = tuple(proxy.name for proxy in waiting)
                return Rollout(head, changed=True, outcomes=tuple(outcomes), pending=names)
        rest = await asyncio.gather(*(self._control.push_to(proxy, sealed) for proxy in waiting))
        return Rollout(head, changed=True, outcomes=(*outcomes, *rest))

    async def push_to(self, proxy: ProxyAddress) -> PushOutcome | None:
        """Pushes the head to one proxy again, None where nothing is released yet."""
        head = await self.head()
        return None if head is None else await self._control.push_to(proxy, head.sealed)


def _min_generation(current: Head | None, snapshot: Snapshot, fresh: int) -> int:
    """The lower bound of the release `fresh` after `current`: itself if it takes anything away, or
    if that cannot be told, because releases in between are unknown here, or because this release
    no longer reads the head's content."""
    if fresh > (0 if current is None else current.generation) + 1:
        return fresh
    if current is None:
        return 0
    before = current.content()
    if before is None or taken_away(before, snapshot):
        return fresh
    return current.envelope.min_generation


__all__ = ["HeadMovedError", "Publisher", "Rollout"]
