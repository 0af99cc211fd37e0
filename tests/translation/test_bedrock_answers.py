"""Converse's answers, whole and streamed: judged by botocore's parser and stream decoder."""

import json
import random
from collections.abc import Sequence
from itertools import pairwise
from typing import Any
from zlib import crc32

import pytest
from botocore.eventstream import EventStreamBuffer
from hypothesis import given, settings
from hypothesis import strategies as st

from signalbox_ledger.records import Usage
from signalbox_proxy.translation.answer import (
    Answer,
    Counted,
    Ended,
    Event,
    Failed,
    Finished,
    PartBegins,
    PartEnds,
    PartGrows,
    PartSigned,
)
from signalbox_proxy.translation.bedrock_provider import BEDROCK
from signalbox_proxy.translation.contract import Unreadable
from signalbox_proxy.translation.conversation import Text, Thinking, ToolCall
from signalbox_proxy.translation.event_stream import MAX_MESSAGE, MessageSplitter
from signalbox_proxy.translation.facts import EventFacts
from signalbox_simulator.event_frames import event, exception, frame
from support import bedrock_types

USAGE = {
    "inputTokens": 12,
    "outputTokens": 30,
    "totalTokens": 12 + 30 + 100 + 70,
    "cacheReadInputTokens": 100,
    "cacheWriteInputTokens": 70,
    "cacheDetails": [{"ttl": "1h", "inputTokens": 50}, {"ttl": "5m", "inputTokens": 20}],
}
BILLED = Usage(input=12, cached_input=100, cache_write_5m=20, cache_write_1h=50, output=30)
STREAM = [
    ("messageStart", {"role": "assistant"}),
    ("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"reasoningContent": {"text": "so"}}}),
    (
        "contentBlockDelta",
        {"contentBlockIndex": 0, "delta": {"reasoningContent": {"signature": "sig"}}},
    ),
    ("contentBlockStop", {"contentBlockIndex": 0}),
    (
        "contentBlockDelta",
        {"contentBlockIndex": 1, "delta": {"reasoningContent": {"redactedContent": "YWI="}}},
    ),
    (
        "contentBlockDelta",
        {"contentBlockIndex": 1, "delta": {"reasoningContent": {"redactedContent": "Y2Q="}}},
    ),
    ("contentBlockStop", {"contentBlockIndex": 1}),
    ("contentBlockDelta", {"contentBlockIndex": 2, "delta": {"text": "Grüß"}}),
    ("contentBlockDelta", {"contentBlockIndex": 2, "delta": {"text": " Gott"}}),
    ("contentBlockStop", {"contentBlockIndex": 2}),
    (
        "contentBlockStart",
        {"contentBlockIndex": 3, "start": {"toolUse": {"toolUseId": "t_1", "name": "weather"}}},
    ),
    ("contentBlockDelta", {"contentBlockIndex": 3, "delta": {"toolUse": {"input": '{"pl'}}}),
    ("contentBlockDelta", {"contentBlockIndex": 3, "delta": {"toolUse": {"input": 'ace":1}'}}}),
    ("contentBlockStop", {"contentBlockIndex": 3}),
    (
        "messageStop",
        {"stopReason": "tool_use", "additionalModelResponseFields": {"stop_sequence": None}},
    ),
    ("metadata", {"usage": USAGE, "metrics": {"latencyMs": 20}}),
]
FRAMES = [event(name, document) for name, document in STREAM]
EVENTS: list[Event] = [
    PartBegins(0, "thinking", origin="bedrock"),
    PartGrows(0, "so"),
    PartSigned(0, "sig"),
    PartEnds(0),
    PartBegins(1, "thinking", redacted="YWJjZA==", origin="bedrock"),
    PartEnds(1),
    PartBegins(2, "text"),
    PartGrows(2, "Grüß"),
    PartGrows(2, " Gott"),
    PartEnds(2),
    PartBegins(3, "tool_call", id="t_1", name="weather"),
    PartGrows(3, '{"pl'),
    PartGrows(3, 'ace":1}'),
    PartEnds(3),
    Finished("tool_calls", provider_finish="tool_use"),
    Counted(BILLED, is_final=True),
    Ended(),
]


def read(chunks: Sequence[bytes]) -> list[Event]:
    reader = BEDROCK.event_reader()
    events = [each for chunk in chunks for each in reader.feed(chunk)]
    return [*events, *reader.end()]


def settled(chunks: Sequence[bytes]) -> tuple[Usage | None, bool]:
    """What a stream would be settled by, and whether its provider ended it, however it breaks."""
    facts = EventFacts()
    reader = BEDROCK.event_reader()
    try:
        for chunk in chunks:
            for each in reader.feed(chunk):
                facts.take(each)
        for each in reader.end():
            facts.take(each)
    except Unreadable:
        pass
    told = facts.facts()
    return told.usage, told.ended


def whole(document: dict[str, Any]) -> bytes:
    return json.dumps(document).encode()


RESPONSE: dict[str, Any] = {
    "output": {
        "message": {
            "role": "assistant",
            "content": [
                {"reasoningContent": {"reasoningText": {"text": "so", "signature": "sig"}}},
                {"reasoningContent": {"redactedContent": "YWJjZA=="}},
                {"text": "Grüß Gott"},
                {"citationsContent": {"content": [{"text": "cited"}], "citations": []}},
                {"toolUse": {"toolUseId": "t_1", "name": "weather", "input": {"place": 1.50}}},
            ],
        }
    },
    "stopReason": "tool_use",
    "usage": USAGE,
    "metrics": {"latencyMs": 20},
}


def test_a_whole_answer_is_read_as_botocore_reads_it() -> None:
    assert bedrock_types.faults(RESPONSE, "ConverseResponse") == []
    raw = whole(RESPONSE)
    answer = BEDROCK.read_answer(raw)
    judged = bedrock_types.parsed(raw)
    content = judged["output"]["message"]["content"]
    assert answer == Answer(
        id="",
        parts=(
            Thinking("so", "sig", origin="bedrock"),
            Thinking(redacted="YWJjZA==", origin="bedrock"),
            Text(content[2]["text"]),
            Text("cited"),
            ToolCall("t_1", "weather", '{"place": 1.5}'),
        ),
        finish="tool_calls",
        usage=BILLED,
        provider_finish=judged["stopReason"],
    )
    assert content[1]["reasoningContent"]["redactedContent"] == b"abcd"


def test_the_stop_sequence_is_told_where_the_model_tells_it() -> None:
    document = RESPONSE | {
        "stopReason": "stop_sequence",
        "additionalModelResponseFields": {"stop_sequence": "END"},
    }
    answer = BEDROCK.read_answer(whole(document))
    assert (answer.finish, answer.stop_sequence) == ("stop_sequence", "END")


@pytest.mark.parametrize("reason", [*bedrock_types.service().shape_for("StopReason").enum, "new"])
def test_every_reason_of_the_service_is_an_end_that_clients_know(reason: str) -> None:
    finish = BEDROCK.read_answer(whole(RESPONSE | {"stopReason": reason})).finish
    expected = {
        "end_turn": "stop",
        "tool_use": "tool_calls",
        "max_tokens": "length",
        "model_context_window_exceeded": "length",
        "stop_sequence": "stop_sequence",
        "new": "length",
    }
    assert finish == expected.get(reason, "content_filter")


@pytest.mark.parametrize("given", [b'{"a":"\xff"}', b"[1]", b"3", b'"{}"'])
def test_arguments_that_are_no_object_of_text_are_unreadable(given: bytes) -> None:
    called = b'{"toolUse":{"toolUseId":"t","name":"f","input":%b}}' % given
    document = b'{"output":{"message":{"content":[%b]}},"stopReason":"tool_use"}' % called
    with pytest.raises(Unreadable):
        BEDROCK.read_answer(document)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{}",
        b"[]",
        b"\xff",
        b"[" * 100_000,
        whole(RESPONSE | {"output": {}}),
        whole(RESPONSE | {"stopReason": None}),
        whole(RESPONSE | {"output": {"message": {"content": [{"image": {}}]}}}),
        whole(RESPONSE | {"output": {"message": {"content": [{"reasoningContent": {}}]}}}),
    ],
)
def test_what_is_no_answer_of_converse_is_unreadable(raw: bytes) -> None:
    with pytest.raises(Unreadable):
        BEDROCK.read_answer(raw)


