"""A conversation's turns as the `contents` of a generateContent request.

Source of the form: Google's API reference, "Content" and "Part", with the guides on function
calling, on thought signatures and on file input. Calls and results are matched by id and, by models
that know no ids, by order and name: results are written in the order of their calls.
"""

from typing import Any, Final

from signalbox_proxy.refusals import Refusal
from signalbox_proxy.surfaces.decoding import decode_body
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

ORIGIN: Final = "gemini"
"""The name under which this format's thought signatures travel."""

UNSIGNED: Final = "skip_thought_signature_validator"
"""Google's own value for a call that another model made: newer models refuse a call that opens a
step without a signature, and take this one ("Thought signatures", questions and answers)."""

_MESSAGES: Final = "messages"
_IMAGES: Final = frozenset({"image/png", "image/jpeg", "image/webp", "image/heic", "image/heif"})
_ENDINGS: Final = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".webp": "image/webp",
    ".heic": "image/heic",
    ".heif": "image/heif",
}


def contents(conversation: Conversation) -> list[dict[str, Any]]:
    """The turns in order; what holds nothing to say is left out.

    Raises `Untranslatable` for what the format has no words for.
    """
    written: list[dict[str, Any]] = []
    calls: tuple[str, ...] = ()
    for turn in conversation.turns:
        results = tuple(part.call_id for part in turn.parts if isinstance(part, ToolResult))
        if sorted(results) != sorted(calls):
            raise Untranslatable(_MESSAGES, "Gemini needs a result for each call, in the next turn")
        parts = _answered(turn) if turn.role == "assistant" else _asked(turn, calls)
        calls = tuple(part.id for part in turn.parts if isinstance(part, ToolCall))
        if calls and not written:
            raise Untranslatable(_MESSAGES, "Gemini lets no conversation begin with a call")
        if parts:
            role = "model" if turn.role == "assistant" else "user"
            written.append({"role": role, "parts": parts})
    if not written:
        raise Untranslatable(_MESSAGES, "nothing is said in them")
    if written[-1]["role"] == "model":
        raise Untranslatable(_MESSAGES, "Gemini continues no answer that was begun")
    return written


def system_instruction(conversation: Conversation) -> dict[str, Any] | None:
    """The system prompt, None where there is none."""
    parts = [{"text": text.text} for text in conversation.system if text.text]
    return {"parts": parts} if parts else None


def _answered(turn: Turn) -> list[dict[str, Any]]:
    """A model's turn. A signature belongs to the call that follows it."""
    written: list[dict[str, Any]] = []
    signature = ""
    is_first_call = True
    for part in turn.parts:
        if isinstance(part, Thinking):
            if part.origin == ORIGIN and part.signature:
                signature = part.signature
        elif isinstance(part, ToolCall):
            called: dict[str, Any] = {"functionCall": _call(part)}
            if signature or is_first_call:
                called["thoughtSignature"] = signature or UNSIGNED
            written.append(called)
            signature, is_first_call = "", False
        elif isinstance(part, Text | Refused):
            written += [{"text": part.text}] if part.text else []
        else:
            raise Untranslatable(_MESSAGES, "Gemini takes only text and calls as its own answers")
    return written


def _call(part: ToolCall) -> dict[str, Any]:
    try:
        arguments = decode_body((part.arguments or "{}").encode(), "", "")
    except (Refusal, UnicodeEncodeError):
        raise Untranslatable(_MESSAGES, "the arguments of a call are not a JSON object") from None
    return {"id": part.id, "name": part.name, "args": arguments}


def _asked(turn: Turn, calls: tuple[str, ...]) -> list[dict[str, Any]]:
    """A user's turn, results first."""
    results = [part for part in turn.parts if isinstance(part, ToolResult)]
    positions = {call: position for position, call in enumerate(calls)}
    results.sort(key=lambda result: positions[result.call_id])
    written: list[dict[str, Any]] = [{"functionResponse": _result(part)} for part in results]
    for part in turn.parts:
        if not isinstance(part, ToolResult):
            written += _said(part)
    return written


def _result(result: ToolResult) -> dict[str, Any]:
    """What a tool gave, under the key that Google names for it; images beside it."""
    texts: list[str] = []
    images: list[dict[str, Any]] = []
    for part in result.parts:
        if isinstance(part, Image):
            images.append(_image(part))
        else:
            texts += [piece["text"] for piece in _said(part)]
    key = "error" if result.is_error else "output"
    written: dict[str, Any] = {
        "id": result.call_id,
        "name": result.name,
        "response": {key: "\n".join(texts)},
    }
    if images:
        written["parts"] = images
    return written


def _said(part: Part) -> list[dict[str, Any]]:
    if isinstance(part, Text | Refused):
        return [{"text": part.text}] if part.text else []
    if isinstance(part, Document):
        pieces = (part.title, part.context, part.text)
        return [{"text": piece} for piece in pieces if piece]
    if isinstance(part, Image):
        return [_image(part)]
    raise Untranslatable(_MESSAGES, "Gemini takes no reasoning and no call in a user's turn")


def _image(image: Image) -> dict[str, Any]:
    """Bytes in the request, or an address from which Google fetches them itself."""
    if not image.url:
        if image.media_type not in _IMAGES:
            raise Untranslatable(_MESSAGES, f"Gemini reads no images of type {image.media_type}")
        return {"inlineData": {"mimeType": image.media_type, "data": image.data}}
    path = image.url.partition("?")[0].partition("#")[0].lower()
    media_type = image.media_type or next(
        (kind for ending, kind in _ENDINGS.items() if path.endswith(ending)), ""
    )
    if not image.url.startswith("https://"):
        raise Untranslatable(_MESSAGES, "Gemini fetches images from https addresses only")
    if media_type not in _IMAGES:
        raise Untranslatable(
            _MESSAGES, "Gemini must be told an image's type, which its address does not end with"
        )
    return {"fileData": {"mimeType": media_type, "fileUri": image.url}}
