"""What Anthropic's lanes are sent, and what makes them no candidate."""

import json
import re
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from signalbox_proxy.surfaces import MESSAGES
from signalbox_proxy.translation.anthropic_client import ANTHROPIC_CLIENT
from signalbox_proxy.translation.anthropic_provider import ANTHROPIC
from signalbox_proxy.translation.anthropic_schemas import find_unheld
from signalbox_proxy.translation.contract import Untranslatable
from signalbox_proxy.translation.conversation import (
    Conversation,
    Image,
    OutputSchema,
    Reasoning,
    Refused,
    Sampling,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    Turn,
)
from support.anthropic_lane import LANE
from support.calm import CALM

QUOTE = Tool("quote", "", {"type": "object"})
CLOSED: dict[str, Any] = {
    "type": "object",
    "properties": {"fair": {"type": "boolean"}},
    "required": ["fair"],
    "additionalProperties": False,
}


def ask(*turns: Turn, **settings: Any) -> Conversation:
    return Conversation((), turns or (Turn("user", (Text("Hi"),)),), **settings)


def body(conversation: Conversation, model: str = "claude-opus-4-7", limit: int = 4000) -> Any:
    lane = msgspec.structs.replace(LANE, upstream_model=model)
    written = ANTHROPIC.write(conversation)
    return json.loads(ANTHROPIC.body(written, lane, output_limit=limit, stream=False))


@pytest.mark.parametrize(
    ("conversation", "field"),
    [
        (ask(choices=2), "n"),
        (ask(sampling=Sampling(temperature=1.2)), "temperature"),
        (ask(sampling=Sampling(seed=7)), "seed"),
        (ask(sampling=Sampling(frequency_penalty=0.5)), "frequency_penalty"),
        (ask(sampling=Sampling(presence_penalty=-0.5)), "presence_penalty"),
        (ask(stop=("\n",)), "stop"),
        (ask(tool_choice=ToolChoice("required")), "tool_choice"),
        (ask(tools=(Tool("a name", "", {}),)), "tools[0].name"),
        (ask(tools=(Tool("q", "", {"anyOf": []}),)), "tools[0].parameters"),
        (ask(output=OutputSchema("a", None)), "response_format"),
        (ask(output=OutputSchema("a", {"type": "object"})), "response_format.json_schema.schema"),
        (ask(Turn("user", (Text("Hi"),)), Turn("assistant", (Text("So"),))), "messages"),
        (ask(Turn("user", (Text(" \n"),))), "messages"),
        (ask(Turn("user", (Image("image/tiff", "AA"),))), "messages[0].content[0]"),
        (
            ask(
                tools=(QUOTE,),
                tool_choice=ToolChoice("required"),
                reasoning=Reasoning(budget_tokens=2000),
            ),
            "tool_choice",
        ),
        (
            ask(reasoning=Reasoning("low"), sampling=Sampling(temperature=0.2)),
            "temperature",
        ),
        (
            ask(
                Turn("user", (Text("Hi"),)),
                Turn("assistant", (ToolCall("t", "quote", "{oops"),)),
                Turn("user", (Text("Hi"),)),
            ),
            "messages[1].content[0]",
        ),
    ],
)
def test_what_anthropic_cannot_say_is_refused_by_name(
    conversation: Conversation, field: str
) -> None:
    with pytest.raises(Untranslatable) as caught:
        ANTHROPIC.write(conversation)
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"max_tokens": 0}, "max_tokens"),
        ({"thinking": {"type": "between_tools"}}, "thinking.type"),
        (
            {
                "thinking": {"type": "enabled", "budget_tokens": 1024},
                "output_config": {"effort": "low"},
            },
            "output_config.effort",
        ),
        ({"tools": [{"type": "bash_20250124", "name": "bash"}]}, "tools[0].type"),
        (
            {"tools": [{"name": "q", "input_schema": {}, "input_examples": [{"a": 1}]}]},
            "tools[0].input_examples",
        ),
        ({"messages": [{"role": "assistant", "content": "The answer is ("}]}, "messages[0]"),
        (
            {
                "messages": [
                    {"role": "user", "content": "Hi"},
                    {"role": "system", "content": "Be brief."},
                    {"role": "user", "content": "Hi"},
                ]
            },
            "messages[1]",
        ),
        (
            {
                "messages": [
                    {
                        "role": "user",
                        "content": [
                            {
                                "type": "document",
                                "source": {"type": "text", "media_type": "text/plain", "data": "a"},
                                "citations": {"enabled": True},
                            }
                        ],
                    }
                ]
            },
            "messages[0].content[0].citations",
        ),
        (
            {
                "messages": [
                    {
                        "role": "user",
                        "content": [{"type": "tool_result", "tool_use_id": "t", "content": "12"}],
                    }
                ]
            },
            "messages[0].content[0].tool_use_id",
        ),
        (
            {
                "messages": [
                    {"role": "user", "content": [{"type": "redacted_thinking", "data": "x"}]}
                ]
            },
            "messages[0].content[0]",
        ),
    ],
)
def test_what_only_anthropic_understands_is_refused_by_name(
    change: dict[str, Any], field: str
) -> None:
    asked: dict[str, Any] = {
        "model": "m",
        "max_tokens": 5000,
        "messages": [{"role": "user", "content": "Hi"}],
    }
    accepted = MESSAGES.parse(asked | change, {}).body
    with pytest.raises(Untranslatable) as caught:
        ANTHROPIC_CLIENT.read(accepted)
    assert caught.value.field == field


