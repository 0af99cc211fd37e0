"""Where `history`, `rollback` and `rotate` find a fleet: the state folder of an `up`, or a cluster.

Both keep the same head; a request to go back is a file beside it, or an annotation of the Fleet.
"""

import asyncio
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

from kubernetes.aio.config import ConfigException

from signalbox_cli.failure import Failure
from signalbox_cli.state import StateFolder, write_private
from signalbox_operator.cluster.api import ApiError, ClusterApi, connected, custom
from signalbox_operator.cluster.head_store import ClusterHeadStore
from signalbox_operator.going_back import ANNOTATION
from signalbox_operator.head import Head, HeadError
from signalbox_operator.head_file import FileHeadStore

_Answer = TypeVar("_Answer")


class Releases(Protocol):
    """The releases of one fleet."""

    def head(self) -> Head:
        """What is released, with its history. Raises Failure where nothing is."""

    def ask(self, request: str) -> None:
        """Asks its control plane to go back, or to end that."""


@dataclass(frozen=True, slots=True)
class FolderReleases:
    """Those of an `up`."""

    state: Path

    def head(self) -> Head:
        """See Releases."""
        folder = StateFolder.at(self.state)
        try:
            head = FileHeadStore(folder.head).read_file()
        except HeadError as error:
            raise Failure(str(error)) from None
        if head is None:
            raise Failure(
                f"nothing was released on {folder.root}; name a state folder with --state, or ask a"
                " cluster with --cluster"
            )
        return head

    def ask(self, request: str) -> None:
        """See Releases."""
        write_private(StateFolder.at(self.state).rollback, request.encode())


@dataclass(frozen=True, slots=True)
class ClusterReleases:
    """Those of the operator in a namespace of the kubeconfig's cluster."""

    namespace: str
    fleet: str

    def head(self) -> Head:
        """See Releases."""
        return _of_cluster(self._head())

    def ask(self, request: str) -> None:
        """See Releases."""
        self.annotate({ANNOTATION: request})

    async def _head(self) -> Head:
        async with connected() as api:
            fleet = await self._fleet(api)
            head = await ClusterHeadStore(api, self.namespace, fleet).read()
        if head is None:
            raise Failure(f"fleet {fleet} in {self.namespace} has released nothing yet")
        return head

    def annotate(self, annotations: Mapping[str, str]) -> str:
        """Writes to the Fleet what is asked of its operator; the Fleet's name."""
        return _of_cluster(self._annotate(annotations))

    async def _annotate(self, annotations: Mapping[str, str]) -> str:
        async with connected() as api:
            fleet = await self._fleet(api)
            body = {"metadata": {"annotations": dict(annotations)}}
            await api.merge(custom("fleets", self.namespace, fleet), body)
        return fleet

    async def _fleet(self, api: ClusterApi) -> str:
        """The fleet that is named, or the only one of the namespace."""
        if self.fleet:
            return self.fleet
        listing = await api.list(custom("fleets", self.namespace))
        names = [str(item["metadata"]["name"]) for item in listing.items]
        if len(names) != 1:
            found = ", ".join(names) or "none"
            raise Failure(f"fleets in {self.namespace}: {found}; name one with --fleet")
        return names[0]


def _of_cluster(work: Coroutine[Any, Any, _Answer]) -> _Answer:
    try:
        return asyncio.run(work)
    except (ApiError, HeadError, ConfigException) as error:
        raise Failure(f"the cluster of the kubeconfig does not tell: {error}") from None
