"""The watches, by kopf: every event is stored and the loop woken, nothing else.

Handlers are of the one sort (`on.event`) for which kopf writes nothing to the objects: no
annotation, no finalizer. kopf reconnects and resumes; its timeouts here are such that a watch that
died without a word is noticed within 60 seconds. No peering: the head's compare-and-swap decides
between operators.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import Any, Final

import kopf

from signalbox_api import KINDS
from signalbox_api.base import GROUP, VERSION

SERVER_TIMEOUT_S: Final = 40
"""How long one watch request lasts. The server ends it, and the next one resumes."""

INACTIVITY_S: Final = 50.0
"""A stream without a word for longer than a request lasts is dead."""

CONNECT_S: Final = 5.0
REQUEST_S: Final = 20.0
BACKOFFS: Final = (0.2, 0.5, 1, 2, 3, 5, 5, 5)

FLEETS: Final = "fleets"

Sink = Callable[[str, str | None, dict[str, Any]], None]
"""Takes an event: kind, what happened, the object as it is."""

_log = logging.getLogger("signalbox.operator.watches")


class Watches:
    """Watches the kinds of Signalbox and the Fleets until it is stopped.

    `started` is called once kopf has begun: it takes SIGTERM and SIGINT for itself.
    """

    def __init__(
        self, sink: Sink, *, kinds: Iterable[str] = KINDS, started: Callable[[], None] | None = None
    ) -> None:
        self._sink = sink
        self._started = started
        self._registry = kopf.OperatorRegistry()
        self._settings = watch_settings()
        for kind in kinds:
            self._observe(kind, KINDS[kind].plural)
        self._observe("Fleet", FLEETS)
        for login in (kopf.login_with_service_account, kopf.login_with_kubeconfig):
            kopf.on.login(registry=self._registry, id=login.__name__)(login)

    async def run(self) -> None:
        """Watches until cancelled; ends by itself only where it cannot go on.

        When it ends, kopf cancels every task of this loop that was created after it began.
        """
        others = asyncio.all_tasks()
        tasks = await kopf.spawn_tasks(
            registry=self._registry, settings=self._settings, clusterwide=True, standalone=True
        )
        if self._started is not None:
            self._started()  # kopf took the process's signals
        await kopf.run_tasks(tasks, ignored=others)

    def _observe(self, kind: str, plural: str) -> None:
        # A coroutine: kopf would call a plain function in a thread, for every event anew.
        async def note(event: kopf.RawEvent, **_: Any) -> None:
            self._sink(kind, event["type"], dict(event["object"]))

        kopf.on.event(GROUP, VERSION, plural, registry=self._registry, id=f"note-{plural}")(note)


def watch_settings() -> kopf.OperatorSettings:
    """How kopf watches here."""
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.peering.standalone = True
    # Kinds are there before an operator is (the chart sees to it): the right to watch every CRD of
    # the cluster is not needed. Where they came later, the canary ends the process.
    settings.scanning.disabled = True
    settings.watching.server_timeout = SERVER_TIMEOUT_S
    settings.watching.inactivity_timeout = INACTIVITY_S
    settings.watching.connect_timeout = CONNECT_S
    settings.watching.reconnect_backoff = 0.1
    settings.networking.connect_timeout = CONNECT_S
    settings.networking.request_timeout = REQUEST_S
    settings.networking.error_backoffs = BACKOFFS
    settings.process.ultimate_exiting_timeout = None
    return settings
