"""Verdicts on answers: complete, not empty, valid by the schema that was asked for."""

import time
from typing import Any

import pytest

from signalbox_proxy.evaluation import score, verdicts
from signalbox_proxy.model_request import ModelRequest
from signalbox_proxy.surfaces import CHAT, EMBEDDINGS, AnswerFacts


def chat_request(schema: dict[str, Any] | None = None) -> ModelRequest:
    body: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "a"}]}
    if schema is not None:
        named = {"name": "answer", "schema": schema}
        body["response_format"] = {"type": "json_schema", "json_schema": named}
    return CHAT.parse(body, {})


def answer(text: str, **more: Any) -> AnswerFacts:
    given: dict[str, Any] = {"ended": True, "complete": True, "finish": "stop", **more}
    return AnswerFacts(text=text, **given)


def outcome(request: ModelRequest, facts: AnswerFacts) -> dict[str, bool]:
    return {verdict.assertion: verdict.passed for verdict in verdicts(request, facts)}


def test_a_good_answer_passes_everything() -> None:
    found = verdicts(chat_request(), answer("Hello"))
    assert outcome(chat_request(), answer("Hello")) == {"complete": True, "not_empty": True}
    assert score(found) == 1_000_000
    assert score([]) is None


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        (answer("a", complete=False, finish="length"), "length"),
        (answer("a", complete=False, ended=False), "cut"),
        (answer("a", complete=False, error="overloaded"), "overloaded"),
    ],
)
def test_a_cut_answer_is_not_complete_and_says_why(facts: AnswerFacts, reason: str) -> None:
    found = verdicts(chat_request(), facts)
    assert not found[0].passed
    assert reason in found[0].detail
    assert score(found) == 500_000


def test_an_empty_answer_is_empty_unless_it_calls_a_tool() -> None:
    assert not outcome(chat_request(), answer(" \n"))["not_empty"]
    assert outcome(chat_request(), answer("", has_tool_calls=True))["not_empty"]


def test_embeddings_are_judged_by_their_number() -> None:
    request = EMBEDDINGS.parse({"model": "m", "input": "a"}, {})
    assert outcome(request, answer("", items=1)) == {"complete": True, "not_empty": True}
    assert not outcome(request, answer("", items=0))["not_empty"]


PRICE = {"type": "object", "properties": {"usd": {"type": "number"}}, "required": ["usd"]}


@pytest.mark.parametrize(
    ("text", "passed"),
    [
        ('{"usd": 1.5}', True), ('{"usd": "1.5"}', False), ("{}", False), ("not json", False),
        ("", False), ('{"usd": 1}{', False), ("[" * 5000, False),
    ],
)  # fmt: skip
def test_a_schema_that_was_asked_for_is_checked(text: str, passed: bool) -> None:
    assert outcome(chat_request(PRICE), answer(text))["schema_valid"] is passed


def test_every_choice_is_checked() -> None:
    facts = answer('{"usd": 1}', more_texts=('{"usd": "x"}',))
    assert not outcome(chat_request(PRICE), facts)["schema_valid"]


def test_a_tool_call_instead_of_an_answer_is_not_checked() -> None:
    assert "schema_valid" not in outcome(chat_request(PRICE), answer("", has_tool_calls=True))


def test_a_long_answer_is_not_called_valid() -> None:
    assert not outcome(chat_request(PRICE), answer('{"usd": 1}', truncated=True))["schema_valid"]


def doubling(levels: int) -> dict[str, Any]:
    twice = {f"a{i}": {"allOf": [{"$ref": f"#/$defs/a{i + 1}"}] * 2} for i in range(levels)}
    return {"$ref": "#/$defs/a0", "$defs": {**twice, f"a{levels}": {"type": "object"}}}


ALTERNATIVES = {
    "$ref": "#/$defs/a",
    "$defs": {
        "a": {
            "anyOf": [
                {"properties": {"x": {"$ref": "#/$defs/a"}}, "required": [name]} for name in "yz"
            ]
        }
    },
}


@pytest.mark.parametrize(
    ("schema", "text"),
    [
        (doubling(60), "{}"),
        ({"$ref": "#"}, "{}"),
        (ALTERNATIVES, '{"x":' * 30 + "1" + "}" * 30),
        ({"$ref": "http://127.0.0.1:9/schema.json"}, "{}"),
        ({"$ref": "file:///etc/passwd"}, "{}"),
        ({"$schema": "http://127.0.0.1:9/schema.json"}, "{}"),
        ({"$dynamicRef": "#a"}, "{}"),
        ({"$ref": "#/$defs/nowhere"}, "{}"),
        ({"type": "nonsense"}, "{}"),
        ({"pattern": "(a{1000}){1000}"}, '"a"'),
        ({"pattern": "(?=a)b"}, '"a"'),
        ({"allOf": [{"pattern": "a"}] * 100}, '"a"'),
        ({"$defs": {f"d{i}": {"type": "string", "title": "x" * 100} for i in range(600)}}, "{}"),
        ({"properties": {"a": {"$id": "https://a.example/b"}}}, '{"a":1}'),
    ],
    ids=["doubling", "endless", "alternatives", "remote", "file", "metaschema", "dynamic",
         "dangling", "type", "big pattern", "lookahead", "many patterns", "large", "nested id"],
)  # fmt: skip
def test_a_schema_that_cannot_be_checked_fails_quickly_and_says_so(
    schema: dict[str, Any], text: str
) -> None:
    request = chat_request(schema)
    started = time.process_time()
    (verdict,) = [v for v in verdicts(request, answer(text)) if v.assertion == "schema_valid"]
    assert time.process_time() - started < 1.0  # of CPU; measured: under 40 ms
    assert not verdict.passed
    assert verdict.detail.startswith("The answer was not checked: ")


def test_patterns_run_in_linear_time() -> None:
    request = chat_request({"type": "string", "pattern": "^(a+)+$"})
    started = time.process_time()
    assert not outcome(request, answer('"' + "a" * 50_000 + 'b"'))["schema_valid"]
    assert time.process_time() - started < 1.0


def test_recursive_schemas_of_real_life_are_checked() -> None:
    tree = {
        "type": "object",
        "properties": {
            "name": {"type": "string"},
            "children": {"type": "array", "items": {"$ref": "#"}},
        },
        "required": ["name"],
        "additionalProperties": False,
    }
    good = '{"name":"a","children":[{"name":"b","children":[{"name":"c"}]},{"name":"d"}]}'
    assert outcome(chat_request(tree), answer(good))["schema_valid"]
    (verdict,) = [
        v
        for v in verdicts(chat_request(tree), answer(good.replace('"c"', "5")))
        if v.assertion == "schema_valid"
    ]
    assert "/children/0/children/0/name" in verdict.detail
