"""What the real providers refuse, the simulated one refuses too, in their own words' shape."""

import copy
import gzip
import json

import pytest

from support.provider import ANTHROPIC, KEYS, MISTRAL, OPENAI, VLLM, Provider

USER = {"role": "user", "content": "Hello"}
CHAT = {"model": "gpt-5-mini", "messages": [USER]}
LLAMA = {"model": "llama-3.3-70b-instruct", "messages": [USER]}
MESSAGES = {"model": "claude-haiku-4-5", "max_tokens": 20, "messages": [USER]}
EMBEDDINGS = {"model": "text-embedding-3-small", "input": "Hello"}
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
CLAUDE_TOOL = {"name": "f", "input_schema": {"type": "object"}}
USE = {"type": "tool_use", "id": "u1", "name": "f", "input": {}}
RESULT = {"type": "tool_result", "tool_use_id": "u1", "content": "x"}
MARKED = {"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}}


def image(url: str) -> dict[str, object]:
    return {"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}


def schema(strict: bool, **document: object) -> dict[str, object]:
    inner = {"name": "s", "strict": strict, "schema": document}
    return {"type": "json_schema", "json_schema": inner}


REFUSED_CHAT = [
    ({"messages": None}, 400, "messages"),
    ({"messages": []}, 400, "messages"),
    ({"messages": "Hello"}, 400, "messages"),
    ({"messages": [{"role": "robot", "content": "x"}]}, 400, "messages[0]"),
    ({"messages": [{"role": "user"}]}, 400, "messages[0].content"),
    ({"messages": [{"role": "user", "content": 5}]}, 400, "messages[0].content"),
    ({"messages": [{"role": "user", "content": []}]}, 400, "messages[0].content"),
    ({"messages": [USER | {"mood": "good"}]}, 400, "messages[0].mood"),
    ({"messages": [{"role": "assistant", "content": None}]}, 400, "messages[0].content"),
    (
        {"messages": [{"role": "tool", "tool_call_id": "x", "content": "y"}]},
        400,
        "messages[0].role",
    ),
    ({"messages": [USER, {"role": "assistant", "tool_calls": [CALL]}]}, 400, "messages[1].role"),
    ({"messages": [image("ftp://x")]}, 400, "messages[0].content[0].image_url.url"),
    (
        {"messages": [image("data:image/png;base64,AAAA")]},
        400,
        "messages[0].content[0].image_url.url",
    ),
    (
        {"messages": [image("data:image/png;base64,@@")]},
        400,
        "messages[0].content[0].image_url.url",
    ),
    ({"model": None}, 400, "model"),
    ({"model": 5}, 400, "model"),
    ({"model": "gpt-99"}, 404, "model"),
    ({"model": "text-embedding-3-small"}, 404, "model"),
    ({"unknown_field": 1}, 400, "unknown_field"),
    ({"max_completion_tokens": 0}, 400, "max_completion_tokens"),
    ({"max_completion_tokens": -1}, 400, "max_completion_tokens"),
    ({"max_completion_tokens": "10"}, 400, "max_completion_tokens"),
    ({"max_completion_tokens": 1.5}, 400, "max_completion_tokens"),
    ({"max_completion_tokens": True}, 400, "max_completion_tokens"),
    ({"max_completion_tokens": 10**30}, 400, "max_completion_tokens"),
    ({"max_tokens": 10}, 400, "max_tokens"),
    ({"n": 0}, 400, "n"),
    ({"n": 129}, 400, "n"),
    ({"temperature": 0.5}, 400, "temperature"),
    ({"temperature": 2.5}, 400, "temperature"),
    ({"stop": "x"}, 400, "stop"),
    ({"logprobs": True}, 400, "logprobs"),
    ({"stream": "yes"}, 400, "stream"),
    ({"stream_options": {"include_usage": True}}, 400, "stream_options"),
    ({"stream": True, "stream_options": {"usage": True}}, 400, "stream_options.usage"),
    ({"tools": []}, 400, "tools"),
    ({"tools": [TOOL | {"type": "magic"}]}, 400, "tools[0]"),
    (
        {"tools": [{"type": "function", "function": {"name": "two words"}}]},
        400,
        "tools[0].function.name",
    ),
    ({"model": "gpt-5.4", "tools": [TOOL], "reasoning_effort": "low"}, 400, "reasoning_effort"),
    ({"tool_choice": "required"}, 400, "tool_choice"),
    ({"parallel_tool_calls": True}, 400, "parallel_tool_calls"),
    (
        {"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "g"}}},
        400,
        "tool_choice",
    ),
    ({"response_format": {"type": "json_object"}}, 400, "messages"),
    ({"response_format": {"type": "xml"}}, 400, "response_format"),
    (
        {"response_format": schema(True, type="object", properties={"a": {"type": "string"}})},
        400,
        "response_format",
    ),
    ({"response_format": schema(False, type="spaceship")}, 400, "schema"),
    ({"response_format": schema(False, **{"$ref": "#/nowhere"})}, 400, "schema"),
    ({"response_format": schema(False, type="integer", multipleOf=0)}, 400, "schema"),
    ({"reasoning_effort": "none"}, 400, "reasoning_effort"),
    ({"reasoning_effort": "extreme"}, 400, "reasoning_effort"),
    ({"service_tier": "scale"}, 400, "service_tier"),
    ({"service_tier": "gold"}, 400, "service_tier"),
    ({"metadata": {"a": 1}}, 400, "metadata.a"),
    ({"metadata": {str(n): "x" for n in range(17)}}, 400, "metadata"),
    ({"modalities": ["text", "audio"]}, 400, "modalities"),
    ({"audio": {"format": "wav", "voice": "alloy"}}, 400, "audio"),
    ({"web_search_options": {}}, 400, "web_search_options"),
    ({"prediction": {"type": "content", "content": "x"}}, 400, "prediction"),
    ({"user": None}, 400, "user"),
    ({"seed": 2**70}, 400, "seed"),
]


@pytest.mark.parametrize(("change", "status", "param"), REFUSED_CHAT)
def test_bad_chat_requests_are_refused_by_name(
    provider: Provider, change: dict[str, object], status: int, param: str
) -> None:
    body = {k: v for k, v in (CHAT | change).items() if v is not None or k not in CHAT}
    answer = provider.chat(body)
    assert answer.status_code == status
    error = answer.json()["error"]
    assert error["param"] == param
    assert set(error) == {"message", "type", "param", "code"}
    assert answer.headers["x-request-id"]


ACCEPTED_CHAT = [
    {"n": 2, "user": "u", "safety_identifier": "s", "prompt_cache_key": "k", "store": False},
    {"metadata": {"a": "b"}, "service_tier": "auto", "verbosity": "low", "seed": -5},
    {"temperature": 1, "top_p": 1.0, "presence_penalty": 0, "frequency_penalty": None},
    {"stream_options": None, "max_tokens": None, "stop": None, "response_format": {"type": "text"}},
    {"tools": [TOOL], "tool_choice": "auto", "parallel_tool_calls": False},
    {"tools": [TOOL], "tool_choice": "none"},
    {"messages": [{"role": "developer", "content": "Be kind"}, USER | {"name": "Ann"}]},
    {"messages": [{"role": "system", "content": [{"type": "text", "text": "Be kind"}]}, USER]},
    {"messages": [USER, {"role": "assistant", "content": None, "tool_calls": [CALL]},
                  {"role": "tool", "tool_call_id": "c1", "content": "x"}]},
    {"messages": [USER, {"role": "assistant", "content": "", "refusal": None}, USER]},
    {"messages": [image("https://example.com/x.png")]},
    {"prompt_cache_retention": "24h", "prompt_cache_options": {"mode": "implicit"}},
]  # fmt: skip


@pytest.mark.parametrize("change", ACCEPTED_CHAT)
def test_good_chat_requests_are_answered(provider: Provider, change: dict[str, object]) -> None:
    answer = provider.chat(CHAT | change)
    assert answer.status_code == 200, answer.text


REFUSED_LLAMA = [
    ({"temperature": 2.1}, "temperature"),
    ({"top_p": -0.1}, "top_p"),
    ({"presence_penalty": 3}, "presence_penalty"),
    ({"logit_bias": {"abc": 1}}, "logit_bias.abc"),
    ({"logit_bias": {"5": 101}}, "logit_bias.5"),
    ({"top_logprobs": 2}, "top_logprobs"),
    ({"logprobs": True, "top_logprobs": 21}, "top_logprobs"),
    ({"stop": ["a", "b", "c", "d", "e"]}, "stop"),
    ({"stop": ""}, "stop"),
    ({"max_tokens": 5, "max_completion_tokens": 5}, "max_tokens"),
    ({"max_tokens": 131072}, "messages"),
    ({"max_tokens": 200000}, "max_tokens"),
    ({"reasoning_effort": "low"}, "reasoning_effort"),
    ({"messages": [image("https://example.com/x.png")]}, "messages[0].content[0].type"),
]


@pytest.mark.parametrize(("change", "param"), REFUSED_LLAMA)
def test_each_model_has_its_own_limits(
    provider: Provider, change: dict[str, object], param: str
) -> None:
    answer = provider.chat(LLAMA | change, host=VLLM)
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == param


def test_mistral_does_not_know_openais_newer_field(provider: Provider) -> None:
    body = {"model": "mistral-small-latest", "messages": [USER]}
    assert provider.chat(body | {"max_completion_tokens": 5}, host=MISTRAL).status_code == 422
    assert provider.chat(body | {"max_tokens": 5}, host=MISTRAL).status_code == 200


REFUSED_MESSAGES = [
    ({"max_tokens": None}, 400),
    ({"max_tokens": 0}, 400),
    ({"max_tokens": "20"}, 400),
    ({"max_tokens": 64001}, 400),
    ({"model": "claude-99"}, 404),
    ({"messages": []}, 400),
    ({"messages": [{"role": "assistant", "content": "Hello"}]}, 400),
    ({"messages": [{"role": "system", "content": "Hello"}]}, 400),
    ({"messages": [{"role": "user", "content": ""}]}, 400),
    ({"messages": [{"role": "user", "content": "  "}]}, 400),
    ({"messages": [{"role": "user", "content": [{"type": "text", "text": ""}]}]}, 400),
    ({"messages": [{"role": "user", "content": [{"type": "video"}]}]}, 400),
    ({"messages": [USER, {"role": "assistant", "content": "Sure "}]}, 400),
    ({"messages": [{"role": "user", "content": [USE]}]}, 400),
    ({"messages": [{"role": "user", "content": [RESULT]}]}, 400),
    ({"messages": [USER, {"role": "assistant", "content": [USE]}]}, 400),
    ({"messages": [USER, {"role": "assistant", "content": [USE]}, USER]}, 400),
    ({"temperature": 1.1}, 400),
    ({"temperature": 0.5, "top_p": 0.5}, 400),
    ({"top_k": -1}, 400),
    ({"stop_sequences": [" "]}, 400),
    ({"stop_sequences": "x"}, 400),
    ({"system": 5}, 400),
    ({"system": [MARKED] * 5}, 400),
    ({"system": [MARKED, MARKED | {"cache_control": {"type": "ephemeral", "ttl": "1h"}}]}, 400),
    ({"system": [MARKED | {"cache_control": {"type": "ephemeral", "ttl": "2h"}}]}, 400),
    ({"thinking": {"type": "enabled", "budget_tokens": 1024}}, 400),
    ({"thinking": {"type": "enabled", "budget_tokens": 5}, "max_tokens": 2000}, 400),
    ({"thinking": {"type": "adaptive"}}, 400),
    ({"tool_choice": {"type": "auto"}}, 400),
    ({"tools": [CLAUDE_TOOL, CLAUDE_TOOL]}, 400),
    ({"tools": [CLAUDE_TOOL], "tool_choice": {"type": "tool", "name": "g"}}, 400),
    ({"tools": [{"name": "f", "input_schema": {"type": "array"}}]}, 400),
    ({"tools": [{"name": "f f", "input_schema": {"type": "object"}}]}, 400),
    ({"tools": [{"type": "web_search_20250305", "name": "search"}]}, 400),
    ({"service_tier": "priority"}, 400),
    ({"speed": "fast"}, 400),
    ({"inference_geo": "us"}, 400),
    ({"container": "x"}, 400),
    ({"output_config": {"effort": "high"}}, 400),
    ({"output_config": {"format": {"type": "json_schema", "schema": {"properties": {}}}}}, 400),
    ({"metadata": {"session": "x"}}, 400),
    ({"n": 2}, 400),
]


@pytest.mark.parametrize(("change", "status"), REFUSED_MESSAGES)
def test_bad_messages_requests_are_refused(
    provider: Provider, change: dict[str, object], status: int
) -> None:
    body = {k: v for k, v in (MESSAGES | change).items() if v is not None}
    answer = provider.messages(body)
    assert answer.status_code == status
    document = answer.json()
    assert document["type"] == "error"
    assert document["request_id"] == answer.headers["request-id"]
    kinds = {400: "invalid_request_error", 404: "not_found_error"}
    assert document["error"]["type"] == kinds[status]


ACCEPTED_MESSAGES = [
    {
        "system": "Be kind",
        "temperature": 0,
        "stop_sequences": ["END"],
        "metadata": {"user_id": "u"},
    },
    {"system": [MARKED], "service_tier": "standard_only", "top_k": 5, "stream": False},
    {"messages": [USER, {"role": "assistant", "content": "It is"}]},
    {"messages": [USER, USER]},
    {
        "messages": [
            USER,
            {"role": "assistant", "content": [USE]},
            {"role": "user", "content": [RESULT]},
        ],
        "tools": [CLAUDE_TOOL],
    },
    {"tools": [{"type": "web_search_20250305", "name": "web_search", "max_uses": 3}]},
    {"tools": [{"type": "bash_20250124", "name": "bash"}], "tool_choice": {"type": "any"}},
    {"thinking": {"type": "disabled"}, "output_config": {}},
    {"inference_geo": "global", "speed": "standard"},
]


@pytest.mark.parametrize("change", ACCEPTED_MESSAGES)
def test_good_messages_requests_are_answered(provider: Provider, change: dict[str, object]) -> None:
    answer = provider.messages(MESSAGES | change)
    assert answer.status_code == 200, answer.text


REFUSED_EMBEDDINGS = [
    {"input": ""},
    {"input": []},
    {"input": [""]},
    {"input": [["a"]]},
    {"input": [1, "a"]},
    {"input": [-1]},
    {"input": "word " * 9000},
    {"dimensions": 0},
    {"dimensions": 1537},
    {"encoding_format": "hex"},
    {"model": "gpt-5"},
    {"stream": True},
]


@pytest.mark.parametrize("change", REFUSED_EMBEDDINGS)
def test_bad_embeddings_requests_are_refused(provider: Provider, change: dict[str, object]) -> None:
    answer = provider.post(f"/{OPENAI}/v1/embeddings", EMBEDDINGS | change)
    assert 400 <= answer.status_code < 500
    assert "error" in answer.json()


BROKEN = [
    b"",
    b"{",
    b"[]",
    b'"text"',
    b"null",
    b'{"model": NaN}',
    b'{"model": "\xff"}',
    b'{"model": "\\ud800"}',
    b'\xef\xbb\xbf{"model": "x"}',
    b'{"model": "x"} {}',
    b'{"a": 1e999}',
    b"[" * 100_000,
    b'{"a":' * 5000 + b"1" + b"}" * 5000,
    json.dumps({"a": [[[[1]]]]}).encode("utf-16"),
    gzip.compress(json.dumps(CHAT).encode()),
]


@pytest.mark.parametrize("surface", ["chat", "messages"])
@pytest.mark.parametrize("body", BROKEN, ids=range(len(BROKEN)))
def test_broken_bodies_are_refused(provider: Provider, surface: str, body: bytes) -> None:
    answer = getattr(provider, surface)(body)
    assert answer.status_code == 400
    assert "error" in answer.json()


def test_deep_documents_are_refused_where_a_schema_would_let_them_in(provider: Provider) -> None:
    deep: dict[str, object] = {}
    for _ in range(150):
        deep = {"properties": deep}
    tool = copy.deepcopy(TOOL)
    tool["function"]["parameters"] = {"type": "object", "properties": {"x": deep}}
    answer = provider.chat(CHAT | {"tools": [tool]})
    assert answer.status_code == 400
    assert "nested" in answer.json()["error"]["message"]


def test_compressed_bodies_are_refused(provider: Provider) -> None:
    body = gzip.compress(json.dumps(CHAT).encode())
    answer = provider.chat(body, headers={"content-encoding": "gzip"})
    assert answer.status_code == 415


def test_other_content_types_are_refused(provider: Provider) -> None:
    for kind in ("text/plain", "multipart/form-data; boundary=x", ""):
        answer = provider.chat(json.dumps(CHAT).encode(), headers={"content-type": kind})
        assert answer.status_code == 400
        assert answer.json()["error"]["code"] == "unsupported_content_type"
    answer = provider.chat(
        json.dumps(CHAT).encode(), headers={"content-type": "application/json; charset=utf-8"}
    )
    assert answer.status_code == 200


def test_bodies_above_32_megabytes_are_refused(provider: Provider) -> None:
    answer = provider.chat(b'{"x": "' + b"a" * (32 * 2**20) + b'"}')
    assert answer.status_code == 413
    assert "error" in answer.json()


@pytest.mark.parametrize(
    "value", ["", "Bearer", "Bearer wrong", f"Basic {KEYS['openai']}", KEYS["openai"]]
)
def test_openai_wants_a_known_bearer_key(provider: Provider, value: str) -> None:
    answer = provider.chat(CHAT, headers={"authorization": value})
    assert answer.status_code == 401
    assert KEYS["openai"] not in answer.text


def test_anthropic_wants_key_version_and_known_betas(provider: Provider) -> None:
    def status(**headers: str) -> tuple[int, str]:
        changed = {name.replace("_", "-"): value for name, value in headers.items()}
        answer = provider.messages(MESSAGES, headers=changed)
        return answer.status_code, answer.json().get("error", {}).get("type", "")

    assert status(x_api_key="") == (401, "authentication_error")
    assert status(x_api_key="wrong") == (401, "authentication_error")
    assert status(anthropic_version="") == (400, "invalid_request_error")
    assert status(anthropic_version="2020-01-01") == (400, "invalid_request_error")
    assert status(anthropic_beta="surprise") == (400, "invalid_request_error")
    assert status(anthropic_beta="context-1m-2025-08-07") == (200, "")


def test_a_host_speaks_its_own_formats_only(provider: Provider) -> None:
    assert provider.post(f"/{ANTHROPIC}/v1/chat/completions", CHAT).status_code == 404
    assert provider.post(f"/{OPENAI}/v1/messages", MESSAGES).status_code == 404
    assert provider.post(f"/{VLLM}/v1/embeddings", EMBEDDINGS).status_code == 404
    assert provider.post("/unknown.example/v1/chat/completions", CHAT).status_code == 404
    assert provider.post(f"/{OPENAI}/v1/chat/completions/", CHAT).status_code == 404
    assert provider.http.get(f"/{OPENAI}/v1/chat/completions").status_code == 405
    assert provider.post(f"/{VLLM}:8000/v1/chat/completions", LLAMA).status_code == 200


def test_a_refused_request_is_never_billed(provider: Provider) -> None:
    before = len(provider.process.bill())
    provider.chat(CHAT | {"n": 0})
    provider.chat(CHAT, headers={"authorization": "Bearer wrong"})
    provider.messages(MESSAGES | {"max_tokens": 0})
    assert len(provider.process.bill()) == before
