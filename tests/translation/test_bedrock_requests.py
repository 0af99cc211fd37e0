"""What a conversation says, Converse's body says: judged by Amazon's own model of the service."""

import base64
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signalbox_proxy.translation.bedrock_provider import BEDROCK
from signalbox_proxy.translation.contract import ModelDependent, Untranslatable
from signalbox_proxy.translation.conversation import (
    Conversation,
    Document,
    Image,
    OutputSchema,
    Reasoning,
    Sampling,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    Turn,
)
from signalbox_snapshot.snapshot import Lane
from support import bedrock_types
from support.bedrock_conversations import CLAUDE, LLAMA, NOVA, bedrock_lane, conversations

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"place": {"type": "string"}},
    "required": ["place"],
    "additionalProperties": False,
}
WEATHER = Tool("weather", "The weather somewhere", SCHEMA)
HELLO = Turn("user", (Text("Hello"),))
USED = (
    HELLO,
    Turn("assistant", (ToolCall("a", "weather", "{}"),)),
    Turn("user", (ToolResult("a", "weather", (Text("rain"),)),)),
)
SONNET = "us.anthropic.claude-sonnet-4-6"


def body(conversation: Conversation, lane: Lane | None = None, limit: int = 500) -> dict[str, Any]:
    written = BEDROCK.write(conversation)
    lane = lane or bedrock_lane()
    assert BEDROCK.model_obstacle(written, lane) is None
    raw = BEDROCK.body(written, lane, output_limit=limit, stream=False)
    return dict(json.loads(raw))


def refused(conversation: Conversation, model: str = CLAUDE) -> str:
    """The field that stands in the way."""
    try:
        written = BEDROCK.write(conversation)
    except Untranslatable as obstacle:
        return obstacle.field
    obstacle = BEDROCK.model_obstacle(written, bedrock_lane(model))
    return obstacle.field if obstacle else ""


@settings(max_examples=80, deadline=None)
@given(conversations() | conversations(wild=True), st.sampled_from([CLAUDE, NOVA, LLAMA]))
def test_any_conversation_is_either_refused_or_one_that_the_service_model_takes(
    conversation: Conversation, model: str
) -> None:
    lane = bedrock_lane(model)
    try:
        written = BEDROCK.write(conversation)
    except Untranslatable:
        return
    if BEDROCK.model_obstacle(written, lane) is not None:
        return
    document = json.loads(BEDROCK.body(written, lane, output_limit=100, stream=True))
    assert bedrock_types.faults(document) == []
    path, again = bedrock_types.serialized(document, model)
    assert again == document
    assert path == BEDROCK.path(lane, stream=False)


@settings(max_examples=20, deadline=None)
@given(conversations())
def test_a_written_request_serves_many_lanes(conversation: Conversation) -> None:
    try:
        written = BEDROCK.write(conversation)
    except Untranslatable:
        return
    before = repr(written)
    bodies = []
    for model in (CLAUDE, NOVA, CLAUDE):
        lane = bedrock_lane(model, service_tier="flex")
        if BEDROCK.model_obstacle(written, lane) is None:
            bodies.append(BEDROCK.body(written, lane, output_limit=7, stream=False))
    assert repr(written) == before
    assert len(bodies) < 3 or bodies[0] == bodies[2]


