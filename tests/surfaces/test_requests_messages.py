"""Messages requests: what Anthropic takes is understood, what could cost more is refused."""

import copy
from collections.abc import Callable
from typing import Any, get_args, get_type_hints

import msgspec
import pytest
from anthropic.types import ContentBlockParam, ToolUnionParam
from anthropic.types.message_create_params import (
    MessageCreateParamsBase,
    MessageCreateParamsNonStreaming,
)
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from signalbox_proxy.refusals import Refusal
from signalbox_proxy.surfaces import MESSAGES
from signalbox_proxy.surfaces.fields import KNOWN_KINDS
from signalbox_proxy.surfaces.messages_types import CLIENT_TOOL_TOKENS
from signalbox_proxy.surfaces.messages_types import MESSAGES as TABLE
from signalbox_snapshot.snapshot import Lane

SDK_TYPE: TypeAdapter[Any] = TypeAdapter(MessageCreateParamsNonStreaming)


def hello(**more: Any) -> dict[str, Any]:
    return {
        "model": "large",
        "max_tokens": 100,
        "messages": [{"role": "user", "content": "Hello"}],
        **more,
    }


def with_block(block: dict[str, Any]) -> dict[str, Any]:
    return hello(messages=[{"role": "user", "content": [block]}])


def test_every_field_of_the_sdk_is_known() -> None:
    assert set(MessageCreateParamsBase.__annotations__) <= set(TABLE.fields) | {"stream"}


def kinds_of(union: Any) -> set[str]:
    found: set[str] = set()
    for member in get_args(union):
        kind = get_type_hints(member).get("type")
        for choice in (kind, *get_args(kind)):
            found.update(value for value in get_args(choice) if isinstance(value, str))
    return found


def test_every_content_block_of_the_sdk_is_understood_or_refused_with_its_reason() -> None:
    understood = {
        "text", "image", "document", "search_result", "thinking", "redacted_thinking",
        "tool_use", "tool_result",
    }  # fmt: skip
    for kind in kinds_of(ContentBlockParam) - understood:
        assert kind in KNOWN_KINDS, kind


def test_of_the_provider_defined_tools_only_pure_client_tools_have_a_bound() -> None:
    allowed = set(CLIENT_TOOL_TOKENS)
    for kind in kinds_of(ToolUnionParam) - {"custom"}:
        body = hello(tools=[{"type": kind, "name": "x"}])
        if kind in allowed:
            assert MESSAGES.parse(body, {}).input_tokens == CLIENT_TOOL_TOKENS[kind]
            continue
        with pytest.raises(Refusal) as caught:
            MESSAGES.parse(body, {})
        assert (caught.value.code, caught.value.param) == ("no_bound", "tools[0].type")


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
CACHE = st.sampled_from([None, {"type": "ephemeral"}, {"type": "ephemeral", "ttl": "1h"}])
TEXTS = st.fixed_dictionaries(
    {"type": st.just("text"), "text": TEXT}, optional={"cache_control": CACHE}
)
IMAGES = st.fixed_dictionaries(
    {
        "type": st.just("image"),
        "source": st.sampled_from(
            [
                {"type": "url", "url": "https://a.example/b.png"},
                {"type": "base64", "media_type": "image/png", "data": "AAAA"},
            ]
        ),
    }
)
DOCUMENTS = st.fixed_dictionaries(
    {
        "type": st.just("document"),
        "source": st.sampled_from(
            [
                {"type": "text", "media_type": "text/plain", "data": "words"},
                {"type": "content", "content": "words"},
                {"type": "content", "content": [{"type": "text", "text": "words"}]},
            ]
        ),
    },
    optional={"title": TEXT, "context": TEXT, "citations": st.just({"enabled": True})},
)
BLOCKS = (
    TEXTS
    | IMAGES
    | DOCUMENTS
    | st.fixed_dictionaries(
        {
            "type": st.just("search_result"),
            "source": TEXT,
            "title": TEXT,
            "content": st.lists(TEXTS, max_size=2),
        }
    )
    | st.fixed_dictionaries(
        {
            "type": st.just("tool_use"),
            "id": st.just("toolu_1"),
            "name": st.just("quote"),
            "input": st.dictionaries(TEXT, TEXT | st.integers(), max_size=2),
        }
    )
    | st.fixed_dictionaries(
        {"type": st.just("tool_result"), "tool_use_id": st.just("toolu_1")},
        optional={
            "content": TEXT | st.lists(TEXTS | IMAGES, max_size=2),
            "is_error": st.booleans(),
        },
    )
    | st.fixed_dictionaries({"type": st.just("thinking"), "thinking": TEXT, "signature": TEXT})
    | st.fixed_dictionaries({"type": st.just("redacted_thinking"), "data": TEXT})
)
REQUESTS = st.fixed_dictionaries(
    {
        "model": st.just("large"),
        "max_tokens": st.integers(0, 64_000),
        "messages": st.lists(
            st.fixed_dictionaries(
                {
                    "role": st.sampled_from(["user", "assistant"]),
                    "content": TEXT | st.lists(BLOCKS, max_size=3),
                }
            ),
            min_size=1,
            max_size=4,
        ),
    },
    optional={
        "system": TEXT | st.lists(TEXTS, max_size=2),
        "temperature": st.floats(0, 1) | st.integers(0, 1),
        "stop_sequences": st.lists(TEXT, max_size=3),
        "metadata": st.just({"user_id": "ann"}) | st.just({"user_id": None}) | st.just({}),
        "service_tier": st.sampled_from(["auto", "standard_only"]),
        "thinking": st.sampled_from(
            [{"type": "disabled"}, {"type": "adaptive"}, {"type": "between_tools"}]
        ),
        "tools": st.lists(
            st.sampled_from(
                [
                    {"name": "quote", "input_schema": {"type": "object"}},
                    {
                        "type": "custom", "name": "trade", "description": "Buys.",
                        "input_schema": {"type": "object", "properties": {"a": {}}},
                        "cache_control": {"type": "ephemeral"}, "input_examples": [{"a": 1}],
                    },
                    {"type": "bash_20250124", "name": "bash"},
                ]
            ),
            max_size=3,
        ),
        "tool_choice": st.sampled_from(
            [{"type": "auto"}, {"type": "any"}, {"type": "none"}, {"type": "tool", "name": "quote"}]
        ),
        "output_config": st.sampled_from(
            [{}, {"effort": "low"}, {"format": {"type": "json_schema", "schema": {}}}]
        ),
        "cache_control": CACHE,
        "speed": st.sampled_from(["standard", None]),
        "stream": st.just(False),
    },
)  # fmt: skip


