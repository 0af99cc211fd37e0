"""Google's generateContent request, the fields of the published reference, nothing else."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from .strict import Given

Object = dict[str, Any]
Penalty = Annotated[float, Field(ge=-2, le=2)]


class Camel(BaseModel):
    """A part of a request: fields as protocol buffers name them in JSON, in camel or snake case.

    No unknown ones, no coercion of types.
    """

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        frozen=True,
        alias_generator=to_camel,
        populate_by_name=True,
    )


class Blob(Camel):
    """Bytes inside the request."""

    mime_type: Annotated[str, Field(min_length=1)]
    data: Annotated[str, Field(min_length=1)]
    display_name: Given[str] = None


class FileData(Camel):
    """Bytes behind an address."""

    file_uri: Annotated[str, Field(min_length=1)]
    mime_type: Given[str] = None
    display_name: Given[str] = None


class FunctionCall(Camel):
    """A call that the model made."""

    name: Annotated[str, Field(min_length=1)]
    args: Given[Object] = None
    id: Given[str] = None


class ResponsePart(Camel):
    """A part of a result that is no JSON."""

    inline_data: Given[Blob] = None
    file_data: Given[FileData] = None


class FunctionResponse(Camel):
    """What a call gave."""

    name: Annotated[str, Field(min_length=1)]
    response: Object
    id: Given[str] = None
    parts: Given[list[ResponsePart]] = None


class Part(Camel):
    """A part of a turn: exactly one of its kinds of data."""

    text: Given[str] = None
    inline_data: Given[Blob] = None
    file_data: Given[FileData] = None
    function_call: Given[FunctionCall] = None
    function_response: Given[FunctionResponse] = None
    thought: Given[bool] = None
    thought_signature: Given[str] = None
    media_resolution: Given[Object] = None

    @property
    def kinds(self) -> list[str]:
        """Which kinds of data are set."""
        names = ("text", "inline_data", "file_data", "function_call", "function_response")
        return [name for name in names if getattr(self, name) is not None]


class Content(Camel):
    """One turn."""

    parts: Given[list[Part]] = None
    role: Given[str] = None


class Declaration(Camel):
    """A function that the model may call."""

    name: str
    description: Given[str] = None
    parameters: Given[Object] = None
    parameters_json_schema: Given[Object] = None
    response: Given[Object] = None
    response_json_schema: Given[Object] = None


class Tool(Camel):
    """Functions; Google's own tools are not simulated."""

    function_declarations: Given[list[Declaration]] = None


class CallingConfig(Camel):
    """Whether functions may or must be called."""

    mode: Given[Literal["MODE_UNSPECIFIED", "AUTO", "ANY", "NONE", "VALIDATED"]] = None
    allowed_function_names: Given[list[str]] = None


class ToolConfig(Camel):
    """How tools are used."""

    function_calling_config: Given[CallingConfig] = None


class ThinkingConfig(Camel):
    """How much the model thinks, and whether it shows that."""

    include_thoughts: Given[bool] = None
    thinking_budget: Given[Annotated[int, Field(ge=-1)]] = None
    thinking_level: Given[Literal["MINIMAL", "LOW", "MEDIUM", "HIGH", "XHIGH"]] = None


class GenerationConfig(Camel):
    """How the answer is drawn."""

    candidate_count: Given[int] = None
    max_output_tokens: Given[Annotated[int, Field(ge=1)]] = None
    temperature: Given[Annotated[float, Field(ge=0, le=2)]] = None
    top_p: Given[Annotated[float, Field(ge=0, le=1)]] = None
    top_k: Given[Annotated[int, Field(ge=1)]] = None
    frequency_penalty: Given[Penalty] = None
    presence_penalty: Given[Penalty] = None
    seed: Given[Annotated[int, Field(ge=-(2**31), lt=2**31)]] = None
    stop_sequences: Given[Annotated[list[str], Field(max_length=5)]] = None
    response_mime_type: Given[Literal["text/plain", "application/json", "text/x.enum"]] = None
    response_schema: Given[Object] = None
    response_json_schema: Given[Object] = None
    thinking_config: Given[ThinkingConfig] = None
    media_resolution: Given[str] = None


class SafetySetting(Camel):
    """What is blocked."""

    category: str
    threshold: str


class GeminiRequest(Camel):
    """The body of ``POST …/models/MODEL:generateContent``."""

    contents: Annotated[list[Content], Field(min_length=1, max_length=100_000)]
    system_instruction: Given[Content] = None
    tools: Given[Annotated[list[Tool], Field(max_length=128)]] = None
    tool_config: Given[ToolConfig] = None
    safety_settings: Given[list[SafetySetting]] = None
    generation_config: Given[GenerationConfig] = None
    service_tier: Given[Literal["standard", "flex", "priority"]] = None
    labels: Given[dict[str, str]] = None

    @property
    def settings(self) -> GenerationConfig:
        """The generation config, or its defaults."""
        return self.generation_config or GenerationConfig()

    @property
    def declarations(self) -> list[Declaration]:
        """All functions of all tools."""
        return [d for tool in self.tools or () for d in tool.function_declarations or ()]

    @property
    def calling(self) -> CallingConfig:
        """The calling config, or its defaults."""
        config = self.tool_config.function_calling_config if self.tool_config else None
        return config or CallingConfig()
