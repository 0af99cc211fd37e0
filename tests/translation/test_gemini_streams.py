"""Gemini's answers, whole and streamed: read alike however they were cut, and never billed low."""

import json
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from signalbox_ledger.records import Usage
from signalbox_proxy.surfaces.usage import gemini_usage
from signalbox_proxy.translation.answer import Answer, Counted, Ended, Event, Failed, Finished
from signalbox_proxy.translation.contract import Unreadable
from signalbox_proxy.translation.conversation import Text, Thinking, ToolCall
from signalbox_proxy.translation.facts import EventFacts
from signalbox_proxy.translation.gemini_provider import GEMINI
from signalbox_proxy.translation.whole import folded
from support.google_types import types
from support.typed_json import TEXT

USAGE = {
    "promptTokenCount": 50,
    "cachedContentTokenCount": 20,
    "candidatesTokenCount": 30,
    "thoughtsTokenCount": 12,
    "totalTokenCount": 92,
}
CALM = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
CHARGED = Usage(input=30, cached_input=20, output=42, reasoning=12)


def frame(document: object, end: str = "\r\n\r\n") -> bytes:
    return f"data: {json.dumps(document)}{end}".encode()


def chunk(*parts: dict[str, Any], finish: str = "", **more: Any) -> dict[str, Any]:
    candidate: dict[str, Any] = {"index": 0}
    if parts:
        candidate["content"] = {"role": "model", "parts": list(parts)}
    if finish:
        candidate["finishReason"] = finish
    return {"candidates": [candidate], "responseId": "r1", **more}


def call(name: str = "quote", **more: Any) -> dict[str, Any]:
    return {"functionCall": {"name": name, "args": {"of": "X"}}, **more}


STREAM = [
    chunk({"text": "Let me ", "thought": True}, usageMetadata={"promptTokenCount": 50}),
    chunk({"text": "see.", "thought": True}),
    chunk({"text": "Grüße: "}, usageMetadata={"promptTokenCount": 50, "candidatesTokenCount": 9}),
    chunk({"text": "👋"}, {"text": ""}),
    chunk(call(thoughtSignature="c2ln"), call("trade")),
    chunk({"text": "", "thoughtSignature": "bGFzdA=="}, finish="STOP", usageMetadata=USAGE),
]


def read(pieces: Iterable[bytes]) -> list[Event]:
    reader = GEMINI.event_reader()
    events = [event for piece in pieces for event in reader.feed(piece)]
    return [*events, *reader.end()]


def whole(documents: list[dict[str, Any]]) -> Answer:
    return folded(read([b"".join(map(frame, documents))]), answer_id="r1")


def charged(pieces: Iterable[bytes]) -> Usage | None:
    """What a stream is settled by; None is: in full."""
    facts = EventFacts()
    reader = GEMINI.event_reader()
    try:
        for piece in pieces:
            for event in reader.feed(piece):
                facts.take(event)
        for event in reader.end():
            facts.take(event)
    except Unreadable:
        pass
    return facts.facts().usage


def test_a_stream_tells_its_parts_its_reason_and_its_bill() -> None:
    answer = whole(STREAM)
    first, second = answer.parts[3], answer.parts[4]
    assert answer.parts[:3] == (
        Thinking("Let me see.", origin="gemini"),
        Text("Grüße: 👋"),
        Thinking("", "c2ln", origin="gemini"),
    )
    assert isinstance(first, ToolCall)
    assert isinstance(second, ToolCall)
    assert (first.name, first.arguments) == ("quote", '{"of":"X"}')
    assert first.id != second.id
    assert (answer.finish, answer.provider_finish) == ("tool_calls", "STOP")
    assert answer.usage == CHARGED


def test_ids_are_made_of_the_answer_and_the_position_and_are_always_the_same() -> None:
    calls = [[p for p in whole(STREAM).parts if isinstance(p, ToolCall)] for _ in range(2)]
    assert calls[0] == calls[1]
    other = whole([{**document, "responseId": "r2"} for document in STREAM])
    ids = {p.id for p in other.parts if isinstance(p, ToolCall)}
    assert not ids & {made.id for made in calls[0]}
    own = whole([chunk({"functionCall": {"name": "f", "id": "abc"}}, finish="STOP")])
    assert own.parts == (ToolCall("abc", "f", "{}"),)


def test_cut_at_every_byte_it_is_the_same_stream() -> None:
    data = b"".join(map(frame, STREAM))
    meant = read([data])
    for position in range(len(data) + 1):
        assert read([data[:position], data[position:]]) == meant
    assert read(data[n : n + 1] for n in range(len(data))) == meant


