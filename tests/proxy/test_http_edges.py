"""The port itself: what is routed, what is not, and what a slow or odd client gets."""

import asyncio
import json
from typing import Any

import pytest

from support.fleet import Fleet, eventually
from support.snapshots import key_of, snapshot

SUPPORT = key_of("retail/support").encode()
BODY = json.dumps({"model": "mini", "messages": [{"role": "user", "content": "hi"}]}).encode()
KEY = b"Authorization: Bearer " + SUPPORT + b"\r\n"
JSON = b"Content-Type: application/json\r\n"


async def raw(fleet: Fleet, head: bytes, body: bytes = b"", *, wait_s: float = 60.0) -> bytes:
    """What comes back on a connection of its own, until it closes or the answer is whole."""
    reader, writer = await asyncio.open_connection("127.0.0.1", fleet.proxies[0].ports["port"])
    writer.write(head + body)
    received = b""
    try:
        async with asyncio.timeout(wait_s):
            while chunk := await reader.read(65536):
                received += chunk
    finally:
        writer.close()
    return received


def post(path: bytes, headers: bytes = KEY + JSON, *, length: int | None = None) -> bytes:
    size = len(BODY) if length is None else length
    return (
        b"POST "
        + path
        + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        + headers
        + b"Content-Length: %d\r\n\r\n" % size
    )


def status_of(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1]) if answer else 0


def code_of(answer: bytes) -> str:
    error: dict[str, Any] = json.loads(answer.partition(b"\r\n\r\n")[2])["error"]
    return str(error.get("code") or error["details"]["error_code"])


async def test_the_absolute_form_reaches_the_same_route(fleet: Fleet) -> None:
    fleet.push(snapshot())
    answer = await raw(fleet, post(b"http://elsewhere.example/v1/chat/completions"), BODY)
    assert status_of(answer) == 200


@pytest.mark.parametrize(
    "path",
    [
        b"/",
        b"/v1",
        b"/v1/",
        b"/v1/chat/completions/",
        b"//v1/chat/completions",
        b"/v1//chat/completions",
        b"/v1/chat/%63ompletions",
        b"/v1%2fchat%2fcompletions",
        b"/v1/chat/completions;x",
        b"/V1/chat/completions",
        b"/v1/./chat/completions",
        b"/x/../v1/chat/completions",
        b"/v1/responses/resp_1",
        b"/v1/completions",
        b"/v1/files",
        b"/v1/messages/batches",
        b"/control/v1/snapshot",
        b"/metrics",
    ],
)
async def test_what_is_not_governed_is_never_passed_through(fleet: Fleet, path: bytes) -> None:
    fleet.push(snapshot())
    seen = await asyncio.to_thread(fleet.simulator.seen)
    answer = await raw(fleet, post(path), BODY)
    assert (status_of(answer), code_of(answer)) == (404, "surface_not_governed")
    assert await asyncio.to_thread(fleet.simulator.seen) == seen


@pytest.mark.parametrize("method", [b"GET", b"PUT", b"DELETE", b"OPTIONS", b"HEAD"])
async def test_other_methods_of_a_surface_are_not_governed(fleet: Fleet, method: bytes) -> None:
    fleet.push(snapshot())
    head = post(b"/v1/chat/completions").replace(b"POST", method, 1)
    assert status_of(await raw(fleet, head, BODY)) == 404


@pytest.mark.parametrize(
    "headers",
    [
        KEY + KEY + JSON,
        KEY + JSON + JSON,
        KEY + JSON + b"x-signalbox-workload: a\r\nX-Signalbox-Workload: b\r\n",
        KEY + JSON + b"x-signalbox-sensitivity: regulated\r\nx-signalbox-sensitivity: public\r\n",
    ],
)
async def test_a_header_that_decides_may_be_there_once(fleet: Fleet, headers: bytes) -> None:
    fleet.push(snapshot())
    answer = await raw(fleet, post(b"/v1/chat/completions", headers), BODY)
    assert (status_of(answer), code_of(answer)) == (400, "invalid_request")


@pytest.mark.parametrize(
    "head",
    [
        b"GARBAGE\r\n\r\n",
        (
            b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n"
        ),
        (
            b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n"
            b"Content-Length: 6\r\n\r\n"
        ),
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 20_000 + b"\r\n\r\n",
    ],
)
async def test_what_is_not_one_reading_of_http_is_refused(fleet: Fleet, head: bytes) -> None:
    fleet.push(snapshot())
    answer = await raw(fleet, head, b"hello")
    assert status_of(answer) == 400
    assert b"Traceback" not in answer


