"""Bounds: no tokenizer makes more tokens than the bound, whatever the text."""

import base64
import json
import random
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rs_bpe.bpe import openai as vocabularies

from signalbox_proxy import tokenizer
from signalbox_proxy.bounds import expected_tokens, token_bound
from signalbox_proxy.refusals import Refusal
from signalbox_proxy.surfaces import CHAT, EMBEDDINGS, MESSAGES
from signalbox_snapshot.snapshot import Model, Quality, TokenLimits

O200K = vocabularies.o200k_base()
CL100K = vocabularies.cl100k_base()

SCRIPTS = {
    "latin": "The quick brown fox. ",
    "german": "Übergrößenträger ß ",
    "cjk": "世界您好漢字かな交じり文",
    "korean": "안녕하세요 세계 ",
    "arabic": "مرحبا بالعالم ",
    "hebrew": "שלום עולם ",
    "devanagari": "नमस्ते दुनिया ",
    "thai": "สวัสดีชาวโลก",
    "tamil": "வணக்கம் உலகம் ",
    "amharic": "ሰላም ለዓለም ",
    "emoji": "👩‍👩‍👧‍👦🏳️‍🌈🇪🇺🧑🏽‍🚀",
    "zero width": "a\u200bb\u200c\u200d\u2060\ufeff",
    "combining": "Z̷̢̛͙a̶͔̽l̵̰͝g̷̭̈o̶̳͠",
    "private": "\ue000\uf8ff\U000f0000",
    "controls": "\x01\x02\x1f\x7f",
    "special": "<|endoftext|><|im_start|><|im_end|>[INST]",
    "spaces": " \t\n\r\u00a0\u3000" * 4,
    "digits": "3141592653589793",
    "base64": base64.b64encode(random.Random(1).randbytes(60)).decode(),
    "code": "def f(x):\n\treturn {**x}  # ...\n",
    "math": "∀x∈ℝ: ⌈x⌉ ≥ x",
    "gothic": "𐌰𐌱𐌲𐌳",
    "ideographs": "𠀀𠀁𠀂",
    "ligature": "ﷺﷻ",
    "one byte": "\x00",
    "surrogate pair": "𝕳𝖊𝖑𝖑𝖔",
}

ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=80)
MIXED = st.lists(st.sampled_from(sorted(SCRIPTS.values())) | ANY_TEXT, max_size=6).map("".join)


@pytest.mark.parametrize("script", SCRIPTS)
def test_bytes_bound_the_tokens_of_every_script(script: str) -> None:
    for text in (SCRIPTS[script], SCRIPTS[script] * 50):
        for vocabulary in (O200K, CL100K):
            assert vocabulary.count(text) <= len(text.encode())


SCHEMA = st.fixed_dictionaries(
    {"type": st.just("object"), "description": MIXED},
    optional={"enum": st.lists(MIXED, max_size=3), "title": MIXED},
)


@given(st.lists(MIXED, min_size=1, max_size=4), SCHEMA, MIXED)
def test_the_bound_covers_a_rendered_prompt(
    texts: list[str], schema: dict[str, Any], name: str
) -> None:
    messages: list[dict[str, Any]] = [{"role": "user", "content": text} for text in texts]
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": name}}
    messages.append({"role": "assistant", "content": None, "tool_calls": [call]})
    function = {"name": "f", "description": name, "parameters": schema}
    body = {
        "model": "m",
        "messages": messages,
        "tools": [{"type": "function", "function": function}],
    }
    request = CHAT.parse(body, {})
    for ascii_only in (True, False):
        rendered = [
            *texts, name, "f", "c", "f", name, json.dumps(schema, ensure_ascii=ascii_only),
        ]  # fmt: skip
        for vocabulary in (O200K, CL100K):
            assert sum(vocabulary.count(part) for part in rendered) <= request.text_bytes


@given(st.lists(MIXED.filter(bool), min_size=1, max_size=5))
def test_the_bound_covers_embeddings(texts: list[str]) -> None:
    request = EMBEDDINGS.parse({"model": "m", "input": texts}, {})
    assert sum(O200K.count(text) for text in texts) <= request.text_bytes


@given(MIXED, MIXED, st.dictionaries(ANY_TEXT, MIXED, max_size=3))
def test_the_bound_covers_messages(system: str, text: str, tool_input: dict[str, str]) -> None:
    use = {"type": "tool_use", "id": "t", "name": "f", "input": tool_input}
    body = {
        "model": "m",
        "max_tokens": 5,
        "system": system,
        "messages": [
            {"role": "user", "content": text},
            {"role": "assistant", "content": [use, {"type": "text", "text": text}]},
        ],
    }
    request = MESSAGES.parse(body, {})
    rendered = [system, text, text, "t", "f", json.dumps(tool_input)]
    assert sum(O200K.count(part) for part in rendered) <= request.text_bytes


