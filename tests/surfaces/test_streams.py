"""Streams: read on the way through, untouched, however the network cuts them."""

import random
from collections.abc import Callable, Iterable
from functools import partial
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from signalbox_ledger.records import Usage
from signalbox_proxy.model_request import ModelRequest
from signalbox_proxy.refusals import Refusal
from signalbox_proxy.surfaces import CHAT, MESSAGES, AnswerFacts, contract, sse
from support.timing import cpu_s, least


def chat_request(**options: Any) -> ModelRequest:
    more = {"stream_options": options} if options else {}
    body = {"model": "m", "messages": [{"role": "user", "content": "a"}], "stream": True, **more}
    return CHAT.parse(body, {})


def message_request() -> ModelRequest:
    body = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "a"}]}
    return MESSAGES.parse(body, {})


def data(document: Any) -> bytes:
    return b"data: " + msgspec.json.encode(document) + b"\n\n"


def chunk(content: str | None = None, finish: str | None = None, **more: Any) -> bytes:
    delta = {} if content is None else {"content": content}
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return data({"id": "c", "choices": [choice], "usage": None, **more})


USAGE = {"prompt_tokens": 12, "completion_tokens": 3, "total_tokens": 15}
USAGE_CHUNK = data({"id": "c", "choices": [], "usage": USAGE})
DONE = b"data: [DONE]\n\n"
CHAT_HEAD = b": ping\n\n" + chunk("Grüße, ") + chunk("世界 🙂") + chunk(finish="stop")
CHAT_STREAM = CHAT_HEAD + USAGE_CHUNK + DONE


def event(kind: str, **more: Any) -> bytes:
    return f"event: {kind}\n".encode() + data({"type": kind, **more})


START_USAGE = {"input_tokens": 7, "cache_read_input_tokens": 4, "output_tokens": 1}
MESSAGE_STREAM = b"".join(
    [
        event("message_start", message={"id": "m", "usage": START_USAGE}),
        event("ping"),
        event("content_block_start", index=0, content_block={"type": "text", "text": ""}),
        event("content_block_delta", index=0, delta={"type": "text_delta", "text": "Grüße 🙂"}),
        event("content_block_stop", index=0),
        event("content_block_start", index=1, content_block={"type": "tool_use", "id": "t"}),
        event("content_block_delta", index=1, delta={"type": "input_json_delta"}),
        event("message_delta", delta={"stop_reason": "tool_use"}, usage={"output_tokens": 9}),
        event("message_stop"),
    ]
)


def read(reader: Any, pieces: Iterable[bytes]) -> tuple[bytes, AnswerFacts]:
    passed = b"".join(reader.feed(piece) for piece in pieces) + reader.end()
    return passed, reader.facts


def cut(stream: bytes, *places: int) -> list[bytes]:
    edges = [0, *sorted(places), len(stream)]
    return [stream[a:b] for a, b in pairwise(edges)]


LINE_ENDS = pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"], ids=["lf", "crlf", "cr"])


@LINE_ENDS
def test_a_chat_stream_is_read_the_same_wherever_it_is_cut(line_end: bytes) -> None:
    stream = CHAT_STREAM.replace(b"\n", line_end)
    stripped = (CHAT_HEAD + DONE).replace(b"\n", line_end)
    for place in range(len(stream) + 1):
        passed, facts = read(CHAT.stream_reader(chat_request()), cut(stream, place))
        assert passed == stripped
        assert facts.usage == Usage(input=12, output=3)
        assert (facts.text, facts.finish) == ("Grüße, 世界 🙂", "stop")
        assert facts.ended
        assert facts.complete


@LINE_ENDS
def test_a_message_stream_passes_untouched_wherever_it_is_cut(line_end: bytes) -> None:
    stream = MESSAGE_STREAM.replace(b"\n", line_end)
    for place in range(len(stream) + 1):
        passed, facts = read(MESSAGES.stream_reader(message_request()), cut(stream, place))
        assert passed == stream
        assert facts.usage == Usage(input=7, cached_input=4, output=9)
        assert (facts.text, facts.finish, facts.has_tool_calls) == ("Grüße 🙂", "tool_use", True)
        assert facts.complete


