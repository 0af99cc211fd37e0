"""Images and PDF files inside requests: checked, measured, and counted in tokens."""

from __future__ import annotations

import base64
import binascii
import math
import struct
from fractions import Fraction

from .refusals import Refusal

URL_IMAGE_SIDE = 1024
TOKENS_PER_PAGE = 1500
MAX_MESSAGES_IMAGE_TOKENS = 1500
IMAGE_TYPES = ("image/png", "image/jpeg", "image/gif", "image/webp")


def from_base64(data: str, param: str) -> bytes:
    """Decode strict base64; raises Refusal naming ``param``."""
    try:
        return base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        raise Refusal(
            400, f"Invalid base64 data in '{param}'.", param=param, code="invalid_base64"
        ) from None


def data_url(url: str, param: str) -> tuple[str, bytes] | None:
    """Split a ``data:`` URL into media type and content; None for ``https:`` and ``http:`` URLs."""
    if url.startswith(("https://", "http://")):
        return None
    head, comma, data = url.partition(",")
    if not head.startswith("data:") or not comma or not head.endswith(";base64"):
        raise Refusal(
            400,
            f"Invalid '{param}'. Expected a valid URL or a base64-encoded data URL.",
            param=param,
            code="invalid_image_url",
        )
    return head.removeprefix("data:").removesuffix(";base64"), from_base64(data, param)


def image_size(content: bytes, param: str) -> tuple[int, int]:
    """Measure a PNG, GIF, JPEG or WebP image from its header; raises Refusal for anything else."""
    size = _png(content) or _gif(content) or _jpeg(content) or _webp(content)
    if size is None or min(size) < 1:
        raise Refusal(
            400,
            "You uploaded an unsupported image. Please make sure your image has one of the "
            "following formats: ['png', 'jpeg', 'gif', 'webp'].",
            param=param,
            code="invalid_image_format",
        )
    return size


def _png(content: bytes) -> tuple[int, int] | None:
    if content[:8] != b"\x89PNG\r\n\x1a\n" or len(content) < 24:
        return None
    width, height = struct.unpack(">II", content[16:24])
    return width, height


def _gif(content: bytes) -> tuple[int, int] | None:
    if content[:6] not in (b"GIF87a", b"GIF89a") or len(content) < 10:
        return None
    width, height = struct.unpack("<HH", content[6:10])
    return width, height


def _webp(content: bytes) -> tuple[int, int] | None:
    if content[:4] != b"RIFF" or content[8:12] != b"WEBP" or len(content) < 30:
        return None
    if content[12:16] == b"VP8X":
        return (
            int.from_bytes(content[24:27], "little") + 1,
            int.from_bytes(content[27:30], "little") + 1,
        )
    if content[12:16] == b"VP8L":
        bits = int.from_bytes(content[21:25], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    width, height = struct.unpack("<HH", content[26:30])
    return width & 0x3FFF, height & 0x3FFF


def _jpeg(content: bytes) -> tuple[int, int] | None:
    """Walk the segments up to the start-of-frame marker (ITU-T T.81, annex B)."""
    if content[:2] != b"\xff\xd8":
        return None
    position = 2
    while position + 9 <= len(content):
        if content[position] != 0xFF:
            return None
        marker = content[position + 1]
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack(">HH", content[position + 5 : position + 9])
            return width, height
        length = int.from_bytes(content[position + 2 : position + 4], "big")
        if length < 2:
            return None
        position += 2 + length
    return None


def tile_tokens(width: int, height: int) -> int:
    """Count an image by OpenAI's tiles: 85 + 170 per 512 x 512 after scaling."""
    scale = min(Fraction(1), Fraction(2048, max(width, height)))
    scale *= min(Fraction(1), 768 / (min(width, height) * scale))
    tiles = math.ceil(width * scale / 512) * math.ceil(height * scale / 512)
    return 85 + 170 * tiles


def area_tokens(width: int, height: int) -> int:
    """Count an image by Anthropic's area rule, width x height / 750, capped."""
    return min(MAX_MESSAGES_IMAGE_TOKENS, math.ceil(width * height / 750))


def pdf_pages(content: bytes, param: str) -> int:
    """Count a PDF's page objects, at least one; raises Refusal if it is no PDF."""
    if content[:5] != b"%PDF-":
        raise Refusal(400, f"'{param}' is not a PDF file.", param=param, code="invalid_file")
    pages = content.count(b"/Type /Page") + content.count(b"/Type/Page")
    trees = content.count(b"/Type /Pages") + content.count(b"/Type/Pages")
    return max(1, pages - trees)