@pytest.mark.parametrize("end", ["\n\n", "\r\n\r\n", "\r\r"])
def test_comments_pings_and_all_line_ends_are_one_stream(end: str) -> None:
    data = b"".join(b": ping" + end.encode() + frame(document, end) for document in STREAM)
    assert read([data]) == read([b"".join(map(frame, STREAM))])


def test_a_stream_that_was_cut_anywhere_is_charged_in_full() -> None:
    data = b"".join(map(frame, STREAM))
    for position in range(len(data.rstrip())):
        assert charged([data[:position]]) is None
    assert charged([data.rstrip()]) == CHARGED, "only the blank line was missing"


def test_a_last_chunk_without_its_bill_is_charged_in_full() -> None:
    last = {name: value for name, value in STREAM[-1].items() if name != "usageMetadata"}
    assert charged([b"".join(map(frame, [*STREAM[:-1], last]))]) is None


def test_a_smaller_count_later_takes_nothing_back() -> None:
    smaller = chunk(
        usageMetadata={
            "promptTokenCount": 1, "cachedContentTokenCount": 1, "candidatesTokenCount": 1
        }
    )  # fmt: skip
    usage = charged([b"".join(map(frame, [*STREAM, smaller]))])
    assert usage == CHARGED


def test_what_comes_after_the_end_takes_its_bill_back() -> None:
    more = chunk({"text": "and more"})
    assert charged([b"".join(map(frame, [*STREAM, more]))]) is None
    ended = chunk({"text": "and more"}, finish="STOP")
    assert charged([b"".join(map(frame, [*STREAM, ended]))]) is None
    told = chunk({"text": "and more"}, finish="STOP", usageMetadata=USAGE)
    assert charged([b"".join(map(frame, [STREAM[-1], *STREAM[:-1], told]))]) == CHARGED


@pytest.mark.parametrize("args", [b'{"a":"\xff"}', b"[1]", b'"{"', b"3", b'{"a":' + b"[" * 5000])
def test_arguments_that_are_no_object_of_text_are_unreadable(args: bytes) -> None:
    document = b'{"candidates":[{"content":{"parts":[{"functionCall":{"name":"f","args":%b}}]}}]}'
    with pytest.raises(Unreadable):
        GEMINI.event_reader().feed(b"data: " + document % args + b"\n\n")


@CALM
@given(st.permutations(STREAM))
def test_in_whatever_order_its_events_come_a_stream_is_billed_whole_or_in_full(
    shuffled: list[dict[str, Any]],
) -> None:
    assert charged([b"".join(map(frame, shuffled))]) in (None, CHARGED)


def test_an_error_inside_a_stream_is_told_and_ends_it_without_a_bill() -> None:
    data = b"".join(map(frame, [*STREAM, {"error": {"code": 503, "message": "Overloaded."}}]))
    events = read([data])
    assert events[-1] == Failed("Overloaded.")
    assert not any(isinstance(event, Ended) for event in events)
    assert charged([data]) is None


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("STOP", "stop"),
        ("MAX_TOKENS", "length"),
        ("SAFETY", "content_filter"),
        ("RECITATION", "content_filter"),
        ("MALFORMED_FUNCTION_CALL", "content_filter"),
        ("SOMETHING_NEW", "content_filter"),
    ],
)
def test_every_reason_to_finish_has_a_neutral_one(reason: str, finish: str) -> None:
    body = json.dumps(chunk({"text": "Hi"}, finish=reason, usageMetadata=USAGE)).encode()
    answer = GEMINI.read_answer(body)
    assert (answer.finish, answer.provider_finish, answer.id) == (finish, reason, "r1")
    assert answer.parts == (Text("Hi"),)


def test_a_prompt_that_was_blocked_is_an_answer_that_says_nothing_and_bills_its_input() -> None:
    blocked = {
        "promptFeedback": {"blockReason": "SAFETY"},
        "usageMetadata": {"promptTokenCount": 7, "totalTokenCount": 7},
        "responseId": "r1",
    }
    answer = GEMINI.read_answer(json.dumps(blocked).encode())
    assert (answer.parts, answer.finish) == ((), "content_filter")
    assert answer.usage == Usage(input=7)
    assert read([frame(blocked)])[-3:] == [
        Finished("content_filter", provider_finish="SAFETY"),
        Counted(Usage(input=7), is_final=True),
        Ended(),
    ]


