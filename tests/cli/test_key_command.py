"""`signalbox key`: what it prints can be added to an Agent, and opens exactly that one."""

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from click.testing import Result

from signalbox_api import Agent
from signalbox_proxy.identity import adopted_digest, adopted_lookup, key_digest

ADOPTED = "sk-an-application-had-this-before"


def listed(snippet: str) -> dict:
    """The one key of a printed snippet, after the API's own types accepted it."""
    written = yaml.safe_load(snippet)
    spec = {"domain": "shop", "maxSensitivity": "internal"} | written["spec"]
    Agent.model_validate({"metadata": {"name": "bot", "namespace": "shop"}, "spec": spec})
    return written["spec"]["credentials"]["keys"][0]


def test_a_new_key_is_printed_alone_and_its_digest_beside_it(
    command: Callable[..., Result],
) -> None:
    result = command("key", "new", "shop/bot", "--name", "first", "--expires", "90d")
    assert result.exit_code == 0
    (key,) = result.stdout.splitlines()
    prefix, namespace, agent, secret = key.split(".")
    assert (prefix, namespace, agent) == ("sbx", "shop", "bot")
    entry = listed(result.stderr.partition("\n\n")[2])
    assert entry["name"] == "first"
    assert entry["sha256"] == key_digest("shop", "bot", secret)
    assert secret not in result.stderr


def test_a_new_key_is_printed_once_and_kept_nowhere(
    command: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    result = command("key", "new", "shop/bot")
    assert result.output.count(result.stdout.strip()) == 1
    assert list(tmp_path.rglob("*")) == []


def test_two_keys_are_never_the_same(command: Callable[..., Result]) -> None:
    made = {command("key", "new", "shop/bot").stdout for _ in range(20)}
    assert len(made) == 20


def test_an_adopted_key_is_read_from_standard_input_and_never_shown(
    command: Callable[..., Result],
) -> None:
    result = command("key", "adopt", "shop/bot", stdin=f"{ADOPTED}\n")
    assert result.exit_code == 0
    entry = listed(result.stdout)
    assert entry["sha256"] == adopted_digest("shop", "bot", ADOPTED)
    assert entry["lookup"] == adopted_lookup(ADOPTED)
    assert ADOPTED not in result.output


@pytest.mark.parametrize(
    "key", ["", "short", "with blanks in the middle of it", "sbx.a.b." + "x" * 32]
)
def test_what_cannot_be_adopted_is_refused_without_being_quoted(
    key: str, command: Callable[..., Result]
) -> None:
    result = command("key", "adopt", "shop/bot", stdin=key)
    assert result.exit_code == 1
    assert result.stderr.startswith("signalbox: ")
    assert not key or key not in result.output


def test_a_key_cannot_be_given_on_the_command_line(command: Callable[..., Result]) -> None:
    assert command("key", "adopt", "shop/bot", ADOPTED).exit_code == 2


@pytest.mark.parametrize("agent", ["bot", "Shop/Bot", "shop/bot/x", "shop/", "../etc"])
def test_what_names_no_agent_is_a_wrong_command_line(
    agent: str, command: Callable[..., Result]
) -> None:
    assert command("key", "new", agent).exit_code == 2
