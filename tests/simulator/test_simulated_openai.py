"""The official OpenAI client finds nothing odd about the simulated provider."""

import base64
import json
import math
import struct
import zlib
from collections.abc import Callable

import openai
import pytest
from openai.types.chat import ChatCompletion
from pydantic import BaseModel

from support.provider import MISTRAL, OPENAI, OPENAI_EU, VLLM, Provider

ASK = [{"role": "user", "content": "What is a bond ladder?"}]
WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather somewhere",
        "parameters": {
            "type": "object",
            "properties": {
                "place": {"type": "string"},
                "unit": {"type": "string", "enum": ["c", "f"]},
            },
            "required": ["place", "unit"],
            "additionalProperties": False,
        },
    },
}


def png(width: int, height: int) -> str:
    """A data URL of a PNG of that size (its pixels are missing, which no header shows)."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunk = b"IHDR" + header
    content = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk
    content += struct.pack(">I", zlib.crc32(chunk))
    return "data:image/png;base64," + base64.b64encode(content).decode()


def strictly(answer: ChatCompletion) -> ChatCompletion:
    """The SDK builds its types without validation; here they are validated."""
    return ChatCompletion.model_validate(answer.model_dump(), strict=True)


def test_an_answer_has_text_a_reason_and_honest_sums(openai_client: openai.OpenAI) -> None:
    answer = strictly(openai_client.chat.completions.create(model="gpt-5-mini", messages=ASK))
    usage = answer.usage
    assert usage is not None
    assert answer.choices[0].finish_reason == "stop"
    assert answer.choices[0].message.content.endswith(".")
    assert answer.model == "gpt-5-mini-2025-08-07"
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens
    reasoning = usage.completion_tokens_details.reasoning_tokens
    assert 160 <= usage.completion_tokens - reasoning <= 360
    assert usage.prompt_tokens == 3 + 3 + 6


def test_the_same_question_gets_the_same_answer_streamed_or_not(
    openai_client: openai.OpenAI,
) -> None:
    whole = openai_client.chat.completions.create(model="gpt-5-mini", messages=ASK)
    with openai_client.chat.completions.create(
        model="gpt-5-mini", messages=ASK, stream=True
    ) as stream:
        chunks = list(stream)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert text == whole.choices[0].message.content
    assert all(chunk.usage is None for chunk in chunks)
    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[-1].choices[0].finish_reason == "stop"


def test_usage_closes_a_stream_only_where_it_was_asked_for(openai_client: openai.OpenAI) -> None:
    with openai_client.chat.completions.create(
        model="gpt-5-mini", messages=ASK, stream=True, stream_options={"include_usage": True}
    ) as stream:
        *chunks, last = list(stream)
    assert all(chunk.usage is None for chunk in chunks)
    assert last.choices == []
    assert last.usage.total_tokens > 0


def test_mistral_reports_usage_in_its_last_choice_unasked(
    openai_at: Callable[[str], openai.OpenAI],
) -> None:
    with openai_at(MISTRAL).chat.completions.create(
        model="mistral-small-latest", messages=ASK, stream=True
    ) as stream:
        *chunks, last = list(stream)
    assert last.choices[0].finish_reason == "stop"
    assert last.usage.completion_tokens > 0
    assert all(chunk.usage is None for chunk in chunks)


@pytest.mark.parametrize("limit", [1, 2, 7, 40])
def test_the_output_limit_is_kept_to_the_token(
    openai_at: Callable[[str], openai.OpenAI], limit: int
) -> None:
    answer = openai_at(VLLM).chat.completions.create(
        model="llama-3.3-70b-instruct", messages=ASK, max_tokens=limit
    )
    assert answer.usage.completion_tokens == limit
    assert answer.choices[0].finish_reason == "length"
    assert answer.choices[0].message.content


def test_reasoning_eats_the_limit_first(openai_client: openai.OpenAI) -> None:
    answer = openai_client.chat.completions.create(
        model="gpt-5-mini", messages=ASK, max_completion_tokens=20
    )
    assert answer.usage.completion_tokens == 20
    assert answer.usage.completion_tokens_details.reasoning_tokens == 20
    assert answer.choices[0].message.content == ""
    assert answer.choices[0].finish_reason == "length"


def test_less_effort_means_fewer_reasoning_tokens(openai_client: openai.OpenAI) -> None:
    spent = [
        openai_client.chat.completions.create(
            model="gpt-5-mini", messages=ASK, reasoning_effort=effort
        ).usage.completion_tokens_details.reasoning_tokens
        for effort in ("minimal", "low", "medium", "high")
    ]
    assert spent == sorted(set(spent))
    assert spent[0] == 0


def test_a_stop_sequence_ends_the_text_before_it(openai_at: Callable[[str], openai.OpenAI]) -> None:
    client = openai_at(VLLM)
    whole = client.chat.completions.create(model="llama-3.3-70b-instruct", messages=ASK)
    text = whole.choices[0].message.content
    stop = text.split()[5]
    cut = client.chat.completions.create(
        model="llama-3.3-70b-instruct", messages=ASK, stop=[stop, "never said"]
    )
    assert cut.choices[0].message.content == text[: text.index(stop)]
    assert cut.choices[0].finish_reason == "stop"
    assert cut.usage.completion_tokens < whole.usage.completion_tokens


def test_each_choice_is_billed_and_no_two_are_alike(openai_client: openai.OpenAI) -> None:
    answer = strictly(
        openai_client.chat.completions.create(
            model="gpt-5-nano", messages=ASK, n=3, reasoning_effort="minimal"
        )
    )
    assert [choice.index for choice in answer.choices] == [0, 1, 2]
    assert len({choice.message.content for choice in answer.choices}) == 3
    assert answer.usage.completion_tokens > 150


def test_streamed_choices_come_interleaved_and_complete(openai_client: openai.OpenAI) -> None:
    options = {"model": "gpt-5-nano", "messages": ASK, "n": 2, "reasoning_effort": "minimal"}
    whole = openai_client.chat.completions.create(**options)
    with openai_client.chat.completions.create(**options, stream=True) as stream:
        chunks = [chunk.choices[0] for chunk in stream]
    assert [chunk.index for chunk in chunks[:4]] == [0, 1, 0, 1]
    for choice in whole.choices:
        texts = [chunk.delta.content or "" for chunk in chunks if chunk.index == choice.index]
        assert "".join(texts) == choice.message.content


def test_a_forced_tool_is_called_with_arguments_that_fit(openai_client: openai.OpenAI) -> None:
    answer = strictly(
        openai_client.chat.completions.create(
            model="gpt-5-mini", messages=ASK, tools=[WEATHER], tool_choice="required"
        )
    )
    (call,) = answer.choices[0].message.tool_calls
    arguments = json.loads(call.function.arguments)
    assert call.function.name == "weather"
    assert set(arguments) == {"place", "unit"}
    assert arguments["unit"] in ("c", "f")
    assert answer.choices[0].finish_reason == "tool_calls"
    assert answer.choices[0].message.content is None


def test_tool_calls_stream_in_fragments_that_add_up(openai_client: openai.OpenAI) -> None:
    asked = [{"role": "user", "content": "Please look twice [[tool 2]]"}]
    with openai_client.chat.completions.stream(
        model="gpt-5-mini", messages=asked, tools=[WEATHER]
    ) as stream:
        final = stream.get_final_completion()
    calls = final.choices[0].message.tool_calls
    assert len(calls) == 2
    assert len({call.id for call in calls}) == 2
    for call in calls:
        assert set(json.loads(call.function.arguments)) == {"place", "unit"}


def test_a_conversation_goes_on_after_a_tool_answered(openai_client: openai.OpenAI) -> None:
    first = openai_client.chat.completions.create(
        model="gpt-5-mini", messages=ASK, tools=[WEATHER], tool_choice="required"
    )
    (call,) = first.choices[0].message.tool_calls
    turns = [
        *ASK,
        first.choices[0].message.model_dump(exclude_none=True),
        {"role": "tool", "tool_call_id": call.id, "content": "rain"},
    ]
    second = openai_client.chat.completions.create(
        model="gpt-5-mini", messages=turns, tools=[WEATHER]
    )
    assert second.choices[0].message.content
    assert second.usage.prompt_tokens > first.usage.prompt_tokens


def test_custom_tools_and_old_functions_are_called_too(openai_client: openai.OpenAI) -> None:
    custom = {"type": "custom", "custom": {"name": "run", "description": "Runs a command"}}
    answer = openai_client.chat.completions.create(
        model="gpt-5-mini", messages=ASK, tools=[custom], tool_choice="required"
    )
    assert answer.choices[0].message.tool_calls[0].custom.input
    legacy = openai_client.chat.completions.create(
        model="gpt-5-mini",
        messages=ASK,
        functions=[WEATHER["function"]],
        function_call={"name": "weather"},
    )
    assert legacy.choices[0].finish_reason == "function_call"
    assert json.loads(legacy.choices[0].message.function_call.arguments)["unit"] in ("c", "f")


class Step(BaseModel):
    title: str
    minutes: int
    optional: bool | None


class Plan(BaseModel):
    name: str
    steps: list[Step]


def test_structured_answers_parse_into_the_callers_type(openai_client: openai.OpenAI) -> None:
    answer = openai_client.chat.completions.parse(
        model="gpt-5-mini", messages=ASK, response_format=Plan
    )
    plan = answer.choices[0].message.parsed
    assert isinstance(plan, Plan)
    assert plan.steps


def test_json_mode_gives_an_object(openai_client: openai.OpenAI) -> None:
    answer = openai_client.chat.completions.create(
        model="gpt-5-mini",
        messages=[{"role": "user", "content": "Answer in JSON."}],
        response_format={"type": "json_object"},
    )
    assert isinstance(json.loads(answer.choices[0].message.content), dict)


def test_logprobs_come_one_per_token_where_the_model_gives_them(
    openai_at: Callable[[str], openai.OpenAI],
) -> None:
    answer = strictly(
        openai_at(VLLM).chat.completions.create(
            model="llama-3.3-70b-instruct",
            messages=ASK,
            max_tokens=5,
            logprobs=True,
            top_logprobs=2,
        )
    )
    tokens = answer.choices[0].logprobs.content
    assert "".join(token.token for token in tokens) == answer.choices[0].message.content
    assert len(tokens) == 5
    assert all(len(token.top_logprobs) == 2 for token in tokens)


@pytest.mark.parametrize(
    ("width", "height", "detail", "expected"),
    [
        (512, 512, "high", 255),
        (1024, 1024, "auto", 765),
        (4096, 1024, "high", 765),
        (2048, 768, "high", 1445),
        (9, 9, "low", 85),
    ],
)
def test_images_cost_what_their_tiles_cost(
    openai_client: openai.OpenAI, width: int, height: int, detail: str, expected: int
) -> None:
    def tokens(parts: list[dict[str, object]]) -> int:
        turn = [{"role": "user", "content": parts}]
        answer = openai_client.chat.completions.create(model="gpt-5-mini", messages=turn)
        return answer.usage.prompt_tokens

    text = {"type": "text", "text": "What is this?"}
    image = {"url": png(width, height), "detail": detail}
    assert tokens([text, {"type": "image_url", "image_url": image}]) - tokens([text]) == expected


def test_a_pdf_costs_by_the_page(openai_client: openai.OpenAI) -> None:
    content = b"%PDF-1.7 /Type /Pages /Type /Page /Type /Page"
    data = "data:application/pdf;base64," + base64.b64encode(content).decode()
    part = {"type": "file", "file": {"filename": "a.pdf", "file_data": data}}
    answer = openai_client.chat.completions.create(
        model="gpt-5-mini", messages=[{"role": "user", "content": [part]}]
    )
    assert answer.usage.prompt_tokens == 3 + 3 + 2 * 1500


def test_embeddings_are_unit_vectors_the_same_in_both_encodings(
    openai_client: openai.OpenAI, provider: Provider
) -> None:
    made = openai_client.embeddings.create(
        model="text-embedding-3-small", input=["one", "two", "one"], dimensions=64
    )
    first, second, third = (item.embedding for item in made.data)
    assert first == third != second
    assert len(first) == 64
    assert math.isclose(math.hypot(*first), 1, rel_tol=1e-5)
    assert made.usage.prompt_tokens == 3
    raw = provider.post(
        f"/{OPENAI}/v1/embeddings",
        {"model": "text-embedding-3-small", "input": "one", "dimensions": 64,
         "encoding_format": "base64"},
    ).json()  # fmt: skip
    decoded = struct.unpack("<64f", base64.b64decode(raw["data"][0]["embedding"]))
    assert decoded == pytest.approx(first, rel=1e-6)


def test_embeddings_take_token_numbers(openai_client: openai.OpenAI) -> None:
    one = openai_client.embeddings.create(model="text-embedding-3-small", input=[1, 2, 3])
    two = openai_client.embeddings.create(model="text-embedding-3-small", input=[[1, 2], [3]])
    assert (len(one.data), one.usage.prompt_tokens) == (1, 3)
    assert (len(two.data), two.usage.prompt_tokens) == (2, 3)


def test_models_are_listed_and_found(openai_client: openai.OpenAI) -> None:
    assert "gpt-5-mini" in {model.id for model in openai_client.models.list()}
    assert openai_client.models.retrieve("gpt-5-mini").owned_by == "openai"
    with pytest.raises(openai.NotFoundError):
        openai_client.models.retrieve("gpt-nothing")


def test_a_long_prefix_is_cached_for_the_same_account_only(
    provider: Provider, openai_client: openai.OpenAI
) -> None:
    prefix = " ".join(f"clause {number} of the contract" for number in range(400))

    def cached(question: str, key: str) -> int:
        answer = openai_client.chat.completions.create(
            model="gpt-5-mini",
            messages=[{"role": "system", "content": prefix}, {"role": "user", "content": question}],
            prompt_cache_key=key,
        )
        return answer.usage.prompt_tokens_details.cached_tokens

    assert cached("Who may cancel?", "a") == 0
    hit = cached("What does it cost?", "a")
    assert hit >= 1024
    assert hit % 128 == 0
    assert provider.last()["usage"]["cached_input"] == hit
    assert cached("What does it cost?", "b") == 0


def test_a_short_prompt_is_never_cached(openai_client: openai.OpenAI) -> None:
    for _ in range(2):
        answer = openai_client.chat.completions.create(model="gpt-5", messages=ASK)
        assert answer.usage.prompt_tokens_details.cached_tokens == 0


def test_tiers_and_regions_change_the_price_but_not_the_answer(
    provider: Provider, openai_at: Callable[[str], openai.OpenAI]
) -> None:
    amounts = {}
    texts = set()
    for host, tier in ((OPENAI, "default"), (OPENAI, "flex"), (OPENAI_EU, "default")):
        answer = openai_at(host).chat.completions.create(
            model="gpt-5", messages=ASK, service_tier=tier
        )
        assert answer.service_tier == tier
        texts.add(answer.choices[0].message.content)
        amounts[host, tier] = provider.last()["amount_pico_usd"]
    base = amounts[OPENAI, "default"]
    assert len(texts) == 1
    assert amounts[OPENAI, "flex"] * 2 == base
    assert amounts[OPENAI_EU, "default"] * 10 == base * 11


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        (openai.NotFoundError, {"model": "gpt-unknown"}),
        (openai.BadRequestError, {"max_completion_tokens": 10**9}),
        (openai.BadRequestError, {"max_tokens": 5}),
        (openai.BadRequestError, {"temperature": 0.2}),
    ],
)
def test_errors_become_the_clients_own_exceptions(
    openai_client: openai.OpenAI, kind: type[openai.APIStatusError], change: dict[str, object]
) -> None:
    with pytest.raises(kind) as caught:
        openai_client.chat.completions.create(**{"model": "gpt-5-mini", "messages": ASK} | change)
    assert caught.value.request_id
    assert caught.value.type == "invalid_request_error"
