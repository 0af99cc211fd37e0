"""What is held before anything is sent: every image, every search that bytes may make, room."""

import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signalbox_proxy.model_request import ModelRequest
from signalbox_proxy.refusals import Refusal
from signalbox_proxy.surfaces import IMAGES, RERANK, SPEECH, TRANSCRIPTIONS
from signalbox_proxy.surfaces.openai_shape import OpenAIShape
from signalbox_proxy.upload_room import UploadRoom
from support.snapshots import lane


def rank(documents: list[Any], query: str = "Who pays?", **more: Any) -> ModelRequest:
    body = {"model": "rerank", "query": query, "documents": documents}
    return RERANK.parse(body | more, {})


def searches(request: ModelRequest, provider: str = "cohere") -> int:
    assert request.units is not None
    most = request.units.most_on(provider)
    assert most is not None
    return most


def test_each_image_is_held() -> None:
    request = IMAGES.parse({"model": "painter", "prompt": "Fog", "n": 7}, {})
    assert request.units is not None
    assert (request.units.quantity, request.choices) == (7, 7)


def test_reading_images_takes_no_memory_for_what_is_in_them() -> None:
    request = IMAGES.parse({"model": "painter", "prompt": "Fog"}, {})
    body = b'{"data": [{"b64_json": [%s[]]}]}' % (b"[]," * 200_000)
    tracemalloc.start()
    try:
        facts = IMAGES.read_answer(request, body)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (facts.units, facts.complete) == (1, True)
    assert peak < len(body)


@given(
    sizes=st.lists(st.integers(0, 3000), min_size=1, max_size=300),
    query=st.integers(1, 1200),
    most=st.none() | st.integers(1, 5000),
)
def test_searches_are_held_by_what_the_bytes_may_make(
    sizes: list[int], query: int, most: int | None
) -> None:
    """A byte is a token at worst; a chunk has 500 of them, with the query or beside it."""
    more = {} if most is None else {"max_tokens_per_doc": most}
    held = searches(rank(["a" * size for size in sizes], "q" * query, **more))
    chunks = 0
    for size in sizes:
        tokens = size if most is None else min(size, most)
        together = -(-(query + tokens) // 500)
        beside = -(-tokens // (500 - query)) if query < 500 else tokens
        chunks += max(1, together, beside)
    assert held >= -(-chunks // 100)


def test_a_limit_that_a_server_may_leave_unread_lowers_no_hold() -> None:
    documents = ["a" * 3000] * 200
    limited = rank(documents, max_tokens_per_doc=400)
    assert searches(limited) == 2
    assert searches(limited, "vllm") == searches(rank(documents), "vllm") > 10


def test_by_tokens_each_document_is_read_with_the_query() -> None:
    request = rank(["abc", "de", {"text": "f"}], "qq")
    assert request.text_bytes == 3 * 2 + 6


def test_room_for_files_is_bounded_and_given_back() -> None:
    room = UploadRoom(100)
    for agent in ("a", "b", "c"):
        room.enter(25, agent)
    room.enter(20, "d")
    with pytest.raises(Refusal, match="too many files") as refused:
        room.enter(6, "e")
    assert (refused.value.code, refused.value.retry_after_s) == ("not_ready", 2)
    room.leave(25, "a")
    room.enter(25, "e")


def test_one_agent_s_files_leave_room_for_others() -> None:
    room = UploadRoom(100)
    room.enter(20, "shop/bot")
    for _ in range(2):
        with pytest.raises(Refusal, match="Agent shop/bot sends as many files") as refused:
            room.enter(6, "shop/bot")
        assert (refused.value.code, refused.value.retry_after_s) == ("not_ready", 2)
    room.enter(25, "shop/other")
    room.leave(20, "shop/bot")
    room.enter(25, "shop/bot")


@pytest.mark.parametrize("surface", [IMAGES, SPEECH, TRANSCRIPTIONS], ids=lambda each: each.name)
@pytest.mark.parametrize(
    ("endpoint", "version", "path"),
    [
        ("https://api.openai.com/v1", "", ""),
        ("https://contoso.openai.azure.com/openai/v1", "", ""),
        ("http://vllm.inference.svc", "", "/v1"),
        ("https://contoso.openai.azure.com", "2024-10-21", "/openai/deployments/up"),
    ],
)
def test_paths_are_openai_s_below_the_endpoint_or_azure_s_by_deployment(
    surface: OpenAIShape, endpoint: str, version: str, path: str
) -> None:
    there = lane("up", endpoint=endpoint, api_version=version, upstream_model="up")
    query = f"?api-version={version}" if version else ""
    assert surface.upstream_path(there) == f"{path}{surface.resource}{query}"
