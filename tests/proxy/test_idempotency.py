"""Idempotency-Key over a real fleet: one request, one charge; the provider's bill is the judge."""

import asyncio
import json
import random
import socket
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import anthropic
import httpx
import openai
import pytest

from signalbox_proxy.idempotency import request_digest
from signalbox_proxy.surfaces import CHAT as CHAT_SURFACE
from signalbox_proxy.surfaces import SURFACES
from signalbox_simulator.process import SimulatorProcess
from support.fleet import Fleet, ProxyProcess, eventually
from support.snapshots import PLATFORM, agent, budget, key_of, lane, mini, model, snapshot

SUPPORT, ADVISOR = key_of("retail/support"), key_of("wealth/advisor")
CHAT, MESSAGES, EMBEDDINGS = "/v1/chat/completions", "/v1/messages", "/v1/embeddings"
HELLO: Any = [{"role": "user", "content": "Say hello."}]
BODY: dict[str, Any] = {"model": "mini", "messages": HELLO, "max_tokens": 20}
BODIES: dict[str, dict[str, Any]] = {
    CHAT: BODY,
    MESSAGES: {"model": "haiku", "messages": HELLO, "max_tokens": 20},
    EMBEDDINGS: {"model": "embedder", "input": "hello"},
}


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory, simulator: SimulatorProcess) -> Iterator[Fleet]:
    with Fleet(tmp_path_factory.mktemp("pair"), proxies=2, simulator=simulator) as fleet:
        fleet.push(snapshot())
        yield fleet


@pytest.fixture(autouse=True)
def _well_behaved(simulator: SimulatorProcess) -> Iterator[None]:
    yield
    simulator.behave()


def new_key() -> str:
    return str(uuid.uuid4())


def post(
    proxy: ProxyProcess,
    key: str | None,
    body: Any = BODY,
    *,
    path: str = CHAT,
    agent_key: str = SUPPORT,
    **headers: str,
) -> httpx.Response:
    sent = {"authorization": f"Bearer {agent_key}", "content-type": "application/json"}
    sent |= {name.replace("_", "-"): value for name, value in headers.items()}
    sent |= {} if key is None else {"Idempotency-Key": key}
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return httpx.post(proxy.url + path, content=content, headers=sent, trust_env=False, timeout=60)


def code(answer: httpx.Response) -> tuple[int, str]:
    error = answer.json()["error"]
    return answer.status_code, error.get("code") or error["details"]["error_code"]


def refused_for_good(answer: httpx.Response) -> bool:
    return answer.headers["x-should-retry"] == "false" and "retry-after" not in answer.headers


@pytest.mark.parametrize("path", BODIES)
def test_a_request_that_was_served_is_not_sent_again(pair: Fleet, path: str) -> None:
    """On every surface, through whichever proxy; the client hears which run has the answer."""
    one, other = pair.proxies
    key, seen = new_key(), pair.simulator.seen()
    first = post(one, key, BODIES[path], path=path)
    assert first.status_code == 200
    pair.run(first.headers["x-signalbox-run-id"], agent_key=SUPPORT)  # it is recorded now
    for proxy in (one, other):
        again = post(proxy, key, BODIES[path], path=path)
        assert code(again) == (409, "idempotency_key_used")
        assert refused_for_good(again)
        run_id = first.headers["x-signalbox-run-id"]
        assert again.headers["x-signalbox-earlier-run-id"] == run_id
        assert run_id in again.json()["error"]["message"]
    assert pair.simulator.seen() == seen + 1


def test_a_refused_repetition_is_a_run_that_cost_nothing(pair: Fleet) -> None:
    key = new_key()
    post(pair.proxies[0], key)
    again = post(pair.proxies[0], key)
    run = pair.run(again.headers["x-signalbox-run-id"], agent_key=SUPPORT)
    assert (run["outcome"], run["attempts"]) == ("refused", [])
    assert run["refusal"]["code"].startswith("idempotency_key")


def test_spaces_and_the_order_of_members_make_no_other_request(pair: Fleet) -> None:
    key = new_key()
    assert post(pair.proxies[0], key).status_code == 200
    turned = json.dumps(dict(reversed(BODY.items())), indent=3).encode()
    assert post(pair.proxies[1], key, turned).status_code == 409


