"""What is held before anything is sent: every image, every search that bytes may make, room."""

import tracemalloc
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from signalbox_ledger.records import Usage
from signalbox_proxy.model_request import ModelRequest
from signalbox_proxy.pricing import charges
from signalbox_proxy.refusals import Refusal
from signalbox_proxy.runtime import PreparedLane
from signalbox_proxy.surfaces import IMAGES, RERANK, SPEECH, TRANSCRIPTIONS
from signalbox_proxy.surfaces.openai_shape import OpenAIShape
from signalbox_proxy.unit_bounds import bound_by_tokens
from signalbox_proxy.unit_pricing import audio_line, unit_line
from signalbox_proxy.upload_room import UploadRoom
from signalbox_snapshot.snapshot import PriceTable, UnitPrice
from support.snapshots import lane, model, nano, price


def audio_price(text: str, audio: str, output: str) -> PriceTable:
    """USD per million tokens, those of audio apart."""
    heard = UnitPrice(meter="audio_input", price=nano(audio))
    return msgspec.structs.replace(price(text, output), units=[heard])


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
    for agent in ("a", "b"):
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


PUBLISHED = [
    # OpenAI's price page: gpt-4o-mini-tts, 0.60 and 12 USD, about 0.015 USD for a minute of sound
    (SPEECH, price("0.60", "12"), Usage(input=26, output=1250), 0, 15_015_600),
    # gpt-4o-transcribe, 2.50, 6 for audio, 10 USD: the usage of the API reference's example
    (TRANSCRIPTIONS, audio_price("2.50", "6", "10"), Usage(input=14, output=45), 0, 485_000),
    (TRANSCRIPTIONS, audio_price("2.50", "6", "10"), Usage(input=14, output=45), 14, 534_000),
    # gpt-image-1, 5 and 40 USD: a square image of medium quality has 1056 tokens
    (IMAGES, price("5", "40", "1.25"), Usage(input=50, output=1056), 0, 42_490_000),
]


@pytest.mark.parametrize(("surface", "table", "usage", "audio", "nano"), PUBLISHED)
def test_published_examples_cost_what_they_should_to_the_nano_dollar(
    surface: OpenAIShape, table: PriceTable, usage: Usage, audio: int, nano: int
) -> None:
    there = lane("l", price=table)
    heard = audio_line(there, min(audio, usage.input))
    apart = 0 if heard is None else heard.quantity
    rest = msgspec.structs.replace(usage, input=usage.input - apart)
    lines = charges(rest, there, 1, apart)
    if heard is not None:
        lines.append(heard.charge(heard.quantity, there, 1, "usage"))
    assert sum(line.cost for line in lines) == nano
    assert surface.wire_format == "openai"


def test_sound_by_tokens_holds_its_text_and_all_that_the_model_puts_out() -> None:
    body = {"model": "tts", "voice": "alloy", "input": "naïve", "instructions": "slowly"}
    mouth = model(lanes=[lane("l", price=price("0.60", "12"))], limits={"max_output": 700})
    bound = bound_by_tokens(SPEECH.parse(body, {}), mouth)
    limits = mouth.limits
    assert bound.output == 700
    assert bound.input == len("naïveslowly".encode()) + limits.per_request + limits.per_message


@pytest.mark.parametrize("field", ["instructions", "stream_format"])
def test_what_only_tokens_bound_goes_to_no_lane_that_bills_characters(field: str) -> None:
    value = {"instructions": "slowly", "stream_format": "sse"}[field]
    body = {"model": "tts", "voice": "alloy", "input": "Hi", field: value}
    units = SPEECH.parse(body, {}).units
    assert units is not None
    spoken = msgspec.structs.replace(
        price("1", "1"), units=[UnitPrice(meter="characters", price=15 * 10**9)]
    )
    there = lane("l", price=spoken)
    with pytest.raises(Refusal) as refused:
        unit_line(units, PreparedLane("l", model(lanes=[there]), there))
    assert (refused.value.code, refused.value.param) == ("no_bound", field)
    by_tokens = lane("l", price=price("1", "1"))
    assert unit_line(units, PreparedLane("l", model(lanes=[by_tokens]), by_tokens)) is None
