"""OpenAI's responses request, every field that works without stored state, nothing else."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Discriminator, Field, Tag

from .chat_messages import CacheBreakpoint, FunctionName, Text
from .chat_request import (
    CacheOptions,
    Effort,
    GrammarFormat,
    JsonObjectResponse,
    Metadata,
    SchemaName,
    TextFormat,
    TextResponse,
)
from .strict import Given, Strict

Status = Literal["in_progress", "completed", "incomplete"]
ItemId = Annotated[str, Field(min_length=1, max_length=64)]
MIN_OUTPUT_TOKENS = 16


class InputText(Strict):
    """What a user or the operator said."""

    type: Literal["input_text"]
    text: Text
    prompt_cache_breakpoint: Given[CacheBreakpoint] = None


class InputImage(Strict):
    """An image behind a URL, or in a data URL."""

    type: Literal["input_image"]
    image_url: str | None = None
    file_id: str | None = None
    detail: Given[Literal["auto", "low", "high", "original"]] = None
    prompt_cache_breakpoint: Given[CacheBreakpoint] = None


class OutputText(Strict):
    """What the model said."""

    type: Literal["output_text"]
    text: Text
    annotations: Given[list[dict[str, object]]] = None
    logprobs: Given[list[dict[str, object]]] = None


class OutputRefusal(Strict):
    """What the model said when it refused."""

    type: Literal["refusal"]
    refusal: Text


InputPart = Annotated[InputText | InputImage, Field(discriminator="type")]
OutputPart = Annotated[OutputText | OutputRefusal, Field(discriminator="type")]


class AskedMessage(Strict):
    """What a user or the operator said."""

    type: Given[Literal["message"]] = None
    role: Literal["user", "system", "developer"]
    content: Text | Annotated[list[InputPart], Field(min_length=1)]
    id: Given[ItemId] = None
    status: Given[Status] = None


class AnsweredMessage(Strict):
    """What the model said before."""

    type: Given[Literal["message"]] = None
    role: Literal["assistant"]
    content: Text | Annotated[list[OutputPart], Field(min_length=1)]
    id: Given[ItemId] = None
    status: Given[Status] = None
    phase: Literal["commentary", "final_answer"] | None = None


class FunctionCallItem(Strict):
    """A function that the model called."""

    type: Literal["function_call"]
    call_id: ItemId
    name: FunctionName
    arguments: str
    id: Given[ItemId] = None
    status: Given[Status] = None


class CustomCallItem(Strict):
    """A custom tool that the model called."""

    type: Literal["custom_tool_call"]
    call_id: ItemId
    name: FunctionName
    input: str
    id: Given[ItemId] = None


class CallOutputItem(Strict):
    """What a function or a custom tool gave."""

    type: Literal["function_call_output", "custom_tool_call_output"]
    call_id: ItemId
    output: Text | list[InputPart]
    id: ItemId | None = None
    status: Status | None = None


class SummaryText(Strict):
    """A summary of reasoning."""

    type: Literal["summary_text"]
    text: Text


class ReasoningItem(Strict):
    """Reasoning of an earlier answer."""

    type: Literal["reasoning"]
    id: ItemId
    summary: list[SummaryText]
    encrypted_content: str | None = None
    status: Given[Status] = None


def _kind(item: object) -> str | None:
    """Name the item's type; a message may leave it out."""
    if not isinstance(item, dict):
        return None
    kind = item.get("type", "message" if "role" in item else None)
    if kind == "message":
        return "answered" if item.get("role") == "assistant" else "asked"
    if kind in ("function_call_output", "custom_tool_call_output"):
        return "output"
    return kind if isinstance(kind, str) else None


Item = Annotated[
    Annotated[AskedMessage, Tag("asked")]
    | Annotated[AnsweredMessage, Tag("answered")]
    | Annotated[FunctionCallItem, Tag("function_call")]
    | Annotated[CustomCallItem, Tag("custom_tool_call")]
    | Annotated[CallOutputItem, Tag("output")]
    | Annotated[ReasoningItem, Tag("reasoning")],
    Discriminator(_kind),
]


class FunctionTool(Strict):
    """A function that the model may call."""

    type: Literal["function"]
    name: FunctionName
    parameters: dict[str, object] | None = None
    strict: bool | None = None
    description: str | None = None


class CustomTool(Strict):
    """A custom tool."""

    type: Literal["custom"]
    name: FunctionName
    description: Given[str] = None
    format: Given[Annotated[TextFormat | GrammarFormat, Field(discriminator="type")]] = None


Tool = Annotated[FunctionTool | CustomTool, Field(discriminator="type")]


class NamedTool(Strict):
    """The model must call this tool."""

    type: Literal["function", "custom"]
    name: FunctionName


class JsonSchemaText(Strict):
    """An answer that satisfies a schema."""

    type: Literal["json_schema"]
    name: SchemaName
    schema_: Annotated[dict[str, object], Field(alias="schema")]
    description: Given[str] = None
    strict: bool | None = None


class TextConfig(Strict):
    """The form of the answer's text."""

    format: Given[
        Annotated[TextResponse | JsonObjectResponse | JsonSchemaText, Field(discriminator="type")]
    ] = None
    verbosity: Literal["low", "medium", "high"] | None = None


class Reasoning(Strict):
    """How much the model may think, and what is shown of it."""

    effort: Effort | None = None
    summary: Literal["auto", "concise", "detailed"] | None = None
    generate_summary: Literal["auto", "concise", "detailed"] | None = None
    context: Literal["auto", "current_turn", "all_turns"] | None = None


class StreamOptions(Strict):
    """What a stream carries beside the answer."""

    include_obfuscation: Given[bool] = None


class ResponsesRequest(Strict):
    """The body of ``POST /v1/responses``."""

    model: Annotated[str, Field(min_length=1)]
    input: Text | Annotated[list[Item], Field(min_length=1, max_length=2048)]
    background: bool | None = None
    conversation: str | dict[str, str] | None = None
    include: list[str] | None = None
    instructions: str | None = None
    max_output_tokens: Annotated[int, Field(ge=MIN_OUTPUT_TOKENS)] | None = None
    max_tool_calls: Annotated[int, Field(ge=1)] | None = None
    metadata: Metadata | None = None
    client_metadata: dict[str, str] | None = None
    parallel_tool_calls: bool | None = None
    previous_response_id: str | None = None
    prompt_cache_key: str | None = None
    prompt_cache_options: Given[CacheOptions] = None
    prompt_cache_retention: Literal["in_memory", "24h"] | None = None
    reasoning: Reasoning | None = None
    safety_identifier: str | None = None
    service_tier: Literal["auto", "default", "flex", "scale", "priority", "fast"] | None = None
    store: bool | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    text: Given[TextConfig] = None
    tool_choice: Given[Literal["none", "auto", "required"] | NamedTool] = None
    tools: Given[Annotated[list[Tool], Field(max_length=128)]] = None
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    truncation: Literal["auto", "disabled"] | None = None
    user: Given[str] = None

    @property
    def items(self) -> list[Item]:
        """The input as items; a bare text is a user's message."""
        if isinstance(self.input, str):
            return [AskedMessage(role="user", content=self.input)]
        return self.input

    @property
    def wants_encrypted(self) -> bool:
        """Whether reasoning is to be given in its encrypted form."""
        return "reasoning.encrypted_content" in (self.include or ())

    @property
    def wants_summary(self) -> bool:
        """Whether reasoning is to be shown."""
        asked = self.reasoning
        return bool(asked and (asked.summary or asked.generate_summary))
