"""Chat requests: what OpenAI takes is understood, what could cost more is refused by name."""

import copy
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.chat.completion_create_params import (
    CompletionCreateParamsBase,
    CompletionCreateParamsNonStreaming,
)
from pydantic import TypeAdapter

from signalbox_proxy.refusals import Refusal
from signalbox_proxy.surfaces import CHAT
from signalbox_proxy.surfaces.chat_types import CHAT as TABLE
from signalbox_snapshot.snapshot import Lane

SDK_TYPE: TypeAdapter[Any] = TypeAdapter(CompletionCreateParamsNonStreaming)


def hello(**more: Any) -> dict[str, Any]:
    return {"model": "large", "messages": [{"role": "user", "content": "Hello"}], **more}


def test_every_field_of_the_sdk_is_known() -> None:
    assert set(CompletionCreateParamsBase.__annotations__) <= set(TABLE.fields) | {"stream"}


CALL = {"id": "call_1", "type": "function", "function": {"name": "quote", "arguments": '{"a":1}'}}
CUSTOM = {"id": "call_2", "type": "custom", "custom": {"name": "sql", "input": "select 1"}}
FUNCTION = {"name": "quote", "description": "A price.", "parameters": {"type": "object"}}

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
NAMES = st.from_regex(r"[a-zA-Z0-9_-]{1,20}", fullmatch=True)
TEXT_PARTS = st.fixed_dictionaries({"type": st.just("text"), "text": TEXT})
IMAGES = st.fixed_dictionaries(
    {
        "type": st.just("image_url"),
        "image_url": st.fixed_dictionaries(
            {"url": st.sampled_from(["https://a.example/b.png", "data:image/png;base64,AAAA"])},
            optional={"detail": st.sampled_from(["auto", "low", "high"])},
        ),
    }
)
USER = st.fixed_dictionaries(
    {
        "role": st.just("user"),
        "content": TEXT | st.lists(TEXT_PARTS | IMAGES, min_size=1, max_size=3),
    },
    optional={"name": NAMES},
)
SYSTEM = st.fixed_dictionaries(
    {
        "role": st.sampled_from(["system", "developer"]),
        "content": TEXT | st.lists(TEXT_PARTS, min_size=1, max_size=3),
    }
)
ASSISTANT = st.fixed_dictionaries(
    {"role": st.just("assistant"), "content": TEXT | st.none()},
    optional={
        "tool_calls": st.lists(st.sampled_from([CALL, CUSTOM]), min_size=1, max_size=2),
        "refusal": TEXT | st.none(),
        "audio": st.none(),
    },
)
TOOL = st.fixed_dictionaries(
    {"role": st.just("tool"), "content": TEXT, "tool_call_id": st.just("call_1")}
)
TOOLS = st.lists(
    st.fixed_dictionaries({"type": st.just("function"), "function": st.just(FUNCTION)})
    | st.just({"type": "custom", "custom": {"name": "sql", "format": {"type": "text"}}}),
    min_size=1,
    max_size=3,
)
REQUESTS = st.fixed_dictionaries(
    {
        "model": NAMES,
        "messages": st.lists(USER | SYSTEM | ASSISTANT | TOOL, min_size=1, max_size=4),
    },
    optional={
        "temperature": st.floats(0, 2) | st.integers(0, 2) | st.none(),
        "top_p": st.floats(0, 1),
        "n": st.integers(1, 128),
        "seed": st.integers(-(2**63), 2**63 - 1),
        "max_completion_tokens": st.integers(1, 100_000) | st.none(),
        "stop": TEXT | st.lists(TEXT, max_size=4) | st.none(),
        "frequency_penalty": st.floats(-2, 2),
        "presence_penalty": st.integers(-2, 2),
        "logit_bias": st.dictionaries(st.just("50256"), st.integers(-100, 100)),
        "user": TEXT,
        "safety_identifier": TEXT,
        "metadata": st.dictionaries(NAMES, TEXT, max_size=3),
        "tools": TOOLS,
        "parallel_tool_calls": st.booleans(),
        "tool_choice": st.sampled_from(
            ["none", "auto", "required", {"type": "function", "function": {"name": "quote"}}]
        ),
        "reasoning_effort": st.sampled_from(["none", "minimal", "low", "high", None]),
        "verbosity": st.sampled_from(["low", "medium", "high"]),
        "service_tier": st.sampled_from(["auto", "default", None]),
        "store": st.booleans() | st.none(),
        "modalities": st.just(["text"]) | st.none(),
        "response_format": st.sampled_from(
            [
                {"type": "text"},
                {"type": "json_object"},
                {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object"}}},
            ]
        ),
        "prompt_cache_key": TEXT,
        "prompt_cache_options": st.just({"mode": "implicit", "ttl": "30m"}),
        "stream": st.sampled_from([False, None]),
    },
)


@given(REQUESTS)
def test_requests_that_the_sdk_types_allow_are_understood(body: dict[str, Any]) -> None:
    SDK_TYPE.validate_python(copy.deepcopy(body))
    request = CHAT.parse(body, {})
    assert request.model == body["model"]
    assert request.choices == body.get("n", 1)
    assert request.output_limit == body.get("max_completion_tokens")
    assert request.messages >= len(body["messages"])
    for message in body["messages"]:
        if isinstance(message["content"], str) and message["content"]:
            assert message["content"] in request.texts
    assert request.text_bytes >= sum(len(text.encode()) for text in request.texts)


@given(REQUESTS)
def test_what_goes_upstream_is_what_came_but_for_what_signalbox_sets(body: dict[str, Any]) -> None:
    lane = Lane(
        name="us", lane_class="public", provider="a", wire_format="openai", upstream_model="up",
        endpoint="https://a.example", auth="none", auth_key="", region="r", jurisdiction="US",
        max_sensitivity=0, list_price=None, price=None,
    )  # fmt: skip
    original = copy.deepcopy(body)
    request = CHAT.parse(body, {})
    sent = msgspec.json.decode(CHAT.upstream_body(request, lane, None))
    assert body == original
    ours = {"model", "max_tokens", "max_completion_tokens", "service_tier", "metadata"}
    assert {k: v for k, v in sent.items() if k not in ours} == {
        k: v for k, v in original.items() if k not in ours
    }
    assert sent["model"] == "up"
    assert sent.get("max_tokens") == original.get("max_completion_tokens")


REFUSED = [
    (hello(frobnicate=1), "frobnicate"),
    (hello(audio={"voice": "alloy", "format": "mp3"}), "audio"),
    (hello(modalities=["text", "audio"]), "modalities"),
    (hello(prediction={"type": "content", "content": "x"}), "prediction"),
    (hello(web_search_options={}), "web_search_options"),
    (hello(moderation={"model": "m"}), "moderation"),
    (hello(best_of=3), "best_of"),
    (hello(service_tier="priority"), "service_tier"),
    (hello(service_tier="fast"), "service_tier"),
    (hello(service_tier="flex"), "service_tier"),
    (hello(service_tier="scale"), "service_tier"),
    (hello(background=True), "background"),
    (hello(tools=[{"type": "web_search"}]), "tools[0].type"),
    (hello(tools=[{"type": "mcp", "server_url": "https://a.example"}]), "tools[0].type"),
    (
        hello(tools=[{"type": "function", "function": {**FUNCTION, "cost": 1}}]),
        "tools[0].function.cost",
    ),
    (
        hello(messages=[{"role": "user", "content": [{"type": "input_audio", "input_audio": {}}]}]),
        "messages[0].content[0].type",
    ),
    (
        hello(messages=[{"role": "user", "content": [{"type": "file", "file": {"file_id": "f"}}]}]),
        "messages[0].content[0].type",
    ),
    (
        hello(messages=[{"role": "user", "content": [{"type": "video_url", "video_url": {}}]}]),
        "messages[0].content[0].type",
    ),
    (
        hello(messages=[{"role": "user", "content": "a", "cache_control": {"type": "ephemeral"}}]),
        "messages[0].cache_control",
    ),
    (hello(stream=True, stream_options={"include_cost": True}), "stream_options.include_cost"),
    (hello(prompt_cache_options={"mode": "implicit", "size": 9}), "prompt_cache_options.size"),
]


@pytest.mark.parametrize(("body", "field"), REFUSED, ids=[field for _, field in REFUSED])
def test_what_could_change_the_bill_is_refused_by_name(
    refused: Callable[..., Refusal], body: dict[str, Any], field: str
) -> None:
    refusal = refused(CHAT, body)
    assert (refusal.code, refusal.param) == ("no_bound", field)
    assert field.removesuffix(".type") in refusal.message
    assert refusal.message.endswith("Leave it out.")


NO_LIMITS: list[Any] = [-1, 0, 1.5, 1.0, "5", True, [], {}, 10**30, 2**31]
INVALID: list[tuple[dict[str, Any], str]] = [
    ({}, "model"),
    ({"model": "large"}, "messages"),
    ({"messages": [{"role": "user", "content": "a"}]}, "model"),
    (hello(model=5), "model"),
    (hello(model=""), "model"),
    (hello(messages=[]), "messages"),
    (hello(messages="hi"), "messages"),
    (hello(messages=["hi"]), "messages[0]"),
    (hello(messages=[{"role": "robot", "content": "a"}]), "messages[0].role"),
    (hello(messages=[{"role": "user"}]), "messages[0].content"),
    (hello(messages=[{"role": "user", "content": 5}]), "messages[0].content"),
    (hello(messages=[{"role": "user", "content": []}]), "messages[0].content"),
    (hello(messages=[{"content": "a"}]), "messages[0].role"),
    *[
        (hello(**{field: value}), field)
        for field in ("max_tokens", "max_completion_tokens", "n")
        for value in NO_LIMITS
    ],
    (hello(n=129), "n"),
    (hello(temperature=-0.1), "temperature"),
    (hello(temperature=2.1), "temperature"),
    (hello(temperature="warm"), "temperature"),
    (hello(top_p=1.1), "top_p"),
    (hello(frequency_penalty=3), "frequency_penalty"),
    (hello(seed=2**70), "seed"),
    (hello(stream="yes"), "stream"),
    (hello(stream=1), "stream"),
    (hello(stop=5), "stop"),
    (hello(logprobs=3), "logprobs"),
    (hello(top_logprobs=21, logprobs=True), "top_logprobs"),
    (hello(top_logprobs=2), "top_logprobs"),
    (hello(stream_options={"include_usage": True}), "stream_options"),
    (hello(max_tokens=5, max_completion_tokens=5), "max_tokens"),
    (hello(tools=[{"type": "function"}]), "tools[0].function"),
    (hello(tools=[{"type": "function", "function": {}}]), "tools[0].function.name"),
    (hello(tools={"a": 1}), "tools"),
    (hello(metadata={"a": 1}), "metadata[...]"),
    (hello(metadata={"signalbox_workload": 1}), "metadata.signalbox_workload"),
    (hello(metadata={"signalbox_colour": "red"}), "metadata.signalbox_colour"),
    (
        hello(metadata={"signalbox_task": "a", "x-signalbox-task": "b"}),
        "metadata.x-signalbox-task",
    ),
    (hello(response_format="json"), "response_format"),
    (hello(response_format={"type": "json_schema"}), "response_format.json_schema"),
    (hello(reasoning_effort="enormous"), "reasoning_effort"),
]


@pytest.mark.parametrize(("body", "field"), INVALID)
def test_what_openai_would_refuse_for_sure_is_refused_by_name(
    refused: Callable[..., Refusal], body: dict[str, Any], field: str
) -> None:
    refusal = refused(CHAT, body)
    assert (refusal.code, refusal.param) == ("invalid_request", field)
    assert "`" not in refusal.message


@given(REQUESTS, st.data())
def test_no_field_with_a_wrong_value_breaks_the_parser(
    body: dict[str, Any], data: st.DataObject
) -> None:
    field = data.draw(st.sampled_from(sorted(TABLE.fields)))
    anything = st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["type", "role", "content", "x"]), inner, max_size=3)
        ),
        max_leaves=8,
    )
    value = data.draw(anything)
    try:
        CHAT.parse(body | {field: value}, {})
    except Refusal as refusal:
        known = refusal.code in ("invalid_request", "no_bound")
        if not known or not refusal.param:
            raise


