"""A proxy is given up by evidence alone: its Pod was seen, kept its journal, and is gone."""

from typing import Any

import pytest

from signalbox_api.fleet import MAX_MEMBERS, FleetMember
from signalbox_operator.gone_pods import gone, members, settled
from signalbox_operator.ledger_port import Holder

KNOWN = [FleetMember(name="signalbox-7d9f-abcde", uid="u-1")]


def pod(name: str, uid: str = "u-1", owner: str = "ReplicaSet") -> dict[str, Any]:
    owners = [{"kind": owner, "name": "x", "controller": True}]
    return {"metadata": {"name": name, "uid": uid, "ownerReferences": owners}}


def holder(name: str = KNOWN[0].name, state: str = "silent", slices: int = 2) -> Holder:
    return Holder(f"h-{name}", name, state, slices)


def test_a_proxy_whose_pod_is_gone_is_given_up() -> None:
    assert gone(KNOWN, [pod("signalbox-7d9f-other")], [holder()]) == [holder()]


@pytest.mark.parametrize("state", ["live", "fenced"])
def test_one_that_is_heard_of_or_fenced_is_not(state: str) -> None:
    assert gone(KNOWN, [], [holder(state=state)]) == []


def test_one_whose_pod_exists_is_not_however_long_it_is_silent() -> None:
    assert gone(KNOWN, [pod(KNOWN[0].name)], [holder()]) == []


def test_one_whose_pod_was_never_seen_here_is_not() -> None:
    """It may be another cluster's, on the same database."""
    assert gone(KNOWN, [], [holder("signalbox-7d9f-fghij")]) == []


def test_a_pod_of_a_stateful_set_is_never_remembered_so_that_it_is_never_given_up() -> None:
    """Its volume stays, and the next Pod of its name settles the journal."""
    assert members((), [pod("signalbox-0", owner="StatefulSet"), pod("p")]) == [
        FleetMember(name="p", uid="u-1")
    ]


def test_a_member_is_remembered_until_its_holder_is_fenced() -> None:
    assert settled(KNOWN, [], [holder()]) == KNOWN
    assert settled(KNOWN, [], [holder(state="live")]) == KNOWN
    assert settled(KNOWN, [], [holder(state="fenced")]) == []
    assert settled(KNOWN, [], []) == []
    assert settled(KNOWN, [pod(KNOWN[0].name)], []) == KNOWN


def test_of_too_many_those_that_are_gone_are_kept() -> None:
    """Pods that exist will be seen again."""
    present = [pod(f"p-{number:04}") for number in range(MAX_MEMBERS + 50)]
    kept = members(KNOWN, present)
    assert len(kept) == MAX_MEMBERS
    assert KNOWN[0] in kept
