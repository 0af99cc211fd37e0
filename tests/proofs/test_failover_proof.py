"""Failover: until the first byte another lane may take over, with a hold of its own; what failed is
billed nothing where the provider said so, and in full where nobody knows. Never after that byte.
"""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import aiohttp
import pytest

from support.market import ANTHROPIC, ANTHROPIC_EU, EVERYTHING, MISTRAL, OPENAI, OPENAI_EU, Market

ASK = [{"role": "user", "content": "What is a bond ladder?"}]
CHAT, MESSAGES = "/v1/chat/completions", "/v1/messages"
REQUESTS = [
    (CHAT, {"model": "gpt-5-mini", "messages": ASK}, OPENAI, OPENAI_EU),
    (CHAT, {"model": "gpt-5-mini", "messages": ASK, "stream": True}, OPENAI, OPENAI_EU),
    (
        MESSAGES,
        {"model": "claude-haiku-4-5", "messages": ASK, "max_tokens": 60},
        ANTHROPIC,
        ANTHROPIC_EU,
    ),
    (
        MESSAGES,
        {"model": "claude-haiku-4-5", "messages": ASK, "max_tokens": 60, "stream": True},
        ANTHROPIC,
        ANTHROPIC_EU,
    ),
]


@pytest.fixture(autouse=True)
def _well_behaved(market: Market) -> Iterator[None]:
    yield
    market.behave()


async def ask(market: Market, path: str, body: dict[str, Any]) -> tuple[int, bytes, str]:
    headers = {"authorization": f"Bearer {market.key('buyer')}"}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.post(market.url + path, json=body) as answer,
    ):
        raw = await answer.read()
        return answer.status, raw, answer.headers["x-signalbox-run-id"]


def attempts(market: Market, run_id: str) -> list[dict[str, Any]]:
    """The run's attempts as rows, each checked against the bill."""
    for line in market.attempts_of([run_id]):
        line.assert_right()
    names = ("number", "lane", "outcome", "settlement", "status", "cost_nano_usd", "bound_nano_usd")
    rows = market.oracle.query(
        f"SELECT {', '.join(names)}, holds FROM attempt WHERE run_id = ? ORDER BY number", run_id
    )
    return [dict(zip((*names, "holds"), row, strict=True)) for row in rows]


@pytest.mark.parametrize(("path", "body", "first", "second"), REQUESTS)
@pytest.mark.parametrize("status", [429, 500, 502, 503, 529])
def test_an_error_status_costs_nothing_and_the_next_lane_answers(
    market: Market, path: str, body: dict[str, Any], first: str, second: str, status: int
) -> None:
    market.behave({"host": first, "status": status})
    told, _, run_id = asyncio.run(ask(market, path, body))
    assert told == 200
    failed, answered = attempts(market, run_id)
    assert (failed["lane"], answered["lane"]) == ("us", "eu")
    assert failed["outcome"] == ("throttled" if status in (429, 529) else "error")
    assert (failed["status"], failed["settlement"], failed["cost_nano_usd"]) == (status, "zero", 0)
    assert (answered["outcome"], answered["settlement"]) == ("answered", "usage")
    assert answered["bound_nano_usd"] > failed["bound_nano_usd"], "the premium is held, too"
    for each in (failed, answered):
        parts = [part for part in json.loads(each["holds"]) if part["budget"] == EVERYTHING]
        assert sum(part["amount"] for part in parts) == each["bound_nano_usd"], "a hold of its own"


@pytest.mark.parametrize(("path", "body", "first", "second"), REQUESTS)
@pytest.mark.parametrize("how", ["before_head", "after_head"])
def test_a_reset_before_the_first_byte_is_charged_in_full_and_failed_over(
    market: Market, path: str, body: dict[str, Any], first: str, second: str, how: str
) -> None:
    market.behave({"host": first, "reset": how, "bill": "full"})
    told, _, run_id = asyncio.run(ask(market, path, body))
    assert told == 200
    lost, answered = attempts(market, run_id)
    assert lost["settlement"] == "full"
    assert 0 <= lost["bound_nano_usd"] - lost["cost_nano_usd"] <= 5
    assert answered["settlement"] == "usage"


