"""Who asks: keys that name their agent, keys that were adopted, and what opens nothing."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from signalbox_proxy import identity
from signalbox_proxy.refusals import Refusal
from signalbox_snapshot.snapshot import Key
from support.snapshots import agent, key_of

VECTORS = json.loads((Path(__file__).parents[1] / "api" / "key_vectors.json").read_text())
ADOPTED = "sk-live-an-old-key-of-an-application"


def registry(*agents: Any) -> identity.Credentials:
    named = {each.id: (each, tuple(key for key in each.keys if not key.lookup)) for each in agents}
    adopted: dict[str, list[Any]] = {}
    for each in agents:
        for key in each.keys:
            if key.lookup:
                adopted.setdefault(key.lookup, []).append((each, key))
    return SimpleNamespace(keys_by_agent=named, keys_by_lookup=adopted)


def adopter(id_: str, **changes: Any) -> Any:
    namespace, _, name = id_.partition("/")
    digest = identity.adopted_digest(namespace, name, ADOPTED)
    key = Key(name="old", sha256=digest, lookup=identity.adopted_lookup(ADOPTED), **changes)
    return agent(id_, keys=[key])


def asks(credentials: identity.Credentials, authorization: str = "", api_key: str = "") -> str:
    return identity.identify(credentials, authorization, api_key, 1000).agent.id


@pytest.mark.parametrize("vector", VECTORS["new"], ids=lambda vector: vector["agent"][:12])
def test_a_key_has_the_digest_that_the_contract_says(vector: dict[str, str]) -> None:
    secret = vector["key"].rpartition(".")[2]
    digest = identity.key_digest(vector["namespace"], vector["agent"], secret)
    assert digest == vector["sha256"]
    assert identity.format_key(vector["namespace"], vector["agent"], secret) == vector["key"]


@pytest.mark.parametrize("vector", VECTORS["adopted"], ids=lambda vector: vector["agent"][:12])
def test_an_adopted_key_has_the_digest_that_the_contract_says(vector: dict[str, str]) -> None:
    namespace, name, key = vector["namespace"], vector["agent"], vector["key"]
    assert identity.adopted_digest(namespace, name, key) == vector["sha256"]
    assert identity.adopted_lookup(key) == vector["lookup"]


def test_a_key_is_taken_as_bearer_and_as_x_api_key() -> None:
    known = registry(agent("retail/support"))
    assert asks(known, f"Bearer {key_of('retail/support')}") == "retail/support"
    assert asks(known, f"bearer  {key_of('retail/support')} ") == "retail/support"
    assert asks(known, "", key_of("retail/support")) == "retail/support"


def test_an_agent_may_have_several_keys() -> None:
    first = agent("retail/support").keys[0]
    other = Key(name="k0", sha256=identity.key_digest("retail", "support", "x" * 22))
    known = registry(agent("retail/support", keys=[other, first]))
    caller = identity.identify(known, f"Bearer {key_of('retail/support')}", "", 1000)
    assert caller.key_name == "k1"


def test_an_adopted_key_finds_the_agent_that_adopted_it() -> None:
    known = registry(agent("retail/support"), adopter("retail/legacy"))
    assert asks(known, f"Bearer {ADOPTED}") == "retail/legacy"
    assert asks(known, "", ADOPTED) == "retail/legacy"


def test_a_digest_copied_to_another_agent_opens_nothing() -> None:
    thief = agent("retail/thief", keys=list(agent("retail/support").keys))
    with pytest.raises(Refusal, match="not one of this gateway"):
        asks(registry(thief), f"Bearer {key_of('retail/support')}")
    with pytest.raises(Refusal, match="not one of this gateway"):
        asks(registry(thief), f"Bearer {key_of('retail/thief')}")


def test_an_adopted_digest_copied_to_another_agent_opens_nothing() -> None:
    copied = agent("retail/thief", keys=list(adopter("retail/legacy").keys))
    with pytest.raises(Refusal):
        asks(registry(copied), f"Bearer {ADOPTED}")


@pytest.mark.parametrize(
    ("authorization", "api_key"),
    [
        ("", ""),
        ("Basic c2J4", ""),
        ("Bearer", ""),
        ("Bearer ", key_of("retail/support")),
        ("Bearer wrong", key_of("retail/support")),
        ("", "sbx.retail.support"),
        ("", "sbx.retail.support."),
        ("", "sbx..."),
        ("", "sbx.retail.nobody.c2VjcmV0"),
        ("", key_of("retail/support") + "x"),
        ("", key_of("retail/support").upper()),
        ("", "sk-\u00e9\u00e9\u00e9"),
        ("", "sk\x00x"),
        ("", "s" * 600),
    ],
)
def test_everything_else_is_nobody(authorization: str, api_key: str) -> None:
    with pytest.raises(Refusal) as refused:
        asks(registry(agent("retail/support")), authorization, api_key)
    assert refused.value.code == "unauthorized"
    assert "c2Vj" not in refused.value.message


def test_a_key_expires_by_the_clock_that_is_given() -> None:
    key = msgspec.structs.replace(agent("retail/support").keys[0], expires_at=500)
    known = registry(agent("retail/support", keys=[key]))
    bearer = f"Bearer {key_of('retail/support')}"
    assert identity.identify(known, bearer, "", 499).key_name == "k1"
    with pytest.raises(Refusal, match="has expired"):
        identity.identify(known, bearer, "", 500)
