"""What one vendor signed or encrypted goes to lanes of that vendor alone, whatever the client."""

import json
from typing import Any

import pytest

from signalbox_proxy.surfaces import CHAT, RESPONSES
from support.snapshots import lane

SIGNED = {"google": {"thought_signature": "c2lnbmVk"}}
CALL = {"id": "c", "type": "function", "function": {"name": "quote", "arguments": "{}"}}
SAID = [
    {"role": "user", "content": "Hello"},
    {"role": "assistant", "tool_calls": [CALL | {"extra_content": SIGNED}]},
    {"role": "tool", "tool_call_id": "c", "content": "7"},
]


def reasoning(encrypted: str | None) -> dict[str, Any]:
    return {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": encrypted}


@pytest.mark.parametrize(
    ("provider", "is_sent"),
    [("google", True), ("vertex", True), ("openai", False), ("azure", False), ("mistral", False)],
)
def test_what_google_signed_goes_to_google_alone(provider: str, is_sent: bool) -> None:
    request = CHAT.parse({"model": "m", "messages": SAID}, {})
    sent = json.loads(CHAT.upstream_body(request, lane("l", provider=provider), 10))
    assert ("extra_content" in json.dumps(sent)) == is_sent
    assert sent["messages"][1]["tool_calls"][0]["function"] == CALL["function"]
    assert SAID[1]["tool_calls"][0]["extra_content"] == SIGNED, "the client's body is not changed"


def test_a_signature_is_bounded_with_the_rest() -> None:
    plain = [SAID[0], {"role": "assistant", "tool_calls": [CALL]}, SAID[2]]
    with_it, without = (
        CHAT.parse({"model": "m", "messages": said}, {}).text_bytes for said in (SAID, plain)
    )
    assert with_it == without + len("c2lnbmVk")


@pytest.mark.parametrize(
    "sealed", ["sb1.anthropic.s.c2ln", "sb1.gemini.s.c2ln", "sb1.bedrock.r.c2ln"]
)
def test_another_vendor_s_reasoning_goes_to_no_lane_that_serves_responses(sealed: str) -> None:
    items = [
        {"role": "user", "content": "Hello"},
        reasoning(sealed),
        reasoning("own"),
        reasoning(None),
    ]
    request = RESPONSES.parse({"model": "m", "input": items}, {})
    there = lane("l", responses_api=True)
    sent = json.loads(RESPONSES.upstream_body(request, there, 10))
    assert [item.get("encrypted_content") for item in sent["input"][1:]] == ["own"]
