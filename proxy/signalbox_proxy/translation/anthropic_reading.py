"""Reads a messages request into the neutral form; settings are read in `anthropic_settings`.

What only Anthropic understands is `Untranslatable`: citations, tools that Anthropic defines, an
answer whose beginning is given, instructions in the midst of a conversation.
"""

from typing import Any, Final

import msgspec

from signalbox_proxy.surfaces import messages_blocks as blocks
from signalbox_proxy.surfaces.decoding import encode_body
from signalbox_proxy.translation import conversation as neutral
from signalbox_proxy.translation.anthropic_names import ORIGIN
from signalbox_proxy.translation.contract import Untranslatable
from signalbox_proxy.translation.signatures import unseal
from signalbox_proxy.translation.turns import Turns

_CACHEABLE: Final = (
    neutral.Text,
    neutral.Image,
    neutral.Document,
    neutral.ToolCall,
    neutral.ToolResult,
)
_OF_USER: Final = (blocks.ImageBlock, blocks.DocumentBlock, blocks.SearchResultBlock)


class ConversationReading:
    """System prompt and turns of one typed request (`messages_types.MESSAGES`), read once."""

    def __init__(self, asked: Any) -> None:
        self.system: list[neutral.Text] = []
        self._turns = Turns()
        self._tool_names: dict[str, str] = {}
        if asked.system is not None:
            self._instruct(asked.system, "system")
        for index, message in enumerate(asked.messages):
            self._message(message, f"messages[{index}]")
        self.turns = self._turns.whole()
        if not self.turns:
            raise Untranslatable("messages", "nothing is said in them")
        if self.turns[-1].role == "assistant":
            last = f"messages[{len(asked.messages) - 1}]"
            raise Untranslatable(last, "an answer whose beginning is given")
        if asked.cache_control is not None:
            self.turns = _marked(self.turns, lifetime(asked.cache_control))

    def _instruct(self, content: str | list[Any], path: str) -> None:
        for part in _parts(content, path):
            if not isinstance(part, neutral.Text):
                raise Untranslatable(path, "instructions are text")
            self.system.append(part)

    def _message(self, message: Any, path: str) -> None:
        if message.role == "system":
            if self._turns.whole():
                raise Untranslatable(path, "instructions in the midst of a conversation")
            self._instruct(message.content, f"{path}.content")
            return
        if isinstance(message.content, str):
            parts: list[neutral.Part] = list(_texts(message.content))
        else:
            parts = []
            for index, block in enumerate(message.content):
                parts += self._block(block, message.role, f"{path}.content[{index}]")
        self._turns.add(message.role, parts)

    def _block(self, block: Any, role: neutral.Role, path: str) -> list[neutral.Part]:
        if isinstance(block, blocks.TextBlock):
            return [*_text(block, path)]
        if isinstance(block, blocks.ToolResultBlock):
            _expect(role, "user", path)
            return [self._result(block, path)]
        if isinstance(block, _OF_USER):
            _expect(role, "user", path)
            return [*_given(block, path)]
        _expect(role, "assistant", path)
        if isinstance(block, blocks.ToolUseBlock):
            self._tool_names[block.id] = block.name
            arguments = encode_body(block.input).decode()
            mark = lifetime(block.cache_control)
            return [neutral.ToolCall(block.id, block.name, arguments, mark)]
        return [_thinking(block)]

    def _result(self, block: blocks.ToolResultBlock, path: str) -> neutral.ToolResult:
        name = self._tool_names.get(block.tool_use_id)
        if name is None:
            raise Untranslatable(f"{path}.tool_use_id", "no tool call before it has this id")
        return neutral.ToolResult(
            call_id=block.tool_use_id,
            name=name,
            parts=_parts(block.content, f"{path}.content") if block.content is not None else (),
            is_error=bool(block.is_error),
            cache=lifetime(block.cache_control),
        )


