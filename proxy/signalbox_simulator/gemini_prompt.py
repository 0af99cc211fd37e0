"""Meter a generateContent prompt; the rules stand in the package's docstring."""

from __future__ import annotations

import math

from . import media
from .gemini_request import Content, FileData, GeminiRequest, Part, ResponsePart
from .gemini_rules import IMAGES, invalid
from .prompt import Prompt, compact
from .sheet import ModelSheet

PER_CONTENT = 2
PER_REQUEST = 2
PER_TOOL = 6
PER_CALL = 3
SCHEMA_PREAMBLE = 10
PER_TILE = 258
TILE_SIDE = 768
PER_PAGE = 258


def meter(request: GeminiRequest, model: ModelSheet) -> Prompt:
    """Build the billed prompt: system instruction, tools, contents."""
    prompt = Prompt(model.token_scale)
    prompt.add_text("", overhead=PER_REQUEST)
    for part in (request.system_instruction.parts if request.system_instruction else None) or ():
        prompt.add_text(part.text or "")
    for declaration in request.declarations:
        schema = declaration.parameters_json_schema or declaration.parameters or {}
        text = f"{declaration.name}\n{declaration.description or ''}\n{compact(schema)}"
        prompt.add_text(text, overhead=PER_TOOL)
    settings = request.settings
    form = settings.response_json_schema or settings.response_schema
    if form is not None:
        prompt.add_text(compact(form), overhead=SCHEMA_PREAMBLE)
    for number, content in enumerate(request.contents):
        _add_content(prompt, content, f"contents[{number}]")
    return prompt


def _add_content(prompt: Prompt, content: Content, where: str) -> None:
    prompt.add_text("", overhead=PER_CONTENT)
    texts = []
    for number, part in enumerate(content.parts or ()):
        _add_part(prompt, part, f"{where}.parts[{number}]")
        if part.text is not None:
            texts.append(part.text)
    if content.role == "user" and texts:
        prompt.last_user_text = "\n".join(texts)


def _add_part(prompt: Prompt, part: Part, where: str) -> None:
    if part.text is not None:
        prompt.add_text(part.text)
    elif part.function_call is not None:
        text = part.function_call.name + compact(part.function_call.args or {})
        prompt.add_text(text, overhead=PER_CALL)
    elif part.function_response is not None:
        response = part.function_response
        prompt.add_text(response.name + compact(response.response), overhead=PER_CALL)
        for number, inner in enumerate(response.parts or ()):
            _add_media(prompt, inner, f"{where}.parts[{number}]")
    else:
        _add_media(prompt, part, where)


def _add_media(prompt: Prompt, part: Part | ResponsePart, where: str) -> None:
    if part.file_data is not None:
        _add_file(prompt, part.file_data, where)
    elif part.inline_data is not None:
        kind = part.inline_data.mime_type
        content = media.from_base64(part.inline_data.data, f"{where}.inline_data.data")
        if kind == "application/pdf":
            prompt.add_opaque(content, PER_PAGE * media.pdf_pages(content, where))
        elif kind == "text/plain":
            prompt.add_text(content.decode("utf-8", "replace"))
        elif kind in IMAGES:
            prompt.add_opaque(content, image_tokens(*media.image_size(content, where)))
        else:
            raise invalid(f"Unsupported MIME type: {kind[:100]}")


def _add_file(prompt: Prompt, file: FileData, where: str) -> None:
    if not file.file_uri.startswith("https://"):
        raise invalid(f"{where}.file_data: Invalid or unsupported file uri: {file.file_uri[:200]}")
    if file.mime_type not in IMAGES:
        raise invalid(f"Unsupported MIME type: {str(file.mime_type)[:100]}")
    side = media.URL_IMAGE_SIDE
    prompt.add_opaque(file.file_uri.encode(), image_tokens(side, side))


def image_tokens(width: int, height: int) -> int:
    """Count an image: 258 if small, else 258 per tile of 768 pixels."""
    if max(width, height) <= TILE_SIDE // 2:
        return PER_TILE
    return PER_TILE * math.ceil(width / TILE_SIDE) * math.ceil(height / TILE_SIDE)
