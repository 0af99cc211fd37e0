"""Words that Anthropic's messages use in requests and answers alike, and what they mean here."""

import base64
import hashlib
import re
from typing import Any, Final

from signalbox_proxy.translation.answer import FinishReason
from signalbox_proxy.translation.conversation import CacheLifetime

ORIGIN: Final = "anthropic"
"""Origin of reasoning that Anthropic signed (`conversation.Thinking.origin`)."""

FINISH: Final[dict[str, FinishReason]] = {
    "end_turn": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "stop_sequence": "stop_sequence",
    "tool_use": "tool_calls",
    "refusal": "refusal",
    "pause_turn": "length",
}
"""Neutral reason of each `stop_reason`. A paused turn is not whole either."""

STOP_REASON: Final[dict[FinishReason, str]] = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "stop_sequence": "stop_sequence",
    "content_filter": "refusal",
    "refusal": "refusal",
}
"""`stop_reason` of each neutral reason."""

_ID: Final = re.compile(r"[a-zA-Z0-9_-]+", re.ASCII)
_ID_BYTES: Final = 6
"""Of a digest; as text they are eight characters, hardly ever more than the id had: what is held
for the id's bytes covers what stands in its place."""


def tool_id(call_id: str) -> str:
    """A tool call's id as Anthropic takes it, the same for the same id: call and result match."""
    if _ID.fullmatch(call_id):
        return call_id
    digest = hashlib.sha256(call_id.encode("utf-8", "surrogatepass")).digest()
    return base64.urlsafe_b64encode(digest[:_ID_BYTES]).decode()


def cache_control(lifetime: CacheLifetime | None) -> dict[str, Any]:
    """The member that makes a block a cache point, nothing where it is none."""
    if lifetime is None:
        return {}
    control = {"type": "ephemeral"} | ({"ttl": lifetime} if lifetime == "1h" else {})
    return {"cache_control": control}
