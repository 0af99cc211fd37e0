"""Which releases raise the fleet's lower bound: those that take a key, an agent or a place away."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from signalbox_operator.control_port import ControlPort
from signalbox_operator.head_file import FileHeadStore
from signalbox_operator.publish import Publisher
from signalbox_operator.revocation import taken_away
from signalbox_snapshot import snapshot as wire
from support.whole_snapshot import whole_snapshot

replace = msgspec.structs.replace
Change = Callable[[wire.Snapshot], wire.Snapshot]

OTHER_KEY = wire.Key(name="k2", sha256="1e" * 32)


def agent(**fields: Any) -> Change:
    return lambda whole: replace(whole, agents=[replace(whole.agents[0], **fields)])


def key(**fields: Any) -> Change:
    def change(whole: wire.Snapshot) -> wire.Snapshot:
        return agent(keys=[replace(whole.agents[0].keys[0], **fields)])(whole)

    return change


def domains(*locks: Sequence[str] | None) -> Change:
    def change(whole: wire.Snapshot) -> wire.Snapshot:
        changed = [
            replace(domain, jurisdictions=None if lock is None else list(lock))
            for domain, lock in zip(whole.domains, locks, strict=True)
        ]
        return replace(whole, domains=changed)

    return change


def asset(**fields: Any) -> Change:
    return lambda whole: replace(whole, data_assets=[replace(whole.data_assets[0], **fields)])


def lane(**fields: Any) -> Change:
    def change(whole: wire.Snapshot) -> wire.Snapshot:
        model = whole.models[0]
        return replace(whole, models=[replace(model, lanes=[replace(model.lanes[0], **fields)])])

    return change


def policy(**fields: Any) -> Change:
    return lambda whole: replace(whole, policies=[replace(whole.policies[0], **fields)])


def budget(whole: wire.Snapshot) -> wire.Snapshot:
    return replace(whole, budgets=[replace(whole.budgets[0], limit=1)])


def moved(whole: wire.Snapshot) -> wire.Snapshot:
    """The root domain permits more than the agent's own."""
    return agent(domain="platform/company", default_data_assets=[])(whole)


TAKES_AWAY: dict[str, tuple[Change, str]] = {
    "a key is revoked": (agent(keys=[]), "Agent wealth/advisor: key k1 is revoked"),
    "a key is replaced": (agent(keys=[OTHER_KEY]), "Agent wealth/advisor: key k1 is revoked"),
    "a key expires earlier": (
        key(expires_at=1_800_000_000),
        "Agent wealth/advisor: key k1 expires earlier",
    ),
    "an agent is deleted": (
        lambda whole: replace(whole, agents=[]),
        "Agent wealth/advisor is deleted",
    ),
    "a domain's lock is narrowed": (
        domains(["DE"], ["DE"]),
        "Domain platform/company: the residency lock is tighter",
    ),
    "a lock is closed": (asset(jurisdictions=[]), "DataAsset wealth/portfolios"),
    "a lock moves": (asset(jurisdictions=["FR"]), "DataAsset wealth/portfolios"),
    "a lane was elsewhere": (
        lane(jurisdiction="GB"),
        "Model platform/mini: lane us is in GB, not US",
    ),
    "a policy narrows": (policy(jurisdictions=[]), "RoutePolicy wealth/advice"),
    "a policy covers others": (policy(match=wire.Match()), "RoutePolicy wealth/advice"),
}

TAKES_NOTHING_AWAY: dict[str, Change] = {
    "nothing changes": lambda whole: whole,
    "a limit is lowered": budget,
    "a key is added": lambda whole: agent(keys=[*whole.agents[0].keys, OTHER_KEY])(whole),
    "a key is renamed": key(name="first"),
    "a key lives longer": key(expires_at=2_000_000_000),
    "a key lives for ever": key(expires_at=None),
    "a lock is widened": domains(["DE", "FR", "IT"], ["DE"]),
    "locks are taken off": domains(None, None),
    "an asset's lock is taken off": asset(jurisdictions=None),
    "an agent moves to where more is permitted": moved,
    "a policy says less": policy(jurisdictions=None, match=wire.Match()),
    "a policy permits more": policy(jurisdictions=["DE", "FR"]),
    "a price changes": lane(price=None, list_price=None),
}


@pytest.mark.parametrize("name", TAKES_AWAY)
def test_what_takes_something_away_is_told(name: str) -> None:
    change, sentence = TAKES_AWAY[name]
    told = taken_away(whole_snapshot(), change(whole_snapshot()))
    assert any(each.startswith(sentence) for each in told), told


@pytest.mark.parametrize("name", TAKES_NOTHING_AWAY)
def test_what_permits_as_much_takes_nothing_away(name: str) -> None:
    assert taken_away(whole_snapshot(), TAKES_NOTHING_AWAY[name](whole_snapshot())) == []


def test_an_agent_that_moves_under_a_lock_loses_places() -> None:
    told = taken_away(moved(whole_snapshot()), whole_snapshot())
    assert told == ["Agent wealth/advisor: the residency lock is tighter"]


def test_a_new_policy_with_jurisdictions_takes_places_away() -> None:
    whole = whole_snapshot()
    assert taken_away(replace(whole, policies=[]), whole) == [
        "RoutePolicy wealth/advice: its jurisdictions are tighter"
    ]


async def test_the_lower_bound_rises_with_what_is_taken_away_and_stays(tmp_path: Path) -> None:
    whole = whole_snapshot()
    gone = agent(keys=[])(whole)
    releases = [whole, budget(whole), budget(gone), gone, whole, gone]
    async with aiohttp.ClientSession() as session:
        store = FileHeadStore(tmp_path / "head.json")
        key = Ed25519PrivateKey.generate()
        publisher = Publisher(store, key, ControlPort(session, "token"), fleet="prod")
        bounds = [
            (await publisher.release(each, ())).head.envelope.min_generation for each in releases
        ]
    assert bounds == [0, 0, 3, 3, 3, 6]
