"""Residency is physics: a request that is locked in never reaches a lane outside, not even when
that lane is the only one alive.

The provider's own traffic counts are the witness: not one request at a host outside the lock.
"""

import asyncio
import json
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest

from support.market import (
    ANTHROPIC,
    COUNTRIES,
    EU_HOSTS,
    OPENAI,
    Market,
)

OUTSIDE = [OPENAI, ANTHROPIC]
ASK = [{"role": "user", "content": "How did my bonds do?"}]
CHAT, MESSAGES, EMBEDDINGS = "/v1/chat/completions", "/v1/messages", "/v1/embeddings"
FAILURES: tuple[dict[str, Any], ...] = (
    {"status": 503},
    {"status": 429},
    {"status": 500, "error_body": "html"},
    {"reset": "before_head"},
    {"reset": "after_head"},
)
LOCKED = [
    *((CHAT, {"model": model, "messages": ASK}) for model in ("gpt-5-mini", "auto", "us-only")),
    (CHAT, {"model": "gpt-5-mini", "messages": ASK, "stream": True}),
    (CHAT, {"model": "auto", "messages": ASK, "stream": True}),
    (CHAT, {"model": "llama", "messages": ASK, "metadata": {"signalbox_task": "inside-first"}}),
    (MESSAGES, {"model": "claude-haiku-4-5", "messages": ASK, "max_tokens": 50}),
    (MESSAGES, {"model": "claude-haiku-4-5", "messages": ASK, "max_tokens": 50, "stream": True}),
    (MESSAGES, {"model": "auto", "messages": ASK, "max_tokens": 50}),
    (EMBEDDINGS, {"model": "text-embedding-3-small", "input": "bonds"}),
]


@pytest.fixture(autouse=True)
def _well_behaved(market: Market) -> Iterator[None]:
    yield
    market.behave()


def post(
    market: Market, agent: str, path: str, body: dict[str, Any], **headers: str
) -> tuple[int, dict[str, Any], str]:
    """Status, error if there is one, and the run."""
    answers = asyncio.run(post_all(market, [(agent, path, body, headers)]))
    return answers[0]


Question = tuple[str, str, dict[str, Any], dict[str, str]]


async def post_all(
    market: Market, questions: list[Question]
) -> list[tuple[int, dict[str, Any], str]]:
    async def one(question: Question) -> tuple[int, dict[str, Any], str]:
        agent, path, body, headers = question
        sent = {"authorization": f"Bearer {market.key(agent)}"}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        async with session.post(market.url + path, json=body, headers=sent) as answer:
            raw = await answer.read()
            error = {} if answer.status == 200 else (await answer.json())["error"]
            del raw
            return answer.status, error, answer.headers["x-signalbox-run-id"]

    timeout = aiohttp.ClientTimeout(total=60)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        return await asyncio.gather(*(one(question) for question in questions))


def code_of(error: dict[str, Any]) -> str:
    return str(error.get("code") or error.get("details", {}).get("error_code"))


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (CHAT, {"model": "us-only", "messages": ASK}),
        (CHAT, {"model": "us-only", "messages": ASK, "stream": True}),
    ],
)
@pytest.mark.parametrize("agent", ["advisor", "teller"])
@pytest.mark.parametrize("pin", ["true", "false"])
def test_a_model_with_no_lane_inside_the_lock_is_refused_before_a_byte_leaves(
    market: Market, path: str, body: dict[str, Any], agent: str, pin: str
) -> None:
    seen = market.requests()
    status, error, run_id = post(market, agent, path, body, x_signalbox_pin=pin)
    assert (status, code_of(error)) == (403, "residency")
    assert "EU" in error["message"] or "DE" in error["message"]
    assert market.requests() == seen
    assert market.attempts_of([run_id]) == []


@pytest.mark.parametrize(("path", "body"), LOCKED)
def test_even_as_the_only_one_alive_a_lane_outside_is_not_tried(
    market: Market, path: str, body: dict[str, Any]
) -> None:
    market.behave(*({"host": host, "status": 503} for host in EU_HOSTS))
    seen = market.requests(OUTSIDE)
    for pin in ("true", "false"):
        status, error, run_id = post(market, "advisor", path, body, x_signalbox_pin=pin)
        assert status in (403, 404, 502), error
        assert code_of(error) in ("residency", "provider_failed", "model_not_found"), error
        for line in market.attempts_of([run_id]):
            assert line.host in ("", *EU_HOSTS)
    assert market.requests(OUTSIDE) == seen, "a lane outside the lock saw a request"


