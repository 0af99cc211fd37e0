"""Transcripts through the official client: charged by the second or by tokens, as billed."""

import io
import json
import wave
from typing import Any

import httpx2
import openai
import pytest

from support.market import Market


def sound(seconds: float, *, rate: int = 8000) -> bytes:
    """Silence as plain WAV: 16 bits, one channel."""
    file = io.BytesIO()
    with wave.open(file, "wb") as written:
        written.setnchannels(1)
        written.setsampwidth(2)
        written.setframerate(rate)
        written.writeframes(bytes(2 * int(seconds * rate)))
    return file.getvalue()


WAV = ("speech.wav", sound(8.47), "audio/wav")
MP3 = ("speech.mp3", b"\xff\xfb" + bytes(30_000), "audio/mpeg")


def hear(client: openai.OpenAI, **asked: Any) -> Any:
    request: dict[str, Any] = {"model": "whisper-1", "file": WAV}
    return client.audio.transcriptions.with_raw_response.create(**request | asked)


@pytest.mark.parametrize("form", ["json", "verbose_json", "text", "srt", "vtt"])
def test_every_form_of_a_transcript_is_the_provider_s_and_charged_by_the_second(
    client: openai.OpenAI, direct: openai.OpenAI, market: Market, form: str
) -> None:
    through, straight = hear(client, response_format=form), hear(direct, response_format=form)
    assert through.content == straight.content
    kind = through.headers["content-type"].partition(";")[0]
    assert kind == straight.headers["content-type"].partition(";")[0]
    run_id = through.headers["x-signalbox-run-id"]
    (line,) = market.attempts_of([run_id])
    line.assert_right()
    assert line.cost_nano == line.bound_nano == 900_000, "9 seconds at $0.006 a minute"
    run = market.run(run_id)
    (charge,) = run["charges"]
    assert (charge["meter"], charge["quantity"]) == ("audio_seconds", 9)
    assert (charge["price_unit"], charge["usd_per_price_unit"]) == ("Minutes", "0.006")
    assert (run["outcome"], run["eval_score"]) == ("answered", "1")


def test_all_neutral_fields_reach_the_provider(
    client: openai.OpenAI, direct: openai.OpenAI
) -> None:
    asked: dict[str, Any] = {
        "language": "en",
        "prompt": "Parcels; naïve façade",
        "temperature": 0.2,
        "response_format": "verbose_json",
        "timestamp_granularities": ["word", "segment"],
    }
    assert hear(client, **asked).content == hear(direct, **asked).content


def test_tokens_of_audio_and_text_are_charged_apart(client: openai.OpenAI, market: Market) -> None:
    raw = hear(client, model="gpt-4o-transcribe", file=MP3, prompt="Parcels")
    run_id = raw.headers["x-signalbox-run-id"]
    (line,) = market.attempts_of([run_id])
    line.assert_right()
    assert line.cost_nano < line.bound_nano
    meters = {charge["meter"]: charge["quantity"] for charge in market.run(run_id)["charges"]}
    usage = raw.parse().usage
    assert meters == {
        "audio_input": usage.input_token_details.audio_tokens,
        "input": usage.input_token_details.text_tokens,
        "output": usage.output_tokens,
    }


def test_a_stream_passes_and_its_last_event_settles_it(
    client: openai.OpenAI, market: Market
) -> None:
    raw = hear(client, model="gpt-4o-transcribe", stream=True)
    events = list(raw.parse())
    assert "".join(each.delta for each in events[:-1]) == events[-1].text
    (line,) = market.attempts_of([raw.headers["x-signalbox-run-id"]])
    line.assert_right()
    assert line.settlement == "usage"


def test_a_stream_without_its_last_event_is_charged_in_full(
    client: openai.OpenAI, market: Market
) -> None:
    market.behave({"cut_after_chunks": 2})
    raw = hear(client, model="gpt-4o-transcribe", stream=True)
    with pytest.raises(openai.APIError):
        list(raw.parse())
    (line,) = market.attempts_of([raw.headers["x-signalbox-run-id"]])
    assert line.settlement == "full"
    assert line.cost_nano >= 16000 * 6_000 + 2000 * 10_000
    line.assert_right()


def test_a_model_that_does_not_stream_answers_whole(client: openai.OpenAI, market: Market) -> None:
    with client.audio.transcriptions.with_streaming_response.create(
        model="whisper-1", file=WAV, stream=True
    ) as raw:
        document = json.loads(raw.read())
        run_id = raw.headers["x-signalbox-run-id"]
    assert document["usage"] == {"type": "duration", "seconds": 9}
    (line,) = market.attempts_of([run_id])
    line.assert_right()
    assert line.settlement == "usage"


def test_a_file_that_does_not_tell_its_length_is_bounded_by_the_model_or_refused(
    client: openai.OpenAI, market: Market
) -> None:
    raw = hear(client, model="whisper-bounded", file=MP3)
    (line,) = market.attempts_of([raw.headers["x-signalbox-run-id"]])
    line.assert_right()
    assert (line.bound_nano, line.cost_nano) == (150_000_000, 1_600_000)
    with pytest.raises(openai.UnprocessableEntityError) as refused:
        hear(client, file=MP3)
    assert (refused.value.code, refused.value.param) == ("no_bound", "file")
    assert "limits.audioSeconds" in str(refused.value)