def test_a_lane_gets_its_model_its_limit_and_its_tier() -> None:
    lane = msgspec.structs.replace(LANE, service_tier="standard_only")
    raw = ANTHROPIC.body(ANTHROPIC.write(ask()), lane, output_limit=77, stream=True)
    assert json.loads(raw) == {
        "model": "claude-opus-4-7",
        "max_tokens": 77,
        "stream": True,
        "service_tier": "standard_only",
        "messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}],
    }
    assert ANTHROPIC.path(lane, stream=True) == "/v1/messages"
    headers = ANTHROPIC.headers({"x-api-key": "the client's", "cookie": "c"}, lane, "s3cret")
    assert headers["x-api-key"] == "s3cret"
    assert headers["anthropic-version"] == "2023-06-01"
    assert "cookie" not in headers
    foreign = ANTHROPIC.headers({"anthropic-version": "2099-01-01"}, lane, "s3cret")
    assert foreign["anthropic-version"] == "2023-06-01", "what is sent is written for this one"


def test_results_come_first_and_under_ids_that_the_api_takes() -> None:
    turns = (
        Turn("user", (Text("Both."),)),
        Turn("assistant", (ToolCall("call:1", "quote", ""), ToolCall("call-2", "quote", "{}"))),
        Turn(
            "user",
            (
                Text("Here."),
                ToolResult("call:1", "quote", (Text(""),), is_error=True),
                ToolResult("call-2", "quote", (Text("12"),)),
            ),
        ),
    )
    _, called, given_back = body(ask(*turns, tools=(QUOTE,)))["messages"]
    assert [block["type"] for block in given_back["content"]] == [
        *("tool_result", "tool_result", "text")
    ]
    mapped = called["content"][0]["id"]
    assert re.fullmatch("[a-zA-Z0-9_-]{8}", mapped)
    assert given_back["content"][0] == {
        "type": "tool_result",
        "tool_use_id": mapped,
        "is_error": True,
    }
    assert given_back["content"][1]["tool_use_id"] == called["content"][1]["id"] == "call-2"


def test_reasoning_of_another_vendor_is_not_shown_to_this_one() -> None:
    said = (Thinking("Hm.", "s", origin="gemini"), Thinking("Hm.", origin="anthropic"))
    turns = (
        Turn("user", (Text("Hi"),)),
        Turn("assistant", said),
        Turn("user", (Text("Well?"),)),
    )
    (only,) = body(ask(*turns))["messages"]
    assert [block["text"] for block in only["content"]] == ["Hi", "Well?"]


