"""A stream of chat completion chunks is read the same however it was cut, and never too well."""

import random
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from signalbox_ledger.records import Usage
from signalbox_proxy.surfaces import CHAT
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
)
from signalbox_proxy.translation.contract import Unreadable
from signalbox_proxy.translation.conversation import Text, ToolCall
from signalbox_proxy.translation.facts import EventFacts
from signalbox_proxy.translation.openai_client import CHAT_CLIENT
from signalbox_proxy.translation.openai_provider import OPENAI
from signalbox_proxy.translation.whole import folded
from support.openai_conversations import answers, events_of, patient, pieces_of

DONE = b"data: [DONE]\n\n"
USAGE = {"prompt_tokens": 12, "completion_tokens": 3, "total_tokens": 15}
COUNTED = Usage(input=12, output=3)


def frame(document: Any) -> bytes:
    return b"data: " + msgspec.json.encode(document) + b"\n\n"


def chunk(delta: dict[str, Any] | None = None, finish: str | None = None, **more: Any) -> bytes:
    choice = {"index": 0, "delta": delta or {}, "finish_reason": finish}
    return frame({"id": "cmpl-1", "choices": [choice], **more})


def called(index: Any, arguments: str = "", **more: Any) -> bytes:
    function = {"arguments": arguments}
    if "name" in more:
        function["name"] = more.pop("name")
    return chunk({"tool_calls": [{"index": index, "function": function, **more}]})


def usage_chunk(usage: Any = USAGE) -> bytes:
    return frame({"id": "cmpl-1", "choices": [], "usage": usage})


def read(*pieces: bytes) -> list[Event]:
    reader = OPENAI.event_reader()
    events = [event for piece in pieces for event in reader.feed(piece)]
    return [*events, *reader.end()]


def well_formed(events: list[Event]) -> None:
    """Parts follow one another, numbered from 0, and nothing grows outside its part."""
    under_way: int | None = None
    begun = -1
    for event in events:
        if isinstance(event, PartBegins):
            assert under_way is None
            begun += 1
            under_way = event.index
            assert event.index == begun
        elif isinstance(event, PartGrows):
            assert event.index == under_way
        elif isinstance(event, PartEnds):
            assert event.index == under_way
            under_way = None
        elif isinstance(event, Finished):
            assert under_way is None


