"""Tokens are counted through Signalbox as at the provider, under the same rules, for nothing."""

from typing import Any

import anthropic
import pytest

from support.market import ANTHROPIC, Market

ASK: list[Any] = [{"role": "user", "content": "What is a bond ladder?"}]
CLAUDE = "claude-haiku-4-5"


def counted(client: anthropic.Anthropic, model: str = CLAUDE, **request: Any) -> Any:
    """The count and the headers that it came with."""
    asked = {"model": model, "messages": ASK} | request
    raw = client.messages.with_raw_response.count_tokens(**asked)
    return raw.parse().input_tokens, raw.headers


def test_a_count_is_the_provider_s_own(
    claude: anthropic.Anthropic, direct_claude: anthropic.Anthropic
) -> None:
    tools = [{"name": "quote", "input_schema": {"type": "object"}}]
    for request in (
        {},
        {"system": "Be brief.", "tools": tools, "tool_choice": {"type": "any"}},
        {"thinking": {"type": "enabled", "budget_tokens": 2048}},
    ):
        assert counted(claude, **request)[0] == counted(direct_claude, **request)[0]


def test_a_count_is_what_the_message_is_billed_for(claude: anthropic.Anthropic) -> None:
    message = claude.messages.create(model=CLAUDE, max_tokens=20, messages=ASK)
    assert counted(claude)[0] == message.usage.input_tokens


def test_a_count_costs_nothing_and_leaves_a_run_with_its_lane(
    claude: anthropic.Anthropic, market: Market
) -> None:
    billed = market.stats()[ANTHROPIC]["billed"]
    _, headers = counted(claude)
    assert "x-signalbox-counted-by" not in headers
    (attempt,) = market.attempts_of([headers["x-signalbox-run-id"]])
    assert (attempt.outcome, attempt.cost_nano) == ("answered", 0)
    run = market.run(headers["x-signalbox-run-id"])
    assert run["surface"] == "count_tokens"
    assert run["outcome"] == "answered"
    assert market.stats()[ANTHROPIC]["billed"] == billed


def test_a_model_of_another_format_is_counted_here_and_that_is_said(
    claude: anthropic.Anthropic, market: Market
) -> None:
    seen = market.requests()
    tokens, headers = counted(claude, "gpt-5-mini")
    assert headers["x-signalbox-counted-by"] == "o200k tokenizer"
    assert 6 <= tokens <= 20
    assert market.requests() == seen
    assert market.attempts_of([headers["x-signalbox-run-id"]]) == []


def test_a_count_that_is_sent_is_a_request_to_who_limits_requests(market: Market) -> None:
    """The agent has one an hour. A count that nobody is asked for is none."""
    with anthropic.Anthropic(
        base_url=market.url, api_key=market.key("token-counter"), max_retries=0
    ) as client:
        for _ in range(2):
            assert "x-signalbox-counted-by" in counted(client, "gpt-5-mini")[1]
        _, headers = counted(client)
        seen = market.requests()
        with pytest.raises(anthropic.RateLimitError, match="token-counter") as refused:
            counted(client)
        with pytest.raises(anthropic.RateLimitError):
            client.messages.create(model=CLAUDE, max_tokens=10, messages=ASK)
    assert market.requests() == seen
    assert market.run(headers["x-signalbox-run-id"])["cost_usd"] == "0.00"
    refusal = market.run(refused.value.response.headers["x-signalbox-run-id"])
    assert (refusal["outcome"], refusal["refusal"]["code"]) == ("refused", "rate_limited")


def test_a_prompt_that_may_not_leave_is_not_sent_to_be_counted(market: Market) -> None:
    seen = market.requests()
    with anthropic.Anthropic(base_url=market.url, api_key=market.key("teller")) as client:
        with pytest.raises(anthropic.APIStatusError) as caught:
            counted(client, "us-only")
        assert "residency" in str(caught.value)
    with (
        anthropic.Anthropic(base_url=market.url, api_key=market.key("barred")) as client,
        pytest.raises(anthropic.PermissionDeniedError, match="model_not_permitted"),
    ):
        counted(client)
    assert market.requests() == seen


def test_what_no_count_takes_is_refused_by_name(claude: anthropic.Anthropic) -> None:
    with pytest.raises(anthropic.APIStatusError, match="max_tokens"):
        counted(claude, extra_body={"max_tokens": 5})
