"""Meter a Converse prompt, as the same vendor's own interface counts it."""

from __future__ import annotations

from . import media
from .converse_blocks import Block, Document, Image, ResultContent, ToolResult
from .converse_request import ConverseRequest
from .prompt import Prompt, compact
from .refusals import Refusal
from .sheet import ModelSheet

PER_MESSAGE = 3
PER_REQUEST = 3
PER_TOOL = 8
SCHEMA_PREAMBLE = 10


def meter(request: ConverseRequest, model: ModelSheet) -> Prompt:
    """Build the billed prompt in the order in which it is cached: tools, system, messages."""
    prompt = Prompt(model.token_scale)
    prompt.add_text("", overhead=PER_REQUEST)
    _add_tools(prompt, request, model)
    for part in request.system or ():
        if part.cache_point:
            prompt.mark(part.cache_point.ttl or "5m")
        else:
            prompt.add_text(part.text or "")
    for index, message in enumerate(request.messages):
        prompt.add_text("", overhead=PER_MESSAGE)
        for number, block in enumerate(message.content):
            _add_block(prompt, block, f"messages.{index}.content.{number}")
        texts = [block.text for block in message.content if block.text]
        if message.role == "user" and texts:
            prompt.last_user_text = "\n".join(texts)
    return prompt


def _add_tools(prompt: Prompt, request: ConverseRequest, model: ModelSheet) -> None:
    if request.tool_config is None:
        tools = []
    else:
        prompt.add_text("", overhead=model.tool_preamble_tokens)
        tools = request.tool_config.tools
    for tool in tools:
        if tool.cache_point:
            prompt.mark(tool.cache_point.ttl or "5m")
        elif spec := tool.tool_spec:
            text = f"{spec.name}\n{spec.description or ''}\n{compact(spec.input_schema.data)}"
            prompt.add_text(text, overhead=PER_TOOL)
    output = request.output_config
    if output is not None and output.text_format is not None:
        described = output.text_format.structure.json_schema
        prompt.add_text(described.text if described else "", overhead=SCHEMA_PREAMBLE)


def _add_block(prompt: Prompt, block: Block, where: str) -> None:
    if block.cache_point:
        prompt.mark(block.cache_point.ttl or "5m")
    elif block.tool_use:
        called = block.tool_use
        prompt.add_text(called.name + compact(called.input), overhead=PER_MESSAGE)
    elif block.tool_result:
        _add_result(prompt, block.tool_result, where)
    elif block.reasoning_content:
        said = block.reasoning_content.reasoning_text
        prompt.add_text(said.text if said else block.reasoning_content.redacted_content or "")
    else:
        _add_material(prompt, block, where)


def _add_result(prompt: Prompt, result: ToolResult, where: str) -> None:
    prompt.add_text("", overhead=PER_MESSAGE)
    for number, part in enumerate(result.content):
        if part.data is not None:
            prompt.add_text(compact(part.data))
        else:
            _add_material(prompt, part, f"{where}.toolResult.content.{number}")


def _add_material(prompt: Prompt, part: Block | ResultContent, where: str) -> None:
    if part.image:
        _add_image(prompt, part.image, where)
    elif part.document:
        _add_document(prompt, part.document, where)
    else:
        prompt.add_text(part.text or "")


def _add_image(prompt: Prompt, image: Image, where: str) -> None:
    if image.source.bytes is None:
        raise Refusal(400, f"The bucket at {where} cannot be read.")
    content = media.from_base64(image.source.bytes, where)
    width, height = media.image_size(content, where)
    prompt.add_opaque(content, media.area_tokens(width, height))


def _add_document(prompt: Prompt, document: Document, where: str) -> None:
    prompt.add_text(f"{document.name}{document.context or ''}")
    source = document.source
    if source.text is not None:
        prompt.add_text(source.text)
    elif source.content is not None:
        prompt.add_text("\n".join(passage.text for passage in source.content))
    elif source.bytes is None:
        raise Refusal(400, f"The bucket at {where} cannot be read.")
    elif document.format == "pdf":
        content = media.from_base64(source.bytes, where)
        prompt.add_opaque(content, media.pdf_pages(content, where) * media.TOKENS_PER_PAGE)
    else:
        content = media.from_base64(source.bytes, where)
        prompt.add_text(content.decode("utf-8", "replace"))
