"""Usage records: comparable across providers, and never a way to pay less than nothing."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signalbox_ledger.records import Usage
from signalbox_proxy.surfaces.usage import (
    MAX_TOKENS,
    AnthropicTotals,
    anthropic_usage,
    gemini_usage,
    openai_usage,
    responses_usage,
)


def test_openai_counts_cached_tokens_within_the_prompt() -> None:
    record = {
        "prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120,
        "prompt_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 10},
        "completion_tokens_details": {"reasoning_tokens": 5},
    }  # fmt: skip
    assert openai_usage(record, "5m") == Usage(
        input=30, cached_input=60, cache_write_5m=10, output=20, reasoning=5
    )
    assert openai_usage(record, "1h") == Usage(
        input=30, cached_input=60, cache_write_1h=10, output=20, reasoning=5
    )


def test_anthropic_counts_cached_tokens_beside_the_input() -> None:
    record = {
        "input_tokens": 30, "cache_read_input_tokens": 60, "cache_creation_input_tokens": 10,
        "cache_creation": {"ephemeral_5m_input_tokens": 4, "ephemeral_1h_input_tokens": 6},
        "output_tokens": 20, "output_tokens_details": {"thinking_tokens": 7},
    }  # fmt: skip
    assert anthropic_usage(record) == Usage(
        input=30, cached_input=60, cache_write_5m=4, cache_write_1h=6, output=20, reasoning=7
    )


def test_an_unsplit_cache_write_is_of_the_shorter_lifetime() -> None:
    record = {"input_tokens": 1, "output_tokens": 1, "cache_creation_input_tokens": 9}
    found = anthropic_usage(record)
    assert found is not None
    assert found.cache_write_5m == 9


def test_zero_usage_is_not_missing_usage() -> None:
    zero = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
    assert openai_usage(zero, "none") == Usage()
    assert anthropic_usage({"input_tokens": 0, "output_tokens": 0}) == Usage()
    assert openai_usage(None, "none") is None
    assert anthropic_usage(None) is None


def test_cached_tokens_above_the_prompt_are_billed_beside_it() -> None:
    record = {
        "prompt_tokens": 10, "completion_tokens": 0,
        "prompt_tokens_details": {"cached_tokens": 50},
    }  # fmt: skip
    assert openai_usage(record, "none") == Usage(input=10, cached_input=50)


def test_reasoning_left_out_of_the_completion_is_output() -> None:
    record = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 40}
    assert openai_usage(record, "none") == Usage(input=10, output=30)


def test_embeddings_have_no_output() -> None:
    for record in ({"prompt_tokens": 8, "total_tokens": 9}, {"prompt_tokens": 8}):
        assert openai_usage(record, "none", has_output=False) == Usage(input=8)


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"completion_tokens": None},
        {"completion_tokens": None, "total_tokens": None},
        {"total_tokens": 9},
        {"completion_tokens": None, "total_tokens": 0},
    ],
)
def test_an_answer_whose_output_nothing_tells_has_no_record(more: dict[str, Any]) -> None:
    assert openai_usage({"prompt_tokens": 10} | more, "none") is None
    names = {"completion_tokens": "output_tokens", "total_tokens": "total_tokens"}
    response = {"input_tokens": 10} | {names[name]: value for name, value in more.items()}
    assert responses_usage(response, "none") is None


def test_where_the_completion_is_left_out_the_total_tells_it() -> None:
    told = {"prompt_tokens": 10, "total_tokens": 4010}
    for record in (told, told | {"completion_tokens": None}, told | {"completion_tokens": 0}):
        assert openai_usage(record, "none") == Usage(input=10, output=4000)
    response = {"input_tokens": 10, "output_tokens": None, "total_tokens": 4010}
    assert responses_usage(response, "none") == Usage(input=10, output=4000)
    empty = {"prompt_tokens": 10, "total_tokens": 10}
    assert openai_usage(empty, "none") == Usage(input=10), "all that there was is in the prompt"


def test_a_total_of_null_does_not_tell_the_output_of_gemini() -> None:
    record = {"promptTokenCount": 10, "totalTokenCount": None}
    assert gemini_usage(record) is None
    assert gemini_usage(record | {"totalTokenCount": 14}) == Usage(input=10, output=4)


def test_a_second_start_takes_no_input_back() -> None:
    totals = AnthropicTotals()
    split = {"ephemeral_5m_input_tokens": 1, "ephemeral_1h_input_tokens": 6}
    totals.begin({"input_tokens": 1000, "output_tokens": 1, "cache_creation": split})
    totals.begin({"input_tokens": 1, "cache_creation": {"ephemeral_1h_input_tokens": 0}})
    totals.take({"output_tokens": 9}, "end_turn")
    assert totals.usage() == Usage(input=1000, cache_write_5m=1, cache_write_1h=6, output=9)


@pytest.mark.parametrize("bad", [-1, 1.5, "12", True, [], {}, MAX_TOKENS + 1, 10**30])
@pytest.mark.parametrize("key", ["prompt_tokens", "completion_tokens", "total_tokens"])
def test_an_implausible_number_makes_the_record_missing(bad: object, key: str) -> None:
    record: dict[str, Any] = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
    assert openai_usage(record | {key: bad}, "none") is None
    detail = {"prompt_tokens_details": {"cached_tokens": bad}}
    assert openai_usage(record | detail, "none") is None
    message = {"input_tokens": 1, "output_tokens": 1}
    assert anthropic_usage(message | {"cache_read_input_tokens": bad}) is None
    assert anthropic_usage(message | {"output_tokens": bad}) is None


@pytest.mark.parametrize("record", [None, {}, [], "8", {"completion_tokens": 5}])
def test_a_record_without_its_counts_is_missing(record: object) -> None:
    assert openai_usage(record, "none") is None
    assert anthropic_usage(record) is None


@pytest.mark.parametrize("absent", ["input_tokens", "output_tokens"])
def test_a_message_says_input_and_output_or_nothing(absent: str) -> None:
    whole = {"input_tokens": 3, "output_tokens": 5, "cache_read_input_tokens": 7}
    assert anthropic_usage(whole) == Usage(input=3, cached_input=7, output=5)
    assert anthropic_usage({key: whole[key] for key in whole.keys() - {absent}}) is None


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 2 * MAX_TOKENS) | st.floats() | st.text(max_size=3),
    lambda inner: st.dictionaries(
        st.sampled_from(
            ["prompt_tokens", "completion_tokens", "total_tokens", "prompt_tokens_details",
             "cached_tokens", "cache_write_tokens", "completion_tokens_details",
             "reasoning_tokens", "input_tokens", "output_tokens", "cache_creation",
             "cache_creation_input_tokens", "cache_read_input_tokens",
             "ephemeral_5m_input_tokens", "ephemeral_1h_input_tokens"]
        ),
        inner,
    ),
    max_leaves=12,
)  # fmt: skip


@given(ANYTHING, st.sampled_from(["none", "5m", "1h"]))
def test_no_record_yields_a_negative_meter(record: object, cache_write: Any) -> None:
    for usage in (openai_usage(record, cache_write), anthropic_usage(record)):
        if usage is not None:
            assert min(usage.input, usage.cached_input, usage.cache_write_5m) >= 0
            assert min(usage.cache_write_1h, usage.output, usage.reasoning) >= 0
            assert usage.reasoning <= usage.output
