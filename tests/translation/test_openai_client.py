"""Chat completions as a client's format: read whole, answered as the official SDK expects."""

from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from signalbox_ledger.records import Usage
from signalbox_proxy.model_request import ModelRequest
from signalbox_proxy.refusals import Refusal
from signalbox_proxy.surfaces import CHAT
from signalbox_proxy.surfaces.sse import EventSplitter, data_of
from signalbox_proxy.surfaces.usage import openai_usage
from signalbox_proxy.translation.answer import Answer, Ended, Failed, Finished
from signalbox_proxy.translation.contract import Untranslatable
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
from signalbox_proxy.translation.openai_client import CHAT_CLIENT
from signalbox_proxy.translation.openai_messages import NO_ARGUMENTS
from support.openai_conversations import answers, events_of, patient

ANSWER_ID = "r_01hzzzzzzzzzzzzzzzzzzzzzzz"
ADD = {"type": "function", "function": {"name": "add", "parameters": {"type": "object"}}}


def body(*messages: dict[str, Any], **more: Any) -> dict[str, Any]:
    said = list(messages) or [{"role": "user", "content": "hello"}]
    return {"model": "large", "messages": said, **more}


def read(*messages: dict[str, Any], **more: Any) -> Conversation:
    asked = body(*messages, **more)
    return CHAT_CLIENT.read(CHAT.parse(asked, {}).body)


def request(**more: Any) -> ModelRequest:
    return CHAT.parse(body(**more), {})


def call(identity: str, name: str = "add", arguments: str = "{}") -> dict[str, Any]:
    return {"id": identity, "type": "function", "function": {"name": name, "arguments": arguments}}


def whole(asked: ModelRequest, answer: Answer) -> ChatCompletion:
    document = msgspec.json.decode(CHAT_CLIENT.write_answer(asked, answer, ANSWER_ID))
    return ChatCompletion.model_validate(document, strict=True)


def streamed(asked: ModelRequest, answer: Answer) -> tuple[list[ChatCompletionChunk], bytes]:
    writer = CHAT_CLIENT.event_writer(asked, ANSWER_ID)
    sent = writer.start() + b"".join(writer.write(event) for event in events_of(answer))
    frames = [data_of(event) for event in EventSplitter().split(sent)]
    assert frames.pop() == b"[DONE]"
    chunks = [msgspec.json.decode(frame) for frame in frames]
    return [ChatCompletionChunk.model_validate(chunk, strict=True) for chunk in chunks], sent


def test_instructions_lead_wherever_they_stood() -> None:
    conversation = read(
        {"role": "developer", "content": "first"},
        {"role": "user", "content": "hello"},
        {"role": "system", "content": [{"type": "text", "text": "second"}]},
        {"role": "user", "content": "again"},
    )
    assert conversation.system == (Text("first"), Text("second"))
    assert conversation.turns == (Turn("user", (Text("hello"), Text("again"))),)


def test_answers_of_tools_are_the_users_and_carry_the_name_of_their_tool() -> None:
    conversation = read(
        {"role": "user", "content": "add"},
        {"role": "assistant", "content": "", "tool_calls": [call("c1"), call("c2", "subtract")]},
        {"role": "tool", "tool_call_id": "c2", "content": "2", "name": "whatever"},
        {"role": "tool", "tool_call_id": "c1", "content": [{"type": "text", "text": "1"}]},
        {"role": "user", "content": "thanks"},
    )
    assert [turn.role for turn in conversation.turns] == ["user", "assistant", "user"]
    assert conversation.turns[1].parts == (
        ToolCall("c1", "add", "{}"),
        ToolCall("c2", "subtract", "{}"),
    )
    assert conversation.turns[2].parts == (
        ToolResult("c2", "subtract", (Text("2"),)),
        ToolResult("c1", "add", (Text("1"),)),
        Text("thanks"),
    )


def test_the_old_form_of_functions_is_read_as_tools() -> None:
    conversation = read(
        {"role": "user", "content": "add"},
        {"role": "assistant", "function_call": {"name": "add", "arguments": '{"a":1}'}},
        {"role": "function", "name": "add", "content": "1"},
        functions=[{"name": "add"}],
        function_call={"name": "add"},
    )
    called = conversation.turns[1].parts[0]
    answered = conversation.turns[2].parts[0]
    assert isinstance(called, ToolCall)
    assert isinstance(answered, ToolResult)
    assert (called.id, called.name) == (answered.call_id, answered.name)
    assert conversation.tools == (Tool("add", "", NO_ARGUMENTS),)
    assert conversation.tool_choice == ToolChoice("tool", "add")
    assert conversation.parallel_tools is False


