"""Which wire format answers at a path, and in whose shape a host gives its errors."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import unquote

from aiohttp import web

from .azure_surface import deployment_of, plain_path
from .chat_surface import ChatSurface
from .converse_surface import PATH as CONVERSE_PATH
from .converse_surface import ConverseSurface, exception_name
from .count_tokens_surface import CountTokensSurface
from .embeddings_surface import EmbeddingsSurface
from .gemini_surface import GeminiSurface, surface_of
from .images_surface import ImagesSurface
from .messages_surface import MessagesSurface
from .refusals import Refusal
from .rerank_surface import RerankSurface
from .responses_surface import ResponsesSurface
from .sheet import HostSheet
from .speech_surface import SpeechSurface
from .surface import Surface
from .transcriptions_surface import TranscriptionsSurface

CHAT = ChatSurface()
EMBEDDINGS = EmbeddingsSurface()
MESSAGES = MessagesSurface()
COUNT_TOKENS = CountTokensSurface()
CONVERSE = ConverseSurface()
RERANK = RerankSurface()

PATHS: dict[str, tuple[str, Surface]] = {
    "/v1/chat/completions": ("chat_completions", CHAT),
    "/v1/embeddings": ("embeddings", EMBEDDINGS),
    "/v1/responses": ("responses", ResponsesSurface()),
    "/v1/audio/speech": ("speech", SpeechSurface()),
    "/v1/images/generations": ("images", ImagesSurface()),
    "/v1/audio/transcriptions": ("transcriptions", TranscriptionsSurface()),
    "/v1/rerank": ("rerank", RERANK),
    "/v2/rerank": ("rerank", RERANK),
    "/v1/messages": ("messages", MESSAGES),
    "/v1/messages/count_tokens": ("messages", COUNT_TOKENS),
    "/": ("sts", CONVERSE),
}
VOICES: dict[str, Surface] = {
    "messages": MESSAGES,
    "generate_content": GeminiSurface(),
    "converse": CONVERSE,
    "sts": CONVERSE,
    "rerank": RERANK,
}
"""Hosts of these surfaces give all errors in their shape, whatever the path."""


def find(path: str, query: Mapping[str, str], section: HostSheet) -> tuple[str, Surface]:
    """Give the kind of a path ("" for none) and the surface that answers there."""
    if "azure" in section.surfaces:
        kind, surface = PATHS.get(plain_path(path, query), ("", voice(section)))
        return kind, deployment_of(path, surface)
    if CONVERSE_PATH.fullmatch(path):
        return "converse", CONVERSE
    gemini = surface_of(unquote(path), query.get("alt"))
    if gemini is not None:
        return "generate_content", gemini
    return PATHS.get(path, ("", voice(section)))


def voice(section: HostSheet) -> Surface:
    """Give the surface in whose shape a host speaks: that of the first surface it lists.

    A self-hosted engine that reranks beside chatting still answers errors as OpenAI does.
    """
    return VOICES.get(section.surfaces[0], CHAT)


def error(
    surface: Surface, refusal: Refusal, headers: dict[str, str], request_id: str
) -> web.Response:
    """Give an error in the provider's own shape."""
    answer = web.Response(
        body=surface.error(refusal, request_id),
        status=refusal.status,
        headers=headers,
        content_type="application/json",
    )
    if surface is CONVERSE:
        answer.headers["x-amzn-ErrorType"] = refusal.kind or exception_name(refusal.status)
    if refusal.retry_after is not None:
        answer.headers["retry-after"] = str(refusal.retry_after)
    return answer


def check_content_type(request: web.Request) -> None:
    """Accept plain JSON only, as the providers do."""
    if request.content_type != "application/json":
        raise Refusal(
            400,
            f"Unsupported content type: {request.content_type[:100]!r}. This API method only "
            "accepts 'application/json' requests.",
            code="unsupported_content_type",
        )
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise Refusal(415, "Compressed request bodies are not supported.")
