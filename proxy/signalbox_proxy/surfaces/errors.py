"""Refusals in the error shapes that the official SDKs parse, for every code there is.

OpenAI: `{"error": {"message", "type", "param", "code"}}`, id in `x-request-id`. Anthropic:
`{"type": "error", "error": {"type", "message", "details": {"error_code"}}, "request_id"}`, id in
`request-id`. `x-should-retry` and `retry-after` are what both SDKs obey.
"""

import math
from typing import Any, Final

import msgspec

from signalbox_proxy.refusals import MAX_RETRY_AFTER_S, RETRYABLE, Refusal
from signalbox_proxy.surfaces.scrubbing import scrub
from signalbox_proxy.unreadable import UNREADABLE

_MAX_MESSAGE: Final = 2000
_DEFAULT_RETRY_AFTER_S: Final = 1

_OPENAI_TYPE: Final = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "insufficient_quota",
    403: "permission_error",
    404: "not_found_error",
    409: "conflict_error",
    413: "invalid_request_error",
    415: "invalid_request_error",
    422: "invalid_request_error",
    429: "rate_limit_error",
}
_ANTHROPIC_TYPE: Final = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    415: "invalid_request_error",
    422: "invalid_request_error",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
}


def openai_error(refusal: Refusal, run_id: str) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body for OpenAI's SDKs. An empty `run_id` leaves the id out."""
    headers = _headers(refusal, run_id)
    if run_id:
        headers["x-request-id"] = run_id
    return refusal.http_status, headers, msgspec.json.encode({"error": _openai(refusal)})


def anthropic_error(refusal: Refusal, run_id: str) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body for Anthropic's SDKs. An empty `run_id` leaves the id out."""
    headers = _headers(refusal, run_id)
    if run_id:
        headers["request-id"] = run_id
    return refusal.http_status, headers, msgspec.json.encode(_anthropic(refusal, run_id))


def openai_stream_error(refusal: Refusal, run_id: str) -> bytes:
    """The last event of a stream that was cut; OpenAI's SDKs raise APIError for it."""
    del run_id  # the stream's own headers carry it
    return b"data: " + msgspec.json.encode({"error": _openai(refusal)}) + b"\n\n"


def anthropic_stream_error(refusal: Refusal, run_id: str) -> bytes:
    """The last event of a stream that was cut; Anthropic's SDKs raise APIStatusError for it."""
    return b"event: error\ndata: " + msgspec.json.encode(_anthropic(refusal, run_id)) + b"\n\n"


def provider_rejection(status: int, body: bytes) -> Refusal:
    """A provider's own 4xx as a refusal: its message and field, bounded and without credentials.

    Reads the error shapes of both wire formats; anything else gives a message with the status
    alone.
    """
    message, param = "", ""
    try:
        document: object = msgspec.json.decode(body[: 256 * 1024])
    except UNREADABLE:
        document = None
    if isinstance(document, dict):
        error = document.get("error", document)
        if isinstance(error, dict):
            message = _text(error.get("message"))
            param = _text(error.get("param"))
        else:
            message = _text(error)
    return rejection(status, message, param)


def rejection(status: int, message: str, param: str) -> Refusal:
    """A provider's own 4xx as a refusal, with what it said of it."""
    return Refusal(
        "provider_rejected",
        _text(message) or f"The provider refused the request with status {status}.",
        param[:200],
        status=status if 400 <= status <= 499 else 400,
    )


def _text(value: object) -> str:
    return scrub(value[: 2 * _MAX_MESSAGE])[:_MAX_MESSAGE] if isinstance(value, str) else ""


def _headers(refusal: Refusal, run_id: str) -> dict[str, str]:
    headers = {"content-type": "application/json"}
    if run_id:
        headers["x-signalbox-run-id"] = run_id
    if refusal.earlier_run:
        headers["x-signalbox-earlier-run-id"] = refusal.earlier_run
    wait = refusal.retry_after_s
    too_long = wait is not None and wait > MAX_RETRY_AFTER_S
    if refusal.code not in RETRYABLE or refusal.is_final or too_long:
        headers["x-should-retry"] = "false"
    else:
        seconds = _DEFAULT_RETRY_AFTER_S if wait is None else max(1, math.ceil(wait))
        headers["retry-after"] = str(seconds)
    return headers


def _openai(refusal: Refusal) -> dict[str, Any]:
    return {
        "message": refusal.message[:_MAX_MESSAGE],
        "type": _OPENAI_TYPE.get(refusal.http_status, _default_type(refusal.http_status)),
        "param": refusal.param or None,
        "code": refusal.code,
    }


def _anthropic(refusal: Refusal, run_id: str) -> dict[str, Any]:
    details: dict[str, str] = {"error_code": refusal.code}
    if refusal.param:
        details["param"] = refusal.param
    kind = _ANTHROPIC_TYPE.get(refusal.http_status, _default_type(refusal.http_status))
    return {
        "type": "error",
        "error": {
            "type": kind,
            "message": refusal.message[:_MAX_MESSAGE],
            "details": details,
        },
        "request_id": run_id or None,
    }


def _default_type(status: int) -> str:
    return "invalid_request_error" if status < 500 else "api_error"