def test_everything_has_its_place() -> None:
    pixel = base64.b64encode(b"pixel").decode()
    conversation = Conversation(
        system=(Text("Be brief."), Text("Always.", cache="1h")),
        turns=(
            Turn("user", (Text("What is this?"), Image("image/png", pixel), Document("Rain", "A"))),
            Turn(
                "assistant",
                (
                    Thinking("hmm", "sig", origin="bedrock"),
                    Thinking("foreign", "sig", origin="anthropic"),
                    Text("I look."),
                    ToolCall("call_1", "weather", '{"place":"Bonn"}'),
                    ToolCall("call|2", "weather", ""),
                ),
            ),
            Turn(
                "user",
                (
                    ToolResult("call_1", "weather", (Text("rain"),)),
                    ToolResult("call|2", "weather", (), is_error=True, cache="5m"),
                    Text("And?"),
                ),
            ),
        ),
        tools=(Tool("weather", "The weather somewhere", SCHEMA, strict=True, cache="1h"),),
        tool_choice=ToolChoice("auto"),
        parallel_tools=True,
        output=OutputSchema("place", SCHEMA, "A place"),
        sampling=Sampling(temperature=0.5, top_p=0.9, top_k=40),
        stop=("END",),
        user="u-1",
    )
    document = body(conversation, bedrock_lane(service_tier="priority"))
    second = document["messages"][1]["content"][3]["toolUse"]["toolUseId"]
    assert second.startswith("sb_")
    assert document == {
        "system": [
            {"text": "Be brief."},
            {"text": "Always."},
            {"cachePoint": {"type": "default", "ttl": "1h"}},
        ],
        "messages": [
            {
                "role": "user",
                "content": [
                    {"text": "What is this?"},
                    {"image": {"format": "png", "source": {"bytes": pixel}}},
                    {
                        "document": {
                            "format": "txt",
                            "name": "A",
                            "source": {"bytes": base64.b64encode(b"Rain").decode()},
                        }
                    },
                ],
            },
            {
                "role": "assistant",
                "content": [
                    {"reasoningContent": {"reasoningText": {"text": "hmm", "signature": "sig"}}},
                    {"text": "I look."},
                    {
                        "toolUse": {
                            "toolUseId": "call_1",
                            "name": "weather",
                            "input": {"place": "Bonn"},
                        }
                    },
                    {"toolUse": {"toolUseId": second, "name": "weather", "input": {}}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {"toolResult": {"toolUseId": "call_1", "content": [{"text": "rain"}]}},
                    {
                        "toolResult": {
                            "toolUseId": second,
                            "content": [{"text": ""}],
                            "status": "error",
                        }
                    },
                    {"cachePoint": {"type": "default"}},
                    {"text": "And?"},
                ],
            },
        ],
        "toolConfig": {
            "tools": [
                {
                    "toolSpec": {
                        "name": "weather",
                        "description": "The weather somewhere",
                        "inputSchema": {"json": SCHEMA},
                        "strict": True,
                    }
                },
                {"cachePoint": {"type": "default", "ttl": "1h"}},
            ],
            "toolChoice": {"auto": {}},
        },
        "inferenceConfig": {
            "maxTokens": 500,
            "temperature": 0.5,
            "topP": 0.9,
            "stopSequences": ["END"],
        },
        "outputConfig": {
            "textFormat": {
                "type": "json_schema",
                "structure": {
                    "jsonSchema": {
                        "schema": json.dumps(SCHEMA, separators=(",", ":")),
                        "name": "place",
                        "description": "A place",
                    }
                },
            }
        },
        "additionalModelRequestFields": {"top_k": 40},
        "additionalModelResponseFieldPaths": ["/stop_sequence"],
        "serviceTier": {"type": "priority"},
    }
    assert bedrock_types.faults(document) == []


@pytest.mark.parametrize(
    ("field", "conversation"),
    [
        ("n", Conversation((), (HELLO,), choices=2)),
        ("seed", Conversation((), (HELLO,), sampling=Sampling(seed=1))),
        ("frequency_penalty", Conversation((), (HELLO,), sampling=Sampling(frequency_penalty=1))),
        ("presence_penalty", Conversation((), (HELLO,), sampling=Sampling(presence_penalty=1))),
        ("temperature", Conversation((), (HELLO,), sampling=Sampling(temperature=1.5))),
        ("stop", Conversation((), (HELLO,), stop=("",))),
        ("response_format", Conversation((), (HELLO,), output=OutputSchema("", None))),
        (
            "parallel_tool_calls",
            Conversation((), (HELLO,), tools=(WEATHER,), parallel_tools=False),
        ),
        ("messages", Conversation((), (Turn("user", (Image(url="https://a.example/b.png"),)),))),
        ("messages", Conversation((), (Turn("user", (Image("image/bmp", "QQ=="),)),))),
        ("messages", Conversation((), (Turn("user", (Document("Alone", "A"),)),))),
        ("messages", Conversation((), (Turn("user", (Text(" \n"),)),))),
        ("messages", Conversation((), (Turn("assistant", (Text("I begin"),)),))),
        ("messages", Conversation((), ())),
        ("tools", Conversation((), (HELLO,), tools=(Tool("with space", "", SCHEMA),))),
        (
            "tools",
            Conversation((), USED),
        ),
        (
            "messages",
            Conversation(
                (),
                (HELLO, Turn("assistant", (ToolCall("a", "weather", "[1]"),)), HELLO),
                tools=(WEATHER,),
            ),
        ),
        (
            "tool_choice",
            Conversation((), USED, tools=(WEATHER,), tool_choice=ToolChoice("none")),
        ),
        ("tools", Conversation((), (HELLO,), tools=(Tool("q", "", {"anyOf": []}),))),
        ("tool_choice", Conversation((), (HELLO,), tool_choice=ToolChoice("required"))),
        ("messages", Conversation((), (HELLO, Turn("assistant", (Text("It is"),))))),
        ("messages", Conversation((), (Turn("user", (ToolCall("a", "weather", "{}"),)),))),
        (
            "response_format.json_schema.schema",
            Conversation((), (HELLO,), output=OutputSchema("a", {"type": "object"})),
        ),
        ("thinking.budget_tokens", Conversation((), (HELLO,), reasoning=Reasoning(None, 1000))),
        (
            "tool_choice",
            Conversation(
                (),
                (HELLO,),
                tools=(WEATHER,),
                tool_choice=ToolChoice("required"),
                reasoning=Reasoning(None, 2000),
            ),
        ),
    ],
)
def test_what_converse_cannot_say_is_refused_by_name(
    field: str, conversation: Conversation
) -> None:
    assert refused(conversation) == field


def test_fields_of_one_vendor_s_models_make_other_models_no_lane() -> None:
    drawn = Conversation((), (HELLO,), sampling=Sampling(top_k=5))
    assert isinstance(BEDROCK, ModelDependent)
    assert refused(drawn, LLAMA) == "top_k"
    assert body(drawn, bedrock_lane(NOVA))["additionalModelRequestFields"] == {
        "inferenceConfig": {"topK": 5}
    }
    profile = "arn:aws:bedrock:eu-central-1:123456789012:application-inference-profile/abc"
    assert refused(drawn, profile) == "top_k"
    thinking = Conversation((), (HELLO,), reasoning=Reasoning(None, 2000))
    assert refused(thinking, NOVA) == "thinking"
    assert body(thinking, limit=3000)["additionalModelRequestFields"] == {
        "thinking": {"type": "enabled", "budget_tokens": 2000}
    }
    assert refused(thinking, LLAMA) == "thinking"
    trying = Conversation((), (HELLO,), reasoning=Reasoning("high"))
    assert body(trying, bedrock_lane(LLAMA))["outputConfig"] == {"effort": "high"}
    assert body(trying, bedrock_lane("openai.gpt-oss-120b-1:0"))[
        "additionalModelRequestFields"
    ] == {"reasoning_effort": "high"}
    nova_2 = "us.amazon.nova-2-lite-v1:0"
    assert refused(trying, nova_2) == "reasoning_effort", "it takes high without a limit only"
    some = Conversation((), (HELLO,), reasoning=Reasoning("medium"))
    assert body(some, bedrock_lane(nova_2))["additionalModelRequestFields"] == {
        "reasoningConfig": {"type": "enabled", "maxReasoningEffort": "medium"}
    }
    none = Conversation((), (HELLO,), reasoning=Reasoning("none"))
    assert body(none, bedrock_lane(nova_2))["additionalModelRequestFields"] == {
        "reasoningConfig": {"type": "disabled"}
    }


def test_a_model_is_asked_to_think_as_it_can_be_asked_to() -> None:
    trying = Conversation((), (HELLO,), reasoning=Reasoning("high", visible=False))
    newer, older = body(trying, bedrock_lane(SONNET)), body(trying, limit=10_000)
    assert newer["outputConfig"] == {"effort": "high"}
    assert newer["additionalModelRequestFields"] == {
        "thinking": {"type": "adaptive", "display": "omitted"}
    }
    assert "outputConfig" not in older
    assert older["additionalModelRequestFields"] == {
        "thinking": {"type": "enabled", "budget_tokens": 8000}
    }
    assert "additionalModelRequestFields" not in body(trying, limit=1024)
    demanded = Conversation(
        (),
        (HELLO,),
        tools=(WEATHER,),
        tool_choice=ToolChoice("required"),
        reasoning=Reasoning("low"),
    )
    assert "additionalModelRequestFields" not in body(demanded, bedrock_lane(SONNET))
    assert refused(demanded) == "tool_choice"
    cooler = Conversation(
        (), (HELLO,), reasoning=Reasoning("low"), sampling=Sampling(temperature=0.2)
    )
    assert refused(cooler) == "temperature"
    claude_3 = "anthropic.claude-3-5-sonnet-20241022-v2:0"
    assert refused(trying, claude_3) == "reasoning_effort"


def points(document: dict[str, Any]) -> list[str]:
    tools = document["toolConfig"]["tools"]
    blocks = [*tools, *document["system"], *document["messages"][0]["content"]]
    return [block["cachePoint"].get("ttl", "5m") for block in blocks if "cachePoint" in block]


def test_the_last_four_cache_points_are_kept_the_longer_ones_first() -> None:
    def marked(*lifetimes: Any) -> dict[str, Any]:
        tool, system, *said = lifetimes
        conversation = Conversation(
            (Text("Be brief.", system),),
            (Turn("user", tuple(Text("a", each) for each in said)),),
            tools=(Tool("weather", "", SCHEMA, cache=tool),),
        )
        return body(conversation)

    assert points(marked("1h", "1h", "5m", "5m")) == ["1h", "1h", "5m", "5m"]
    assert points(marked("1h", "1h", "1h", "5m", "5m", "1h")) == ["1h", "5m", "5m", "5m"]
    assert points(marked("5m", "1h", None)) == ["5m", "5m"]


def test_results_of_tools_come_first_and_nova_caches_no_tools() -> None:
    late = Turn("user", (Text("And?"), ToolResult("a", "weather", (Text("rain"),), cache="5m")))
    tools = (Tool("weather", "", {}, cache="5m"),)
    document = body(Conversation((), (*USED[:2], late), tools=tools), bedrock_lane(NOVA))
    last = document["messages"][-1]["content"]
    assert [next(iter(block)) for block in last] == ["toolResult", "cachePoint", "text"]
    assert [next(iter(tool)) for tool in document["toolConfig"]["tools"]] == ["toolSpec"]


def test_no_tool_may_be_called_means_that_none_is_offered() -> None:
    conversation = Conversation((), (HELLO,), tools=(WEATHER,), tool_choice=ToolChoice("none"))
    assert "toolConfig" not in body(conversation)


def test_a_budget_of_thinking_goes_on_with_its_own_thinking_only() -> None:
    def looped(origin: str) -> Conversation:
        return Conversation(
            (),
            (
                HELLO,
                Turn(
                    "assistant",
                    (Thinking("hm", "s", origin=origin), ToolCall("a", "weather", "{}")),
                ),
                Turn("user", (ToolResult("a", "weather", (Text("rain"),)),)),
            ),
            tools=(WEATHER,),
            reasoning=Reasoning(None, 2000),
        )

    assert refused(looped("anthropic")) == "thinking"
    assert refused(looped("bedrock")) == ""


def test_documents_have_names_of_their_own_that_the_service_takes() -> None:
    turn = Turn("user", (Text("Compare"), *(Document("x", t) for t in ("", "a_b/c", "a b c", ""))))
    content = body(Conversation((), (turn,)))["messages"][0]["content"]
    assert [block["document"]["name"] for block in content[1:]] == [
        "document",
        "a b c",
        "a b c (2)",
        "document (2)",
    ]


def test_a_number_in_arguments_keeps_all_its_digits() -> None:
    call = ToolCall("a", "weather", '{"n": 12345678901234567890.123456789}')
    turns = (HELLO, Turn("assistant", (call,)), HELLO)
    written = BEDROCK.write(Conversation((), turns, tools=(WEATHER,)))
    raw = BEDROCK.body(written, bedrock_lane(), output_limit=1, stream=False)
    assert b"12345678901234567890.123456789" in raw


def test_a_model_s_arn_is_one_segment_of_the_path() -> None:
    lane = bedrock_lane("arn:aws:bedrock:eu-central-1:123456789012:inference-profile/eu.x-v1:0")
    assert BEDROCK.path(lane, stream=True) == (
        "/model/arn%3Aaws%3Abedrock%3Aeu-central-1%3A123456789012%3Ainference-profile%2Feu.x-v1%3A0"
        "/converse-stream"
    )


def test_an_api_key_is_a_bearer_token_and_an_identity_is_none() -> None:
    keyed = bedrock_lane(auth="apiKey", auth_key="bedrock", identity=None)
    assert BEDROCK.headers({}, keyed, "key")["authorization"] == "Bearer key"
    assert "authorization" not in BEDROCK.headers({}, bedrock_lane(), "")


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b'{"message":"too long"}', "too long"),
        (b'{"Message":"too long"}', "too long"),
        (b'{"message":{}}', ""),
        (b"<html>", ""),
        (b"[]", ""),
        (b"\xff", ""),
    ],
)
def test_the_sentence_of_an_error_is_found_or_there_is_none(raw: bytes, message: str) -> None:
    assert BEDROCK.error_message(raw) == message


@pytest.mark.parametrize(
    ("message", "own"),
    [
        ("The provided model identifier is invalid.", True),
        ("Invocation of model ID a with on-demand throughput isn’t supported. Retry", True),
        ("You don't have access to the model with the specified model ID.", True),
        ("This model version has reached the end of its life.", True),
        ("The text field in the ContentBlock object at messages.0.content.0 is blank.", False),
        ("", False),
    ],
)
def test_a_fault_of_the_lane_s_model_is_no_answer_to_the_client(message: str, own: bool) -> None:
    assert BEDROCK.is_lanes_own(json.dumps({"message": message}).encode()) is own
