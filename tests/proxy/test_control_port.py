"""The control port: what is accepted, what is refused with its reason, and what survives."""

import asyncio
import os
from typing import Any

import aiohttp
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from signalbox_snapshot import codec, envelope
from signalbox_snapshot.snapshot import Budget
from support.fleet import FLEET, Fleet, eventually
from support.snapshots import budget, key_of, mini, snapshot, window


def status(fleet: Fleet, number: int = 0) -> dict[str, Any]:
    code, document = fleet.control(fleet.proxies[number], "GET", "status")
    assert code == 200
    return document


async def chat_status(fleet: Fleet, url: str) -> int:
    body = {"model": "mini", "messages": [{"role": "user", "content": "hi"}]}
    headers = {"authorization": f"Bearer {key_of('retail/support')}"}
    async with (
        aiohttp.ClientSession() as http,
        http.post(f"{url}/v1/chat/completions", json=body, headers=headers) as answer,
    ):
        return answer.status


def test_an_accepted_snapshot_is_told_with_generation_and_version(fleet: Fleet) -> None:
    generation = fleet.push(snapshot())
    told = status(fleet)
    assert told["generation"] == generation
    assert told["ready"] is True
    assert told["ledger"] == {"generation": generation, "min_generation": 0}
    code, sealed = fleet.control(fleet.proxies[0], "GET", "snapshot")
    assert (code, sealed["version"]) == (200, told["version"])


@pytest.mark.parametrize("token", ["", "wrong", "x" * 4000])
@pytest.mark.parametrize("path", ["status", "snapshot", "nothing"])
def test_nothing_without_the_token(fleet: Fleet, token: str, path: str) -> None:
    code, _ = fleet.control(fleet.proxies[0], "GET", path, token=token)
    assert code == 401


async def sent(fleet: Fleet, head: bytes, body: bytes = b"") -> bytes:
    """The first line of what the control port answers to bytes."""
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", fleet.proxies[0].ports["control-port"]
    )
    writer.write(head + b"Host: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    try:
        async with asyncio.timeout(60):
            return await reader.readline()
    finally:
        writer.close()


async def test_a_token_that_is_no_text_is_a_wrong_one(fleet: Fleet) -> None:
    head = b"GET /control/v1/status HTTP/1.1\r\nAuthorization: Bearer \xff\r\n"
    assert b" 401 " in await sent(fleet, head)


async def test_a_compressed_envelope_is_refused(fleet: Fleet) -> None:
    head = (
        b"PUT /control/v1/snapshot HTTP/1.1\r\nContent-Encoding: gzip\r\n"
        b"Authorization: Bearer " + fleet.token.encode() + b"\r\n"
    )
    assert b" 415 " in await sent(fleet, head, b"no gzip")


def rejected(fleet: Fleet, sealed: bytes) -> tuple[int, str, str]:
    before = status(fleet)
    code, answer = fleet.put(fleet.proxies[0], sealed)
    assert answer["accepted"] is False
    after = status(fleet)
    assert (after["generation"], after["version"]) == (before["generation"], before["version"])
    assert after["last_rejection"]["reason"] == answer["reason"]
    return code, answer["reason"], answer["path"]


def test_an_older_generation_and_other_content_under_the_same_are_refused(fleet: Fleet) -> None:
    fleet.push(snapshot())
    generation = fleet.push(snapshot())
    current = fleet.seal(snapshot(), generation)
    assert fleet.put(fleet.proxies[0], current)[0] == 200
    assert rejected(fleet, fleet.seal(snapshot(), generation - 1))[0] == 409
    code, reason, path = rejected(fleet, fleet.seal(snapshot(models=[mini()]), generation))
    assert (code, path) == (409, "$.generation")
    assert "other content" in reason


def test_what_is_not_signed_by_the_fleet_is_refused(fleet: Fleet) -> None:
    fleet.push(snapshot())
    payload = codec.encode(snapshot())
    generation = fleet.generation + 1
    stranger = envelope.seal(
        Ed25519PrivateKey.generate(), fleet=FLEET, generation=generation, payload=payload
    )
    assert rejected(fleet, envelope.encode(stranger))[0] == 422
    elsewhere = envelope.seal(
        fleet.signing_key, fleet="other", generation=generation, payload=payload
    )
    assert rejected(fleet, envelope.encode(elsewhere))[2] == "$.fleet"
    good = fleet.seal(snapshot(), generation)
    for broken in (b"", b"{}", good[:-2], good.replace(b'"generation":', b'"generation":1', 1)):
        assert rejected(fleet, broken)[0] == 422


def test_a_snapshot_that_is_none_is_refused_by_path(fleet: Fleet) -> None:
    fleet.push(snapshot())
    payload = codec.encode(snapshot()).replace(b'"unit":"usd"', b'"unit":"gold"', 1)
    sealed = envelope.seal(
        fleet.signing_key, fleet=FLEET, generation=fleet.generation + 1, payload=payload
    )
    code, _, path = rejected(fleet, envelope.encode(sealed))
    assert code == 422
    assert path.startswith("$.snapshot.budgets")


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (budget("retail/day", window=window("day", time_zone="Mars/Olympus")), "Mars/Olympus"),
        (budget("retail/day", window=window("day", time_zone="../etc/passwd")), "no window"),
        (budget("retail/day", window=window("minute", 10_001)), "10000"),
        (budget("retail/day", limit=2**63 - 1), "retail/day"),
    ],
    ids=["zone", "path", "count", "limit"],
)
def test_a_budget_that_no_ledger_could_keep_is_refused_by_path(
    fleet: Fleet, bad: Budget, reason: str
) -> None:
    """Whether or not an authority can be asked at that moment: it serves on as before."""
    fleet.push(snapshot())
    wrong = snapshot(budgets=[bad, budget("wealth/day")])
    code, said, path = rejected(fleet, fleet.seal(wrong, fleet.generation + 1))
    assert (code, path) == (422, "$.snapshot.budgets[0]")
    assert reason in said


