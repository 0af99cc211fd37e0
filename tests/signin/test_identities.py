"""Identities: renewed ahead of their end in the background; a call never waits for a sign-in."""

import asyncio
import logging
from typing import Any

import pytest

from signalbox_proxy.calling import signed
from signalbox_proxy.runtime import PreparedLane
from signalbox_proxy.signin.contract import Signer, SignInError, Surroundings, Unsigned
from signalbox_proxy.signin.identities import RETRY_S, Identities
from signalbox_proxy.upstream import UpstreamCall
from signalbox_snapshot.snapshot import Identity, Lane
from support.snapshots import lane

CALL = Unsigned("POST", "https://a.example/x", {}, b"{}")
LIFE_S = 100


class Badge:
    """A signer whose credential lives for LIFE_S; `refuses` says why it gets none."""

    def __init__(self, lane_: Lane) -> None:
        self.lane = lane_
        self.renew_at = 0
        self.ends_at = 0
        self.renewals = 0
        self.refuses: Exception | None = None

    async def renew(self, now_s: int) -> None:
        self.renewals += 1
        await asyncio.sleep(0)
        if self.refuses is not None:
            raise self.refuses
        self.ends_at = now_s + LIFE_S
        self.renew_at = now_s + LIFE_S * 3 // 4

    def headers(self, call: Unsigned, now_s: int) -> dict[str, str]:
        if now_s >= self.ends_at:
            raise SignInError("no badge")
        return {"authorization": f"badge of {self.ends_at}"}


class Desk:
    """All badges that were made."""

    def __init__(self) -> None:
        self.badges: list[Badge] = []
        nothing: Any = None
        surroundings = Surroundings({}, nothing, nothing, nothing)
        self.identities = Identities(surroundings, {"aws": self.make})

    def make(self, lane_: Lane, surroundings: Surroundings) -> Signer:
        self.badges.append(Badge(lane_))
        return self.badges[-1]


@pytest.fixture
def desk() -> Desk:
    return Desk()


def signing(role: str = "a", **changes: Any) -> Lane:
    identity = Identity(role=role, region="eu-central-1")
    return lane(role, auth="aws", auth_key="", identity=identity, **changes)


async def test_lanes_of_one_identity_share_one_sign_in(desk: Desk) -> None:
    lanes = [signing("a"), signing("a", endpoint="https://b.example"), signing("b")]
    await desk.identities.renew_due(lanes, 1000)
    assert [badge.renewals for badge in desk.badges] == [1, 1]
    assert desk.identities.headers(lanes[1], CALL, 1000)


async def test_it_is_renewed_ahead_of_its_end_and_not_before(desk: Desk) -> None:
    await desk.identities.renew_due([signing()], 1000)
    await desk.identities.renew_due([signing()], 1074)
    assert desk.badges[0].renewals == 1
    await desk.identities.renew_due([signing()], 1075)
    assert desk.badges[0].renewals == 2
    assert desk.identities.headers(signing(), CALL, 1174) == {"authorization": "badge of 1175"}


async def test_what_is_held_serves_on_while_a_renewal_fails_but_not_beyond_its_end(
    desk: Desk,
) -> None:
    await desk.identities.renew_due([signing()], 1000)
    desk.badges[0].refuses = SignInError("the cloud is away")
    await desk.identities.renew_due([signing()], 1080)
    assert desk.identities.headers(signing(), CALL, 1099)
    with pytest.raises(SignInError):
        desk.identities.headers(signing(), CALL, 1100)


@pytest.mark.parametrize("fault", [SignInError("refused"), RuntimeError("surprise")])
async def test_one_that_fails_is_tried_again_later_and_stops_no_other(
    desk: Desk, fault: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    lanes = [signing("a"), signing("b")]
    await desk.identities.renew_due(lanes, 1000)
    desk.badges[0].refuses = fault
    with caplog.at_level(logging.WARNING):
        for now_s in (1100, 1101, 1100 + RETRY_S):
            await desk.identities.renew_due(lanes, now_s)
    assert [badge.renewals for badge in desk.badges] == [3, 2]
    assert len(caplog.records) == 1, "told once, until its reason changes"


def test_a_lane_that_is_not_signed_in_yet_is_not_called(desk: Desk) -> None:
    with pytest.raises(SignInError):
        desk.identities.headers(signing(), CALL, 1000)


class Services:
    """What `signed` asks of a process."""

    def __init__(self, identities: Identities | None) -> None:
        self.identities = identities
        self.ledger = self

    def now_ms(self) -> int:
        return 1_000_000


async def test_a_call_carries_its_proof_beside_its_other_headers(desk: Desk) -> None:
    await desk.identities.renew_due([signing()], 1000)
    call = UpstreamCall("https://a.example", {"accept": "x"}, b"{}", timeout_s=1.0)
    prepared: Any = PreparedLane("m/a", None, signing())  # type: ignore[arg-type]
    services: Any = Services(desk.identities)
    sent = signed(services, call, prepared)
    assert dict(sent.headers) == {"accept": "x", "authorization": "badge of 1100"}
    plain: Any = PreparedLane("m/b", None, lane("b"))  # type: ignore[arg-type]
    assert signed(services, call, plain) is call
    nobody: Any = Services(None)
    with pytest.raises(SignInError):
        signed(nobody, call, prepared)
