"""Who leaves has been served: a cut stream is charged what the provider billed for it, or more
where the provider's usage record was lost, never less; and nothing stays held.

Clients leave at seeded byte offsets, read slowly, and the provider misbehaves at the same time.
The short form makes 30 visits, the long one 300.
"""

import asyncio
from collections import Counter

import pytest

from support.leaving import Visit, chat, visit, visits
from support.market import Market
from support.oracle import AttemptLine, eventually

AT_ONCE = 12


async def all_visits(market: Market, plans: list[Visit]) -> list[bytes]:
    room = asyncio.Semaphore(AT_ONCE)
    key = market.key("leaver")

    async def one(plan: Visit) -> bytes:
        async with room, asyncio.timeout(90):
            return await visit(market.running.port, key, plan)

    return await asyncio.gather(*(one(plan) for plan in plans))


def prove(market: Market, count: int, seed: int) -> Counter[str]:
    already, billed = market.runs("shop/leaver"), len(market.oracle.bill())
    asyncio.run(all_visits(market, visits(count, seed)))
    market.settled(within_s=60)
    # A client that left before its request was read may leave no run: then nothing was sent.
    assert already + count * 9 // 10 <= market.runs("shop/leaver") <= already + count
    lines = market.oracle.attempts("shop/leaver")
    for line in lines:
        line.assert_right()
    known = {line.request_id for line in lines}
    stray = [each for each in market.oracle.bill()[billed:] if each["request_id"] not in known]
    assert stray == [], "the provider billed what no attempt tells of"
    assert market.overruns() == set()
    return Counter(f"{line.outcome} {line.settlement}" for line in lines)


def test_thirty_visits_are_charged_what_was_billed(market: Market) -> None:
    found = prove(market, 30, seed=1)
    assert found["answered usage"] >= 10


@pytest.mark.proof
@pytest.mark.parametrize("seed", range(2, 5))
def test_a_hundred_visits_are_charged_what_was_billed(market: Market, seed: int) -> None:
    found = prove(market, 100, seed)
    assert found["answered usage"] >= 40
    assert found["answered full"] + found["cut full"] >= 5


def one(market: Market, text: str, *, until: int | None, model: str = "gpt-5-mini") -> AttemptLine:
    """The last attempt of a single visit, once it is recorded."""
    already = market.runs("shop/leaver")
    path, fields = "/v1/chat/completions", {}
    if model.startswith("claude"):
        path, fields = "/v1/messages", {"max_tokens": 300}
    plan = Visit(path, chat(model, text, **fields), until)
    asyncio.run(visit(market.running.port, market.key("leaver"), plan))
    eventually(lambda: market.runs("shop/leaver") > already, what="the run is recorded")
    return market.oracle.attempts("shop/leaver")[-1]


@pytest.mark.parametrize("model", ["gpt-5-mini", "claude-haiku-4-5"])
@pytest.mark.parametrize("until", [0, 1, 2500])
def test_a_client_that_leaves_pays_for_what_was_generated(
    market: Market, model: str, until: int
) -> None:
    line = one(market, "[[tokens 200]] [[chunk 3]] Leaving", until=until, model=model)
    assert (line.outcome, line.settlement) == ("answered", "usage")
    assert line.bill_pico > 0
    line.assert_right()


@pytest.mark.parametrize("model", ["gpt-5-mini", "claude-haiku-4-5"])
@pytest.mark.parametrize("trouble", ["omit-usage", "cut 4", "error 4", "malformed 4"])
def test_a_usage_record_that_never_came_is_charged_in_full(
    market: Market, model: str, trouble: str
) -> None:
    line = one(market, f"[[tokens 60]] [[{trouble}]] Hello", until=None, model=model)
    line.assert_right()
    if line.settlement != "usage":  # Anthropic tells its input first: nothing is lost with an error
        assert line.settlement == "full"
        assert 0 <= line.bound_nano - line.cost_nano <= 5  # a nano-USD for each line that may be
        kinds = market.oracle.query(
            "SELECT DISTINCT kind FROM charge_record WHERE run_id = ?", line.run_id
        )
        assert kinds == [("unknown",)]
