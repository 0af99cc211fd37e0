"""Rankings in the shape of Cohere and Jina: charged by the search or by tokens."""

import re
from typing import Any

import httpx2
import pytest

from support.market import Market

DOCUMENTS = [f"Paragraph {number} about parcels, 关税 and returns." for number in range(120)]


def rank(market: Market, agent: str = "buyer", **asked: Any) -> httpx2.Response:
    body = {"model": "rerank-v3.5", "query": "Who pays duty?", "documents": DOCUMENTS} | asked
    headers = {"authorization": f"Bearer {market.key(agent)}"}
    return httpx2.post(f"{market.url}/v1/rerank", json=body, headers=headers, timeout=30)


def test_searches_are_charged_as_the_provider_counts_them(market: Market) -> None:
    answer = rank(market, top_n=3)
    assert answer.status_code == 200
    assert len(answer.json()["results"]) == 3
    run_id = answer.headers["x-signalbox-run-id"]
    (line,) = market.attempts_of([run_id])
    line.assert_right()
    assert line.cost_nano * 1000 == line.bill_pico, "to the nano-dollar"
    run = market.run(run_id)
    (charge,) = run["charges"]
    assert (charge["meter"], charge["quantity"]) == ("searches", 2)
    assert (charge["price_unit"], charge["cost_usd"]) == ("1000 Searches", "0.004")
    assert run["eval_score"] == "1"


def test_long_documents_are_held_by_their_bytes_and_charged_as_told(market: Market) -> None:
    answer = rank(market, documents=["A long clause. " * 600] * 60)
    (line,) = market.attempts_of([answer.headers["x-signalbox-run-id"]])
    line.assert_right()
    assert line.cost_nano < line.bound_nano
    less = rank(market, documents=["A long clause. " * 600] * 60, max_tokens_per_doc=400)
    (short,) = market.attempts_of([less.headers["x-signalbox-run-id"]])
    short.assert_right()
    assert short.bound_nano < line.bound_nano


def test_a_server_that_bills_tokens_is_charged_by_its_usage(market: Market) -> None:
    documents = [*DOCUMENTS[:5], {"text": "An object is a document too."}]
    answer = rank(market, model="jina-reranker", documents=documents, return_documents=False)
    run_id = answer.headers["x-signalbox-run-id"]
    (line,) = market.attempts_of([run_id])
    line.assert_right()
    (charge,) = market.run(run_id)["charges"]
    assert charge["meter"] == "input"


def test_an_answer_that_does_not_say_what_it_billed_is_charged_in_full(market: Market) -> None:
    market.behave({"omit_usage": True})
    answer = rank(market)
    (line,) = market.attempts_of([answer.headers["x-signalbox-run-id"]])
    assert (line.settlement, line.cost_nano) == ("full", line.bound_nano)
    line.assert_right()


def test_a_locked_domain_ranks_inside_its_lock(market: Market) -> None:
    assert rank(market, "teller", model="jina-reranker").status_code == 200
    refused = rank(market, "teller")
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "residency")
    assert refused.json()["message"].startswith(refused.json()["error"]["message"][:40])


def test_more_than_is_left_is_refused_with_the_numbers(market: Market) -> None:
    refused = rank(market, "narrow")
    assert (refused.status_code, refused.json()["error"]["code"]) == (402, "budget_exhausted")
    told = r"Budget shop/narrow has \$0\.00\d+ left; this request may cost \$0\.004\."
    assert re.search(told, refused.json()["message"])


@pytest.mark.parametrize(
    ("change", "status", "code", "param"),
    [
        ({"documents": []}, 400, "invalid_request", "documents"),
        ({"documents": ["a"] * 1001}, 400, "invalid_request", "documents"),
        ({"documents": [{"text": "a", "url": "b"}]}, 422, "no_bound", "documents[0].url"),
        ({"rank_fields": ["a"]}, 422, "no_bound", "rank_fields"),
        ({"truncation": True}, 422, "no_bound", "truncation"),
        ({"model": "gpt-5-mini"}, 422, "no_capable_lane", "model"),
        ({"documents": [{"text": "a"}]}, 400, "provider_rejected", "documents[0]"),
    ],
)
def test_what_cannot_be_bounded_or_sent_is_refused(
    market: Market, change: dict[str, Any], status: int, code: str, param: str
) -> None:
    refused = rank(market, **change)
    error = refused.json()["error"]
    assert (refused.status_code, error["code"]) == (status, code)
    if code != "provider_rejected":
        assert error["param"] == param
