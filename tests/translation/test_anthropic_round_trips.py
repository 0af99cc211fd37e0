"""What Anthropic's format can say comes back from it as it went in."""

import itertools
import json
from typing import Any

import msgspec
import pytest
from anthropic.types.message_create_params import MessageCreateParamsNonStreaming
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from signalbox_proxy.refusals import Refusal
from signalbox_proxy.surfaces import MESSAGES
from signalbox_proxy.surfaces.decoding import decode_body, encode_body
from signalbox_proxy.surfaces.messages_types import MESSAGES as TABLE
from signalbox_proxy.translation.anthropic_client import ANTHROPIC_CLIENT
from signalbox_proxy.translation.anthropic_provider import ANTHROPIC
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
from support.anthropic_lane import LANE
from support.calm import CALM
from support.typed_json import OBJECT, TEXT, values_of

SDK_TYPE: TypeAdapter[Any] = TypeAdapter(MessageCreateParamsNonStreaming)

words = TEXT.filter(str.strip)
ids = st.text("abcXYZ019_-", min_size=1, max_size=12)
names = st.sampled_from(["quote", "trade", "look_up"])
texts = st.builds(Text, words)
images = st.builds(
    Image, st.sampled_from(["image/png", "image/webp"]), st.just("iVBORw0KGgo=")
) | st.builds(Image, url=st.just("https://pictures.example/cat.png"))
documents = st.builds(Document, words, TEXT, TEXT)
thoughts = st.builds(Thinking, TEXT, words, st.just(""), st.just("anthropic")) | st.builds(
    Thinking, redacted=words, origin=st.just("anthropic")
)
arguments = OBJECT.map(lambda value: encode_body(value).decode())
schemas = OBJECT.map(lambda value: {"type": "object", "properties": {"q": {"default": value}}})
tools = st.builds(Tool, names, TEXT, schemas, st.booleans())


@st.composite
def conversations(draw: st.DrawFn) -> Conversation:
    turns: list[Turn] = []
    calls: list[ToolCall] = []
    for _ in range(draw(st.integers(0, 2))):
        turns.append(user_turn(draw, calls))
        calls = [
            ToolCall(call_id, draw(names), draw(arguments))
            for call_id in draw(st.lists(ids, max_size=2, unique=True))
        ]
        said: list[Part] = [*draw(st.lists(thoughts | texts, max_size=2)), *calls]
        turns.append(Turn("assistant", tuple(said or [Text("Yes.")])))
    turns.append(user_turn(draw, calls))
    offered = tuple(draw(st.lists(tools, max_size=2)))
    return draw(settings_of(tuple(turns), offered))


def user_turn(draw: st.DrawFn, calls: list[ToolCall]) -> Turn:
    results: list[Part] = [
        ToolResult(
            call.id,
            call.name,
            tuple(draw(st.lists(texts | images | documents, max_size=2))),
            draw(st.booleans()),
        )
        for call in calls
    ]
    said: list[Part] = draw(st.lists(texts | images | documents, min_size=1, max_size=3))
    return Turn("user", tuple(results + said))


def settings_of(
    turns: tuple[Turn, ...], offered: tuple[Tool, ...]
) -> st.SearchStrategy[Conversation]:
    """All settings that Anthropic can say together: thinking goes with no sampling."""
    choices = st.sampled_from([None, ToolChoice("auto"), ToolChoice("none")])
    forced = st.sampled_from([ToolChoice("required"), ToolChoice("tool", "quote")])
    thinking = st.one_of(
        st.builds(
            Reasoning,
            st.sampled_from(["low", "medium", "high", "xhigh", "max", None]),
            visible=st.booleans(),
        ),
        st.builds(Reasoning, budget_tokens=st.integers(1024, 9999), visible=st.booleans()),
        st.just(Reasoning("none", visible=False)),
    )
    sampling = st.builds(
        Sampling,
        st.none() | st.floats(0, 1),
        st.none() | st.floats(0, 1),
        st.none() | st.integers(0, 500),
    )
    output = st.none() | st.just(
        OutputSchema("answer", {"type": "object", "additionalProperties": False}, strict=True)
    )

    def build(
        choice: ToolChoice | None, reasoning: Reasoning | None, drawn: Sampling
    ) -> st.SearchStrategy[Conversation]:
        parallel = st.sampled_from(
            [None, True, False] if choice and choice.mode == "auto" else [None]
        )
        return st.builds(
            Conversation,
            system=st.lists(texts, max_size=2).map(tuple),
            turns=st.just(turns),
            tools=st.just(offered),
            tool_choice=st.just(choice),
            parallel_tools=parallel,
            output=output,
            reasoning=st.just(reasoning),
            sampling=st.just(drawn),
            stop=st.lists(words, max_size=2).map(tuple),
            user=TEXT,
        )

    free = choices | forced if offered else st.none()
    calm = choices if offered else st.none()
    return st.one_of(
        st.tuples(free, st.none(), sampling), st.tuples(calm, thinking, st.just(Sampling()))
    ).flatmap(lambda drawn: build(*drawn))


def sent(conversation: Conversation, limit: int = 10_000) -> dict[str, Any]:
    written = ANTHROPIC.write(conversation)
    raw = ANTHROPIC.body(written, LANE, output_limit=limit, stream=False)
    return decode_body(raw, "application/json", "")


