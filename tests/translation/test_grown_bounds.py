"""What is held covers what a provider bills for a translation that is longer than its original.

Judged by the simulated provider's own reading of the body that is sent: it takes the text that
it tokenizes from each format's fields, and counts with a tokenizer of its own.
"""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from signalbox_proxy.bounds import token_bound
from signalbox_proxy.classification import Facts
from signalbox_proxy.model_request import ModelRequest
from signalbox_proxy.quotes import Quote, Quoter
from signalbox_proxy.routing import Decision, decide
from signalbox_proxy.runtime import Runtime
from signalbox_proxy.surfaces import CHAT, MESSAGES
from signalbox_proxy.surfaces.contract import Surface
from signalbox_proxy.translation.translations import Translations
from signalbox_simulator import (
    chat_prompt,
    converse_prompt,
    gemini_prompt,
    messages_prompt,
    sheet,
    strict,
)
from signalbox_simulator.chat_request import ChatRequest
from signalbox_simulator.converse_request import ConverseRequest
from signalbox_simulator.gemini_request import GeminiRequest
from signalbox_simulator.messages_request import MessagesRequest
from signalbox_simulator.prompt import Prompt
from signalbox_snapshot.snapshot import Lane, WireFormat
from support.openai_conversations import documents, patient
from support.snapshots import PLATFORM, lane, model, snapshot

UPSTREAM: dict[WireFormat, str] = {
    "anthropic": "claude-sonnet-4-5",
    "bedrock": "us.anthropic.claude-sonnet-4-6",
    "gemini": "gemini-2.5-flash",
    "openai": "gpt-5-mini",
}
SHEET = sheet.load(Path(sheet.DEFAULT_SHEET)).models["gpt-5-mini"]
QUESTION = {"role": "user", "content": "Look it up."}
LONG_NAME = "look_up_" * 12


def lane_of(wire: WireFormat) -> Lane:
    return lane(
        wire,
        wire_format=wire,
        upstream_model=UPSTREAM[wire],
        output_limit_field="max_tokens",
    )


def prompt_of(wire: WireFormat, body: bytes) -> Prompt:
    """The prompt as the provider reads it."""
    document = strict.decode(body)
    if wire == "anthropic":
        return messages_prompt.meter(strict.validate(MessagesRequest, document), SHEET)
    if wire == "bedrock":
        return converse_prompt.meter(strict.validate(ConverseRequest, document), SHEET)
    if wire == "gemini":
        return gemini_prompt.meter(strict.validate(GeminiRequest, document), SHEET)
    return chat_prompt.meter(strict.validate(ChatRequest, document), SHEET)


def calling(arguments: str, result: str, *, name: str = "look_up", calls: int = 1) -> list[Any]:
    """A chat in which a tool was called, several times at once."""
    made = [
        {"id": f"c{n}", "type": "function", "function": {"name": name, "arguments": arguments}}
        for n in range(calls)
    ]
    results = [
        {"role": "tool", "tool_call_id": call["id"], "content": result} for call in made
    ]  # fmt: skip
    return [QUESTION, {"role": "assistant", "content": None, "tool_calls": made}, *results]


def decided(request: ModelRequest, wire: WireFormat) -> Decision:
    given_model = model(f"{PLATFORM}/mini", lanes=[lane_of(wire)])
    runtime = Runtime.build(snapshot(models=[given_model]), version="v", generation=1)
    who = runtime.agents["retail/support"]
    facts = Facts(who.agent, who.domain, "", "", "", "", 1, None, (), False, 0)
    return decide(runtime, facts, request)


def chat(messages: list[Any]) -> ModelRequest:
    called = {call["function"]["name"] for said in messages for call in said.get("tool_calls", ())}
    tools = [{"type": "function", "function": {"name": name}} for name in sorted(called)]
    body = {"model": "mini", "messages": messages} | ({"tools": tools} if tools else {})
    return CHAT.parse(body, {})


