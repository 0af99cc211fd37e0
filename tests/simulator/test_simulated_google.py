"""What Google and Azure refuse, their simulation refuses too; its answers suit their SDKs."""

import base64
import copy
import json
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest

from signalbox_simulator.process import SimulatorProcess
from support.google_types import errors, genai, types

STUDIO = "generativelanguage.googleapis.com"
AZURE = "contoso.openai.azure.com"
NEWER, OLDER = "gemini-3-flash-preview", "gemini-2.5-flash"
KEY = "AIza-simulated"


def said(*parts: dict[str, Any], role: str = "user") -> dict[str, Any]:
    return {"role": role, "parts": list(parts)}


HELLO = said({"text": "Hello"})
CALL = {"functionCall": {"name": "f", "args": {}}}
RESULT = {"functionResponse": {"name": "f", "response": {"output": "x"}}}
SIGNED = {"thoughtSignature": base64.b64encode(b"signed x").decode()}
TOOLS = [{"functionDeclarations": [{"name": "f"}]}]


@pytest.fixture(scope="module")
def provider() -> Iterator[SimulatorProcess]:
    with SimulatorProcess(credentials={"gemini": KEY}) as running:
        yield running


@pytest.fixture(autouse=True)
def _well_behaved(provider: SimulatorProcess) -> Iterator[None]:
    yield
    provider.behave()


@pytest.fixture
def google(provider: SimulatorProcess) -> Iterator[genai.Client]:
    options = types.HttpOptions(base_url=provider.base_url(STUDIO))
    with genai.Client(api_key=KEY, http_options=options) as client:
        yield client


def post(
    provider: SimulatorProcess,
    body: object,
    *,
    model: str = NEWER,
    method: str = "generateContent",
    headers: dict[str, str] | None = None,
) -> httpx.Response:
    url = f"{provider.base_url(STUDIO)}/v1beta/models/{model}:{method}"
    sent = {"x-goog-api-key": KEY} if headers is None else headers
    return httpx.post(url, json=body, headers=sent, timeout=60)


