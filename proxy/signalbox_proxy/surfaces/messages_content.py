"""Walks a messages request: what is tokenized, what a cache write may cost, what it needs."""

from typing import Any

from signalbox_proxy.model_request import CacheWrite
from signalbox_proxy.sealing import is_sealed
from signalbox_proxy.surfaces import messages_blocks as blocks
from signalbox_proxy.surfaces import messages_types as types
from signalbox_proxy.surfaces.fields import invalid, no_bound
from signalbox_proxy.surfaces.texts import Texts


class MessagesContent:
    """The content of one typed request (`messages_types.MESSAGES`), walked once."""

    def __init__(self, asked: Any) -> None:
        self.texts = Texts()
        self.cache_write: CacheWrite = "none"
        self.needs: set[str] = {"chat"}
        self.schema: dict[str, Any] | None = None
        self.has_sealed = False
        self._mark(asked.cache_control)
        if asked.system is not None:
            self._content(asked.system)
        for message in asked.messages:
            self._content(message.content)
        for index, tool in enumerate(asked.tools or ()):
            self._tool(tool, f"tools[{index}]")
        wanted = asked.output_format or (asked.output_config and asked.output_config.format)
        if wanted:
            self.schema = wanted.schema
            self.texts.tools += 1
            self.texts.add_json(wanted.schema)
            self.needs.add("structuredOutput")
        if self.texts.images:
            self.needs.add("images")

    def _mark(self, control: blocks.CacheControl | None) -> None:
        if control is None:
            return
        self.needs.add("promptCaching")
        if self.cache_write != "1h":
            self.cache_write = control.ttl or "5m"

    def _content(self, content: str | list[Any]) -> None:
        """One message or system prompt; each block counts as a message of its own."""
        if isinstance(content, str):
            self.texts.messages += 1
            self.texts.add(content)
            return
        self.texts.messages += max(1, len(content))
        for block in content:
            self._block(block)

    def _block(self, block: Any) -> None:
        texts = self.texts
        if isinstance(block, blocks.ThinkingBlock):
            texts.add(block.thinking)
            texts.add(block.signature)
            self.has_sealed = self.has_sealed or is_sealed(block.signature)
            return
        if isinstance(block, blocks.RedactedThinkingBlock):
            texts.add(block.data)
            self.has_sealed = self.has_sealed or is_sealed(block.data)
            return
        self._mark(block.cache_control)
        if isinstance(block, blocks.TextBlock):
            texts.add(block.text)
            texts.add_json(block.citations)
        elif isinstance(block, blocks.ImageBlock):
            texts.images += 1
        elif isinstance(block, blocks.ToolUseBlock):
            texts.add(block.id)
            texts.add(block.name)
            texts.add_json(block.input)
        elif isinstance(block, blocks.ToolResultBlock):
            texts.add(block.tool_use_id)
            if block.content is not None:
                self._content(block.content)
        elif isinstance(block, blocks.SearchResultBlock):
            texts.add(block.source)
            texts.add(block.title)
            self._content(block.content)
        else:
            self._document(block)

    def _document(self, block: blocks.DocumentBlock) -> None:
        self.needs.add("documents")
        self.texts.add(block.title)
        self.texts.add(block.context)
        if isinstance(block.source, blocks.TextSource):
            self.texts.add(block.source.data)
        else:
            self._content(block.source.content)

    def _tool(self, tool: types.Tool, path: str) -> None:
        self.needs.add("tools")
        texts = self.texts
        texts.tools += 1
        self._mark(tool.cache_control)
        if tool.type in (None, "custom"):
            if tool.input_schema is None:
                field = f"{path}.input_schema"
                raise invalid(field, f"Missing required field {field!r}. Add it.")
        elif tool.type in types.CLIENT_TOOL_TOKENS:
            texts.input_tokens += types.CLIENT_TOOL_TOKENS[tool.type]
        else:
            raise no_bound(
                f"{path}.type",
                f"a tool of type {tool.type[:80]!r} does work that is not known before the call",
            )
        if tool.defer_loading:
            raise no_bound(f"{path}.defer_loading", "deferred tools need the provider's own search")
        texts.add(tool.name)
        texts.add(tool.description)
        texts.add_json(tool.input_schema)
        texts.add_json(tool.input_examples)


def without_sealed(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Messages without the reasoning of other vendors, which means nothing to this one."""
    kept = []
    for message in messages:
        content = message["content"]
        if isinstance(content, list):
            left = [block for block in content if not _is_sealed(block)]
            if not left and content:
                continue
            kept.append(message if len(left) == len(content) else {**message, "content": left})
        else:
            kept.append(message)
    return kept


def _is_sealed(block: dict[str, Any]) -> bool:
    member = {"thinking": "signature", "redacted_thinking": "data"}.get(block["type"])
    return member is not None and is_sealed(block[member])
