"""The official OpenAI client's responses find nothing odd about the simulated provider."""

from collections.abc import Callable
from typing import Any

import openai
import pytest
from openai.types.responses import Response

from support.provider import MISTRAL, OPENAI, Provider

WEATHER = {
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


def post(provider: Provider, **body: Any) -> Any:
    asked = {"model": "gpt-5.4-mini", "input": "What is a bond ladder?", **body}
    return provider.post(f"/{OPENAI}/v1/responses", asked)


def refused(provider: Provider, **body: Any) -> tuple[int, str | None]:
    answer = post(provider, **body)
    return answer.status_code, answer.json()["error"]["param"]


def test_an_answer_has_text_and_honest_sums(
    openai_client: openai.OpenAI, provider: Provider
) -> None:
    answer = openai_client.responses.create(model="gpt-5-mini", input="What is a bond ladder?")
    Response.model_validate(answer.model_dump(), strict=True)
    usage = answer.usage
    assert usage is not None
    assert (answer.status, answer.store) == ("completed", True)  # type: ignore[attr-defined]
    assert answer.output_text.endswith(".")
    assert answer.output[0].type == "reasoning"
    assert usage.total_tokens == usage.input_tokens + usage.output_tokens
    assert usage.input_tokens == 3 + 3 + 6
    line = provider.last()
    assert line["path"] == "/responses"
    assert line["usage"]["output"] == usage.output_tokens


def test_a_stream_says_what_the_whole_answer_says(openai_client: openai.OpenAI) -> None:
    asked: dict[str, Any] = {
        "model": "gpt-5-mini",
        "input": "What is a bond ladder?",
        "reasoning": {"effort": "low", "summary": "auto"},
    }
    whole = openai_client.responses.create(**asked)
    with openai_client.responses.stream(**asked) as stream:
        numbers = [event.sequence_number for event in stream]
        streamed = stream.get_final_response()
    assert numbers == list(range(len(numbers)))
    assert streamed.output_text == whole.output_text
    assert streamed.usage is not None
    assert streamed.usage.output_tokens == whole.usage.output_tokens


def test_calls_are_made_answered_and_billed(openai_client: openai.OpenAI) -> None:
    first = openai_client.responses.create(
        model="gpt-5-mini",
        input="Weather in Bern? [[tool 2]]",
        tools=[WEATHER],
        include=["reasoning.encrypted_content"],
    )
    calls = [item for item in first.output if item.type == "function_call"]
    assert len(calls) == 2
    results = [
        {"type": "function_call_output", "call_id": call.call_id, "output": "rain"}
        for call in calls
    ]
    said = [{"role": "user", "content": "Weather in Bern?"}, *first.output, *results]
    second = openai_client.responses.create(model="gpt-5-mini", input=said, tools=[WEATHER])
    assert second.output_text


def test_an_answer_that_is_cut_says_so(openai_client: openai.OpenAI) -> None:
    answer = openai_client.responses.create(
        model="gpt-5.4-mini", input="Say much", max_output_tokens=16
    )
    assert answer.status == "incomplete"
    assert answer.incomplete_details.reason == "max_output_tokens"
    assert answer.usage.output_tokens == 16


def test_structured_answers_satisfy_their_schema(openai_client: openai.OpenAI) -> None:
    answer = openai_client.responses.create(
        model="gpt-5.4-mini",
        input="Weather?",
        text={"format": {"type": "json_schema", "name": "w", "schema": WEATHER["parameters"]}},
    )
    assert answer.output_text.startswith('{"place":')


@pytest.mark.parametrize(
    ("body", "status", "param"),
    [
        ({"max_output_tokens": 15}, 400, "max_output_tokens"),
        ({"previous_response_id": "resp_1"}, 400, "previous_response_id"),
        ({"max_tokens": 20}, 400, "max_tokens"),
        ({"reasoning": {"effort": "minimal"}}, 400, "reasoning.effort"),
        ({"model": "gpt-5-mini", "temperature": 0.5}, 400, "temperature"),
        ({"tool_choice": "required"}, 400, "tool_choice"),
        ({"include": ["all"]}, 400, "include"),
        ({"input": [{"role": "tool", "content": "a"}]}, 400, "input[0].role"),
        ({"input": [{"type": "item_reference", "id": "a"}]}, 400, "input[0].type"),
        (
            {"input": [{"type": "function_call_output", "call_id": "a", "output": ""}]},
            400,
            "input[0]",
        ),
        ({"input": [{"type": "reasoning", "id": "rs_1", "summary": []}]}, 404, "input[0]"),
        (
            {
                "input": [
                    {"type": "reasoning", "id": "r", "summary": [], "encrypted_content": "AAAA"}
                ]
            },
            400,
            "input[0].encrypted_content",
        ),
    ],
)
def test_what_openai_refuses_is_refused(
    provider: Provider, body: dict[str, Any], status: int, param: str
) -> None:
    code, named = refused(provider, **body)
    assert code == status
    assert named is None or named.startswith(param.partition(".")[0].partition("[")[0])


def test_few_servers_serve_responses(openai_at: Callable[[str], openai.OpenAI]) -> None:
    with pytest.raises(openai.NotFoundError):
        openai_at(MISTRAL).responses.create(model="mistral-small-latest", input="hello")


def test_an_error_inside_a_stream_has_its_own_event(openai_client: openai.OpenAI) -> None:
    asked = {"model": "gpt-5.4-mini", "input": "Hello [[error 5]]", "stream": True}
    kinds = [event.type for event in openai_client.responses.create(**asked)]
    assert kinds[-1] == "error"
