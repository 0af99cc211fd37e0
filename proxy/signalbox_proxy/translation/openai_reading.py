"""Reads whole answers and errors of servers that speak OpenAI's chat completions.

Lenient where servers differ (reasoning under two names, content as parts, arguments as an object,
calls without an id), strict where an answer would come out wrong.
"""

from typing import Any, Final

import msgspec

from signalbox_proxy.surfaces.scrubbing import scrub
from signalbox_proxy.surfaces.usage import openai_usage
from signalbox_proxy.translation.answer import Answer, FinishReason
from signalbox_proxy.translation.contract import Unreadable
from signalbox_proxy.translation.conversation import Refused, Text, Thinking, ToolCall
from signalbox_proxy.unreadable import UNREADABLE

MAX_ERROR: Final = 2000
MAX_CALLS: Final = 1024
"""Tool calls of one answer."""

_FINISH: Final[dict[str, FinishReason]] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
}

Said = list[tuple[str, str]]
"""Pieces in order: kind of part (`text`, `thinking`, `refusal`) and text."""


class Called(msgspec.Struct):
    """A function as an answer, or a piece of one, names it."""

    name: Any = None
    arguments: Any = None


class Call(msgspec.Struct):
    """A tool call, or a piece of one."""

    index: Any = None
    id: Any = None
    function: Called | None = None


class Message(msgspec.Struct):
    """What an assistant said, whole or a piece of it."""

    content: Any = None
    refusal: Any = None
    reasoning_content: Any = None
    reasoning: Any = None
    tool_calls: list[Call] | None = None
    function_call: Called | None = None


class Choice(msgspec.Struct):
    """One choice of an answer or of a chunk."""

    index: Any = 0
    message: Message | None = None
    delta: Message | None = None
    finish_reason: Any = None


class Document(msgspec.Struct):
    """An answer or a chunk."""

    id: Any = None
    choices: list[Choice] | None = None
    usage: Any = None
    error: Any = None


_DECODER: Final = msgspec.json.Decoder(Document)


def decode(data: bytes) -> Document:
    """Decode an answer or a chunk. Raises `Unreadable`."""
    try:
        return _DECODER.decode(data)
    except UNREADABLE:
        raise Unreadable("it is not a chat completion") from None


def read_chat_answer(body: bytes) -> Answer:
    """Read a whole `chat.completion`."""
    document = decode(body)
    choice = next((choice for choice in document.choices or () if choice.index in (0, None)), None)
    message = choice.message if choice is not None else None
    if choice is None or message is None:
        raise Unreadable(message_of(document.error) or "the answer has no choices")
    identity = document.id if isinstance(document.id, str) else ""
    parts: list[Text | Thinking | ToolCall | Refused] = []
    for kind, text in said(message):
        if kind == "thinking":
            parts.append(Thinking(text=text, origin="openai"))
        else:
            parts.append(Refused(text) if kind == "refusal" else Text(text))
    calls = calls_of(message)
    if len(calls) > MAX_CALLS:
        raise Unreadable(f"the answer has more than {MAX_CALLS} tool calls")
    for number, call in enumerate(calls):
        called = call.function or Called()
        if not isinstance(called.name, str) or not called.name:
            raise Unreadable("a tool call has no name")
        parts.append(
            ToolCall(
                id=call.id if isinstance(call.id, str) and call.id else made_id(identity, number),
                name=called.name,
                arguments=arguments_of(called.arguments) or "{}",
            )
        )
    return Answer(
        id=identity,
        parts=tuple(parts),
        finish=finish_of(
            choice.finish_reason,
            has_calls=bool(calls),
            has_refused=any(isinstance(part, Refused) for part in parts),
        ),
        usage=openai_usage(document.usage, "implicit"),
        provider_finish=word_of(choice.finish_reason),
    )


def said(message: Message) -> Said:
    """What a message says besides its calls: reasoning first, as servers make it first."""
    pieces: Said = []
    for thought in (message.reasoning_content, message.reasoning):
        if isinstance(thought, str) and thought:
            pieces.append(("thinking", thought))
            break
    if isinstance(message.content, str):
        pieces.append(("text", message.content))
    elif isinstance(message.content, list):
        for part in message.content:
            pieces += _parts(part)
    if isinstance(message.refusal, str):
        pieces.append(("refusal", message.refusal))
    return [(kind, text) for kind, text in pieces if text]


def calls_of(message: Message) -> list[Call]:
    """The tool calls of a message, the old form of a single one included."""
    if message.tool_calls:
        return message.tool_calls
    return [Call(function=message.function_call)] if message.function_call is not None else []


def arguments_of(value: object) -> str:
    """A call's arguments as text; some servers give an object."""
    if isinstance(value, str):
        return value
    return msgspec.json.encode(value).decode() if isinstance(value, dict) else ""


def made_id(answer_id: str, number: int) -> str:
    """An id for a call that came without one, the same whenever it is made."""
    return f"call_{''.join(c for c in answer_id if c.isascii() and c.isalnum())[-24:]}_{number}"


def finish_of(reason: object, *, has_calls: bool, has_refused: bool) -> FinishReason:
    """The neutral reason. One that is not known, or is missing, never claims a whole answer.

    Servers say stop where a call was forced; whoever gets calls must answer them.
    """
    finish = _FINISH.get(word_of(reason), "length")
    if finish == "stop" and has_calls:
        return "tool_calls"
    return "refusal" if finish == "stop" and has_refused else finish


def word_of(reason: object) -> str:
    """The provider's own word, bounded."""
    return reason[:64] if isinstance(reason, str) else ""


def error_message(body: bytes) -> str:
    """The sentence in an error's body, without credentials: OpenAI's shape, and its relatives'."""
    try:
        document: object = msgspec.json.decode(body)
    except UNREADABLE:
        return ""
    if not isinstance(document, dict):
        return ""
    found = (message_of(document.get(key)) for key in ("error", "message", "detail"))
    return next((message for message in found if message), "")


def message_of(error: object) -> str:
    """The sentence of an error: itself, its message, or that of the first of several."""
    if isinstance(error, list) and error:
        error = error[0]
    if isinstance(error, dict):
        error = error.get("message") or error.get("msg")
    return scrub(error[: 2 * MAX_ERROR])[:MAX_ERROR] if isinstance(error, str) else ""


def _parts(part: object) -> Said:
    """A content part: text, or reasoning as a list of texts. What is neither says nothing."""
    if not isinstance(part, dict):
        return []
    if isinstance(part.get("text"), str):
        return [("text", part["text"])]
    if isinstance(part.get("refusal"), str):
        return [("refusal", part["refusal"])]
    thought = part.get("thinking")
    if isinstance(thought, str):
        return [("thinking", thought)]
    pieces = thought if isinstance(thought, list) else []
    texts = [piece.get("text") for piece in pieces if isinstance(piece, dict)]
    return [("thinking", text) for text in texts if isinstance(text, str)]
