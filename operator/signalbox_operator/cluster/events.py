"""Events (core/v1) beside the objects that they are about, a bounded number a second.

An Event's name says what it tells, so that the API server itself refuses to have it twice: after a
restart, or from a second operator. Namespaces take turns (`note_queue`). What cannot be told in
time is dropped and logged: Events are hints, the status is what counts.
"""

import asyncio
import logging
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Final

from signalbox_api.base import API_VERSION
from signalbox_operator.cluster.api import ApiError, ClusterApi, core
from signalbox_operator.note_queue import NoteQueue
from signalbox_operator.status_notes import Note

EVERY_S: Final = 0.1
"""Time between two Events: ten a second at most."""

MOST_WAITING: Final = 1_000
TRIES: Final = 3
RETRY_S: Final = 2.0
COMPONENT: Final = "signalbox-operator"

_log = logging.getLogger("signalbox.operator.events")


class Events:
    """A queue of Events and the task that tells them."""

    def __init__(self, api: ClusterApi, instance: str = COMPONENT) -> None:
        self._api = api
        self._instance = instance
        self._waiting = NoteQueue(MOST_WAITING)
        self._woken = asyncio.Event()

    def offer(self, notes: Iterable[Note]) -> None:
        """Tells them soon, those of a namespace in their order; where too many wait, the newest of
        who has most are dropped."""
        dropped = sum(not self._waiting.put(note) for note in notes)
        if dropped:
            _log.warning("%d Events are dropped: %d wait already", dropped, MOST_WAITING)
        self._woken.set()

    async def run(self) -> None:
        """Tells until cancelled."""
        while True:
            while not self._waiting:
                self._woken.clear()
                await self._woken.wait()
            await self._tell(self._waiting.take())
            await asyncio.sleep(EVERY_S)

    async def _tell(self, note: Note) -> None:
        namespace = note.key.namespace
        body = event(note, datetime.now(tz=UTC), self._instance)
        for last in (False,) * (TRIES - 1) + (True,):
            try:
                await self._api.create(core("events", namespace), body)
            except ApiError as error:
                if error.is_conflict:
                    return  # it was told before
                if last or 400 <= error.status < 500:
                    _log.warning("an Event of %s is not told: %s", note.key, error)
                    return
                await asyncio.sleep(RETRY_S)
            else:
                return


def event(note: Note, now: datetime, instance: str) -> dict[str, Any]:
    """The Event that tells a note, by the fields that `kubectl` shows."""
    at = f"{now:%Y-%m-%dT%H:%M:%SZ}"
    regarding = {
        "apiVersion": API_VERSION,
        "kind": note.key.kind,
        "namespace": note.key.namespace,
        "name": note.key.name,
    }
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": note.name, "namespace": note.key.namespace},
        "involvedObject": regarding | ({"uid": note.uid} if note.uid else {}),
        "type": "Warning",
        "reason": note.reason,
        "message": note.message,
        "source": {"component": COMPONENT},
        "reportingComponent": COMPONENT,
        "reportingInstance": instance,
        "firstTimestamp": at,
        "lastTimestamp": at,
        "count": 1,
    }