def _marked(
    turns: tuple[neutral.Turn, ...], mark: neutral.CacheLifetime | None
) -> tuple[neutral.Turn, ...]:
    """A mark on the whole request is one on its last block that can carry one."""
    last = turns[-1]
    for index in reversed(range(len(last.parts))):
        part = last.parts[index]
        if isinstance(part, _CACHEABLE):
            new = part if part.cache else msgspec.structs.replace(part, cache=mark)
            parts = (*last.parts[:index], new, *last.parts[index + 1 :])
            return (*turns[:-1], neutral.Turn(last.role, parts))
    return turns


def lifetime(control: blocks.CacheControl | None) -> neutral.CacheLifetime | None:
    """How long a block's cache point lives, None where it has none."""
    return None if control is None else control.ttl or "5m"


def _expect(role: neutral.Role, expected: neutral.Role, path: str) -> None:
    if role != expected:
        raise Untranslatable(path, f"a block that only a message of role {expected} has")


def _texts(text: str, mark: neutral.CacheLifetime | None = None) -> tuple[neutral.Text, ...]:
    return (neutral.Text(text, mark),) if text else ()


def _text(block: blocks.TextBlock, path: str) -> tuple[neutral.Text, ...]:
    if block.citations:
        raise Untranslatable(f"{path}.citations", "citations mean something to Anthropic only")
    return _texts(block.text, lifetime(block.cache_control))


def _parts(
    content: str | list[Any], path: str
) -> tuple[neutral.Text | neutral.Image | neutral.Document, ...]:
    """What instructions and results of tools are made of."""
    if isinstance(content, str):
        return _texts(content)
    parts: list[neutral.Text | neutral.Image | neutral.Document] = []
    for index, block in enumerate(content):
        at = f"{path}[{index}]"
        if isinstance(block, blocks.TextBlock):
            parts += _text(block, at)
        elif isinstance(block, _OF_USER):
            parts += _given(block, at)
        else:
            raise Untranslatable(at, "a block that only a message of its own has")
    return tuple(parts)


def _given(block: Any, path: str) -> tuple[neutral.Image | neutral.Document, ...]:
    """An image or a document that a user or a tool gives."""
    mark = lifetime(block.cache_control)
    if isinstance(block, blocks.ImageBlock):
        changes = block.transformations
        if changes is not None and changes.oversized_image is not None:
            raise Untranslatable(f"{path}.transformations", "only Anthropic changes images first")
        if isinstance(block.source, blocks.UrlSource):
            return (neutral.Image(url=block.source.url, cache=mark),)
        return (neutral.Image(block.source.media_type, block.source.data, cache=mark),)
    if block.citations is not None and block.citations.enabled:
        raise Untranslatable(f"{path}.citations", "only Anthropic cites in this form")
    if isinstance(block, blocks.SearchResultBlock):
        text = _joined(block.content, f"{path}.content")
        return (neutral.Document(text, title=block.title, context=block.source, cache=mark),)
    if isinstance(block.source, blocks.TextSource):
        text = block.source.data
    elif isinstance(block.source.content, str):
        text = block.source.content
    else:
        text = _joined(block.source.content, f"{path}.source.content")
    return (neutral.Document(text, block.title or "", block.context or "", mark),)


def _joined(content: list[Any], path: str) -> str:
    """The text of a document that is given in pieces; a piece is what a citation points at."""
    pieces: list[str] = []
    for index, block in enumerate(content):
        if not isinstance(block, blocks.TextBlock):
            raise Untranslatable(f"{path}[{index}]", "an image inside a document")
        pieces += [text.text for text in _text(block, f"{path}[{index}]")]
    return "\n".join(pieces)


def _thinking(block: blocks.ThinkingBlock | blocks.RedactedThinkingBlock) -> neutral.Thinking:
    if isinstance(block, blocks.RedactedThinkingBlock):
        origin, redacted = unseal(block.data, ORIGIN)
        return neutral.Thinking(redacted=redacted, origin=origin)
    origin, signature = unseal(block.signature, ORIGIN)
    return neutral.Thinking(block.thinking, signature, origin=origin)
