"""Every refusal arrives as the SDK's own exception, says why, and is not asked again in vain."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import anthropic
import openai
import pytest

from support.market import ANTHROPIC, OPENAI, Market
from support.oracle import eventually

ASK: list[Any] = [{"role": "user", "content": "What is a bond ladder?"}]
CLAUDE = "claude-haiku-4-5"
HUGE: list[Any] = [{"role": "user", "content": "x" * (10 * 2**20)}]


@dataclass(frozen=True)
class Case:
    """One refusal: who asks what, and what the two SDKs make of it."""

    code: str
    status: int
    openai_type: type[openai.APIStatusError]
    anthropic_type: type[anthropic.APIStatusError]
    agent: str = "buyer"
    fields: dict[str, Any] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    both: bool = True

    def __str__(self) -> str:
        return f"{self.status}-{self.code}"


CASES = [
    Case("unauthorized", 401, openai.AuthenticationError, anthropic.AuthenticationError, "nobody"),
    Case("budget_exhausted", 402, openai.APIStatusError, anthropic.PaymentRequiredError, "poor"),
    Case(
        "model_not_permitted",
        403,
        openai.PermissionDeniedError,
        anthropic.PermissionDeniedError,
        "barred",
    ),
    Case(
        "sensitivity_not_permitted",
        403,
        openai.PermissionDeniedError,
        anthropic.PermissionDeniedError,
        headers={"x-signalbox-sensitivity": "regulated"},
        agent="meek",
    ),
    Case(
        "model_not_found",
        404,
        openai.NotFoundError,
        anthropic.NotFoundError,
        fields={"model": "gpt-99"},
    ),
    Case(
        "unknown_data_asset",
        400,
        openai.BadRequestError,
        anthropic.BadRequestError,
        headers={"x-signalbox-data-assets": "shop/none"},
    ),
    Case(
        "no_bound",
        422,
        openai.UnprocessableEntityError,
        anthropic.UnprocessableEntityError,
        fields={"extra_body": {"speculation": 9}},
    ),
    Case(
        "invalid_request",
        400,
        openai.BadRequestError,
        anthropic.BadRequestError,
        fields={"max_tokens": -1},
    ),
    Case(
        "too_large",
        413,
        openai.APIStatusError,
        anthropic.RequestTooLargeError,
        fields={"messages": HUGE},
    ),
    Case(
        "residency",
        403,
        openai.PermissionDeniedError,
        anthropic.PermissionDeniedError,
        "advisor",
        fields={"model": "us-only"},
    ),
]


def key(market: Market, agent: str) -> str:
    return market.company.keys.get(agent, "sb-shop.nobody.c2VjcmV0LXNlY3JldC1zZWNyZXQ")


@contextmanager
def openai_client(market: Market, agent: str, **options: Any) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=market.openai_url, api_key=key(market, agent), **options) as made:
        yield made


@contextmanager
def anthropic_client(market: Market, agent: str, **options: Any) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=market.url, api_key=key(market, agent), **options) as made:
        yield made


def once(response: Any) -> None:
    """The SDK did not ask again, as it was told."""
    assert response.headers["x-should-retry"] == "false"
    assert response.request.headers["x-stainless-retry-count"] == "0"


@pytest.mark.parametrize("case", CASES, ids=str)
def test_openai_s_client_raises_its_own_exception(market: Market, case: Case) -> None:
    seen = market.requests()
    request = {"model": "gpt-5-mini", "messages": ASK} | case.fields
    with (
        openai_client(market, case.agent) as client,
        pytest.raises(case.openai_type) as caught,
    ):
        client.chat.completions.create(**request, extra_headers=case.headers)
    error = caught.value
    assert type(error) is case.openai_type
    assert error.status_code == case.status
    assert error.code == case.code
    assert error.message
    assert case.status == 401 or (error.request_id or "").startswith("r_")
    once(error.response)
    assert market.requests() == seen, "the provider saw a request that was refused"


@pytest.mark.parametrize("case", CASES, ids=str)
def test_anthropic_s_client_raises_its_own_exception(market: Market, case: Case) -> None:
    seen = market.requests()
    request = {"model": CLAUDE, "messages": ASK, "max_tokens": 99} | case.fields
    with (
        anthropic_client(market, case.agent) as client,
        pytest.raises(case.anthropic_type) as caught,
    ):
        client.messages.create(**request, extra_headers=case.headers)
    error = caught.value
    assert error.status_code == case.status
    assert error.error_code == case.code
    assert error.api_message
    assert case.status == 401 or (error.request_id or "").startswith("r_")
    once(error.response)
    assert market.requests() == seen, "the provider saw a request that was refused"


def test_a_rate_limit_beyond_a_minute_is_not_asked_again(market: Market) -> None:
    def refused() -> openai.RateLimitError | None:
        """The second request of an hour, were it also the first of the next."""
        try:
            client.chat.completions.create(model="gpt-5-mini", messages=ASK)
        except openai.RateLimitError as error:
            return error
        return None

    with openai_client(market, "counted") as client:
        error = refused() or refused() or refused()
    assert error is not None
    assert error.code == "rate_limited"
    assert error.status_code == 429
    if "retry-after" not in error.response.headers:
        once(error.response)
    with (
        anthropic_client(market, "counted", max_retries=0) as claude,
        pytest.raises(anthropic.RateLimitError) as caught,
    ):
        claude.messages.create(model=CLAUDE, max_tokens=9, messages=ASK)
    assert caught.value.error_code == "rate_limited"


def while_holding(market: Market, host: str, ask: Callable[[str], object]) -> None:
    """Runs `ask` in a thread until the provider has its request, then again beside it: for longer
    where a busy machine lets the first one end before that."""
    for slow_ms in (2900, 5000, 7500):
        seen = market.requests([host])
        thread = threading.Thread(target=ask, args=(f"[[slow {slow_ms}]] Hold on",))
        thread.start()
        try:
            eventually(
                lambda seen=seen: market.requests([host]) > seen,
                what="the slow request is under way",
            )
            ask("Me, too")
        finally:
            thread.join()


def test_money_that_is_only_held_is_worth_another_try(market: Market) -> None:
    def ask(text: str) -> None:
        client.chat.completions.create(
            model="gpt-5-mini",
            messages=[{"role": "user", "content": text}],
            max_completion_tokens=1200,
        )

    with (
        openai_client(market, "narrow", max_retries=0) as client,
        pytest.raises(openai.InternalServerError) as caught,
    ):
        while_holding(market, OPENAI, ask)
    assert caught.value.code == "budget_held"
    assert caught.value.status_code == 503
    assert 0 < int(caught.value.response.headers["retry-after"]) <= 60
    assert "x-should-retry" not in caught.value.response.headers


def test_money_that_is_only_held_is_worth_another_try_with_anthropic_s_client(
    market: Market,
) -> None:
    def ask(text: str) -> None:
        client.messages.create(
            model=CLAUDE, max_tokens=220, messages=[{"role": "user", "content": text}]
        )

    with (
        anthropic_client(market, "thin", max_retries=0) as client,
        pytest.raises(anthropic.ServiceUnavailableError) as caught,
    ):
        while_holding(market, ANTHROPIC, ask)
    assert caught.value.error_code == "budget_held"
    assert 0 < int(caught.value.response.headers["retry-after"]) <= 60


def test_a_provider_that_refuses_is_quoted_in_the_client_s_shape(
    market: Market, client: openai.OpenAI, claude: anthropic.Anthropic
) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(
            model="gpt-5-mini", messages=ASK, temperature=0.3
        )  # a reasoning model has a fixed temperature
    assert caught.value.code == "provider_rejected"
    assert "temperature" in caught.value.message
    assert caught.value.param == "temperature"
    once(caught.value.response)
    with pytest.raises(anthropic.BadRequestError) as refused:
        claude.messages.create(
            model=CLAUDE,
            max_tokens=9,
            messages=[{"role": "user", "content": [{"type": "tool_result", "tool_use_id": "x"}]}],
        )
    assert refused.value.error_code == "provider_rejected"
    once(refused.value.response)


@pytest.mark.parametrize(("status", "told"), [(500, 502), (503, 502), (429, 502)])
def test_a_provider_that_fails_everywhere_is_a_server_error(
    market: Market, status: int, told: int
) -> None:
    market.behave({"status": status})
    with openai_client(market, "buyer", max_retries=0) as client:
        with pytest.raises(openai.InternalServerError) as caught:
            client.chat.completions.create(model="gpt-5-mini", messages=ASK)
        assert caught.value.status_code == told
        assert caught.value.code == "provider_failed"
    with anthropic_client(market, "buyer", max_retries=0) as claude:
        with pytest.raises(anthropic.InternalServerError) as failed:
            claude.messages.create(model=CLAUDE, max_tokens=9, messages=ASK)
        assert failed.value.error_code == "provider_failed"


def test_a_stream_that_breaks_off_raises_instead_of_ending_short(
    market: Market, client: openai.OpenAI, claude: anthropic.Anthropic
) -> None:
    market.behave({"cut_after_chunks": 3})
    with (
        pytest.raises(openai.APIError, match="broke off"),
        client.chat.completions.create(model="gpt-5-mini", messages=ASK, stream=True) as stream,
    ):
        for _ in stream:
            pass
    with (
        pytest.raises(anthropic.APIStatusError, match="broke off"),
        claude.messages.stream(model=CLAUDE, max_tokens=99, messages=ASK) as events,
    ):
        for _ in events:
            pass


def test_a_path_that_is_not_governed_passes_nothing(market: Market, client: openai.OpenAI) -> None:
    seen = market.requests()
    with pytest.raises(openai.NotFoundError) as caught:
        client.moderations.create(input="x")
    assert caught.value.code == "surface_not_governed"
    once(caught.value.response)
    assert market.requests() == seen


async def test_async_clients_raise_the_same(market: Market) -> None:
    async with (
        openai.AsyncOpenAI(base_url=market.openai_url, api_key=key(market, "poor")) as client,
        anthropic.AsyncAnthropic(base_url=market.url, api_key=key(market, "poor")) as claude,
    ):
        with pytest.raises(openai.APIStatusError) as broke:
            await client.chat.completions.create(model="gpt-5-mini", messages=ASK)
        with pytest.raises(anthropic.PaymentRequiredError) as broke_too:
            await claude.messages.create(model=CLAUDE, max_tokens=9, messages=ASK)
    assert broke.value.code == broke_too.value.error_code == "budget_exhausted"


async def test_a_caller_that_gives_up_is_an_error_of_its_own_only(market: Market) -> None:
    async with openai.AsyncOpenAI(
        base_url=market.openai_url, api_key=key(market, "buyer"), max_retries=0
    ) as client:
        with pytest.raises(openai.APITimeoutError):
            await client.chat.completions.create(
                model="gpt-5-mini",
                messages=[{"role": "user", "content": "[[slow 5000]] Too slow"}],
                timeout=0.3,
            )
        await asyncio.sleep(0)
        answer = await client.chat.completions.create(model="gpt-5-mini", messages=ASK)
    assert answer.choices
