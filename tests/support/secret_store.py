"""Secrets as an API server stores them, in memory: a version each, replaced only by who read it."""

import copy
from typing import Any

from signalbox_operator.cluster.api import ApiError


class SecretStore:
    """Empty Secrets, as the chart renders them. `writes` counts; `fail_after` ends a writer."""

    def __init__(self, namespace: str, *names: str) -> None:
        self._objects = {
            f"/api/v1/namespaces/{namespace}/secrets/{name}": {
                "metadata": {"name": name, "namespace": namespace, "resourceVersion": "1"},
                "type": "Opaque",
            }
            for name in names
        }
        self._prefix = f"/api/v1/namespaces/{namespace}/secrets/"
        self.writes = 0
        self.fail_after: int | None = None

    async def get(self, path: str) -> dict[str, Any]:
        if path not in self._objects:
            raise ApiError(404, path)
        return copy.deepcopy(self._objects[path])

    async def replace(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        if self.fail_after is not None and self.writes >= self.fail_after:
            raise ApiError(0, "killed")
        version = int(self._objects[path]["metadata"]["resourceVersion"])
        if body["metadata"].get("resourceVersion") != str(version):
            raise ApiError(409, path)
        stored = copy.deepcopy(body)
        stored["metadata"]["resourceVersion"] = str(version + 1)
        self._objects[path] = stored
        self.writes += 1
        return copy.deepcopy(stored)

    def data(self, name: str) -> dict[str, str]:
        """What a Secret holds, in base64."""
        return dict(self._objects[self._prefix + name].get("data") or {})

    def put(self, name: str, data: dict[str, str]) -> None:
        """What a person writes over it."""
        stored = self._objects[self._prefix + name]
        stored["data"] = data
        stored["metadata"]["resourceVersion"] = str(int(stored["metadata"]["resourceVersion"]) + 1)