@pytest.mark.parametrize(
    ("record", "usage"),
    [
        (USAGE, BILLED),
        ({"inputTokens": 0, "outputTokens": 0, "totalTokens": 0}, Usage()),
        (
            {"inputTokens": 1, "outputTokens": 2, "totalTokens": 3, "cacheWriteInputTokens": 9},
            Usage(input=1, cache_write_5m=9, output=2),
        ),
        # What the total has and no count tells is billed as the dearest that it can be.
        ({"inputTokens": 10, "outputTokens": 5, "totalTokens": 40}, Usage(input=10, output=30)),
        ({"inputTokens": 10, "outputTokens": 5}, Usage(input=10, output=5)),
        (None, None),
        ([], None),
        ({"inputTokens": 1, "totalTokens": 3}, None),
        ({"inputTokens": -1, "outputTokens": 5, "totalTokens": 4}, None),
        ({"inputTokens": 1.5, "outputTokens": 5, "totalTokens": 6}, None),
        ({"inputTokens": True, "outputTokens": 5, "totalTokens": 6}, None),
        ({"inputTokens": 10**10, "outputTokens": 5, "totalTokens": 6}, None),
        (USAGE | {"cacheDetails": [{"ttl": "1d", "inputTokens": 1}]}, None),
        (USAGE | {"cacheDetails": [{"ttl": "5m"}]}, None),
        (USAGE | {"cacheDetails": {}}, None),
    ],
)
def test_usage_counts_every_token_once_or_is_not_believed(record: Any, usage: Usage | None) -> None:
    assert BEDROCK.read_answer(whole(RESPONSE | {"usage": record})).usage == usage


