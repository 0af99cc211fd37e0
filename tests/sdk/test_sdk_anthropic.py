"""The official Anthropic client works through Signalbox as it does with the provider itself."""

import base64
from typing import Any

import anthropic
import pytest
from anthropic.types import Message, RawMessageStreamEvent
from pydantic import BaseModel, TypeAdapter

from support.market import Market

MODEL = "claude-haiku-4-5"
ASK: list[Any] = [{"role": "user", "content": "What is a bond ladder?"}]
QUOTE: dict[str, Any] = {
    "name": "quote",
    "description": "The price of a share",
    "input_schema": {
        "type": "object",
        "properties": {"symbol": {"type": "string"}},
        "required": ["symbol"],
    },
}
PIXEL = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJg"
    "gg=="
)
IMAGE = {
    "type": "image",
    "source": {"type": "base64", "media_type": "image/png", "data": PIXEL},
}
LONG = " ".join(f"clause {number} of the contract" for number in range(1200))


class Verdict(BaseModel):
    fair: bool
    reason: str


def essence(answer: Message) -> dict[str, Any]:
    """What two answers to the same question share."""
    return answer.model_dump(exclude={"id"}, mode="json")


def both(
    claude: anthropic.Anthropic, direct_claude: anthropic.Anthropic, **request: Any
) -> tuple[Message, Message]:
    request = {"model": MODEL, "messages": ASK, "max_tokens": 600} | request
    through = claude.messages.create(**request)
    straight = direct_claude.messages.create(**request)
    assert essence(through) == essence(straight)
    return through, straight


@pytest.mark.parametrize(
    "request_",
    [
        {},
        {"max_tokens": 7},
        {"system": "Be brief.", "metadata": {"user_id": "u-1"}},
        {"stop_sequences": ["the", "and"]},
        {"tools": [QUOTE], "tool_choice": {"type": "tool", "name": "quote"}},
        {"tools": [QUOTE], "tool_choice": {"type": "any", "disable_parallel_tool_use": True}},
        {"thinking": {"type": "enabled", "budget_tokens": 1024}, "max_tokens": 2000},
        {"messages": [{"role": "user", "content": [IMAGE, {"type": "text", "text": "What?"}]}]},
        {"output_config": {"format": {"type": "json_schema", "schema": {
            "type": "object", "properties": {"ok": {"type": "boolean"}},
            "required": ["ok"], "additionalProperties": False}}}},
    ],
)  # fmt: skip
def test_an_answer_is_the_provider_s_own(
    claude: anthropic.Anthropic, direct_claude: anthropic.Anthropic, request_: dict[str, Any]
) -> None:
    both(claude, direct_claude, **request_)


def test_a_stream_is_made_of_the_same_events(
    claude: anthropic.Anthropic, direct_claude: anthropic.Anthropic
) -> None:
    known: TypeAdapter[Any] = TypeAdapter(RawMessageStreamEvent)
    seen = []
    for each in (claude, direct_claude):
        with each.messages.create(model=MODEL, max_tokens=80, messages=ASK, stream=True) as stream:
            events = [known.validate_python(event.model_dump()).model_dump() for event in stream]
        events[0]["message"].pop("id")
        seen.append(events)
    assert seen[0] == seen[1]


def test_the_stream_helper_gives_the_whole_message(
    claude: anthropic.Anthropic, direct_claude: anthropic.Anthropic
) -> None:
    whole = direct_claude.messages.create(model=MODEL, max_tokens=500, messages=ASK)
    with claude.messages.stream(model=MODEL, max_tokens=500, messages=ASK) as stream:
        text = "".join(stream.text_stream)
        final = stream.get_final_message()
    assert text == whole.content[0].text
    assert final.usage.output_tokens == whole.usage.output_tokens


def test_a_tool_s_result_goes_back_to_the_model(
    claude: anthropic.Anthropic, direct_claude: anthropic.Anthropic
) -> None:
    asking = [{"role": "user", "content": "ACME and FOO? [[tool 2]]"}]
    called, _ = both(claude, direct_claude, messages=asking, tools=[QUOTE])
    calls = [block for block in called.content if block.type == "tool_use"]
    assert called.stop_reason == "tool_use"
    assert len(calls) == 2
    results = [{"type": "tool_result", "tool_use_id": call.id, "content": "12"} for call in calls]
    history: list[Any] = [
        *asking,
        {"role": "assistant", "content": called.model_dump(exclude_none=True)["content"]},
        {"role": "user", "content": results},
    ]
    answer = claude.messages.create(
        model=MODEL, max_tokens=500, messages=history, tools=[QUOTE], tool_choice={"type": "none"}
    )
    assert answer.stop_reason == "end_turn"