@pytest.mark.parametrize(
    ("changed", "headers"),
    [
        ({"max_tokens": 21}, {}),
        ({"messages": [{"role": "user", "content": "Say hello!"}]}, {}),
        ({"temperature": 0.5}, {}),
        ({}, {"x_signalbox_user": "u-2"}),
        ({"metadata": {"x-signalbox-user": "u-2"}}, {}),
    ],
)
def test_another_request_under_the_same_key_is_refused(
    pair: Fleet, changed: dict[str, Any], headers: dict[str, str]
) -> None:
    key, seen = new_key(), pair.simulator.seen()
    assert post(pair.proxies[0], key).status_code == 200
    answer = post(pair.proxies[1], key, BODY | changed, **headers)
    assert code(answer) == (422, "idempotency_key_reused")
    assert refused_for_good(answer)
    assert pair.simulator.seen() == seen + 1


def test_the_same_body_on_another_surface_is_another_request(pair: Fleet) -> None:
    key, body = new_key(), BODIES[MESSAGES] | {"model": "haiku"}
    assert post(pair.proxies[0], key, body, path=MESSAGES).status_code == 200
    answer = post(pair.proxies[0], key, body | {"model": "mini"})
    assert code(answer) == (422, "idempotency_key_reused")


def test_a_key_means_nothing_to_other_agents(pair: Fleet) -> None:
    key = new_key()
    answers = [
        post(pair.proxies[0], key, BODIES[MESSAGES], path=MESSAGES, agent_key=SUPPORT),
        post(pair.proxies[0], key, BODY, agent_key=ADVISOR),
    ]
    assert [answer.status_code for answer in answers] == [200, 200]


async def test_a_request_under_way_is_not_sent_a_second_time(pair: Fleet) -> None:
    for latency_ms in (1000, 3000, 10_000):  # which a busy machine may outlast
        key, seen = new_key(), pair.simulator.seen()
        pair.simulator.behave({"latency_ms": latency_ms})
        first = asyncio.create_task(asyncio.to_thread(post, pair.proxies[0], key))
        while pair.simulator.seen() == seen:
            await asyncio.sleep(0.01)
        answer = await asyncio.to_thread(post, pair.proxies[1], key)
        in_time = not first.done()
        served = await first
        assert served.status_code == 200
        assert answer.headers["x-signalbox-earlier-run-id"] == served.headers["x-signalbox-run-id"]
        assert refused_for_good(answer)
        assert pair.simulator.seen() == seen + 1
        if in_time:
            break
    assert code(answer) == (409, "idempotency_key_in_flight")


def test_a_stream_uses_its_key_up_too(pair: Fleet) -> None:
    key = new_key()
    assert post(pair.proxies[0], key, BODY | {"stream": True}).status_code == 200
    assert post(pair.proxies[1], key, BODY | {"stream": True}).status_code == 409


@pytest.mark.parametrize("key", ["", "a b", "x" * 256, "a\tb"])
def test_what_is_no_key_is_refused_by_name(pair: Fleet, key: str) -> None:
    answer = post(pair.proxies[0], key)
    assert code(answer) == (400, "invalid_request")
    assert answer.json()["error"]["param"] == "idempotency-key"


async def test_bytes_that_are_no_ascii_are_no_key_and_two_keys_are_none(pair: Fleet) -> None:
    for lines in ([b"Idempotency-Key: \xc3\xa9"], [b"Idempotency-Key: a", b"idempotency-key: b"]):
        reader, writer = await asyncio.open_connection("127.0.0.1", pair.proxies[0].ports["port"])
        body = json.dumps(BODY).encode()
        head = [
            *(b"POST /v1/chat/completions HTTP/1.1", b"Host: x", b"Connection: close"),
            *(b"Authorization: Bearer " + SUPPORT.encode(), b"Content-Length: %d" % len(body)),
            *lines,
        ]
        writer.write(b"\r\n".join(head) + b"\r\n\r\n" + body)
        answer = await reader.read()
        writer.close()
        assert b" 400 " in answer.partition(b"\r\n")[0]
        assert b"dempotency-" in answer


