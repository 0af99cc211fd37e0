"""Refusals as the official SDKs see them, for every code there is."""

from collections.abc import Callable, Iterator
from typing import Any, get_args

import anthropic
import httpx2
import msgspec
import openai
import pytest

from signalbox_proxy.refusals import RETRYABLE, STATUS, Code, Refusal
from signalbox_proxy.surfaces import CHAT, EMBEDDINGS, MESSAGES, Surface
from signalbox_proxy.surfaces.errors import provider_rejection
from signalbox_proxy.surfaces.scrubbing import scrub

CODES: tuple[Code, ...] = get_args(Code)
RUN = "r_01jz"


def test_every_code_has_a_status() -> None:
    assert set(CODES) == set(STATUS)
    assert set(CODES) >= RETRYABLE


def test_a_retry_is_advised_after_what_passes_by_itself_only() -> None:
    """Written out: what the renderer reads cannot vouch for itself."""
    passing = {"budget_held", "rate_limited", "store_unavailable", "not_ready", "no_lane"}
    passing |= {"snapshot_outdated", "provider_failed", "provider_timeout"}
    assert passing == RETRYABLE


class Replies:
    """Answers every request of an SDK with one reply, and counts."""

    def __init__(self, reply: tuple[int, dict[str, str], bytes]) -> None:
        self.reply = reply
        self.requests = 0

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.requests += 1
        status, headers, body = self.reply
        return httpx2.Response(status, headers=headers, content=body, request=request)


@pytest.fixture
def ask_openai() -> Iterator[Callable[..., Any]]:
    clients: list[httpx2.Client] = []

    def ask(replies: Replies, *, retries: int = 0, stream: bool = False) -> Any:
        http = httpx2.Client(transport=httpx2.MockTransport(replies))
        clients.append(http)
        client = openai.OpenAI(
            api_key="k", base_url="http://a.example/v1", http_client=http, max_retries=retries
        )
        messages: Any = [{"role": "user", "content": "a"}]
        return client.chat.completions.create(model="m", messages=messages, stream=stream)

    yield ask
    for client in clients:
        client.close()


@pytest.fixture
def ask_anthropic() -> Iterator[Callable[..., Any]]:
    clients: list[httpx2.Client] = []

    def ask(replies: Replies, *, retries: int = 0, stream: bool = False) -> Any:
        http = httpx2.Client(transport=httpx2.MockTransport(replies))
        clients.append(http)
        client = anthropic.Anthropic(
            api_key="k", base_url="http://a.example", http_client=http, max_retries=retries
        )
        messages: Any = [{"role": "user", "content": "a"}]
        return client.messages.create(model="m", max_tokens=5, messages=messages, stream=stream)

    yield ask
    for client in clients:
        client.close()


def refusal_of(code: Code) -> Refusal:
    return Refusal(code, f"The sentence of {code}.", "messages[0]")


OPENAI_CLASSES: dict[int, type[openai.APIStatusError]] = {
    400: openai.BadRequestError, 401: openai.AuthenticationError,
    403: openai.PermissionDeniedError, 404: openai.NotFoundError, 409: openai.ConflictError,
    422: openai.UnprocessableEntityError, 429: openai.RateLimitError,
}  # fmt: skip
ANTHROPIC_CLASSES: dict[int, type[anthropic.APIStatusError]] = {
    400: anthropic.BadRequestError, 401: anthropic.AuthenticationError,
    402: anthropic.PaymentRequiredError, 403: anthropic.PermissionDeniedError,
    404: anthropic.NotFoundError, 409: anthropic.ConflictError,
    413: anthropic.RequestTooLargeError,
    422: anthropic.UnprocessableEntityError, 429: anthropic.RateLimitError,
}  # fmt: skip


