"""The official Anthropic client finds nothing odd about the simulated provider."""

import base64

import anthropic
import pytest
from anthropic.types import Message, RawMessageStreamEvent
from pydantic import BaseModel, TypeAdapter

from support.provider import ANTHROPIC, KEYS, Provider

ASK = [{"role": "user", "content": "What is a bond ladder?"}]
MODEL = "claude-sonnet-4-6"
QUOTE = {
    "name": "quote",
    "description": "The price of a share",
    "input_schema": {
        "type": "object",
        "properties": {"symbol": {"type": "string"}, "days": {"type": "integer", "minimum": 1}},
        "required": ["symbol", "days"],
    },
}
LONG = " ".join(f"clause {number} of the contract" for number in range(1200))


def strictly(answer: Message) -> Message:
    """The SDK builds its types without validation; here they are validated."""
    return Message.model_validate(answer.model_dump(), strict=True)


def test_an_answer_has_text_a_reason_and_usage(anthropic_client: anthropic.Anthropic) -> None:
    answer = strictly(anthropic_client.messages.create(model=MODEL, max_tokens=500, messages=ASK))
    assert answer.content[0].text.endswith(".")
    assert answer.stop_reason == "end_turn"
    assert answer.model == MODEL
    assert 160 <= answer.usage.output_tokens <= 360
    assert answer.usage.input_tokens == 3 + 3 + 7


def test_the_output_limit_is_kept_to_the_token(anthropic_client: anthropic.Anthropic) -> None:
    answer = anthropic_client.messages.create(model=MODEL, max_tokens=7, messages=ASK)
    assert answer.stop_reason == "max_tokens"
    assert answer.usage.output_tokens == 7


def test_every_event_is_one_that_the_client_knows(anthropic_client: anthropic.Anthropic) -> None:
    known = TypeAdapter(RawMessageStreamEvent)
    with anthropic_client.messages.create(
        model=MODEL, max_tokens=30, messages=ASK, stream=True
    ) as stream:
        events = [known.validate_python(event.model_dump()) for event in stream]
    kinds = [event.type for event in events]
    assert kinds[:2] == ["message_start", "content_block_start"]
    assert kinds[-3:] == ["content_block_stop", "message_delta", "message_stop"]
    assert events[0].message.usage.input_tokens == 13
    assert events[-2].usage.output_tokens == 30
    assert events[-2].delta.stop_reason == "max_tokens"


def test_frames_are_named_and_a_ping_is_among_them(provider: Provider) -> None:
    body = {"model": MODEL, "max_tokens": 9, "messages": ASK, "stream": True}
    answer = provider.messages(body)
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    frames = answer.text.strip().split("\n\n")
    assert all(frame.startswith("event: ") and "\ndata: {" in frame for frame in frames)
    assert "event: ping" in answer.text
    assert answer.headers["request-id"].startswith("req_")


def test_streamed_and_whole_answers_are_the_same(anthropic_client: anthropic.Anthropic) -> None:
    whole = anthropic_client.messages.create(model=MODEL, max_tokens=500, messages=ASK)
    with anthropic_client.messages.stream(model=MODEL, max_tokens=500, messages=ASK) as stream:
        streamed = stream.get_final_message()
    assert streamed.content[0].text == whole.content[0].text
    assert streamed.usage.output_tokens == whole.usage.output_tokens


def test_a_stop_sequence_is_named(anthropic_client: anthropic.Anthropic) -> None:
    answer = anthropic_client.messages.create(
        model=MODEL, max_tokens=500, messages=ASK, stop_sequences=["never said", "."]
    )
    assert answer.stop_reason == "stop_sequence"
    assert answer.stop_sequence == "."
    assert "." not in answer.content[0].text