@given(REQUESTS)
def test_requests_that_the_sdk_types_allow_are_understood(body: dict[str, Any]) -> None:
    SDK_TYPE.validate_python(copy.deepcopy(body))
    original = copy.deepcopy(body)
    request = MESSAGES.parse(body, {})
    assert body == original
    assert request.output_limit == body["max_tokens"]
    assert request.text_bytes >= sum(len(text.encode()) for text in request.texts)
    for message in body["messages"]:
        if isinstance(message["content"], str) and message["content"]:
            assert message["content"] in request.texts


@given(REQUESTS)
def test_what_goes_upstream_is_what_came_but_for_what_signalbox_sets(body: dict[str, Any]) -> None:
    lane = Lane(
        name="us", lane_class="public", provider="a", wire_format="anthropic", upstream_model="up",
        endpoint="https://a.example", auth="none", auth_key="", region="r", jurisdiction="US",
        max_sensitivity=0, list_price=None, price=None,
    )  # fmt: skip
    sent = msgspec.json.decode(MESSAGES.upstream_body(MESSAGES.parse(body, {}), lane, None))
    tier = {"service_tier": "standard_only"} if "service_tier" in body else {}
    assert sent == body | {"model": "up"} | tier


PDF = {"type": "base64", "media_type": "application/pdf", "data": "AAAA"}
REFUSED = [
    (hello(frobnicate=1), "frobnicate"),
    (hello(container="c_1"), "container"),
    (hello(mcp_servers=[{"url": "https://a.example"}]), "mcp_servers"),
    (hello(speed="fast"), "speed"),
    (hello(inference_geo="us"), "inference_geo"),
    (hello(context_management={"edits": []}), "context_management"),
    (hello(workspace_id="w"), "workspace_id"),
    (hello(fallbacks=[{"model": "dear"}]), "fallbacks"),
    (hello(tools=[{"type": "web_search_20250305", "name": "web_search"}]), "tools[0].type"),
    (hello(tools=[{"type": "computer_toolset_20260801", "name": "c"}]), "tools[0].type"),
    (
        hello(tools=[{"name": "a", "input_schema": {}, "defer_loading": True}]),
        "tools[0].defer_loading",
    ),
    (with_block({"type": "document", "source": PDF}), "messages[0].content[0].source.type"),
    (
        with_block({"type": "document", "source": {"type": "url", "url": "https://a.example"}}),
        "messages[0].content[0].source.type",
    ),
    (
        with_block({"type": "image", "source": {"type": "file", "file_id": "f"}}),
        "messages[0].content[0].source.type",
    ),
    (with_block({"type": "container_upload", "file_id": "f"}), "messages[0].content[0].type"),
    (with_block({"type": "server_tool_use"}), "messages[0].content[0].type"),
    (with_block({"type": "text", "text": "a", "weight": 2}), "messages[0].content[0].weight"),
    (
        hello(
            thinking={"type": "enabled", "budget_tokens": 4000},
            tools=[{"name": "a", "input_schema": {}}],
        ),
        "thinking.budget_tokens",
    ),
]


@pytest.mark.parametrize(("body", "field"), REFUSED, ids=[field for _, field in REFUSED])
def test_what_could_change_the_bill_is_refused_by_name(
    refused: Callable[..., Refusal], body: dict[str, Any], field: str
) -> None:
    refusal = refused(MESSAGES, body)
    assert (refusal.code, refusal.param) == ("no_bound", field)