@pytest.mark.parametrize("key", ["x" * 255, '"8e03978e-40d5"', "~!@#$%^&*()_+{}|:<>?"])
def test_every_visible_ascii_character_makes_a_key(pair: Fleet, key: str) -> None:
    key = f"{key[:200]}{new_key()}" if len(key) < 255 else new_key().ljust(255, "x")
    assert post(pair.proxies[0], key).status_code == 200
    assert post(pair.proxies[0], key).status_code == 409


def test_a_refused_request_does_not_use_its_key_up(pair: Fleet) -> None:
    key, proxy = new_key(), pair.proxies[0]
    for body in (BODY | {"model": "nope"}, BODY | {"audio": {}}, b"{"):
        assert post(proxy, key, body).status_code in (400, 404, 422)
    assert post(proxy, key).status_code == 200
    assert post(proxy, key).status_code == 409


@pytest.mark.parametrize(
    ("rule", "status"),
    [
        ({"status": 500}, 502),
        ({"status": 429}, 502),
        ({"status": 401}, 502),
        ({"status": 422}, 422),
    ],
)
def test_what_no_provider_billed_does_not_use_the_key_up(
    pair: Fleet, rule: dict[str, Any], status: int
) -> None:
    """An error status is not billed: the same key, with whatever body, may be tried again."""
    key, proxy = new_key(), pair.proxies[0]
    pair.simulator.behave(rule)
    answer = post(proxy, key)
    assert answer.status_code == status
    assert ("retry-after" in answer.headers) == (status == 502)
    pair.simulator.behave()
    assert post(pair.proxies[1], key, BODY | {"max_tokens": 30}).status_code == 200


def test_a_provider_that_is_not_there_does_not_use_the_key_up(
    tmp_path: Path, simulator: SimulatorProcess
) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        gone = f"http://127.0.0.1:{unused.getsockname()[1]}"
    dead = [model(f"{PLATFORM}/mini", lanes=[lane("us", endpoint=gone)])]
    with Fleet(tmp_path, simulator=simulator) as fleet:
        fleet.push(snapshot(models=dead), move=False)
        key = new_key()
        assert code(post(fleet.proxies[0], key)) == (503, "no_lane")
        fleet.push(snapshot())
        assert post(fleet.proxies[0], key).status_code == 200


def test_what_may_have_been_billed_uses_the_key_up_and_says_so(pair: Fleet) -> None:
    """Both lanes break off: each may have billed. A repetition could be charged twice."""
    key, seen = new_key(), pair.simulator.seen()
    pair.simulator.behave({"reset": "before_end"})
    first = post(pair.proxies[0], key)
    assert code(first) == (502, "provider_failed")
    assert refused_for_good(first)
    assert "Idempotency-Key is used up" in first.json()["error"]["message"]
    pair.simulator.behave()
    assert post(pair.proxies[1], key).status_code == 409
    assert pair.simulator.seen() == seen + 2


def test_without_a_key_nothing_changes(pair: Fleet) -> None:
    pair.simulator.behave({"reset": "before_end"})
    first = post(pair.proxies[0], None)
    assert (first.status_code, "retry-after" in first.headers) == (502, True)
    pair.simulator.behave()
    assert [post(pair.proxies[0], None).status_code for _ in range(2)] == [200, 200]


def test_a_repetition_counts_in_no_budget(tmp_path: Path, simulator: SimulatorProcess) -> None:
    counted = snapshot(
        agents=[agent("retail/support", budgets=["retail/day", "retail/rate"])],
        budgets=[budget("retail/day"), budget("retail/rate", 2, unit="requests")],
        domains=[each for each in snapshot().domains if each.id == "retail/main"],
        data_assets=[],
    )
    with Fleet(tmp_path, simulator=simulator) as fleet:
        fleet.push(counted)
        key = new_key()
        assert post(fleet.proxies[0], key).status_code == 200
        assert [post(fleet.proxies[0], key).status_code for _ in range(4)] == [409] * 4
        assert post(fleet.proxies[0], new_key()).status_code == 200
        assert post(fleet.proxies[0], new_key()).status_code in (402, 429)


