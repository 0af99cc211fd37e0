"""The chat completions request as OpenAI publishes it: nested types and the field table."""

from typing import Annotated, Any, Final, Literal

from msgspec import Meta

from signalbox_proxy.surfaces.fields import (
    MAX_INT,
    METADATA,
    MODEL,
    Field,
    FieldTable,
    Part,
    neutral,
)

Name = Annotated[str, Meta(min_length=1, max_length=256)]
Limit = Annotated[int, Meta(ge=1, le=MAX_INT)]
Penalty = Annotated[float, Meta(ge=-2, le=2)]
Share = Annotated[float, Meta(ge=0, le=1)]


class CacheBreakpoint(Part):
    """Where an explicit prompt cache may end."""

    mode: Literal["explicit"]
    ttl: Literal["30m", "12h"] | None = None


class TextPart(Part, tag_field="type", tag="text"):
    """Text."""

    text: str
    prompt_cache_breakpoint: CacheBreakpoint | None = None


class RefusalPart(Part, tag_field="type", tag="refusal"):
    """What an assistant said when it refused."""

    refusal: str


class ImageUrl(Part):
    """An image as a data URL or a remote one."""

    url: Annotated[str, Meta(min_length=1)]
    detail: Literal["auto", "low", "high", "original"] | None = None


class ImagePart(Part, tag_field="type", tag="image_url"):
    """An image; billed at most as the Model's tokens per image."""

    image_url: ImageUrl
    prompt_cache_breakpoint: CacheBreakpoint | None = None


ContentPart = TextPart | RefusalPart | ImagePart
Content = str | Annotated[list[ContentPart], Meta(min_length=1)]


class CalledFunction(Part):
    """A function that the assistant called, arguments as it wrote them."""

    name: str
    arguments: str


class GooglesExtra(Part):
    """What a Gemini thought before it called, signed by Google."""

    thought_signature: str


class ExtraContent(Part):
    """What a vendor wants back with a call, by the vendor's name."""

    google: GooglesExtra | None = None


class FunctionCall(Part, tag_field="type", tag="function"):
    """A function call of an earlier answer."""

    id: str
    function: CalledFunction
    index: int | None = None
    extra_content: ExtraContent | None = None

    @property
    def googles_signature(self) -> str:
        """Google's signature of what was thought before the call, "" without one."""
        google = None if self.extra_content is None else self.extra_content.google
        return "" if google is None else google.thought_signature


class CalledCustomTool(Part):
    """A custom tool that the assistant called."""

    name: str
    input: str


class CustomCall(Part, tag_field="type", tag="custom"):
    """A custom tool call of an earlier answer."""

    id: str
    custom: CalledCustomTool
    index: int | None = None


class Message(Part):
    """One message of any role. Reasoning fields are those of open-weight servers."""

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: Content | None = None
    name: Name | None = None
    tool_calls: list[FunctionCall | CustomCall] | None = None
    tool_call_id: str | None = None
    function_call: CalledFunction | None = None
    refusal: str | None = None
    reasoning: str | None = None
    reasoning_content: str | None = None
    annotations: list[dict[str, Any]] | None = None
    audio: None = None


class FunctionDefinition(Part):
    """A function that the model may call."""

    name: Name
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class FunctionTool(Part, tag_field="type", tag="function"):
    """A tool of type function."""

    function: FunctionDefinition


class CustomDefinition(Part):
    """A custom tool and the format of its input."""

    name: Name
    description: str | None = None
    format: dict[str, Any] | None = None


class CustomTool(Part, tag_field="type", tag="custom"):
    """A tool of type custom."""

    custom: CustomDefinition


class FunctionName(Part):
    """The function that must be called."""

    name: str


class JsonSchema(Part):
    """A named schema for the answer."""

    name: Name
    description: str | None = None
    schema: dict[str, Any] | None = None
    strict: bool | None = None


class TextFormat(Part, tag_field="type", tag="text"):
    """Free text."""


class JsonObjectFormat(Part, tag_field="type", tag="json_object"):
    """Any JSON object."""


