"""Secrets that the chart renders empty and the operator fills, one by one and by name.

Read whole, written whole against the version that was read: two writers never mix. Values show in
no repr; errors of the API server quote none.
"""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from signalbox_operator.cluster.api import core

NOTE: Final = "signalbox.dev/"
"""Prefix of the annotations that the operator keeps on them."""


class SecretApi(Protocol):
    """What of `ClusterApi` is needed."""

    async def get(self, path: str) -> dict[str, Any]:
        """One object."""

    async def replace(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Replaces an object, by resourceVersion."""


@dataclass(frozen=True, slots=True)
class StoredSecret:
    """A Secret as it was read. `notes` are the operator's annotations, without their prefix."""

    name: str
    data: Mapping[str, bytes] = field(repr=False)
    notes: Mapping[str, str]
    body: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Change:
    """What is to stand in a Secret, named without its release: keys and notes that change.

    An empty note goes.
    """

    name: str
    data: Mapping[str, bytes] = field(repr=False)
    notes: Mapping[str, str] = field(default_factory=dict)


async def read(api: SecretApi, namespace: str, name: str) -> StoredSecret:
    """A Secret. Raises ApiError, and ValueError for data that is not base64."""
    body = await api.get(core("secrets", namespace, name))
    try:
        data = {
            key: base64.b64decode(value, validate=True)
            for key, value in (body.get("data") or {}).items()
        }
    except (binascii.Error, TypeError):
        raise ValueError(f"Secret {name} holds something else than base64") from None
    annotations = (body.get("metadata") or {}).get("annotations") or {}
    notes = {
        key.removeprefix(NOTE): value for key, value in annotations.items() if key.startswith(NOTE)
    }
    return StoredSecret(name, data, notes, body)


async def write(api: SecretApi, namespace: str, stored: StoredSecret, change: Change) -> None:
    """Writes a change over what was read. Raises ApiError, `is_conflict` where that is not what
    stands there any more."""
    metadata = dict(stored.body.get("metadata") or {})
    annotations = dict(metadata.get("annotations") or {})
    for key, value in change.notes.items():
        annotations.pop(NOTE + key, None)
        if value:
            annotations[NOTE + key] = value
    metadata["annotations"] = annotations
    metadata.pop("managedFields", None)
    data = dict(stored.body.get("data") or {})
    data |= {key: base64.b64encode(value).decode() for key, value in change.data.items()}
    body = dict(stored.body) | {"apiVersion": "v1", "kind": "Secret"}
    await api.replace(
        core("secrets", namespace, stored.name), body | {"metadata": metadata, "data": data}
    )