def test_without_the_ledger_nothing_with_a_key_is_sent(
    tmp_path: Path, simulator: SimulatorProcess
) -> None:
    """Nobody can say whether it was used: 503 within 250 ms. Others are served from slices."""
    with Fleet(tmp_path, simulator=simulator, hurried=True) as fleet:
        fleet.push(snapshot())
        proxy = fleet.proxies[0]
        with httpx.Client(base_url=proxy.url, trust_env=False, timeout=60) as http:
            headers = {"authorization": f"Bearer {SUPPORT}"}
            for _ in range(20):
                eventually(lambda: http.post(CHAT, json=BODY, headers=headers).status_code == 200)
            fleet.authority.kill()
            seen, key = simulator.seen(), {"idempotency-key": new_key()}
            took_s = []
            for _ in range(5):
                began = time.monotonic()
                answer = http.post(CHAT, json=BODY, headers=headers | key)
                took_s.append(time.monotonic() - began)
                assert code(answer) == (503, "store_unavailable")
                assert answer.headers["retry-after"]
            assert min(took_s) < 0.25
            assert simulator.seen() == seen
            assert http.post(CHAT, json=BODY, headers=headers).status_code == 200
            fleet.authority.start()
            deadline = time.monotonic() + 60
            while (answer := http.post(CHAT, json=BODY, headers=headers | key)).status_code == 503:
                assert time.monotonic() < deadline
            assert answer.status_code == 200


@pytest.mark.parametrize("surface", SURFACES, ids=lambda surface: surface.name)
def test_a_key_never_travels_on(surface: Any) -> None:
    """A provider that replays an answer without billing it would be charged all the same."""
    sent = {"idempotency-key": "k-1", "anthropic-version": "2023-06-01", "x-stainless-a": "b"}
    travels = surface.upstream_headers(sent, mini().lanes[0], "secret")
    assert "k-1" not in json.dumps(travels)


# SDKs: none of them sends a key unasked; all of them repeat the one that they were given.


def test_an_sdk_that_retries_by_itself_is_served_once_nothing_was_billed(pair: Fleet) -> None:
    seen = pair.simulator.seen()
    pair.simulator.behave({"status": 503, "next": 2})  # both lanes, once
    headers = {"Idempotency-Key": new_key()}
    with openai.OpenAI(base_url=pair.openai_url, api_key=SUPPORT, max_retries=2) as sdk:
        raw = sdk.chat.completions.with_raw_response.create(
            model="mini", messages=HELLO, max_tokens=20, extra_headers=headers
        )
    assert raw.retries_taken == 1
    assert pair.simulator.seen() == seen + 3


def test_an_sdk_does_not_retry_what_may_have_been_billed(pair: Fleet) -> None:
    seen = pair.simulator.seen()
    pair.simulator.behave({"reset": "before_head"})
    headers = {"Idempotency-Key": new_key()}
    with (
        openai.OpenAI(base_url=pair.openai_url, api_key=SUPPORT, max_retries=3) as sdk,
        pytest.raises(openai.InternalServerError, match="used up"),
    ):
        sdk.chat.completions.create(
            model="mini", messages=HELLO, max_tokens=20, extra_headers=headers
        )
    assert pair.simulator.seen() == seen + 2
    pair.simulator.behave()
    with (
        openai.OpenAI(base_url=pair.openai_url, api_key=SUPPORT, max_retries=3) as sdk,
        pytest.raises(openai.ConflictError, match="not sent a second time"),
    ):
        sdk.chat.completions.create(
            model="mini", messages=HELLO, max_tokens=20, extra_headers=headers
        )
    assert pair.simulator.seen() == seen + 2


