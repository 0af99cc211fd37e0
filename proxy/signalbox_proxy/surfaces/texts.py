"""Collects what a provider tokenizes, with the number of bytes that bounds its tokens.

A byte-level tokenizer never makes more tokens than there are UTF-8 bytes (each token covers at
least one byte, and byte fallback is the worst case), so the sum over all texts, plus the
template's overhead, bounds the input of a request.
"""

import json
from typing import Any, Final

from signalbox_proxy.surfaces.decoding import encode_body

LINE_TOKENS: Final = 3
_LINE_ENDS: Final = (",", "{", "}", "[", "]")
"""After or before each of these a rendering may break the line."""


class Texts:
    """The texts of one request, in order, and what else enters its bound."""

    __slots__ = ("bytes", "collected", "images", "input_tokens", "messages", "tools")

    def __init__(self) -> None:
        self.collected: list[str] = []
        self.bytes = 0
        self.messages = 0
        self.tools = 0
        self.images = 0
        self.input_tokens = 0

    def add(self, text: str | None) -> None:
        """Count one text by its UTF-8 bytes."""
        if text:
            self.collected.append(text)
            self.bytes += len(text) if text.isascii() else len(text.encode())

    def add_json(self, value: dict[str, Any] | list[Any] | None) -> None:
        """Count a JSON value as the longest form that a template may render it in.

        That is one value on each line, indented (chat templates of open-weight models do), with a
        space after each colon, and with every character outside ASCII as an escape of six bytes
        per UTF-16 unit. Tokenizers have tokens for runs of spaces: a line break with the
        indentation behind it makes at most LINE_TOKENS.
        """
        if value is None:
            return
        text = encode_body({"": value})[4:-1].decode()
        self.collected.append(text)
        lines = sum(map(text.count, _LINE_ENDS))
        self.bytes += LINE_TOKENS * lines + text.count(":")
        self.bytes += len(text) if text.isascii() else len(json.dumps(value, default=str))
