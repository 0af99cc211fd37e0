"""Puts a conversation's turns into the messages of a chat completion.

Answers of tools come first in a user's turn, each as a message of its own. What a document says is
text here, its title and context before it. A tool's error, which this format has no flag for, is
said in front of its text. Cache points are left out: servers of this format cache unasked, and
most refuse fields that they do not know.
"""

import hashlib
import re
from collections.abc import Iterable, Sequence
from typing import Any, Final

from signalbox_proxy.translation.contract import Untranslatable
from signalbox_proxy.translation.conversation import (
    Conversation,
    Document,
    Image,
    Part,
    Refused,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Turn,
)

_ID: Final = re.compile(r"[a-zA-Z0-9_-]{1,40}", re.ASCII)
"""Ids of calls that every server takes; OpenAI takes up to 40 characters."""

TOOL_ERROR: Final = "Error: "


def chat_messages(conversation: Conversation) -> list[dict[str, Any]]:
    """All messages. Raises `Untranslatable` for what they cannot hold."""
    messages: list[dict[str, Any]] = []
    if conversation.system:
        messages.append({"role": "system", "content": _texts(conversation.system)})
    for turn in conversation.turns:
        messages += _assistant(turn) if turn.role == "assistant" else _user(turn)
    return messages


def call_id(identity: str) -> str:
    """A call's id as servers of this format take it: the same for the same, mapped where needed."""
    if _ID.fullmatch(identity):
        return identity
    return "call_" + hashlib.sha256(identity.encode()).hexdigest()[:32]


def _user(turn: Turn) -> list[dict[str, Any]]:
    results = [part for part in turn.parts if isinstance(part, ToolResult)]
    said = [part for part in turn.parts if not isinstance(part, ToolResult)]
    messages: list[dict[str, Any]] = [_result(result) for result in results]
    if said and all(isinstance(part, Text) for part in said):
        messages.append({"role": "user", "content": _texts(said)})
    elif said:
        messages.append({"role": "user", "content": [_part(part) for part in said]})
    return messages


def _assistant(turn: Turn) -> list[dict[str, Any]]:
    texts = [part for part in turn.parts if isinstance(part, Text)]
    calls = [part for part in turn.parts if isinstance(part, ToolCall)]
    refusals = [part.text for part in turn.parts if isinstance(part, Refused)]
    thoughts = [
        part.text for part in turn.parts if isinstance(part, Thinking) and part.origin == "openai"
    ]
    if any(isinstance(part, Image | Document | ToolResult) for part in turn.parts):
        raise Untranslatable("messages", "an assistant's turn in OpenAI's format holds text only")
    message: dict[str, Any] = {"role": "assistant"}
    if texts or not (calls or refusals):
        message["content"] = _texts(texts)
    if refusals:
        message["refusal"] = "".join(refusals)
    if any(thoughts):
        message["reasoning_content"] = "".join(thoughts)
    if calls:
        message["tool_calls"] = [_call(call) for call in calls]
    is_empty = not (texts or refusals or calls)
    return [] if is_empty else [message]


def _call(call: ToolCall) -> dict[str, Any]:
    function = {"name": call.name, "arguments": call.arguments}
    return {"id": call_id(call.id), "type": "function", "function": function}


def _result(result: ToolResult) -> dict[str, Any]:
    texts: list[Text] = []
    for part in result.parts:
        if isinstance(part, Image):
            raise Untranslatable(
                "messages", "a tool's result in OpenAI's format holds text, and no image"
            )
        texts.append(_document(part) if isinstance(part, Document) else part)
    content = _texts(texts)
    if result.is_error:
        content = TOOL_ERROR + (content if isinstance(content, str) else _joined(texts))
    return {"role": "tool", "tool_call_id": call_id(result.call_id), "content": content}


def _texts(parts: Iterable[Part]) -> str | list[dict[str, Any]]:
    """One text as a string, which every server takes; several as parts."""
    texts = [part.text for part in parts if isinstance(part, Text)]
    if len(texts) <= 1:
        return texts[0] if texts else ""
    return [{"type": "text", "text": text} for text in texts]


def _joined(parts: Sequence[Text]) -> str:
    return "\n".join(part.text for part in parts)


def _part(part: Part) -> dict[str, Any]:
    if isinstance(part, Document):
        part = _document(part)
    if isinstance(part, Text):
        return {"type": "text", "text": part.text}
    if isinstance(part, Image):
        image = {"url": part.url or f"data:{part.media_type};base64,{part.data}"}
        if part.detail:
            image["detail"] = part.detail
        return {"type": "image_url", "image_url": image}
    raise Untranslatable("messages", "a user's turn in OpenAI's format holds text and images only")


def _document(part: Document) -> Text:
    said = (text for text in (part.title, part.context, part.text) if text)
    return Text("\n".join(said))
