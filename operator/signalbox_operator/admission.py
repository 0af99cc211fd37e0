"""What the admission webhook says of an object: AdmissionReview v1 in, AdmissionReview v1 out.

Pure. Refused is what is invalid by itself, with every problem at once, in the sentences of
`signalbox check`. What an object names is only warned of: in a GitOps repository it may come a
second later. What people cannot mend by writing something else is let through: deletions, objects
on their way out, changes of metadata alone, kinds of others.

Format: https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from signalbox_api import KINDS, Resource
from signalbox_api.base import GROUP
from signalbox_api.load import read_object
from signalbox_api.problems import Problem

API_VERSION: Final = "admission.k8s.io/v1"
MAX_MESSAGE: Final = 4_000
MAX_CAUSES: Final = 32
MAX_WARNINGS: Final = 8
MAX_WARNING: Final = 250

FindingsFor = Callable[[Resource], Sequence[str]]
"""What is to be said of an object among all others; empty where that cannot be told now."""


class _Kind(msgspec.Struct, frozen=True):
    group: str = ""
    kind: str = ""


class Request(msgspec.Struct, frozen=True):
    """What of an AdmissionRequest is read. Objects are what people wrote, of any shape."""

    uid: str
    kind: _Kind = _Kind()
    operation: str = ""
    namespace: str = ""
    object: dict[str, Any] | None = None
    old_object: dict[str, Any] | None = msgspec.field(default=None, name="oldObject")


class _Review(msgspec.Struct, frozen=True):
    request: Request


class AdmissionError(ValueError):
    """Bytes that are no AdmissionReview with a request."""


def read(body: bytes) -> Request:
    """The request of an AdmissionReview. Raises AdmissionError."""
    try:
        return msgspec.json.decode(body, type=_Review).request
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise AdmissionError("the body is no AdmissionReview with a request") from error


def judge(request: Request) -> Resource | tuple[Problem, ...]:
    """The object where it is valid by itself, otherwise its problems; () where nothing is asked."""
    written = request.object
    if request.operation not in ("CREATE", "UPDATE") or written is None:
        return ()
    if request.kind.group != GROUP or request.kind.kind not in KINDS or _is_leaving(written):
        return ()
    if request.old_object is not None and written.get("spec") == request.old_object.get("spec"):
        return ()
    return read_object(written, namespace=request.namespace or "default")


def answer(
    request: Request, judged: Resource | tuple[Problem, ...], warnings: Sequence[str] = ()
) -> dict[str, Any]:
    """The AdmissionReview that answers a request."""
    response: dict[str, Any] = {"uid": request.uid, "allowed": True}
    if isinstance(judged, tuple) and judged:
        response |= {"allowed": False, "status": _refusal(request, judged)}
    elif warnings:
        response["warnings"] = [each[:MAX_WARNING] for each in warnings[:MAX_WARNINGS]]
    return {"apiVersion": API_VERSION, "kind": "AdmissionReview", "response": response}


def _refusal(request: Request, problems: Sequence[Problem]) -> dict[str, Any]:
    said = [_sentence(problem) for problem in problems]
    causes = [
        {"reason": "FieldValueInvalid", "field": problem.path, "message": text}
        for problem, text in zip(problems[:MAX_CAUSES], said, strict=False)
    ]
    return {
        "metadata": {},
        "status": "Failure",
        "code": 422,
        "reason": "Invalid",
        "message": "\n".join(said)[:MAX_MESSAGE],
        "details": {"group": GROUP, "kind": request.kind.kind, "causes": causes},
    }


def _sentence(problem: Problem) -> str:
    field = f"{problem.path}: " if problem.path else ""
    return f"{field}{problem.message}; {problem.fix}"


def _is_leaving(written: dict[str, Any]) -> bool:
    metadata = written.get("metadata")
    return isinstance(metadata, dict) and bool(metadata.get("deletionTimestamp"))