CONFIG = "generationConfig"
REFUSED: list[tuple[str, dict[str, Any], str]] = [
    (NEWER, {"contents": []}, "contents"),
    (NEWER, {"contents": "Hello"}, "contents"),
    (NEWER, {"contents": [said()]}, "parts must not be empty"),
    (NEWER, {"contents": [said({})]}, "oneof"),
    (NEWER, {"contents": [said({"text": "a", "functionCall": CALL["functionCall"]})]}, "oneof"),
    (NEWER, {"contents": [said({"text": ""})]}, "text parameter"),
    (NEWER, {"contents": [said({"text": "x"}, role="assistant")]}, "valid role"),
    (NEWER, {"contents": [HELLO, said({"text": "x"}, role="model")]}, "end with a user role"),
    (NEWER, {"contents": [said(CALL)]}, "belong to the role model"),
    (NEWER, {"contents": [said(CALL, role="model"), said(RESULT)]}, "comes immediately after"),
    (NEWER, {"contents": [said(RESULT)]}, "number of function response parts"),
    (NEWER, {"contents": [HELLO, said(CALL | SIGNED, role="model"), HELLO]}, "number of function"),
    (NEWER, {"contents": [HELLO, said(CALL, role="model"), said(RESULT)]}, "thought_signature"),
    (
        NEWER,
        {
            "contents": [
                HELLO,
                said(CALL | {"thoughtSignature": "eA=="}, role="model"),
                said(RESULT),
            ]
        },
        "signature is not valid",
    ),
    (
        NEWER,
        {
            "contents": [
                HELLO,
                said({"functionCall": {"name": "f", "id": "1"}} | SIGNED, role="model"),
                said({"functionResponse": {"name": "f", "id": "2", "response": {}}}),
            ]
        },
        "does not match",
    ),
    (
        OLDER,
        {
            "contents": [
                HELLO,
                said({"functionCall": {"name": "f", "id": "1"}}, role="model"),
                said({"functionResponse": {"name": "f", "id": "1", "response": {}}}),
            ]
        },
        'Unknown name "id"',
    ),
    (
        NEWER,
        {"contents": [said({"inlineData": {"mimeType": "image/gif", "data": "R0lGODlh"}})]},
        "MIME",
    ),
    (NEWER, {"contents": [said({"inlineData": {"mimeType": "image/png", "data": "@"}})]}, "base64"),
    (NEWER, {"contents": [said({"fileData": {"fileUri": "gs://b/a.png"}})]}, "file uri"),
    (NEWER, {"mood": "good"}, "mood"),
    (NEWER, {CONFIG: {"maxTokens": 5}}, "maxTokens"),
    (NEWER, {CONFIG: {"maxOutputTokens": 0}}, "maxOutputTokens"),
    (NEWER, {CONFIG: {"maxOutputTokens": 65537}}, "supported range"),
    (NEWER, {CONFIG: {"temperature": 2.5}}, "temperature"),
    (NEWER, {CONFIG: {"candidateCount": 2}}, "candidate"),
    (NEWER, {CONFIG: {"stopSequences": list("abcdef")}}, "stopSequences"),
    (NEWER, {CONFIG: {"responseJsonSchema": {}}}, "response mime type"),
    (NEWER, {CONFIG: {"thinkingConfig": {"thinkingBudget": 0}}}, "Budget 0"),
    (NEWER, {CONFIG: {"thinkingConfig": {"thinkingLevel": "XHIGH"}}}, "not supported"),
    (
        NEWER,
        {CONFIG: {"thinkingConfig": {"thinkingLevel": "LOW", "thinkingBudget": 5}}},
        "only one of",
    ),
    (OLDER, {CONFIG: {"thinkingConfig": {"thinkingLevel": "LOW"}}}, "Thinking level"),
    (OLDER, {"tools": TOOLS, CONFIG: {"responseMimeType": "application/json"}}, "unsupported"),
    (NEWER, {"tools": [{"functionDeclarations": [{"name": "2nd"}]}]}, "Invalid function name"),
    (NEWER, {"tools": [{"functionDeclarations": [{"name": "f"}] * 2}]}, "Duplicate"),
    (NEWER, {"tools": [{"googleSearch": {}}]}, "googleSearch"),
    (
        NEWER,
        {
            "tools": TOOLS,
            "toolConfig": {"functionCallingConfig": {"allowedFunctionNames": ["f"]}},
        },
        "mode is not ANY",
    ),
    (
        NEWER,
        {
            "tools": TOOLS,
            "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["g"]}},
        },
        "not declared",
    ),
    (NEWER, {"serviceTier": "express"}, "serviceTier"),
]


@pytest.mark.parametrize(("model", "change", "told"), REFUSED, ids=lambda value: str(value)[:60])
def test_what_google_refuses_is_refused_in_its_shape(
    provider: SimulatorProcess, model: str, change: dict[str, Any], told: str
) -> None:
    billed = len(provider.bill())
    answer = post(provider, {"contents": [HELLO]} | copy.deepcopy(change), model=model)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["status"]) == (400, 400, "INVALID_ARGUMENT")
    assert told in error["message"]
    assert len(provider.bill()) == billed


def test_an_unknown_model_method_or_key_gets_nothing(provider: SimulatorProcess) -> None:
    body = {"contents": [HELLO]}
    assert post(provider, body, model="gemini-99").status_code == 404
    assert post(provider, body, method="countTokens").status_code == 404
    assert post(provider, body, headers={}).status_code == 401
    wrong = post(provider, body, headers={"x-goog-api-key": "no"})
    assert wrong.status_code == 400
    assert wrong.json()["error"]["details"][0]["reason"] == "API_KEY_INVALID"
    assert post(provider, body, headers={"x-api-key": KEY}).status_code == 401
    assert post(provider, body, method="streamGenerateContent").status_code == 400


def test_googles_own_client_hears_what_is_billed(
    provider: SimulatorProcess, google: genai.Client
) -> None:
    config = types.GenerateContentConfig(
        max_output_tokens=300,
        thinking_config=types.ThinkingConfig(include_thoughts=True, thinking_level="LOW"),
    )
    whole = google.models.generate_content(model=NEWER, contents="Hello", config=config)
    chunks = list(
        google.models.generate_content_stream(model=NEWER, contents="Hello", config=config)
    )
    assert whole.usage_metadata is not None
    texts = [chunk.text or "" for chunk in chunks]
    assert "".join(texts) == whole.text
    for line, usage in zip(
        provider.bill()[-2:], (whole.usage_metadata, chunks[-1].usage_metadata), strict=True
    ):
        billed: Any = line["usage"]
        assert usage.prompt_token_count == billed["input"] + billed["cached_input"]
        assert usage.thoughts_token_count == billed["reasoning"] == 32
        assert usage.candidates_token_count + 32 == billed["output"] <= 300
    totals = [chunk.usage_metadata.total_token_count for chunk in chunks]
    assert totals == sorted(totals), "counts run up"


