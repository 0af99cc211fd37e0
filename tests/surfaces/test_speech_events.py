"""Sound that is billed by tokens comes as events: what a client gets of them, and what it costs."""

import base64
import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signalbox_ledger.records import Usage
from signalbox_proxy.refusals import Refusal
from signalbox_proxy.streamed_types import EVENT_STREAM, streamed_as
from signalbox_proxy.surfaces import SPEECH
from signalbox_proxy.surfaces.speech_events import SpeechEventReader
from signalbox_snapshot.snapshot import PriceTable, Tier, UnitPrice
from support.calm import CALM
from support.snapshots import lane, price

SOUND = bytes(range(256)) * 3
USAGE = {"input_tokens": 14, "output_tokens": 101, "total_tokens": 115}


def event(**said: Any) -> bytes:
    return b"data: " + json.dumps(said).encode() + b"\n\n"


def delta(sound: bytes) -> bytes:
    return event(type="speech.audio.delta", audio=base64.b64encode(sound).decode())


DONE = event(type="speech.audio.done", usage=USAGE)
STREAM = delta(SOUND[:100]) + delta(SOUND[100:]) + DONE


@CALM
@given(cuts=st.lists(st.integers(0, len(STREAM)), max_size=6))
def test_a_client_gets_the_sound_and_its_bill_however_the_network_cuts_it(cuts: list[int]) -> None:
    for as_events, expected in ((False, SOUND), (True, STREAM)):
        reader = SpeechEventReader(as_events=as_events)
        edges = [0, *sorted(cuts), len(STREAM)]
        pieces = [STREAM[start:end] for start, end in pairwise(edges)]
        assert b"".join([*map(reader.feed, pieces), reader.end()]) == expected
        facts = reader.facts
        assert (facts.usage, facts.items) == (Usage(input=14, output=101), len(SOUND))
        assert (facts.ended, facts.complete) == (True, True)


@pytest.mark.parametrize(
    "stream",
    [
        delta(SOUND),
        delta(SOUND) + event(type="error", error={"message": "sk-secretsecretsecretsecret"}),
        DONE + delta(SOUND),
        event(type="speech.audio.delta", audio="not base64!"),
        event(type="speech.audio.delta", audio=7) + b"data: {\n\n",
    ],
)
def test_sound_that_does_not_come_to_its_end_has_no_bill_and_no_quiet_end(stream: bytes) -> None:
    reader = SpeechEventReader(as_events=False)
    with pytest.raises(Refusal) as refused:
        b"".join([reader.feed(stream), reader.end()])
    assert refused.value.code == "provider_failed"
    assert "sk-secret" not in refused.value.message
    assert (reader.facts.usage, reader.facts.ended) == (None, False)


@pytest.mark.parametrize(
    "usage",
    [None, {}, USAGE | {"input_tokens": -1}, USAGE | {"output_tokens": 1.5}],
)
def test_an_end_without_a_believable_record_is_no_bill(usage: Any) -> None:
    reader = SpeechEventReader(as_events=False)
    reader.feed(delta(SOUND) + event(type="speech.audio.done", usage=usage))
    reader.end()
    assert (reader.facts.usage, reader.facts.ended) == (None, True)


@pytest.mark.parametrize(
    ("asked", "told", "kind"),
    [
        ({}, "text/event-stream", "audio/mpeg"),
        ({"response_format": "wav"}, "text/event-stream; charset=utf-8", "audio/wav"),
        ({"stream_format": "sse"}, "text/event-stream", EVENT_STREAM),
        ({}, "audio/mpeg", "audio/mpeg"),
        ({}, "application/json", None),
    ],
)
def test_a_client_is_told_the_form_that_it_asked_for(
    asked: dict[str, str], told: str, kind: str | None
) -> None:
    body = {"model": "tts", "voice": "alloy", "input": "Hi"} | asked
    streamed = streamed_as(SPEECH, SPEECH.parse(body, {}), told)
    assert (None if streamed is None else streamed[1]) == kind


def test_only_who_bills_tokens_is_asked_for_events() -> None:
    request = SPEECH.parse({"model": "tts", "voice": "alloy", "input": "Hi"}, {})
    by_character = PriceTable(
        standard=Tier(input=0, cached_input=0, cache_write_5m=None, cache_write_1h=None, output=0),
        units=[UnitPrice(meter="characters", price=15_000_000_000)],
        without_tokens=True,
    )
    for table, form in ((price("0.6", "12"), "sse"), (by_character, None)):
        sent = json.loads(SPEECH.upstream_body(request, lane("l", price=table), None))
        assert sent.get("stream_format") == form
