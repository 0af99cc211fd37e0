"""Conversations of all kinds, most of which Converse can say and some not; streams of frames."""

import base64
import json
from typing import Any

from hypothesis import strategies as st

from signalbox_proxy.translation.conversation import (
    Conversation,
    Document,
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
from signalbox_snapshot.snapshot import Identity, Lane

names = st.from_regex(r"[a-zA-Z0-9_-]{1,20}", fullmatch=True)
caches = st.sampled_from([None, None, None, "5m", "1h"])
schemas: st.SearchStrategy[dict[str, Any]] = st.just(
    {"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": False}
)


@st.composite
def conversations(draw: st.DrawFn, wild: bool = False) -> Conversation:
    """A conversation that Converse can say; a wild one has anything anywhere."""
    words = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
    said = words if wild else words.map(lambda text: f"a{text}")
    texts = st.builds(Text, said, caches)
    images = st.builds(
        Image,
        media_type=st.sampled_from(["image/png", "image/jpeg", "image/gif", "image/webp"]),
        data=st.binary(min_size=0 if wild else 1, max_size=12).map(
            lambda data: base64.b64encode(data).decode()
        ),
        cache=caches,
    )
    documents = st.builds(Document, said, words, words, caches)
    thoughts = st.builds(
        Thinking,
        text=words,
        signature=words,
        redacted=st.sampled_from(["", "cmVkYWN0ZWQ="]),
        origin=st.sampled_from(["bedrock", "anthropic", "openai"]),
    )
    arguments = st.dictionaries(words, words | st.integers() | st.floats(0, 1), max_size=3).map(
        json.dumps
    )
    if wild:
        arguments |= st.sampled_from(["", "[]", "{", '{"a": NaN}'])
    ids = names | st.text(max_size=80)
    materials = texts | images | documents
    calls = st.builds(ToolCall, ids, names | words if wild else names, arguments, caches)
    results = st.builds(
        ToolResult,
        ids,
        names,
        st.lists(materials, max_size=2).map(tuple),
        st.booleans(),
        caches,
    )
    users = st.lists(materials | results, min_size=0 if wild else 1, max_size=3)
    answers = st.lists(thoughts | texts | calls | st.builds(Refused, said), max_size=3)
    if wild:
        users |= answers
    turns: list[Turn] = []
    for number in range(draw(st.integers(0, 5) if wild else st.sampled_from([1, 3]))):
        is_user = draw(st.booleans()) if wild else number % 2 == 0
        parts = draw(users if is_user else answers)
        anchor = () if wild else (Text("b"),)
        turns.append(Turn("user" if is_user else "assistant", (*parts, *anchor)))
    offered = draw(
        st.lists(
            st.builds(Tool, names, words, schemas, st.booleans(), caches),
            min_size=0 if wild else 1,
            max_size=3,
        )
    )
    choices: list[ToolChoice | None] = [None, ToolChoice("auto"), ToolChoice("required")]
    choices += [ToolChoice("none")] if wild else []
    choices += [ToolChoice("tool", tool.name) for tool in offered]
    share = st.none() | st.floats(0, 2 if wild else 1)
    odd = st.sampled_from([None, 1]) if wild else st.none()
    return Conversation(
        system=tuple(draw(st.lists(st.builds(Text, words, caches), max_size=2))),
        turns=tuple(turns),
        tools=tuple(offered),
        tool_choice=draw(st.sampled_from(choices)),
        parallel_tools=draw(st.sampled_from([None, True, False] if wild else [None, True])),
        output=draw(st.none() | st.builds(OutputSchema, names, schemas, words)),
        reasoning=draw(
            st.none()
            | st.builds(Reasoning, st.sampled_from(["low", "high", "none"]))
            | st.builds(Reasoning, st.none(), st.integers(1024, 9999))
        ),
        sampling=Sampling(
            temperature=draw(share),
            top_p=draw(share),
            top_k=draw(st.none() | st.integers(1, 500)),
            frequency_penalty=draw(odd),
            seed=draw(odd),
        ),
        stop=tuple(draw(st.lists(said, max_size=3))),
        choices=draw(odd) or 1,
        user=draw(words),
    )


CLAUDE = "eu.anthropic.claude-haiku-4-5-20251001-v1:0"
NOVA = "us.amazon.nova-lite-v1:0"
LLAMA = "meta.llama3-3-70b-instruct-v1:0"


def bedrock_lane(model: str = CLAUDE, **fields: Any) -> Lane:
    given: dict[str, Any] = {
        "name": "eu",
        "lane_class": "regional",
        "provider": "bedrock",
        "wire_format": "bedrock",
        "upstream_model": model,
        "endpoint": "https://bedrock-runtime.eu-central-1.amazonaws.com",
        "auth": "aws",
        "auth_key": "",
        "region": "eu-central-1",
        "jurisdiction": "DE",
        "max_sensitivity": 1,
        "list_price": None,
        "price": None,
        "identity": Identity(region="eu-central-1"),
    }
    return Lane(**{**given, **fields})