def test_an_answer_fits_the_type_that_was_asked_for(claude: anthropic.Anthropic) -> None:
    answer = claude.messages.parse(model=MODEL, max_tokens=500, messages=ASK, output_format=Verdict)
    assert isinstance(answer.parsed_output, Verdict)


def test_a_document_is_refused_where_it_has_no_bound_and_text_passes(
    claude: anthropic.Anthropic,
) -> None:
    document = {
        "type": "document",
        "source": {"type": "text", "media_type": "text/plain", "data": "Article 1. " * 50},
    }
    asking = [{"role": "user", "content": [document, {"type": "text", "text": "Sum it up"}]}]
    answer = claude.messages.create(model=MODEL, max_tokens=50, messages=asking)
    assert answer.usage.output_tokens == 50
    pdf = {
        "type": "base64",
        "media_type": "application/pdf",
        "data": base64.b64encode(b"%PDF-1.4\n").decode(),
    }
    asking = [{"role": "user", "content": [{"type": "document", "source": pdf}]}]
    with pytest.raises(anthropic.UnprocessableEntityError) as caught:
        claude.messages.create(model=MODEL, max_tokens=50, messages=asking)
    assert caught.value.error_code == "no_bound"


@pytest.mark.parametrize("ttl", ["5m", "1h"])
def test_a_marked_prefix_is_written_once_read_afterwards_and_billed_so(
    claude: anthropic.Anthropic, market: Market, ttl: str
) -> None:
    text = f"{ttl} " + LONG
    system = [{"type": "text", "text": text, "cache_control": {"type": "ephemeral", "ttl": ttl}}]
    request: Any = {"model": MODEL, "max_tokens": 20, "messages": ASK, "system": system}
    first = claude.messages.with_raw_response.create(**request)
    second = claude.messages.with_raw_response.create(**request)
    written, read = first.parse().usage, second.parse().usage
    assert written.cache_creation_input_tokens > 4096
    assert read.cache_read_input_tokens == written.cache_creation_input_tokens
    dear, cheap = (float(raw.headers["x-signalbox-cost-usd"]) for raw in (first, second))
    assert cheap < dear / 5
    lines = market.attempts_of({raw.headers["x-signalbox-run-id"] for raw in (first, second)})
    assert len(lines) == 2
    for line in lines:
        line.assert_right()


def test_models_are_listed_in_anthropic_s_shape(claude: anthropic.Anthropic) -> None:
    assert MODEL in {each.id for each in claude.models.list()}
    assert claude.models.retrieve(MODEL).type == "model"


def test_headers_tell_run_lane_and_cost(claude: anthropic.Anthropic) -> None:
    raw = claude.messages.with_raw_response.create(model=MODEL, max_tokens=9, messages=ASK)
    assert raw.headers["x-signalbox-model"] == MODEL
    assert raw.headers["x-signalbox-lane"] == "us"
    assert float(raw.headers["x-signalbox-cost-usd"]) > 0
    assert raw.parse()._request_id == raw.headers["x-signalbox-run-id"]


def test_a_bearer_token_does_as_well_as_an_api_key(market: Market) -> None:
    with anthropic.Anthropic(
        base_url=market.url, auth_token=market.key("buyer"), api_key=None
    ) as bearer:
        assert bearer.messages.create(model=MODEL, max_tokens=5, messages=ASK).content


async def test_the_async_client_works_alike(
    market: Market, direct_claude: anthropic.Anthropic
) -> None:
    whole = direct_claude.messages.create(model=MODEL, max_tokens=500, messages=ASK)
    async with anthropic.AsyncAnthropic(base_url=market.url, api_key=market.key("buyer")) as claude:
        answer = await claude.messages.create(model=MODEL, max_tokens=500, messages=ASK)
        assert essence(answer) == essence(whole)
        async with claude.messages.stream(model=MODEL, max_tokens=500, messages=ASK) as stream:
            text = "".join([piece async for piece in stream.text_stream])
        assert text == whole.content[0].text