async def test_a_late_head_and_a_silent_connection_are_cut_off_and_an_idle_one_is_kept(
    fleet: Fleet,
) -> None:
    fleet.push(snapshot())
    reader, writer = await asyncio.open_connection("127.0.0.1", fleet.proxies[0].ports["port"])
    kept = post(b"/v1/chat/completions").replace(b"Connection: close\r\n", b"")
    writer.write(kept + BODY)
    assert b"200 OK" in await reader.readline()
    started = asyncio.get_running_loop().time()
    late = b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n"
    assert await asyncio.gather(raw(fleet, late), raw(fleet, b"")) == [b"", b""]
    assert 4 < asyncio.get_running_loop().time() - started < 60
    writer.write(kept + BODY)
    async with asyncio.timeout(60):
        while b"200 OK" not in await reader.readline():
            pass
    writer.close()


async def test_a_query_is_ignored_and_goes_nowhere(fleet: Fleet) -> None:
    fleet.push(snapshot())
    assert status_of(await raw(fleet, post(b"/v1/chat/completions?beta=true"), BODY)) == 200


async def test_a_chunked_body_is_read_like_any_other(fleet: Fleet) -> None:
    fleet.push(snapshot())
    head = (
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        + KEY
        + JSON
        + b"Transfer-Encoding: chunked\r\n\r\n"
    )
    chunks = b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY)
    assert status_of(await raw(fleet, head, chunks)) == 200


async def test_a_client_that_waits_for_100_continue_gets_it(fleet: Fleet) -> None:
    fleet.push(snapshot())
    reader, writer = await asyncio.open_connection("127.0.0.1", fleet.proxies[0].ports["port"])
    writer.write(post(b"/v1/chat/completions", KEY + JSON + b"Expect: 100-continue\r\n"))
    async with asyncio.timeout(60):
        assert await reader.readline() == b"HTTP/1.1 100 Continue\r\n"
        assert await reader.readline() == b"\r\n"
        writer.write(BODY)
        assert b"200 OK" in await reader.readline()
    writer.close()


@pytest.mark.parametrize("chunk", [b"zz\r\n", b"5\r\nhel\r\n0\r\n\r\n", b"-1\r\n"])
async def test_a_chunked_body_that_is_none_is_refused(fleet: Fleet, chunk: bytes) -> None:
    fleet.push(snapshot())
    head = post(b"/v1/chat/completions", KEY + JSON, length=0)
    head = head.replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
    answer = await raw(fleet, head, chunk)
    assert (status_of(answer), code_of(answer)) == (400, "invalid_request")


async def test_a_body_that_breaks_off_is_recorded(fleet: Fleet) -> None:
    fleet.push(snapshot())
    reader, writer = await asyncio.open_connection("127.0.0.1", fleet.proxies[0].ports["port"])
    writer.write(post(b"/v1/chat/completions", length=len(BODY) + 50) + BODY)
    await writer.drain()
    writer.close()

    def recorded() -> bool:
        with fleet.ledger() as ledger:
            last = ledger.runs(limit=1)
        return bool(last) and "broke off" in last[0].refusal_detail

    assert await asyncio.to_thread(eventually, recorded)
    assert reader.at_eof() or await reader.read() == b""


async def test_an_unknown_header_of_ours_is_a_slip_that_is_told(fleet: Fleet) -> None:
    fleet.push(snapshot())
    slip = KEY + JSON + b"x-signalbox-sensitivty: regulated\r\n"
    answer = await raw(fleet, post(b"/v1/chat/completions", slip), BODY)
    assert (status_of(answer), code_of(answer)) == (400, "invalid_request")


async def test_the_log_is_json_lines_without_a_key_a_credential_or_a_prompt(fleet: Fleet) -> None:
    fleet.push(snapshot())
    prompt = json.dumps(
        {"model": "mini", "messages": [{"role": "user", "content": "canary\r\n\u001b[2J prompt"}]}
    ).encode()
    await raw(fleet, post(b"/v1/chat/completions", length=len(prompt)), prompt)
    await raw(fleet, b"\x1b[31mcanary / HTTP/1.1\r\n\r\n")
    lines = fleet.proxies[0].log.read_text().splitlines()
    assert [json.loads(line)["time"] for line in lines]
    text = "\n".join(lines)
    secrets = ("c2VjcmV0", "sk-simulated", "sk-ant", fleet.token, "canary")
    assert not [secret for secret in secrets if secret in text]


async def test_a_model_name_of_megabytes_is_not_found_and_the_next_request_is_served(
    fleet: Fleet,
) -> None:
    fleet.push(snapshot())
    huge = json.dumps(json.loads(BODY) | {"model": "x" * 9_000_000}).encode()
    path = b"/v1/chat/completions"
    answer = await raw(fleet, post(path, length=len(huge)), huge)
    assert (status_of(answer), code_of(answer)) == (404, "model_not_found")
    assert status_of(await raw(fleet, post(path), BODY)) == 200
