"""What a list of the API server says: the objects, and the version as of which they were listed."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Generic, Self, TypeVar

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Stub:
    """An object by name, with its uid and version, without content."""

    namespace: str
    name: str
    uid: str
    resource_version: str

    @classmethod
    def of(cls, metadata: Mapping[str, Any]) -> Self:
        """From an object's metadata."""
        return cls(
            str(metadata.get("namespace", "")),
            str(metadata.get("name", "")),
            str(metadata.get("uid", "")),
            str(metadata.get("resourceVersion", "")),
        )


@dataclass(frozen=True, slots=True)
class Listing(Generic[Item]):
    """Everything of one kind, as of one resourceVersion."""

    items: tuple[Item, ...]
    resource_version: str


def version_number(resource_version: str) -> int | None:
    """A resourceVersion as a number, None where it is none.

    Kubernetes promises since 1.35 that versions of one kind compare as integers, and has kept to
    it before wherever etcd is behind; where one is no number, nothing is concluded from it.
    """
    return (
        int(resource_version)
        if resource_version.isascii() and resource_version.isdecimal()
        else None
    )