INVALID = [
    ({"model": "large", "messages": [{"role": "user", "content": "a"}]}, "max_tokens"),
    (hello(max_tokens=None), "max_tokens"),
    *[(hello(max_tokens=value), "max_tokens") for value in (-1, 1.5, "5", True, 10**30)],
    (hello(messages=[]), "messages"),
    (hello(messages=[{"role": "tool", "content": "a"}]), "messages[0].role"),
    (hello(messages=[{"role": "user"}]), "messages[0].content"),
    (with_block({"type": "text"}), "messages[0].content[0].text"),
    (hello(temperature=1.5), "temperature"),
    (hello(top_k=-1), "top_k"),
    (hello(stream="yes"), "stream"),
    (hello(service_tier="priority"), "service_tier"),
    (hello(thinking={"type": "enabled", "budget_tokens": 10}), "thinking.budget_tokens"),
    (hello(thinking={"type": "enabled", "budget_tokens": 2000}), "thinking.budget_tokens"),
    (hello(tools=[{"name": "a"}]), "tools[0].input_schema"),
    (hello(tool_choice={"type": "tool"}), "tool_choice.name"),
    (hello(metadata={"user_id": 5}), "metadata.user_id"),
]


@pytest.mark.parametrize(("body", "field"), INVALID)
def test_what_anthropic_would_refuse_for_sure_is_refused_by_name(
    refused: Callable[..., Refusal], body: dict[str, Any], field: str
) -> None:
    refusal = refused(MESSAGES, body)
    assert (refusal.code, refusal.param) == ("invalid_request", field)


def test_the_user_and_signalbox_metadata_are_read() -> None:
    body = hello(metadata={"user_id": "ann", "signalbox_task": "close"})
    request = MESSAGES.parse(body, {})
    assert request.user == "ann"
    assert request.metadata == {"x-signalbox-task": "close"}
    assert request.body["metadata"] == {"user_id": "ann"}


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({}, "none"),
        ({"cache_control": {"type": "ephemeral"}}, "5m"),
        ({"cache_control": {"type": "ephemeral", "ttl": "1h"}}, "1h"),
        (
            {
                "system": [
                    {
                        "type": "text",
                        "text": "a",
                        "cache_control": {"type": "ephemeral", "ttl": "1h"},
                    },
                    {"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}},
                ]
            },
            "1h",
        ),
        (
            {
                "tools": [
                    {"name": "a", "input_schema": {}, "cache_control": {"type": "ephemeral"}}
                ]
            },
            "5m",
        ),
    ],
)  # fmt: skip
def test_the_dearest_cache_write_is_found(more: dict[str, Any], expected: str) -> None:
    assert MESSAGES.parse(hello(**more), {}).cache_write == expected


def test_images_are_counted_wherever_they_are() -> None:
    image = {"type": "image", "source": {"type": "url", "url": "https://a.example/b.png"}}
    result = {"type": "tool_result", "tool_use_id": "t", "content": [image, image]}
    document = {"type": "document", "source": {"type": "content", "content": [image]}}
    body = hello(messages=[{"role": "user", "content": [image, result, document]}])
    assert MESSAGES.parse(body, {}).images == 4


def test_of_the_clients_headers_only_known_ones_travel(make_lane: Callable[..., Lane]) -> None:
    client = {
        "anthropic-version": "2026-10-21",
        "anthropic-beta": "interleaved-thinking-2025-05-14, effort-2025-11-24",
        "x-api-key": "sk-client", "authorization": "Bearer sk-client", "cookie": "a=b",
        "x-signalbox-task": "close", "anthropic-workspace-id": "w", "host": "evil.example",
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "tracestate": "a=b\r\nx-evil: 1", "user-agent": "client/1",
    }  # fmt: skip
    sent = MESSAGES.upstream_headers(client, make_lane(wire_format="anthropic"), "sk-ours")
    assert sent == {
        "content-type": "application/json",
        "accept": "application/json, text/event-stream",
        "accept-encoding": "identity",
        "user-agent": "signalbox",
        "traceparent": client["traceparent"],
        "anthropic-version": "2026-10-21",
        "anthropic-beta": "interleaved-thinking-2025-05-14,effort-2025-11-24",
        "x-api-key": "sk-ours",
    }
    assert "x-api-key" not in MESSAGES.upstream_headers(client, make_lane(auth="none"), "")


def test_a_beta_that_could_change_the_bill_is_refused(refused: Callable[..., Refusal]) -> None:
    refusal = refused(MESSAGES, hello(), anthropic_beta="fast-mode-2026-02-01")
    assert (refusal.code, refusal.param) == ("no_bound", "anthropic-beta")


@pytest.mark.parametrize(
    ("endpoint", "path"),
    [
        ("https://api.anthropic.com", "/v1/messages"),
        ("https://api.anthropic.com/", "/v1/messages"),
        ("https://api.anthropic.com/v1", "/messages"),
        ("https://gateway.example/anthropic", "/v1/messages"),
    ],
)
def test_the_path_follows_the_sdks_own_rule(
    make_lane: Callable[..., Lane], endpoint: str, path: str
) -> None:
    assert MESSAGES.upstream_path(make_lane(endpoint=endpoint)) == path
