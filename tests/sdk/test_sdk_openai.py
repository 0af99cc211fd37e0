"""The official OpenAI client works through Signalbox as it does with the provider itself."""

import base64
import json
from typing import Any

import openai
import pytest
from openai.types.chat import ChatCompletion
from pydantic import BaseModel

from support.market import Market

ASK: list[Any] = [{"role": "user", "content": "What is a bond ladder?"}]
TOOL: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather somewhere",
        "parameters": {
            "type": "object",
            "properties": {"place": {"type": "string"}},
            "required": ["place"],
            "additionalProperties": False,
        },
        "strict": True,
    },
}
PIXEL = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk"
    "+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


class Ladder(BaseModel):
    rungs: int
    issuer: str
    callable: bool


def essence(answer: ChatCompletion) -> dict[str, Any]:
    """What two answers to the same question share: all but their name, time and cache use."""
    document = answer.model_dump(exclude={"id", "created"}, mode="json")
    for details in ("prompt_tokens_details",):
        document["usage"].pop(details, None)
    return document


def both(
    client: openai.OpenAI, direct: openai.OpenAI, **request: Any
) -> tuple[ChatCompletion, ChatCompletion]:
    request = {"model": "gpt-5-mini", "messages": ASK} | request
    through = client.chat.completions.create(**request)
    straight = direct.chat.completions.create(**request)
    assert essence(through) == essence(straight)
    return through, straight


def spoken(chunks: list[Any]) -> str:
    return "".join(each.choices[0].delta.content or "" for each in chunks if each.choices)


