"""Meter a chat completions prompt; the rules stand in the package's docstring."""

from __future__ import annotations

from . import media
from .chat_messages import (
    AssistantMessage,
    AudioPart,
    ChatMessage,
    FilePart,
    FunctionCall,
    ImagePart,
    RefusalPart,
    TextPart,
    UserMessage,
)
from .chat_request import ChatRequest, FunctionTool, JsonSchemaResponse
from .prompt import Prompt, compact
from .refusals import Refusal
from .sheet import ModelSheet

PER_MESSAGE = 3
PER_NAME = 1
PRIMING = 3
TOOLS_PREAMBLE = 12
PER_TOOL = 8
SCHEMA_PREAMBLE = 10
LOW_DETAIL = 85


def meter(request: ChatRequest, model: ModelSheet) -> Prompt:
    """Build the prompt that is billed; raises Refusal for content that the model cannot take."""
    prompt = Prompt(model.token_scale)
    _add_tools(prompt, request)
    for index, message in enumerate(request.messages):
        _add_message(prompt, message, f"messages[{index}]", model)
    prompt.add_text("", overhead=PRIMING)
    return prompt


def _add_tools(prompt: Prompt, request: ChatRequest) -> None:
    definitions = []
    for tool in request.tools or ():
        if isinstance(tool, FunctionTool):
            definitions.append(tool.function.model_dump(exclude_none=True))
        else:
            definitions.append(tool.custom.model_dump(exclude_none=True))
    definitions += [f.model_dump(exclude_none=True) for f in request.functions or ()]
    if definitions:
        prompt.add_text("", overhead=TOOLS_PREAMBLE)
    for definition in definitions:
        rest = definition.get("parameters") or definition.get("format")
        text = f"{definition['name']}\n{definition.get('description', '')}\n"
        prompt.add_text(text + (compact(rest) if rest else ""), overhead=PER_TOOL)
    if isinstance(request.response_format, JsonSchemaResponse):
        schema = request.response_format.json_schema.schema_ or {}
        prompt.add_text(compact(schema), overhead=SCHEMA_PREAMBLE)


def _add_message(prompt: Prompt, message: ChatMessage, param: str, model: ModelSheet) -> None:
    name = getattr(message, "name", None)
    prompt.add_text(name or "", overhead=PER_MESSAGE + (PER_NAME if name else 0))
    texts = []
    content = message.content
    if isinstance(content, str):
        texts.append(content)
        prompt.add_text(content)
    for index, part in enumerate(content if isinstance(content, list) else ()):
        texts.append(_add_part(prompt, part, f"{param}.content[{index}]", model))
    if isinstance(message, AssistantMessage):
        _add_assistant(prompt, message)
    if isinstance(message, UserMessage):
        prompt.last_user_text = "\n".join(texts)


def _add_assistant(prompt: Prompt, message: AssistantMessage) -> None:
    prompt.add_text(message.refusal or "")
    for call in message.tool_calls or ():
        if isinstance(call, FunctionCall):
            prompt.add_text(f"{call.function.name}{call.function.arguments}", overhead=PER_MESSAGE)
        else:
            prompt.add_text(f"{call.custom.name}{call.custom.input}", overhead=PER_MESSAGE)
    if message.function_call is not None:
        called = message.function_call
        prompt.add_text(f"{called.name}{called.arguments}", overhead=PER_MESSAGE)


Part = TextPart | RefusalPart | ImagePart | AudioPart | FilePart


def _add_part(prompt: Prompt, part: Part, param: str, model: ModelSheet) -> str:
    """Meter one content part and give its text, if it has one."""
    if isinstance(part, TextPart):
        prompt.add_text(part.text)
        return part.text
    if isinstance(part, RefusalPart):
        prompt.add_text(part.refusal)
        return part.refusal
    if isinstance(part, ImagePart):
        _require(model, "images", "image_url", param)
        _add_image(prompt, part, f"{param}.image_url.url")
    elif isinstance(part, FilePart):
        _require(model, "files", "file", param)
        _add_file(prompt, part, f"{param}.file")
    else:
        raise _unsupported("input_audio", param)
    return ""


def _require(model: ModelSheet, capability: str, kind: str, param: str) -> None:
    if capability not in model.capabilities:
        raise _unsupported(kind, param)


def _unsupported(kind: str, param: str) -> Refusal:
    return Refusal(
        400,
        f"Invalid content type. {kind} is not supported by this model.",
        param=f"{param}.type",
        code="invalid_value",
    )


def _add_image(prompt: Prompt, part: ImagePart, param: str) -> None:
    embedded = media.data_url(part.image_url.url, param)
    if embedded is None:
        width = height = media.URL_IMAGE_SIDE
    else:
        if embedded[0] not in media.IMAGE_TYPES:
            raise Refusal(
                400, f"Invalid MIME type {embedded[0]!r}.", param=param, code="invalid_image_format"
            )
        width, height = media.image_size(embedded[1], param)
    low = part.image_url.detail == "low"
    counted = LOW_DETAIL if low else media.tile_tokens(width, height)
    prompt.add_opaque(part.image_url.url.encode(), counted)


def _add_file(prompt: Prompt, part: FilePart, param: str) -> None:
    if part.file.file_id is not None:
        raise Refusal(
            404,
            f"No file with id {part.file.file_id!r}.",
            param=f"{param}.file_id",
            code="not_found",
        )
    if part.file.file_data is None:
        raise Refusal(
            400,
            f"Missing required parameter: '{param}.file_data'.",
            param=f"{param}.file_data",
            code="missing_required_parameter",
        )
    embedded = media.data_url(part.file.file_data, f"{param}.file_data")
    content = embedded[1] if embedded else b""
    pages = media.pdf_pages(content, f"{param}.file_data")
    prompt.add_opaque(content, pages * media.TOKENS_PER_PAGE)
