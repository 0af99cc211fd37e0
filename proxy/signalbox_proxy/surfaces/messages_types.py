"""The messages request as Anthropic publishes it: nested types and the field table.

Client tools that the provider defines add text that is not in the request, so their bytes do not
bound them; those with a published count are listed in `CLIENT_TOOL_TOKENS`, others are refused.
"""

from typing import Annotated, Any, Final, Literal

from msgspec import Meta

from signalbox_proxy.surfaces.fields import MAX_INT, MODEL, Field, FieldTable, Part
from signalbox_proxy.surfaces.messages_blocks import Block, CacheControl, TextBlock

CLIENT_TOOL_TOKENS: Final[dict[str, int]] = {
    "bash_20250124": 1024,
    "text_editor_20250124": 2048,
    "text_editor_20250429": 2048,
    "text_editor_20250728": 2048,
}
"""Client tools that the provider defines, and the tokens that each may add: well above the
published counts (245 for bash, 700 for the text editor)."""


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
        "model": MODEL,
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
