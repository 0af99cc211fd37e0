"""Speech through the official client: the sound is the provider's, the charge is its bill."""

from typing import Any

import httpx2
import openai
import pytest

from support.market import Market

TEXT = "Good morning. Your parcel arrives between nine and ten: naïve, façade, 漢字 and 😀."


def speak(client: openai.OpenAI, **asked: Any) -> Any:
    request: dict[str, Any] = {"model": "tts-1", "voice": "alloy", "input": TEXT}
    return client.audio.speech.with_raw_response.create(**request | asked)


def test_the_sound_is_the_provider_s_own_and_charged_by_the_character(
    client: openai.OpenAI, direct: openai.OpenAI, market: Market
) -> None:
    through, straight = speak(client), speak(direct)
    assert through.content == straight.content
    assert through.headers["content-type"] == straight.headers["content-type"] == "audio/mpeg"
    run_id = through.headers["x-signalbox-run-id"]
    (line,) = market.attempts_of([run_id])
    line.assert_right()
    run = market.run(run_id)
    (charge,) = run["charges"]
    assert (charge["meter"], charge["quantity"]) == ("characters", len(TEXT))
    assert (charge["price_unit"], charge["usd_per_price_unit"]) == ("1000000 Characters", "15.00")
    assert line.cost_nano == line.bound_nano == len(TEXT) * 15_000
    assert through.headers["x-signalbox-cost-max-usd"] == run["cost_usd"]
    assert run["outcome"] == "answered"
    assert run["eval_score"] == "1"


@pytest.mark.parametrize("form", ["wav", "pcm", "opus", "flac", "aac"])
def test_every_form_of_sound_passes(client: openai.OpenAI, form: str) -> None:
    answer = speak(client, response_format=form, speed=1.5)
    assert answer.headers["content-type"].startswith("audio/")
    assert answer.content


def test_sound_streams_to_a_client_that_reads_it_in_pieces(client: openai.OpenAI) -> None:
    asked: dict[str, Any] = {"model": "tts-1", "voice": "coral", "input": TEXT * 40}
    with client.audio.speech.with_streaming_response.create(**asked) as answer:
        pieces = list(answer.iter_bytes(4096))
    assert sum(map(len, pieces)) == 320 * len(TEXT * 40)


def test_a_regional_lane_costs_its_premium_and_the_lock_holds(market: Market) -> None:
    with openai.OpenAI(base_url=market.openai_url, api_key=market.key("teller")) as teller:
        run_id = speak(teller).headers["x-signalbox-run-id"]
        with pytest.raises(openai.PermissionDeniedError) as refused:
            speak(teller, model="tts-1-hd")
    (line,) = market.attempts_of([run_id])
    line.assert_right()
    (charge,) = market.run(run_id)["charges"]
    assert line.host == "eu.api.openai.com"
    assert charge["base_usd"] == f"{len(TEXT) * 15_000 / 10**9:f}".rstrip("0")
    assert charge["premium_usd"] == f"{len(TEXT) * 1_500 / 10**9:.9f}".rstrip("0")
    assert refused.value.code == "residency"


def test_more_than_is_left_is_refused_with_the_numbers(market: Market) -> None:
    with openai.OpenAI(base_url=market.openai_url, api_key=market.key("thin")) as thin:
        with pytest.raises(openai.APIStatusError) as refused:
            speak(thin, input="a" * 201)
        allowed = speak(thin, input="a" * 200)
    assert (refused.value.status_code, refused.value.code) == (402, "budget_exhausted")
    assert "Budget shop/thin has $0.003 left; this request may cost $0.003015" in str(refused.value)
    assert allowed.content
    (line,) = market.attempts_of([allowed.headers["x-signalbox-run-id"]])
    line.assert_right()


def test_a_budget_of_requests_counts_one(market: Market) -> None:
    with openai.OpenAI(
        base_url=market.openai_url, api_key=market.key("counted"), max_retries=0
    ) as counted:
        speak(counted)
        with pytest.raises(openai.RateLimitError):
            speak(counted)


