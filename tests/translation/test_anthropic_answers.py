"""Answers in Anthropic's words, judged by its official client, whole and streamed."""

import itertools
import json
import re
from collections.abc import Iterable
from typing import Any

import anthropic
import httpx2
import msgspec
import pytest
from anthropic.types import Message
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from signalbox_ledger.records import Usage
from signalbox_proxy.model_request import ModelRequest
from signalbox_proxy.surfaces import COUNT_TOKENS, MESSAGES
from signalbox_proxy.surfaces.decoding import encode_body
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
from signalbox_proxy.translation.anthropic_client import ANTHROPIC_CLIENT
from signalbox_proxy.translation.anthropic_provider import ANTHROPIC
from signalbox_proxy.translation.contract import Unreadable
from signalbox_proxy.translation.conversation import Refused, Text, Thinking, ToolCall
from signalbox_proxy.translation.signatures import unseal
from support.anthropic_lane import LANE
from support.calm import CALM
from support.typed_json import OBJECT, TEXT

THINKS = {"thinking": {"type": "enabled", "budget_tokens": 1024}}
USAGE = Usage(
    input=11, cached_input=700, cache_write_5m=30, cache_write_1h=5, output=42, reasoning=9
)
counts = st.integers(0, 10**6)
usages = st.builds(Usage, counts, counts, counts, counts, st.integers(100, 10**6), st.just(60))
ids = st.text("abcXYZ019_-", min_size=1, max_size=12)
arguments = OBJECT.map(lambda value: encode_body(value).decode())
own_parts = st.one_of(
    st.builds(Text, TEXT),
    st.builds(Thinking, TEXT, TEXT, st.just(""), st.just("anthropic")),
    st.builds(Thinking, redacted=TEXT.filter(bool), origin=st.just("anthropic")),
    st.builds(ToolCall, ids, st.sampled_from(["quote", "trade"]), arguments),
)
parts = own_parts | st.one_of(
    st.builds(Refused, TEXT),
    st.builds(Thinking, TEXT, TEXT, st.just(""), st.sampled_from(["gemini", "openai", ""])),
    st.builds(ToolCall, TEXT, st.sampled_from(["quote"]), arguments),
)
finishes = st.sampled_from(["stop", "length", "tool_calls", "content_filter", "refusal"])


def asked(**changes: Any) -> ModelRequest:
    body = {"model": "sonnet", "max_tokens": 4096, "messages": [{"role": "user", "content": "Hi"}]}
    return MESSAGES.parse(body | changes, {})


def events_of(answer: Answer, usage: Usage | None, cut: int = 3) -> list[Event]:
    """The stream that a provider would have made of an answer."""
    events: list[Event] = []
    for index, part in enumerate(answer.parts):
        events += [begin(index, part), *grow(index, part, cut), PartEnds(index)]
    return [
        *events,
        Finished(answer.finish, answer.stop_sequence, answer.provider_finish),
        Counted(usage, is_final=True),
        Ended(),
    ]


def begin(index: int, part: Any) -> PartBegins:
    match part:
        case ToolCall():
            return PartBegins(index, "tool_call", part.id, part.name)
        case Thinking():
            return PartBegins(index, "thinking", redacted=part.redacted, origin=part.origin)
        case Refused():
            return PartBegins(index, "refusal")
    return PartBegins(index, "text")


def grow(index: int, part: Any, cut: int) -> Iterable[Event]:
    text = part.arguments if isinstance(part, ToolCall) else part.text
    yield from (PartGrows(index, text[at : at + cut]) for at in range(0, len(text), cut))
    if isinstance(part, Thinking) and part.signature:
        yield PartSigned(index, part.signature)


def streamed(request: ModelRequest, events: Iterable[Event]) -> bytes:
    writer = ANTHROPIC_CLIENT.event_writer(request, "msg_1")
    return writer.start() + b"".join(writer.write(event) for event in events)


def accumulated(stream: bytes) -> Message:
    """What the official client makes of a stream."""

    def answer(_: httpx2.Request) -> httpx2.Response:
        headers = {"content-type": "text/event-stream"}
        return httpx2.Response(200, headers=headers, content=stream)

    with (
        httpx2.Client(transport=httpx2.MockTransport(answer)) as connection,
        anthropic.Anthropic(api_key="k", http_client=connection, max_retries=0) as client,
        client.messages.stream(
            model="sonnet", max_tokens=99, messages=[{"role": "user", "content": "Hi"}]
        ) as stream_of_events,
    ):
        return stream_of_events.get_final_message()