def written(answer: Answer) -> bytes:
    body = {
        "model": "m",
        "messages": [{"role": "user", "content": "a"}],
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    writer = CHAT_CLIENT.event_writer(CHAT.parse(body, {}), "x")
    return writer.start() + b"".join(writer.write(event) for event in events_of(answer))


@given(answers())
@patient
def test_a_stream_that_the_client_format_writes_is_read_as_it_was(answer: Answer) -> None:
    events = read(written(answer))
    well_formed(events)
    told = folded(events, answer_id="x")
    assert (told.parts, told.usage) == (answer.parts, answer.usage)
    assert isinstance(events[-1], Ended)


def test_a_stream_cut_at_any_byte_gives_the_same_events() -> None:
    stream = b"".join(
        [
            b": ping\r\n\r\n",
            chunk({"role": "assistant", "content": ""}),
            chunk({"reasoning_content": "hm"}),
            chunk({"content": "Grüße 世界 🙂"}).replace(b"\n", b"\r\n"),
            called(0, '{"a":', id="c1", name="add"),
            called(1, "{}", id="c2", name="sub"),
            called(0, "1}"),
            chunk(finish="tool_calls"),
            usage_chunk(),
            DONE,
        ]
    )
    whole = read(stream)
    assert isinstance(whole[-1], Ended)
    for cut in range(len(stream) + 1):
        assert read(stream[:cut], stream[cut:]) == whole
    assert read(*(stream[n : n + 1] for n in range(len(stream)))) == whole


def test_a_stream_that_stops_at_any_byte_is_never_a_whole_answer() -> None:
    stream = chunk({"content": "a"}, usage=USAGE) + chunk(finish="stop", usage=USAGE) + DONE
    for length in range(len(stream) - 2):
        events: list[Event] = []
        reader = OPENAI.event_reader()
        try:
            events += reader.feed(stream[:length])
            events += reader.end()
        except Unreadable:
            pass
        facts = EventFacts()
        for event in events:
            facts.take(event)
        assert not facts.facts().complete
        assert facts.facts().usage is None


def test_interleaved_calls_come_out_one_after_the_other() -> None:
    events = read(
        called(0, id="c1", name="add"),
        called(1, id="c2", name="sub"),
        called(1, '{"b":"}'),
        called(0, '{"a"'),
        called(1, '"}'),
        called(0, ":[1,{}]}"),
        chunk({"content": "done"}),
        chunk(finish="tool_calls"),
        DONE,
    )
    well_formed(events)
    answer = folded(events, answer_id="x")
    assert answer.parts == (
        ToolCall("c1", "add", '{"a":[1,{}]}'),
        ToolCall("c2", "sub", '{"b":"}"}'),
        Text("done"),
    )


@given(
    st.lists(st.dictionaries(st.text(max_size=4), st.text(max_size=6)), min_size=1, max_size=4),
    st.randoms(use_true_random=False),
)
@patient
def test_calls_keep_their_arguments_whatever_the_order_of_their_pieces(
    documents: list[dict[str, str]], chance: random.Random
) -> None:
    texts = [msgspec.json.encode(document).decode() for document in documents]
    waiting = [pieces_of(text, 2) for text in texts]
    stream = [called(n, id=f"c{n}", name="add") for n in range(len(texts))]
    while any(waiting):
        number = chance.choice([n for n, pieces in enumerate(waiting) if pieces])
        stream.append(called(number, waiting[number].pop(0)))
    events = read(*stream, chunk(finish="tool_calls"), DONE)
    well_formed(events)
    parts = folded(events, answer_id="x").parts
    assert [(p.id, p.arguments) for p in parts if isinstance(p, ToolCall)] == [
        (f"c{n}", text) for n, text in enumerate(texts)
    ]


def test_the_first_call_is_not_held_back() -> None:
    reader = OPENAI.event_reader()
    assert reader.feed(called(0, '{"a":', id="c1", name="add"))[1:] == [PartGrows(0, '{"a":')]
    assert reader.feed(called(0, "1}")) == [PartGrows(0, "1}")]
    assert reader.feed(called(1, "{", id="c2", name="sub")) == [
        PartEnds(0),
        PartBegins(1, "tool_call", id="c2", name="sub"),
        PartGrows(1, "{"),
    ]


@pytest.mark.parametrize("indexes", [(0, 0), (None, None), ("a", "b"), (7, 3)])
def test_calls_are_told_apart_by_id_where_indexes_do_not(indexes: tuple[Any, Any]) -> None:
    first, second = indexes
    events = read(
        called(first, "{}", id="c1", name="add"),
        called(second, "", id="c2", name="sub"),
        chunk(finish="stop"),
        DONE,
    )
    answer = folded(events, answer_id="x")
    assert answer.parts == (ToolCall("c1", "add", "{}"), ToolCall("c2", "sub", "{}"))
    assert answer.finish == "tool_calls"


def test_a_running_count_is_no_bill_until_the_stream_ends() -> None:
    events = read(chunk({"content": "a"}, usage=USAGE), chunk(finish="stop", usage=USAGE), DONE)
    counted = [event for event in events if isinstance(event, Counted)]
    assert [count.is_final for count in counted] == [False, False, True]
    assert counted[-1].usage == COUNTED


def test_the_usage_chunk_is_the_bill_at_once() -> None:
    events = read(chunk(finish="stop"), usage_chunk())
    assert events[-1] == Counted(COUNTED, is_final=True)


RUNNING = {"prompt_tokens": 12, "completion_tokens": 0, "total_tokens": 12}


@pytest.mark.parametrize(
    "stream",
    [
        usage_chunk(RUNNING) + chunk({"content": "a"}),
        chunk({"content": "a"}) + usage_chunk(RUNNING) + chunk({"content": "b"}),
        usage_chunk(RUNNING) + chunk({"content": "a"}) + chunk(finish="stop") + DONE,
        usage_chunk(RUNNING) + called(0, "{}", id="c1", name="f") + DONE,
    ],
)
def test_a_record_from_before_the_content_is_no_bill(stream: bytes) -> None:
    finals = [e.usage for e in read(stream) if isinstance(e, Counted) and e.is_final]
    assert finals in ([], [None])


def test_an_empty_piece_with_the_record_may_follow_the_finish() -> None:
    last = chunk({"role": "assistant", "content": ""}, usage=USAGE)
    events = read(chunk({"content": "a"}), chunk(finish="stop"), last, DONE)
    assert [e.usage for e in events if isinstance(e, Counted) and e.is_final] == [COUNTED]


def test_a_malformed_record_at_the_end_is_no_record() -> None:
    events = read(chunk(finish="stop", usage=USAGE), usage_chunk({"prompt_tokens": -1}), DONE)
    assert [e.usage for e in events if isinstance(e, Counted) and e.is_final] == [None]


def test_a_stream_without_a_record_is_told_to_have_none() -> None:
    assert Counted(None, is_final=True) in read(chunk(finish="stop"), DONE)


def test_an_error_inside_a_stream_is_told_without_its_key() -> None:
    error = frame({"error": {"message": "the key sk-abcdefghijklmnop is wrong"}})
    events = read(chunk({"content": "a"}), error, chunk({"content": "b"}), DONE)
    assert events[-1] == Failed("the key [removed] is wrong")


@pytest.mark.parametrize(
    "stream",
    [
        b"data: {\n\n",
        b"data: []\n\n",
        b"data: \xff\n\n",
        b"data: " + b"[" * 50_000 + b"\n\n",
        chunk(finish="stop") + chunk({"content": "more"}),
        called(0, "{}", id="a", name="n") + called(1, "{}", id="b", name="n") + called(0, "x"),
        called(0, "{}", id="a") + chunk(finish="stop"),
        b"".join(called(n, id=f"c{n}", name="n") for n in range(1100)),
    ],
)
def test_what_breaks_the_format_is_unreadable(stream: bytes) -> None:
    with pytest.raises(Unreadable):
        read(stream)


def test_what_comes_out_of_order_is_held_back_within_bounds() -> None:
    reader = OPENAI.event_reader()
    reader.feed(called(0, "{", id="a", name="n"))
    piece = called(1, "x" * 1_000_000, id="b", name="n")
    for _ in range(8):
        reader.feed(piece)
    with pytest.raises(Unreadable, match="out of order"):
        reader.feed(piece)


def test_an_endless_event_is_unreadable() -> None:
    reader = OPENAI.event_reader()
    for _ in range(8):
        reader.feed(b"x" * 1_000_000)
    with pytest.raises(Unreadable, match="larger than"):
        reader.feed(b"x" * 1_000_000)


_FRAMES = [
    chunk({"role": "assistant", "content": ""}),
    chunk({"content": "a"}),
    chunk({"reasoning": "b"}),
    chunk({"refusal": "c"}),
    called(0, "{", id="c1", name="add"),
    called(0, "}"),
    called(1, '{"a":"', id="c2", name="sub"),
    called(1, '"}'),
    called(2, "{}"),
    chunk(finish="stop"),
    chunk(finish="length", usage=USAGE),
    usage_chunk(),
    frame({"error": "no"}),
    frame({"choices": [{"index": 1, "delta": {"content": "z"}}]}),
    b": ping\n\n",
    b"event: x\n\n",
    DONE,
]


@given(st.lists(st.sampled_from(_FRAMES), max_size=14), st.lists(st.integers(0, 2000), max_size=5))
@patient
def test_events_in_any_order_give_events_or_are_unreadable(
    frames: list[bytes], cuts: list[int]
) -> None:
    stream = b"".join(frames)
    edges = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    pieces = [stream[start:end] for start, end in pairwise(edges)]
    try:
        events = read(stream)
    except Unreadable:
        with pytest.raises(Unreadable):
            read(*pieces)
        return
    well_formed(events)
    assert read(*pieces) == events
    finals = [event for event in events if isinstance(event, Counted) and event.is_final]
    assert all(final.usage in (None, COUNTED) for final in finals)
    if any(isinstance(event, Ended) for event in events) and (usage_chunk() in frames):
        bills = frames.index(usage_chunk()) < frames.index(DONE)
        assert not bills or finals[-1].usage == COUNTED
