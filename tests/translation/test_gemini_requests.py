"""What is said to Gemini: accepted by Google's own types and by a provider that is strict."""

import base64
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from signalbox_proxy.translation.contract import Untranslatable
from signalbox_proxy.translation.conversation import (
    Conversation,
    Document,
    Image,
    OutputSchema,
    Part,
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
from signalbox_proxy.translation.gemini_contents import UNSIGNED
from signalbox_proxy.translation.gemini_provider import GEMINI
from signalbox_simulator import gemini_rules, sheet, strict
from signalbox_simulator.gemini_request import GeminiRequest
from signalbox_snapshot.snapshot import Lane
from support.google_types import accept
from support.typed_json import TEXT

MODELS = sheet.load(Path(sheet.DEFAULT_SHEET)).models
SIGNATURE = "c2lnbmVkIGFiYw=="
LANE = Lane(
    name="eu",
    lane_class="regional",
    provider="vertex",
    wire_format="gemini",
    upstream_model="gemini-3-flash-preview",
    endpoint="https://europe-west4-aiplatform.googleapis.com/v1/projects/p/locations/europe-west4",
    auth="apiKey",
    auth_key="google",
    region="europe-west4",
    jurisdiction="NL",
    max_sensitivity=2,
    list_price=None,
    price=None,
)
OLDER = msgspec.structs.replace(LANE, upstream_model="gemini-2.5-flash")
CALM = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
HELLO = Turn("user", (Text("Hello"),))
PICTURE = base64.b64encode(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\1\0\0\0\1\x08\6\0\0\0").decode()


def sent(conversation: Conversation, lane: Lane = LANE, limit: int = 100) -> dict[str, Any]:
    written = GEMINI.write(conversation)
    body: dict[str, Any] = json.loads(GEMINI.body(written, lane, output_limit=limit, stream=False))
    return body


def judged(body: dict[str, Any], model: str) -> None:
    """Both judges: the SDK's types, and the simulated provider's rules."""
    accept(body)
    gemini_rules.check(strict.validate(GeminiRequest, body), MODELS[model])


def asking(*turns: Turn, **more: Any) -> Conversation:
    return Conversation(system=(), turns=turns or (HELLO,), **more)


words = TEXT.filter(bool)
arguments = st.sampled_from(["{}", '{"q": 1.5, "deep": [{}]}', ""])
names = st.sampled_from(["quote", "trade", "look_up"])
texts = st.builds(Text, TEXT)
images = st.builds(
    Image,
    st.sampled_from(["image/png", "image/webp", "image/gif"]),
    st.just(PICTURE),
) | st.builds(Image, url=st.sampled_from(["https://p.example/cat.png", "http://p/x", "https://p"]))
documents = st.builds(Document, TEXT, TEXT, TEXT)
thoughts = st.builds(
    Thinking, TEXT, st.just(SIGNATURE), TEXT, st.sampled_from(["gemini", "anthropic", "bedrock"])
)
schemas = st.sampled_from(
    [
        {"type": "string", "const": "y"},
        {"type": "integer", "minimum": 1},
        {"type": "string", "pattern": "^a+$"},
        {"type": "array", "items": {"anyOf": [{"type": "string"}, {"const": 5}]}},
        {
            "type": "object",
            "properties": {"pattern": {"enum": ["x"]}},
            "additionalProperties": False,
        },
        {"$ref": "#/$defs/x", "$defs": {"x": {"type": "boolean"}}},
    ]
)
objects = schemas.map(lambda schema: {"type": "object", "properties": {"q": schema}})
tools = st.lists(
    st.builds(Tool, names | st.just("2nd"), TEXT, objects | st.just({}), st.booleans()),
    max_size=3,
    unique_by=lambda tool: tool.name,
).map(tuple)
reasonings = st.builds(
    Reasoning,
    st.sampled_from(["none", "minimal", "low", "medium", "high", "xhigh", "max", None]),
    visible=st.booleans(),
) | st.builds(Reasoning, budget_tokens=st.integers(1, 9999))
samplings = st.builds(
    Sampling,
    st.none() | st.floats(0, 2),
    st.none() | st.floats(0, 1),
    st.none() | st.integers(1, 500),
    st.none() | st.floats(-2, 2),
    st.none() | st.floats(-2, 2),
    st.none() | st.integers(),
)
outputs = st.none() | st.builds(
    OutputSchema, st.just("answer"), st.none() | objects, strict=st.booleans()
)


@st.composite
def conversations(draw: st.DrawFn) -> Conversation:
    turns: list[Turn] = []
    calls: list[ToolCall] = []
    for number in range(draw(st.integers(0, 3))):
        turns.append(user_turn(draw, calls))
        calls = [
            ToolCall(f"call_{number}_{n}", draw(names), draw(arguments))
            for n in range(draw(st.integers(0, 2)))
        ]
        said = draw(st.lists(thoughts | texts | st.builds(Refused, TEXT), max_size=2))
        parts = draw(st.permutations([*said, *calls]))
        turns.append(Turn("assistant", tuple(parts)))
    if turns and not draw(st.integers(0, 9)):
        return asking(*turns)
    turns.append(user_turn(draw, calls))
    offered = draw(tools)
    choices = [None, *map(ToolChoice, ("auto", "none", "required"))] if offered else [None]
    forced = st.sampled_from(offered).map(lambda tool: ToolChoice("tool", tool.name))
    return draw(
        st.builds(
            Conversation,
            system=st.lists(texts, max_size=2).map(tuple),
            turns=st.just(tuple(turns)),
            tools=st.just(offered),
            tool_choice=st.sampled_from(choices) | forced if offered else st.none(),
            parallel_tools=st.sampled_from([None, True, False]),
            output=outputs,
            reasoning=st.none() | reasonings,
            sampling=st.just(Sampling()) | samplings,
            stop=st.lists(words, max_size=6).map(tuple),
            choices=st.sampled_from([1, 1, 1, 2]),
            user=TEXT,
        )
    )


def user_turn(draw: st.DrawFn, calls: list[ToolCall]) -> Turn:
    results: list[Part] = [
        ToolResult(
            call.id,
            call.name,
            tuple(draw(st.lists(texts | images | documents, max_size=2))),
            draw(st.booleans()),
        )
        for call in draw(st.permutations(calls))
    ]
    said: list[Part] = draw(st.lists(texts | images | documents, min_size=1, max_size=2))
    return Turn("user", tuple(results + said))


@CALM
@given(conversations(), st.sampled_from([LANE, OLDER]))
def test_whatever_is_said_is_accepted_or_refused_by_name(
    conversation: Conversation, lane: Lane
) -> None:
    try:
        written = GEMINI.write(conversation)
    except Untranslatable as refused:
        named = (refused.field, refused.why)
    else:
        named = ("a body", "was written")
        check_on(lane, written)
    assert all(named)


def check_on(lane: Lane, written: dict[str, Any]) -> None:
    before = msgspec.json.encode(written)
    obstacle = GEMINI.model_obstacle(written, lane)
    if obstacle is None:
        body = json.loads(GEMINI.body(written, lane, output_limit=100, stream=False))
        judged(body, lane.upstream_model)
        assert body["generationConfig"]["maxOutputTokens"] == 100
    assert msgspec.json.encode(written) == before, "it is written once for all lanes"


@CALM
@given(conversations())
def test_no_words_of_the_client_are_lost_and_none_are_added(conversation: Conversation) -> None:
    try:
        body = sent(conversation)
    except Untranslatable:
        return
    told = [
        part["text"]
        for content in body["contents"]
        for part in content["parts"]
        if part.get("text")
    ]
    meant = [
        text
        for turn in conversation.turns
        for part in turn.parts
        for text in words_of(part)
        if text
    ]
    assert told == meant


def words_of(part: Part) -> list[str]:
    if isinstance(part, Text | Refused):
        return [part.text]
    if isinstance(part, Document):
        return [part.title, part.context, part.text]
    return []


def test_a_signature_goes_back_with_the_call_that_it_came_with() -> None:
    asked = asking(
        HELLO,
        Turn(
            "assistant",
            (
                Thinking("I look it up.", SIGNATURE, origin="gemini"),
                ToolCall("a", "quote", '{"of":"X"}'),
                ToolCall("b", "quote", '{"of":"Y"}'),
            ),
        ),
        Turn(
            "user", (ToolResult("b", "quote", (Text("2"),)), ToolResult("a", "quote", (Text("1"),)))
        ),
    )
    first, second = sent(asked)["contents"][1]["parts"]
    assert first["thoughtSignature"] == SIGNATURE
    assert "thoughtSignature" not in second, "parallel calls are signed by the first"
    results = [part["functionResponse"] for part in sent(asked)["contents"][2]["parts"]]
    assert [result["id"] for result in results] == ["a", "b"], "results come in the calls' order"
    assert results[0]["response"] == {"output": "1"}


def test_a_foreign_vendors_reasoning_stays_behind_and_its_calls_pass_as_foreign() -> None:
    asked = asking(
        HELLO,
        Turn("assistant", (Thinking("Hm.", "x", origin="anthropic"), ToolCall("a", "quote", "{}"))),
        Turn("user", (ToolResult("a", "quote", (Text("down"),), is_error=True),)),
    )
    (call,) = sent(asked)["contents"][1]["parts"]
    assert call["thoughtSignature"] == UNSIGNED
    assert "Hm." not in json.dumps(sent(asked))
    (result,) = sent(asked)["contents"][2]["parts"]
    assert result["functionResponse"]["response"] == {"error": "down"}


def test_an_older_model_gets_neither_ids_nor_signatures_that_it_does_not_know() -> None:
    asked = asking(
        HELLO,
        Turn("assistant", (ToolCall("a", "quote", "{}"),)),
        Turn("user", (ToolResult("a", "quote", (Image("image/png", PICTURE),)), Text("Well?"))),
        reasoning=Reasoning("low"),
    )
    written = GEMINI.write(asked)
    body = json.loads(GEMINI.body(written, OLDER, output_limit=4096, stream=False))
    assert body["contents"][1]["parts"] == [{"functionCall": {"name": "quote", "args": {}}}]
    kinds = [next(iter(part)) for part in body["contents"][2]["parts"]]
    assert kinds == ["functionResponse", "inlineData", "text"]
    assert body["generationConfig"]["thinkingConfig"]["thinkingBudget"] == 1024
    judged(body, "gemini-2.5-flash")
    newer = sent(asked)
    assert newer["generationConfig"]["thinkingConfig"]["thinkingLevel"] == "LOW"
    assert newer["contents"][2]["parts"][0]["functionResponse"]["parts"]


@pytest.mark.parametrize(
    ("model", "reasoning", "limit", "budget"),
    [
        ("gemini-2.5-flash", Reasoning("high"), 1000, 999),
        ("gemini-2.5-flash", Reasoning("high"), 40_000, 24_576),
        ("gemini-2.5-flash", Reasoning(budget_tokens=2048), 1500, 1499),
        ("gemini-2.5-flash", Reasoning("low"), 1, 0),
        ("gemini-2.5-flash-lite", Reasoning("low"), 512, 0),
        ("gemini-2.5-flash-lite", Reasoning("low"), 513, 512),
        ("gemini-2.5-flash", Reasoning("none"), 1000, 0),
        ("gemini-2.5-pro", Reasoning("high"), 1000, 999),
        ("gemini-2.5-pro", Reasoning("high"), 100, 128),
        ("gemini-3-pro-preview", Reasoning(budget_tokens=2048), 1500, 1499),
    ],
)
def test_a_budget_of_thinking_leaves_room_for_an_answer(
    model: str, reasoning: Reasoning, limit: int, budget: int
) -> None:
    lane = msgspec.structs.replace(LANE, upstream_model=model)
    written = GEMINI.write(asking(HELLO, reasoning=reasoning))
    body = json.loads(GEMINI.body(written, lane, output_limit=limit, stream=False))
    assert body["generationConfig"]["thinkingConfig"]["thinkingBudget"] == budget


@pytest.mark.parametrize("own", [None, "the schema's own"])
def test_what_an_answer_is_for_is_told_in_its_schema(own: str | None) -> None:
    schema = {"type": "object"} | ({} if own is None else {"description": own})
    written = GEMINI.write(asking(HELLO, output=OutputSchema("bill", schema, "amounts in cents")))
    sent = written["generationConfig"]["responseJsonSchema"]
    assert sent["description"] == (own or "amounts in cents")


OBSTACLES = [
    (LANE, {"reasoning": Reasoning("none")}, "reasoning_effort"),
    (
        OLDER,
        {"tools": (Tool("quote", "", {}),), "output": OutputSchema("a", {"type": "object"})},
        "response_format",
    ),
    (OLDER, {"reasoning": Reasoning("xhigh")}, "reasoning_effort"),
    (
        msgspec.structs.replace(LANE, upstream_model="gemini-2.0-flash"),
        {"reasoning": Reasoning("high")},
        "reasoning_effort",
    ),
]


@pytest.mark.parametrize(("lane", "more", "field"), OBSTACLES)
def test_what_one_model_does_not_know_is_no_obstacle_on_another(
    lane: Lane, more: dict[str, Any], field: str
) -> None:
    written = GEMINI.write(asking(HELLO, **more))
    found = GEMINI.model_obstacle(written, lane)
    assert found is not None
    assert found.field == field
    plain = GEMINI.write(asking(HELLO))
    assert GEMINI.model_obstacle(plain, lane) is None


UNSAID: list[tuple[Conversation, str]] = [
    (asking(HELLO, choices=2), "n"),
    (asking(HELLO, stop=tuple("abcdef")), "stop"),
    (asking(HELLO, sampling=Sampling(seed=2**40)), "seed"),
    (asking(HELLO, reasoning=Reasoning("max")), "reasoning_effort"),
    (asking(HELLO, tools=(Tool("f", "", {}),), parallel_tools=False), "parallel_tool_calls"),
    (asking(HELLO, tools=(Tool("1st", "", {}),)), "tools[0].name"),
    (asking(HELLO, tools=(Tool("f" * 129, "", {}),)), "tools[0].name"),
    (
        asking(
            HELLO,
            output=OutputSchema(
                "a", {"properties": {"x": {"type": "string", "pattern": "a"}}}, strict=True
            ),
        ),
        "response_format.json_schema.schema.properties.x.pattern",
    ),
    (asking(HELLO, Turn("assistant", (Text("Once upon"),))), "messages"),
    (asking(Turn("user", (Text(""),))), "messages"),
    (asking(Turn("user", (Image("image/gif", "R0lGOD"),))), "messages"),
    (asking(Turn("user", (Image(url="https://p.example/picture"),))), "messages"),
    (asking(Turn("user", (Image(url="http://p.example/a.png"),))), "messages"),
    (asking(HELLO, Turn("assistant", (ToolCall("a", "f", "[]"),)), HELLO), "messages"),
    (asking(HELLO, Turn("assistant", (ToolCall("a", "f", "{}"),)), HELLO), "messages"),
]


@pytest.mark.parametrize(("conversation", "field"), UNSAID, ids=lambda value: str(value)[:40])
def test_what_gemini_has_no_words_for_is_refused_by_its_field(
    conversation: Conversation, field: str
) -> None:
    with pytest.raises(Untranslatable) as refused:
        GEMINI.write(conversation)
    assert refused.value.field == field


def test_a_strict_tool_is_called_by_its_schema() -> None:
    tool = Tool("f", "", {"type": "object", "properties": {"x": {"const": "y"}}}, strict=True)
    body = sent(asking(HELLO, tools=(tool,)))
    assert body["toolConfig"] == {"functionCallingConfig": {"mode": "VALIDATED"}}
    declared = body["tools"][0]["functionDeclarations"][0]["parametersJsonSchema"]
    assert declared["properties"]["x"] == {"enum": ["y"]}


@pytest.mark.parametrize(
    ("endpoint", "path"),
    [
        ("https://generativelanguage.googleapis.com/v1beta", "/models/m"),
        (
            "https://x-aiplatform.googleapis.com/v1/projects/p/locations/x",
            "/publishers/google/models/m",
        ),
        ("https://aiplatform.googleapis.com/v1/publishers/google", "/models/m"),
        ("http://127.0.0.1:1/x/v1/projects/p/locations/x/publishers/google/", "/models/m"),
    ],
)
def test_the_endpoint_says_whether_it_is_vertex(endpoint: str, path: str) -> None:
    lane = msgspec.structs.replace(LANE, endpoint=endpoint, upstream_model="m")
    assert GEMINI.path(lane, stream=False) == f"{path}:generateContent"
    assert GEMINI.path(lane, stream=True) == f"{path}:streamGenerateContent?alt=sse"


def test_a_key_goes_into_googles_header_and_an_identitys_token_is_its_signers() -> None:
    assert GEMINI.headers({}, LANE, "k")["x-goog-api-key"] == "k"
    signed_in = msgspec.structs.replace(LANE, auth="google", auth_key="")
    headers = GEMINI.headers({}, signed_in, "")
    assert "x-goog-api-key" not in headers
    assert "authorization" not in headers


@pytest.mark.parametrize("more", [{}, {"stop": ("x",)}, {"reasoning": Reasoning("low")}])
def test_the_limit_that_is_held_is_sent_whatever_else_is(more: dict[str, Any]) -> None:
    for lane in (LANE, OLDER):
        settings_sent = sent(asking(HELLO, **more), lane, limit=77)["generationConfig"]
        assert settings_sent["maxOutputTokens"] == 77


def test_a_lanes_tier_is_said_in_its_own_field() -> None:
    lane = msgspec.structs.replace(LANE, service_tier="flex")
    body = sent(asking(HELLO), lane)
    assert body["serviceTier"] == "flex"
    judged(body, "gemini-3-flash-preview")


def test_an_error_about_the_lanes_key_is_known_from_one_about_the_request() -> None:
    info = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}
    about_us: list[dict[str, Any]] = [
        {"code": 400, "status": "INVALID_ARGUMENT", "details": [5, {}, info]},
        {"code": 400, "status": "FAILED_PRECONDITION"},
    ]
    about_them: list[Any] = [
        {"code": 400, "status": "INVALID_ARGUMENT", "details": [{"reason": "BAD"}]},
        {"code": 400, "details": "x"},
        None,
    ]
    assert all(GEMINI.is_lanes_own(json.dumps({"error": error}).encode()) for error in about_us)
    told = [json.dumps({"error": error}).encode() for error in about_them]
    assert not any(GEMINI.is_lanes_own(body) for body in (*told, b"", b"[]", b"5"))


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"error":{"code":400,"message":"No such thing.","status":"X"}}', "No such thing."),
        (b'[{"error":{"code":400,"message":"In a list."}}]', "In a list."),
        (
            b'{"error":{"message":"API key AIzaSyA-0123456789abcdef not valid"}}',
            "API key [removed] not valid",
        ),
        (b"<html>", ""),
        (b"[]", ""),
        (b'{"error":"x"}', ""),
    ],
)
def test_an_errors_sentence_is_found_and_holds_no_key(body: bytes, message: str) -> None:
    assert GEMINI.error_message(body) == message
