"""Writes a neutral conversation as Anthropic's system prompt and messages.

What the API takes differs from what others take: no empty text, results of tools before anything
else in a user's turn, ids of calls from a small alphabet, at most four cache points.
"""

from collections.abc import Sequence
from typing import Any, Final

from signalbox_proxy.refusals import Refusal
from signalbox_proxy.surfaces.decoding import decode_body
from signalbox_proxy.translation import conversation as neutral
from signalbox_proxy.translation.anthropic_names import ORIGIN, cache_control, tool_id
from signalbox_proxy.translation.contract import Untranslatable

MAX_CACHE_POINTS: Final = 4
"""Most `cache_control` members of a request; the API refuses more."""

_IMAGES: Final = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp"})

Block = dict[str, Any]


def write_system(system: Sequence[neutral.Text]) -> list[Block]:
    """The system prompt's blocks."""
    return _given(system, "system")


def write_messages(turns: Sequence[neutral.Turn]) -> list[dict[str, Any]]:
    """The messages, roles alternating."""
    messages: list[dict[str, Any]] = []
    for index, turn in enumerate(turns):
        content = _content(turn, f"messages[{index}]")
        if not content:
            continue
        if messages and messages[-1]["role"] == turn.role:
            messages[-1]["content"] += content
        else:
            messages.append({"role": turn.role, "content": content})
    for message in messages:
        message["content"] = _ordered(message["content"])
    if not messages:
        raise Untranslatable("messages", "nothing is said in them")
    if messages[-1]["role"] == "assistant":
        raise Untranslatable("messages", "an assistant's last word would be continued")
    return messages


def bound_cache_points(*lists: list[Any]) -> None:
    """Keep the last cache points of all blocks, which must be in the order of the request.

    A later point holds all that an earlier one holds. One of an hour must not follow one of five
    minutes: it becomes one of five minutes too, which is never dearer.
    """
    points = [point for blocks in lists for point in _cache_points(blocks)]
    for block in points[:-MAX_CACHE_POINTS]:
        del block["cache_control"]
    is_short = False
    for block in points[-MAX_CACHE_POINTS:]:
        if is_short:
            block["cache_control"] = {"type": "ephemeral"}
        is_short = is_short or "ttl" not in block["cache_control"]


def _cache_points(blocks: list[Any]) -> list[Block]:
    """Blocks with a cache point, those within messages and results first."""
    points: list[Block] = []
    for block in blocks:
        if isinstance(inner := block.get("content"), list):
            points += _cache_points(inner)
        if "cache_control" in block:
            points.append(block)
    return points


def _content(turn: neutral.Turn, path: str) -> list[Block]:
    content: list[Block] = []
    for index, part in enumerate(turn.parts):
        written = _part(part, turn.role, f"{path}.content[{index}]")
        if not written and isinstance(part, neutral.Text):
            _mark_before(content, part)
        content += written
    return content


def _mark_before(content: list[Block], part: neutral.Text) -> None:
    """The cache point of a text that is left out moves to the block before it."""
    if content and content[-1]["type"] not in ("thinking", "redacted_thinking"):
        content[-1] |= cache_control(part.cache)


def _ordered(content: list[Block]) -> list[Block]:
    """Results of tools first, everything else as it was."""
    return sorted(content, key=lambda block: block["type"] != "tool_result")


def _part(part: neutral.Part, role: neutral.Role, path: str) -> list[Block]:
    match part:
        case neutral.Text():
            return _given([part], path)
        case neutral.Refused():
            return _given([neutral.Text(part.text)], path)
        case neutral.Thinking():
            return _thinking(part)
    if role == "assistant":
        if isinstance(part, neutral.ToolCall):
            return [_tool_use(part, path)]
        raise Untranslatable(path, "an assistant's message has text and tool calls only")
    if isinstance(part, neutral.ToolResult):
        return [_tool_result(part, path)]
    if isinstance(part, neutral.ToolCall):
        raise Untranslatable(path, "only an assistant calls tools")
    return _given([part], path)


def _given(
    parts: Sequence[neutral.Text | neutral.Image | neutral.Document], path: str
) -> list[Any]:
    """Blocks of text, images and documents; the API refuses texts of nothing but white space."""
    blocks: list[Block] = []
    for part in parts:
        if isinstance(part, neutral.Image):
            blocks.append({"type": "image", "source": _source(part, path)})
        elif isinstance(part, neutral.Document):
            blocks.append(_document(part))
        elif part.text.strip():
            blocks.append({"type": "text", "text": part.text})
        else:
            _mark_before(blocks, part)
            continue
        blocks[-1] |= cache_control(part.cache)
    return blocks


def _source(image: neutral.Image, path: str) -> dict[str, str]:
    if image.url:
        return {"type": "url", "url": image.url}
    if image.media_type not in _IMAGES:
        known = ", ".join(sorted(_IMAGES))
        raise Untranslatable(path, f"an image of type {image.media_type!r}; known are {known}")
    return {"type": "base64", "media_type": image.media_type, "data": image.data}


def _document(document: neutral.Document) -> Block:
    source = {"type": "text", "media_type": "text/plain", "data": document.text}
    block: Block = {"type": "document", "source": source}
    if document.title:
        block["title"] = document.title
    if document.context:
        block["context"] = document.context
    return block


def _thinking(part: neutral.Thinking) -> list[Block]:
    """Reasoning that Anthropic signed; any other is not sent, and not refused either."""
    if part.origin != ORIGIN:
        return []
    if part.redacted:
        return [{"type": "redacted_thinking", "data": part.redacted}]
    if not part.signature:
        return []
    return [{"type": "thinking", "thinking": part.text, "signature": part.signature}]


def _tool_use(call: neutral.ToolCall, path: str) -> Block:
    try:
        given = decode_body(call.arguments.encode(), "", "") if call.arguments.strip() else {}
    except (Refusal, UnicodeEncodeError):
        why = f"the arguments of the call of {call.name[:100]!r} are not a JSON object"
        raise Untranslatable(path, why) from None
    block = {"type": "tool_use", "id": tool_id(call.id), "name": call.name, "input": given}
    return block | cache_control(call.cache)


def _tool_result(result: neutral.ToolResult, path: str) -> Block:
    block: Block = {"type": "tool_result", "tool_use_id": tool_id(result.call_id)}
    if content := _given(result.parts, path):
        block["content"] = content
    if result.is_error:
        block["is_error"] = True
    return block | cache_control(result.cache)