@pytest.mark.parametrize(
    "request_",
    [
        {},
        {"max_completion_tokens": 60},
        {"n": 3},
        {"seed": 7, "user": "u-1", "metadata": {"ticket": "4711"}},
        {"messages": [{"role": "developer", "content": "Be brief."}, *ASK]},
        {"tools": [TOOL], "tool_choice": "required"},
        {"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "weather"}}},
        {"tools": [TOOL], "parallel_tool_calls": False},
        {"response_format": {"type": "json_object"}, "messages": [
            {"role": "user", "content": "A ladder as JSON"}]},
        {"reasoning_effort": "low"},
        {"messages": [{"role": "user", "content": [
            {"type": "text", "text": "What is this?"},
            {"type": "image_url", "image_url": {"url": PIXEL, "detail": "low"}},
            {"type": "image_url", "image_url": {"url": PIXEL}}]}]},
    ],
)  # fmt: skip
def test_an_answer_is_the_provider_s_own(
    client: openai.OpenAI, direct: openai.OpenAI, request_: dict[str, Any]
) -> None:
    both(client, direct, **request_)


def test_a_stream_says_what_the_whole_answer_says(
    client: openai.OpenAI, direct: openai.OpenAI
) -> None:
    whole = direct.chat.completions.create(model="gpt-5-mini", messages=ASK)
    with client.chat.completions.create(model="gpt-5-mini", messages=ASK, stream=True) as stream:
        chunks = list(stream)
    assert spoken(chunks) == whole.choices[0].message.content
    assert all(chunk.usage is None for chunk in chunks)
    assert all(chunk.choices for chunk in chunks), "nobody asked for the usage chunk"
    assert chunks[-1].choices[0].finish_reason == "stop"


def test_a_stream_ends_with_its_usage_where_that_was_asked_for(
    client: openai.OpenAI, direct: openai.OpenAI
) -> None:
    whole = direct.chat.completions.create(model="gpt-5-mini", messages=ASK)
    with client.chat.completions.create(
        model="gpt-5-mini", messages=ASK, stream=True, stream_options={"include_usage": True}
    ) as stream:
        *chunks, last = list(stream)
    assert last.choices == []
    assert last.usage is not None
    assert whole.usage is not None
    assert last.usage.completion_tokens == whole.usage.completion_tokens
    assert all(chunk.usage is None for chunk in chunks)


def test_the_stream_helper_collects_tool_calls(client: openai.OpenAI) -> None:
    with client.chat.completions.stream(
        model="gpt-5-mini", messages=ASK, tools=[TOOL], tool_choice="required"
    ) as stream:
        for _ in stream:
            pass
        answer = stream.get_final_completion()
    (call,) = answer.choices[0].message.tool_calls or ()
    assert set(json.loads(call.function.arguments)) == {"place"}


def test_a_tool_s_result_goes_back_to_the_model(
    client: openai.OpenAI, direct: openai.OpenAI
) -> None:
    asking = [{"role": "user", "content": "Weather in Oslo and Rome? [[tool 2]]"}]
    called, _ = both(client, direct, messages=asking, tools=[TOOL])
    message = called.choices[0].message
    assert called.choices[0].finish_reason == "tool_calls"
    assert message.tool_calls is not None
    assert len(message.tool_calls) == 2
    results = [
        {"role": "tool", "tool_call_id": call.id, "content": "rain"} for call in message.tool_calls
    ]
    history = [*asking, message.model_dump(exclude_none=True), *results]
    answer = client.chat.completions.create(model="gpt-5-mini", messages=history, tools=[TOOL])
    assert answer.choices[0].finish_reason in ("stop", "tool_calls")


def test_an_answer_fits_the_type_that_was_asked_for(client: openai.OpenAI) -> None:
    parsed = client.chat.completions.parse(
        model="gpt-5-mini", messages=ASK, response_format=Ladder
    ).choices[0]
    assert isinstance(parsed.message.parsed, Ladder)


def test_an_image_of_unknown_size_is_answered(client: openai.OpenAI) -> None:
    content = [{"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}]
    answer = client.chat.completions.create(
        model="mistral-small", messages=[{"role": "user", "content": content}]
    )
    assert answer.choices[0].message.content


@pytest.mark.parametrize(
    "request_",
    [
        {"input": "a"},
        {"input": ["a", "b", "ありがとう"], "encoding_format": "float"},
        {"input": ["a"], "encoding_format": "base64"},
        {"input": [1, 2, 3]},
        {"input": [[1, 2, 3], [4]], "dimensions": 256},
    ],
)
def test_embeddings_are_the_provider_s_own(
    client: openai.OpenAI, direct: openai.OpenAI, request_: dict[str, Any]
) -> None:
    request = {"model": "text-embedding-3-small"} | request_
    through = client.embeddings.create(**request)
    straight = direct.embeddings.create(**request)
    assert through.model_dump(warnings=False) == straight.model_dump(warnings=False)
    assert through.usage.total_tokens > 0


def test_embeddings_come_as_bytes_where_asked(client: openai.OpenAI) -> None:
    answer = client.embeddings.create(
        model="text-embedding-3-small", input="a", encoding_format="base64", dimensions=8
    )
    encoded: Any = answer.data[0].embedding
    assert len(base64.b64decode(encoded)) == 8 * 4


def test_models_are_those_that_the_agent_may_use(client: openai.OpenAI, market: Market) -> None:
    names = {each.id for each in client.models.list()}
    assert {"gpt-5-mini", "mistral-small", "text-embedding-3-small"} <= names
    assert client.models.retrieve("llama").id == "llama"
    with openai.OpenAI(base_url=market.openai_url, api_key=market.key("barred")) as barred:
        assert [each.id for each in barred.models.list()] == ["mistral-small"]


def test_headers_tell_run_lane_cost_and_what_is_left(client: openai.OpenAI, market: Market) -> None:
    raw = client.chat.completions.with_raw_response.create(model="gpt-5-mini", messages=ASK)
    assert raw.headers["x-signalbox-model"] == "gpt-5-mini"
    assert raw.headers["x-signalbox-lane"] == "us"
    assert float(raw.headers["x-signalbox-cost-usd"]) > 0
    assert raw.headers["x-signalbox-budget"] == "signalbox-system/all"
    assert float(raw.headers["x-signalbox-budget-remaining-usd"]) > 0
    run_id = raw.headers["x-signalbox-run-id"]
    assert raw.request_id == run_id
    told = client.get(f"{market.url}/signalbox/v1/runs/{run_id}", cast_to=dict)
    assert told["run_id"] == run_id


def test_a_stream_s_headers_tell_the_most_that_it_may_cost(client: openai.OpenAI) -> None:
    with client.chat.completions.with_streaming_response.create(
        model="gpt-5-mini", messages=ASK, stream=True, extra_headers={
            "x-signalbox-cost-comment": "true"}
    ) as raw:  # fmt: skip
        most = float(raw.headers["x-signalbox-cost-max-usd"])
        lines = [line for line in raw.iter_lines() if line.startswith(": x-signalbox-cost-usd=")]
    assert 0 < float(lines[0].partition("=")[2]) < most


def test_an_output_limit_that_the_client_left_out_is_bounded_but_not_told(
    client: openai.OpenAI,
) -> None:
    asked = [{"role": "user", "content": "A long story [[tokens 3000]]"}]
    raw = client.chat.completions.with_raw_response.create(model="mistral-small", messages=asked)
    answer = raw.parse()
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 1024
    assert "x-signalbox-max-output-tokens" not in raw.headers


async def test_the_async_client_works_alike(market: Market, direct: openai.OpenAI) -> None:
    whole = direct.chat.completions.create(model="gpt-5-mini", messages=ASK)
    async with openai.AsyncOpenAI(
        base_url=market.openai_url, api_key=market.key("buyer")
    ) as client:
        answer = await client.chat.completions.create(model="gpt-5-mini", messages=ASK)
        assert essence(answer) == essence(whole)
        stream = await client.chat.completions.create(
            model="gpt-5-mini", messages=ASK, stream=True, stream_options={"include_usage": True}
        )
        chunks = [chunk async for chunk in stream]
        assert spoken(chunks) == whole.choices[0].message.content
        parsed = await client.chat.completions.parse(
            model="gpt-5-mini", messages=ASK, response_format=Ladder
        )
        assert isinstance(parsed.choices[0].message.parsed, Ladder)
        vectors = await client.embeddings.create(model="text-embedding-3-small", input=["a", "b"])
        assert len(vectors.data) == 2
        assert [each.id async for each in client.models.list()]