def test_a_data_asset_locks_a_request_of_a_domain_that_is_free(market: Market) -> None:
    seen = market.requests(OUTSIDE)
    body = {"model": "us-only", "messages": ASK}
    told = {"x_signalbox_data_assets": "bank/portfolios"}
    status, error, _ = post(market, "buyer", CHAT, body, **told)
    assert status in (400, 403), error
    assert market.requests(OUTSIDE) == seen
    status, _, run_id = post(market, "advisor", CHAT, {"model": "auto", "messages": ASK})
    assert status == 200
    assert market.run(run_id)["compliance"] == {"compliant": True, "violations": []}


EU = frozenset(COUNTRIES.values()) - {"US"}
DOMAINS = {"advisor": EU, "teller": EU, "clerk": frozenset({"DE", "FR"})}
ASSETS = {"bank/portfolios": EU, "bank/annals": frozenset({"FR", "IE"})}


@dataclass(frozen=True)
class Combination:
    """Which hosts fail how, who asks for what, and the countries that it may reach."""

    rules: tuple[dict[str, Any], ...]
    question: Question
    lock: frozenset[str]

    @property
    def outside(self) -> list[str]:
        return [host for host, country in COUNTRIES.items() if country not in self.lock]


def combinations(count: int, seed: int) -> list[Combination]:
    chance = random.Random(seed)
    made = []
    for _ in range(count):
        failing = chance.sample(sorted(COUNTRIES), chance.randint(0, 5))
        rules = tuple({"host": host, **chance.choice(FAILURES)} for host in failing)
        path, body = chance.choice(LOCKED)
        headers = {"x_signalbox_pin": "true"} if chance.random() < 0.3 else {}
        if chance.random() < 0.3:
            headers["x_signalbox_sensitivity"] = chance.choice(("confidential", "regulated"))
        if path == CHAT and chance.random() < 0.3:
            body = body | {"model": chance.choice(("mistral-small", "llama", "claude-haiku-4-5"))}
        agent = chance.choice(sorted(DOMAINS))
        assets = chance.sample(sorted(ASSETS), chance.choice((0, 0, 1, 2)))
        lock = DOMAINS[agent].intersection(*(ASSETS[asset] for asset in assets))
        if assets:
            headers["x_signalbox_data_assets"] = ",".join(assets)
        made.append(Combination(rules, (agent, path, body, headers), lock))
    return made


def prove(market: Market, count: int, seed: int) -> None:
    told: Counter[str] = Counter()
    locks: dict[str, frozenset[str]] = {}
    for each in combinations(count, seed):
        market.behave(*each.rules)
        seen = market.requests(each.outside)
        ((status, error, run_id),) = asyncio.run(post_all(market, [each.question]))
        assert market.requests(each.outside) == seen, f"outside its lock: {each}"
        assert status in (200, 403, 404, 422, 502, 503), (each, error)
        told[code_of(error) if error else "answered"] += 1
        locks[run_id] = each.lock
    for line in market.attempts_of(locks.keys()):
        assert not line.host or COUNTRIES[line.host] in locks[line.run_id], line
        line.assert_right()
    marks = ",".join("?" * len(locks))
    for run_id, lock, compliant in market.oracle.query(
        f"SELECT run_id, residency_lock, compliant FROM inference_run WHERE run_id IN ({marks})",
        *locks,
    ):
        assert compliant == 1
        assert locks[run_id] == set(json.loads(lock)) & set(COUNTRIES.values())
    assert told["answered"] >= count // 5, told
    assert told["residency"] > 0, told


def test_thirty_combinations_of_failing_lanes_keep_the_lock(market: Market) -> None:
    prove(market, 30, seed=1)


@pytest.mark.proof
def test_two_hundred_combinations_of_failing_lanes_keep_the_lock(market: Market) -> None:
    prove(market, 200, seed=2)