def test_a_refusal_is_told_in_its_own_words() -> None:
    turns = (
        Turn("user", (Text("Hi"),)),
        Turn("assistant", (Refused("No."),)),
        Turn("user", (Text("Why?"),)),
    )
    assert body(ask(*turns))["messages"][1]["content"] == [{"type": "text", "text": "No."}]


@pytest.mark.parametrize(
    ("effort", "sent"), [("minimal", "low"), ("low", "low"), ("xhigh", "xhigh"), ("max", "max")]
)
def test_an_effort_is_said_as_one_where_the_model_knows_it(effort: Any, sent: str) -> None:
    asked = body(ask(reasoning=Reasoning(effort)))
    assert asked["output_config"] == {"effort": sent}
    assert asked["thinking"] == {"type": "adaptive", "display": "summarized"}


OLD = [
    "claude-sonnet-4-20250514",
    "claude-3-7-sonnet-latest",
    "claude-opus-4-1",
    "claude-haiku-4-5",
]


@pytest.mark.parametrize("model", [*OLD, "claude-opus-4-5-20251101", "claude-sonnet-4-0"])
def test_an_effort_is_a_budget_for_models_that_know_budgets_only(model: str) -> None:
    asked = body(ask(reasoning=Reasoning("medium"), output=OutputSchema("a", CLOSED)), model)
    assert asked["thinking"] == {"type": "enabled", "budget_tokens": 2000}
    assert asked["output_config"] == {"format": {"type": "json_schema", "schema": CLOSED}}


@CALM
@given(
    st.sampled_from(["claude-opus-4-7", *OLD]),
    st.integers(1, 3000),
    st.sampled_from([Reasoning("low"), Reasoning("max"), Reasoning(budget_tokens=1 << 20)]),
)
def test_a_budget_lies_within_the_limit_that_was_held(
    model: str, limit: int, reasoning: Reasoning
) -> None:
    thinking = body(ask(reasoning=reasoning), model, limit).get("thinking", {})
    budget = thinking.get("budget_tokens")
    assert budget is None or 1024 <= budget < limit


def test_where_a_tool_must_be_called_the_effort_alone_is_said() -> None:
    choice = ToolChoice("tool", "quote")
    asked = body(ask(tools=(QUOTE,), tool_choice=choice, reasoning=Reasoning("high")))
    assert asked["tool_choice"] == {"type": "tool", "name": "quote"}
    assert asked["output_config"] == {"effort": "high"}
    assert "thinking" not in asked


@pytest.mark.parametrize("model", ["claude-3-5-sonnet-20241022", "claude-3-opus-latest"])
def test_a_model_that_does_not_think_is_no_candidate_for_an_effort(model: str) -> None:
    lane = msgspec.structs.replace(LANE, upstream_model=model)
    written = ANTHROPIC.write(ask(reasoning=Reasoning("low")))
    obstacle = ANTHROPIC.model_obstacle(written, lane)
    assert obstacle is not None
    assert obstacle.field == "reasoning_effort"
    assert ANTHROPIC.model_obstacle(written, LANE) is None
    assert ANTHROPIC.model_obstacle(ANTHROPIC.write(ask()), lane) is None


def test_a_model_that_knows_budgets_only_cannot_make_an_effort_where_it_must_call() -> None:
    lane = msgspec.structs.replace(LANE, upstream_model="claude-haiku-4-5")
    choice = ToolChoice("required")
    asked = ask(tools=(QUOTE,), tool_choice=choice, reasoning=Reasoning("high"))
    assert ANTHROPIC.model_obstacle(ANTHROPIC.write(asked), lane) is not None
    assert ANTHROPIC.model_obstacle(ANTHROPIC.write(asked), LANE) is None


def test_one_call_at_a_time_is_a_choice_of_tools() -> None:
    asked = body(ask(tools=(QUOTE,), parallel_tools=False))
    assert asked["tool_choice"] == {"type": "auto", "disable_parallel_tool_use": True}
    assert "tool_choice" not in body(ask(parallel_tools=False))


