"""Messages of OpenAI's chat completions request, as published in its API reference."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from .strict import Given, Strict

Text = Annotated[str, Field(max_length=10_485_760)]
Name = Annotated[str, Field(pattern=r"^[^\s<|\\/>]{1,64}$")]
FunctionName = Annotated[str, Field(pattern=r"^[a-zA-Z0-9_-]{1,64}$")]


class CacheBreakpoint(Strict):
    """``prompt_cache_breakpoint``: where an explicit prompt cache may end."""

    mode: Literal["explicit"]
    ttl: Given[Literal["30m", "12h"]] = None


class TextPart(Strict):
    """A content part of text."""

    type: Literal["text"]
    text: Text
    prompt_cache_breakpoint: Given[CacheBreakpoint] = None


class RefusalPart(Strict):
    """What an assistant said when it refused."""

    type: Literal["refusal"]
    refusal: Text


class ImageUrl(Strict):
    """Where an image is: a URL or a data URL."""

    url: Annotated[str, Field(min_length=1)]
    detail: Given[Literal["auto", "low", "high", "original"]] = None


class ImagePart(Strict):
    """A content part with an image."""

    type: Literal["image_url"]
    image_url: ImageUrl
    prompt_cache_breakpoint: Given[CacheBreakpoint] = None


class InputAudio(Strict):
    """Sound, in base64."""

    data: str
    format: Literal["wav", "mp3"]


class AudioPart(Strict):
    """A content part with sound."""

    type: Literal["input_audio"]
    input_audio: InputAudio
    prompt_cache_breakpoint: Given[CacheBreakpoint] = None


class FileContent(Strict):
    """A file: uploaded before, or in base64."""

    file_data: Given[str] = None
    file_id: Given[str] = None
    filename: Given[str] = None


class FilePart(Strict):
    """A content part with a file."""

    type: Literal["file"]
    file: FileContent
    prompt_cache_breakpoint: Given[CacheBreakpoint] = None


UserPart = Annotated[
    TextPart | ImagePart | AudioPart | FilePart,
    Field(discriminator="type"),
]
AssistantPart = Annotated[TextPart | RefusalPart, Field(discriminator="type")]
UserParts = Annotated[list[UserPart], Field(min_length=1)]
TextParts = Annotated[list[TextPart], Field(min_length=1)]
AssistantParts = Annotated[list[AssistantPart], Field(min_length=1)]


class CalledFunction(Strict):
    """A function that the assistant called, arguments as it wrote them."""

    name: FunctionName
    arguments: str


class CalledCustomTool(Strict):
    """A custom tool that the assistant called."""

    name: FunctionName
    input: str


class FunctionCall(Strict):
    """A tool call of type function."""

    type: Literal["function"]
    id: Annotated[str, Field(min_length=1, max_length=64)]
    function: CalledFunction


class CustomCall(Strict):
    """A tool call of type custom."""

    type: Literal["custom"]
    id: Annotated[str, Field(min_length=1, max_length=64)]
    custom: CalledCustomTool


Call = Annotated[FunctionCall | CustomCall, Field(discriminator="type")]


class AudioReference(Strict):
    """An earlier answer in sound."""

    id: str


class SystemMessage(Strict):
    """Instructions."""

    role: Literal["system"]
    content: Text | TextParts
    name: Given[Name] = None


class DeveloperMessage(Strict):
    """Instructions, as newer models call them."""

    role: Literal["developer"]
    content: Text | TextParts
    name: Given[Name] = None


class UserMessage(Strict):
    """What the user says."""

    role: Literal["user"]
    content: Text | UserParts
    name: Given[Name] = None


class AssistantMessage(Strict):
    """What the model said before."""

    role: Literal["assistant"]
    content: Text | AssistantParts | None = None
    name: Given[Name] = None
    refusal: str | None = None
    audio: AudioReference | None = None
    tool_calls: Given[Annotated[list[Call], Field(min_length=1, max_length=128)]] = None
    function_call: CalledFunction | None = None
    annotations: Given[list[dict[str, object]]] = None


class ToolMessage(Strict):
    """What a tool answered."""

    role: Literal["tool"]
    content: Text | TextParts
    tool_call_id: str


class FunctionMessage(Strict):
    """What a function answered; deprecated form."""

    role: Literal["function"]
    content: str | None
    name: FunctionName


ChatMessage = Annotated[
    SystemMessage
    | DeveloperMessage
    | UserMessage
    | AssistantMessage
    | ToolMessage
    | FunctionMessage,
    Field(discriminator="role"),
]
