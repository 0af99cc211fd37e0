"""Writes the turns of a conversation as Converse's messages and content blocks.

Rules that the service holds beyond its model (Amazon Bedrock API Reference, ContentBlock, and the
messages of its ValidationException): roles alternate and a user begins; no block of text is blank;
images and documents are a user's; a document has text beside it and a name of its own.
"""

import base64
import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from signalbox_proxy.refusals import Refusal
from signalbox_proxy.surfaces.decoding import decode_body
from signalbox_proxy.translation.contract import Untranslatable
from signalbox_proxy.translation.conversation import (
    CacheLifetime,
    Document,
    Image,
    Part,
    Refused,
    Role,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Turn,
)

ORIGIN: Final = "bedrock"
"""What reasoning of this format is marked with (`Thinking.origin`)."""

_IMAGE_FORMATS: Final = {
    "image/png": "png",
    "image/jpeg": "jpeg",
    "image/gif": "gif",
    "image/webp": "webp",
}
_ROLES: Final[dict[type, Role]] = {
    Image: "user",
    Document: "user",
    ToolResult: "user",
    ToolCall: "assistant",
    Thinking: "assistant",
    Refused: "assistant",
}
_CALL_ID: Final = re.compile(r"[a-zA-Z0-9_-]{1,64}", re.ASCII)
_NAME: Final = re.compile(r"[a-zA-Z0-9_-]{1,64}", re.ASCII)
_NOT_IN_TITLES: Final = re.compile(r"[^a-zA-Z0-9()\[\]-]+", re.ASCII)
_MAX_TITLE: Final = 180

MAX_CACHE_POINTS: Final = 4
"""Of a request, on the models that take most."""


def messages(turns: Sequence[Turn]) -> list[dict[str, Any]]:
    """All turns; neighbours of one role, between which nothing was left, become one."""
    written: list[dict[str, Any]] = []
    titles = _Titles()
    for turn in turns:
        content = _content(turn, titles)
        if not content:
            continue
        if written and written[-1]["role"] == turn.role:
            written[-1]["content"] += content
        else:
            written.append({"role": turn.role, "content": content})
    if not written:
        raise Untranslatable("messages", "Converse needs a turn that says something")
    if written[0]["role"] != "user":
        raise Untranslatable("messages", "Converse begins with a user's turn")
    if written[-1]["role"] == "assistant":
        raise Untranslatable("messages", "an assistant's last word would be continued")
    return written


def texts(parts: Iterable[Text]) -> list[dict[str, Any]]:
    """A system prompt; blank texts are left out, with nothing lost."""
    written: list[dict[str, Any]] = []
    for part in parts:
        if part.text.strip():
            written.append({"text": part.text})
        if part.cache and written:
            written.append(cache_point(part.cache))
    return written


def cache_point(lifetime: CacheLifetime) -> dict[str, Any]:
    """A cache point; five minutes are what Converse takes without a word."""
    point = {"type": "default"}
    return {"cachePoint": point if lifetime == "5m" else {**point, "ttl": lifetime}}


def bound_cache_points(*lists: list[dict[str, Any]]) -> None:
    """Keep the last cache points of all blocks, which must be in the order of the request.

    A later point holds all that an earlier one holds. One of an hour must not follow one of five
    minutes: it becomes one of five minutes too, which is never dearer.
    """
    surplus = sum("cachePoint" in block for blocks in lists for block in blocks) - MAX_CACHE_POINTS
    is_short = False
    for blocks in lists:
        kept = []
        for block in blocks:
            if "cachePoint" in block:
                surplus -= 1
                if surplus >= 0:
                    continue
                is_short = is_short or "ttl" not in block["cachePoint"]
                kept.append(cache_point("5m") if is_short else block)
            else:
                kept.append(block)
        blocks[:] = kept


def tool_name(name: str, field: str) -> str:
    """A tool's name, or `Untranslatable` where Converse takes no such."""
    if not _NAME.fullmatch(name):
        raise Untranslatable(field, "Converse takes names of 1 to 64 letters, digits, _ and -")
    return name


def has_calls(turns: Sequence[Turn]) -> bool:
    """Whether a conversation has calls of tools or their results."""
    return any(isinstance(part, ToolCall | ToolResult) for turn in turns for part in turn.parts)