def test_a_stream_says_what_its_frames_say_and_botocore_reads_the_same_frames() -> None:
    assert read(FRAMES) == EVENTS
    buffer = EventStreamBuffer()
    buffer.add_data(b"".join(FRAMES))
    for (name, document), message in zip(STREAM, buffer, strict=True):
        assert message.headers[":event-type"] == name
        assert bedrock_types.parsed_event(name, message.payload) == document


def test_a_stream_cut_at_any_byte_gives_the_same_events() -> None:
    data = b"".join(FRAMES)
    for cut in range(len(data) + 1):
        assert read([data[:cut], data[cut:]]) == EVENTS
    assert read([data[index : index + 1] for index in range(len(data))]) == EVENTS


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, sum(map(len, FRAMES))), max_size=12))
def test_a_stream_cut_into_any_pieces_gives_the_same_events(cuts: list[int]) -> None:
    data = b"".join(FRAMES)
    edges = [0, *sorted(cuts), len(data)]
    assert read([data[a:b] for a, b in pairwise(edges)]) == EVENTS


def test_a_stream_that_ends_early_is_never_settled_by_what_it_said() -> None:
    data = b"".join(FRAMES)
    for cut in range(len(data)):
        assert settled([data[:cut]]) == (None, False)


def test_one_wrong_byte_anywhere_makes_a_stream_unreadable_from_there() -> None:
    data = b"".join(FRAMES)
    chance = random.Random(7)
    for index in range(len(data)):
        broken = bytearray(data)
        broken[index] ^= 1 << chance.randrange(8)
        assert settled([bytes(broken)]) == (None, False)
        with pytest.raises(Unreadable):
            read([bytes(broken)])


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(FRAMES), max_size=20) | st.permutations(FRAMES))
def test_events_in_any_order_are_billed_by_the_whole_bill_or_in_full(frames: list[bytes]) -> None:
    usage, ended = settled(frames)
    assert usage in (None, BILLED)
    assert ended is (usage is not None)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.binary(max_size=60) | st.sampled_from(FRAMES), max_size=6))