def test_a_forced_tool_is_called_and_its_input_streams(
    anthropic_client: anthropic.Anthropic,
) -> None:
    with anthropic_client.messages.stream(
        model=MODEL, max_tokens=500, messages=ASK, tools=[QUOTE], tool_choice={"type": "any"}
    ) as stream:
        answer = stream.get_final_message()
    (block,) = answer.content
    assert answer.stop_reason == "tool_use"
    assert block.name == "quote"
    assert block.input["days"] >= 1
    follow_up = [
        *ASK,
        {"role": "assistant", "content": [block.model_dump(exclude_none=True)]},
        {
            "role": "user",
            "content": [{"type": "tool_result", "tool_use_id": block.id, "content": "12"}],
        },
    ]
    second = anthropic_client.messages.create(
        model=MODEL, max_tokens=500, messages=follow_up, tools=[QUOTE]
    )
    assert second.stop_reason == "end_turn"


def test_tools_add_the_published_preamble(anthropic_client: anthropic.Anthropic) -> None:
    plain = anthropic_client.messages.create(model=MODEL, max_tokens=5, messages=ASK)
    tooled = anthropic_client.messages.create(
        model=MODEL, max_tokens=5, messages=ASK, tools=[QUOTE]
    )
    assert tooled.usage.input_tokens - plain.usage.input_tokens > 346


def test_anthropics_own_tools_add_what_is_published(provider: Provider) -> None:
    def tokens(*tools: dict[str, str]) -> int:
        body = {"model": MODEL, "max_tokens": 5, "messages": ASK, "tools": list(tools)}
        return provider.messages(body).json()["usage"]["input_tokens"]

    bash = {"type": "bash_20250124", "name": "bash"}
    editor = {"type": "text_editor_20250728", "name": "str_replace_based_edit_tool"}
    assert tokens(bash) > 346 + 245
    assert tokens(bash, editor) - tokens(bash) > 700


def test_thinking_comes_first_and_is_billed_as_output(
    anthropic_client: anthropic.Anthropic,
) -> None:
    answer = strictly(
        anthropic_client.messages.create(
            model=MODEL,
            max_tokens=2000,
            messages=ASK,
            thinking={"type": "enabled", "budget_tokens": 1024},
        )
    )
    assert [block.type for block in answer.content] == ["thinking", "text"]
    assert answer.content[0].signature
    assert answer.usage.output_tokens > 96


class Verdict(BaseModel):
    fits: bool
    reasons: list[str]


def test_structured_answers_parse_into_the_callers_type(
    anthropic_client: anthropic.Anthropic,
) -> None:
    answer = anthropic_client.messages.parse(
        model=MODEL, max_tokens=500, messages=ASK, output_format=Verdict
    )
    assert isinstance(answer.parsed_output, Verdict)


@pytest.mark.parametrize("ttl", ["5m", "1h"])
def test_a_marked_prefix_is_written_once_and_read_afterwards(
    anthropic_client: anthropic.Anthropic, provider: Provider, ttl: str
) -> None:
    text = f"{ttl} {LONG}"
    system = [{"type": "text", "text": text, "cache_control": {"type": "ephemeral", "ttl": ttl}}]

    def ask(question: str) -> anthropic.types.Usage:
        return anthropic_client.messages.create(
            model=MODEL,
            max_tokens=5,
            system=system,
            messages=[{"role": "user", "content": question}],
        ).usage

    first = ask("Who may cancel?")
    written = provider.last()["usage"]
    second = ask("What does it cost to leave?")
    assert first.cache_read_input_tokens == 0
    assert first.cache_creation_input_tokens == second.cache_read_input_tokens > 5000
    assert second.cache_creation_input_tokens == 0
    assert written[f"cache_write_{ttl}"] == first.cache_creation_input_tokens
    assert first.input_tokens < 20


