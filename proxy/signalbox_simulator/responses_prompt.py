"""Meter a responses prompt; the rules stand in the package's docstring."""

from __future__ import annotations

from . import media
from .prompt import Prompt, compact
from .refusals import Refusal
from .responses_request import (
    AnsweredMessage,
    AskedMessage,
    CallOutputItem,
    CustomCallItem,
    FunctionCallItem,
    FunctionTool,
    InputImage,
    Item,
    JsonSchemaText,
    OutputRefusal,
    ResponsesRequest,
)
from .sealed_reasoning import opened
from .sheet import ModelSheet

PER_ITEM = 3
PRIMING = 3
TOOLS_PREAMBLE = 12
PER_TOOL = 8
SCHEMA_PREAMBLE = 10
LOW_DETAIL = 85


def meter(request: ResponsesRequest, model: ModelSheet, account: str) -> Prompt:
    """Build the prompt that is billed; raises Refusal for content that the model cannot take."""
    prompt = Prompt(model.token_scale)
    _add_tools(prompt, request)
    if request.instructions:
        prompt.add_text(request.instructions, overhead=PER_ITEM)
    for index, item in enumerate(request.items):
        _add_item(prompt, item, f"input[{index}]", model, account)
    prompt.add_text("", overhead=PRIMING)
    return prompt


def _add_tools(prompt: Prompt, request: ResponsesRequest) -> None:
    if request.tools:
        prompt.add_text("", overhead=TOOLS_PREAMBLE)
    for tool in request.tools or ():
        if isinstance(tool, FunctionTool):
            rest: object = tool.parameters
        else:
            rest = tool.format.model_dump() if tool.format else None
        text = f"{tool.name}\n{tool.description or ''}\n{compact(rest) if rest else ''}"
        prompt.add_text(text, overhead=PER_TOOL)
    wanted = request.text.format if request.text else None
    if isinstance(wanted, JsonSchemaText):
        prompt.add_text(compact(wanted.schema_), overhead=SCHEMA_PREAMBLE)


def _add_item(prompt: Prompt, item: Item, param: str, model: ModelSheet, account: str) -> None:
    prompt.add_text("", overhead=PER_ITEM)
    if isinstance(item, FunctionCallItem):
        prompt.add_text(item.name + item.arguments)
    elif isinstance(item, CustomCallItem):
        prompt.add_text(item.name + item.input)
    elif isinstance(item, CallOutputItem):
        _add_content(prompt, item.output, f"{param}.output", model)
    elif isinstance(item, AskedMessage | AnsweredMessage):
        text = _add_content(prompt, item.content, f"{param}.content", model)
        if item.role == "user":
            prompt.last_user_text = text
    else:
        prompt.add_text(opened(item.encrypted_content or "", account) or "")


def _add_content(prompt: Prompt, content: object, param: str, model: ModelSheet) -> str:
    """Meter text or parts, and give the text."""
    if isinstance(content, str):
        prompt.add_text(content)
        return content
    texts = []
    for index, part in enumerate(content if isinstance(content, list) else ()):
        if isinstance(part, InputImage):
            _add_image(prompt, part, f"{param}[{index}]", model)
            continue
        text = part.refusal if isinstance(part, OutputRefusal) else part.text
        prompt.add_text(text)
        texts.append(text)
    return "\n".join(texts)


def _add_image(prompt: Prompt, part: InputImage, param: str, model: ModelSheet) -> None:
    if "images" not in model.capabilities:
        raise Refusal(
            400, "This model does not support image inputs.", param=param, code="invalid_value"
        )
    if part.file_id is not None or part.image_url is None:
        raise Refusal(400, "No such file.", param=f"{param}.file_id", code="not_found")
    embedded = media.data_url(part.image_url, f"{param}.image_url")
    width = height = media.URL_IMAGE_SIDE
    if embedded is not None:
        if embedded[0] not in media.IMAGE_TYPES:
            raise Refusal(
                400, f"Invalid MIME type {embedded[0]!r}.", param=param, code="invalid_image_format"
            )
        width, height = media.image_size(embedded[1], f"{param}.image_url")
    counted = LOW_DETAIL if part.detail == "low" else media.tile_tokens(width, height)
    prompt.add_opaque(part.image_url.encode(), counted)
