"""Content blocks of Bedrock's Converse request, as published in its API reference."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

from .strict import Given, Strict

Object = dict[str, object]
ToolName = Annotated[str, Field(pattern=r"^[a-zA-Z0-9_-]{1,64}$")]
UseId = Annotated[str, Field(pattern=r"^[a-zA-Z0-9_.:-]{1,64}$")]
DocumentName = Annotated[
    str,
    Field(min_length=1, max_length=200, pattern=r"^[a-zA-Z0-9()\[\]-]+( [a-zA-Z0-9()\[\]-]+)*$"),
]


class Shape(Strict):
    """A structure of the service: names in camel case on the wire."""

    model_config = ConfigDict(alias_generator=to_camel)


class Union(Shape):
    """A structure of which exactly one member is set."""

    @model_validator(mode="after")
    def _one_member(self) -> Self:
        if len(self.model_fields_set) != 1:
            raise ValueError("exactly one member of the union has to be set")
        return self


class CachePoint(Shape):
    """What stands before it may be cached."""

    type: Literal["default"]
    ttl: Given[Literal["5m", "1h"]] = None


class S3Location(Shape):
    """Content in a bucket."""

    uri: Annotated[str, Field(pattern=r"^s3://[a-z0-9][\.\-a-z0-9]{1,61}[a-z0-9](/.*)?$")]
    bucket_owner: Given[Annotated[str, Field(pattern=r"^[0-9]{12}$")]] = None


class ImageSource(Union):
    """Where an image's bytes are; ``bytes`` in base64."""

    bytes: Given[Annotated[str, Field(min_length=1)]] = None
    s3_location: Given[S3Location] = None


class Image(Shape):
    """An image."""

    format: Literal["png", "jpeg", "gif", "webp"]
    source: ImageSource


class Passage(Shape):
    """A piece of a document's text."""

    text: str


class DocumentSource(Union):
    """Where a document's content is."""

    bytes: Given[Annotated[str, Field(min_length=1)]] = None
    s3_location: Given[S3Location] = None
    text: Given[str] = None
    content: Given[list[Passage]] = None


class CitationsConfig(Shape):
    """Whether the answer is to cite this."""

    enabled: bool


class Document(Shape):
    """A document."""

    format: Literal["pdf", "csv", "doc", "docx", "xls", "xlsx", "html", "txt", "md"] = "txt"
    name: DocumentName
    source: DocumentSource
    context: Given[str] = None
    citations: Given[CitationsConfig] = None


class ToolUse(Shape):
    """A tool that the model called."""

    tool_use_id: UseId
    name: ToolName
    input: Object


class ResultContent(Union):
    """A piece of what a tool gave."""

    text: Given[str] = None
    # "json" is a name of pydantic's own, and so not one of a field.
    data: Annotated[Given[Object], Field(alias="json")] = None
    image: Given[Image] = None
    document: Given[Document] = None


class ToolResult(Shape):
    """What a tool gave."""

    tool_use_id: UseId
    content: list[ResultContent]
    status: Given[Literal["success", "error"]] = None


class ReasoningText(Shape):
    """The model's own earlier reasoning, passed back unchanged."""

    text: str
    signature: Given[str] = None


class Reasoning(Union):
    """Reasoning, open or encrypted."""

    reasoning_text: Given[ReasoningText] = None
    redacted_content: Given[str] = None


class Block(Union):
    """A piece of a message."""

    text: Given[str] = None
    image: Given[Image] = None
    document: Given[Document] = None
    tool_use: Given[ToolUse] = None
    tool_result: Given[ToolResult] = None
    reasoning_content: Given[Reasoning] = None
    cache_point: Given[CachePoint] = None


class SystemBlock(Union):
    """A piece of the system prompt."""

    text: Given[Annotated[str, Field(min_length=1)]] = None
    cache_point: Given[CachePoint] = None


class Message(Shape):
    """One turn."""

    role: Literal["user", "assistant"]
    content: list[Block]