def test_metadata_of_signalbox_is_read_and_never_goes_upstream(
    make_lane: Callable[..., Lane],
) -> None:
    body = hello(
        metadata={
            "signalbox_workload": "advice",
            "X-Signalbox-Data-Assets": "a,b",
            "signalbox_data_assets": "a,b",
            "ticket": "7",
        }
    )
    request = CHAT.parse(body, {})
    assert request.metadata == {"x-signalbox-workload": "advice", "x-signalbox-data-assets": "a,b"}
    sent = msgspec.json.decode(CHAT.upstream_body(request, make_lane(), None))
    assert sent["metadata"] == {"ticket": "7"}
    alone = CHAT.parse(hello(metadata={"signalbox_task": "x"}), {})
    assert b"metadata" not in CHAT.upstream_body(alone, make_lane(), None)


def test_the_user_is_who_the_body_names() -> None:
    assert CHAT.parse(hello(user="ann"), {}).user == "ann"
    assert CHAT.parse(hello(user="ann", safety_identifier="bob"), {}).user == "bob"
    assert CHAT.parse(hello(), {}).user == ""


def test_a_request_states_what_it_needs() -> None:
    assert CHAT.parse(hello(), {}).needs == {"chat"}
    image = {"type": "image_url", "image_url": {"url": "https://a.example/b.png"}}
    request = CHAT.parse(
        hello(
            messages=[{"role": "user", "content": [image, image]}],
            tools=[{"type": "function", "function": FUNCTION}],
            reasoning_effort="low",
            response_format={"type": "json_schema", "json_schema": {"name": "a", "schema": {}}},
        ),
        {},
    )
    assert request.needs == {"chat", "images", "tools", "reasoning", "structuredOutput"}
    assert request.images == 2
    assert request.tool_names == ("quote",)
    assert request.output_schema == {}


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({}, "implicit"),
        ({"prompt_cache_options": {"mode": "explicit"}}, "none"),
        ({"prompt_cache_options": {"mode": "implicit"}}, "implicit"),
    ],
)
def test_an_unasked_cache_write_is_expected_unless_switched_off(
    more: dict[str, Any], expected: str
) -> None:
    assert CHAT.parse(hello(**more), {}).cache_write == expected


