"""Streams that end early: by the provider, by the client, by the process. All are settled."""

import asyncio
import contextlib
import json
from typing import Any

import aiohttp
import msgspec
import openai
import pytest

from support.fleet import Fleet, eventually
from support.snapshots import OPENAI, PLATFORM, key_of, mini, model, nano, snapshot

HELLO: Any = [{"role": "user", "content": "Say hello to the world."}]
SUPPORT = key_of("retail/support")


def run_of(fleet: Fleet, run_id: str) -> dict[str, Any]:
    """The run, once it has ended."""

    def look() -> dict[str, Any] | None:
        with fleet.ledger() as ledger:
            found = ledger.run(run_id)
        return None if found is None else fleet.run(run_id, agent_key=SUPPORT)

    found: dict[str, Any] = eventually(look)
    return found


def billed(fleet: Fleet, run: dict[str, Any]) -> int:
    """What the provider billed for a run's attempts, in pico-USD."""
    ids = {attempt["provider_request_id"] for attempt in run["attempts"]}
    lines = [line for line in fleet.simulator.bill() if line["request_id"] in ids]
    return sum(int(str(line["amount_pico_usd"])) for line in lines)


async def opened(fleet: Fleet, http: aiohttp.ClientSession, **changes: Any) -> Any:
    body = {"model": "mini", "messages": HELLO, "stream": True} | changes
    answer = await http.post(
        f"{fleet.openai_url}/chat/completions",
        json=body,
        headers={"authorization": f"Bearer {SUPPORT}"},
    )
    assert answer.status == 200, await answer.text()
    return answer


@pytest.mark.parametrize("effect", ["cut_after_chunks", "malformed_after_chunks"])
def test_a_cut_stream_ends_with_an_error_that_the_sdk_raises(fleet: Fleet, effect: str) -> None:
    fleet.push(snapshot())
    fleet.simulator.behave({"host": OPENAI, effect: 3, "tokens": 60})
    with openai.OpenAI(base_url=fleet.openai_url, api_key=SUPPORT, max_retries=0) as sdk:
        raw = sdk.chat.completions.with_raw_response.create(
            model="mini", messages=HELLO, stream=True
        )
        with pytest.raises((openai.APIError, json.JSONDecodeError)):
            list(raw.parse())
    run = run_of(fleet, raw.headers["x-signalbox-run-id"])
    assert len(run["attempts"]) == 1
    assert nano(run["cost_usd"]) * 1000 >= billed(fleet, run)


def test_a_cut_without_its_usage_record_is_charged_in_full(fleet: Fleet) -> None:
    fleet.push(snapshot())
    fleet.simulator.behave({"host": OPENAI, "cut_after_chunks": 3, "tokens": 60})
    with openai.OpenAI(base_url=fleet.openai_url, api_key=SUPPORT, max_retries=0) as sdk:
        raw = sdk.chat.completions.with_raw_response.create(
            model="mini", messages=HELLO, stream=True
        )
        with pytest.raises(openai.APIError, match="broke off"):
            list(raw.parse())
    run = run_of(fleet, raw.headers["x-signalbox-run-id"])
    attempt = run["attempts"][0]
    assert (attempt["outcome"], attempt["settlement"]) == ("cut", "full")
    assert run["outcome"] == "unknown"
    assert run["charges"][0]["kind"] == "unknown"


async def test_a_client_that_leaves_is_charged_what_the_provider_billed(
    fleet: Fleet, http: aiohttp.ClientSession
) -> None:
    fleet.push(snapshot())
    fleet.simulator.behave({"host": OPENAI, "chunk_ms": 20, "chunk_tokens": 4, "tokens": 120})
    left = 0
    for _ in range(10):  # a stream may have ended before a busy machine lets us leave
        run_ids = []
        for chunks in (0, 1, 3, 7):
            answer = await opened(fleet, http)
            run_ids.append(answer.headers["x-signalbox-run-id"])
            for _ in range(chunks):
                await answer.content.readany()
            answer.close()
        for run_id in run_ids:
            run = await asyncio.to_thread(run_of, fleet, run_id)
            left += run["client_left"]
            assert run["attempts"][0]["settlement"] == "usage"
            assert 0 <= nano(run["cost_usd"]) * 1000 - billed(fleet, run) < 3000
        if left >= 4:
            break
    assert left >= 4


async def test_a_client_that_reads_nothing_is_cut_at_the_deadline_and_settled(
    fleet: Fleet,
) -> None:
    lanes = [each for each in mini().lanes if each.name == "us"]
    short = msgspec.structs.replace(lanes[0], request_timeout_ms=4000)
    fleet.push(snapshot(models=[model(f"{PLATFORM}/mini", lanes=[short])]))
    fleet.simulator.behave({"host": OPENAI, "tokens": 30_000, "chunk_tokens": 1})
    body = json.dumps(
        {
            "model": "mini",
            "messages": HELLO,
            "stream": True,
            "max_completion_tokens": 31_000,
        }
    ).encode()
    port = fleet.proxies[0].ports["port"]
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
    writer.write(
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        b"Authorization: Bearer " + SUPPORT.encode() + b"\r\n"
        b"Content-Length: %d\r\n\r\n" % len(body) + body
    )
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    run_id = head.partition("x-signalbox-run-id: ")[2].partition("\r\n")[0]
    run = await asyncio.to_thread(run_of, fleet, run_id)
    assert run["client_left"] is True
    assert nano(run["cost_usd"]) * 1000 >= billed(fleet, run)
    with contextlib.suppress(ConnectionResetError):
        async with asyncio.timeout(60):
            while await reader.read(1 << 20):
                pass
    writer.close()


async def test_a_client_of_a_whole_answer_that_leaves_has_been_served(
    fleet: Fleet, http: aiohttp.ClientSession
) -> None:
    fleet.push(snapshot())
    fleet.simulator.behave({"host": OPENAI, "latency_ms": 2000})
    before, seen = len(fleet.simulator.bill()), fleet.simulator.seen()
    waiting = asyncio.create_task(
        http.post(
            f"{fleet.openai_url}/chat/completions",
            json={"model": "mini", "messages": HELLO},
            headers={"authorization": f"Bearer {SUPPORT}"},
        )
    )
    await asyncio.to_thread(eventually, lambda: fleet.simulator.seen() > seen)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await asyncio.to_thread(eventually, lambda: len(fleet.simulator.bill()) > before)

    def recorded() -> Any:
        with fleet.ledger() as ledger:
            return next((run for run in ledger.runs(limit=1) if run.client_left), None)

    assert await asyncio.to_thread(eventually, recorded)
