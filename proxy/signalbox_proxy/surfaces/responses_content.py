"""Collects what a responses request says: its texts, images, needs and cache writes."""

from collections.abc import Iterator
from typing import Any

from signalbox_proxy.model_request import CacheWrite
from signalbox_proxy.sealing import is_sealed
from signalbox_proxy.surfaces import responses_items as items
from signalbox_proxy.surfaces import responses_types as types
from signalbox_proxy.surfaces.chat_types import CacheBreakpoint
from signalbox_proxy.surfaces.texts import Texts


class ResponsesContent:
    """What enters the bound of one request."""

    def __init__(self, asked: Any) -> None:
        self.texts = Texts()
        self.schema: dict[str, Any] | None = None
        self.has_sealed = False
        self._marks: list[CacheBreakpoint] = []
        if asked.instructions:
            self._message(asked.instructions)
        if isinstance(asked.input, str):
            self._message(asked.input)
        else:
            for item in asked.input:
                self._item(item)
        self._tools(asked)
        self._format(asked.text)
        self.cache_write = self._cache_write(asked.prompt_cache_options)
        self.needs = self._needs(asked)

    def _message(self, text: str) -> None:
        self.texts.messages += 1
        self.texts.add(text)

    def _item(self, item: items.Item) -> None:
        texts = self.texts
        texts.messages += 1
        if isinstance(item, items.Message):
            self._content(item.content)
        elif isinstance(item, items.FunctionCall):
            for text in (item.call_id, item.name, item.arguments):
                texts.add(text)
        elif isinstance(item, items.CustomCall):
            for text in (item.call_id, item.name, item.input):
                texts.add(text)
        elif isinstance(item, items.ReasoningItem):
            for part in (*item.summary, *(item.content or ())):
                texts.add(part.text)
            texts.add(item.encrypted_content)
            self.has_sealed |= is_sealed(item.encrypted_content or "")
        else:
            texts.add(item.call_id)
            self._content(item.output)

    def _content(self, content: Any) -> None:
        if isinstance(content, str):
            self.texts.add(content)
            return
        self.texts.messages += max(0, len(content) - 1)
        for part in content:
            if isinstance(part, items.InputImage):
                self.texts.images += 1
            elif isinstance(part, items.OutputRefusal):
                self.texts.add(part.refusal)
            else:
                self.texts.add(part.text)
            if isinstance(part, items.OutputText):
                self.texts.add_json(part.annotations)
                self.texts.add_json(part.logprobs)
            mark = getattr(part, "prompt_cache_breakpoint", None)
            if mark is not None:
                self._marks.append(mark)

    def _tools(self, asked: Any) -> None:
        for tool in asked.tools or ():
            self.texts.tools += 1
            self.texts.add(tool.name)
            self.texts.add(tool.description)
            is_custom = isinstance(tool, types.CustomTool)
            self.texts.add_json(tool.format if is_custom else tool.parameters)
        if isinstance(asked.tool_choice, dict):
            self.texts.add_json(asked.tool_choice)

    def _format(self, config: types.TextConfig | None) -> None:
        wanted = config.format if config is not None else None
        if isinstance(wanted, types.JsonSchemaFormat):
            self.texts.tools += 1
            self.texts.add(wanted.name)
            self.texts.add(wanted.description)
            self.texts.add_json(wanted.schema)
            self.schema = wanted.schema

    def _cache_write(self, options: types.CacheOptions | None) -> CacheWrite:
        """The dearest cache write. Unless told otherwise, providers may write the cache unasked."""
        lifetimes = {mark.ttl for mark in self._marks}
        if options is not None:
            lifetimes.add(options.ttl)
        if "12h" in lifetimes:
            return "1h"
        if self._marks:
            return "5m"
        return "none" if options is not None and options.mode == "explicit" else "implicit"

    def _needs(self, asked: Any) -> frozenset[str]:
        def needed() -> Iterator[str]:
            yield "chat"
            if asked.tools:
                yield "tools"
            if self.texts.images:
                yield "images"
            if self.schema is not None:
                yield "structuredOutput"
            if asked.reasoning is not None and asked.reasoning.effort not in (None, "none"):
                yield "reasoning"
            if self.cache_write in ("5m", "1h"):
                yield "promptCaching"

        return frozenset(needed())