@given(st.lists(st.integers(0, len(CHAT_STREAM)), max_size=40), st.sampled_from([b"\n", b"\r\n"]))
def test_many_cuts_change_nothing(places: list[int], line_end: bytes) -> None:
    request = chat_request(include_usage=True)
    stream = CHAT_STREAM.replace(b"\n", line_end)
    passed, facts = read(CHAT.stream_reader(request), cut(stream, *places))
    assert passed == stream
    assert facts.complete


def test_byte_by_byte_changes_nothing() -> None:
    pieces = [bytes([byte]) for byte in MESSAGE_STREAM]
    passed, facts = read(MESSAGES.stream_reader(message_request()), pieces)
    assert passed == MESSAGE_STREAM
    assert facts.complete


def test_only_whole_events_are_forwarded() -> None:
    reader = CHAT.stream_reader(chat_request())
    assert reader.feed(chunk("a")[:-1]) == b""
    assert reader.feed(b"\n") == chunk("a")


def test_the_usage_chunk_reaches_only_clients_that_asked_for_it() -> None:
    without, _ = read(CHAT.stream_reader(chat_request()), [CHAT_STREAM])
    assert without == CHAT_HEAD + DONE
    asked, _ = read(CHAT.stream_reader(chat_request(include_usage=True)), [CHAT_STREAM])
    assert asked == CHAT_STREAM


def test_usage_within_a_content_chunk_passes_and_counts_at_the_end() -> None:
    last = chunk("a", "stop").replace(b'"usage":null', b'"usage":' + msgspec.json.encode(USAGE))
    passed, facts = read(CHAT.stream_reader(chat_request()), [last + DONE])
    assert passed == last + DONE
    assert facts.usage == Usage(input=12, output=3)


def test_a_running_count_in_a_cut_stream_is_no_usage_record() -> None:
    first = chunk("a").replace(b'"usage":null', b'"usage":' + msgspec.json.encode(USAGE))
    _, facts = read(CHAT.stream_reader(chat_request()), [first])
    assert facts.usage is None
    assert not facts.ended


RUNNING = data({"choices": [], "usage": {"prompt_tokens": 10, "completion_tokens": 0}})


def test_a_record_beside_the_content_is_no_bill_before_the_end_is_told() -> None:
    for stream in (chunk("a") + USAGE_CHUNK, USAGE_CHUNK, RUNNING + chunk("a") + RUNNING):
        _, facts = read(CHAT.stream_reader(chat_request()), [stream])
        assert facts.usage is None
    first = data({"choices": [{"index": 0, "finish_reason": "stop"}, {"index": 1, "delta": {}}]})
    _, facts = read(CHAT.stream_reader(chat_request()), [first + USAGE_CHUNK])
    assert facts.usage is None, "the other choice goes on"


@pytest.mark.parametrize(
    "delta",
    [
        {"content": "a"},
        {"reasoning_content": "a"},
        {"reasoning": "a"},
        {"refusal": "a"},
        {"tool_calls": [{"index": 0, "function": {"arguments": "{"}}]},
    ],
)
def test_a_record_from_before_the_content_counts_none_of_it(delta: dict[str, Any]) -> None:
    said = data({"choices": [{"index": 0, "delta": delta, "finish_reason": None}]})
    for end in (b"", chunk(finish="stop"), DONE, chunk(finish="stop") + DONE):
        _, facts = read(CHAT.stream_reader(chat_request()), [RUNNING + said + end])
        assert facts.usage is None
        late = chunk(finish="stop") + RUNNING + said + end
        _, facts = read(CHAT.stream_reader(chat_request()), [late])
        assert facts.usage is None


def with_usage(piece: bytes, completion: int) -> bytes:
    usage = {"prompt_tokens": 12, "completion_tokens": completion, "total_tokens": 12 + completion}
    return piece.replace(b'"usage":null', b'"usage":' + msgspec.json.encode(usage))