def test_an_answer_that_does_not_tell_the_length_costs_the_whole_bound(
    client: openai.OpenAI, market: Market
) -> None:
    market.behave({"omit_usage": True})
    lost = hear(client, model="whisper-bounded", file=MP3)
    known = hear(client, file=WAV)
    told = hear(client, model="whisper-bounded", file=MP3, response_format="verbose_json")
    by_run = {
        line.run_id: line
        for line in market.attempts_of(
            [each.headers["x-signalbox-run-id"] for each in (lost, known, told)]
        )
    }
    first, second, third = (
        by_run[each.headers["x-signalbox-run-id"]] for each in (lost, known, told)
    )
    assert (first.settlement, first.cost_nano) == ("full", first.bound_nano)
    assert (second.settlement, second.cost_nano) == ("usage", 900_000)
    assert (third.settlement, third.cost_nano) == ("usage", 1_600_000)


def test_a_header_that_lies_about_the_length_changes_nothing(
    client: openai.OpenAI, market: Market
) -> None:
    lying = bytearray(sound(100))
    lying[40:44] = (16).to_bytes(4, "little")
    with pytest.raises(openai.APIStatusError):
        hear(client, model="tts-1", file=("a.wav", bytes(lying)))
    raw = hear(client, file=("a.wav", bytes(lying)), response_format="text")
    (line,) = market.attempts_of([raw.headers["x-signalbox-run-id"]])
    assert line.bound_nano == 10_000_000, "a hundred seconds"


def test_residency_and_budgets_hold(market: Market) -> None:
    with openai.OpenAI(base_url=market.openai_url, api_key=market.key("teller")) as teller:
        run_id = hear(teller).headers["x-signalbox-run-id"]
        with pytest.raises(openai.PermissionDeniedError):
            hear(teller, model="gpt-4o-transcribe")
    (line,) = market.attempts_of([run_id])
    line.assert_right()
    assert line.host == "eu.api.openai.com"
    with openai.OpenAI(base_url=market.openai_url, api_key=market.key("narrow")) as narrow:
        with pytest.raises(openai.APIStatusError) as refused:
            hear(narrow, file=("long.wav", sound(60)))
        assert hear(narrow).content
    assert (refused.value.status_code, refused.value.code) == (402, "budget_exhausted")
    assert "has $0.003 left; this request may cost $0.006" in str(refused.value)


@pytest.mark.parametrize(
    ("change", "status", "code", "param"),
    [
        ({"file": MP3, "response_format": "srt"}, 422, "no_bound", "response_format"),
        ({"extra_body": {"watermark": "1"}}, 422, "no_bound", "watermark"),
        ({"file": ("a.wav", b"")}, 400, "invalid_request", "file"),
        ({"model": "gpt-4o-transcribe", "response_format": "text"}, 422, "no_bound", None),
        ({"model": "gpt-5-mini"}, 422, "no_capable_lane", "model"),
        (
            {"file": ("a.txt", MP3[1]), "model": "whisper-bounded"},
            400,
            "provider_rejected",
            "file",
        ),
        ({"temperature": 3}, 400, "invalid_request", "temperature"),
    ],
)
def test_what_cannot_be_bounded_or_sent_is_refused(
    client: openai.OpenAI, change: dict[str, Any], status: int, code: str, param: str | None
) -> None:
    with pytest.raises(openai.APIStatusError) as refused:
        hear(client, **change)
    assert (refused.value.status_code, refused.value.code) == (status, code)
    assert refused.value.param == (param or "response_format")


def test_a_file_beyond_the_limit_is_refused_before_it_is_sent(
    client: openai.OpenAI, market: Market
) -> None:
    before = market.requests()
    with pytest.raises(openai.APIStatusError) as refused:
        hear(client, file=("long.wav", bytes(27 * 2**20)))
    assert (refused.value.status_code, refused.value.code) == (413, "too_large")
    assert market.requests() == before


@pytest.mark.parametrize(
    ("kind", "body", "status"),
    [
        ("application/json", b'{"model": "whisper-1"}', 415),
        ("multipart/form-data", b"--a--", 415),
        ("multipart/form-data; boundary=a", b"", 400),
        ("multipart/form-data; boundary=a", b"--a\r\n" * 5000, 400),
        ("multipart/form-data; boundary=a", b"--a\r\n\r\n\r\n--a--", 400),
        ("multipart/form-data; boundary=a", bytes(8 * 2**20), 400),
        ("multipart/form-data; boundary=a", b"--a\r\nx: " + b"y" * 2**20, 400),
    ],
    ids=["json", "no-boundary", "nothing", "heads", "no-head", "zeros", "endless-head"],
)
def test_forms_that_are_none_are_refused_at_once_and_reach_nobody(
    market: Market, kind: str, body: bytes, status: int
) -> None:
    before = market.requests()
    headers = {"authorization": f"Bearer {market.key('buyer')}", "content-type": kind}
    url = f"{market.openai_url}/audio/transcriptions"
    answer = httpx2.post(url, content=body, headers=headers, timeout=30)
    assert answer.status_code == status
    assert answer.json()["error"]["message"]
    assert market.requests() == before
