"""What the simulator answers instead of a completion, before a wire format gives it a shape."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Refusal(Exception):  # noqa: N818 - an answer of the provider, not a fault of the program
    """An error status with what both wire formats need to say it.

    ``kind`` is Anthropic's ``error.type``; OpenAI's ``type`` follows from the status. ``code`` and
    ``param`` appear in OpenAI's shape only.
    """

    status: int
    message: str
    param: str | None = None
    code: str | None = None
    kind: str | None = None
    retry_after: int | None = None

    def __str__(self) -> str:
        return f"{self.status}: {self.message}"


OPENAI_TYPES = {
    401: "invalid_request_error",
    402: "insufficient_quota",
    429: "requests",
    500: "server_error",
    502: "server_error",
    503: "service_unavailable_error",
    504: "server_error",
    529: "service_unavailable_error",
}

ANTHROPIC_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    405: "invalid_request_error",
    413: "request_too_large",
    415: "invalid_request_error",
    429: "rate_limit_error",
    500: "api_error",
    502: "api_error",
    503: "api_error",
    504: "timeout_error",
    529: "overloaded_error",
}


def openai_error(refusal: Refusal) -> dict[str, object]:
    """Give OpenAI's error body."""
    kind = OPENAI_TYPES.get(refusal.status, "invalid_request_error")
    return {
        "error": {
            "message": refusal.message,
            "type": kind,
            "param": refusal.param,
            "code": refusal.code,
        }
    }


def anthropic_error(refusal: Refusal, request_id: str) -> dict[str, object]:
    """Give Anthropic's error body."""
    kind = refusal.kind or ANTHROPIC_TYPES.get(refusal.status, "invalid_request_error")
    return {
        "type": "error",
        "error": {"type": kind, "message": refusal.message},
        "request_id": request_id,
    }


GOOGLE_STATUSES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}


def google_error(refusal: Refusal) -> dict[str, object]:
    """Give Google's error body; a code is the reason of an ``ErrorInfo``."""
    error: dict[str, object] = {
        "code": refusal.status,
        "message": refusal.message,
        "status": GOOGLE_STATUSES.get(refusal.status, "UNKNOWN"),
    }
    if refusal.code is not None and refusal.code.isupper():
        info = {"reason": refusal.code, "domain": "googleapis.com"}
        kind = "type.googleapis.com/google.rpc.ErrorInfo"
        error["details"] = [{"@type": kind, **info}]
    return {"error": error}