def test_a_growing_conversation_reads_what_it_wrote(
    anthropic_client: anthropic.Anthropic,
) -> None:
    turns: list[dict[str, object]] = [{"role": "user", "content": f"grow {LONG}"}]
    read = 0
    for question in ("first", "second", "third"):
        usage = anthropic_client.messages.create(
            model=MODEL, max_tokens=5, messages=turns, cache_control={"type": "ephemeral"}
        ).usage
        assert usage.cache_read_input_tokens == read
        read += usage.cache_creation_input_tokens
        turns += [
            {"role": "assistant", "content": "noted"},
            {"role": "user", "content": question},
        ]


def test_input_beyond_the_threshold_costs_the_longer_price(provider: Provider) -> None:
    body = {"model": "claude-sonnet-4-5", "max_tokens": 1}
    long = "word " * 210_000
    provider.messages(body | {"messages": [{"role": "user", "content": long}]})
    line = provider.last()
    tokens = line["usage"]["input"]
    assert tokens > 200_000
    assert line["amount_pico_usd"] == tokens * 6_000_000 + 22_500_000


def test_images_and_documents_are_counted(anthropic_client: anthropic.Anthropic) -> None:
    gif = b"GIF89a" + (300).to_bytes(2, "little") + (100).to_bytes(2, "little")
    image = {
        "type": "image",
        "source": {
            "type": "base64",
            "media_type": "image/gif",
            "data": base64.b64encode(gif).decode(),
        },
    }
    page = {"type": "document", "source": {"type": "url", "url": "https://example.com/a.pdf"}}
    counted = []
    for extra in ([], [image], [image, page]):
        turn = {"role": "user", "content": [{"type": "text", "text": "Look"}, *extra]}
        usage = anthropic_client.messages.create(model=MODEL, max_tokens=5, messages=[turn]).usage
        counted.append(usage.input_tokens)
    assert counted[1] - counted[0] == 40
    assert counted[2] - counted[1] == 1500


def test_both_ways_to_send_the_key_work(provider: Provider) -> None:
    body = {"model": MODEL, "max_tokens": 5, "messages": ASK}
    headers = {"x-api-key": "", "authorization": f"Bearer {KEYS['anthropic']}"}
    answer = provider.post(f"/{ANTHROPIC}/v1/messages", body, headers=headers)
    assert answer.status_code == 200


def test_models_are_listed(anthropic_client: anthropic.Anthropic) -> None:
    assert {model.id for model in anthropic_client.models.list()} >= {MODEL, "claude-haiku-4-5"}
    assert anthropic_client.models.retrieve(MODEL).max_tokens == 128000


def test_errors_become_the_clients_own_exceptions(
    anthropic_client: anthropic.Anthropic, provider: Provider
) -> None:
    with pytest.raises(anthropic.NotFoundError) as missing:
        anthropic_client.messages.create(model="claude-unknown", max_tokens=5, messages=ASK)
    assert missing.value.request_id
    provider.process.behave({"status": 529})
    with pytest.raises(anthropic.APIStatusError) as busy:
        anthropic_client.messages.create(model=MODEL, max_tokens=5, messages=ASK)
    assert busy.value.type == "overloaded_error"


def test_a_region_asked_for_costs_its_premium(provider: Provider) -> None:
    amounts = []
    for more in ({}, {"inference_geo": "us"}):
        answer = provider.messages({"model": MODEL, "max_tokens": 5, "messages": ASK} | more)
        assert answer.json()["usage"]["inference_geo"] == more.get("inference_geo", "global")
        amounts.append(provider.last()["amount_pico_usd"])
    assert amounts[1] * 10 == amounts[0] * 11


def test_adaptive_thinking_is_for_models_that_have_it(provider: Provider) -> None:
    body = {"max_tokens": 500, "messages": ASK, "thinking": {"type": "adaptive"}}
    newer = provider.messages(body | {"model": MODEL})
    older = provider.messages(body | {"model": "claude-haiku-4-5"})
    assert newer.json()["usage"]["output_tokens_details"]["thinking_tokens"] > 0
    assert older.status_code == 400