def billed(decision: Decision, quote: Quote, request: ModelRequest) -> int:
    carrier = decision.translations.carrier(quote.lane.lane, "r_1")
    body = carrier.upstream_body(request, quote.lane.lane, 100)
    return prompt_of(quote.lane.lane.wire_format, body).total


NUMBERS = '{"a":[' + ",".join(["1e15"] * 4000) + "]}"
LONGER = {
    "a result becomes JSON": ("gemini", calling("{}", "\x01" * 20_000)),
    "numbers are rendered anew, Gemini": ("gemini", calling(NUMBERS, "x")),
    "numbers are rendered anew, Anthropic": ("anthropic", calling(NUMBERS, "x")),
    "numbers are rendered anew, Bedrock": ("bedrock", calling(NUMBERS, "x")),
    "a result repeats its tool's name": ("gemini", calling("{}", "", name=LONG_NAME, calls=60)),
}


@pytest.mark.parametrize(("wire", "messages"), LONGER.values(), ids=LONGER)
def test_what_is_held_covers_a_translation_that_is_longer(
    wire: WireFormat, messages: list[Any]
) -> None:
    request = chat(messages)
    decision = decided(request, wire)
    (quote,) = decision.ranking
    tokens = billed(decision, quote, request)
    assert quote.bound.input >= tokens
    assert quote.grown_bytes > 0
    lowered = Quoter(request).lowered(quote, 300)
    assert (lowered.bound.input, lowered.bound.output) == (quote.bound.input, 300)


def test_a_lane_of_the_client_s_own_format_holds_nothing_more() -> None:
    request = chat(calling(NUMBERS, "\x01" * 2_000))
    decision = decided(request, "openai")
    (quote,) = decision.ranking
    assert quote.grown_bytes == 0
    assert quote.bound == token_bound(request, quote.lane.model, quote.output_limit or 0)


@pytest.mark.parametrize(
    "arguments", ['{"a":' * 70 + "1" + "}" * 70, '{"a":[' + "[]," * 60_000 + "[]]}", "[1]", '"x"']
)
@pytest.mark.parametrize("wire", ["anthropic", "bedrock", "gemini"])
def test_arguments_are_read_within_the_limits_of_a_body(wire: WireFormat, arguments: str) -> None:
    obstacle = Translations(chat(calling(arguments, "x"))).obstacle(lane_of(wire))
    assert obstacle is not None
    assert "not a JSON object" in obstacle.why


@pytest.mark.parametrize("wire", ["anthropic", "bedrock", "gemini"])
def test_no_digit_of_an_argument_is_lost(wire: WireFormat) -> None:
    request = chat(calling('{"a":0.12345678901234567890123}', "x"))
    decision = decided(request, wire)
    (quote,) = decision.ranking
    carrier = decision.translations.carrier(quote.lane.lane, "r_1")
    assert b":0.12345678901234567890123}" in carrier.upstream_body(request, quote.lane.lane, 9)


said = st.text(st.characters(exclude_categories=["Cs"]), max_size=30) | st.sampled_from(
    ["\x01\x02" * 9, '"\\' * 9, "漢字かな" * 4, "{[,:]}" * 4, "\u2028" * 6]
)
numbers = st.sampled_from([1e15, 1e-5, 10**30, 0.1, -1.5e300])
names = st.from_regex(r"[a-z][a-zA-Z0-9_]{0,40}", fullmatch=True)
identities = said.filter(bool) | names
given_objects = st.dictionaries(said, documents | numbers | st.lists(numbers), max_size=3)
schemas = st.fixed_dictionaries({"type": st.just("object")}, optional={"description": said})