@pytest.mark.parametrize(
    ("change", "status", "code", "param"),
    [
        ({"extra_body": {"quality": "hd"}}, 422, "no_bound", "quality"),
        ({"instructions": "Whisper."}, 422, "no_bound", "instructions"),
        ({"stream_format": "sse"}, 422, "no_bound", "stream_format"),
        ({"input": ""}, 400, "invalid_request", "input"),
        ({"input": "a" * 4097}, 400, "invalid_request", "input"),
        ({"model": "gpt-5-mini"}, 422, "no_capable_lane", "model"),
        ({"voice": "nobody"}, 400, "provider_rejected", "voice"),
    ],
)
def test_what_cannot_be_bounded_or_sent_is_refused(
    client: openai.OpenAI, change: dict[str, Any], status: int, code: str, param: str
) -> None:
    with pytest.raises(openai.APIStatusError) as refused:
        speak(client, **change)
    assert (refused.value.status_code, refused.value.code) == (status, code)
    assert refused.value.param == param


def test_sound_that_breaks_off_is_charged_in_full_and_the_client_is_told(
    client: openai.OpenAI, market: Market
) -> None:
    market.behave({"reset": "before_end"})
    with client.audio.speech.with_streaming_response.create(
        model="tts-1", voice="alloy", input=TEXT * 30
    ) as answer:
        run_id = answer.headers["x-signalbox-run-id"]
        with pytest.raises(httpx2.RemoteProtocolError):
            answer.read()
    (line,) = market.attempts_of([run_id])
    assert (line.settlement, line.cost_nano) == ("full", line.bound_nano)
    line.assert_right()


def test_sound_that_is_billed_by_tokens_costs_its_usage(
    client: openai.OpenAI, direct: openai.OpenAI, market: Market
) -> None:
    asked = {"model": "gpt-4o-mini-tts", "instructions": "Speak slowly.", "response_format": "wav"}
    through, straight = speak(client, **asked), speak(direct, **asked)
    assert through.content == straight.content
    assert through.headers["content-type"] == straight.headers["content-type"] == "audio/wav"
    run_id = through.headers["x-signalbox-run-id"]
    (line,) = market.attempts_of([run_id])
    line.assert_right()
    assert line.settlement == "usage"
    charges = {each["meter"]: each for each in market.run(run_id)["charges"]}
    assert charges["output"]["quantity"] == 2 * len(TEXT)
    text, sound = (charges[meter]["quantity"] for meter in ("input", "output"))
    assert line.cost_nano == text * 600 + sound * 12_000, "to the nano-dollar"
    assert line.cost_nano * 1000 == line.bill_pico
    assert line.bound_nano > 9000 * 12_000, "the Model's most output tokens are held"


def test_a_client_that_asks_for_events_gets_them(client: openai.OpenAI, market: Market) -> None:
    answer = speak(client, model="gpt-4o-mini-tts", stream_format="sse")
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert b"speech.audio.done" in answer.content
    (line,) = market.attempts_of([answer.headers["x-signalbox-run-id"]])
    line.assert_right()
    assert line.settlement == "usage"


@pytest.mark.parametrize("rule", [{"omit_usage": True}, {"reset": "before_end"}])
def test_sound_without_its_bill_is_charged_in_full(
    client: openai.OpenAI, market: Market, rule: dict[str, Any]
) -> None:
    market.behave(rule)
    asked: dict[str, Any] = {"model": "gpt-4o-mini-tts", "voice": "alloy", "input": TEXT * 10}
    with client.audio.speech.with_streaming_response.create(**asked) as answer:
        run_id = answer.headers["x-signalbox-run-id"]
        if "reset" in rule:
            with pytest.raises(httpx2.RemoteProtocolError):
                answer.read()
        else:
            assert answer.read()
    (line,) = market.attempts_of([run_id])
    assert line.settlement == "full"
    assert 0 <= line.bound_nano - line.cost_nano <= 3, "held is the rounding of four lines of input"
    line.assert_right()
