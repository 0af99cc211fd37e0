"""OpenAI's chat completions request, every field of the published reference, nothing else."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from .chat_messages import ChatMessage, FunctionName, Text, TextParts
from .strict import Given, Strict

SchemaName = FunctionName
Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]
Metadata = Annotated[
    dict[Annotated[str, Field(max_length=64)], Annotated[str, Field(max_length=512)]],
    Field(max_length=16),
]
Tokens = Annotated[int, Field(ge=1)]
Penalty = Annotated[float, Field(ge=-2, le=2)]


class FunctionDefinition(Strict):
    """A function that the model may call."""

    name: FunctionName
    description: Given[str] = None
    parameters: Given[dict[str, object]] = None
    strict: bool | None = None


class FunctionTool(Strict):
    """A tool of type function."""

    type: Literal["function"]
    function: FunctionDefinition


class TextFormat(Strict):
    """Free text as a custom tool's input."""

    type: Literal["text"]


class Grammar(Strict):
    """A grammar in the syntax of Lark, or a regular expression."""

    definition: str
    syntax: Literal["lark", "regex"]


class GrammarFormat(Strict):
    """A custom tool's input that follows a grammar."""

    type: Literal["grammar"]
    grammar: Grammar


class CustomDefinition(Strict):
    """A custom tool."""

    name: FunctionName
    description: Given[str] = None
    format: Given[Annotated[TextFormat | GrammarFormat, Field(discriminator="type")]] = None


class CustomTool(Strict):
    """A tool of type custom."""

    type: Literal["custom"]
    custom: CustomDefinition


Tool = Annotated[FunctionTool | CustomTool, Field(discriminator="type")]


class ToolName(Strict):
    """The tool that is meant."""

    name: FunctionName


class NamedFunction(Strict):
    """The model must call this function."""

    type: Literal["function"]
    function: ToolName


class NamedCustom(Strict):
    """The model must call this custom tool."""

    type: Literal["custom"]
    custom: ToolName


class AllowedTools(Strict):
    """The tools among which the model may choose."""

    mode: Literal["auto", "required"]
    tools: list[dict[str, object]]


class AllowedToolChoice(Strict):
    """The model may, or must, call one of these."""

    type: Literal["allowed_tools"]
    allowed_tools: AllowedTools


NamedChoice = Annotated[
    NamedFunction | NamedCustom | AllowedToolChoice, Field(discriminator="type")
]
ToolChoice = Literal["none", "auto", "required"] | NamedChoice


class TextResponse(Strict):
    """Free text."""

    type: Literal["text"]


class JsonObjectResponse(Strict):
    """Any JSON object."""

    type: Literal["json_object"]


class JsonSchema(Strict):
    """A named schema for the answer."""

    name: SchemaName
    description: Given[str] = None
    schema_: Given[dict[str, object]] = Field(default=None, alias="schema")
    strict: bool | None = None


class JsonSchemaResponse(Strict):
    """An answer that satisfies a schema."""

    type: Literal["json_schema"]
    json_schema: JsonSchema


ResponseFormat = Annotated[
    TextResponse | JsonObjectResponse | JsonSchemaResponse, Field(discriminator="type")
]


class StreamOptions(Strict):
    """What a stream carries beside the answer."""

    include_usage: Given[bool] = None
    include_obfuscation: Given[bool] = None


class Prediction(Strict):
    """Content that the answer is likely to repeat."""

    type: Literal["content"]
    content: Text | TextParts


class AudioOutput(Strict):
    """How an answer in sound should be."""

    format: Literal["wav", "aac", "mp3", "flac", "opus", "pcm16"]
    voice: str | dict[str, str]


class Approximate(Strict):
    """Where the user is, roughly."""

    city: Given[str] = None
    country: Given[str] = None
    region: Given[str] = None
    timezone: Given[str] = None


class UserLocation(Strict):
    """Where the user is."""

    type: Literal["approximate"]
    approximate: Approximate


class WebSearchOptions(Strict):
    """How the model may search the web."""

    search_context_size: Given[Literal["low", "medium", "high"]] = None
    user_location: UserLocation | None = None


class CacheOptions(Strict):
    """How the prompt cache is used."""

    mode: Given[Literal["implicit", "explicit"]] = None
    ttl: Given[Literal["30m"]] = None


class ChatRequest(Strict):
    """The body of ``POST /v1/chat/completions``."""

    model: Annotated[str, Field(min_length=1)]
    messages: Annotated[list[ChatMessage], Field(min_length=1, max_length=2048)]
    audio: AudioOutput | None = None
    frequency_penalty: Penalty | None = None
    function_call: Given[Literal["none", "auto"] | ToolName] = None
    functions: Given[Annotated[list[FunctionDefinition], Field(min_length=1, max_length=128)]] = (
        None
    )
    logit_bias: (
        dict[
            Annotated[str, Field(pattern=r"^\d{1,9}$")],
            Annotated[int, Field(ge=-100, le=100)],
        ]
        | None
    ) = None
    logprobs: bool | None = None
    max_completion_tokens: Tokens | None = None
    max_tokens: Tokens | None = None
    metadata: Metadata | None = None
    modalities: Annotated[list[Literal["text", "audio"]], Field(min_length=1)] | None = None
    n: Annotated[int, Field(ge=1, le=128)] | None = None
    parallel_tool_calls: Given[bool] = None
    prediction: Prediction | None = None
    presence_penalty: Penalty | None = None
    prompt_cache_key: str | None = None
    prompt_cache_options: Given[CacheOptions] = None
    prompt_cache_retention: Literal["in_memory", "24h"] | None = None
    reasoning_effort: Effort | None = None
    response_format: Given[ResponseFormat] = None
    safety_identifier: str | None = None
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)] | None = None
    service_tier: Literal["auto", "default", "flex", "scale", "priority", "fast"] | None = None
    stop: (
        Annotated[str, Field(min_length=1)]
        | Annotated[list[Annotated[str, Field(min_length=1)]], Field(min_length=1, max_length=4)]
        | None
    ) = None
    store: bool | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    tool_choice: Given[ToolChoice] = None
    tools: Given[Annotated[list[Tool], Field(min_length=1, max_length=128)]] = None
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    user: Given[str] = None
    verbosity: Literal["low", "medium", "high"] | None = None
    web_search_options: Given[WebSearchOptions] = None

    @property
    def wants_usage(self) -> bool:
        """Whether a stream is to end with a usage chunk."""
        return bool(self.stream_options and self.stream_options.include_usage)

    @property
    def output_limit(self) -> int | None:
        """How many tokens each choice may have, as far as the request says."""
        return self.max_completion_tokens or self.max_tokens

    @property
    def stops(self) -> tuple[str, ...]:
        """The stop sequences."""
        return (self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ())