def test_images_cache_points_refusals_and_reasoning_are_read() -> None:
    mark = {"mode": "explicit", "ttl": "12h"}
    conversation = read(
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "look", "prompt_cache_breakpoint": mark},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
                {"type": "image_url", "image_url": {"url": "https://a.example", "detail": "low"}},
            ],
        },
        {"role": "assistant", "reasoning_content": "hm", "content": "no", "refusal": "never"},
    )
    assert conversation.turns[0].parts == (
        Text("look", cache="1h"),
        Image(media_type="image/png", data="AAAA"),
        Image(url="https://a.example", detail="low"),
    )
    assert conversation.turns[1].parts == (
        Thinking("hm", origin="openai"),
        Text("no"),
        Refused("never"),
    )


def test_formats_effort_stops_and_users_are_read() -> None:
    schema = {"name": "reply", "schema": {"type": "object"}, "strict": True}
    conversation = read(
        response_format={"type": "json_schema", "json_schema": schema},
        reasoning_effort="high",
        stop="end",
        user="avery",
        safety_identifier="hash",
        temperature=0.5,
    )
    assert conversation.output == OutputSchema("reply", {"type": "object"}, strict=True)
    assert conversation.reasoning == Reasoning(effort="high")
    assert (conversation.stop, conversation.user) == (("end",), "hash")
    assert read(response_format={"type": "json_object"}).output == OutputSchema("", None)
    assert read(response_format={"type": "text"}).output is None


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("logit_bias", {"1": 1}),
        ("logprobs", True),
        ("n", 2),
        ("min_p", 0.1),
        ("repetition_penalty", 1.1),
        ("verbosity", "low"),
        ("tool_choice", "required"),
        ("tool_choice", {"type": "allowed_tools"}),
        ("tool_choice", {"type": "function", "function": {"name": "lost"}}),
    ],
)
def test_what_only_openai_knows_is_refused_by_its_name(field: str, value: Any) -> None:
    with pytest.raises(Untranslatable) as refused:
        read(**{field: value})
    assert refused.value.field == field


@pytest.mark.parametrize(
    ("message", "field"),
    [
        ({"role": "user", "content": "a", "name": "avery"}, "messages[0].name"),
        ({"role": "tool", "tool_call_id": "lost", "content": "a"}, "messages[0].tool_call_id"),
        ({"role": "function", "name": "lost", "content": "a"}, "messages[0].name"),
        ({"role": "user", "content": "a", "tool_calls": [call("c")]}, "messages[0].tool_calls"),
        (
            {"role": "user", "content": [{"type": "refusal", "refusal": "a"}]},
            "messages[0].content[0]",
        ),
        (
            {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "file:///a"}}]},
            "messages[0].content[0].image_url.url",
        ),
        (
            {
                "role": "assistant",
                "tool_calls": [{"id": "c", "type": "custom", "custom": {"name": "a", "input": ""}}],
            },
            "messages[0].tool_calls[0]",
        ),
    ],
)
def test_what_only_openai_understands_in_a_message_is_refused(
    message: dict[str, Any], field: str
) -> None:
    with pytest.raises(Untranslatable) as refused:
        read(message)
    assert refused.value.field == field


def test_custom_tools_are_refused() -> None:
    with pytest.raises(Untranslatable, match=r"tools\[1\]: a custom tool"):
        read(tools=[ADD, {"type": "custom", "custom": {"name": "free"}}])


def test_what_changes_no_answer_is_left_out() -> None:
    advice = {
        "store": True,
        "prompt_cache_key": "k",
        "metadata": {"a": "b"},
        "service_tier": "auto",
        "logprobs": False,
        "verbosity": "medium",
        "n": 1,
    }
    assert read(**advice) == read()


@given(answers())
@patient
def test_whole_answers_are_what_the_official_client_expects(answer: Answer) -> None:
    completion = whole(request(), answer)
    choice = completion.choices[0]
    texts = [part.text for part in answer.parts if isinstance(part, Text)]
    calls = [part for part in answer.parts if isinstance(part, ToolCall)]
    thoughts = "".join(part.text for part in answer.parts if isinstance(part, Thinking))
    assert (choice.message.content or "") == "".join(texts)
    assert [
        (made.id, made.function.name, made.function.arguments)
        for made in choice.message.tool_calls or ()
        if made.type == "function"
    ] == [(part.id, part.name, part.arguments) for part in calls]
    assert getattr(choice.message, "reasoning_content", "") == thoughts
    assert completion.model == "large"
    assert completion.created > 0
    assert completion.usage is not None
    assert openai_usage(completion.usage.model_dump(), "implicit") == answer.usage


@given(answers())
@patient
def test_a_stream_says_what_the_whole_answer_says(answer: Answer) -> None:
    asked = request(stream=True, stream_options={"include_usage": True})
    chunks, _ = streamed(asked, answer)
    state: ChatCompletionStreamState[None] = ChatCompletionStreamState()
    for chunk in chunks:
        state.handle_chunk(chunk)
    told = state.current_completion_snapshot.model_dump(exclude_none=True)
    expected = whole(asked, answer).model_dump(exclude_none=True)
    message = told["choices"][0]["message"]
    for made in message.get("tool_calls", ()):
        made.pop("index")
        made["function"].pop("parsed_arguments", None)
    expected["choices"][0]["message"].pop("annotations")
    for side in (told, expected):
        for silent in ("content", "refusal"):
            if not side["choices"][0]["message"].get(silent):
                side["choices"][0]["message"].pop(silent, None)
        side.pop("object")
    assert told == expected


