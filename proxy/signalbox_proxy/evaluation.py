"""The verdict that every answer gets: complete, not empty, and valid where a schema was asked for.

Each assertion is a function from request and answer to a verdict, or to None where it does not
apply. Pure.
"""

from collections.abc import Callable
from typing import Any, Final

from signalbox_ledger.records import Verdict
from signalbox_proxy.model_request import ModelRequest
from signalbox_proxy.schema_check import NotCheckedError, fault
from signalbox_proxy.surfaces.contract import AnswerFacts

SPEC: Final = "built-in"
PASSED: Final = 1_000_000
_MAX_DETAIL: Final = 300

_COUNTED: Final = frozenset({"embeddings", "images", "rerank", "speech"})
"""Surfaces whose answers are judged by what they hold, not by text."""

Assertion = Callable[[ModelRequest, AnswerFacts], Verdict | None]


def verdicts(request: ModelRequest, facts: AnswerFacts) -> list[Verdict]:
    """All verdicts that apply to the answer. A count of tokens is no answer of a model."""
    if request.surface == "count_tokens":
        return []
    found = (assertion(request, facts) for assertion in ASSERTIONS)
    return [verdict for verdict in found if verdict is not None]


def score(found: list[Verdict]) -> int | None:
    """The run's score: the share of assertions that passed, in ppm; None without any."""
    if not found:
        return None
    return sum(verdict.passed for verdict in found) * PASSED // len(found)


def complete(request: ModelRequest, facts: AnswerFacts) -> Verdict:
    """The provider ended the answer itself, neither a limit nor a filter nor a cut."""
    if facts.complete:
        return _verdict("complete", "")
    reason = facts.error or (
        f"it finished with {facts.finish!r}" if facts.ended else "it was cut before its end"
    )
    return _verdict("complete", f"The answer is not whole: {reason}.")


def not_empty(request: ModelRequest, facts: AnswerFacts) -> Verdict:
    """There is an answer: text, a tool call, or at least one of what was asked for."""
    if request.surface in _COUNTED:
        has_answer = facts.items > 0
    else:
        has_answer = bool(facts.text.strip()) or facts.has_tool_calls
    return _verdict("not_empty", "" if has_answer else "The answer has no content.")


def schema_valid(request: ModelRequest, facts: AnswerFacts) -> Verdict | None:
    """Every choice satisfies the schema that the request asked for; tool calls are exempt."""
    if request.output_schema is None or (facts.has_tool_calls and not facts.text):
        return None
    return _verdict("schema_valid", _schema_fault(request.output_schema, facts))


ASSERTIONS: Final[tuple[Assertion, ...]] = (complete, not_empty, schema_valid)


def _schema_fault(schema: dict[str, Any], facts: AnswerFacts) -> str:
    if facts.truncated:
        return "The answer is too long to be checked."
    try:
        found = (fault(schema, text) for text in (facts.text, *facts.more_texts))
        return next((f"The answer does not satisfy its schema: {one}." for one in found if one), "")
    except NotCheckedError as error:
        return f"The answer was not checked: {error}."


def _verdict(assertion: str, fault: str) -> Verdict:
    return Verdict(
        spec=SPEC,
        assertion=assertion,
        passed=not fault,
        score=0 if fault else PASSED,
        detail=fault[:_MAX_DETAIL],
    )