def essence(message: Message) -> dict[str, Any]:
    """What whole and streamed answers share: lifetimes of cache writes are told whole only."""
    said = message.to_dict(exclude_unset=True)
    said["usage"].pop("cache_creation", None)  # type: ignore[attr-defined]
    for block in said["content"]:  # type: ignore[attr-defined]
        block.pop("parsed_output", None)
    said.pop("stop_details", None)
    return said


def read(stream: bytes, *, pieces: Iterable[int] = ()) -> list[Event]:
    """All that is heard of a provider's stream that is cut at some bytes."""
    reader = ANTHROPIC.event_reader()
    heard: list[Event] = []
    cuts = [0, *sorted(pieces), len(stream)]
    try:
        for start, end in itertools.pairwise(cuts):
            heard += reader.feed(stream[start:end])
        heard += reader.end()
    except Unreadable as fault:
        heard.append(Failed(f"unreadable: {fault}"))
    return heard


@CALM
@given(st.lists(parts, max_size=4), finishes, usages)
def test_a_whole_answer_is_a_message_by_the_official_types(
    said: list[Any], finish: Any, usage: Usage
) -> None:
    answer = Answer("x", tuple(said), finish, usage)
    raw = ANTHROPIC_CLIENT.write_answer(asked(**THINKS), answer, "msg_1")
    message = TypeAdapter(Message).validate_json(raw, strict=True)
    assert (message.id, message.model, message.role) == ("msg_1", "sonnet", "assistant")
    assert message.usage.input_tokens == usage.input
    assert message.usage.cache_read_input_tokens == usage.cached_input
    assert message.usage.cache_creation_input_tokens == usage.cache_write_5m + usage.cache_write_1h
    assert message.usage.output_tokens == usage.output
    assert len(message.content) == len(said)


@settings(CALM, max_examples=40)
@given(st.lists(parts, max_size=4), finishes, usages, st.booleans())
def test_a_streamed_answer_adds_up_to_the_whole_one(
    said: list[Any], finish: Any, usage: Usage, thinks: bool
) -> None:
    request = asked(**THINKS) if thinks else asked()
    answer = Answer("x", tuple(said), finish, usage)
    whole = Message.model_validate_json(ANTHROPIC_CLIENT.write_answer(request, answer, "msg_1"))
    assert essence(accumulated(streamed(request, events_of(answer, usage)))) == essence(whole)


@CALM
@given(st.lists(own_parts, max_size=4), finishes, usages)
def test_what_anthropic_says_is_read_as_it_was_said(
    said: list[Any], finish: Any, usage: Usage
) -> None:
    answer = Answer("msg_1", tuple(said), finish, usage)
    raw = ANTHROPIC_CLIENT.write_answer(asked(**THINKS), answer, "msg_1")
    heard = ANTHROPIC.read_answer(raw)
    assert heard.parts == answer.parts
    assert heard.usage == answer.usage
    assert heard.id == "msg_1"


@settings(CALM, max_examples=30)
@given(st.lists(own_parts, max_size=3), usages, st.data())
def test_a_stream_is_heard_alike_however_it_was_cut(
    said: list[Any], usage: Usage, data: st.DataObject
) -> None:
    answer = Answer("x", tuple(said), "stop", usage)
    stream = streamed(asked(**THINKS), events_of(answer, usage))
    whole = read(stream)
    assert isinstance(whole[-1], Ended)
    pieces = data.draw(st.lists(st.integers(0, len(stream))))
    assert read(stream, pieces=pieces) == whole


SAID = Answer(
    "x",
    (
        Thinking("Let me see.", "sig+/=", origin="anthropic"),
        Text("The price 🪙 is"),
        ToolCall("toolu_1", "quote", '{"symbol":"ACME"}'),
    ),
    "tool_calls",
    USAGE,
)
STREAM = streamed(asked(**THINKS), events_of(SAID, USAGE))
BILLED = msgspec.structs.replace(USAGE, cache_write_5m=35, cache_write_1h=0)
"""What the stream's totals say: they do not tell how long cache writes live."""


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"])
def test_a_cut_at_any_single_byte_changes_nothing(line_end: bytes) -> None:
    stream = b': comment\n\nevent: ping\ndata: {"type": "ping"}\n\n' + STREAM
    stream = stream.replace(b"\n", line_end)
    whole = read(stream)
    assert isinstance(whole[-1], Ended)
    for at in range(len(stream)):
        assert read(stream, pieces=[at]) == whole


