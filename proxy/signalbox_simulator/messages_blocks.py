"""Content blocks of Anthropic's messages request, as published in its API reference."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from .strict import Given, Strict

ToolName = Annotated[str, Field(pattern=r"^[a-zA-Z0-9_-]{1,128}$")]
UseId = Annotated[str, Field(pattern=r"^[a-zA-Z0-9_-]{1,256}$")]
Object = dict[str, object]


class CacheControl(Strict):
    """A cache breakpoint behind the block."""

    type: Literal["ephemeral"]
    ttl: Given[Literal["5m", "1h"]] = None


class Block(Strict):
    """Any block that may end a cached prefix."""

    cache_control: CacheControl | None = None


class Citations(Strict):
    """Whether the answer is to cite this."""

    enabled: Given[bool] = None


class TextBlock(Block):
    """Text."""

    type: Literal["text"]
    text: Annotated[str, Field(min_length=1)]
    citations: list[Object] | None = None


class Base64Image(Strict):
    """An image in base64."""

    type: Literal["base64"]
    media_type: Literal["image/jpeg", "image/png", "image/gif", "image/webp"]
    data: str


class UrlSource(Strict):
    """Content behind a URL."""

    type: Literal["url"]
    url: Annotated[str, Field(pattern=r"^https?://")]


class FileSource(Strict):
    """Content that was uploaded before."""

    type: Literal["file"]
    file_id: str


class ImageTransformations(Strict):
    """What may be done to an image that is too large."""

    oversized_image: Given[Literal["downsize", "error"]] = None


class ImageBlock(Block):
    """An image."""

    type: Literal["image"]
    source: Annotated[Base64Image | UrlSource | FileSource, Field(discriminator="type")]
    transformations: ImageTransformations | None = None


class Base64Pdf(Strict):
    """A PDF in base64."""

    type: Literal["base64"]
    media_type: Literal["application/pdf"]
    data: str


class PlainText(Strict):
    """A document of plain text."""

    type: Literal["text"]
    media_type: Literal["text/plain"]
    data: str


class ContentSource(Strict):
    """A document made of blocks."""

    type: Literal["content"]
    content: str | list[Annotated[TextBlock | ImageBlock, Field(discriminator="type")]]


class DocumentBlock(Block):
    """A document."""

    type: Literal["document"]
    source: Annotated[
        Base64Pdf | PlainText | ContentSource | UrlSource | FileSource,
        Field(discriminator="type"),
    ]
    citations: Citations | None = None
    context: str | None = None
    title: Annotated[str, Field(max_length=500)] | None = None


class SearchResultBlock(Block):
    """A passage found by the caller's own search."""

    type: Literal["search_result"]
    source: str
    title: str
    content: Annotated[list[TextBlock], Field(min_length=1)]
    citations: Given[Citations] = None


class ThinkingBlock(Strict):
    """The model's own earlier thinking, passed back unchanged."""

    type: Literal["thinking"]
    thinking: str
    signature: str


class RedactedThinkingBlock(Strict):
    """Earlier thinking that only the provider can read."""

    type: Literal["redacted_thinking"]
    data: str


class ToolUseBlock(Block):
    """A tool that the model called."""

    type: Literal["tool_use"]
    id: UseId
    name: ToolName
    input: Object
    caller: Given[Object] = None
    toolset_name: str | None = None


ResultContent = Annotated[
    TextBlock | ImageBlock | SearchResultBlock | DocumentBlock, Field(discriminator="type")
]


class ToolResultBlock(Block):
    """What a tool answered."""

    type: Literal["tool_result"]
    tool_use_id: UseId
    content: Given[str | list[ResultContent]] = None
    is_error: Given[bool] = None
    toolset_name: str | None = None


ContentBlock = Annotated[
    TextBlock
    | ImageBlock
    | DocumentBlock
    | SearchResultBlock
    | ThinkingBlock
    | RedactedThinkingBlock
    | ToolUseBlock
    | ToolResultBlock,
    Field(discriminator="type"),
]


class Message(Strict):
    """One turn."""

    role: Literal["user", "assistant"]
    content: str | list[ContentBlock]

    @property
    def blocks(self) -> list[ContentBlock]:
        """The content as blocks."""
        if not isinstance(self.content, str):
            return self.content
        return [TextBlock(type="text", text=self.content)] if self.content else []