@pytest.mark.parametrize(
    "stream",
    [
        chunk("a") + chunk(finish="stop") + USAGE_CHUNK,
        chunk("a") + chunk(finish="stop") + USAGE_CHUNK + DONE,
        chunk("a") + with_usage(chunk(finish="stop"), 3) + DONE,
        with_usage(chunk("a"), 1) + with_usage(chunk("b"), 3) + chunk(finish="stop") + DONE,
        with_usage(chunk("a"), 1) + with_usage(chunk("b", "stop"), 3) + DONE,
        with_usage(chunk("a"), 1) + chunk(finish="stop") + USAGE_CHUNK,
        chunk("a") + chunk(finish="stop") + with_usage(chunk(""), 3) + DONE,
        RUNNING + chunk("a") + chunk(finish="stop") + USAGE_CHUNK + DONE,
    ],
    ids=[
        "usage chunk",
        "usage chunk and the end",
        "in the finish chunk",
        "running, up to the last piece",
        "running, up to the finish chunk",
        "running, then a usage chunk",
        "in an empty piece after the finish chunk",
        "once before and once after",
    ],
)
def test_wherever_servers_put_the_record_of_a_whole_answer_it_is_the_bill(stream: bytes) -> None:
    _, facts = read(CHAT.stream_reader(chat_request()), [stream])
    assert facts.usage == Usage(input=12, output=3)


def test_what_a_message_says_after_its_stop_is_in_no_total_from_before() -> None:
    more = event("content_block_delta", index=1, delta={"type": "text_delta", "text": "more"})
    stream = MESSAGE_STREAM.replace(b"event: message_stop", more + b"event: message_stop")
    _, facts = read(MESSAGES.stream_reader(message_request()), [stream])
    assert facts.usage is None
    again = event("message_delta", delta={}, usage={"output_tokens": 12})
    _, facts = read(MESSAGES.stream_reader(message_request()), [stream + again])
    assert facts.usage == Usage(input=7, cached_input=4, output=12)


@pytest.mark.parametrize("place", [20, 60, len(CHAT_HEAD) - 1, len(CHAT_HEAD)])
def test_a_chat_stream_cut_before_its_usage_has_none(place: int) -> None:
    _, facts = read(CHAT.stream_reader(chat_request()), [CHAT_STREAM[:place]])
    assert facts.usage is None
    assert not facts.complete


def test_the_counts_of_message_start_are_no_usage_record() -> None:
    before = MESSAGE_STREAM[: MESSAGE_STREAM.index(b"event: message_delta")]
    _, facts = read(MESSAGES.stream_reader(message_request()), [before])
    assert facts.usage is None
    assert not facts.complete


def test_later_message_deltas_replace_earlier_ones() -> None:
    stream = MESSAGE_STREAM.replace(
        b"event: message_delta",
        event("message_delta", delta={"stop_reason": None}, usage={"output_tokens": 5})
        + b"event: message_delta",
    )
    _, facts = read(MESSAGES.stream_reader(message_request()), [stream])
    assert facts.usage == Usage(input=7, cached_input=4, output=9)


def test_a_stream_without_its_last_blank_line_is_finished() -> None:
    passed, facts = read(CHAT.stream_reader(chat_request()), [CHAT_STREAM[:-2]])
    assert passed == CHAT_HEAD + DONE
    assert facts.ended


@pytest.mark.parametrize(
    ("finish", "complete"),
    [("stop", True), ("tool_calls", True), ("length", False), ("content_filter", False)],
)
def test_an_answer_cut_by_a_limit_is_ended_but_not_complete(finish: str, complete: bool) -> None:
    _, facts = read(CHAT.stream_reader(chat_request()), [chunk("a", finish) + USAGE_CHUNK + DONE])
    assert facts.ended
    assert facts.complete is complete
    assert facts.finish == finish
    assert facts.usage is not None


def test_all_choices_must_be_whole() -> None:
    one = data({"choices": [{"index": 0, "delta": {"content": "a"}, "finish_reason": "stop"}]})
    two = data({"choices": [{"index": 1, "delta": {"content": "b"}, "finish_reason": "length"}]})
    _, facts = read(CHAT.stream_reader(chat_request()), [one + two + DONE])
    assert (facts.text, facts.more_texts, facts.finish) == ("a", ("b",), "length")
    assert not facts.complete


SECRET = "sk-proj-" + "a1B2" * 12


