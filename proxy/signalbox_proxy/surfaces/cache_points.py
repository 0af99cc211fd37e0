"""Cache points in the bodies of clients: taken out, or placed where none are.

A cache point is a mark behind which a provider keeps the beginning of a prompt: `cache_control`
in Anthropic's messages, `prompt_cache_breakpoint` in OpenAI's formats. Bodies are those that a
surface has accepted; they are never changed, a copy is given. Only known places are looked at:
what a tool was called with, or a schema, may have members of the same name.
"""

from collections.abc import Callable
from typing import Any, Final

from signalbox_proxy.model_request import SurfaceName

Body = dict[str, Any]

POINT: Final = {"type": "ephemeral"}
"""Anthropic's cache point of five minutes."""

_ANTHROPIC: Final = "cache_control"
_OPENAI: Final = "prompt_cache_breakpoint"
_OPTIONS: Final = "prompt_cache_options"
_OPENAI_WISHES: Final = ("prompt_cache_key", "prompt_cache_retention")


def without_points(surface: SurfaceName, body: Body) -> Body:
    """The body with no cache point and nothing else that asks for a cache.

    What OpenAI keeps unasked stays: there is no word against it but `mode: explicit`, which is sent
    where the client showed by `prompt_cache_options` that the lane knows it.
    """
    if surface == "messages":
        return _without_anthropic(body)
    bare = {key: value for key, value in body.items() if key not in _OPENAI_WISHES}
    if bare.get(_OPTIONS) is not None:
        bare[_OPTIONS] = {"mode": "explicit"}
    items = "messages" if surface == "chat" else "input"
    if isinstance(bare.get(items), list):
        bare[items] = [_without_openai(item) for item in bare[items]]
    return bare


def with_points(body: Body) -> Body:
    """A messages body with cache points behind its tools, its system prompt and its documents."""
    marked = dict(body)
    if tools := body.get("tools"):
        marked["tools"] = [*tools[:-1], tools[-1] | {_ANTHROPIC: POINT}]
    if system := body.get("system"):
        blocks = [{"type": "text", "text": system}] if isinstance(system, str) else system
        marked["system"] = _marked_last(blocks, lambda block: bool(block["text"].strip()))
    for index in reversed(range(len(body["messages"]))):
        message = body["messages"][index]
        if _is_document_in(message):
            content = _marked_last(message["content"], _is_document)
            messages = list(body["messages"])
            messages[index] = message | {"content": content}
            marked["messages"] = messages
            break
    return marked


def has_prefix(surface: SurfaceName, body: Body) -> bool:
    """Whether there is a beginning that others may share: tools, a system prompt, documents."""
    if body.get("tools"):
        return True
    if surface == "messages":
        return bool(body.get("system")) or any(map(_is_document_in, body["messages"]))
    if surface == "responses" and body.get("instructions"):
        return True
    items = body["messages"] if surface == "chat" else body["input"]
    return not isinstance(items, str) and any(
        item.get("role") in ("system", "developer") for item in items
    )


def _marked_last(blocks: list[Body], is_fit: Callable[[Body], bool]) -> list[Body]:
    """Blocks of which the last that is fit for it has a cache point."""
    for index in reversed(range(len(blocks))):
        if is_fit(blocks[index]):
            marked = blocks[index] | {_ANTHROPIC: POINT}
            return [*blocks[:index], marked, *blocks[index + 1 :]]
    return blocks


def _is_document(block: Body) -> bool:
    return bool(block["type"] == "document")


def _is_document_in(message: Body) -> bool:
    content = message["content"]
    return isinstance(content, list) and any(map(_is_document, content))


def _without_anthropic(body: Body) -> Body:
    bare = {key: value for key, value in body.items() if key != _ANTHROPIC}
    for key in ("system", "tools"):
        if isinstance(bare.get(key), list):
            bare[key] = [_bare_block(block) for block in bare[key]]
    bare["messages"] = [_bare_message(message) for message in body["messages"]]
    return bare


def _bare_message(message: Body) -> Body:
    content = message["content"]
    if isinstance(content, str):
        return message
    return message | {"content": [_bare_block(block) for block in content]}


def _bare_block(block: Body) -> Body:
    """A block, or a tool, without its cache point and those of blocks within it."""
    bare = {key: value for key, value in block.items() if key != _ANTHROPIC}
    if isinstance(bare.get("content"), list):
        bare["content"] = [_bare_block(inner) for inner in bare["content"]]
    source = bare.get("source")
    if isinstance(source, dict) and isinstance(source.get("content"), list):
        inner = [_bare_block(each) for each in source["content"]]
        bare["source"] = source | {"content": inner}
    return bare


def _without_openai(item: Body) -> Body:
    """A message or an item of a responses request without its breakpoints."""
    bare = dict(item)
    for key in ("content", "output"):
        if isinstance(bare.get(key), list):
            bare[key] = [
                {name: value for name, value in part.items() if name != _OPENAI}
                for part in bare[key]
            ]
    return bare