@CALM
@given(conversations())
def test_what_is_written_is_read_as_it_was_meant(conversation: Conversation) -> None:
    body = sent(conversation)
    MESSAGES.parse(body, {})
    assert ANTHROPIC_CLIENT.read(body) == conversation


@CALM
@given(conversations())
def test_what_is_written_is_a_request_by_the_official_types(conversation: Conversation) -> None:
    SDK_TYPE.validate_python(sent(conversation), strict=False)


@CALM
@given(conversations())
def test_a_request_is_written_once_for_all_its_lanes(conversation: Conversation) -> None:
    written = ANTHROPIC.write(conversation)
    before = msgspec.json.encode(written)
    for lane in (LANE, msgspec.structs.replace(LANE, upstream_model="claude-sonnet-4-20250514")):
        ANTHROPIC.body(written, lane, output_limit=2000, stream=True)
    assert msgspec.json.encode(written) == before


FIELDS = {
    key: values_of(field.type) for key, field in TABLE.fields.items() if field.use != "refused"
}
bodies = st.fixed_dictionaries(
    {key: FIELDS[key] for key in TABLE.required},
    optional={key: made for key, made in FIELDS.items() if key not in TABLE.required},
)


@settings(CALM, max_examples=60)
@given(bodies)
def test_whatever_the_surface_accepts_is_understood_or_refused_by_name(
    body: dict[str, Any],
) -> None:
    try:
        accepted = MESSAGES.parse(body, {}).body
    except Refusal:
        return
    try:
        ANTHROPIC.write(ANTHROPIC_CLIENT.read(accepted))
    except Untranslatable as obstacle:
        told = (obstacle.field, obstacle.why)
    else:
        return
    assert all(told)
    assert not told[1].endswith(".")


def test_numbers_in_a_call_lose_no_digit() -> None:
    exact = '{"price":0.1234567890123456789,"id":123456789012345678901234567890}'
    call = ToolCall("t1", "quote", exact)
    result = ToolResult("t1", "quote", (Text("ok"),))
    conversation = Conversation(
        (), (Turn("user", (Text("Go."),)), Turn("assistant", (call,)), Turn("user", (result,)))
    )
    written = ANTHROPIC.write(conversation)
    raw = ANTHROPIC.body(written, LANE, output_limit=99, stream=False)
    assert exact.encode() in raw
    assert ANTHROPIC_CLIENT.read(decode_body(raw, "", "")) == conversation


@pytest.mark.parametrize("lifetime", ["5m", "1h"])
def test_cache_points_stay_where_they_are(lifetime: Any) -> None:
    call = ToolCall("t1", "quote", "{}", lifetime)
    result = ToolResult("t1", "quote", (Text("12", lifetime),), cache=None)
    conversation = Conversation(
        system=(Text("Be brief.", lifetime),),
        turns=(
            Turn("user", (Text("Go."),)),
            Turn("assistant", (call,)),
            Turn("user", (result,)),
        ),
        tools=(Tool("quote", "", {"type": "object"}, cache=lifetime),),
    )
    assert ANTHROPIC_CLIENT.read(sent(conversation)) == conversation
    assert json.dumps(sent(conversation)).count("ephemeral") == 4


anything = st.one_of(
    st.builds(Text, TEXT, st.sampled_from([None, "5m", "1h"])),
    st.builds(Image, TEXT, TEXT, TEXT, TEXT),
    st.builds(Document, TEXT, TEXT, TEXT, st.sampled_from([None, "5m", "1h"])),
    st.builds(Thinking, TEXT, TEXT, TEXT, st.sampled_from(["", "anthropic", "gemini"])),
    st.builds(ToolCall, TEXT, TEXT, TEXT | arguments, st.sampled_from([None, "1h"])),
    st.builds(ToolResult, TEXT, TEXT, st.lists(texts | images).map(tuple), st.booleans()),
    st.builds(Refused, TEXT),
)


@CALM
@given(
    st.builds(
        Conversation,
        system=st.lists(st.builds(Text, TEXT, st.sampled_from([None, "5m"]))).map(tuple),
        turns=st.lists(
            st.builds(Turn, st.sampled_from(["user", "assistant"]), st.lists(anything).map(tuple))
        ).map(tuple),
        tools=st.lists(st.builds(Tool, TEXT | names, TEXT, OBJECT)).map(tuple),
        tool_choice=st.none() | st.builds(ToolChoice, st.sampled_from(["auto", "tool"]), TEXT),
        stop=st.lists(TEXT).map(tuple),
        user=TEXT,
    )
)
def test_whatever_was_said_is_written_as_the_api_takes_it_or_refused(
    conversation: Conversation,
) -> None:
    try:
        body = sent(conversation)
    except Untranslatable:
        return
    MESSAGES.parse(body, {})
    roles = [message["role"] for message in body["messages"]]
    assert all(one != other for one, other in itertools.pairwise(roles))
    assert roles[-1] == "user"
    flat = json.dumps(body)
    assert flat.count('"cache_control"') <= 4
    for message in body["messages"]:
        kinds = [block["type"] == "tool_result" for block in message["content"]]
        assert kinds == sorted(kinds, reverse=True)
        assert all(block["text"].strip() for block in message["content"] if "text" in block)
