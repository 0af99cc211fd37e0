"""What a client or a provider sends costs work in proportion to its length, however it is made."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from signalbox_proxy.surfaces import CHAT
from signalbox_proxy.translation import anthropic_writing, bedrock_content
from signalbox_proxy.translation.answer import PartBegins, PartEnds, PartGrows
from signalbox_proxy.translation.contract import Unreadable
from signalbox_proxy.translation.conversation import Document, Text, ToolResult, Turn
from signalbox_proxy.translation.openai_client import CHAT_CLIENT
from signalbox_proxy.translation.openai_provider import OPENAI
from support.timing import cpu_s, least

TIMES = 8
BOUND = 16
"""Work of `TIMES` the length: 8 times as much if it is linear, up to 64 if it is quadratic."""


def frame(delta: dict[str, Any]) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": None}
    return b"data: " + json.dumps({"id": "a", "choices": [choice]}).encode() + b"\n\n"


def text_behind_an_open_call(pieces: int) -> Callable[[], object]:
    """One event of many pieces, which all wait for a call that never closes."""
    call = {"index": 0, "id": "c", "function": {"name": "f", "arguments": "{"}}
    parts = [{"type": "text", "text": "x"}] * pieces
    stream = frame({"tool_calls": [call]}) + frame({"content": parts}) + b"data: [DONE]\n\n"
    return lambda: OPENAI.event_reader().feed(stream)


def untitled_documents(documents: int) -> Callable[[], object]:
    said = Turn("user", (Text("Read."), *[Document("a")] * documents))
    return lambda: bedrock_content.messages([said])


def old_functions_without_results(calls: int) -> Callable[[], object]:
    """Calls of which half are answered, by the name of the function and by nothing else."""
    called = {"role": "assistant", "content": None}
    messages = [
        {"role": "user", "content": "a"},
        *[{**called, "function_call": {"name": "f", "arguments": "{}"}}] * calls,
        *[{"role": "function", "name": "f", "content": "1"}] * (calls // 2),
    ]
    asked = CHAT.parse({"model": "m", "messages": messages}, {})
    return lambda: CHAT_CLIENT.read(asked.body)


def blank_turns_between_results(turns: int) -> Callable[[], object]:
    """Turns of the user that become one because nothing is left of what lies between them."""
    said = [
        Turn("user", (ToolResult("a", "f", (Text("1"),)),)),
        Turn("assistant", (Text(" "),)),
    ] * turns
    return lambda: anthropic_writing.write_messages(said)


@pytest.mark.parametrize(
    ("work", "length"),
    [
        (text_behind_an_open_call, 20_000),
        (untitled_documents, 250),
        (old_functions_without_results, 250),
        (blank_turns_between_results, 500),
    ],
)
def test_work_grows_as_the_length_does(
    work: Callable[[int], Callable[[], object]], length: int
) -> None:
    short, long = work(length), work(length * TIMES)
    assert least(lambda: cpu_s(long) / cpu_s(short), BOUND) < BOUND


def test_pieces_that_wait_go_out_as_one_and_as_they_came() -> None:
    call = {"index": 0, "id": "c", "function": {"name": "f", "arguments": "{"}}
    reader = OPENAI.event_reader()
    reader.feed(frame({"tool_calls": [call]}))
    for piece in ("a", "\r\n", "b"):
        assert reader.feed(frame({"content": piece})) == []
    rest = {"index": 0, "function": {"arguments": "}"}}
    assert reader.feed(frame({"tool_calls": [rest]})) == [
        PartGrows(0, "}"),
        PartEnds(0),
        PartBegins(1, "text"),
        PartGrows(1, "a\r\nb"),
    ]


def test_what_waits_is_bounded_by_its_objects_too() -> None:
    """Kinds that take turns make a part of every letter."""
    call = {"index": 0, "id": "c", "function": {"name": "f", "arguments": "{"}}
    reader = OPENAI.event_reader()
    reader.feed(frame({"tool_calls": [call]}))
    many = frame({"content": "a", "reasoning_content": "b"}) * 20_000
    with pytest.raises(Unreadable, match="out of order"):
        reader.feed(many)


def test_each_document_has_a_name_of_its_own() -> None:
    titles = ["a", "a (2)", "a", "a", "", "a (2)", "document", "a"]
    said = Turn("user", (Text("Read."), *(Document("x", title) for title in titles)))
    (message,) = bedrock_content.messages([said])
    names = [block["document"]["name"] for block in message["content"][1:]]
    assert names == [
        *("a", "a (2)", "a (3)", "a (4)"),
        *("document", "a (2) (2)", "document (2)", "a (5)"),
    ]
