"""The request that `signalbox explain` asks about: a body of each surface, made of a few words."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import click

from signalbox_cli.failure import Failure
from signalbox_proxy.model_request import SurfaceName
from signalbox_proxy.refusals import Refusal
from signalbox_proxy.surfaces.decoding import decode_body
from signalbox_proxy.surfaces.multipart import Upload

MAX_REQUEST_BYTES: Final = 32 * 1024 * 1024
DEFAULT_MAX_TOKENS: Final = 1024
"""Output limit of a Messages request that states none: that API insists on one."""

DEFAULT_VOICE: Final = "alloy"
"""Voice of speech that states none: that API insists on one, and every voice costs the same."""

Asked = Mapping[str, Any]
"""The options of the command, by name."""


def body_of(surface: SurfaceName, asked: Asked) -> dict[str, Any]:
    """The body as a client would send it: a file, or what the options say.

    Raises `Failure` for a file that cannot be read, `click.UsageError` for an option that is
    missing or says nothing there.
    """
    for option, surfaces in _ONLY_FOR.items():
        if asked[option] not in (None, ()) and surface not in surfaces:
            raise click.UsageError(f"--{option} says nothing of {surface}; leave it out.")
    if surface == "transcriptions":
        return _transcription(asked)
    if asked["request_file"] is not None:
        return _whole(asked["request_file"])
    if not asked["model"] or asked["prompt"] is None:
        raise click.UsageError("say --model and --prompt, or --file with a request body")
    return {"model": asked["model"]} | _BODIES[surface](asked)


def _whole(stream: Any) -> dict[str, Any]:
    raw = stream.read(MAX_REQUEST_BYTES + 1)
    if len(raw) > MAX_REQUEST_BYTES:
        raise Failure(f"the request is larger than {MAX_REQUEST_BYTES >> 20} MiB; send less")
    try:
        return decode_body(raw, "application/json", "")
    except Refusal as refusal:
        raise Failure(f"{refusal.code}: {refusal.message}") from None


def _chat(asked: Asked) -> dict[str, Any]:
    limit = {"max_completion_tokens": asked["max_tokens"]} if asked["max_tokens"] else {}
    return {"messages": _said(asked)} | limit


def _responses(asked: Asked) -> dict[str, Any]:
    limit = {"max_output_tokens": asked["max_tokens"]} if asked["max_tokens"] else {}
    return {"input": asked["prompt"]} | limit


def _messages(asked: Asked) -> dict[str, Any]:
    return {"messages": _said(asked), "max_tokens": asked["max_tokens"] or DEFAULT_MAX_TOKENS}


def _count_tokens(asked: Asked) -> dict[str, Any]:
    return {"messages": _said(asked)}


def _embeddings(asked: Asked) -> dict[str, Any]:
    return {"input": asked["prompt"]}


def _images(asked: Asked) -> dict[str, Any]:
    said = {"n": asked["images"], "size": asked["size"], "quality": asked["quality"]}
    return {"prompt": asked["prompt"]} | {key: value for key, value in said.items() if value}


def _rerank(asked: Asked) -> dict[str, Any]:
    if not asked["document"]:
        raise click.UsageError("say --document for each text that is ranked")
    return {"query": asked["prompt"], "documents": list(asked["document"])}


def _speech(asked: Asked) -> dict[str, Any]:
    return {"input": asked["prompt"], "voice": DEFAULT_VOICE}


def _transcription(asked: Asked) -> dict[str, Any]:
    sound: Path | None = asked["audio"]
    if not asked["model"] or sound is None:
        raise click.UsageError("say --model and --audio with a file of sound")
    if sound.stat().st_size > MAX_REQUEST_BYTES:
        raise Failure(f"the sound is larger than {MAX_REQUEST_BYTES >> 20} MiB; send less")
    content = memoryview(sound.read_bytes())
    upload = Upload(sound.suffix.removeprefix(".").lower(), "application/octet-stream", content)
    prompt = {} if asked["prompt"] is None else {"prompt": asked["prompt"]}
    return {"model": asked["model"], "file": upload} | prompt


def _said(asked: Asked) -> list[dict[str, str]]:
    return [{"role": "user", "content": asked["prompt"]}]


_BODIES: Final[Mapping[SurfaceName, Callable[[Asked], dict[str, Any]]]] = {
    "chat": _chat,
    "responses": _responses,
    "messages": _messages,
    "count_tokens": _count_tokens,
    "embeddings": _embeddings,
    "images": _images,
    "rerank": _rerank,
    "speech": _speech,
}
_ONLY_FOR: Final[Mapping[str, tuple[SurfaceName, ...]]] = {
    "images": ("images",),
    "size": ("images",),
    "quality": ("images",),
    "document": ("rerank",),
    "audio": ("transcriptions",),
}
