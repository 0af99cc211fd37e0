"""Responses requests: what OpenAI takes is understood, what could cost more is refused by name."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.responses.response_create_params import (
    ResponseCreateParamsBase,
    ResponseCreateParamsNonStreaming,
)
from pydantic import TypeAdapter

from signalbox_ledger.records import Usage
from signalbox_proxy.refusals import Refusal
from signalbox_proxy.surfaces import RESPONSES
from signalbox_proxy.surfaces.responses_types import RESPONSES as TABLE
from signalbox_snapshot.snapshot import Lane
from support.openai_conversations import patient

SDK_TYPE: TypeAdapter[Any] = TypeAdapter(ResponseCreateParamsNonStreaming)
ADD = {"type": "function", "name": "add", "parameters": {"type": "object"}, "strict": True}
CALL = {"type": "function_call", "call_id": "c1", "name": "add", "arguments": "{}", "id": "fc_1"}
RESULT = {"type": "function_call_output", "call_id": "c1", "output": "1"}
CUSTOM = {"type": "custom_tool_call", "call_id": "c2", "name": "sql", "input": "select 1"}
REASONING = {
    "type": "reasoning",
    "id": "rs_1",
    "summary": [{"type": "summary_text", "text": "hm"}],
    "encrypted_content": "gAAAA",
}
ANSWERED = {
    "type": "message",
    "id": "msg_1",
    "role": "assistant",
    "status": "completed",
    "content": [{"type": "output_text", "text": "yes", "annotations": [], "logprobs": []}],
}
IMAGE = {"type": "input_image", "image_url": "https://a.example/b.png", "detail": "auto"}
ASKED = {"role": "user", "content": [{"type": "input_text", "text": "look"}, IMAGE]}


def hello(**more: Any) -> dict[str, Any]:
    return {"model": "large", "input": "Hello", **more}


def test_every_field_of_the_sdk_is_known() -> None:
    assert set(ResponseCreateParamsBase.__annotations__) <= set(TABLE.fields) | {"stream"}


def test_a_conversation_with_tools_and_reasoning_is_understood() -> None:
    body = hello(
        input=[ASKED, REASONING, CALL, RESULT, CUSTOM, ANSWERED, {"role": "user", "content": "so"}],
        instructions="Be brief.",
        tools=[ADD, {"type": "custom", "name": "sql", "format": {"type": "text"}}],
        reasoning={"effort": "high", "summary": "auto"},
        max_output_tokens=50,
        text={"format": {"type": "json_schema", "name": "a", "schema": {"type": "object"}}},
    )
    SDK_TYPE.validate_python(body)
    request = RESPONSES.parse(body, {})
    assert request.needs == {"chat", "tools", "images", "structuredOutput", "reasoning"}
    assert (request.output_limit, request.images, request.tools) == (50, 1, 3)
    assert request.messages == 9  # seven items, the instructions, and a second content part
    assert request.tool_names == ("add", "sql")
    assert request.cache_write == "implicit"
    for text in ("Be brief.", "look", "hm", "gAAAA", "select 1", "yes", "so"):
        assert text in request.texts


@given(
    st.lists(
        st.sampled_from([ASKED, REASONING, CALL, RESULT, CUSTOM, ANSWERED]), min_size=1, max_size=5
    ),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=30),
)
@patient
def test_the_bound_counts_every_byte_that_is_said(items: list[dict[str, Any]], said: str) -> None:
    plain = RESPONSES.parse(hello(input=items), {})
    more = {"role": "user", "content": said}
    request = RESPONSES.parse(hello(input=[*items, more]), {})
    assert request.text_bytes == plain.text_bytes + len(said.encode())
    assert request.messages == plain.messages + 1


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"conversation": "conv_1"}, "conversation"),
        ({"background": True}, "background"),
        ({"prompt": {"id": "p"}}, "prompt"),
        ({"moderation": {"model": "m"}}, "moderation"),
        ({"context_management": []}, "context_management"),
        ({"service_tier": "priority"}, "service_tier"),
        ({"tools": [{"type": "web_search"}]}, "tools[0].type"),
        ({"tools": [{"type": "mcp", "server_label": "a"}]}, "tools[0].type"),
        ({"tools": [{**ADD, "defer_loading": True}]}, "tools[0].defer_loading"),
        ({"input": [{"type": "item_reference", "id": "msg_1"}]}, "input[0].type"),
        ({"input": [{"role": "user", "content": [{"type": "input_file"}]}]}, None),
        ({"prompt_cache_options": {"prewarm": True}}, "prompt_cache_options.prewarm"),
        ({"reasoning": {"mode": "pro"}}, "reasoning.mode"),
        ({"unheard_of": 1}, "unheard_of"),
    ],
)
def test_what_could_cost_more_is_refused_by_name(more: dict[str, Any], field: str | None) -> None:
    with pytest.raises(Refusal) as refused:
        RESPONSES.parse(hello() | more, {})
    assert refused.value.code == "no_bound"
    assert field in (None, refused.value.param)


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"input": []}, "input"),
        ({"max_output_tokens": 0}, "max_output_tokens"),
        ({"temperature": 3}, "temperature"),
        ({"input": [{"role": "tool", "content": "a"}]}, "input[0].role"),
        ({"input": [{"type": "function_call"}]}, "input[0].call_id"),
    ],
)
def test_what_openai_would_refuse_is_refused_by_name(more: dict[str, Any], field: str) -> None:
    with pytest.raises(Refusal) as refused:
        RESPONSES.parse(hello() | more, {})
    assert (refused.value.code, refused.value.param) == ("invalid_request", field)


def test_nothing_is_stored_and_the_lane_decides_model_limit_and_tier(
    make_lane: Callable[..., Lane],
) -> None:
    request = RESPONSES.parse(hello(store=False, service_tier="auto", background=False), {})
    body = msgspec.json.decode(RESPONSES.upstream_body(request, make_lane(), 77))
    assert body == {
        "model": "acme-large-2",
        "input": "Hello",
        "store": False,
        "background": False,
        "max_output_tokens": 77,
        "service_tier": "default",
    }
    assert (
        msgspec.json.decode(RESPONSES.upstream_body(request, make_lane(service_tier="flex"), None))[
            "service_tier"
        ]
        == "flex"
    )
    silent = RESPONSES.parse(hello(), {})
    assert msgspec.json.decode(RESPONSES.upstream_body(silent, make_lane(), 1))["store"] is False


def test_thoughts_are_asked_for_in_a_form_that_can_come_back(
    make_lane: Callable[..., Lane],
) -> None:
    asked = hello(reasoning={"effort": "low"}, include=["message.input_image.image_url"])
    body = msgspec.json.decode(RESPONSES.upstream_body(RESPONSES.parse(asked, {}), make_lane(), 1))
    assert body["include"] == ["message.input_image.image_url", "reasoning.encrypted_content"]
    assert RESPONSES.upstream_path(make_lane()) == "/responses"


def test_thoughts_that_mean_nothing_to_the_provider_are_left_out(
    make_lane: Callable[..., Lane],
) -> None:
    bare = {"type": "reasoning", "id": "rs_1", "summary": []}
    foreign = {**bare, "encrypted_content": "sb1.anthropic.s.signature"}
    request = RESPONSES.parse(hello(input=[ASKED, bare, foreign, REASONING, ANSWERED]), {})
    body = msgspec.json.decode(RESPONSES.upstream_body(request, make_lane(), 1))
    answered = {name: value for name, value in ANSWERED.items() if name != "id"}
    assert body["input"] == [ASKED, REASONING, answered]


def test_where_thoughts_stay_behind_what_they_led_to_is_nobody_s_stored_item(
    make_lane: Callable[..., Lane],
) -> None:
    """A provider that stored the call by its id demands the thoughts that belong to it."""
    bare = {"type": "reasoning", "id": "rs_1", "summary": []}
    call = {"type": "function_call", "call_id": "c", "name": "a", "arguments": "{}", "id": "fc_1"}
    nameless = {name: value for name, value in call.items() if name != "id"}
    for thought, kept in ((bare, [nameless]), (REASONING, [REASONING, call])):
        request = RESPONSES.parse(hello(input=[ASKED, thought, call]), {})
        body = msgspec.json.decode(RESPONSES.upstream_body(request, make_lane(), 1))
        assert body["input"] == [ASKED, *kept]


@pytest.mark.parametrize(
    ("mark", "options", "write"),
    [
        (None, None, "implicit"),
        (None, {"mode": "explicit"}, "none"),
        ({"mode": "explicit"}, {"mode": "explicit"}, "5m"),
        ({"mode": "explicit", "ttl": "12h"}, None, "1h"),
        (None, {"ttl": "12h"}, "1h"),
    ],
)
def test_the_dearest_cache_write_is_known(mark: Any, options: Any, write: str) -> None:
    part = {"type": "input_text", "text": "a", "prompt_cache_breakpoint": mark}
    asked = hello(input=[{"role": "user", "content": [part]}], prompt_cache_options=options)
    assert RESPONSES.parse(asked, {}).cache_write == write


USAGE = {
    "input_tokens": 12,
    "input_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 2},
    "output_tokens": 5,
    "output_tokens_details": {"reasoning_tokens": 3},
    "total_tokens": 17,
}
COUNTED = Usage(input=6, cached_input=4, cache_write_5m=2, output=5, reasoning=3)
WHOLE = {"status": "completed", "output": [REASONING, ANSWERED], "usage": USAGE}
REQUEST = RESPONSES.parse(hello(), {})


def event(kind: str, **more: Any) -> bytes:
    return f"event: {kind}\ndata: ".encode() + msgspec.json.encode({"type": kind, **more}) + b"\n\n"


STREAM = [
    event("response.created", response={"status": "in_progress", "output": []}),
    event("response.output_item.added", output_index=0, item={"type": "message"}),
    event("response.output_text.delta", delta="ye"),
    event("response.output_text.delta", delta="s"),
    event("response.completed", response=WHOLE),
]


def test_whole_answers_are_read_for_charge_and_evaluation() -> None:
    facts = RESPONSES.read_answer(REQUEST, msgspec.json.encode(WHOLE))
    assert (facts.usage, facts.text, facts.ended, facts.complete) == (COUNTED, "yes", True, True)
    cut = {**WHOLE, "status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}
    facts = RESPONSES.read_answer(REQUEST, msgspec.json.encode(cut))
    assert (facts.finish, facts.ended, facts.complete) == ("max_output_tokens", True, False)
    called = {"status": "completed", "output": [CALL], "usage": {"input_tokens": 1}}
    facts = RESPONSES.read_answer(REQUEST, msgspec.json.encode(called))
    assert (facts.has_tool_calls, facts.usage) == (True, None)
    assert RESPONSES.read_answer(REQUEST, b"[]").error
    assert RESPONSES.read_answer(REQUEST, b"{}").error


def test_a_stream_passes_untouched_and_is_settled_by_its_last_event() -> None:
    stream = b"".join(STREAM)
    for cut in range(0, len(stream), 7):
        reader = RESPONSES.stream_reader(REQUEST)
        passed = reader.feed(stream[:cut]) + reader.feed(stream[cut:]) + reader.end()
        assert passed == stream
        facts = reader.facts
        assert (facts.usage, facts.text, facts.complete) == (COUNTED, "yes", True)
        assert facts.items == 1


def test_a_stream_without_its_last_event_has_no_usage() -> None:
    reader = RESPONSES.stream_reader(REQUEST)
    running = {"status": "in_progress", "output": [], "usage": USAGE}
    reader.feed(b"".join([*STREAM[:-1], event("response.in_progress", response=running)]))
    assert (reader.facts.usage, reader.facts.ended) == (None, False)


@pytest.mark.parametrize(
    "told",
    [
        event("error", message="broken", code="server_error"),
        event("error", error={"message": "broken"}),
        event("response.failed", response={"status": "failed", "error": {"message": "broken"}}),
    ],
)
def test_an_error_inside_a_stream_is_noted(told: bytes) -> None:
    reader = RESPONSES.stream_reader(REQUEST)
    reader.feed(STREAM[0] + told)
    assert (reader.facts.error, reader.facts.complete) == ("broken", False)


def test_a_response_that_failed_is_noted_without_the_key_that_it_quotes() -> None:
    secret = "sk-proj-" + "a1B2" * 12
    failed = {"status": "failed", "output": [], "error": {"message": f"Bad key {secret}"}}
    facts = RESPONSES.read_answer(REQUEST, msgspec.json.encode(failed))
    assert facts.error == "Bad key [removed]"
