"""How a proxy ends: asked to, with streams under way, or killed. Money and runs survive."""

import asyncio
import json
import signal
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from signalbox_ledger.recovery import recover_all
from support.fleet import Fleet, eventually
from support.ledgers import until
from support.snapshots import OPENAI, agent, budget, key_of, snapshot

HELLO: Any = [{"role": "user", "content": "Say hello to the world."}]
SUPPORT = key_of("retail/support")
HEADERS = {"authorization": f"Bearer {SUPPORT}"}


async def stream(fleet: Fleet, http: aiohttp.ClientSession) -> Any:
    body = {"model": "mini", "messages": HELLO, "stream": True}
    return await http.post(f"{fleet.openai_url}/chat/completions", json=body, headers=HEADERS)


def runs(fleet: Fleet) -> list[Any]:
    with fleet.ledger() as ledger:
        return list(ledger.runs(limit=50))


def is_ready(fleet: Fleet) -> bool:
    code, told = fleet.control(fleet.proxies[0], "GET", "status")
    assert code == 200
    return bool(told["ready"])


def test_it_is_ready_once_it_has_reached_the_ledger_and_stays_so(tmp_path: Path) -> None:
    """A newcomer that cannot hold anything would refuse what others could serve."""
    with Fleet(tmp_path, hurried=True) as fleet:
        fleet.push(snapshot())
        assert is_ready(fleet)
        proxy = fleet.proxies[0]
        fleet.authority.kill()
        assert is_ready(fleet)
        proxy.kill()
        proxy.start()
        assert fleet.control(proxy, "GET", "status")[1]["generation"] == fleet.generation
        assert not is_ready(fleet)
        fleet.authority.start()
        eventually(lambda: is_ready(fleet))


async def test_asked_to_stop_it_lets_streams_end_first(tmp_path: Path) -> None:
    with Fleet(tmp_path) as fleet:
        fleet.push(snapshot())
        fleet.simulator.behave({"host": OPENAI, "chunk_ms": 30, "chunk_tokens": 4, "tokens": 60})
        async with aiohttp.ClientSession() as http:
            answers = [await stream(fleet, http) for _ in range(5)]
            proxy = fleet.proxies[0]
            proxy.process.send_signal(signal.SIGTERM)
            texts = [(await answer.read()).decode() for answer in answers]
        assert all(text.rstrip().endswith("data: [DONE]") for text in texts)
        assert await asyncio.to_thread(proxy.stop) == 0
        assert [run.outcome for run in runs(fleet)] == ["answered"] * 5


@pytest.mark.parametrize("streamed", [False, True])
async def test_asked_to_stop_it_serves_on_and_sends_clients_elsewhere(
    tmp_path: Path, streamed: bool
) -> None:
    """A connection that stays open would be closed while the next request is on its way."""
    body = {"model": "mini", "messages": HELLO, "stream": streamed}
    with Fleet(tmp_path, options=("--unready-seconds", "600")) as fleet:
        fleet.push(snapshot())
        url = f"{fleet.openai_url}/chat/completions"
        async with aiohttp.ClientSession() as http:

            async def served() -> str | None:
                async with http.post(url, json=body, headers=HEADERS) as answer:
                    assert answer.status == 200, await answer.text()
                    return answer.headers.get("connection")

            assert await served() is None
            fleet.proxies[0].process.send_signal(signal.SIGTERM)
            await asyncio.to_thread(eventually, lambda: not is_ready(fleet))
            assert await served() == "close"
        fleet.proxies[0].kill()


async def test_a_stream_that_could_not_be_told_is_followed_by_one_more_request(
    tmp_path: Path,
) -> None:
    """Its client sends the next on the same connection, before it could hear of an end."""
    with Fleet(tmp_path) as fleet:
        fleet.push(snapshot())
        fleet.simulator.behave({"host": OPENAI, "chunk_ms": 400, "chunk_tokens": 4, "tokens": 60})
        connector = aiohttp.TCPConnector(limit=1)
        async with aiohttp.ClientSession(connector=connector) as http:
            answer = await stream(fleet, http)
            proxy = fleet.proxies[0]
            proxy.process.send_signal(signal.SIGTERM)
            await asyncio.to_thread(eventually, lambda: not is_ready(fleet))
            assert (await answer.read()).decode().endswith("data: [DONE]\n\n")
            async with await stream(fleet, http) as again:
                assert again.status == 200
                assert again.headers["connection"] == "close"
                assert (await again.read()).decode().endswith("data: [DONE]\n\n")
        assert await asyncio.to_thread(proxy.stop) == 0