@pytest.mark.parametrize(("path", "body", "first", "second"), REQUESTS[1::2])
def test_an_answer_that_broke_off_before_its_first_byte_can_be_looked_up_at_the_provider(
    market: Market, path: str, body: dict[str, Any], first: str, second: str
) -> None:
    market.behave({"host": first, "cut_after_chunks": 0})
    told, _, run_id = asyncio.run(ask(market, path, body))
    assert told == 200
    lost, _ = market.attempts_of([run_id])
    assert (lost.settlement, lost.host) == ("full", first)
    assert lost.bill_pico > 0


def test_silence_is_charged_in_full_and_failed_over(market: Market) -> None:
    market.behave({"host": OPENAI, "hang": True, "bill": "full"})
    told, _, run_id = asyncio.run(ask(market, *REQUESTS[0][:2]))
    assert told == 200
    lost, answered = attempts(market, run_id)
    assert (lost["outcome"], lost["settlement"]) == ("timeout", "full")
    assert 0 <= lost["bound_nano_usd"] - lost["cost_nano_usd"] <= 5
    assert answered["settlement"] == "usage"


@pytest.mark.parametrize(("path", "body", "first", "second"), REQUESTS[1::2])
@pytest.mark.parametrize(
    "trouble", [{"cut_after_chunks": 2}, {"error_after_chunks": 2}, {"malformed_after_chunks": 1}]
)
def test_after_the_first_byte_nobody_takes_over(
    market: Market,
    path: str,
    body: dict[str, Any],
    first: str,
    second: str,
    trouble: dict[str, Any],
) -> None:
    market.behave({"host": first, **trouble})
    seen = market.requests([second])
    told, raw, run_id = asyncio.run(ask(market, path, body))
    assert told == 200
    assert len(attempts(market, run_id)) == 1
    assert market.requests([second]) == seen
    if "malformed_after_chunks" not in trouble:
        assert b'"error"' in raw, "the client is told that the answer is not whole"


def test_a_provider_s_own_4xx_is_final(market: Market) -> None:
    market.behave({"host": OPENAI, "status": 400})
    seen = market.requests([OPENAI_EU])
    told, _, run_id = asyncio.run(ask(market, *REQUESTS[0][:2]))
    assert told == 400
    (rejected,) = attempts(market, run_id)
    assert (rejected["outcome"], rejected["settlement"]) == ("rejected", "zero")
    assert market.requests([OPENAI_EU]) == seen


def test_attempts_are_bounded_and_the_last_failure_is_told(market: Market) -> None:
    market.behave({"status": 503})
    told, raw, run_id = asyncio.run(ask(market, CHAT, {"model": "auto", "messages": ASK}))
    assert told == 502
    assert b"provider_failed" in raw
    tried = attempts(market, run_id)
    assert len(tried) == 3
    assert len({(each["lane"], each["bound_nano_usd"]) for each in tried}) == 3
    assert all(each["settlement"] == "zero" for each in tried)


def test_the_dearer_lane_is_priced_as_itself(market: Market) -> None:
    """A policy's candidates fail one after the other; the answer is billed at its own price."""
    market.behave({"host": MISTRAL, "status": 503}, {"host": "vllm.inference.svc", "status": 503})
    told, _, run_id = asyncio.run(ask(market, CHAT, {"model": "auto", "messages": ASK}))
    assert told == 200
    *failed, answered = attempts(market, run_id)
    assert failed or answered
    run = market.run(run_id)
    assert run["cost_usd"]
    assert sum(each["cost_nano_usd"] for each in (*failed, answered)) > 0
