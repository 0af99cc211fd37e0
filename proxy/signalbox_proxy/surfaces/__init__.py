"""The wire APIs that the proxy governs, each behind the same protocol (`contract.Surface`).

A surface decides, for every field of its API, whether it is neutral, priced, governed or refused:
docs/surfaces.md. Paths that no surface has are `surface_not_governed` and never passed through.
"""

from typing import Final

from signalbox_proxy.surfaces.chat import CHAT
from signalbox_proxy.surfaces.contract import AnswerFacts, Carrier, StreamReader, Surface
from signalbox_proxy.surfaces.count_tokens import COUNT_TOKENS
from signalbox_proxy.surfaces.embeddings import EMBEDDINGS
from signalbox_proxy.surfaces.images import IMAGES
from signalbox_proxy.surfaces.messages import MESSAGES
from signalbox_proxy.surfaces.rerank import RERANK
from signalbox_proxy.surfaces.responses import RESPONSES
from signalbox_proxy.surfaces.speech import SPEECH
from signalbox_proxy.surfaces.transcriptions import TRANSCRIPTIONS

SURFACES: Final[tuple[Surface, ...]] = (
    *(CHAT, MESSAGES, EMBEDDINGS, RESPONSES, COUNT_TOKENS),
    *(IMAGES, RERANK, SPEECH, TRANSCRIPTIONS),
)
"""All surfaces that take model calls."""

BY_PATH: Final[dict[str, Surface]] = {surface.path: surface for surface in SURFACES}

__all__ = [
    "BY_PATH",
    "CHAT",
    "COUNT_TOKENS",
    "EMBEDDINGS",
    "IMAGES",
    "MESSAGES",
    "RERANK",
    "RESPONSES",
    "SPEECH",
    "SURFACES",
    "TRANSCRIPTIONS",
    "AnswerFacts",
    "Carrier",
    "StreamReader",
    "Surface",
]
