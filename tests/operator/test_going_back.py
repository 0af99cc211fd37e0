"""Going back brings old content, and nothing that was taken away since."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from signalbox_operator.going_back import (
    LONGEST_S,
    RollbackError,
    content_for_now,
    next_pin,
    request_text,
)
from signalbox_operator.revocation import taken_away
from signalbox_snapshot import codec
from signalbox_snapshot import snapshot as wire
from support.whole_snapshot import whole_snapshot

replace = msgspec.structs.replace
NEW_KEY = wire.Key(name="k2", sha256="1e" * 32)
COUNTRIES = ["DE", "FR", "IT"]
NOW = 1_800_000_000


def agents(whole: wire.Snapshot, *changed: wire.Agent) -> wire.Snapshot:
    return replace(whole, agents=sorted(changed, key=lambda agent: agent.id))


def served(old: wire.Snapshot, now: wire.Snapshot) -> wire.Snapshot:
    """What going back serves, as a proxy decodes it: that it is well-formed is part of it."""
    return codec.decode(codec.encode(content_for_now(old, now)))


def test_old_limits_prices_and_preferences_come_back() -> None:
    old = whole_snapshot()
    now = replace(
        old,
        budgets=[replace(old.budgets[0], limit=1)],
        models=[replace(old.models[0], lanes=[])],
        policies=[],
    )
    assert served(old, now) == old


def test_a_revoked_key_stays_revoked_and_one_that_took_its_place_works() -> None:
    old = whole_snapshot()
    rotated = replace(old.agents[0], keys=[NEW_KEY])
    assert served(old, agents(old, rotated)).agents[0].keys == [NEW_KEY]
    assert served(old, agents(old, replace(rotated, keys=[]))).agents[0].keys == []


def test_a_deleted_agent_stays_deleted_and_policies_forget_it() -> None:
    whole = whole_snapshot()
    match = wire.Match(agents=[whole.agents[0].id])
    old = replace(whole, policies=[replace(whole.policies[0], match=match)])
    back = served(old, replace(old, agents=[], policies=[]))
    assert back.agents == []
    assert back.policies[0].match.agents == []


def test_residency_is_that_of_now() -> None:
    old = whole_snapshot()
    root, child = old.domains
    now = replace(
        old,
        domains=[replace(root, jurisdictions=["FR"]), replace(child, jurisdictions=[])],
        data_assets=[replace(old.data_assets[0], jurisdictions=["FR"])],
        policies=[replace(old.policies[0], jurisdictions=["FR"])],
        models=[replace(old.models[0], lanes=[replace(old.models[0].lanes[0], jurisdiction="GB")])],
    )
    back = served(old, now)
    assert [domain.jurisdictions for domain in back.domains] == [["FR"], []]
    assert back.data_assets[0].jurisdictions == ["FR"]
    assert back.models[0].lanes[0].jurisdiction == "GB"
    lock = next(policy for policy in back.policies if policy.id == "wealth/advice+lock")
    assert lock.jurisdictions == ["FR"]
    assert lock.candidates is None
    assert next(p for p in back.policies if p.id == "wealth/advice") == old.policies[0]


def test_a_lane_that_called_another_place_is_where_that_place_was() -> None:
    """The label of now belongs to the endpoint of now."""
    now = whole_snapshot()
    lane = now.models[0].lanes[0]
    before = replace(lane, endpoint="https://elsewhere.example.com/v1", jurisdiction="BR")
    old = replace(now, models=[replace(now.models[0], lanes=[before])])
    assert served(old, now).models[0].lanes[0].jurisdiction == "BR"


def test_an_agent_that_moved_under_a_lock_stays_under_it() -> None:
    now = whole_snapshot()
    free = wire.Domain("free/all", "t", "1", 0, None, [])
    old = replace(
        agents(now, replace(now.agents[0], domain="free/all", default_data_assets=[])),
        domains=[free],
        data_assets=[],
        policies=[],
    )
    back = served(old, now)
    assert back.agents[0].domain == "wealth/wealth"
    assert "free/all" in {domain.id for domain in back.domains}


def test_what_is_newer_is_not_in_old_content() -> None:
    now = whole_snapshot()
    newcomer = replace(now.agents[0], id="wealth/newcomer", keys=[NEW_KEY])
    assert [a.id for a in served(now, agents(now, now.agents[0], newcomer)).agents] == [
        "wealth/advisor"
    ]


locks = st.one_of(st.none(), st.sets(st.sampled_from(COUNTRIES)).map(sorted))


@st.composite
def variants(draw: st.DrawFn) -> wire.Snapshot:
    """The whole snapshot with other locks, keys, agents and policies."""
    whole = whole_snapshot()
    root_lock = draw(locks)
    inner = draw(locks)
    if root_lock is not None:
        inner = [c for c in (COUNTRIES if inner is None else inner) if c in root_lock]
    domains = [
        replace(whole.domains[0], jurisdictions=root_lock),
        replace(whole.domains[1], jurisdictions=inner),
    ]
    listed: list[wire.Agent] = []
    for name in draw(st.sets(st.sampled_from(["a", "b"]))):
        keys = draw(st.lists(st.sampled_from([*whole.agents[0].keys, NEW_KEY]), unique=True))
        fields: dict[str, Any] = {
            "domain": draw(st.sampled_from([domain.id for domain in domains])),
            "default_data_assets": draw(st.sampled_from([[], ["wealth/portfolios"]])),
            "keys": keys,
        }
        listed.append(replace(whole.agents[0], id=f"wealth/{name}", **fields))
    policies = [
        replace(
            whole.policies[0],
            match=wire.Match(domains=draw(st.sampled_from([None, ["wealth/wealth"]]))),
            jurisdictions=draw(locks),
        )
    ]
    return replace(
        agents(whole, *listed),
        domains=domains,
        data_assets=[replace(whole.data_assets[0], jurisdictions=draw(locks))],
        policies=policies if draw(st.booleans()) else [],
    )


@given(variants(), variants())
def test_nothing_that_was_taken_away_comes_back(old: wire.Snapshot, now: wire.Snapshot) -> None:
    """From what going back serves to what is written now, nothing is taken away any more; policies
    are told by the locks that they come to, whatever they are called."""
    back = served(old, now)
    assert [told for told in taken_away(back, now) if not told.startswith("RoutePolicy")] == []
    for policy in now.policies:
        if policy.jurisdictions is not None:
            assert any(
                other.match == policy.match
                and other.jurisdictions is not None
                and set(other.jurisdictions) <= set(policy.jurisdictions)
                for other in back.policies
            )


def test_a_request_is_a_pin_until_it_ends() -> None:
    until = datetime.fromtimestamp(NOW + 60, UTC)
    text = request_text(41, until, "alice")
    pin = next_pin(None, text, NOW)
    assert pin is not None
    assert (pin.generation, pin.until, pin.by) == (41, NOW + 60, "alice")
    assert next_pin(None, text, NOW + 60) is None
    assert next_pin(None, "", NOW) is None


def test_a_pin_outlives_the_request_for_it_and_ends_by_another() -> None:
    until = datetime.fromtimestamp(NOW + 60, UTC)
    pin = next_pin(None, request_text(41, until, "alice"), NOW)
    assert next_pin(pin, "", NOW + 59) == pin
    assert next_pin(pin, "", NOW + 60) is None
    assert next_pin(pin, request_text(0, until, "bob"), NOW) is None


@pytest.mark.parametrize("text", ["{", "41", '{"generation":"x","until":"y"}', '{"generation":1}'])
def test_what_is_no_request_is_refused(text: str) -> None:
    with pytest.raises(RollbackError, match="signalbox rollback"):
        next_pin(None, text, NOW)


def test_nobody_pins_a_release_for_ever() -> None:
    until = datetime.fromtimestamp(NOW, UTC) + timedelta(seconds=LONGEST_S + 1)
    with pytest.raises(RollbackError, match="30 days"):
        next_pin(None, request_text(1, until, ""), NOW)