async def test_streams_that_do_not_end_in_time_are_told_and_settled(tmp_path: Path) -> None:
    with Fleet(tmp_path, options=("--drain-seconds", "0.5")) as fleet:
        fleet.push(snapshot())
        fleet.simulator.behave({"host": OPENAI, "chunk_ms": 500, "chunk_tokens": 1, "tokens": 200})
        async with aiohttp.ClientSession() as http:
            answers = [await stream(fleet, http) for _ in range(3)]
            proxy = fleet.proxies[0]
            proxy.process.send_signal(signal.SIGTERM)
            texts = [(await answer.read()).decode() for answer in answers]
        assert await asyncio.to_thread(proxy.stop) == 0
        for text in texts:
            last = json.loads(text.rstrip().rpartition("data: ")[2])
            assert last["error"]["code"] == "provider_failed"
            assert "stopping" in last["error"]["message"]
        told = await asyncio.to_thread(
            eventually, lambda: found if len(found := runs(fleet)) == 3 else None
        )
        assert {run.outcome for run in told} == {"unknown"}


async def test_killed_in_mid_flight_nothing_is_lost_and_nothing_held_for_ever(
    tmp_path: Path,
) -> None:
    """A budget for six full bounds; four are under way when the proxy dies."""
    limit = 6 * 8_100_000
    with Fleet(tmp_path) as fleet:
        fleet.push(
            snapshot(
                budgets=[budget("retail/day", limit), budget("wealth/day")],
                agents=[agent("retail/support"), agent("wealth/advisor")],
            )
        )
        fleet.simulator.behave({"host": OPENAI, "latency_ms": 60_000})
        body = {"model": "mini", "messages": HELLO, "max_completion_tokens": 4000}
        async with aiohttp.ClientSession() as http:
            waiting = [
                asyncio.create_task(
                    http.post(f"{fleet.openai_url}/chat/completions", json=body, headers=HEADERS)
                )
                for _ in range(4)
            ]
            await asyncio.to_thread(
                eventually, lambda: fleet.simulator.stats().get(OPENAI, {}).get("requests", 0) >= 4
            )
            fleet.proxies[0].kill()
            await asyncio.gather(*waiting, return_exceptions=True)
        fleet.simulator.behave()
        await recover_all(fleet.authority.socket, [tmp_path / "proxy-0" / "journal"])
        lost = runs(fleet)
        assert [run.outcome for run in lost] == ["unknown"] * 4
        assert all(run.cost_nano_usd > 8_000_000 for run in lost)
        fleet.proxies[0].start()
        statuses = []
        async with aiohttp.ClientSession() as http:
            for _ in range(4):
                url = f"{fleet.openai_url}/chat/completions"
                async with http.post(url, json=body, headers=HEADERS) as answer:
                    statuses.append(answer.status)
        assert statuses[0] == 200
        spent = sum(run.cost_nano_usd for run in runs(fleet))
        assert spent <= limit


async def test_while_the_authority_is_gone_slices_are_used_up_then_admission_closes(
    tmp_path: Path,
) -> None:
    with Fleet(tmp_path, hurried=True) as fleet:
        fleet.push(snapshot(budgets=[budget("retail/day", 10**8), budget("wealth/day")]))
        body = {"model": "mini", "messages": HELLO}
        url = f"{fleet.openai_url}/chat/completions"
        async with aiohttp.ClientSession() as http:

            async def served() -> bool:
                async with http.post(url, json=body, headers=HEADERS) as answer:
                    return answer.status == 200

            await until(served)
            fleet.authority.kill()
            refused = None
            for _ in range(60):
                async with http.post(url, json=body, headers=HEADERS) as answer:
                    if answer.status != 200:
                        refused = (answer.status, await answer.json(), answer.headers)
                        break
            assert refused is not None
            status, told, headers = refused
            assert (status, told["error"]["code"]) == (503, "store_unavailable")
            assert headers["retry-after"]
            fleet.authority.start()
            await until(served)


async def test_a_whole_answer_that_is_given_up_is_told_and_charged_in_full(tmp_path: Path) -> None:
    with Fleet(tmp_path, options=("--drain-seconds", "0.3")) as fleet:
        fleet.push(snapshot())
        fleet.simulator.behave({"host": OPENAI, "latency_ms": 20_000})
        body = {"model": "mini", "messages": HELLO}
        async with aiohttp.ClientSession() as http:
            waiting = asyncio.create_task(
                http.post(f"{fleet.openai_url}/chat/completions", json=body, headers=HEADERS)
            )
            await asyncio.to_thread(
                eventually, lambda: fleet.simulator.stats().get(OPENAI, {}).get("requests")
            )
            fleet.proxies[0].process.send_signal(signal.SIGTERM)
            answer = await waiting
            assert answer.status == 503
            assert (await answer.json())["error"]["code"] == "not_ready"
        assert await asyncio.to_thread(fleet.proxies[0].stop) == 0
        (run,) = runs(fleet)
        assert run.outcome == "unknown"
        assert run.cost_nano_usd > 0
