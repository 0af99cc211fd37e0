"""One snapshot gives way to the next between two requests, completely or not at all."""

import errno
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import openai
import pytest

from signalbox_proxy.last_good import LastGood
from support.fleet import Fleet
from support.snapshots import budget, key_of, small, snapshot, window

SUPPORT = key_of("retail/support")
BODY = {"model": "mini", "messages": [{"role": "user", "content": "Hello"}]}


def version(fleet: Fleet) -> str:
    _, document = fleet.control(fleet.proxies[0], "GET", "status")
    return str(document["version"])


def ask(fleet: Fleet) -> dict[str, Any]:
    """The run of a request that was answered."""
    with openai.OpenAI(base_url=fleet.openai_url, api_key=SUPPORT, max_retries=0) as client:
        raw = client.chat.completions.with_raw_response.create(**BODY)
    return fleet.run(raw.headers["x-signalbox-run-id"], agent_key=SUPPORT)


@contextmanager
def begun(fleet: Fleet, body: bytes) -> Iterator[socket.socket]:
    """A request whose caller is identified and whose body is waited for."""
    address = urlsplit(fleet.url)
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nhost: {address.netloc}\r\n"
        f"authorization: Bearer {SUPPORT}\r\ncontent-type: application/json\r\n"
        f"content-length: {len(body)}\r\nexpect: 100-continue\r\nconnection: close\r\n\r\n"
    )
    with socket.create_connection((address.hostname, address.port), timeout=10) as client:
        client.sendall(head.encode())
        assert client.recv(1024).startswith(b"HTTP/1.1 100 ")
        yield client


def test_a_request_is_decided_by_the_snapshot_that_it_began_with(fleet: Fleet) -> None:
    fleet.push(snapshot())
    first = version(fleet)
    body = json.dumps(BODY).encode()
    with begun(fleet, body) as client:
        fleet.push(snapshot(models=[small()]))
        assert version(fleet) != first
        client.sendall(body)
        answer = b"".join(iter(lambda: client.recv(65536), b""))
    head, _, _ = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 ")
    headers = dict(line.lower().split(": ", 1) for line in head.decode().split("\r\n")[1:])
    run = fleet.run(headers["x-signalbox-run-id"], agent_key=SUPPORT)
    assert (run["snapshot_version"], run["lane"]) == (first, "us")
    with pytest.raises(openai.NotFoundError):
        ask(fleet)


def test_a_snapshot_whose_budgets_cannot_be_kept_changes_nothing(fleet: Fleet) -> None:
    fleet.push(snapshot())
    first, stored = version(fleet), (fleet.folder / "proxy-0" / "snapshot.json").read_bytes()
    endless = budget("retail/day", window=window("quarter", 10_000))
    given = snapshot(models=[small()], budgets=[endless, budget("wealth/day")])
    code, answer = fleet.put(fleet.proxies[0], fleet.seal(given, fleet.generation + 1))
    assert (code, answer["accepted"], answer["path"]) == (422, False, "$.snapshot.budgets[0]")
    assert "retail/day" in answer["reason"]
    assert version(fleet) == first
    assert (fleet.folder / "proxy-0" / "snapshot.json").read_bytes() == stored
    assert ask(fleet)["snapshot_version"] == first


def test_a_snapshot_that_cannot_be_stored_changes_nothing(fleet: Fleet) -> None:
    fleet.push(snapshot())
    first, stored = version(fleet), fleet.folder / "proxy-0" / "snapshot.json"
    stored.unlink()
    stored.mkdir()
    try:
        sealed = fleet.seal(snapshot(models=[small()]), fleet.generation + 1)
        code, answer = fleet.put(fleet.proxies[0], sealed)
    finally:
        stored.rmdir()
    assert (code, answer["accepted"]) == (507, False)  # a fault of this proxy, not of the snapshot
    assert "cannot be kept on disk" in answer["reason"]
    assert version(fleet) == first
    assert ask(fleet)["snapshot_version"] == first


def test_the_last_good_snapshot_is_whole_whatever_happens_to_its_successor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "no space left on device")

    kept = LastGood(tmp_path / "snapshot.json")
    kept.write(b"the old one")
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="no space"):
            kept.write(b"the new one")
    assert kept.read() == b"the old one"
