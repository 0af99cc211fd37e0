"""The authority's process: strict with what comes in, alone with its database."""

import os
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signalbox_ledger import protocol, status
from signalbox_ledger.client import LedgerUnavailableError
from signalbox_ledger.framing import (
    HEADER,
    MAX_FRAME,
    FrameError,
    FrameReader,
    decode_reply,
    decode_request,
    frame,
)
from support.ledgers import budget


def ask_raw(authority, data: bytes) -> bytes:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(60)
        client.connect(os.fspath(authority.socket))
        client.sendall(data)
        return client.recv(65536)


def ask_all(authority, *requests: protocol.Request) -> list[protocol.Reply]:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(60)
        client.connect(os.fspath(authority.socket))
        client.sendall(b"".join(frame(n, one) for n, one in enumerate(requests)))
        reader = FrameReader()
        replies: list[protocol.Reply] = []
        while len(replies) < len(requests):
            frames = reader.feed(client.recv(65536))
            replies += [decode_reply(body) for _, body in frames]
        return replies


def test_only_its_user_may_connect_and_read(authority) -> None:
    for path in (authority.socket, authority.db):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_second_authority_is_refused(authority, folder) -> None:
    again = subprocess.run(
        [
            *(sys.executable, "-m", "signalbox_ledger.authority"),
            *("--socket", str(folder / "b.sock"), "--db", str(authority.db)),
        ],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert again.returncode == 1
    assert "another authority owns" in again.stderr


def test_sigterm_ends_it_cleanly(authority) -> None:
    assert authority.stop() == 0
    assert not authority.socket.exists()
    authority.start()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xc0",
        b"\x93\xa4Draw\x01",
        b"\x91\xa7Unknown",
        b"\x92\xa4Draw\x91\x96\xa1s\xa1b\xa1u\x91\xff\x00\x00",
        b"\x93\xa9Configure\xff\x90",
        b"\x92\xa7FindRun\xa1\xff",
        b"\x91" * 5000,
    ],
)
def test_what_is_no_request_is_refused_and_named(authority, body: bytes) -> None:
    reply = ask_raw(authority, HEADER.pack(len(body), 7) + body)
    ((number, found),) = FrameReader().feed(reply)
    refused = decode_reply(found)
    assert number == 7
    assert isinstance(refused, protocol.Refused)
    assert refused.reason == "invalid"


def test_a_frame_above_the_bound_closes_the_connection(authority) -> None:
    assert ask_raw(authority, HEADER.pack(MAX_FRAME + 1, 1)) == b""


def test_money_needs_a_hello(authority) -> None:
    draw = protocol.Draw([protocol.DrawItem("s", "ns/day", "", [1], 0, 0)])
    for reply in ask_all(authority, draw, protocol.Settle("x", 0, b""), protocol.Finish("x")):
        assert isinstance(reply, protocol.Refused)


def test_one_bad_request_does_not_spoil_those_beside_it(authority) -> None:
    replies = ask_all(
        authority,
        protocol.Hello("p", "p-1"),
        protocol.Configure(1, [budget(limit=100, every="day", time_zone="Nowhere/Land")]),
        protocol.Configure(2, [budget(limit=100)]),
        protocol.Settle("p-1", 0, b"no journal"),
        protocol.Draw([protocol.DrawItem("s", "ns/day", "", [10], 0, 0, budget().basis)]),
    )
    names = [type(reply).__name__ for reply in replies]
    assert names == ["Welcome", "Refused", "Configured", "Refused", "Drawn"]


def test_a_holder_on_a_new_connection_is_not_heard_on_the_old_one(authority) -> None:
    hello = frame(1, protocol.Hello("p", "p-1"))
    with socket.socket(socket.AF_UNIX) as old:
        old.settimeout(60)
        old.connect(os.fspath(authority.socket))
        old.sendall(hello)
        assert old.recv(100)
        assert ask_raw(authority, hello)
        assert old.recv(100) == b""


async def test_nobody_answers_where_nobody_listens(folder) -> None:
    with pytest.raises(LedgerUnavailableError, match="listens"):
        await status.fetch(folder / "a.sock")


@given(st.binary(max_size=200), st.integers(1, 50))
def test_frames_are_read_whole_however_they_are_cut(body: bytes, step: int) -> None:
    data = HEADER.pack(len(body), 3) + body
    reader = FrameReader()
    found = [
        one
        for position in range(0, len(data), step)
        for one in reader.feed(data[position : position + step])
    ]
    assert found == [(3, body)]


@given(st.binary(max_size=300))
def test_no_bytes_are_taken_for_a_request_by_accident(body: bytes) -> None:
    for decode in (decode_request, decode_reply):
        try:
            decode(body)
        except FrameError:
            continue


def test_it_dies_with_its_parent(folder) -> None:
    command = [
        *(sys.executable, "-m", "signalbox_ledger.authority", "--die-with-parent"),
        *("--socket", str(folder / "a.sock"), "--db", str(folder / "l.db")),
    ]
    script = (
        "import os, subprocess\n"
        f"child = subprocess.Popen({command!r}, stdout=subprocess.PIPE)\n"
        "child.stdout.readline()\n"
        "print(child.pid, flush=True)\n"
        "os._exit(0)\n"
    )
    parent = subprocess.run(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, timeout=120
    )
    process = Path(f"/proc/{parent.stdout.strip()}/stat")
    deadline = time.monotonic() + 60
    while process.exists() and " Z " not in process.read_text():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert not (folder / "a.sock").exists()