def test_noise_is_unreadable_and_nothing_worse(chunks: list[bytes]) -> None:
    usage, _ = settled(chunks)
    assert usage in (None, BILLED)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (exception("throttlingException", "Too many requests"), "throttlingException: Too many"),
        (exception("modelStreamErrorException", "broke"), "modelStreamErrorException: broke"),
        (
            frame({":message-type": "exception", ":exception-type": "validationException"}, b"<"),
            "validationException: ",
        ),
        (
            frame({":message-type": "error", ":error-code": "Oops", ":error-message": "no"}, b""),
            "Oops: no",
        ),
    ],
)
def test_an_exception_in_a_stream_is_a_failure_of_the_provider(data: bytes, message: str) -> None:
    (failed,) = read([*FRAMES[:8], data])[-1:]
    assert isinstance(failed, Failed)
    assert failed.message.startswith(message)
    assert settled([*FRAMES[:8], data]) == (None, False)


def test_an_event_that_is_not_known_is_passed_over() -> None:
    assert read([FRAMES[0], event("newEvent", {"a": 1}), *FRAMES[1:]]) == EVENTS


@pytest.mark.parametrize(
    "frames",
    [
        [frame({":event-type": "messageStart"}, b"{}")],
        [frame({":message-type": "event", ":event-type": "contentBlockStop"}, b"{")],
        [frame({":message-type": "event", ":event-type": "contentBlockStop"}, b"[" * 100_000)],
        [event("contentBlockDelta", {"contentBlockIndex": 0, "delta": {}})],
        [event("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"toolUse": {"input": ""}}})],
        [event("contentBlockStart", {"contentBlockIndex": 0, "start": {"image": {}}})],
        [event("contentBlockDelta", {"contentBlockIndex": -1, "delta": {"text": "a"}})],
        [*FRAMES, FRAMES[-1]],
        [*FRAMES, FRAMES[-2]],
        [FRAMES[-1], *FRAMES],
        [*FRAMES[:-2], FRAMES[-1]],
        [*FRAMES[:2], FRAMES[7]],
    ],
)
def test_events_that_contradict_each_other_are_unreadable(frames: list[bytes]) -> None:
    with pytest.raises(Unreadable):
        read(frames)


def test_a_length_beyond_all_bounds_is_not_waited_for() -> None:
    splitter = MessageSplitter()
    huge = frame({}, bytes(MAX_MESSAGE))
    with pytest.raises(Unreadable):
        list(splitter.split(huge[:12]))
    largest = frame({}, bytes(MAX_MESSAGE - 16))
    assert [len(message.payload) for message in splitter_of(largest)] == [MAX_MESSAGE - 16]


def splitter_of(data: bytes) -> Any:
    return MessageSplitter().split(data)


HEADER_VALUES = [
    b"\x00",
    b"\x01",
    b"\x02\x05",
    b"\x03\x00\x05",
    b"\x04\x00\x00\x00\x05",
    b"\x05" + bytes(8),
    b"\x06\x00\x02ab",
    b"\x08" + bytes(8),
    b"\x09" + bytes(16),
]


def with_headers(headers: bytes) -> bytes:
    """A message whose headers are these bytes, with checksums that are right."""
    prelude = (16 + len(headers)).to_bytes(4, "big") + len(headers).to_bytes(4, "big")
    message = prelude + crc32(prelude).to_bytes(4, "big") + headers
    return message + crc32(message).to_bytes(4, "big")


def test_headers_of_every_type_are_known_and_strings_are_kept() -> None:
    named = b"".join(b"\x01" + bytes([97 + n]) + v for n, v in enumerate(HEADER_VALUES))
    data = with_headers(named + b"\x01z\x07\x00\x02hi")
    (message,) = splitter_of(data)
    assert message.headers == {"z": "hi"}
    buffer = EventStreamBuffer()
    buffer.add_data(data)
    assert next(buffer).headers["z"] == "hi"


@pytest.mark.parametrize(
    "headers",
    [
        b"\x01",
        b"\x01a",
        b"\x01a\x0a",
        b"\x01a\x07\x00",
        b"\x01a\x07\x00\x05hi",
        b"\x01a\x07\x00\x01\xff",
    ],
)
def test_headers_that_lead_beyond_their_end_are_unreadable(headers: bytes) -> None:
    with pytest.raises(Unreadable):
        list(splitter_of(with_headers(headers)))