def test_usage_comes_only_where_it_was_asked_for() -> None:
    answer = Answer("x", (Text("hello"),), "stop", Usage(input=1, output=2))
    chunks, sent = streamed(request(stream=True), answer)
    assert b"usage" not in sent
    asked = request(stream=True, stream_options={"include_usage": True})
    chunks, _ = streamed(asked, answer)
    assert [bool(chunk.usage) for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
    assert chunks[-1].choices == []


def test_a_call_in_the_old_form_is_answered_in_the_old_form() -> None:
    asked = request(stream=True, functions=[{"name": "add"}])
    answer = Answer("x", (ToolCall("c", "add", '{"a":1}'),), "tool_calls", None)
    message = whole(asked, answer).choices[0].message
    assert message.function_call is not None
    assert message.function_call.arguments == '{"a":1}'
    assert message.tool_calls is None
    chunks, _ = streamed(asked, answer)
    calls = [c.choices[0].delta.function_call for c in chunks if c.choices[0].delta.function_call]
    assert calls[0].name == "add"
    assert "".join(made.arguments or "" for made in calls) == '{"a":1}'
    assert chunks[-1].choices[0].finish_reason == "function_call"


def test_an_error_ends_the_stream_and_nothing_follows() -> None:
    writer = CHAT_CLIENT.event_writer(request(stream=True), ANSWER_ID)
    frame = writer.write(Failed("the server broke"))
    assert msgspec.json.decode(data_of(frame))["error"]["message"] == "the server broke"
    assert writer.write(Finished("stop")) + writer.write(Ended()) == b""


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (Answer("x", (Text("a"),), "stop_sequence", None, stop_sequence="."), "stop"),
        (Answer("x", (Refused("no"),), "refusal", None), "stop"),
        (Answer("x", (), "refusal", None), "content_filter"),
        (Answer("x", (Text("a"),), "length", None), "length"),
    ],
)
def test_the_end_is_told_in_openais_words(answer: Answer, reason: str) -> None:
    asked = request(stream=True)
    completion = whole(asked, answer)
    assert completion.choices[0].finish_reason == reason
    assert completion.usage is None
    chunks, _ = streamed(asked, answer)
    assert chunks[-1].choices[0].finish_reason == reason


_JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=4,
)
_CONTENT = (
    st.none()
    | st.text(max_size=5)
    | st.lists(
        st.one_of(
            st.fixed_dictionaries({"type": st.just("text"), "text": st.text(max_size=5)}),
            st.fixed_dictionaries({"type": st.just("refusal"), "refusal": st.text(max_size=5)}),
            st.fixed_dictionaries(
                {
                    "type": st.just("image_url"),
                    "image_url": st.fixed_dictionaries({"url": st.text(min_size=1, max_size=30)}),
                }
            ),
        ),
        min_size=1,
        max_size=3,
    )
)
_FUNCTION = st.fixed_dictionaries({"name": st.text(max_size=3), "arguments": st.text(max_size=4)})
_MESSAGE = st.fixed_dictionaries(
    {"role": st.sampled_from(["system", "developer", "user", "assistant", "tool", "function"])},
    optional={
        "content": _CONTENT,
        "name": st.sampled_from(["a", "b"]),
        "refusal": st.text(max_size=3),
        "reasoning": st.text(max_size=3),
        "tool_call_id": st.sampled_from(["a", "b"]),
        "function_call": _FUNCTION,
        "tool_calls": st.lists(
            st.fixed_dictionaries(
                {
                    "id": st.sampled_from(["a", "b"]),
                    "type": st.just("function"),
                    "function": _FUNCTION,
                }
            ),
            max_size=2,
        ),
        "annotations": st.lists(st.dictionaries(st.text(max_size=3), _JSON), max_size=1),
    },
)


@given(
    st.lists(_MESSAGE, min_size=1, max_size=4),
    st.dictionaries(
        st.sampled_from(["tool_choice", "function_call", "response_format", "stop", "seed"]), _JSON
    ),
    st.lists(st.just(ADD), max_size=1),
)
@patient
def test_whatever_the_surface_accepts_is_read_or_refused_by_name(
    messages: list[dict[str, Any]],
    more: dict[str, Any],
    tools: list[dict[str, Any]],
) -> None:
    try:
        accepted = CHAT.parse(body(*messages, **more, **({"tools": tools} if tools else {})), {})
    except Refusal:
        return
    try:
        conversation = CHAT_CLIENT.read(accepted.body)
    except Untranslatable as refused:
        named = bool(refused.field and refused.why)
    else:
        roles = [turn.role for turn in conversation.turns]
        named = all(first != second for first, second in pairwise(roles))
    assert named
