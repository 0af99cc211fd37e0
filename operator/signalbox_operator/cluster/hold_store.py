"""Holds of the loss guard as a ConfigMap beside the head; there is none before the first hold."""

import base64
import binascii
from typing import Any

from signalbox_operator.cluster.api import ApiError, ClusterApi, core

_CONFIG_MAPS = "configmaps"


class ClusterHoldStore:
    """What is kept for one fleet in the platform namespace; see HoldStore."""

    def __init__(self, api: ClusterApi, namespace: str, fleet: str) -> None:
        self._api = api
        self._namespace = namespace
        self._name = f"{fleet}-holds"

    @property
    def place(self) -> str:
        """See HoldStore."""
        return f"ConfigMap {self._namespace}/{self._name}"

    async def read(self) -> bytes | None:
        """See HoldStore. Raises ApiError."""
        try:
            stored = await self._api.get(core(_CONFIG_MAPS, self._namespace, self._name))
        except ApiError as error:
            if error.is_missing:
                return None
            raise
        try:
            return base64.b64decode((stored.get("binaryData") or {}).get("holds", ""))
        except binascii.Error:
            return b""

    async def keep(self, data: bytes) -> None:
        """See HoldStore. Raises ApiError."""
        body: dict[str, Any] = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": self._name, "namespace": self._namespace},
            "binaryData": {"holds": base64.b64encode(data).decode()},
        }
        await self._api.apply(core(_CONFIG_MAPS, self._namespace, self._name), body)