@pytest.mark.parametrize(
    ("reader", "error"),
    [
        (
            lambda: CHAT.stream_reader(chat_request()),
            data({"error": {"message": f"Bad key {SECRET}", "type": "x"}}),
        ),
        (
            lambda: MESSAGES.stream_reader(message_request()),
            event("error", error={"type": "overloaded_error", "message": f"Bad key {SECRET}"}),
        ),
    ],
    ids=["chat", "messages"],
)
def test_a_providers_error_is_noted_and_carries_no_key(
    reader: Callable[[], Any], error: bytes
) -> None:
    passed, facts = read(reader(), [error])
    assert facts.error == "Bad key [removed]"
    assert SECRET.encode() not in passed
    assert msgspec.json.decode(sse.data_of(passed))["error"]["message"] == "Bad key [removed]"


def test_data_over_several_lines_is_one_event() -> None:
    stream = b'data: {"choices":[],\ndata:"usage":' + msgspec.json.encode(USAGE) + b"}\n\n"
    _, facts = read(CHAT.stream_reader(chat_request()), [stream + DONE])
    assert facts.usage == Usage(input=12, output=3)


JUNK = st.binary(max_size=60) | st.sampled_from(
    [b"data: {}\n\n", b"data: [1]\n\n", b"data: {\n\n", b'data: {"choices":5}\n\n', b"\n\n", b"\r",
     b'data: {"choices":[{"index":-1}]}\n\n', b'data: {"usage":[]}\n\n', b": c\n\n", b"\xff\n\n",
     b'data: {"choices":[{"index":0,"delta":{"content":[1]}}]}\n\n', DONE, b"event: x\n\n",
     b'data: {"type":"message_start","message":3}\n\n', b"data: " + b"[" * 3000 + b"\n\n"]
)  # fmt: skip


@given(st.lists(JUNK, max_size=20))
def test_junk_passes_and_never_yields_usage_or_a_fault(pieces: list[bytes]) -> None:
    for reader in (CHAT.stream_reader(chat_request()), MESSAGES.stream_reader(message_request())):
        _, facts = read(reader, pieces)
        assert facts.usage is None


def test_an_endless_event_is_given_up() -> None:
    reader = CHAT.stream_reader(chat_request())
    half = b"x" * (sse.MAX_EVENT // 2)
    assert reader.feed(half) + reader.feed(half) == b""
    with pytest.raises(Refusal) as caught:
        reader.feed(b"x")
    assert caught.value.code == "provider_failed"


def test_the_kept_text_is_bounded_and_says_so() -> None:
    piece = "x" * 1000
    stream = chunk(piece) * (contract.MAX_TEXT // 1000 + 10) + chunk(finish="stop") + DONE
    _, facts = read(CHAT.stream_reader(chat_request()), [stream])
    assert len(facts.text) == contract.MAX_TEXT
    assert facts.truncated


def test_time_is_linear_in_the_stream_whatever_the_chunks() -> None:
    event_bytes = chunk("x" * 1_000_000)

    def feed() -> None:
        reader = CHAT.stream_reader(chat_request())
        for place in range(0, len(event_bytes), 100):
            reader.feed(event_bytes[place : place + 100])

    # Measured: 20 ms; rescanning would take seconds.
    assert least(partial(cpu_s, feed), 1.0, tries=3) < 1.0


def test_a_chunk_costs_microseconds() -> None:
    reader = CHAT.stream_reader(chat_request())
    event_bytes = chunk("some words of an answer")

    def feed() -> None:
        for _ in range(5000):
            reader.feed(event_bytes)

    bound = 5000 * 100e-6  # measured: 4 microseconds each
    assert least(partial(cpu_s, feed), bound, tries=3) < bound


def test_random_streams_of_both_formats_pass_byte_for_byte() -> None:
    chance = random.Random(7)
    for _ in range(200):
        stream = b"".join(
            chance.choice([chunk("a"), chunk("ü"), b": c\n\n", b"\n"]) for _ in range(9)
        )
        places = [chance.randrange(len(stream)) for _ in range(5)]
        passed, _ = read(CHAT.stream_reader(chat_request()), cut(stream + DONE, *places))
        assert passed == stream + DONE