def test_an_sdk_that_lost_the_answer_hears_of_its_run_instead_of_paying_twice(pair: Fleet) -> None:
    """A client that gives up waiting retries with the same key while the first is still served."""
    seen, billed = pair.simulator.seen(), len(pair.simulator.bill())
    pair.simulator.behave({"latency_ms": 6000, "next": 1})
    headers = {"Idempotency-Key": new_key()}
    with (
        anthropic.Anthropic(base_url=pair.url, api_key=SUPPORT, max_retries=2, timeout=2) as sdk,
        pytest.raises(anthropic.ConflictError, match="under way as run"),
    ):
        sdk.messages.create(model="haiku", max_tokens=20, messages=HELLO, extra_headers=headers)
    eventually(lambda: len(pair.simulator.bill()) == billed + 1)
    assert pair.simulator.seen() == seen + 1


def test_sdks_send_no_key_of_their_own(pair: Fleet) -> None:
    with openai.OpenAI(base_url=pair.openai_url, api_key=SUPPORT) as sdk:
        for _ in range(2):
            sdk.chat.completions.create(model="mini", messages=HELLO, max_tokens=20)


# The fleet


async def _clients(pair: Fleet, jobs: list[tuple[int, str, dict[str, Any]]]) -> list[int]:
    """Posts every (proxy, key, body) at once over a few connections; statuses by job.

    As clients do, each tries again while the ledger is too slow to say: 503, and nothing was sent.
    """
    gate = asyncio.Semaphore(32)

    async def one(http: aiohttp.ClientSession, job: tuple[int, str, dict[str, Any]]) -> int:
        number, key, body = job
        headers = {"authorization": f"Bearer {SUPPORT}", "Idempotency-Key": key}
        url = pair.proxies[number].url + CHAT
        deadline = time.monotonic() + 120
        while True:
            async with gate, http.post(url, json=body, headers=headers) as answer:
                await answer.read()
            if answer.status != 503:
                return answer.status
            assert time.monotonic() < deadline

    async with aiohttp.ClientSession() as http:
        return await asyncio.gather(*(one(http, job) for job in jobs))


async def test_of_two_proxies_that_race_for_a_key_one_dispatches(pair: Fleet) -> None:
    seen, billed = pair.simulator.seen(), len(pair.simulator.bill())
    keys = [new_key() for _ in range(200)]
    jobs = [(number, key, BODY) for key in keys for number in (0, 1)]
    statuses = await _clients(pair, jobs)
    assert sorted(statuses) == [200] * 200 + [409] * 200
    assert all(sorted(statuses[at : at + 2]) == [200, 409] for at in range(0, 400, 2))
    assert pair.simulator.seen() == seen + 200
    assert len(pair.simulator.bill()) == billed + 200


async def test_with_a_third_of_all_requests_repeated_none_is_billed_twice(pair: Fleet) -> None:
    """Clients repeat while the first is under way or after a failure, at either proxy."""
    chance = random.Random(7)
    pair.simulator.behave({"status": 503, "probability": 0.3})
    waiting = {new_key(): BODY | {"seed": number} for number in range(300)}
    before, served = len(pair.simulator.bill()), 0
    while waiting:
        jobs = [
            (chance.randrange(2), key, body)
            for key, body in waiting.items()
            for _ in range(2 if chance.random() < 0.3 else 1)
        ]
        chance.shuffle(jobs)
        for (_, key, _), status in zip(jobs, await _clients(pair, jobs), strict=True):
            assert status in (200, 409, 502)
            if status == 200:
                served += 1
                del waiting[key]  # a second 200 for one key would fail here
    assert served == 300
    assert len(pair.simulator.bill()) == before + 300


def test_the_digest_covers_all_that_is_asked() -> None:
    """Two requests are the same only if nothing that governs them differs."""

    def digest(body: dict[str, Any], headers: dict[str, str], declared: dict[str, str]) -> bytes:
        return request_digest(CHAT_SURFACE.parse(dict(body), {}), headers, declared)

    same = digest(BODY, {}, {})
    assert digest(dict(reversed(BODY.items())), {"user-agent": "x"}, {}) == same
    others = [
        digest(BODY | {"n": 1}, {}, {}),
        digest(BODY | {"metadata": {"x-signalbox-task": "t"}}, {}, {}),
        digest(BODY, {"anthropic-beta": "a"}, {}),
        digest(BODY, {}, {"x-signalbox-session": "s"}),
    ]
    assert len({same, *others}) == 5