def test_at_most_four_cache_points_are_sent_and_no_longer_one_after_a_shorter() -> None:
    said = tuple(Text(f"clause {n}", "1h" if n % 2 else "5m") for n in range(7))
    blocks = body(ask(Turn("user", said)))["messages"][0]["content"]
    marks = [block.get("cache_control", {}).get("ttl", "5m") for block in blocks[3:]]
    assert not any("cache_control" in block for block in blocks[:3])
    assert marks == ["1h", "5m", "5m", "5m"]


def test_a_cache_point_behind_an_empty_text_stays() -> None:
    (message,) = body(ask(Turn("user", (Text("All of it"), Text("", "5m")))))["messages"]
    assert message["content"] == [
        {"type": "text", "text": "All of it", "cache_control": {"type": "ephemeral"}}
    ]


def test_the_description_of_an_answer_goes_into_its_schema() -> None:
    asked = body(ask(output=OutputSchema("verdict", CLOSED, "Is it fair?")))
    assert asked["output_config"]["format"]["schema"] == CLOSED | {"description": "Is it fair?"}


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "properties": {}},
        CLOSED | {"properties": {"a": {"type": ["object", "null"]}}},
        CLOSED | {"properties": {"a": {"type": "integer", "minimum": 1}}},
        CLOSED | {"$defs": {"a": {"type": "array", "minItems": 2}}},
        {"anyOf": [CLOSED, {"$ref": "#"}]},
        {"type": "array", "items": {"$ref": "https://elsewhere.example/schema"}},
        {"type": "array", "items": {"oneOf": []}},
    ],
)
def test_a_schema_that_the_api_cannot_hold_the_model_to_is_known_before(
    schema: dict[str, Any],
) -> None:
    assert find_unheld(schema)


def test_bounds_that_hold_for_every_integer_are_left_out_and_others_are_not() -> None:
    """Zod writes them for each integer; the API refuses bounds of any kind."""
    far = 2**53 - 1
    idle = {"type": "integer", "minimum": -far, "maximum": far}
    properties = {"a": idle, "minimum": {"type": "array", "items": idle}}
    asked = body(ask(output=OutputSchema("verdict", CLOSED | {"properties": properties})))
    plain = {"a": {"type": "integer"}, "minimum": {"type": "array", "items": {"type": "integer"}}}
    assert asked["output_config"]["format"]["schema"] == CLOSED | {"properties": plain}
    for bound in ({"minimum": -far + 1}, {"maximum": far - 1}):
        held = CLOSED | {"properties": {"a": {"type": "integer"} | bound}}
        with pytest.raises(Untranslatable, match="schema"):
            body(ask(output=OutputSchema("verdict", held)))


def test_a_nucleus_of_everything_is_not_sent() -> None:
    """Frameworks state it beside a temperature, and the API refuses the two together."""
    asked = body(ask(sampling=Sampling(temperature=0.1, top_p=1)))
    assert asked["temperature"] == 0.1
    assert "top_p" not in asked
    assert body(ask(sampling=Sampling(top_p=0.9)))["top_p"] == 0.9


def test_names_of_properties_are_no_words_of_a_schema() -> None:
    assert not find_unheld(CLOSED | {"properties": {"minimum": {"type": "string"}, "not": {}}})


def test_a_whole_request_is_marked_at_its_last_block() -> None:
    asked = {
        "model": "m",
        "max_tokens": 10,
        "cache_control": {"type": "ephemeral", "ttl": "1h"},
        "messages": [{"role": "user", "content": "Hi"}],
    }
    conversation = ANTHROPIC_CLIENT.read(MESSAGES.parse(asked, {}).body)
    assert conversation.turns == (Turn("user", (Text("Hi", "1h"),)),)


def test_the_sentence_of_an_error_is_told_without_credentials() -> None:
    raw = json.dumps({"type": "error", "error": {"type": "x", "message": "no sk-ant-REDACTED"}})
    assert ANTHROPIC.error_message(raw.encode()) == "no [removed]"
    assert ANTHROPIC.error_message(b"<html>") == ""
