"""Responses as a client's format: read whole, answered as the official SDK expects."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai import omit
from openai.lib.streaming.responses._responses import ResponseStreamState
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from signalbox_ledger.records import Usage
from signalbox_proxy.model_request import ModelRequest
from signalbox_proxy.refusals import Refusal
from signalbox_proxy.surfaces import RESPONSES
from signalbox_proxy.surfaces.sse import EventSplitter, data_of, fields_of
from signalbox_proxy.surfaces.usage import responses_usage
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
from signalbox_proxy.translation.contract import Unreadable, Untranslatable
from signalbox_proxy.translation.conversation import (
    Conversation,
    Image,
    OutputSchema,
    Reasoning,
    Refused,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    Turn,
)
from signalbox_proxy.translation.responses_client import RESPONSES_CLIENT
from support.openai_conversations import answers, events_of, patient

EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
ANSWER_ID = "r_01hzzzzzzzzzzzzzzzzzzzzzzz"
ADD = {"type": "function", "name": "add", "parameters": {"type": "object"}, "strict": False}


def body(*items: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"model": "large", "input": list(items) or "hello", **more}


def request(*items: dict[str, Any], **more: Any) -> ModelRequest:
    return RESPONSES.parse(body(*items, **more), {})


def read(*items: dict[str, Any], **more: Any) -> Conversation:
    return RESPONSES_CLIENT.read(request(*items, **more).body)


def call(identity: str, name: str = "add", arguments: str = "{}") -> dict[str, Any]:
    return {"type": "function_call", "call_id": identity, "name": name, "arguments": arguments}


def whole(asked: ModelRequest, answer: Answer) -> Response:
    document = msgspec.json.decode(RESPONSES_CLIENT.write_answer(asked, answer, ANSWER_ID))
    return Response.model_validate(document)


def streamed(asked: ModelRequest, events: list[Event]) -> list[dict[str, Any]]:
    writer = RESPONSES_CLIENT.event_writer(asked, ANSWER_ID)
    sent = writer.start() + b"".join(writer.write(event) for event in events)
    told = []
    for frame in EventSplitter().split(sent):
        document = msgspec.json.decode(data_of(frame))
        assert dict(fields_of(frame))[b"event"].decode() == document["type"]
        EVENT.validate_python(document)
        told.append(document)
    assert [event["sequence_number"] for event in told] == list(range(len(told)))
    return told


def test_items_become_turns() -> None:
    conversation = read(
        {"role": "developer", "content": "second"},
        {"role": "user", "content": "add"},
        call("c1"),
        {"type": "function_call", "call_id": "c2", "name": "sub", "arguments": ""},
        {"type": "function_call_output", "call_id": "c1", "output": "1"},
        {
            "type": "function_call_output",
            "call_id": "c2",
            "output": [{"type": "input_image", "image_url": "data:image/png;base64,AA"}],
        },
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "so"}]},
        instructions="first",
    )
    assert conversation.system == (Text("first"), Text("second"))
    assert conversation.turns == (
        Turn("user", (Text("add"),)),
        Turn("assistant", (ToolCall("c1", "add", "{}"), ToolCall("c2", "sub", "{}"))),
        Turn(
            "user",
            (
                ToolResult("c1", "add", (Text("1"),)),
                ToolResult("c2", "sub", (Image(media_type="image/png", data="AA"),)),
                Text("so"),
            ),
        ),
    )


def test_settings_are_read() -> None:
    conversation = read(
        tools=[ADD],
        tool_choice={"type": "function", "name": "add"},
        parallel_tool_calls=False,
        reasoning={"effort": "low"},
        text={"format": {"type": "json_schema", "name": "a", "schema": {}, "strict": True}},
        user="avery",
    )
    assert conversation.tools == (Tool("add", "", {"type": "object"}),)
    assert conversation.tool_choice == ToolChoice("tool", "add")
    assert conversation.parallel_tools is False
    assert conversation.reasoning == Reasoning(effort="low", visible=False)
    assert conversation.output == OutputSchema("a", {}, strict=True)
    assert read(reasoning={"summary": "auto"}).reasoning == Reasoning()
    assert read(text={"format": {"type": "json_object"}}).output == OutputSchema("", None)
    assert read(tool_choice="auto").tool_choice is None


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        (body(top_logprobs=2), "top_logprobs"),
        (body(truncation="auto"), "truncation"),
        (body(text={"verbosity": "low"}), "text.verbosity"),
        (body(reasoning={"context": "all_turns"}), "reasoning.context"),
        (body(tools=[{"type": "custom", "name": "sql"}]), "tools[0]"),
        (body(tool_choice="required"), "tool_choice"),
        (body(tools=[ADD], tool_choice={"type": "allowed_tools"}), "tool_choice"),
        (body({"type": "custom_tool_call", "call_id": "c", "name": "a", "input": ""}), "input[0]"),
        (
            body({"type": "function_call_output", "call_id": "lost", "output": ""}),
            "input[0].call_id",
        ),
        (
            body(
                {"role": "system", "content": [{"type": "input_image", "image_url": "https://a"}]}
            ),
            "input[0].content[0]",
        ),
    ],
)
def test_what_only_openai_knows_is_refused_by_its_name(asked: dict[str, Any], field: str) -> None:
    with pytest.raises(Untranslatable) as refused:
        RESPONSES_CLIENT.read(RESPONSES.parse(asked, {}).body)
    assert refused.value.field == field


THOUGHTS = [
    Thinking("hm", "signed", origin="anthropic"),
    Thinking("", "", "encrypted", origin="bedrock"),
    Thinking("open", origin="openai"),
    Thinking("of ours", "s.r.x", origin="gemini"),
]


@pytest.mark.parametrize("thought", THOUGHTS)
def test_reasoning_finds_its_way_back_to_its_vendor(thought: Thinking) -> None:
    answer = Answer("x", (thought, Text("yes")), "stop", None)
    item = msgspec.json.decode(RESPONSES_CLIENT.write_answer(request(), answer, ANSWER_ID))
    conversation = read({"role": "user", "content": "a"}, *item["output"])
    assert conversation.turns[1].parts == (thought, Text("yes"))


def test_openais_own_reasoning_is_for_nobody_else() -> None:
    own = {
        "type": "reasoning",
        "id": "rs",
        "summary": [{"type": "summary_text", "text": "hm"}],
        "encrypted_content": "gAAAA",
    }
    assert read(own).turns[0].parts == (Thinking("hm", redacted="gAAAA", origin="responses"),)


@given(answers())
@patient
def test_whole_answers_are_what_the_official_client_expects(answer: Answer) -> None:
    response = whole(request(tools=[ADD], temperature=0.5), answer)
    texts = [part.text for part in answer.parts if isinstance(part, Text)]
    assert response.output_text == "".join(texts)
    told = [
        (item.call_id, item.name, item.arguments)
        for item in response.output
        if item.type == "function_call"
    ]
    calls = [part for part in answer.parts if isinstance(part, ToolCall)]
    assert told == [(part.id, part.name, part.arguments) for part in calls]
    assert response.usage is not None
    assert responses_usage(response.usage.model_dump(), "implicit") == answer.usage
    assert (response.model, response.temperature, response.store) == ("large", 0.5, False)  # type: ignore[attr-defined]
    assert response.created_at > 0
    assert response.status in ("completed", "incomplete")


@given(answers())
@patient
def test_a_stream_says_what_the_whole_answer_says(answer: Answer) -> None:
    asked = request(stream=True)
    told = streamed(asked, events_of(answer))
    state: ResponseStreamState[Any] = ResponseStreamState(input_tools=omit, text_format=omit)
    for event in told:
        state.handle_event(EVENT.validate_python(event))
    assert told[-1]["response"] == msgspec.json.decode(
        RESPONSES_CLIENT.write_answer(asked, answer, ANSWER_ID)
    )


def test_signatures_go_out_with_the_item_that_they_sign() -> None:
    told = streamed(
        request(stream=True),
        [
            PartBegins(0, "thinking", origin="anthropic"),
            PartGrows(0, "hm"),
            PartSigned(0, "sig"),
            PartEnds(0),
            PartBegins(1, "thinking", redacted="enc", origin="anthropic"),
            PartEnds(1),
            Finished("stop"),
            Counted(Usage(input=1, output=2), is_final=True),
            Ended(),
        ],
    )
    done = [event["item"] for event in told if event["type"] == "response.output_item.done"]
    assert [item["encrypted_content"] for item in done] == [
        "sb1.anthropic.s.sig",
        "sb1.anthropic.r.enc",
    ]


def test_an_error_ends_the_stream_and_nothing_follows() -> None:
    told = streamed(request(stream=True), [Failed("broken"), Finished("stop"), Ended()])
    assert told[-1]["type"] == "error"
    assert told[-1]["message"] == told[-1]["error"]["message"] == "broken"


def test_an_end_without_a_reason_has_failed() -> None:
    told = streamed(request(stream=True), [Ended()])
    assert told[-1]["type"] == "response.failed"


@pytest.mark.parametrize(
    ("answer", "status", "reason"),
    [
        (Answer("x", (Text("a"),), "length", None), "incomplete", "max_output_tokens"),
        (Answer("x", (Text("a"),), "content_filter", None), "incomplete", "content_filter"),
        (Answer("x", (), "refusal", None), "incomplete", "content_filter"),
        (Answer("x", (Refused("no"),), "refusal", None), "completed", None),
        (Answer("x", (ToolCall("a", "b", "{}"),), "tool_calls", None), "completed", None),
    ],
)
def test_the_end_is_told_in_openais_words(answer: Answer, status: str, reason: str | None) -> None:
    response = whole(request(), answer)
    details = response.incomplete_details
    assert (response.status, details.reason if details else None) == (status, reason)


def test_an_answer_beyond_all_bounds_is_not_collected() -> None:
    writer = RESPONSES_CLIENT.event_writer(request(stream=True), ANSWER_ID)
    writer.write(PartBegins(0, "text"))
    piece = PartGrows(0, "x" * 8 * 1024 * 1024)
    for _ in range(7):
        writer.write(piece)
    with pytest.raises(Unreadable, match="longer than"):
        writer.write(piece)


def test_what_is_kept_of_reasoning_until_the_end_is_bounded_too() -> None:
    long = "x" * 8 * 1024 * 1024
    signed = RESPONSES_CLIENT.event_writer(request(stream=True), ANSWER_ID)
    signed.write(PartBegins(0, "thinking", origin="bedrock"))
    for _ in range(7):
        signed.write(PartSigned(0, long))
    with pytest.raises(Unreadable, match="longer than"):
        signed.write(PartSigned(0, long))
    redacted = RESPONSES_CLIENT.event_writer(request(stream=True), ANSWER_ID)
    for index in range(7):
        redacted.write(PartBegins(index, "thinking", redacted=long))
    with pytest.raises(Unreadable, match="longer than"):
        redacted.write(PartBegins(7, "thinking", redacted=long))


def test_the_last_signature_of_a_thought_is_the_one_that_goes_back() -> None:
    told = streamed(
        request(stream=True, include=["reasoning.encrypted_content"]),
        [
            PartBegins(0, "thinking", origin="anthropic"),
            PartGrows(0, "Hm."),
            PartSigned(0, "first"),
            PartSigned(0, "last"),
            PartEnds(0),
            Finished("stop"),
            Counted(Usage(), is_final=True),
            Ended(),
        ],
    )
    once = streamed(
        request(stream=True, include=["reasoning.encrypted_content"]),
        [
            PartBegins(0, "thinking", origin="anthropic"),
            PartGrows(0, "Hm."),
            PartSigned(0, "last"),
            PartEnds(0),
            Finished("stop"),
            Counted(Usage(), is_final=True),
            Ended(),
        ],
    )
    (item,), (alone,) = told[-1]["response"]["output"], once[-1]["response"]["output"]
    assert item["encrypted_content"] == alone["encrypted_content"]


_TEXT = st.text(max_size=4)
_PART = st.one_of(
    st.fixed_dictionaries({"type": st.just("input_text"), "text": _TEXT}),
    st.fixed_dictionaries({"type": st.just("output_text"), "text": _TEXT}),
    st.fixed_dictionaries({"type": st.just("refusal"), "refusal": _TEXT}),
    st.fixed_dictionaries(
        {"type": st.just("input_image"), "image_url": st.text(min_size=1, max_size=30)}
    ),
)
_ITEM = st.one_of(
    st.fixed_dictionaries(
        {
            "role": st.sampled_from(["system", "developer", "user", "assistant"]),
            "content": _TEXT | st.lists(_PART, min_size=1, max_size=3),
        }
    ),
    st.fixed_dictionaries(
        {
            "type": st.just("function_call"),
            "call_id": st.sampled_from(["a", "b"]),
            "name": _TEXT,
            "arguments": _TEXT,
        }
    ),
    st.fixed_dictionaries(
        {
            "type": st.just("function_call_output"),
            "call_id": st.sampled_from(["a", "b"]),
            "output": _TEXT | st.lists(_PART, max_size=2),
        }
    ),
    st.fixed_dictionaries(
        {
            "type": st.just("reasoning"),
            "summary": st.lists(
                st.fixed_dictionaries({"type": st.just("summary_text"), "text": _TEXT}), max_size=2
            ),
        },
        optional={"encrypted_content": st.sampled_from(["sb1.", "sb1.x.", "sb1.a.r", "gAAA", ""])},
    ),
)


@given(st.lists(_ITEM, min_size=1, max_size=5))
@patient
def test_whatever_the_surface_accepts_is_read_or_refused_by_name(
    items: list[dict[str, Any]],
) -> None:
    try:
        accepted = request(*items)
    except Refusal:
        return
    try:
        conversation = RESPONSES_CLIENT.read(accepted.body)
    except Untranslatable as refused:
        named = bool(refused.field and refused.why)
    else:
        named = all(turn.parts for turn in conversation.turns)
    assert named