def test_a_stream_that_breaks_off_is_never_counted_to_its_end() -> None:
    end_of_bill = STREAM.index(b"event: message_stop")
    for at in range(end_of_bill - 2):
        bills = [e for e in read(STREAM[:at]) if isinstance(e, Counted) and e.is_final]
        assert bills == []
    assert Counted(BILLED, is_final=True) in read(STREAM[:end_of_bill])


def test_what_comes_after_the_end_is_unreadable() -> None:
    end_of_bill = STREAM.index(b"event: message_stop")
    starts = [at.start() for at in re.finditer(b"event: content_block_(start|delta)", STREAM)]
    for start in starts:
        more = STREAM[start : STREAM.index(b"\n\n", start) + 2]
        heard = read(STREAM[:end_of_bill] + more)
        assert heard[-1] == Failed("unreadable: the answer goes on after its end")


@CALM
@given(st.permutations(STREAM.split(b"\n\n")[:-1]), st.integers(0, 20))
def test_events_out_of_order_never_make_the_bill_smaller(events: list[bytes], kept: int) -> None:
    stream = b"".join(event + b"\n\n" for event in events[:kept])
    direct = MESSAGES.stream_reader(asked())
    direct.feed(stream)
    heard = read(stream)
    bills = [event.usage for event in heard if isinstance(event, Counted) and event.is_final]
    assert direct.facts.usage in (None, BILLED)
    assert set(bills) <= {BILLED}


@CALM
@given(st.binary(max_size=200), st.integers(0, len(STREAM)))
def test_noise_in_a_stream_is_unreadable_at_worst(noise: bytes, at: int) -> None:
    stream = STREAM[:at] + noise + STREAM[at:]
    assert read(stream, pieces=[at, at + len(noise)]) == read(stream)


@CALM
@given(st.binary(max_size=300) | OBJECT.map(encode_body))
def test_what_is_no_message_is_unreadable(raw: bytes) -> None:
    with pytest.raises(Unreadable):
        ANTHROPIC.read_answer(raw)
    assert isinstance(ANTHROPIC.error_message(raw), str)


def test_arguments_that_came_whole_are_not_lost() -> None:
    start = {
        "type": "content_block_start",
        "index": 0,
        "content_block": {"type": "tool_use", "id": "t", "name": "quote", "input": {"a": 1}},
    }
    stop = {"type": "content_block_stop", "index": 0}
    stream = b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in (start, stop))
    assert PartGrows(0, '{"a": 1}') in read(stream)


def test_a_client_that_asked_for_no_thinking_finds_the_answer_first() -> None:
    said = (Thinking("Hm.", origin="openai"), Text("Yes."))
    answer = Answer("x", said, "stop", USAGE)
    whole = json.loads(ANTHROPIC_CLIENT.write_answer(asked(), answer, "msg_1"))
    assert [block["type"] for block in whole["content"]] == ["text"]


def test_a_signature_that_a_vendor_wants_back_with_a_result_is_kept_all_the_same() -> None:
    said = (Thinking("Hm.", "s1", origin="gemini"), ToolCall("t", "quote", "{}"))
    answer = Answer("x", said, "tool_calls", USAGE)
    whole = json.loads(ANTHROPIC_CLIENT.write_answer(asked(), answer, "msg_1"))
    kept = whole["content"][0]
    assert (kept["type"], kept["thinking"]) == ("thinking", "")
    assert unseal(kept["signature"], "anthropic") == ("gemini", "s1")


@pytest.mark.parametrize(("length", "number"), [(1, 20_000), (1_000_000, 9)])
def test_signatures_that_wait_for_a_call_are_bounded(length: int, number: int) -> None:
    part = PartBegins(0, "thinking", redacted="x" * length)
    with pytest.raises(Unreadable, match="signatures"):
        streamed(asked(), [part, PartEnds(0)] * number)


