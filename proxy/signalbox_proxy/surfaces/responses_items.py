"""The items of a responses request as OpenAI publishes them: messages, calls, results, reasoning.

Items that the provider's own tools leave behind are not here: what they bill is not known.
"""

from typing import Annotated, Any, Literal

from msgspec import Meta

from signalbox_proxy.surfaces.chat_types import CacheBreakpoint
from signalbox_proxy.surfaces.fields import Part

Status = Literal["in_progress", "completed", "incomplete"]


class InputText(Part, tag_field="type", tag="input_text"):
    """What a user or the operator said."""

    text: str
    prompt_cache_breakpoint: CacheBreakpoint | None = None


class InputImage(Part, tag_field="type", tag="input_image"):
    """An image as a data URL or a remote one; billed at most as the Model's tokens per image."""

    image_url: Annotated[str, Meta(min_length=1)]
    detail: Literal["auto", "low", "high", "original"] | None = None
    file_id: None = None
    prompt_cache_breakpoint: CacheBreakpoint | None = None


class OutputText(Part, tag_field="type", tag="output_text"):
    """What the model said."""

    text: str
    annotations: list[dict[str, Any]] | None = None
    logprobs: list[dict[str, Any]] | None = None


class OutputRefusal(Part, tag_field="type", tag="refusal"):
    """What the model said when it refused."""

    refusal: str


ContentPart = InputText | InputImage | OutputText | OutputRefusal
ResultPart = InputText | InputImage


class Message(Part, tag_field="type", tag="message"):
    """One message of any role; the type may be left out."""

    role: Literal["system", "developer", "user", "assistant"]
    content: str | Annotated[list[ContentPart], Meta(min_length=1)]
    id: str | None = None
    status: Status | None = None
    phase: Literal["commentary", "final_answer"] | None = None


class FunctionCall(Part, tag_field="type", tag="function_call"):
    """A function that the model called."""

    call_id: str
    name: str
    arguments: str
    id: str | None = None
    status: Status | None = None
    namespace: None = None
    caller: None = None


class FunctionCallOutput(Part, tag_field="type", tag="function_call_output"):
    """What the client's function gave."""

    call_id: str
    output: str | list[ResultPart]
    id: str | None = None
    name: str | None = None
    status: Status | None = None
    namespace: None = None
    caller: None = None


class CustomCall(Part, tag_field="type", tag="custom_tool_call"):
    """A custom tool that the model called."""

    call_id: str
    name: str
    input: str
    id: str | None = None
    status: Status | None = None
    namespace: None = None
    caller: None = None


class CustomCallOutput(Part, tag_field="type", tag="custom_tool_call_output"):
    """What the client's custom tool gave."""

    call_id: str
    output: str | list[ResultPart]
    id: str | None = None
    status: Status | None = None


class Summary(Part, tag_field="type", tag="summary_text"):
    """A summary of reasoning."""

    text: str


class ReasoningText(Part, tag_field="type", tag="reasoning_text"):
    """Reasoning itself, as open-weight models show it."""

    text: str


class ReasoningItem(Part, tag_field="type", tag="reasoning"):
    """Reasoning of an earlier answer."""

    summary: list[Summary]
    id: str | None = None
    content: list[ReasoningText] | None = None
    encrypted_content: str | None = None
    status: Status | None = None


Item = Message | FunctionCall | FunctionCallOutput | CustomCall | CustomCallOutput | ReasoningItem