@st.composite
def chats(draw: st.DrawFn) -> dict[str, Any]:
    messages: list[Any] = [{"role": "system", "content": text} for text in draw(st.lists(said))]
    messages.append({"role": "user", "content": "x" + draw(said)})
    for number in range(draw(st.integers(0, 2))):
        calls = [
            {
                "id": f"{number}.{n}{draw(identities)}",
                "type": "function",
                "function": {"name": draw(names), "arguments": json.dumps(draw(given_objects))},
            }
            for n in range(draw(st.integers(1, 3)))
        ]
        messages.append({"role": "assistant", "content": draw(said), "tool_calls": calls})
        messages += [
            {"role": "tool", "tool_call_id": call["id"], "content": draw(said)} for call in calls
        ]
        messages.append({"role": "user", "content": "x" + draw(said)})
    body: dict[str, Any] = {"model": "m", "messages": messages}
    called = {call["function"]["name"] for turn in messages for call in turn.get("tool_calls", ())}
    tools = sorted(called) or draw(st.lists(names, max_size=2, unique=True))
    if tools:
        functions = [
            {"name": name, "description": draw(said), "parameters": draw(schemas)}
            for name in tools
        ]  # fmt: skip
        body["tools"] = [{"type": "function", "function": function} for function in functions]
    return body


@st.composite
def message_bodies(draw: st.DrawFn) -> dict[str, Any]:
    turns: list[Any] = [{"role": "user", "content": "x" + draw(said)}]
    for number in range(draw(st.integers(0, 2))):
        calls = [
            {
                "type": "tool_use",
                "id": f"t{number}_{n}",
                "name": draw(names),
                "input": draw(given_objects),
            }
            for n in range(draw(st.integers(1, 3)))
        ]
        results = [
            {
                "type": "tool_result",
                "tool_use_id": call["id"],
                "is_error": draw(st.booleans()),
                "content": [{"type": "text", "text": draw(said)} for _ in range(2)],
            }
            for call in calls
        ]
        source = {"type": "text", "media_type": "text/plain", "data": "x" + draw(said)}
        document = {"type": "document", "source": source, "title": draw(said)}
        asked = [document, {"type": "text", "text": "x" + draw(said)}]
        turns.append({"role": "assistant", "content": calls})
        turns.append({"role": "user", "content": [*results, *asked]})
    called = {block["name"] for turn in turns[1::2] for block in turn["content"]}
    tools = [{"name": name, "input_schema": draw(schemas)} for name in sorted(called)]
    body = {"model": "m", "max_tokens": 9, "system": draw(said), "messages": turns}
    return body | ({"tools": tools} if tools else {})


def check_bound(surface: Surface, body: dict[str, Any], wires: tuple[WireFormat, ...]) -> None:
    request = surface.parse(body, {})
    translations = Translations(request)
    for wire in wires:
        there = lane_of(wire)
        if translations.obstacle(there) is not None:
            continue
        sent = translations.carrier(there, "r_1").upstream_body(request, there, 100)
        prompt = prompt_of(wire, sent)
        grown = translations.grown_bytes(there)
        separators = len('\n\n{"input_schema":}') * request.tools
        text = sum(len(segment.text.encode()) for segment in prompt.segments)
        assert text <= request.text_bytes + grown + separators, wire
        bound = token_bound(request, model(lanes=[there]), 100, grown_bytes=grown)
        assert prompt.total <= bound.input, wire


@given(chats())
@patient
def test_the_bytes_of_a_translated_chat_bound_what_its_provider_reads(body: dict[str, Any]) -> None:
    check_bound(CHAT, body, ("anthropic", "bedrock", "gemini"))


@given(message_bodies())
@patient
def test_the_bytes_of_translated_messages_bound_what_their_provider_reads(
    body: dict[str, Any],
) -> None:
    check_bound(MESSAGES, body, ("openai", "bedrock", "gemini"))


@pytest.mark.parametrize("wire", UPSTREAM)
def test_images_and_settings_are_no_text(wire: WireFormat) -> None:
    """The Model's figure bounds images; their base64 is not held for a second time."""
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 40_000}}
    content = [{"type": "text", "text": "What is it?"}, picture]
    request = chat([{"role": "user", "content": content}])
    settings = msgspec.structs.replace(request, body=request.body | {"stop": ["s" * 200]})
    for asked in (request, settings):
        assert Translations(asked).grown_bytes(lane_of(wire)) == 0
