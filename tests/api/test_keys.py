"""Agent keys: the format is a contract, held by vectors that the data plane tests against too."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signalbox_api.keys import adopt_key, new_key

VECTORS = json.loads((Path(__file__).parent / "key_vectors.json").read_text(encoding="utf-8"))
SECRET = bytes(range(32))
LABELS = st.from_regex("[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", fullmatch=True)


@pytest.mark.parametrize("vector", VECTORS["new"], ids=lambda vector: vector["agent"])
def test_new_keys_are_the_vectors(vector: dict[str, str]) -> None:
    made = new_key(vector["namespace"], vector["agent"], bytes.fromhex(vector["secretHex"]))
    assert (made.key, made.sha256) == (vector["key"], vector["sha256"])


@pytest.mark.parametrize("vector", VECTORS["adopted"], ids=lambda vector: vector["agent"])
def test_adopted_keys_are_the_vectors(vector: dict[str, str]) -> None:
    adopted = adopt_key(vector["namespace"], vector["agent"], vector["key"])
    assert (adopted.sha256, adopted.lookup) == (vector["sha256"], vector["lookup"])


def test_a_copied_digest_is_worth_nothing() -> None:
    digests = {
        new_key(namespace, agent, SECRET).sha256
        for namespace in ("a", "b", "a-b")
        for agent in ("a", "b", "b-a")
    }
    assert len(digests) == 9
    mine, theirs = (adopt_key("team", agent, "k" * 20) for agent in ("mine", "theirs"))
    assert mine.sha256 != theirs.sha256
    assert mine.lookup == theirs.lookup


def test_a_digest_of_one_kind_is_none_of_another() -> None:
    text = new_key("a", "b", SECRET).key.rpartition(".")[2]
    adopted = adopt_key("a", "b", text)
    assert adopted.sha256 != new_key("a", "b", SECRET).sha256
    assert not adopted.sha256.startswith(adopted.lookup)


@given(namespace=LABELS, agent=LABELS, secret=st.binary(min_size=16, max_size=64))
def test_a_key_names_its_agent(namespace: str, agent: str, secret: bytes) -> None:
    prefix, its_namespace, its_agent, text = new_key(namespace, agent, secret).key.split(".")
    assert (prefix, its_namespace, its_agent) == ("sbx", namespace, agent)
    assert text.replace("-", "").replace("_", "").isalnum()


@pytest.mark.parametrize("name", ["", "A", "a.b", "-a", "a-", "a" * 64, "ä", "a\n"])
def test_only_dns_labels_have_keys(name: str) -> None:
    for namespace, agent in ((name, "agent"), ("team", name)):
        with pytest.raises(ValueError, match="is not a DNS label"):
            new_key(namespace, agent, SECRET)
        with pytest.raises(ValueError, match="is not a DNS label"):
            adopt_key(namespace, agent, "k" * 20)


@pytest.mark.parametrize("length", [0, 15, 65])
def test_a_secret_can_neither_be_guessed_nor_endless(length: int) -> None:
    with pytest.raises(ValueError, match="needs 16 to 64 bytes"):
        new_key("team", "agent", bytes(length))


@pytest.mark.parametrize(
    "key", ["short", "k" * 19, "k" * 513, "with space " * 3, "ümlaut" * 5, "k" * 20 + "\n"]
)
def test_what_cannot_be_a_header_value_is_not_adopted_and_not_quoted(key: str) -> None:
    with pytest.raises(ValueError, match="an adopted key") as caught:
        adopt_key("team", "agent", key)
    assert key not in str(caught.value)


def test_a_signalbox_key_is_not_adopted() -> None:
    key = new_key("team", "agent", SECRET).key
    with pytest.raises(ValueError, match="this is a Signalbox key") as caught:
        adopt_key("team", "agent", key)
    assert key not in str(caught.value)


def test_no_repr_shows_a_key() -> None:
    made = new_key("team", "agent", SECRET)
    assert made.key not in repr(made)
    assert made.key.rpartition(".")[2] not in repr(made)
