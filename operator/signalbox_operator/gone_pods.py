"""Which proxies are gone for good, with their journal: whose slices are charged in full.

Pure. A proxy is given up only by evidence, never by time: its Pod was seen here, by its UID, with a
journal that goes with the Pod (its controller is a ReplicaSet: an emptyDir), and the API server has
no Pod of that name any more. A Pod of a StatefulSet is never given up: its volume stays, and the
next Pod of its name settles the journal. Nor is a holder that the ledger still hears of, or one
whose Pod was never seen here: it may belong to another cluster on the same database.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from signalbox_api.fleet import MAX_MEMBERS, FleetMember
from signalbox_operator.ledger_port import Holder

_EPHEMERAL: Final = "ReplicaSet"
_FENCED: Final = "fenced"
_SILENT: Final = "silent"


def members(known: Iterable[FleetMember], pods: Sequence[Mapping[str, Any]]) -> list[FleetMember]:
    """Whose Pods are remembered: those known, and those of `pods` whose journal goes with them.

    Where there are too many, Pods that still exist are left out: they will be seen again.
    """
    found = {member.name: member for member in known}
    present = {pod["metadata"]["name"] for pod in pods}
    for pod in pods:
        metadata = pod["metadata"]
        if _goes_with_its_pod(metadata):
            found[metadata["name"]] = FleetMember(name=metadata["name"], uid=metadata["uid"])
    ordered = sorted(found.values(), key=lambda each: (each.name in present, each.name))
    return sorted(ordered[:MAX_MEMBERS], key=lambda each: each.name)


def gone(
    known: Iterable[FleetMember], pods: Iterable[Mapping[str, Any]], holders: Iterable[Holder]
) -> list[Holder]:
    """The holders to give up: silent, of a member whose Pod does not exist any more."""
    missing = _missing(known, pods)
    return [each for each in holders if each.state == _SILENT and each.name in missing]


def settled(
    known: Iterable[FleetMember], pods: Iterable[Mapping[str, Any]], holders: Iterable[Holder]
) -> list[FleetMember]:
    """The members to remember on: whose Pod exists, or who are not fenced yet."""
    held = list(known)
    missing = _missing(held, pods)
    open_ = {each.name for each in holders if each.state != _FENCED}
    return [each for each in held if each.name not in missing or each.name in open_]


def _missing(known: Iterable[FleetMember], pods: Iterable[Mapping[str, Any]]) -> set[str]:
    present = {pod["metadata"]["name"] for pod in pods}
    return {member.name for member in known if member.name not in present}


def _goes_with_its_pod(metadata: Mapping[str, Any]) -> bool:
    owners = metadata.get("ownerReferences") or ()
    return any(owner.get("controller") and owner.get("kind") == _EPHEMERAL for owner in owners)
