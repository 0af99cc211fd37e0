"""Budgets of tokens and of requests count what they say, once."""

import asyncio
from typing import Any

import openai

from signalbox_ledger import status
from signalbox_proxy.model_request import TokenBound
from signalbox_proxy.quotes import Quote
from signalbox_proxy.runtime import PreparedLane
from support.fleet import Fleet
from support.snapshots import OPENAI, agent, budget, key_of, mini, snapshot

SUPPORT = key_of("retail/support")
HELLO: Any = [{"role": "user", "content": "Say hello to the world."}]


def test_the_bound_in_tokens_is_input_and_output() -> None:
    model = mini()
    (lane, _) = model.lanes
    assert lane.price is not None
    quote = Quote(
        lane=PreparedLane("x", model, lane),
        price=lane.price,
        output_limit=5,
        bound=TokenBound(input=7, output=5),
        worst_nano=11,
        expected_nano=3,
    )
    amounts = [quote.amount(unit) for unit in ("usd", "tokens", "requests")]
    assert amounts == [11, 12, 1]


def served(fleet: Fleet, unit: Any, name: str) -> tuple[dict[str, Any], int]:
    """The run of a request under a budget of that unit, and what the budget settled for it."""
    counted = budget(name, 10**6, unit=unit)
    fleet.push(
        snapshot(
            budgets=[budget("retail/day"), counted, budget("wealth/day")],
            agents=[
                agent("retail/support", budgets=["retail/day", name]),
                agent("wealth/advisor"),
            ],
        )
    )
    with openai.OpenAI(base_url=fleet.openai_url, api_key=SUPPORT, max_retries=0) as client:
        raw = client.chat.completions.with_raw_response.create(model="mini", messages=HELLO)
    run = fleet.run(raw.headers["x-signalbox-run-id"], agent_key=SUPPORT)
    budgets = asyncio.run(status.fetch(fleet.authority.socket)).budgets
    return run, next(each.figures.settled for each in budgets if each.budget == name)


def test_tokens_are_input_and_output(fleet: Fleet) -> None:
    run, settled = served(fleet, "tokens", "retail/tokens")
    assert min(run["tokens_input"], run["tokens_output"]) > 0
    assert settled == run["tokens_input"] + run["tokens_cached"] + run["tokens_output"]


def test_a_request_counts_once_whatever_its_attempts(fleet: Fleet) -> None:
    fleet.simulator.behave({"host": OPENAI, "status": 500})
    run, settled = served(fleet, "requests", "retail/rate")
    assert len(run["attempts"]) == 2
    assert settled == 1
