"""The small parts of the process: settings, credentials, last good, logs, names of runs."""

import io
import json
import logging
from pathlib import Path
from typing import Any

import pytest

from signalbox_proxy import run_ids
from signalbox_proxy.credentials import MAX_BYTES, CredentialStore
from signalbox_proxy.last_good import LastGood
from signalbox_proxy.logs import FIELDS, JsonFormatter
from signalbox_proxy.settings import read_settings
from signalbox_proxy.trust import Trust
from signalbox_proxy.upstream import UpstreamCall

FLAGS = [
    *("--name", "p", "--state", "s", "--authority", "a", "--credentials", "c"),
    *("--fleet", "f", "--trust", "t", "--control-token", "k"),
]


def test_a_flag_wins_over_its_variable_and_a_variable_over_the_default() -> None:
    environment = {"SIGNALBOX_PORT": "1", "SIGNALBOX_CONTROL_PORT": "2", "SIGNALBOX_PEERS": "x,y"}
    settings = read_settings([*FLAGS, "--port", "3"], environment)
    assert (settings.port, settings.control_port, settings.metrics_port) == (3, 2, 9090)
    assert settings.peers == ("x", "y")
    assert settings.state == Path("s")


def test_variables_alone_are_enough() -> None:
    names = ("NAME", "STATE", "AUTHORITY", "CREDENTIALS", "FLEET", "TRUST", "CONTROL_TOKEN")
    settings = read_settings([], {f"SIGNALBOX_{name}": name.lower() for name in names})
    assert (settings.name, settings.fleet, settings.trust) == ("name", "fleet", Path("trust"))


def test_what_is_missing_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        read_settings([], {})
    assert "--name" in capsys.readouterr().err


def test_credentials_are_read_forgotten_and_read_again(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("one\n")
    (tmp_path / "b").write_text("two")
    store = CredentialStore(tmp_path)
    assert store.refresh(["a", "b"]) == []
    assert (store.get("a"), store.get("b")) == ("one", "two")
    (tmp_path / "a").unlink()
    (tmp_path / "a").write_text("three")
    assert store.refresh(["a"]) == []
    assert (store.get("a"), store.get("b")) == ("three", "two")  # for requests under way
    (tmp_path / "b").unlink()
    assert store.refresh(["a"]) == []
    assert (store.get("a"), store.get("b")) == ("three", None)
    (tmp_path / "a").unlink()
    assert store.refresh(["a"]) == ["a"]
    assert store.get("a") is None


@pytest.mark.parametrize("name", ["../secret", "a/b", "", ".", "..", "missing", "folder"])
def test_a_credentials_name_leads_nowhere_else(tmp_path: Path, name: str) -> None:
    (tmp_path / "secret").write_text("x")
    folder = tmp_path / "credentials"
    (folder / "folder").mkdir(parents=True)
    store = CredentialStore(folder)
    assert store.refresh([name]) == [name]
    assert store.get(name) is None


@pytest.mark.parametrize("content", [b"", b" \n", b"a\nb", b"\xff\xfe", b"x" * (MAX_BYTES + 1)])
def test_what_cannot_be_a_header_is_no_credential(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a").write_bytes(content)
    assert CredentialStore(tmp_path).refresh(["a"]) == ["a"]


def test_no_secret_stands_in_a_repr(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("sk-canary")
    store = CredentialStore(tmp_path)
    store.refresh(["a"])
    call = UpstreamCall("http://x", {"authorization": "Bearer sk-canary"}, b"sk-canary", 1.0)
    trust = Trust("f", {}, ("sk-canary",))
    assert "canary" not in f"{store!r} {call!r} {trust!r}"


def test_the_last_good_snapshot_is_replaced_whole(tmp_path: Path) -> None:
    last = LastGood(tmp_path / "deep" / "snapshot.json")
    assert last.read() is None
    last.write(b"one")
    last.write(b"two")
    assert last.read() == b"two"
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["snapshot.json"]


def line_of(message: str, **fields: Any) -> str:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter())
    try:
        int("the secret text of a user")
    except ValueError as error:
        failure = (type(error), error, error.__traceback__)
    record = logging.LogRecord("test", logging.ERROR, "", 0, message, None, failure)
    setattr(record, FIELDS, fields)
    handler.handle(record)
    return stream.getvalue()


def test_a_log_line_is_one_line_of_json_whatever_is_in_it() -> None:
    written = line_of("a\r\nb\x1b[31m\x00\u202e", reason="x\ny")
    assert written.count("\n") == 1
    assert written.isascii()
    assert not set(written.rstrip("\n")) & {"\r", "\x1b", "\x00"}
    document = json.loads(written)
    assert (document["event"], document["reason"]) == ("a\r\nb\x1b[31m\x00\u202e", "x\ny")


def test_of_an_exception_only_type_and_place_are_logged() -> None:
    document = json.loads(line_of("failed"))
    assert document["error"] == "ValueError"
    assert "test_process_parts.py" in document["at"][0]
    assert "secret" not in json.dumps(document)


def test_names_of_runs_sort_by_time_and_are_never_the_same() -> None:
    names = [run_ids.new_run_id(1_700_000_000_000 + step) for step in range(50)]
    assert names == sorted(names)
    assert all(run_ids.is_run_id(name) for name in names)
    assert len({run_ids.new_run_id(5) for _ in range(1000)}) == 1000


@pytest.mark.parametrize("text", ["", "r_", "r_" + "u" * 26, "r_" + "0" * 27, "x_" + "0" * 26])
def test_what_is_no_name_of_a_run_is_not_looked_up(text: str) -> None:
    assert not run_ids.is_run_id(text)
