"""The responses request as OpenAI publishes it: tools, formats and the field table."""

from typing import Annotated, Any, Final, Literal

from msgspec import Meta

from signalbox_proxy.surfaces.chat_types import Effort, Limit, Name, Share
from signalbox_proxy.surfaces.fields import METADATA, MODEL, Field, FieldTable, Part, neutral
from signalbox_proxy.surfaces.responses_items import Item


class FunctionTool(Part, tag_field="type", tag="function"):
    """A function that the model may call."""

    name: Name
    parameters: dict[str, Any] | None = None
    strict: bool | None = None
    description: str | None = None


class CustomTool(Part, tag_field="type", tag="custom"):
    """A custom tool and the format of its input."""

    name: Name
    description: str | None = None
    format: dict[str, Any] | None = None


class TextFormat(Part, tag_field="type", tag="text"):
    """Free text."""


class JsonObjectFormat(Part, tag_field="type", tag="json_object"):
    """Any JSON object."""


class JsonSchemaFormat(Part, tag_field="type", tag="json_schema"):
    """An answer that satisfies a schema."""

    name: Name
    schema: dict[str, Any]
    description: str | None = None
    strict: bool | None = None


class TextConfig(Part):
    """The form of the answer's text."""

    format: TextFormat | JsonObjectFormat | JsonSchemaFormat | None = None
    verbosity: Literal["low", "medium", "high"] | None = None


class Reasoning(Part):
    """How much the model may think, and what is shown of it."""

    effort: Effort | None = None
    summary: Literal["auto", "concise", "detailed"] | None = None
    generate_summary: Literal["auto", "concise", "detailed"] | None = None
    context: Literal["auto", "current_turn", "all_turns"] | None = None


class CacheOptions(Part):
    """How the prompt cache is used."""

    mode: Literal["implicit", "explicit"] | None = None
    ttl: Literal["30m", "12h"] | None = None


class StreamOptions(Part):
    """What a stream carries beside the answer."""

    include_obfuscation: bool | None = None


Includable = Literal[
    "reasoning.encrypted_content",
    "message.output_text.logprobs",
    "message.input_image.image_url",
    "file_search_call.results",
    "web_search_call.results",
    "web_search_call.action.sources",
    "computer_call_output.output.image_url",
    "code_interpreter_call.outputs",
]
ToolChoice = Literal["none", "auto", "required"] | dict[str, Any]

_STORED: Final = "the stored input that it stands for is not counted; send all of it in input"


RESPONSES: Final = FieldTable(
    "ResponsesBody",
    {
        "model": MODEL,
        "input": Field(
            "priced",
            str | Annotated[list[Item], Meta(min_length=1)],
            "text by UTF-8 bytes, images by the Model, overhead per item and part",
        ),
        "instructions": Field("priced", str, "by UTF-8 bytes, as one message"),
        "max_output_tokens": Field("priced", Limit, "bounds the output, reasoning included"),
        "tools": Field(
            "priced",
            list[FunctionTool | CustomTool],
            "definitions by UTF-8 bytes, overhead per tool",
        ),
        "tool_choice": Field("priced", ToolChoice, "by its text"),
        "text": Field(
            "priced", TextConfig, "the schema by UTF-8 bytes and as one tool; verbosity is neutral"
        ),
        "prompt_cache_options": Field("priced", CacheOptions, "decides what a cache write costs"),
        "stream": Field("governed", bool, "decides how the answer is read"),
        "stream_options": Field("governed", StreamOptions, "passes; usage comes in any case"),
        "store": Field(
            "governed", bool, "false upstream unless a RoutePolicy allows it (responses.store)"
        ),
        "background": Field(
            "governed", bool, "false only; what runs on unseen is not governed yet"
        ),
        "include": Field(
            "governed",
            list[Includable],
            "encrypted reasoning is added where a request has reasoning",
        ),
        "service_tier": Field("governed", str, "the lane's own; auto and default become default"),
        "user": Field("governed", str, "the user, where no header names one"),
        "safety_identifier": Field("governed", str, "the user, before `user`"),
        "metadata": METADATA,
        "client_metadata": neutral(dict[str, str], "names the client's own session; passes"),
        "parallel_tool_calls": neutral(bool, "output stays within its limit"),
        "max_tool_calls": neutral(
            Annotated[int, Meta(ge=1)], "counts calls of the provider's own tools only"
        ),
        "reasoning": neutral(Reasoning, "reasoning counts towards the output limit"),
        "temperature": neutral(Annotated[float, Meta(ge=0, le=2)], "sampling"),
        "top_p": neutral(Share, "sampling"),
        "top_logprobs": neutral(Annotated[int, Meta(ge=0, le=20)], "returned, not billed"),
        "truncation": neutral(Literal["auto", "disabled"], "can only shorten the input"),
        "prompt_cache_key": Field(
            "governed", str, "becomes the domain's own: two domains share no cache"
        ),
        "prompt_cache_retention": neutral(
            Literal["in_memory", "24h"], "can only make input cheaper"
        ),
        "previous_response_id": Field(
            "governed",
            Annotated[str, Meta(min_length=1, max_length=256)],
            "an answer of the same agent, user and session: its tokens are counted",
        ),
        "conversation": Field("refused", None, _STORED),
        "prompt": Field("refused", None, "the text of a stored prompt is not known"),
        "context_management": Field("refused", None, "a compaction is billed as output"),
        "moderation": Field("refused", None, "it runs a second model"),
        "image": Field("refused", None, "it changes how images are counted"),
        "access_programs": Field(
            "refused", None, "programs of the provider's account are not an agent's to choose"
        ),
    },
    ("model", "input"),
)