def test_the_bound_adds_what_templates_add(make_model: Callable[..., Model]) -> None:
    model = make_model(per_request=600, per_message=8, per_tool=16, per_image=5000)
    image = {"type": "image_url", "image_url": {"url": "https://a.example/b.png"}}
    body = {
        "model": "m",
        "n": 3,
        "messages": [
            {"role": "system", "content": "abc"},
            {"role": "user", "content": [{"type": "text", "text": "ü"}, image]},
        ],
        "tools": [{"type": "function", "function": {"name": "f"}}],
    }
    bound = token_bound(CHAT.parse(body, {}), model, 100)
    assert bound.input == 3 + 2 + 1 + 600 + 3 * 8 + 16 + 5000
    assert bound.output == 300


def test_an_image_has_no_bound_on_a_model_that_states_none(
    make_model: Callable[..., Model],
) -> None:
    image = {"type": "image_url", "image_url": {"url": "https://a.example/b.png"}}
    body = {"model": "m", "messages": [{"role": "user", "content": [image]}]}
    with pytest.raises(Refusal) as caught:
        token_bound(CHAT.parse(body, {}), make_model(per_image=0), 10)
    assert caught.value.code == "no_bound"


@given(st.lists(MIXED, min_size=1, max_size=3), st.integers(0, 5000), st.integers(1, 4))
def test_the_expectation_lies_within_the_bound(texts: list[str], limit: int, choices: int) -> None:
    limits = TokenLimits(
        context=9, max_output=9, default_output=9, per_image=7, per_request=3,
        per_message=4, per_tool=8,
    )  # fmt: skip
    model = Model(
        id="p/m", name="m", names=["m"], tokenizer="o200k", capabilities=[], limits=limits,
        quality=Quality(default=0), lanes=[],
    )  # fmt: skip
    messages = [{"role": "user", "content": text} for text in texts]
    request = CHAT.parse({"model": "m", "messages": messages, "n": choices}, {})
    bound = token_bound(request, model, limit)
    counted = tokenizer.count("o200k", request.texts)
    expected = expected_tokens(request, model, limit, counted)
    assert expected.input <= bound.input
    assert expected.output <= bound.output


def test_the_count_is_exact_for_ordinary_requests() -> None:
    texts = ["The quick brown fox", "世界"]
    assert tokenizer.count("o200k", texts) == sum(O200K.count(text) for text in texts)
    assert tokenizer.count("cl100k", texts) == sum(CL100K.count(text) for text in texts)
    exact = tokenizer.count("o200k", texts)
    assert tokenizer.count("estimate", texts) == -(-exact * 120 // 100)
    assert tokenizer.count("o200k", []) == 0


def test_a_long_text_is_counted_in_proportion() -> None:
    words = "The quick brown fox jumps over the lazy dog. "
    texts = [words * 2000, words * 1000, ""]
    exact = sum(O200K.count(text) for text in texts)
    assert abs(tokenizer.count("o200k", texts) - exact) < exact // 20
    many = [words] * 20_000
    exact = 20_000 * O200K.count(words)
    assert abs(tokenizer.count("o200k", many) - exact) < exact // 20


@pytest.mark.parametrize("values", [[1] * 5_000, [[]] * 2_000, [{"a": 1}] * 2_000])
def test_the_bound_covers_tools_that_a_template_indents(values: list[Any]) -> None:
    """Chat templates of open-weight models write one value a line, four spaces a level."""
    parameters = {"type": "object", "properties": {"a": {"enum": values}}}
    function = {"name": "f", "parameters": parameters}
    tools = [{"type": "function", "function": function}]
    asked = CHAT.parse(
        {"model": "m", "messages": [{"role": "user", "content": "x"}], "tools": tools}, {}
    )
    for vocabulary in (O200K, CL100K):
        assert vocabulary.count(json.dumps(tools, indent=4)) <= asked.text_bytes


def test_a_choice_of_tools_is_counted_by_its_text() -> None:
    body = {"model": "m", "messages": [{"role": "user", "content": "x"}]}
    plain = CHAT.parse(body, {}).text_bytes
    choice = {
        "type": "allowed_tools",
        "allowed_tools": {"mode": "auto", "tools": [{"t": "n" * 9_000}]},
    }
    assert CHAT.parse(body | {"tool_choice": choice}, {}).text_bytes > plain + 9_000