@pytest.mark.parametrize("code", CODES)
def test_the_openai_sdk_understands_every_code(code: Code, ask_openai: Callable[..., Any]) -> None:
    replies = Replies(CHAT.error(refusal_of(code), RUN))
    with pytest.raises(openai.APIStatusError) as caught:
        ask_openai(replies)
    error = caught.value
    default = openai.InternalServerError if STATUS[code] >= 500 else openai.APIStatusError
    assert type(error) is OPENAI_CLASSES.get(STATUS[code], default)
    assert (error.code, error.param, error.request_id) == (code, "messages[0]", RUN)
    assert f"The sentence of {code}." in error.message
    assert error.type
    assert error.response.headers["x-signalbox-run-id"] == RUN


@pytest.mark.parametrize("code", CODES)
def test_the_anthropic_sdk_understands_every_code(
    code: Code, ask_anthropic: Callable[..., Any]
) -> None:
    replies = Replies(MESSAGES.error(refusal_of(code), RUN))
    with pytest.raises(anthropic.APIStatusError) as caught:
        ask_anthropic(replies)
    error = caught.value
    if STATUS[code] < 500:
        assert type(error) is ANTHROPIC_CLASSES.get(STATUS[code], anthropic.APIStatusError)
    else:
        assert isinstance(error, anthropic.InternalServerError)
    assert error.request_id == RUN
    body: Any = error.body
    assert body["request_id"] == RUN
    assert body["error"]["message"] == f"The sentence of {code}."
    assert body["error"]["details"] == {"error_code": code, "param": "messages[0]"}


@pytest.mark.parametrize("code", sorted(set(CODES) - RETRYABLE))
def test_no_sdk_retries_what_cannot_help(
    code: Code, ask_openai: Callable[..., Any], ask_anthropic: Callable[..., Any]
) -> None:
    for surface, ask, kind in (
        (CHAT, ask_openai, openai.APIStatusError),
        (MESSAGES, ask_anthropic, anthropic.APIStatusError),
    ):
        replies = Replies(surface.error(refusal_of(code), RUN))
        with pytest.raises(kind):
            ask(replies, retries=2)
        assert replies.requests == 1


@pytest.mark.parametrize(
    ("wait", "expected"),
    [(None, "1"), (0, "1"), (0.2, "1"), (1.2, "2"), (59.5, "60"), (60, "60")],
)
def test_retry_after_is_whole_seconds_between_1_and_60(
    surface: Surface, wait: float | None, expected: str
) -> None:
    _, headers, _ = surface.error(Refusal("rate_limited", "Wait.", retry_after_s=wait), RUN)
    assert headers["retry-after"] == expected
    assert "x-should-retry" not in headers


def test_beyond_a_minute_a_retry_is_not_advised(surface: Surface) -> None:
    _, headers, _ = surface.error(Refusal("rate_limited", "Wait.", retry_after_s=61), RUN)
    assert headers["x-should-retry"] == "false"
    assert "retry-after" not in headers


def test_without_a_run_no_id_is_named(surface: Surface) -> None:
    _, headers, body = surface.error(Refusal("unauthorized", "Who are you?"), "")
    assert set(headers) == {"content-type", "x-should-retry"}
    assert msgspec.json.decode(body).get("request_id") is None


def test_the_golden_bodies() -> None:
    refusal = Refusal("budget_exhausted", "Budget retail/day has $0.003 left.", retry_after_s=9)
    assert CHAT.error(refusal, RUN) == (
        402,
        {
            "content-type": "application/json", "x-signalbox-run-id": RUN,
            "x-should-retry": "false", "x-request-id": RUN,
        },
        (b'{"error":{"message":"Budget retail/day has $0.003 left.","type":"insufficient_quota",'
        b'"param":null,"code":"budget_exhausted"}}'),
    )  # fmt: skip
    assert EMBEDDINGS.error(refusal, RUN) == CHAT.error(refusal, RUN)
    assert MESSAGES.error(refusal, RUN) == (
        402,
        {
            "content-type": "application/json", "x-signalbox-run-id": RUN,
            "x-should-retry": "false", "request-id": RUN,
        },
        (b'{"type":"error","error":{"type":"billing_error",'
        b'"message":"Budget retail/day has $0.003 left.",'
        b'"details":{"error_code":"budget_exhausted"}},"request_id":"r_01jz"}'),
    )  # fmt: skip


