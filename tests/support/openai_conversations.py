"""Conversations that OpenAI's chat completions can say in full, and answers in neutral events."""

import base64
import json
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from signalbox_ledger.records import Usage
from signalbox_proxy.translation.answer import (
    Answer,
    Counted,
    Ended,
    Event,
    Finished,
    FinishReason,
    PartBegins,
    PartEnds,
    PartGrows,
)
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

patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""For properties that a loaded machine may take its time with."""

words = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
names = st.from_regex(r"[a-zA-Z0-9_-]{1,20}", fullmatch=True)
texts = st.builds(Text, words)
documents: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=5,
)
arguments = st.dictionaries(words, documents, max_size=3).map(
    lambda document: json.dumps(document, ensure_ascii=False)
)
images = st.builds(
    Image,
    media_type=st.sampled_from(["image/png", "image/jpeg"]),
    data=st.binary(min_size=1, max_size=12).map(lambda data: base64.b64encode(data).decode()),
    detail=st.sampled_from(["", "low", "high"]),
) | st.builds(Image, url=names.map(lambda name: f"https://images.example/{name}"))


@st.composite
def _turns(draw: st.DrawFn) -> tuple[Turn, ...]:
    """Turns in which every call is answered in the user's turn behind it."""
    turns: list[Turn] = []
    calls: list[ToolCall] = []
    count = draw(st.integers(1, 4))
    for number in range(count):
        results = [
            ToolResult(call.id, call.name, tuple(draw(st.lists(texts, max_size=2))))
            for call in calls
        ]
        said = draw(st.lists(texts | images, min_size=0 if results else 1, max_size=3))
        turns.append(Turn("user", (*results, *said)))
        if number == count - 1:
            break
        thinking = draw(st.lists(st.builds(Thinking, words, origin=st.just("openai")), max_size=1))
        calls = [
            ToolCall(f"call_{number}_{index}", draw(names), draw(arguments))
            for index in range(draw(st.integers(0, 2)))
        ]
        refusals = draw(st.lists(st.builds(Refused, words), max_size=1))
        answered = draw(st.lists(texts, min_size=0 if calls or refusals else 1, max_size=2))
        turns.append(Turn("assistant", (*thinking, *answered, *refusals, *calls)))
    return tuple(turns)


tools = st.lists(
    st.builds(
        Tool,
        name=names,
        description=st.just("") | words,
        schema=st.just({"type": "object", "properties": {"a": {"type": "string"}}}),
    ),
    max_size=3,
    unique_by=lambda tool: tool.name,
).map(tuple)


@st.composite
def conversations(draw: st.DrawFn) -> Conversation:
    """A conversation of which OpenAI's format can say everything."""
    offered = draw(tools)
    choices: list[ToolChoice | None] = [None]
    if offered:
        choices += [ToolChoice("auto"), ToolChoice("required"), ToolChoice("none")]
        choices += [ToolChoice("tool", tool.name) for tool in offered]
    share = st.none() | st.floats(0, 1, width=16)
    return Conversation(
        system=tuple(draw(st.lists(texts, max_size=2))),
        turns=draw(_turns()),
        tools=offered,
        tool_choice=draw(st.sampled_from(choices)),
        parallel_tools=draw(st.none() | st.booleans()) if offered else None,
        output=draw(
            st.none()
            | st.just(OutputSchema("", None))
            | st.builds(OutputSchema, names, st.just({"type": "object"}), st.just("") | words)
        ),
        reasoning=draw(st.none() | st.builds(Reasoning, st.sampled_from(["low", "high", "none"]))),
        sampling=Sampling(
            temperature=draw(share), top_p=draw(share), seed=draw(st.none() | st.integers(0, 99))
        ),
        stop=tuple(draw(st.lists(words, max_size=4))),
    )


counts = st.integers(0, 10**9 // 8)
usages = st.builds(
    Usage, input=counts, cached_input=counts, cache_write_5m=counts, output=counts
).flatmap(
    lambda usage: st.integers(0, usage.output).map(
        lambda reasoning: Usage(
            input=usage.input,
            cached_input=usage.cached_input,
            cache_write_5m=usage.cache_write_5m,
            output=usage.output,
            reasoning=reasoning,
        )
    )
)


@st.composite
def answers(draw: st.DrawFn) -> Answer:
    """A whole answer: reasoning, text, a refusal or calls."""
    parts: list[Text | Thinking | ToolCall | Refused] = []
    parts += draw(st.lists(st.builds(Thinking, words, origin=st.just("openai")), max_size=1))
    parts += draw(st.lists(texts, max_size=1))
    calls = [
        ToolCall(f"call_{index}", draw(names), draw(arguments))
        for index in range(draw(st.integers(0, 3)))
    ]
    if not calls:
        parts += draw(st.lists(st.builds(Refused, words), max_size=1))
    has_refused = any(isinstance(part, Refused) for part in parts)
    ends: FinishReason = "refusal" if has_refused else "tool_calls" if calls else "stop"
    finishes: list[FinishReason] = [ends, "length", "content_filter"]
    finish = draw(st.sampled_from(finishes))
    return Answer("x", (*parts, *calls), finish, draw(usages))


def pieces_of(text: str, size: int) -> list[str]:
    """A text in pieces of a size."""
    return [text[start : start + size] for start in range(0, len(text), size)]


def events_of(answer: Answer, size: int = 3) -> list[Event]:
    """The answer as the events of a stream."""
    events: list[Event] = []
    for index, part in enumerate(answer.parts):
        if isinstance(part, ToolCall):
            events.append(PartBegins(index, "tool_call", id=part.id, name=part.name))
            text = part.arguments
        else:
            kind = {Text: "text", Thinking: "thinking", Refused: "refusal"}[type(part)]
            origin = part.origin if isinstance(part, Thinking) else ""
            events.append(PartBegins(index, kind, origin=origin))  # type: ignore[arg-type]
            text = part.text
        events += [PartGrows(index, piece) for piece in pieces_of(text, size)]
        events.append(PartEnds(index))
    events.append(Finished(answer.finish, provider_finish=answer.provider_finish))
    return [*events, Counted(answer.usage, is_final=True), Ended()]