async def test_a_proxy_without_a_snapshot_is_not_ready_and_says_so(tmp_path: Any) -> None:
    with Fleet(tmp_path) as fleet:
        assert status(fleet)["ready"] is False
        assert fleet.control(fleet.proxies[0], "GET", "snapshot")[0] == 404
        assert await chat_status(fleet, fleet.url) == 503
        async with aiohttp.ClientSession() as http:
            async with http.get(f"{fleet.proxies[0].metrics_url}/readyz") as answer:
                assert answer.status == 503
            async with http.get(f"{fleet.proxies[0].metrics_url}/livez") as answer:
                assert answer.status == 200
        fleet.push(snapshot())
        async with (
            aiohttp.ClientSession() as http,
            http.get(f"{fleet.proxies[0].metrics_url}/readyz") as answer,
        ):
            assert answer.status == 200


async def test_the_last_good_snapshot_survives_and_peers_hand_it_on(tmp_path: Any) -> None:
    with Fleet(tmp_path) as fleet:
        fleet.push(snapshot())
        generation = fleet.push(snapshot(models=[mini()]))
        first = fleet.proxies[0]
        first.kill()
        first.start()
        assert status(fleet)["generation"] == generation
        assert await chat_status(fleet, fleet.url) == 200
        assert rejected(fleet, fleet.seal(snapshot(), generation - 1))[0] == 409
        second = fleet.add_proxy(peers=(first.control_url,))
        assert status(fleet, 1)["generation"] == generation
        assert await chat_status(fleet, second.url) == 200


def test_a_proxy_asks_its_peers_until_one_of_them_has_a_snapshot(tmp_path: Any) -> None:
    with Fleet(tmp_path) as fleet:
        first = fleet.proxies[0]
        fleet.add_proxy(peers=("http://127.0.0.1:1", first.control_url))
        assert status(fleet, 1)["ready"] is False
        sealed = fleet.seal(snapshot(), 1)
        assert fleet.put(first, sealed)[0] == 200
        assert eventually(lambda: status(fleet, 1)["generation"] == 1)


async def test_credentials_are_read_again_when_they_change(fleet: Fleet) -> None:
    fleet.push(snapshot())
    path = fleet.folder / "credentials" / "openai"
    right = path.read_text()
    path.write_text("sk-wrong")
    fleet.push(snapshot())
    try:
        assert await chat_status(fleet, fleet.url) == 502
    finally:
        path.write_text(right)
        os.utime(path, ns=(1, 1))
    fleet.push(snapshot())
    assert await chat_status(fleet, fleet.url) == 200
