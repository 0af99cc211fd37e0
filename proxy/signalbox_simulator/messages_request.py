"""Anthropic's messages request, every field of the published reference, nothing else."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from .messages_blocks import Block, CacheControl, Citations, Message, Object, TextBlock, ToolName
from .strict import Given, Strict

Callers = Given[
    list[
        Literal[
            "direct",
            "code_execution_20250825",
            "code_execution_20260120",
            "code_execution_20260521",
        ]
    ]
]
Domains = list[str] | None
Uses = Annotated[int, Field(ge=1)] | None


class AnyTool(Block):
    """What all tools have in common."""

    allowed_callers: Callers = None
    defer_loading: Given[bool] = None
    strict: Given[bool] = None


class CustomTool(AnyTool):
    """A tool that the caller runs."""

    type: Literal["custom"] | None = None
    name: ToolName
    description: Given[str] = None
    input_schema: Object
    eager_input_streaming: bool | None = None
    input_examples: Given[list[Object]] = None


class BashTool(AnyTool):
    """Anthropic's shell tool, run by the caller."""

    type: Literal["bash_20250124"]
    name: Literal["bash"]
    input_examples: Given[list[Object]] = None


class TextEditorTool(AnyTool):
    """Anthropic's text editor tool, run by the caller."""

    type: Literal["text_editor_20250124", "text_editor_20250429", "text_editor_20250728"]
    name: Literal["str_replace_editor", "str_replace_based_edit_tool"]
    max_characters: Annotated[int, Field(ge=1)] | None = None
    input_examples: Given[list[Object]] = None


class MemoryTool(AnyTool):
    """Anthropic's memory tool, run by the caller."""

    type: Literal["memory_20250818"]
    name: Literal["memory"]
    input_examples: Given[list[Object]] = None


class Location(Strict):
    """Where the user is."""

    type: Literal["approximate"]
    city: str | None = None
    country: str | None = None
    region: str | None = None
    timezone: str | None = None


class WebSearchTool(AnyTool):
    """Web search, run by the provider."""

    type: Literal["web_search_20250305", "web_search_20260209", "web_search_20260318"]
    name: Literal["web_search"]
    allowed_domains: Domains = None
    blocked_domains: Domains = None
    max_uses: Uses = None
    response_inclusion: Given[Literal["full", "excluded"]] = None
    user_location: Location | None = None


class WebFetchTool(AnyTool):
    """Web fetch, run by the provider."""

    type: Literal[
        "web_fetch_20250910", "web_fetch_20260209", "web_fetch_20260309", "web_fetch_20260318"
    ]
    name: Literal["web_fetch"]
    allowed_domains: Domains = None
    blocked_domains: Domains = None
    citations: Citations | None = None
    max_content_tokens: Uses = None
    max_uses: Uses = None
    response_inclusion: Given[Literal["full", "excluded"]] = None
    url_sources: Object | None = None
    use_cache: Given[bool] = None


class CodeExecutionTool(AnyTool):
    """Code execution, run by the provider."""

    type: Literal[
        "code_execution_20250522",
        "code_execution_20250825",
        "code_execution_20260120",
        "code_execution_20260521",
    ]
    name: Literal["code_execution"]


Tool = (
    CustomTool
    | BashTool
    | TextEditorTool
    | MemoryTool
    | WebSearchTool
    | WebFetchTool
    | CodeExecutionTool
)


class AutoChoice(Strict):
    """The model may call tools, or must call one (``any``)."""

    type: Literal["auto", "any"]
    disable_parallel_tool_use: Given[bool] = None


class ToolChoice(Strict):
    """The model must call this tool."""

    type: Literal["tool"]
    name: ToolName
    disable_parallel_tool_use: Given[bool] = None


class NoneChoice(Strict):
    """The model must not call tools."""

    type: Literal["none"]


class ThinkingEnabled(Strict):
    """Thinking within a budget of output tokens."""

    type: Literal["enabled"]
    budget_tokens: Annotated[int, Field(ge=1024)]
    display: Literal["summarized", "omitted"] | None = None


class ThinkingDisabled(Strict):
    """No thinking."""

    type: Literal["disabled"]


class ThinkingAdaptive(Strict):
    """Thinking as the model sees fit; newer models only."""

    type: Literal["adaptive"]
    display: Literal["summarized", "omitted"] | None = None


class ThinkingBetweenTools(Strict):
    """Thinking between tool calls; newer models only."""

    type: Literal["between_tools"]


class JsonFormat(Strict):
    """An answer that satisfies a schema."""

    type: Literal["json_schema"]
    schema_: Annotated[Object, Field(alias="schema")]


class OutputConfig(Strict):
    """How the answer is to be."""

    effort: Literal["low", "medium", "high", "xhigh", "max"] | None = None
    format: JsonFormat | None = None


class Metadata(Strict):
    """Who asks."""

    user_id: Annotated[str, Field(max_length=256)] | None = None


class MessagesRequest(Strict):
    """The body of ``POST /v1/messages``."""

    model: Annotated[str, Field(min_length=1, max_length=256)]
    messages: Annotated[list[Message], Field(min_length=1, max_length=100_000)]
    max_tokens: Annotated[int, Field(ge=1)]
    cache_control: CacheControl | None = None
    container: str | Object | None = None
    diagnostics: Object | None = None
    inference_geo: str | None = None
    metadata: Given[Metadata] = None
    output_config: Given[OutputConfig] = None
    service_tier: Given[Literal["auto", "standard_only"]] = None
    speed: Literal["standard", "fast"] | None = None
    stop_sequences: Given[Annotated[list[str], Field(max_length=8191)]] = None
    stream: Given[bool] = None
    system: Given[str | list[TextBlock]] = None
    temperature: Given[Annotated[float, Field(ge=0, le=1)]] = None
    thinking: Given[
        Annotated[
            ThinkingEnabled | ThinkingDisabled | ThinkingAdaptive | ThinkingBetweenTools,
            Field(discriminator="type"),
        ]
    ] = None
    tool_choice: Given[
        Annotated[AutoChoice | ToolChoice | NoneChoice, Field(discriminator="type")]
    ] = None
    tools: Given[Annotated[list[Tool], Field(max_length=10_000)]] = None
    top_k: Given[Annotated[int, Field(ge=0)]] = None
    top_p: Given[Annotated[float, Field(ge=0, le=1)]] = None
    user_profile_id: Given[str] = None
    workspace_id: Given[str] = None

    @property
    def system_blocks(self) -> list[TextBlock]:
        """The system prompt as blocks."""
        if isinstance(self.system, str):
            return [TextBlock(type="text", text=self.system)] if self.system else []
        return self.system or []
