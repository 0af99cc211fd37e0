"""Images through the official client: charged as billed, by the image and by tokens."""

import re
from typing import Any

import openai
import pytest

from support.market import Market

SCENE: dict[str, Any] = {"model": "dall-e-3", "prompt": "A lighthouse in fog, gouache"}


def draw(client: openai.OpenAI, **asked: Any) -> Any:
    return client.images.with_raw_response.generate(**SCENE | asked)


@pytest.mark.parametrize(
    ("asked", "price_usd"),
    [
        ({}, "0.04"),
        ({"size": "1024x1024", "quality": "standard"}, "0.04"),
        ({"size": "1792x1024"}, "0.08"),
        ({"quality": "hd"}, "0.08"),
        ({"size": "1792x1024", "quality": "hd", "n": 1}, "0.12"),
        ({"style": "natural", "response_format": "b64_json", "user": "u-1"}, "0.04"),
    ],
)
def test_an_image_costs_what_its_size_and_quality_do(
    client: openai.OpenAI, market: Market, asked: dict[str, Any], price_usd: str
) -> None:
    raw = draw(client, **asked)
    assert len(raw.parse().data) == 1
    run_id = raw.headers["x-signalbox-run-id"]
    (line,) = market.attempts_of([run_id])
    line.assert_right()
    assert line.cost_nano * 1000 == line.bill_pico, "to the nano-dollar"
    (charge,) = market.run(run_id)["charges"]
    assert (charge["meter"], charge["quantity"]) == ("images", 1)
    assert (charge["price_unit"], charge["usd_per_price_unit"]) == ("Images", price_usd)
    assert raw.headers["x-signalbox-cost-usd"] == price_usd


def test_tokens_told_beside_images_are_no_bill_and_count_in_no_budget(
    client: openai.OpenAI, market: Market
) -> None:
    """An unlooked-for record of tokens is no overrun, and the lane goes on serving."""
    for _ in range(2):
        raw = draw(client)
        assert raw.parse().usage.output_tokens > 0
        run = market.run(raw.headers["x-signalbox-run-id"])
        assert (run["cost_usd"], run["tokens_input"], run["tokens_output"]) == ("0.04", 0, 0)
        (line,) = market.attempts_of([raw.headers["x-signalbox-run-id"]])
        assert (line.settlement, line.host) == ("usage", "api.openai.com")
        line.assert_right()


def test_images_that_are_billed_by_tokens_cost_their_usage(
    client: openai.OpenAI, direct: openai.OpenAI, market: Market
) -> None:
    asked = {"model": "gpt-image-1", "size": "1024x1536", "quality": "medium", "n": 3}
    raw, straight = draw(client, **asked), draw(direct, **asked)
    answer = raw.parse()
    assert [image.b64_json for image in answer.data] == [
        image.b64_json for image in straight.parse().data
    ]
    assert answer.usage == straight.parse().usage
    (line,) = market.attempts_of([raw.headers["x-signalbox-run-id"]])
    line.assert_right()
    assert line.settlement == "usage"
    assert line.cost_nano < line.bound_nano


def test_an_answer_without_its_usage_is_charged_in_full(
    client: openai.OpenAI, market: Market
) -> None:
    market.behave({"omit_usage": True})
    raw = draw(client, model="gpt-image-1", quality="low")
    (line,) = market.attempts_of([raw.headers["x-signalbox-run-id"]])
    assert line.settlement == "full"
    assert line.cost_nano >= 6240 * 40_000, "as many tokens as an image may have"
    line.assert_right()


def test_a_locked_domain_s_images_are_made_inside_and_cost_the_premium(market: Market) -> None:
    with openai.OpenAI(base_url=market.openai_url, api_key=market.key("teller")) as teller:
        run_id = draw(teller).headers["x-signalbox-run-id"]
        with pytest.raises(openai.PermissionDeniedError) as refused:
            draw(teller, model="gpt-image-1")
    (line,) = market.attempts_of([run_id])
    line.assert_right()
    (charge,) = market.run(run_id)["charges"]
    assert line.host == "eu.api.openai.com"
    assert (charge["base_usd"], charge["premium_usd"]) == ("0.04", "0.004")
    assert refused.value.code == "residency"


def test_more_than_is_left_is_refused_with_the_numbers(market: Market) -> None:
    narrow = openai.OpenAI(base_url=market.openai_url, api_key=market.key("narrow"))
    with narrow, pytest.raises(openai.APIStatusError) as refused:
        draw(narrow)
    assert (refused.value.status_code, refused.value.code) == (402, "budget_exhausted")
    told = r"Budget shop/narrow has \$0\.00\d+ left; this request may cost \$0\.04\."
    assert re.search(told, str(refused.value))


@pytest.mark.parametrize(
    ("change", "status", "code", "param"),
    [
        ({"size": "512x512"}, 422, "no_price", "size"),
        ({"quality": "high"}, 422, "no_price", "quality"),
        ({"stream": True}, 422, "no_bound", "stream"),
        ({"model": "gpt-image-1", "partial_images": 2}, 422, "no_bound", "partial_images"),
        ({"extra_body": {"mask": "x"}}, 422, "no_bound", "mask"),
        ({"n": 11}, 400, "invalid_request", "n"),
        ({"n": 2}, 400, "provider_rejected", "n"),
        ({"model": "tts-1"}, 422, "no_capable_lane", "model"),
    ],
)
def test_what_cannot_be_bounded_or_sent_is_refused(
    client: openai.OpenAI, change: dict[str, Any], status: int, code: str, param: str
) -> None:
    with pytest.raises(openai.APIStatusError) as refused:
        draw(client, **change)
    assert (refused.value.status_code, refused.value.code) == (status, code)
    assert refused.value.param == param
