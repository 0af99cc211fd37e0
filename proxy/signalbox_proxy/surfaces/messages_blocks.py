"""Content blocks of the messages request, as Anthropic publishes them."""

from typing import Any, Literal

from signalbox_proxy.surfaces.fields import Part


class CacheControl(Part, tag_field="type", tag="ephemeral"):
    """A cache breakpoint."""

    ttl: Literal["5m", "1h"] | None = None


class Citations(Part):
    """Whether answers cite."""

    enabled: bool | None = None


class TextBlock(Part, tag_field="type", tag="text"):
    """Text; citations are those of an earlier answer."""

    text: str
    cache_control: CacheControl | None = None
    citations: list[dict[str, Any]] | None = None


class Base64Source(Part, tag_field="type", tag="base64"):
    """Bytes of an image."""

    data: str
    media_type: Literal["image/jpeg", "image/png", "image/gif", "image/webp"]


class UrlSource(Part, tag_field="type", tag="url"):
    """An image that the provider fetches."""

    url: str


class Transformations(Part):
    """What happens to an image that is too large."""

    oversized_image: Literal["downsize", "error"] | None = None


class ImageBlock(Part, tag_field="type", tag="image"):
    """An image; billed at most as the Model's tokens per image."""

    source: Base64Source | UrlSource
    cache_control: CacheControl | None = None
    transformations: Transformations | None = None


class TextSource(Part, tag_field="type", tag="text"):
    """A plain-text document."""

    data: str
    media_type: Literal["text/plain"]


class ContentSource(Part, tag_field="type", tag="content"):
    """A document given as blocks."""

    content: str | list[TextBlock | ImageBlock]


class DocumentBlock(Part, tag_field="type", tag="document"):
    """A document of text. PDF files have no bound: their pages are not known before the call."""

    source: TextSource | ContentSource
    cache_control: CacheControl | None = None
    citations: Citations | None = None
    context: str | None = None
    title: str | None = None


class SearchResultBlock(Part, tag_field="type", tag="search_result"):
    """A search result of the client's own."""

    content: list[TextBlock]
    source: str
    title: str
    cache_control: CacheControl | None = None
    citations: Citations | None = None


class ThinkingBlock(Part, tag_field="type", tag="thinking"):
    """Thinking of an earlier answer; the signature carries it, encrypted."""

    signature: str
    thinking: str


class RedactedThinkingBlock(Part, tag_field="type", tag="redacted_thinking"):
    """Encrypted thinking of an earlier answer."""

    data: str


class DirectCaller(Part, tag_field="type", tag="direct"):
    """The model itself called the tool."""


class ToolUseBlock(Part, tag_field="type", tag="tool_use"):
    """A tool call of an earlier answer."""

    id: str
    input: dict[str, Any]
    name: str
    cache_control: CacheControl | None = None
    caller: DirectCaller | None = None
    toolset_name: None = None


ResultBlock = TextBlock | ImageBlock | SearchResultBlock | DocumentBlock


class ToolResultBlock(Part, tag_field="type", tag="tool_result"):
    """What a tool gave."""

    tool_use_id: str
    cache_control: CacheControl | None = None
    content: str | list[ResultBlock] | None = None
    is_error: bool | None = None
    toolset_name: None = None


Block = (
    TextBlock
    | ImageBlock
    | DocumentBlock
    | SearchResultBlock
    | ThinkingBlock
    | RedactedThinkingBlock
    | ToolUseBlock
    | ToolResultBlock
)
