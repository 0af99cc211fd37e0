"""Bedrock's Converse request: the fields that this simulator serves, and no others."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from .converse_blocks import CachePoint, Message, Object, Shape, SystemBlock, ToolName, Union
from .strict import Given

NotEmpty = Annotated[str, Field(min_length=1)]


class Inference(Shape):
    """The parameters that every model takes."""

    max_tokens: Given[Annotated[int, Field(ge=1)]] = None
    temperature: Given[Annotated[float, Field(ge=0, le=1)]] = None
    top_p: Given[Annotated[float, Field(ge=0, le=1)]] = None
    stop_sequences: Given[Annotated[list[NotEmpty], Field(max_length=2500)]] = None


class InputSchema(Shape):
    """The JSON schema of a tool's input."""

    data: Annotated[Object, Field(alias="json")]


class ToolSpec(Shape):
    """A tool that the caller runs."""

    name: ToolName
    description: Given[NotEmpty] = None
    input_schema: InputSchema
    strict: Given[bool] = None


class Tool(Union):
    """A tool, or a cache point behind one."""

    tool_spec: Given[ToolSpec] = None
    cache_point: Given[CachePoint] = None


class Named(Shape):
    """The tool that must be called."""

    name: ToolName


class Nothing(Shape):
    """No members."""


class ToolChoice(Union):
    """Whether the model must call, and what."""

    auto: Given[Nothing] = None
    any: Given[Nothing] = None
    tool: Given[Named] = None


class ToolConfig(Shape):
    """Tools and the choice among them."""

    tools: Annotated[list[Tool], Field(min_length=1)]
    tool_choice: Given[ToolChoice] = None


class JsonSchema(Shape):
    """The schema of an answer, as a string."""

    text: Annotated[str, Field(alias="schema")]
    name: Given[str] = None
    description: Given[str] = None


class Structure(Union):
    """The structure of an answer."""

    json_schema: Given[JsonSchema] = None


class TextFormat(Shape):
    """The form of an answer."""

    type: Literal["json_schema"]
    structure: Structure


class OutputConfig(Shape):
    """How the answer is to be."""

    text_format: Given[TextFormat] = None
    effort: Given[Literal["low", "medium", "high", "xhigh", "max"]] = None


class ServiceTier(Shape):
    """How urgently the request is served."""

    type: Literal["priority", "default", "flex", "reserved"]


class ConverseRequest(Shape):
    """The body of ``POST /model/ID/converse`` and ``/converse-stream``."""

    messages: Annotated[list[Message], Field(min_length=1)]
    system: Given[list[SystemBlock]] = None
    inference_config: Given[Inference] = None
    tool_config: Given[ToolConfig] = None
    output_config: Given[OutputConfig] = None
    service_tier: Given[ServiceTier] = None
    request_metadata: Given[Annotated[dict[str, str], Field(max_length=16)]] = None
    additional_model_request_fields: Given[Object] = None
    additional_model_response_field_paths: Given[
        Annotated[list[Annotated[str, Field(pattern=r"^/.{1,255}$")]], Field(max_length=10)]
    ] = None

    @property
    def tools(self) -> list[ToolSpec]:
        """The tools without the cache points between them."""
        config = self.tool_config
        return [tool.tool_spec for tool in config.tools if tool.tool_spec] if config else []

    @property
    def forced(self) -> bool:
        """Whether a tool must be called."""
        choice = self.tool_config.tool_choice if self.tool_config else None
        return choice is not None and choice.auto is None

    @property
    def thinking(self) -> Object | None:
        """What the request says of Anthropic's thinking, unless it is that there be none."""
        found = (self.additional_model_request_fields or {}).get("thinking")
        return found if isinstance(found, dict) and found.get("type") != "disabled" else None
