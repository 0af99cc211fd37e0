"""Requests of a session through the real proxy: cache points, what is read, what is charged."""

import json
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import anthropic
import openai
import pytest

from support.market import Market

GUIDE = "Answer as the house's guide says, in two sentences, and name your sources. " * 500
"""About 8,000 tokens: more than any provider needs to keep a prompt."""

TOOL = {"type": "object", "properties": {"isin": {"type": "string"}}, "required": ["isin"]}
BUSY = {"host": "api.anthropic.com", "status": 529}
CLIENTS = ("chat", "messages", "responses")


class Talker:
    """One session of one agent; each way of asking gives the run's document."""

    def __init__(self, market: Market, agent: str, session: str, stack: ExitStack) -> None:
        key = self._key = market.key(agent)
        headers = {"x-signalbox-session": session} if session else {}
        self._market = market
        self._chat = stack.enter_context(
            openai.OpenAI(
                base_url=market.openai_url, api_key=key, max_retries=0, default_headers=headers
            )
        )
        self._messages = stack.enter_context(
            anthropic.Anthropic(
                base_url=market.url, api_key=key, max_retries=0, default_headers=headers
            )
        )

    def ask(
        self, client: str, model: str, question: str, guide: str = GUIDE, **more: Any
    ) -> dict[str, Any]:
        """One request with the long guide as its system prompt."""
        said: list[Any] = [{"role": "user", "content": question}]
        system: list[Any] = [{"role": "system", "content": guide}]
        asked: dict[str, Any] = {"model": model} | more
        if client == "messages":
            asked = {"max_tokens": 40, "system": guide, "messages": said} | asked
            answer: Any = self._messages.messages.with_raw_response.create(**asked)
        elif client == "responses":
            asked = {"max_output_tokens": 40, "instructions": guide, "input": question} | asked
            answer = self._chat.responses.with_raw_response.create(**asked)
        else:
            asked = {"max_completion_tokens": 40, "messages": system + said} | asked
            answer = self._chat.chat.completions.with_raw_response.create(**asked)
        return self.run(answer.headers["x-signalbox-run-id"])

    def count(self, model: str, question: str) -> None:
        """Counts a request's tokens."""
        said: Any = [{"role": "user", "content": question}]
        answer = self._messages.messages.with_raw_response.count_tokens(model=model, messages=said)
        self.run(answer.headers["x-signalbox-run-id"])

    def run(self, run_id: str) -> dict[str, Any]:
        """The run, once its attempts are found to cost what the provider billed for them."""
        for attempt in self._market.attempts_of([run_id]):
            attempt.assert_right()
        request = urllib.request.Request(
            f"{self._market.url}/signalbox/v1/runs/{run_id}",
            headers={"Authorization": f"Bearer {self._key}"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            return dict(json.load(answer))


@contextmanager
def talking(market: Market, agent: str, session: str) -> Iterator[Talker]:
    with ExitStack() as stack:
        yield Talker(market, agent, session, stack)


def usage(run: dict[str, Any]) -> dict[str, int]:
    """Tokens of the attempt that answered, by meter."""
    return {charge["meter"]: charge["quantity"] for charge in run["charges"]}


def lane_of(run: dict[str, Any]) -> str:
    return str(run["lane"])


@pytest.mark.parametrize("wire", ["anthropic", "bedrock"])
@pytest.mark.parametrize("client", CLIENTS)
def test_the_second_request_reads_what_the_first_one_wrote_and_is_charged_what_is_billed(
    market: Market, client: str, wire: str
) -> None:
    with talking(market, "placer", f"{client}-{wire}") as talker:
        question = f"What is a {client} bond at {wire}?"
        first = talker.ask(client, wire, question)
        second = talker.ask(client, wire, question + " Again.")
    written = usage(first).get("cache_write_5m", 0) + usage(first).get("cached_input", 0)
    assert written > 4096
    assert usage(second)["cached_input"] == written
    assert "cache_write_5m" not in usage(second)
    assert [each["wire_format"] for each in second["attempts"]] == [wire]
    (line,) = [each for each in second["charges"] if each["meter"] == "cached_input"]
    saved = float(line["cache_saving_usd"])
    assert saved == pytest.approx(written * 0.9e-6), "reading costs a tenth of the input's price"


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("wire", ["anthropic", "bedrock"])
def test_without_a_policy_nothing_is_placed(market: Market, client: str, wire: str) -> None:
    with talking(market, "other", "") as talker:
        for _ in range(2):
            run = talker.ask(client, wire, "What is a bond?")
            assert not {"cache_write_5m", "cached_input"} & set(usage(run))


def test_a_hold_covers_the_write_that_a_placed_point_may_cause(market: Market) -> None:
    with talking(market, "placer", "") as placer, talking(market, "other", "") as other:
        placed = placer.ask("messages", "anthropic", "What is held?")
        plain = other.ask("messages", "anthropic", "What is held?")
    held = [float(run["attempts"][0]["bound_usd"]) for run in (placed, plain)]
    assert held[0] > held[1] * 1.2
    assert placed["decision"]["prompt_caching"] == "Place"
    assert placed["decision"]["acceptable"][0]["cache_points"] == "placed"


def test_points_of_the_client_s_own_stand_as_they_are(market: Market) -> None:
    guide = f"Mind the hour. {GUIDE}"
    marked = [{"type": "text", "text": guide, "cache_control": {"type": "ephemeral", "ttl": "1h"}}]
    with talking(market, "placer", "own") as talker:
        run = talker.ask("messages", "anthropic", "An hour, please.", system=marked)
    assert usage(run)["cache_write_1h"] > 4096
    assert "cache_write_5m" not in usage(run)


@pytest.mark.parametrize("wire", ["anthropic", "bedrock"])
def test_points_are_taken_out_where_the_policy_says_so(market: Market, wire: str) -> None:
    point = {"type": "ephemeral"}
    asked = {
        "system": [{"type": "text", "text": GUIDE, "cache_control": point}],
        "tools": [{"name": "price", "input_schema": TOOL, "cache_control": point}],
    }
    with talking(market, "bare", "none") as talker:
        for _ in range(2):
            run = talker.ask("messages", wire, "What is a bond?", **asked)
            assert not {"cache_write_5m", "cached_input"} & set(usage(run))


def test_a_model_that_caches_nothing_is_sent_no_points(market: Market) -> None:
    with talking(market, "placer", "uncached") as talker:
        run = talker.ask("chat", "uncached", "What is a bond?")
    assert run["outcome"] in ("answered", "incomplete")
    assert "cache_write_5m" not in usage(run)


def test_a_session_goes_back_to_the_lane_that_holds_its_cache(market: Market) -> None:
    with talking(market, "placer", "drawn") as talker, talking(market, "placer", "new") as new:
        market.behave(BUSY)
        first = talker.ask("messages", "twins", "What is a bond?")
        assert lane_of(first) == "bedrock"
        market.behave()
        second = talker.ask("messages", "twins", "And a share?")
        assert lane_of(second) == "bedrock"
        assert usage(second)["cached_input"] > 4096
        decision = second["decision"]
        assert decision["acceptable"][0]["cached_tokens"] > 4096
        assert decision["best_without_cache"] == "signalbox-system/twins/anthropic"
        assert lane_of(new.ask("messages", "twins", "And a share?")) == "anthropic"


def test_a_count_or_a_short_question_in_between_takes_no_cache_away(market: Market) -> None:
    with talking(market, "placer", "aside") as talker:
        talker.ask("messages", "anthropic", "What is a loan?")
        talker.count("anthropic", "What is a loan?")
        aside = talker.ask("messages", "anthropic", "A title, please.", "Be brief.")
        again = talker.ask("messages", "anthropic", "And a lease?")
    assert not {"cache_write_5m", "cached_input"} & set(usage(aside))
    assert usage(again)["cached_input"] > 4096
    assert again["decision"]["acceptable"][0]["cached_tokens"] > 4096


def test_two_domains_never_meet_under_one_cache_key(market: Market) -> None:
    """The provider keeps prompts by key: the second domain's request finds nothing kept."""
    asked = {"prompt_cache_key": "the-same"}
    with talking(market, "other", "") as shop, talking(market, "banker", "") as bank:
        question = "What do two domains share?"
        shop.ask("chat", "openai", question, **asked)
        again = shop.ask("chat", "openai", question, **asked)
        theirs = bank.ask("chat", "openai", question, **asked)
    assert usage(again)["cached_input"] > 1024
    assert "cached_input" not in usage(theirs)


@pytest.mark.parametrize("client", CLIENTS)
def test_placing_gives_each_domain_a_key_of_its_own(market: Market, client: str) -> None:
    with talking(market, "placer", "") as shop, talking(market, "banker", "") as bank:
        asked = (client, "openai", "What is a domain?", f"You serve {client}. {GUIDE}")
        shop.ask(*asked)
        again = shop.ask(*asked)
        theirs = bank.ask(*asked)
        back = bank.ask(*asked)
    assert usage(again)["cached_input"] > 1024
    assert "cached_input" not in usage(theirs)
    assert usage(back)["cached_input"] > 1024
