"""The verdict that every answer gets: complete, not empty, and valid where a schema was asked for.

Each assertion is a function from request and answer to a verdict, or to None where it does not
apply. Pure. Schemas are the client's: no reference is ever fetched, patterns run in linear time,
and size is bounded.
"""

from collections.abc import Callable
from typing import Final

import jsonschema_rs
import msgspec

from signalbox_ledger.records import Verdict
from signalbox_proxy.model_request import ModelRequest
from signalbox_proxy.surfaces.contract import AnswerFacts

SPEC: Final = "built-in"
PASSED: Final = 1_000_000
MAX_SCHEMA_BYTES: Final = 64 * 1024
_MAX_DETAIL: Final = 300

Assertion = Callable[[ModelRequest, AnswerFacts], Verdict | None]


def verdicts(request: ModelRequest, facts: AnswerFacts) -> list[Verdict]:
    """All verdicts that apply to the answer."""
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
    """There is an answer: text, a tool call, or one embedding for each input."""
    if request.surface == "embeddings":
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


def _schema_fault(schema: dict[str, object], facts: AnswerFacts) -> str:
    if facts.truncated:
        return "The answer is too long to be checked."
    if len(msgspec.json.encode(schema, enc_hook=str)) > MAX_SCHEMA_BYTES:
        return f"The schema is larger than {MAX_SCHEMA_BYTES} bytes and was not checked."
    try:
        validator = jsonschema_rs.validator_for(
            schema, pattern_options=jsonschema_rs.RegexOptions(size_limit=1 << 20), offline=True
        )
    except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError, ValueError) as error:
        return f"The schema cannot be used: {_bounded(error)}"
    for text in (facts.text, *facts.more_texts):
        try:
            document = msgspec.json.decode(text)
        except (msgspec.DecodeError, RecursionError):
            return "The answer is not JSON."
        try:
            validator.validate(document)
        except (jsonschema_rs.ValidationError, ValueError) as error:
            return f"The answer does not satisfy the schema: {_bounded(error)}"
    return ""


def _verdict(assertion: str, fault: str) -> Verdict:
    return Verdict(
        spec=SPEC,
        assertion=assertion,
        passed=not fault,
        score=0 if fault else PASSED,
        detail=fault[:_MAX_DETAIL],
    )


def _bounded(error: Exception) -> str:
    return str(error).splitlines()[0][:200] if str(error) else type(error).__name__
