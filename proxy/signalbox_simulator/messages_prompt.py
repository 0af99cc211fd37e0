"""Meter a messages prompt; the rules stand in the package's docstring."""

from __future__ import annotations

from . import media
from .messages_blocks import (
    Base64Image,
    Base64Pdf,
    CacheControl,
    ContentBlock,
    ContentSource,
    DocumentBlock,
    FileSource,
    ImageBlock,
    PlainText,
    RedactedThinkingBlock,
    SearchResultBlock,
    TextBlock,
    ThinkingBlock,
    ToolResultBlock,
    ToolUseBlock,
    UrlSource,
)
from .messages_request import CustomTool, MessagesRequest
from .prompt import Prompt, compact
from .refusals import Refusal
from .sheet import ModelSheet

PER_MESSAGE = 3
PER_REQUEST = 3
PER_TOOL = 8
SCHEMA_PREAMBLE = 10
BUILT_IN = {"bash": 245, "str_replace_editor": 700, "str_replace_based_edit_tool": 700}
"""What the definitions of Anthropic's own tools add, as published with each tool."""


def meter(request: MessagesRequest, model: ModelSheet) -> Prompt:
    """Build the billed prompt in the order in which it is cached: tools, system, messages."""
    prompt = Prompt(model.token_scale)
    prompt.add_text("", overhead=PER_REQUEST)
    _add_tools(prompt, request, model)
    for block in request.system_blocks:
        prompt.add_text(block.text, ttl=_ttl(block.cache_control))
    for index, message in enumerate(request.messages):
        prompt.add_text("", overhead=PER_MESSAGE)
        texts = [
            _add_block(prompt, block, f"messages.{index}.content.{number}")
            for number, block in enumerate(message.blocks)
        ]
        if message.role == "user" and any(texts):
            prompt.last_user_text = "\n".join(texts)
    if request.cache_control is not None:
        prompt.mark(_ttl(request.cache_control) or "5m")
    return prompt


def _ttl(control: CacheControl | None) -> str | None:
    return (control.ttl or "5m") if control else None


def _add_tools(prompt: Prompt, request: MessagesRequest, model: ModelSheet) -> None:
    if request.tools:
        prompt.add_text("", overhead=model.tool_preamble_tokens)
    for tool in request.tools or ():
        described = tool.model_dump(exclude_none=True, exclude={"cache_control", "strict"})
        text = f"{described.pop('name')}\n{described.pop('description', '')}\n{compact(described)}"
        overhead = PER_TOOL + (0 if isinstance(tool, CustomTool) else BUILT_IN.get(tool.name, 0))
        prompt.add_text(text, overhead=overhead, ttl=_ttl(tool.cache_control))
    if request.output_config is not None and request.output_config.format is not None:
        prompt.add_text(compact(request.output_config.format.schema_), overhead=SCHEMA_PREAMBLE)


def _add_block(prompt: Prompt, block: ContentBlock, param: str) -> str:
    """Meter one block and give the text that a user wrote in it."""
    if isinstance(block, TextBlock):
        prompt.add_text(block.text, ttl=_ttl(block.cache_control))
        return block.text
    if isinstance(block, ThinkingBlock):
        prompt.add_text(block.thinking)
    elif isinstance(block, RedactedThinkingBlock):
        prompt.add_text(block.data)
    elif isinstance(block, ToolUseBlock):
        ttl = _ttl(block.cache_control)
        prompt.add_text(block.name + compact(block.input), overhead=PER_MESSAGE, ttl=ttl)
    elif isinstance(block, ToolResultBlock):
        _add_result(prompt, block, param)
    else:
        _add_material(prompt, block, param)
    return ""


def _add_result(prompt: Prompt, block: ToolResultBlock, param: str) -> None:
    content = block.content
    prompt.add_text(content if isinstance(content, str) else "", overhead=PER_MESSAGE)
    for number, inner in enumerate(content if isinstance(content, list) else ()):
        if isinstance(inner, TextBlock):
            prompt.add_text(inner.text)
        else:
            _add_material(prompt, inner, f"{param}.content.{number}")
    ttl = _ttl(block.cache_control)
    if ttl:
        prompt.mark(ttl)


def _add_material(
    prompt: Prompt, block: ImageBlock | DocumentBlock | SearchResultBlock, param: str
) -> None:
    if isinstance(block, ImageBlock):
        _add_image(prompt, block, param)
    elif isinstance(block, DocumentBlock):
        _add_document(prompt, block, param)
    else:
        prompt.add_text(f"{block.source}\n{block.title}")
        for text in block.content:
            prompt.add_text(text.text)
    ttl = _ttl(block.cache_control)
    if ttl:
        prompt.mark(ttl)


def _add_image(prompt: Prompt, block: ImageBlock, param: str) -> None:
    source = block.source
    if isinstance(source, Base64Image):
        content = media.from_base64(source.data, f"{param}.source.data")
        width, height = media.image_size(content, param)
        prompt.add_opaque(content, media.area_tokens(width, height))
    elif isinstance(source, UrlSource):
        prompt.add_opaque(source.url.encode(), media.MAX_MESSAGES_IMAGE_TOKENS)
    else:
        raise _no_file(source)


def _add_document(prompt: Prompt, block: DocumentBlock, param: str) -> None:
    prompt.add_text(f"{block.title or ''}{block.context or ''}")
    source = block.source
    if isinstance(source, Base64Pdf):
        content = media.from_base64(source.data, f"{param}.source.data")
        pages = media.pdf_pages(content, f"{param}.source.data")
        prompt.add_opaque(content, pages * media.TOKENS_PER_PAGE)
    elif isinstance(source, PlainText):
        prompt.add_text(source.data)
    elif isinstance(source, UrlSource):
        prompt.add_opaque(source.url.encode(), media.TOKENS_PER_PAGE)
    elif isinstance(source, ContentSource):
        inner = source.content
        for part in [inner] if isinstance(inner, str) else inner:
            if isinstance(part, str):
                prompt.add_text(part)
            elif isinstance(part, TextBlock):
                prompt.add_text(part.text)
            else:
                _add_image(prompt, part, param)
    else:
        raise _no_file(source)


def _no_file(source: FileSource) -> Refusal:
    return Refusal(404, f"File not found: {source.file_id[:100]}")