@pytest.mark.parametrize(("ttl", "expected"), [(None, "5m"), ("30m", "5m"), ("12h", "1h")])
def test_a_cache_breakpoint_asks_for_a_cache_write(ttl: str | None, expected: str) -> None:
    mark = {"mode": "explicit"} | ({"ttl": ttl} if ttl else {})
    part = {"type": "text", "text": "a", "prompt_cache_breakpoint": mark}
    body = hello(messages=[{"role": "user", "content": [part]}])
    assert CHAT.parse(body, {}).cache_write == expected


def test_the_output_limit_is_written_where_the_lane_honours_it(
    make_lane: Callable[..., Lane],
) -> None:
    def sent(body: dict[str, Any], lane: Lane, limit: int | None) -> dict[str, Any]:
        found: dict[str, Any] = msgspec.json.decode(
            CHAT.upstream_body(CHAT.parse(body, {}), lane, limit)
        )
        return found

    old, new = make_lane(), make_lane(output_limit_field="max_completion_tokens")
    assert sent(hello(), old, 77)["max_tokens"] == 77
    assert sent(hello(), new, 77)["max_completion_tokens"] == 77
    for field in ("max_tokens", "max_completion_tokens"):
        moved = sent(hello(**{field: 9}), new, None)
        assert moved["max_completion_tokens"] == 9
        assert "max_tokens" not in moved
        assert "max_completion_tokens" not in sent(hello(**{field: 9}), old, 9)


@pytest.mark.parametrize("wants", [{}, {"include_usage": False}])
def test_streams_always_carry_usage_and_keep_the_clients_options(
    make_lane: Callable[..., Lane], wants: dict[str, bool]
) -> None:
    body = hello(stream=True, stream_options={"include_obfuscation": False} | wants)
    request = CHAT.parse(body, {})
    assert request.stream
    assert not request.wants_stream_usage
    sent = msgspec.json.decode(CHAT.upstream_body(request, make_lane(), 5))
    assert sent["stream_options"] == {"include_obfuscation": False, "include_usage": True}


def test_the_lane_decides_the_service_tier(make_lane: Callable[..., Lane]) -> None:
    for given_tier, lane, expected in (
        ("auto", make_lane(), "default"),
        ("default", make_lane(), "default"),
        (None, make_lane(), None),
        (None, make_lane(service_tier="flex"), "flex"),
        ("auto", make_lane(service_tier="flex"), "flex"),
    ):
        request = CHAT.parse(hello(service_tier=given_tier), {})
        sent = msgspec.json.decode(CHAT.upstream_body(request, lane, 5))
        assert sent.get("service_tier") == expected
