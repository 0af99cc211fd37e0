"""Embeddings: texts and token arrays are counted, everything else is refused by name."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from openai.types import EmbeddingCreateParams

from signalbox_ledger.records import Usage
from signalbox_proxy.refusals import Refusal
from signalbox_proxy.surfaces import CHAT, EMBEDDINGS
from signalbox_proxy.surfaces.embeddings import TABLE
from signalbox_snapshot.snapshot import Lane


def test_every_field_of_the_sdk_is_known() -> None:
    assert set(EmbeddingCreateParams.__annotations__) <= set(TABLE.fields)


@pytest.mark.parametrize(
    ("value", "text_bytes", "tokens", "inputs"),
    [
        ("grüße", 7, 0, 1),
        (["a", "bc"], 3, 0, 2),
        ([1, 2, 3], 0, 3, 1),
        ([[1, 2], [3]], 0, 3, 2),
        (["x"] * 2048, 2048, 0, 2048),
        ([7] * 300_000, 0, 300_000, 1),
    ],
    ids=["text", "texts", "tokens", "token arrays", "most inputs", "most tokens"],
)
def test_inputs_are_counted(value: Any, text_bytes: int, tokens: int, inputs: int) -> None:
    request = EMBEDDINGS.parse({"model": "small", "input": value}, {})
    assert (request.text_bytes, request.input_tokens, request.messages) == (
        text_bytes, tokens, inputs,
    )  # fmt: skip
    assert request.needs == {"embeddings"}
    assert not request.stream


@pytest.mark.parametrize(
    "value",
    ["", [], [""], [[]], [[1], "a"], ["a", [1]], ["a", 1], [1, "a"], [1.5], [-1], [True], [None],
     [{"a": 1}], [[[1]]], {"a": 1}, 5, None, ["x"] * 2049, [2**31]],
    ids=repr,
)  # fmt: skip
def test_inputs_that_openai_would_refuse_are_refused(
    refused: Callable[..., Refusal], value: Any
) -> None:
    refusal = refused(EMBEDDINGS, {"model": "small", "input": value})
    assert (refusal.code, refusal.param) == ("invalid_request", "input")


@pytest.mark.parametrize(
    ("more", "code", "field"),
    [
        ({"dimensions": 0}, "invalid_request", "dimensions"),
        ({"dimensions": 1.5}, "invalid_request", "dimensions"),
        ({"encoding_format": "hex"}, "invalid_request", "encoding_format"),
        ({"stream": True}, "no_bound", "stream"),
        ({"frobnicate": 1}, "no_bound", "frobnicate"),
    ],
)
def test_fields_are_checked(
    refused: Callable[..., Refusal], more: dict[str, Any], code: str, field: str
) -> None:
    refusal = refused(EMBEDDINGS, {"model": "small", "input": "a", **more})
    assert (refusal.code, refusal.param) == (code, field)


def test_only_the_model_is_changed_on_the_way(make_lane: Callable[..., Lane]) -> None:
    body = {"model": "small", "input": ["a"], "encoding_format": "base64", "dimensions": 256}
    sent = EMBEDDINGS.upstream_body(EMBEDDINGS.parse(body, {}), make_lane(), None)
    assert msgspec.json.decode(sent) == body | {"model": "acme-large-2"}


def test_an_answer_is_complete_when_every_input_has_its_embedding() -> None:
    request = EMBEDDINGS.parse({"model": "small", "input": ["a", "b"]}, {})

    def answer(count: int) -> bytes:
        data = [{"object": "embedding", "index": i, "embedding": [0.1]} for i in range(count)]
        usage = {"prompt_tokens": 2, "total_tokens": 2}
        return msgspec.json.encode({"object": "list", "data": data, "usage": usage})

    whole = EMBEDDINGS.read_answer(request, answer(2))
    assert whole.complete
    assert whole.usage == Usage(input=2)
    assert not EMBEDDINGS.read_answer(request, answer(1)).complete
    assert EMBEDDINGS.read_answer(request, b"<html>").error


@pytest.mark.parametrize(
    ("endpoint", "prefix"),
    [
        ("https://api.openai.com", "/v1"),
        ("https://api.openai.com/v1", ""),
        ("https://api.openai.com/v1/", ""),
        ("https://resource.example/openai/v1", ""),
        ("http://vllm.models.svc:8000", "/v1"),
    ],
)
def test_the_path_follows_the_sdks_own_rule(
    make_lane: Callable[..., Lane], endpoint: str, prefix: str
) -> None:
    lane = make_lane(endpoint=endpoint)
    assert EMBEDDINGS.upstream_path(lane) == f"{prefix}/embeddings"
    assert CHAT.upstream_path(lane) == f"{prefix}/chat/completions"


def test_nothing_of_the_client_authenticates_upstream(make_lane: Callable[..., Lane]) -> None:
    client = {"authorization": "Bearer sk-client", "openai-organization": "o", "cookie": "c"}
    for surface in (CHAT, EMBEDDINGS):
        sent = surface.upstream_headers(client, make_lane(), "sk-ours")
        assert sent["authorization"] == "Bearer sk-ours"
        assert set(sent) == {
            "content-type", "accept", "accept-encoding", "user-agent", "authorization",
        }  # fmt: skip
        assert "authorization" not in surface.upstream_headers(client, make_lane(auth="none"), "")