class _Titles:
    """Names of documents: Converse takes few characters, and each name once."""

    def __init__(self) -> None:
        self._taken: set[str] = set()
        self._last: dict[str, int] = {}

    def name(self, title: str) -> str:
        cleaned = _NOT_IN_TITLES.sub(" ", title).strip()[:_MAX_TITLE].strip() or "document"
        number = self._last.get(cleaned, 0) + 1
        name = cleaned if number == 1 else f"{cleaned} ({number})"
        while name in self._taken:
            number += 1
            name = f"{cleaned} ({number})"
        self._last[cleaned] = number
        self._taken.add(name)
        return name


def _content(turn: Turn, titles: _Titles) -> list[dict[str, Any]]:
    content: list[dict[str, Any]] = []
    for part in sorted(turn.parts, key=lambda part: not isinstance(part, ToolResult)):
        for block in _blocks(part, turn.role, titles):
            if "cachePoint" in block and (not content or "cachePoint" in content[-1]):
                continue
            content.append(block)
    said = [block for block in content if "cachePoint" not in block]
    if not said:
        if any(not isinstance(part, Thinking) for part in turn.parts):
            raise Untranslatable("messages", "Converse takes no turn that is blank")
        return []
    if any("document" in block for block in said) and not any("text" in block for block in said):
        raise Untranslatable("messages", "Converse takes a document with text beside it only")
    return content


def _blocks(part: Part, role: Role, titles: _Titles) -> Iterator[dict[str, Any]]:
    cache: CacheLifetime | None = None
    if role != _ROLES.get(type(part), role):
        raise Untranslatable("messages", "Converse takes such a part of the other role only")
    if isinstance(part, Thinking):
        yield from _reasoning(part)
        return
    if isinstance(part, Text | Refused):
        if part.text.strip():
            yield {"text": part.text}
    elif isinstance(part, ToolCall):
        yield {"toolUse": _call(part)}
    elif isinstance(part, ToolResult):
        yield {"toolResult": _result(part, titles)}
        cache = next((inner.cache for inner in part.parts if inner.cache), None)
    else:
        yield _material(part, titles)
    if not isinstance(part, Refused) and (part.cache or cache):
        yield cache_point(part.cache or cache or "5m")


def _reasoning(part: Thinking) -> Iterator[dict[str, Any]]:
    """Reasoning of this format goes back as it came; any other is no part of what was said."""
    if part.origin != ORIGIN:
        return
    if part.redacted:
        yield {"reasoningContent": {"redactedContent": part.redacted}}
    elif part.text or part.signature:
        said = {"text": part.text}
        if part.signature:
            said["signature"] = part.signature
        yield {"reasoningContent": {"reasoningText": said}}


def _call(part: ToolCall) -> dict[str, Any]:
    try:
        arguments = decode_body((part.arguments or "{}").encode(), "", "")
    except (Refusal, UnicodeEncodeError):
        raise Untranslatable("messages", "the arguments of a call are not a JSON object") from None
    return {
        "toolUseId": call_id(part.id),
        "name": tool_name(part.name, "messages"),
        "input": arguments,
    }


def _result(part: ToolResult, titles: _Titles) -> dict[str, Any]:
    content = [
        {"text": inner.text} if isinstance(inner, Text) else _material(inner, titles)
        for inner in part.parts
    ]
    result: dict[str, Any] = {
        "toolUseId": call_id(part.call_id),
        "content": content or [{"text": ""}],
    }
    if part.is_error:
        result["status"] = "error"
    return result


def call_id(identity: str) -> str:
    """The id of a call as Converse takes it: the client's own, or one made from it."""
    if _CALL_ID.fullmatch(identity):
        return identity
    return "sb_" + hashlib.sha256(identity.encode("utf-8", "surrogatepass")).hexdigest()[:40]


def _material(part: Image | Document, titles: _Titles) -> dict[str, Any]:
    return {"image": _image(part)} if isinstance(part, Image) else _document(part, titles)


def _image(part: Image) -> dict[str, Any]:
    if not part.data:
        raise Untranslatable("messages", "Converse fetches no image from a URL; send its bytes")
    kind = _IMAGE_FORMATS.get(part.media_type)
    if kind is None:
        raise Untranslatable("messages", "Converse takes images in PNG, JPEG, GIF and WebP only")
    return {"format": kind, "source": {"bytes": part.data}}


def _document(part: Document, titles: _Titles) -> dict[str, Any]:
    if not part.text:
        raise Untranslatable("messages", "Converse takes no empty document")
    data = base64.b64encode(part.text.encode("utf-8", "replace")).decode()
    document = {"format": "txt", "name": titles.name(part.title), "source": {"bytes": data}}
    if part.context:
        document["context"] = part.context
    return {"document": document}