def test_a_signature_is_demanded_back_by_newer_models_for_the_current_turn_only(
    google: genai.Client,
) -> None:
    declared = types.FunctionDeclaration(name="f", parameters_json_schema={"type": "object"})
    config = types.GenerateContentConfig(
        tools=[types.Tool(function_declarations=[declared])],
        automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
    )
    asked = types.Content(role="user", parts=[types.Part(text="Well? [[tool 2]]")])
    called = google.models.generate_content(model=NEWER, contents=[asked], config=config)
    answer = called.candidates[0].content
    assert [bool(part.thought_signature) for part in answer.parts] == [True, False]
    results = types.Content(
        role="user",
        parts=[
            types.Part(
                function_response=types.FunctionResponse(
                    id=call.id, name=call.name, response={"output": "x"}
                )
            )
            for call in called.function_calls
        ],
    )
    quiet = types.Content(role="user", parts=[types.Part(text="Well?")])
    google.models.generate_content(model=NEWER, contents=[quiet, answer, results])
    answer.parts[0].thought_signature = None
    with pytest.raises(errors.ClientError, match="missing a thought_signature"):
        google.models.generate_content(model=NEWER, contents=[quiet, answer, results])
    over = [quiet, answer, results, types.Content(role="user", parts=[types.Part(text="Thanks.")])]
    google.models.generate_content(model=NEWER, contents=over)


def test_a_blocked_prompt_bills_its_input_alone(
    provider: SimulatorProcess, google: genai.Client
) -> None:
    answer = google.models.generate_content(model=NEWER, contents="Hello [[block]]")
    assert answer.candidates is None
    assert answer.prompt_feedback.block_reason is types.BlockedReason.PROHIBITED_CONTENT
    assert provider.bill()[-1]["usage"]["output"] == 0


@pytest.mark.parametrize("how", ["cut_after_chunks", "malformed_after_chunks"])
def test_a_stream_breaks_where_it_is_told_to(provider: SimulatorProcess, how: str) -> None:
    provider.behave({how: 3})
    url = f"{provider.base_url(STUDIO)}/v1beta/models/{NEWER}:streamGenerateContent?alt=sse"
    got = b""
    try:
        with httpx.stream(
            "POST", url, json={"contents": [HELLO]}, headers={"x-goog-api-key": KEY}, timeout=60
        ) as answer:
            for piece in answer.iter_raw():
                got += piece
    except httpx.HTTPError:
        assert how == "cut_after_chunks"
    events = got.split(b"\r\n\r\n")
    if how == "malformed_after_chunks":
        assert any(not _is_json(event) for event in events if event.strip())
    else:
        assert b"finishReason" not in got


def _is_json(event: bytes) -> bool:
    try:
        json.loads(event.removeprefix(b"data: "))
    except ValueError:
        return False
    return True


def test_azures_own_client_asks_by_deployment(provider: SimulatorProcess) -> None:
    endpoint = provider.base_url(AZURE)
    with openai.AzureOpenAI(
        api_key=KEY, azure_endpoint=endpoint, api_version="2024-10-21", max_retries=0
    ) as client:
        asked: list[Any] = [{"role": "user", "content": "Hello"}]
        client.chat.completions.create(model="gpt-5.4-mini", messages=asked)
        client.embeddings.create(model="text-embedding-3-small", input="Hello")
        with pytest.raises(openai.NotFoundError):
            client.chat.completions.create(model="gpt-99", messages=asked)
    chat, embedding = provider.bill()[-2:]
    assert chat["model"] == "gpt-5.4-mini"
    assert embedding["model"] == "text-embedding-3-small"
    for version in ("", "latest"):
        url = f"{endpoint}/openai/deployments/gpt-5.4-mini/chat/completions?api-version={version}"
        body = {"messages": asked}
        assert httpx.post(url, json=body, headers={"api-key": KEY}, timeout=60).status_code == 404
