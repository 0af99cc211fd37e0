"""The messages request as Anthropic publishes it: nested types and the field table.

Client tools with a type of their own (bash, text editor, memory, computer and browser toolsets)
add text that is not in the request, so they have no bound by its bytes; the overhead per tool
covers those listed in `CLIENT_TOOL_TOKENS`.
"""

from typing import Annotated, Any, Final, Literal

from msgspec import Meta

from signalbox_proxy.surfaces.fields import MAX_INT, Field, FieldTable, Part

CLIENT_TOOL_TOKENS: Final[dict[str, int]] = {
    "bash_20250124": 1024,
    "text_editor_20250124": 2048,
    "text_editor_20250429": 2048,
    "text_editor_20250728": 2048,
    "memory_20250818": 4096,
}
"""Client tools that the provider defines, and the tokens that each may add: above the published
counts (245 for bash, 700 for the text editor; memory has none published)."""


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


class Message(Part):
    """One message."""

    role: Literal["user", "assistant", "system"]
    content: str | list[Block]


class Tool(Part):
    """A tool: one of the client's own, or a client tool that the provider defines."""

    name: Annotated[str, Meta(min_length=1, max_length=256)]
    type: str | None = None
    input_schema: dict[str, Any] | None = None
    description: str | None = None
    cache_control: CacheControl | None = None
    strict: bool | None = None
    eager_input_streaming: bool | None = None
    input_examples: list[dict[str, Any]] | None = None
    allowed_callers: list[Literal["direct"]] | None = None
    defer_loading: bool | None = None
    max_characters: Annotated[int, Meta(ge=1)] | None = None


class ThinkingEnabled(Part, tag_field="type", tag="enabled"):
    """Thinking within a budget, which lies within max_tokens."""

    budget_tokens: Annotated[int, Meta(ge=1024, le=MAX_INT)]
    display: Literal["summarized", "omitted"] | None = None


class ThinkingDisabled(Part, tag_field="type", tag="disabled"):
    """No thinking."""


class ThinkingAdaptive(Part, tag_field="type", tag="adaptive"):
    """The model decides how much to think, within max_tokens."""

    display: Literal["summarized", "omitted"] | None = None


class ThinkingBetweenTools(Part, tag_field="type", tag="between_tools"):
    """Thinking between tool calls, within max_tokens."""


class JsonFormat(Part, tag_field="type", tag="json_schema"):
    """An answer that satisfies a schema."""

    schema: dict[str, Any]


class OutputConfig(Part):
    """How much effort, and which form the answer has."""

    effort: Literal["low", "medium", "high", "xhigh", "max"] | None = None
    format: JsonFormat | None = None


class ToolChoice(Part):
    """Which tools the model may or must call."""

    type: Literal["auto", "any", "none", "tool"]
    name: str | None = None
    disable_parallel_tool_use: bool | None = None


class Metadata(Part):
    """Who asks."""

    user_id: str | None = None


Thinking = ThinkingEnabled | ThinkingDisabled | ThinkingAdaptive | ThinkingBetweenTools
Share = Annotated[float, Meta(ge=0, le=1)]
_NO_BETA = "this beta changes what is billed"

MESSAGES: Final = FieldTable(
    "MessagesBody",
    {
        "model": Field("governed", Annotated[str, Meta(min_length=1)], "the lane's own model"),
        "messages": Field(
            "priced",
            Annotated[list[Message], Meta(min_length=1)],
            "text by UTF-8 bytes, images by the Model, overhead per message and block",
        ),
        "max_tokens": Field(
            "priced", Annotated[int, Meta(ge=0, le=MAX_INT)], "bounds the output, thinking included"
        ),
        "system": Field("priced", str | list[TextBlock], "by UTF-8 bytes, overhead per block"),
        "tools": Field("priced", list[Tool], "definitions by UTF-8 bytes, overhead per tool"),
        "output_config": Field(
            "priced", OutputConfig, "the schema by UTF-8 bytes and as one tool; effort is neutral"
        ),
        "output_format": Field("priced", JsonFormat, "as output_config.format"),
        "cache_control": Field("priced", CacheControl, "decides what a cache write costs"),
        "stream": Field("governed", bool, "decides how the answer is read"),
        "service_tier": Field("governed", str, "the lane's own; auto becomes standard_only"),
        "metadata": Field(
            "governed",
            Metadata,
            "user_id is the user; keys beginning with signalbox_ are taken out",
        ),
        "speed": Field("governed", str, "standard only; fast has prices of its own"),
        "thinking": Field("neutral", Thinking, "counts towards max_tokens"),
        "tool_choice": Field("neutral", ToolChoice, "covered by the overhead per request"),
        "stop_sequences": Field("neutral", list[str], "can only shorten the output"),
        "temperature": Field("neutral", Share, "sampling"),
        "top_p": Field("neutral", Share, "sampling"),
        "top_k": Field("neutral", Annotated[int, Meta(ge=0)], "sampling"),
        "container": Field("refused", None, "containers are billed by the hour"),
        "mcp_servers": Field("refused", None, "remote tools add input that is not known"),
        "context_management": Field("refused", None, _NO_BETA),
        "inference_geo": Field("refused", None, "the lane decides the place and so the price"),
        "diagnostics": Field("refused", None, "it refers to an earlier message at the provider"),
        "user_profile_id": Field("refused", None, "the provider may bill another account"),
        "workspace_id": Field("refused", None, "the provider may bill another workspace"),
        "fallbacks": Field("refused", None, "another model would be billed"),
    },
    ("model", "messages", "max_tokens"),
)
