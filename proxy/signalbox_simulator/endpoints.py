"""Which wire format answers at a path, and in whose shape a host gives its errors."""

from __future__ import annotations

from urllib.parse import unquote

from aiohttp import web

from .chat_surface import ChatSurface
from .converse_surface import PATH as CONVERSE_PATH
from .converse_surface import ConverseSurface, exception_name
from .embeddings_surface import EmbeddingsSurface
from .gemini_surface import GeminiSurface, surface_of
from .messages_surface import MessagesSurface
from .refusals import Refusal
from .sheet import HostSheet
from .surface import Surface

CHAT = ChatSurface()
EMBEDDINGS = EmbeddingsSurface()
MESSAGES = MessagesSurface()
CONVERSE = ConverseSurface()

PATHS: dict[str, tuple[str, Surface]] = {
    "/v1/chat/completions": ("chat_completions", CHAT),
    "/v1/embeddings": ("embeddings", EMBEDDINGS),
    "/v1/messages": ("messages", MESSAGES),
    "/": ("sts", CONVERSE),
}
VOICES: dict[str, Surface] = {
    "messages": MESSAGES,
    "generate_content": GeminiSurface(),
    "converse": CONVERSE,
    "sts": CONVERSE,
}
"""Hosts of these surfaces give all errors in their shape, whatever the path."""


def find(path: str, alternative: str | None, section: HostSheet) -> tuple[str, Surface]:
    """Give the kind of a path ("" for none) and the surface that answers there.

    ``alternative`` is the query's ``alt``, which Google's paths depend on.
    """
    if CONVERSE_PATH.fullmatch(path):
        return "converse", CONVERSE
    gemini = surface_of(unquote(path), alternative)
    if gemini is not None:
        return "generate_content", gemini
    return PATHS.get(path, ("", voice(section)))


def voice(section: HostSheet) -> Surface:
    """Give the surface in whose shape a host speaks."""
    return next((VOICES[name] for name in section.surfaces if name in VOICES), CHAT)


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