def test_both_sdks_raise_at_a_streams_last_event(
    ask_openai: Callable[..., Any], ask_anthropic: Callable[..., Any]
) -> None:
    refusal = Refusal("provider_failed", "The provider cut the stream.")
    headers = {"content-type": "text/event-stream"}
    chunk = {
        "id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m",
        "choices": [{"index": 0, "delta": {"content": "a"}, "finish_reason": None}],
    }  # fmt: skip
    start = b"data: " + msgspec.json.encode(chunk) + b"\n\n"
    stream = ask_openai(
        Replies((200, headers, start + CHAT.stream_error(refusal, RUN))), stream=True
    )
    assert next(stream).choices[0].delta.content == "a"
    with pytest.raises(openai.APIError, match="cut the stream") as caught:
        next(stream)
    assert caught.value.code == "provider_failed"
    stream = ask_anthropic(
        Replies((200, headers, MESSAGES.stream_error(refusal, RUN))), stream=True
    )
    with pytest.raises(anthropic.APIStatusError, match="cut the stream"):
        next(iter(stream))


SECRET = "sk-proj-" + "a1B2" * 12


@pytest.mark.parametrize(
    ("body", "message", "param"),
    [
        (b'{"error":{"message":"Too long.","param":"input","code":"x"}}', "Too long.", "input"),
        (b'{"type":"error","error":{"type":"x","message":"Too long."}}', "Too long.", ""),
        (b'{"error":"Too long."}', "Too long.", ""),
        (b'{"message":"Too long."}', "Too long.", ""),
        (b"<html>", "The provider refused the request with status 418.", ""),
        (b'{"error":{"message":["a"]}}', "The provider refused the request with status 418.", ""),
        (b"[" * 5000, "The provider refused the request with status 418.", ""),
        (b"", "The provider refused the request with status 418.", ""),
        (f'{{"error":{{"message":"Key {SECRET} bad"}}}}'.encode(), "Key [removed] bad", ""),
    ],
)  # fmt: skip
def test_a_providers_refusal_keeps_its_own_words(body: bytes, message: str, param: str) -> None:
    refusal = provider_rejection(418, body)
    assert (refusal.code, refusal.http_status) == ("provider_rejected", 418)
    assert (refusal.message, refusal.param) == (message, param)


def test_a_providers_refusal_is_bounded_and_stays_a_4xx() -> None:
    refusal = provider_rejection(302, b'{"error":{"message":"' + b"a b " * 5000 + b'"}}')
    assert refusal.http_status == 400
    assert len(refusal.message) == 2000


@pytest.mark.parametrize(
    "secret",
    [SECRET, "sk-ant-api03-" + "x" * 20, "Bearer abcdef0123456789", "AKIAIOSFODNN7EXAMPLE",
     "AIzaSyA-1234567890abcdefghijklmnopqrstu", "sk-ab************cdef", "a" * 48,
     "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc", "hf_abcdefghijklmnop", "sk-proj********wxyz"],
)  # fmt: skip
def test_what_looks_like_a_key_is_removed(secret: str) -> None:
    assert scrub(f"Incorrect API key provided: {secret}.").startswith(
        "Incorrect API key provided: [removed]"
    )


@pytest.mark.parametrize(
    "text",
    ["max_tokens is too large: 999999. This model supports at most 16384 completion tokens.",
     "This task-specific risk-assessment is skateboarding, see https://a.example/docs/error-codes.",
     "messages[0].content[1].image_url.url must be a base64-encoded data URL"],
)  # fmt: skip
def test_ordinary_sentences_stay(text: str) -> None:
    assert scrub(text) == text
