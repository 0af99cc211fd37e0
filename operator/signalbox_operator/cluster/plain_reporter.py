"""Status written in the simplest way: one object after the other, where it differs."""

import logging
from typing import Any, Final

from signalbox_api import KINDS, Resource
from signalbox_operator import status
from signalbox_operator.cluster.api import ApiError, ClusterApi, custom
from signalbox_operator.reporter import Report

_log = logging.getLogger("signalbox.operator.status")
_KEPT: Final = ("lastTransitionTime",)


class PlainReporter:
    """Writes what `status` says to every object that says otherwise."""

    def __init__(self, api: ClusterApi) -> None:
        self._api = api

    async def report(self, report: Report) -> None:
        """See Reporter."""
        made = status.Report(report.compilation, report.fleet, None, report.now, report.version)
        for item in status.with_status(report.objects.values(), made):
            before, now = _written(report.objects[item.key]), _written(item)
            if before == now or now is None:
                continue
            path = custom(KINDS[item.kind].plural, item.metadata.namespace, item.metadata.name)
            try:
                await self._api.patch_status(path, now)
            except ApiError as error:
                _log.warning("cannot write the status of %s: %s", item.key, error)


def _written(item: Resource) -> dict[str, Any] | None:
    stated = getattr(item, "status", None)
    if stated is None:
        return None
    document: dict[str, Any] = stated.model_dump(mode="json", by_alias=True, exclude_none=True)
    return document
