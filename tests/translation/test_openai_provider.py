"""Chat completions as a provider's format: what is written, what is read back, what is refused."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from signalbox_ledger.records import Usage
from signalbox_proxy.refusals import Refusal
from signalbox_proxy.surfaces import CHAT
from signalbox_proxy.surfaces.decoding import decode_body
from signalbox_proxy.translation.answer import Answer
from signalbox_proxy.translation.contract import Unreadable, Untranslatable
from signalbox_proxy.translation.conversation import (
    Conversation,
    Document,
    Image,
    OutputSchema,
    Reasoning,
    Refused,
    Sampling,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    Turn,
)
from signalbox_proxy.translation.openai_client import CHAT_CLIENT
from signalbox_proxy.translation.openai_provider import OPENAI
from signalbox_proxy.translation.openai_strict import strict_fault
from signalbox_proxy.translation.openai_words import call_id
from signalbox_simulator.chat_request import ChatRequest
from support.acme import acme_lane as lane
from support.openai_conversations import answers, conversations, patient

HELLO = (Turn("user", (Text("hello"),)),)


def sent(conversation: Conversation, *, stream: bool = False, **changes: Any) -> dict[str, Any]:
    body = OPENAI.body(OPENAI.write(conversation), lane(**changes), output_limit=99, stream=stream)
    return decode_body(body, "", "")


@given(conversations())
@patient
def test_what_is_written_is_read_back_as_it_was(conversation: Conversation) -> None:
    body = sent(conversation)
    assert CHAT_CLIENT.read(CHAT.parse(body, {}).body) == conversation


@given(conversations(), st.booleans())
@patient
def test_a_strict_provider_takes_what_is_written(conversation: Conversation, stream: bool) -> None:
    body = sent(conversation, stream=stream)
    for message in body["messages"]:
        message.pop("reasoning_content", None)  # open-weight servers take it, and gave it
    ChatRequest.model_validate(body)


def test_limit_tier_and_usage_are_written_as_the_lane_wants_them() -> None:
    conversation = Conversation((), HELLO)
    body = sent(
        conversation, stream=True, output_limit_field="max_completion_tokens", service_tier="flex"
    )
    assert body["model"] == "acme-large-2"
    assert (body["max_completion_tokens"], "max_tokens" in body) == (99, False)
    assert body["service_tier"] == "flex"
    assert (body["stream"], body["stream_options"]) == (True, {"include_usage": True})
    assert "stream" not in sent(conversation)


def test_path_and_headers_are_those_of_the_surface() -> None:
    headers = OPENAI.headers({"traceparent": "00-a", "cookie": "no"}, lane(), "key")
    assert headers == CHAT.upstream_headers({"traceparent": "00-a"}, lane(), "key")
    assert OPENAI.path(lane(), stream=True) == CHAT.upstream_path(lane())


def test_results_of_tools_come_before_what_the_user_says() -> None:
    turns = (
        *HELLO,
        Turn("assistant", (ToolCall("a b", "add", "{}"), ToolCall("c", "add", "{}"))),
        Turn(
            "user",
            (
                Text("well"),
                ToolResult("a b", "add", (Text("1"), Document("2", title="two")), is_error=True),
                ToolResult("c", "add", ()),
            ),
        ),
    )
    messages = OPENAI.write(Conversation((), turns))["messages"]
    assert [message["role"] for message in messages] == [
        "user",
        "assistant",
        "tool",
        "tool",
        "user",
    ]
    assert messages[1]["tool_calls"][0]["id"] == messages[2]["tool_call_id"] == call_id("a b")
    assert messages[2]["content"] == "Error: 1\ntwo\n2"
    assert messages[3]["content"] == ""


def test_documents_are_text_and_foreign_reasoning_stays_away() -> None:
    turns = (
        Turn("user", (Document("body", title="title", context="from"), Text("read"))),
        Turn("assistant", (Thinking("deep", "sig", origin="anthropic"), Text("yes"))),
        Turn("user", (Text("so"),)),
    )
    messages = OPENAI.write(Conversation((Text("a"), Text("b")), turns))["messages"]
    assert [part["text"] for part in messages[0]["content"]] == ["a", "b"]
    assert messages[1]["content"][0] == {"type": "text", "text": "title\nfrom\nbody"}
    assert messages[2] == {"role": "assistant", "content": "yes"}


@pytest.mark.parametrize(
    ("reasoning", "effort"),
    [
        (Reasoning(budget_tokens=1_024), "low"),
        (Reasoning(budget_tokens=4_097), "medium"),
        (Reasoning(budget_tokens=16_385), "high"),
        (Reasoning(effort="xhigh"), "xhigh"),
        (Reasoning(), None),
        (None, None),
    ],
)
def test_a_thinking_budget_becomes_an_effort(
    reasoning: Reasoning | None, effort: str | None
) -> None:
    written = OPENAI.write(Conversation((), HELLO, reasoning=reasoning))
    assert written.get("reasoning_effort") == effort


@pytest.mark.parametrize(
    ("model", "provider", "effort", "is_told"),
    [
        ("gpt-5-mini", "openai", "high", True),
        ("gpt-5.4", "openai", None, True),
        ("gpt-5.4-mini", "openai", "none", True),
        ("gpt-5.4-mini-2026-03-17", "openai", "low", False),
        ("gpt-5.4", "azure", "low", False),
        ("gpt-5.4", "openrouter", "low", True),
        ("gpt-5.5", "openai", None, False),
        ("gpt-5.6-terra", "openai", "none", True),
        ("gpt-5.10", "openai", None, False),
        ("gpt-6-sol", "openai", None, False),
        ("gpt-6.1", "openai", "none", True),
    ],
)
def test_newer_models_think_or_call_tools(
    model: str, provider: str, effort: Any, is_told: bool
) -> None:
    """What OpenAI refuses at this path is known before anything is sent; without tools it is not
    refused."""
    one = lane(upstream_model=model, provider=provider)
    thinking = Conversation((), HELLO, reasoning=Reasoning(effort=effort))
    calling = msgspec.structs.replace(thinking, tools=(Tool("add", "", {}),))
    assert OPENAI.model_obstacle(OPENAI.write(thinking), one) is None
    obstacle = OPENAI.model_obstacle(OPENAI.write(calling), one)
    assert (obstacle is None) == is_told
    assert obstacle is None or obstacle.field == "reasoning_effort"


OPEN = {"type": "object", "properties": {"a": {}}, "required": ["a"]}
OPTIONAL = {"type": "object", "properties": {"a": {}}, "additionalProperties": False}
CLOSED = {**OPTIONAL, "required": ["a"]}


@pytest.mark.parametrize(
    ("conversation", "field"),
    [
        (Conversation((), HELLO, sampling=Sampling(top_k=5)), "top_k"),
        (Conversation((), HELLO, stop=("a", "b", "c", "d", "e")), "stop"),
        (Conversation((), HELLO, choices=2), "n"),
        (
            Conversation((), HELLO, output=OutputSchema("a", OPEN, strict=True)),
            "response_format.json_schema.schema",
        ),
        (Conversation((), HELLO, tools=(Tool("a", "", OPTIONAL, strict=True),)), "tools[0]"),
        (
            Conversation((), (Turn("user", (ToolResult("a", "a", (Image(url="https://a"),)),)),)),
            "messages",
        ),
        (Conversation((), (Turn("assistant", (Image(url="https://a"),)),)), "messages"),
    ],
)
def test_what_the_format_cannot_say_is_refused_by_name(
    conversation: Conversation, field: str
) -> None:
    with pytest.raises(Untranslatable) as refused:
        OPENAI.write(conversation)
    assert field in refused.value.field


@pytest.mark.parametrize("name", ["properties", "$defs", "enum", "items"])
def test_a_property_may_have_the_name_of_a_keyword(name: str) -> None:
    named = {**CLOSED, "properties": {name: {"type": "string"}}, "required": [name]}
    given = {**CLOSED, "properties": {"a": {"enum": [{"properties": {"b": 1}}]}}}
    for schema in (named, given, {**CLOSED, "properties": {"a": named}}):
        assert strict_fault(schema) == ""
    for hidden in (
        {**named, "properties": {name: OPEN}},
        {**CLOSED, "$defs": {name: OPTIONAL}},
        {**CLOSED, "properties": {"a": {"anyOf": [OPEN]}}},
    ):
        assert strict_fault(hidden)


def test_a_schema_that_may_be_strict_is_strict() -> None:
    written = OPENAI.write(Conversation((), HELLO, output=OutputSchema("", CLOSED, strict=True)))
    described = written["response_format"]["json_schema"]
    assert described == {"name": "answer", "schema": CLOSED, "strict": True}


def test_tool_choices_are_written_with_tools_only() -> None:
    choice = ToolChoice("tool", "add")
    assert "tool_choice" not in OPENAI.write(Conversation((), HELLO, tool_choice=choice))
    offered = Conversation((), HELLO, tools=(Tool("add", "", {}),), tool_choice=choice)
    assert OPENAI.write(offered)["tool_choice"]["function"] == {"name": "add"}


@pytest.mark.parametrize("identity", ["", "a" * 41, "toolu:1", "ü"])
def test_ids_that_a_server_would_refuse_are_mapped_the_same_way_each_time(identity: str) -> None:
    assert call_id(identity) == call_id(identity)
    assert call_id(call_id(identity)) == call_id(identity)
    assert len(call_id(identity)) <= 40


@given(answers())
@patient
def test_an_answer_that_the_client_format_writes_is_read_as_it_was(answer: Answer) -> None:
    asked = CHAT.parse({"model": "m", "messages": [{"role": "user", "content": "a"}]}, {})
    read = OPENAI.read_answer(CHAT_CLIENT.write_answer(asked, answer, "x"))
    assert (read.parts, read.usage) == (answer.parts, answer.usage)
    is_silent_refusal = answer.finish == "content_filter"
    assert read.finish == answer.finish or is_silent_refusal


def answer_of(message: dict[str, Any], finish: Any = "stop", **more: Any) -> Answer:
    choice = {"index": 0, "message": message, "finish_reason": finish}
    return OPENAI.read_answer(msgspec.json.encode({"id": "cmpl-1", "choices": [choice], **more}))


def test_answers_of_relatives_are_read() -> None:
    thought = {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}
    answer = answer_of({"content": [thought, {"type": "text", "text": "yes"}, 5]})
    assert answer.parts == (Thinking("hm", origin="openai"), Text("yes"))
    called = {"function": {"name": "add", "arguments": {"a": 1}}}
    answer = answer_of({"content": "", "tool_calls": [called, called], "reasoning": "so"})
    assert answer.finish == "tool_calls"
    assert answer.parts == (
        Thinking("so", origin="openai"),
        ToolCall("call_cmpl1_0", "add", '{"a":1}'),
        ToolCall("call_cmpl1_1", "add", '{"a":1}'),
    )
    assert answer_of({"refusal": "no"}).finish == "refusal"
    assert answer_of({"refusal": "no"}).parts == (Refused("no"),)
    old = answer_of({"function_call": {"name": "add", "arguments": ""}}, "function_call")
    assert (old.finish, old.parts) == ("tool_calls", (ToolCall("call_cmpl1_0", "add", "{}"),))


@pytest.mark.parametrize("reason", [None, "insufficient_system_resource", 7, "error"])
def test_an_unknown_end_never_claims_a_whole_answer(reason: Any) -> None:
    assert answer_of({"content": "half"}, reason).finish == "length"


def test_usage_that_is_missing_or_absurd_is_none() -> None:
    usage = {"prompt_tokens": 12, "completion_tokens": 3, "total_tokens": 20}
    assert answer_of({"content": "a"}, usage=usage).usage == Usage(input=12, output=8)
    assert answer_of({"content": "a"}).usage is None
    assert answer_of({"content": "a"}, usage={**usage, "prompt_tokens": -1}).usage is None


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"null",
        b'{"choices":[]}',
        b'{"choices":[{"index":0}]}',
        b'{"choices":[{"message":{"tool_calls":[{"id":"a"}]}}]}',
        b'{"error":{"message":"broken"}}',
        b"\xff",
        b"[" * 100_000,
    ],
)
def test_what_is_no_answer_is_unreadable(body: bytes) -> None:
    with pytest.raises(Unreadable):
        OPENAI.read_answer(body)


@given(
    st.recursive(
        st.none() | st.integers() | st.text(max_size=4),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    [
                        "choices",
                        "message",
                        "index",
                        "tool_calls",
                        "function",
                        "name",
                        "content",
                        "usage",
                    ]
                ),
                inner,
            )
        ),
    )
)
@patient
def test_arbitrary_json_is_read_or_unreadable(document: Any) -> None:
    try:
        OPENAI.read_answer(msgspec.json.encode(document))
    except Unreadable:
        return


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"error":{"message":"no","type":"x"}}', "no"),
        (b'{"error":"no"}', "no"),
        (b'{"object":"error","message":"no"}', "no"),
        (b'{"detail":[{"msg":"no"}]}', "no"),
        (b'{"error":{"message":"key sk-abcdefghijklmnop is wrong"}}', "key [removed] is wrong"),
        (b"<html>", ""),
        (b"[]", ""),
        (b"{}", ""),
    ],
)
def test_errors_of_all_relatives_have_their_sentence(body: bytes, message: str) -> None:
    assert OPENAI.error_message(body) == message


def test_the_bodies_that_tests_write_are_accepted() -> None:
    with pytest.raises(Refusal):
        CHAT.parse({"model": "m"}, {})