NOT_ANSWERS = [
    {},
    {"candidates": []},
    {"candidates": [{"index": 0}]},
    chunk({"inlineData": {"mimeType": "image/png", "data": "x"}}, finish="STOP"),
    chunk({"functionCall": {"args": {}}}, finish="STOP"),
    chunk({"functionCall": {"name": "f", "args": [1]}}, finish="STOP"),
    chunk({"functionCall": {"name": "f", "willContinue": True}}, finish="STOP"),
    {"error": {"message": "x"}},
    [],
    5,
]


@pytest.mark.parametrize("document", NOT_ANSWERS, ids=str)
def test_what_is_no_answer_is_unreadable(document: object) -> None:
    with pytest.raises(Unreadable):
        GEMINI.read_answer(json.dumps(document).encode())


def test_an_event_without_end_is_given_up() -> None:
    with pytest.raises(Unreadable):
        read([b"data: " + b"x" * 2**20] * 10)


parts = st.one_of(
    st.builds(lambda text, thought: {"text": text, "thought": thought}, TEXT, st.booleans()),
    st.builds(call, st.sampled_from(["f", "g"])),
    st.builds(lambda name: call(name, thoughtSignature="c2ln"), st.sampled_from(["f", "g"])),
)
chunks = st.lists(st.lists(parts, max_size=3), min_size=1, max_size=5)


@CALM
@given(chunks, st.data())
def test_any_stream_reads_alike_whole_and_in_pieces(
    drawn: list[list[dict[str, Any]]], data: st.DataObject
) -> None:
    documents = [chunk(*each) for each in drawn]
    documents.append(chunk(finish="STOP", usageMetadata=USAGE))
    for document in documents:
        types.GenerateContentResponse.model_validate_json(json.dumps(document))
    raw = b"".join(map(frame, documents))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(raw)), max_size=6)))
    pieces = [raw[a:b] for a, b in zip([0, *cuts], [*cuts, len(raw)], strict=True)]
    assert read(pieces) == read([raw])
    streamed = folded(read(pieces), answer_id="r1")
    at_once = chunk(*[part for each in drawn for part in each], finish="STOP", usageMetadata=USAGE)
    assert GEMINI.read_answer(json.dumps(at_once).encode()) == streamed


@CALM
@given(st.lists(st.binary(max_size=40) | st.sampled_from([frame(c) for c in STREAM]), max_size=8))
def test_whatever_comes_it_is_events_or_unreadable(pieces: list[bytes]) -> None:
    usage = charged(pieces)
    assert usage is None or usage == CHARGED


KEYS = [
    *("candidates", "content", "parts", "text", "functionCall", "name", "args", "index", "error"),
    *("finishReason", "usageMetadata", "promptFeedback", "blockReason", "totalTokenCount"),
]
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXT,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(KEYS),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@CALM
@given(json_values)
def test_whatever_json_comes_it_is_an_answer_or_unreadable(value: Any) -> None:
    try:
        answer = GEMINI.read_answer(json.dumps(value).encode())
    except Unreadable:
        return
    assert answer.provider_finish


@pytest.mark.parametrize(
    ("record", "usage"),
    [
        (USAGE, CHARGED),
        ({"promptTokenCount": 5, "totalTokenCount": 5}, Usage(input=5)),
        ({"promptTokenCount": 5, "candidatesTokenCount": 2}, Usage(input=5, output=2)),
        (
            {"promptTokenCount": 5, "candidatesTokenCount": 2, "totalTokenCount": 17},
            Usage(input=5, output=12),
        ),
        (
            {
                "promptTokenCount": 5,
                "toolUsePromptTokenCount": 8,
                "candidatesTokenCount": 2,
                "totalTokenCount": 15,
            },
            Usage(input=13, output=2),
        ),
        (
            {"promptTokenCount": 5, "cachedContentTokenCount": 9, "totalTokenCount": 6},
            Usage(input=5, cached_input=9, output=1),
        ),
        ({"promptTokenCount": 5}, None),
        ({"candidatesTokenCount": 5, "totalTokenCount": 9}, None),
        ({"promptTokenCount": -1, "totalTokenCount": 9}, None),
        ({"promptTokenCount": 5, "totalTokenCount": "9"}, None),
        ({"promptTokenCount": True, "totalTokenCount": 9}, None),
        (None, None),
    ],
)
def test_usage_is_read_as_it_is_billed(record: object, usage: Usage | None) -> None:
    assert gemini_usage(record) == usage
