"""The official client's responses work through Signalbox as they do with the provider itself."""

from typing import Any

import openai
import pytest
from openai.types.responses import Response
from pydantic import BaseModel

from support.market import Market

ASK = "What is a bond ladder?"
TOOL: dict[str, Any] = {
    "type": "function",
    "name": "weather",
    "description": "The weather somewhere",
    "strict": True,
    "parameters": {
        "type": "object",
        "properties": {"place": {"type": "string"}},
        "required": ["place"],
        "additionalProperties": False,
    },
}


class Ladder(BaseModel):
    rungs: int
    issuer: str


def essence(answer: Response) -> dict[str, Any]:
    """What two answers to the same question share: all but their name, time and cache use."""
    document = answer.model_dump(exclude={"id", "created_at", "max_output_tokens"}, mode="json")
    document["usage"].pop("input_tokens_details", None)
    for item in document["output"]:
        if item.get("encrypted_content"):  # without the mark of the account that it goes back to
            item["encrypted_content"] = item["encrypted_content"].rpartition(".")[2]
    return document


@pytest.mark.parametrize(
    "request_",
    [
        {},
        {"max_output_tokens": 60},
        {"instructions": "Be brief.", "metadata": {"ticket": "4711"}},
        {"tools": [TOOL], "tool_choice": "required"},
        {"tools": [TOOL], "tool_choice": {"type": "function", "name": "weather"}},
        {"reasoning": {"effort": "low", "summary": "auto"}},
        {"text": {"format": {"type": "json_object"}}, "input": "A ladder as JSON"},
        {"input": [{"role": "user", "content": [{"type": "input_text", "text": "Hello"}]}]},
    ],
)
def test_an_answer_is_the_provider_s_own(
    client: openai.OpenAI, direct: openai.OpenAI, request_: dict[str, Any]
) -> None:
    asked = {"model": "gpt-5-mini", "input": ASK} | request_
    through = client.responses.create(**asked)
    include = ["reasoning.encrypted_content"] if "reasoning" in request_ else None
    straight = direct.responses.create(**asked, store=False, include=include)
    assert essence(through) == essence(straight)


def test_a_stream_is_the_whole_answer_and_ends_with_its_usage(
    client: openai.OpenAI, direct: openai.OpenAI
) -> None:
    asked: dict[str, Any] = {"model": "gpt-5-mini", "input": ASK}
    whole = direct.responses.create(**asked)
    with client.responses.stream(**asked) as stream:
        kinds = [event.type for event in stream]
        streamed = stream.get_final_response()
    assert kinds[0] == "response.created"
    assert kinds[-1] == "response.completed"
    assert streamed.output_text == whole.output_text
    assert streamed.usage is not None
    assert whole.usage is not None
    assert streamed.usage.output_tokens == whole.usage.output_tokens


def test_an_answer_is_parsed_into_the_type_that_was_asked_for(client: openai.OpenAI) -> None:
    answer = client.responses.parse(model="gpt-5-mini", input=ASK, text_format=Ladder)
    assert isinstance(answer.output_parsed, Ladder)


@pytest.mark.parametrize("model", ["gpt-5-mini", "claude-haiku-4-5"])
@pytest.mark.parametrize("reasoning", [None, {"effort": "low", "summary": "auto"}])
def test_a_conversation_goes_on_with_what_came_out(
    client: openai.OpenAI, model: str, reasoning: dict[str, str] | None
) -> None:
    more: dict[str, Any] = {"model": model, "tools": [TOOL]}
    if reasoning:
        more |= {"reasoning": reasoning, "max_output_tokens": 6000}
    said: list[Any] = [{"role": "user", "content": "Weather in Bern? [[tool 2]]"}]
    first = client.responses.create(input=said, **more)
    calls = [item for item in first.output if item.type == "function_call"]
    assert len(calls) == 2
    said[0]["content"] = "Weather in Bern?"
    said += first.output
    said += [
        {"type": "function_call_output", "call_id": call.call_id, "output": "rain"}
        for call in calls
    ]
    second = client.responses.create(input=said, **more)
    assert second.output_text
    assert second.status == "completed"


def test_nothing_is_kept_at_the_provider(client: openai.OpenAI) -> None:
    answer = client.responses.create(model="gpt-5-mini", input=ASK)
    assert answer.model_dump()["store"] is False


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        ({"store": True}, "storage_not_permitted"),
        ({"previous_response_id": "resp_1"}, "previous_response_not_found"),
    ],
)
def test_without_a_policy_nothing_is_stored_and_nothing_stored_is_continued(
    client: openai.OpenAI, request_: dict[str, Any], code: str
) -> None:
    with pytest.raises(openai.APIStatusError) as caught:
        client.responses.create(model="gpt-5-mini", input=ASK, **request_)
    error: Any = caught.value.body
    assert (error["code"], error["param"]) == (code, next(iter(request_)))


@pytest.mark.parametrize(
    "request_",
    [
        {"conversation": "conv_1"},
        {"background": True},
        {"tools": [{"type": "web_search"}]},
    ],
)
def test_what_has_no_bound_is_refused_naming_the_field(
    client: openai.OpenAI, request_: dict[str, Any]
) -> None:
    with pytest.raises(openai.UnprocessableEntityError) as caught:
        client.responses.create(model="gpt-5-mini", input=ASK, **request_)
    error: Any = caught.value.body
    assert error["code"] == "no_bound"
    assert error["param"].startswith(next(iter(request_)))


def test_a_provider_s_refusal_keeps_its_sentence(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="temperature"):
        client.responses.create(model="gpt-5-mini", input=ASK, temperature=0.5)


@pytest.mark.parametrize("model", ["gpt-5-mini", "claude-haiku-4-5"])
def test_a_stream_that_is_cut_raises(client: openai.OpenAI, model: str) -> None:
    asked = "A long story [[tokens 400]] [[cut 5]]"
    with (
        pytest.raises(openai.APIError),
        client.responses.stream(model=model, input=asked, max_output_tokens=900) as stream,
    ):
        stream.until_done()


def test_what_is_charged_is_what_was_billed(client: openai.OpenAI, market: Market) -> None:
    runs = []
    for model in ("gpt-5-mini", "claude-haiku-4-5"):
        raw = client.responses.with_raw_response.create(model=model, input=ASK)
        runs.append(raw.headers["x-signalbox-run-id"])
    for line in market.attempts_of(runs):
        line.assert_right()