class JsonSchemaFormat(Part, tag_field="type", tag="json_schema"):
    """An answer that satisfies a schema."""

    json_schema: JsonSchema


class StreamOptions(Part):
    """What a stream carries beside the answer."""

    include_usage: bool | None = None
    include_obfuscation: bool | None = None


class CacheOptions(Part):
    """How the prompt cache is used."""

    mode: Literal["implicit", "explicit"] | None = None
    ttl: Literal["30m"] | None = None


ToolChoice = Literal["none", "auto", "required"] | dict[str, Any]
Stop = str | Annotated[list[str], Meta(max_length=16)]
Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]


CHAT: Final = FieldTable(
    "ChatBody",
    {
        "model": MODEL,
        "messages": Field(
            "priced",
            Annotated[list[Message], Meta(min_length=1)],
            "text by UTF-8 bytes, images by the Model, overhead per message",
        ),
        "max_tokens": Field("priced", Limit, "bounds the output of each choice"),
        "max_completion_tokens": Field("priced", Limit, "bounds the output of each choice"),
        "n": Field("priced", Annotated[int, Meta(ge=1, le=128)], "multiplies the output"),
        "tools": Field(
            "priced",
            Annotated[list[FunctionTool | CustomTool], Meta(min_length=1)],
            "definitions by UTF-8 bytes, overhead per tool",
        ),
        "functions": Field("priced", list[FunctionDefinition], "as tools"),
        "response_format": Field(
            "priced",
            TextFormat | JsonObjectFormat | JsonSchemaFormat,
            "the schema by UTF-8 bytes and as one tool",
        ),
        "prompt_cache_options": Field("priced", CacheOptions, "decides what a cache write costs"),
        "stream": Field("governed", bool, "decides how the answer is read"),
        "stream_options": Field("governed", StreamOptions, "include_usage is always set upstream"),
        "service_tier": Field("governed", str, "the lane's own; auto and default become default"),
        "user": Field("governed", str, "the user, where no header names one"),
        "safety_identifier": Field("governed", str, "the user, before `user`"),
        "metadata": METADATA,
        "modalities": Field("governed", list[str], "text only"),
        "tool_choice": Field("priced", ToolChoice, "by its text"),
        "function_call": neutral(Literal["none", "auto"] | FunctionName, "as tool_choice"),
        "parallel_tool_calls": neutral(bool, "output stays within its limit"),
        "frequency_penalty": neutral(Penalty, "sampling"),
        "presence_penalty": neutral(Penalty, "sampling"),
        "repetition_penalty": neutral(float, "sampling, open-weight servers"),
        "temperature": neutral(Annotated[float, Meta(ge=0, le=2)], "sampling"),
        "top_p": neutral(Share, "sampling"),
        "top_k": neutral(int, "sampling, open-weight servers"),
        "min_p": neutral(Share, "sampling, open-weight servers"),
        "logit_bias": neutral(
            dict[str, Annotated[float, Meta(ge=-100, le=100)]], "sampling, not tokenized"
        ),
        "logprobs": neutral(bool, "returned, not billed"),
        "top_logprobs": neutral(Annotated[int, Meta(ge=0, le=20)], "returned, not billed"),
        "seed": neutral(Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)], "sampling"),
        "stop": neutral(Stop, "can only shorten the output"),
        "reasoning_effort": neutral(Effort, "reasoning counts towards the output limit"),
        "verbosity": neutral(Literal["low", "medium", "high"], "output stays within its limit"),
        "store": Field("governed", bool, "true only where a RoutePolicy allows it"),
        "prompt_cache_key": Field(
            "governed", str, "becomes the domain's own: two domains share no cache"
        ),
        "prompt_cache_retention": neutral(
            Literal["in_memory", "24h"], "can only make input cheaper"
        ),
        "audio": Field("refused", None, "audio output is billed by prices of its own"),
        "prediction": Field("refused", None, "rejected prediction tokens are billed as output"),
        "web_search_options": Field("refused", None, "web searches are billed per call"),
        "moderation": Field("refused", None, "it runs a second model"),
        "best_of": Field("refused", None, "it bills answers that are not returned"),
    },
    ("model", "messages"),
)