def test_thinking_goes_back_to_its_own_vendor_and_to_no_other() -> None:
    said = (Thinking("Hm.", "s1", origin="gemini"), Text("Yes."))
    raw = ANTHROPIC_CLIENT.write_answer(asked(**THINKS), Answer("x", said, "stop", USAGE), "m")
    again = asked(
        messages=[
            {"role": "user", "content": "Hi"},
            {"role": "assistant", "content": json.loads(raw)["content"]},
            {"role": "user", "content": "Go on."},
        ]
    )
    conversation = ANTHROPIC_CLIENT.read(again.body)
    assert conversation.turns[1].parts == said
    assert ANTHROPIC.write(conversation)["messages"][1]["content"] == [
        {"type": "text", "text": "Yes."}
    ]


@pytest.mark.parametrize("surface", [MESSAGES, COUNT_TOKENS], ids=lambda each: each.name)
def test_a_lane_of_the_client_s_own_format_is_not_sent_what_others_sealed(surface: Any) -> None:
    said = (
        Thinking("Hm.", "s1", origin="gemini"),
        Thinking(redacted="r1", origin="bedrock"),
        Thinking("So.", "own", origin="anthropic"),
        Text("Yes."),
    )
    raw = ANTHROPIC_CLIENT.write_answer(asked(**THINKS), Answer("x", said, "stop", USAGE), "m")
    content = json.loads(raw)["content"]
    messages = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": content},
        {"role": "assistant", "content": content[:2]},
        {"role": "user", "content": "Go on."},
    ]
    request = surface.parse(
        {"model": "m", "messages": messages} | ({"max_tokens": 9} if surface is MESSAGES else {}),
        {},
    )
    sent = json.loads(surface.upstream_body(request, LANE, None))["messages"]
    assert sent == [messages[0], {"role": "assistant", "content": content[2:]}, messages[3]]
    assert request.body["messages"] == messages


def test_a_server_that_forgets_to_say_tool_calls_is_put_right() -> None:
    answer = Answer("x", (ToolCall("t", "quote", "{}"),), "stop", USAGE)
    whole = json.loads(ANTHROPIC_CLIENT.write_answer(asked(), answer, "msg_1"))
    assert whole["stop_reason"] == "tool_use"
    assert accumulated(streamed(asked(), events_of(answer, USAGE))).stop_reason == "tool_use"


def test_a_refusal_is_told_as_one() -> None:
    answer = Answer("x", (Refused("I will not."),), "stop", USAGE)
    message = accumulated(streamed(asked(), events_of(answer, USAGE)))
    assert message.stop_reason == "refusal"
    assert message.content[0].to_dict()["text"] == "I will not."


def test_arguments_that_were_cut_off_do_not_lose_the_answer() -> None:
    answer = Answer("x", (Text("So:"), ToolCall("t", "quote", '{"symbol": "AC')), "length", USAGE)
    whole = json.loads(ANTHROPIC_CLIENT.write_answer(asked(), answer, "msg_1"))
    assert whole["content"][1]["input"] == {"INVALID_JSON": '{"symbol": "AC'}
    assert whole["stop_reason"] == "max_tokens"


def test_an_error_in_a_stream_is_raised_by_the_official_client() -> None:
    stream = streamed(asked(), [PartBegins(0, "text"), PartGrows(0, "So"), Failed("no room")])
    with pytest.raises(anthropic.APIStatusError, match="no room"):
        accumulated(stream)


def test_nothing_follows_an_error_in_a_stream() -> None:
    writer = ANTHROPIC_CLIENT.event_writer(asked(), "msg_1")
    assert b"event: error" in writer.write(Failed("no room"))
    more = [PartBegins(0, "text"), PartGrows(0, "So"), Finished("stop"), Ended(), Failed("again")]
    assert b"".join(map(writer.write, more)) == b""


def test_the_clients_own_ids_match_where_the_provider_took_others() -> None:
    answer = Answer("x", (ToolCall("call:1/é", "quote", "{}"),), "tool_calls", USAGE)
    block = json.loads(ANTHROPIC_CLIENT.write_answer(asked(), answer, "msg_1"))["content"][0]
    assert re.fullmatch("[a-zA-Z0-9_-]{8}", block["id"])
    assert block["id"] == accumulated(streamed(asked(), events_of(answer, USAGE))).content[0].id  # type: ignore[union-attr]
