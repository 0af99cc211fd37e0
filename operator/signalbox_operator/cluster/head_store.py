"""The head as a ConfigMap, changed by compare-and-swap on its resourceVersion.

Content lies in further ConfigMaps, one for each chunk, named by what is in it and so never changed.
Chunks are written before the head that names them and removed after one that does not. An operator
that removes chunks must not take one away that another is about to name: a chunk carries the
generation that it was kept for last, and is removed in that version only, by an operator whose head
is at least of that generation.

Generations only grow, so that a head that is older than one seen before, or gone, means that etcd
was restored from a backup.
"""

import asyncio
import base64
import contextlib
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from signalbox_operator import chunks as chunking
from signalbox_operator.cluster.api import ApiError, ClusterApi, core
from signalbox_operator.head import (
    ENCODER,
    Head,
    HeadError,
    HeadMovedError,
    HeadWentBackError,
)
from signalbox_operator.history import without_content

LABEL: Final = "signalbox.dev/fleet"
KEPT_FOR: Final = "signalbox.dev/generation"

LOOK_S: Final = 5.0
"""How often it is looked whether the head that is stored is the one that is known."""

_DECODER: Final = msgspec.json.Decoder(Head, strict=True)
_CONFIG_MAPS: Final = "configmaps"


class ClusterHeadStore:
    """The head of one fleet in the platform namespace."""

    def __init__(self, api: ClusterApi, namespace: str, fleet: str) -> None:
        self._api = api
        self._namespace = namespace
        self._fleet = fleet
        self._version = ""
        self._seen = 0
        self._chunks: dict[str, bytes] = {}

    async def read(self) -> Head | None:
        """See HeadStore. Raises ApiError where the API server does not answer, HeadWentBackError
        where it has an older head than it had."""
        seen = self._seen
        stored = await self._stored()
        if stored is None:
            self._compare(seen, 0)
            self._chunks.clear()
            return None
        head = await self._whole(stored)
        self._compare(seen, head.generation)
        self._seen, self._version = head.generation, stored["metadata"]["resourceVersion"]
        self._forget_others(head)
        return head

    async def keep_looking(self) -> None:
        """Looks every few seconds until cancelled. Raises HeadWentBackError: the next process
        begins with what is stored, and releases above what proxies run."""
        while True:
            await asyncio.sleep(LOOK_S)
            with contextlib.suppress(ApiError):
                await self.look()

    async def look(self) -> None:
        """Whether the head that is stored is as new as the one known here.

        Raises HeadWentBackError where it is older. A damaged one is told by `read`.
        """
        seen = self._seen
        stored = await self._stored()
        generation = 0
        if stored is not None:
            try:
                generation = _bare(stored).generation
            except msgspec.DecodeError:
                return
        self._compare(seen, generation)

    async def _stored(self) -> dict[str, Any] | None:
        """The ConfigMap as etcd has it now, None where there is none."""
        try:
            return await self._api.get(self._path(self._name))
        except ApiError as error:
            if not error.is_missing:
                raise
            return None

    def _compare(self, seen: int, stored: int) -> None:
        """`seen` was known before it was asked what is stored."""
        if stored < seen:
            raise HeadWentBackError(
                f"ConfigMap {self._namespace}/{self._name} is at generation {stored} and was at "
                f"{seen}: etcd was restored from an older backup, or the head was deleted"
            )

    async def compare_and_swap(self, expected_generation: int, head: Head) -> Head:
        """See HeadStore."""
        if expected_generation != self._seen:
            raise HeadMovedError(f"generation {expected_generation} was not read here")
        body = self._config_map(self._name, {})
        body["data"] = {"head": ENCODER.encode(without_content(head)).decode()}
        try:
            if self._version:
                body["metadata"]["resourceVersion"] = self._version
                swapped = await self._api.replace(self._path(self._name), body)
            else:
                swapped = await self._api.create(self._path(), body)
        except ApiError as error:
            if error.is_conflict or (error.is_missing and self._version):
                raise HeadMovedError("another operator released") from None
            raise
        self._seen, self._version = head.generation, swapped["metadata"]["resourceVersion"]
        return head

    async def keep(self, chunks: Mapping[str, bytes], generation: int) -> None:
        """See HeadStore. Chunks that the head names already lie there."""
        for name, data in chunks.items():
            if name not in self._chunks:
                await self._keep(name, data, generation)
                self._chunks[name] = data

    async def fetch(self, names: Sequence[str]) -> bytes:
        """See HeadStore."""
        for name in names:
            if name not in self._chunks:
                self._chunks[name] = await self._chunk(name)
        try:
            return chunking.joined(names, [self._chunks[name] for name in names])
        except ValueError as error:
            raise HeadError(f"ConfigMaps of fleet {self._fleet} are damaged: {error}") from None

    async def sweep(self, head: Head) -> None:
        """See HeadStore. What could not be removed now is removed after a later release."""
        self._forget_others(head)
        try:
            listing = await self._api.metadata(self._path(), labels=f"{LABEL}={self._fleet}")
            for metadata in listing.items:
                await self._sweep(metadata, head)
        except ApiError:
            return

    def _forget_others(self, head: Head) -> None:
        """Only what the head names is sure to lie there: others sweep what was kept for a release
        that another one overtook."""
        self._chunks = {name: data for name, data in self._chunks.items() if name in head.sizes}

    async def _sweep(self, metadata: Mapping[str, Any], head: Head) -> None:
        prefix = self._chunk_name("")
        name = str(metadata["name"])
        if not name.startswith(prefix) or name.removeprefix(prefix) in head.sizes:
            return
        kept_for = (metadata.get("annotations") or {}).get(KEPT_FOR, "0")
        if int(kept_for) <= head.generation:
            version = metadata["resourceVersion"]
            await self._api.delete(self._path(name), resource_version=version)

    async def _keep(self, name: str, data: bytes, generation: int) -> None:
        body = self._config_map(self._chunk_name(name), {KEPT_FOR: str(generation)})
        body["binaryData"] = {"chunk": base64.b64encode(data).decode()}
        body["immutable"] = True
        try:
            await self._api.create(self._path(), body)
        except ApiError as error:
            if not error.is_conflict:
                raise
            note = {"metadata": {"annotations": {KEPT_FOR: str(generation)}}}
            await self._api.merge(self._path(self._chunk_name(name)), note)

    async def _chunk(self, name: str) -> bytes:
        try:
            stored = await self._api.get(self._path(self._chunk_name(name)))
        except ApiError as error:
            if not error.is_missing:
                raise
            raise HeadError(
                f"ConfigMap {self._chunk_name(name)} is gone; restore it, or the head"
            ) from None
        return base64.b64decode((stored.get("binaryData") or {}).get("chunk", ""))

    async def _whole(self, stored: Mapping[str, Any]) -> Head:
        try:
            bare = _bare(stored)
        except msgspec.DecodeError as error:
            raise self._damaged(str(error)) from None
        if not bare.history:
            raise self._damaged("it names no content")
        content = await self.fetch(bare.history[0].chunks)
        envelope = msgspec.structs.replace(bare.envelope, snapshot=content.decode())
        head = msgspec.structs.replace(bare, envelope=envelope)
        if not head.is_whole:
            raise self._damaged("content and version differ")
        return head

    def _damaged(self, why: str) -> HeadError:
        return HeadError(
            f"ConfigMap {self._namespace}/{self._name} is damaged: {why}. Proxies serve on. Restore"
            " it from a backup, or delete it: the next release then follows the proxies' generation"
        )

    def _config_map(self, name: str, annotations: Mapping[str, str]) -> dict[str, Any]:
        metadata = {
            "name": name,
            "namespace": self._namespace,
            "labels": {LABEL: self._fleet},
            "annotations": dict(annotations),
        }
        return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}

    @property
    def _name(self) -> str:
        return f"{self._fleet}-head"

    def _chunk_name(self, name: str) -> str:
        return f"{self._fleet}-chunk-{name}"

    def _path(self, name: str = "") -> str:
        return core(_CONFIG_MAPS, self._namespace, name)


def _bare(stored: Mapping[str, Any]) -> Head:
    """The head without its content. Raises msgspec.DecodeError."""
    return _DECODER.decode((stored.get("data") or {}).get("head", ""))
