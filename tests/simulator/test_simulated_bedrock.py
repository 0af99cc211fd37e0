"""The simulated Bedrock is as strict as the real one: driven by boto3, and by what it refuses."""

import base64
import json
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import boto3
import httpx
import pytest
from botocore.config import Config
from botocore.eventstream import ParserError
from botocore.exceptions import ClientError, EventStreamError

from signalbox_simulator.process import SimulatorProcess

HOST, EU = "bedrock-runtime.us-east-1.amazonaws.com", "bedrock-runtime.eu-central-1.amazonaws.com"
HAIKU = "us.anthropic.claude-haiku-4-5-20251001-v1:0"
SONNET, NOVA = "us.anthropic.claude-sonnet-4-6", "amazon.nova-lite-v1:0"
KEY_ID, SECRET = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
KEYS = {"pair": f"{KEY_ID}:{SECRET}", "token": "eyJ.pod", "bearer": "ABSK-simulated"}
HELLO: Any = {"role": "user", "content": [{"text": "Hello"}]}
TOOL: Any = {
    "toolSpec": {
        "name": "weather",
        "inputSchema": {"json": {"type": "object", "properties": {"place": {"type": "string"}}}},
    }
}
CALL: Any = {"toolUse": {"toolUseId": "t_1", "name": "weather", "input": {}}}
RESULT: Any = {"toolResult": {"toolUseId": "t_1", "content": [{"text": "rain"}]}}
PIXEL = base64.b64encode(
    base64.b64decode(
        "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5Er"
        "kJggg=="
    )
).decode()
Client = Callable[..., Any]


@pytest.fixture(scope="module")
def bedrock() -> Iterator[SimulatorProcess]:
    with SimulatorProcess(credentials=KEYS) as process:
        yield process


@pytest.fixture
def client(bedrock: SimulatorProcess) -> Client:
    def connect(service: str = "bedrock-runtime", **options: Any) -> Any:
        host = HOST if service == "bedrock-runtime" else "sts.us-east-1.amazonaws.com"
        given = {
            "region_name": "us-east-1",
            "endpoint_url": bedrock.base_url(host),
            "aws_access_key_id": KEY_ID,
            "aws_secret_access_key": SECRET,
            "config": Config(retries={"max_attempts": 0}),
        }
        return boto3.client(service, **{**given, **options})

    return connect


@pytest.fixture
def post(bedrock: SimulatorProcess) -> Callable[[Any], httpx.Response]:
    def send(body: Any, model: str = HAIKU) -> httpx.Response:
        return httpx.post(
            f"{bedrock.base_url(HOST)}/model/{model}/converse",
            json=body,
            headers={"authorization": f"Bearer {KEYS['bearer']}"},
            timeout=30,
            trust_env=False,
        )

    return send


def test_boto3_reads_an_answer_and_the_bill_has_its_usage(
    bedrock: SimulatorProcess, client: Client
) -> None:
    answer = client().converse(modelId=HAIKU, messages=[HELLO], inferenceConfig={"maxTokens": 30})
    assert answer["stopReason"] == "max_tokens"
    assert answer["output"]["message"]["content"][0]["text"]
    line = bedrock.bill()[-1]
    usage: Any = line["usage"]
    assert answer["usage"]["inputTokens"] == usage["input"]
    assert answer["usage"]["outputTokens"] == usage["output"] == 30
    assert answer["usage"]["totalTokens"] == usage["input"] + 30
    assert line["amount_pico_usd"] == (usage["input"] * 1 + 30 * 5) * 10**6
    assert line["credential"] == "pair"
    assert answer["ResponseMetadata"]["RequestId"] == line["request_id"]


def test_boto3_reads_a_stream_that_says_what_the_whole_answer_says(client: Client) -> None:
    messages = [{"role": "user", "content": [{"text": "Oslo and Rome? [[tool 2]]"}]}]
    asked = {"modelId": HAIKU, "messages": messages, "toolConfig": {"tools": [TOOL]}}
    whole = client().converse(**asked)
    events = list(client().converse_stream(**asked)["stream"])
    starts = [e["contentBlockStart"]["start"] for e in events if "contentBlockStart" in e]
    pieces = [e["contentBlockDelta"] for e in events if "contentBlockDelta" in e]
    calls = [block["toolUse"] for block in whole["output"]["message"]["content"]]
    assert [start["toolUse"]["toolUseId"] for start in starts] == [c["toolUseId"] for c in calls]
    for number, call in enumerate(calls):
        text = "".join(
            piece["delta"]["toolUse"]["input"]
            for piece in pieces
            if piece["contentBlockIndex"] == number
        )
        assert json.loads(text) == call["input"]
    assert events[-2]["messageStop"]["stopReason"] == whole["stopReason"] == "tool_use"
    assert events[-1]["metadata"]["usage"] == whole["usage"]


def test_a_cache_is_written_for_its_lifetime_and_read_outside_the_input(client: Client) -> None:
    system = [
        {"text": "The parties agree on this and that. " * 1000},
        {"cachePoint": {"type": "default", "ttl": "1h"}},
    ]
    asked = {"modelId": HAIKU, "messages": [HELLO], "system": system}
    first, second = (client().converse(**asked)["usage"] for _ in range(2))
    assert first["cacheDetails"] == [{"ttl": "1h", "inputTokens": first["cacheWriteInputTokens"]}]
    assert second["cacheReadInputTokens"] == first["cacheWriteInputTokens"] > 4096
    assert second["inputTokens"] == first["inputTokens"] < 100
    for usage in (first, second):
        parts = [
            value for name, value in usage.items() if name not in ("totalTokens", "cacheDetails")
        ]
        assert usage["totalTokens"] == sum(parts)


@pytest.mark.parametrize(
    ("directive", "error"),
    [
        ("[[status 429]]", "ThrottlingException"),
        ("[[status 503]]", "ServiceUnavailableException"),
        ("[[status 424]]", "ModelErrorException"),
        ("[[status 500]]", "InternalServerException"),
    ],
)
def test_an_error_has_the_name_that_boto3_raises(
    client: Client, directive: str, error: str
) -> None:
    messages = [{"role": "user", "content": [{"text": directive}]}]
    with pytest.raises(ClientError) as caught:
        client().converse(modelId=HAIKU, messages=messages)
    assert caught.value.response["Error"]["Code"] == error


def test_an_error_inside_a_stream_is_an_exception_frame(client: Client) -> None:
    messages = [{"role": "user", "content": [{"text": "Hello [[error 2]]"}]}]
    stream = client().converse_stream(modelId=HAIKU, messages=messages)["stream"]
    with closing(stream), pytest.raises(EventStreamError, match="internalServerException"):
        list(stream)


def test_garbage_inside_a_stream_fails_its_checksum(client: Client) -> None:
    messages = [{"role": "user", "content": [{"text": "Hello [[malformed 2]]"}]}]
    stream = client().converse_stream(modelId=HAIKU, messages=messages)["stream"]
    with closing(stream), pytest.raises(ParserError, match=r"[Cc]hecksum"):
        list(stream)


def test_roles_are_assumed_and_their_keys_sign(bedrock: SimulatorProcess, client: Client) -> None:
    role = {"RoleArn": "arn:aws:iam::123456789012:role/bedrock", "RoleSessionName": "test"}
    sts = client("sts")
    keys = sts.assume_role_with_web_identity(**role, WebIdentityToken="eyJ.pod")["Credentials"]
    acting = client(
        aws_access_key_id=keys["AccessKeyId"],
        aws_secret_access_key=keys["SecretAccessKey"],
        aws_session_token=keys["SessionToken"],
    )
    acting.converse(modelId=HAIKU, messages=[HELLO])
    assert bedrock.bill()[-1]["credential"] == "token"
    assert sts.assume_role(**role)["Credentials"]["SessionToken"]
    with pytest.raises(ClientError, match="InvalidIdentityToken"):
        sts.assume_role_with_web_identity(**role, WebIdentityToken="eyJ.other")


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"aws_secret_access_key": "x" * 40}, "InvalidSignatureException"),
        ({"aws_access_key_id": "AKIAOTHEROTHEROTHER0"}, "UnrecognizedClientException"),
        ({"aws_session_token": "not-its-own"}, "UnrecognizedClientException"),
        ({"region_name": "eu-central-1"}, "InvalidSignatureException"),
    ],
)
def test_a_signature_that_is_not_right_is_refused(
    client: Client, options: dict[str, Any], error: str
) -> None:
    with pytest.raises(ClientError) as caught:
        client(**options).converse(modelId=HAIKU, messages=[HELLO])
    assert caught.value.response["Error"]["Code"] == error
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403


def turns(*contents: Any) -> dict[str, Any]:
    roles = ("user", "assistant")
    return {
        "messages": [
            {"role": roles[number % 2], "content": content}
            for number, content in enumerate(contents)
        ]
    }


TEXT: Any = [{"text": "Hello"}]
DOCUMENT: Any = {"format": "txt", "name": "a", "source": {"bytes": "QQ=="}}
TOOLS: Any = {"toolConfig": {"tools": [TOOL]}}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "assistant", "content": TEXT}]}, "must start with a user"),
        ({"messages": [HELLO, HELLO]}, "must alternate"),
        (turns([]), "is empty"),
        (turns([{"text": " "}]), "is blank"),
        (turns([{"text": "a", "image": {}}]), "messages"),
        (turns([{"text": "a"}, {"audio": {}}]), "Unknown parameter"),
        (turns([{"document": DOCUMENT}]), "no text beside it"),
        (turns([*TEXT, {"document": DOCUMENT}, {"document": DOCUMENT}]), "names of their own"),
        (turns([*TEXT, {"document": DOCUMENT | {"name": "a_b"}}]), "name"),
        (turns(TEXT, [{"image": {"format": "png", "source": {"bytes": PIXEL}}}]), "not allowed"),
        (turns([*TEXT, {"image": {"format": "png", "source": {"bytes": "QQ=="}}}]), "unsupported"),
        (turns(TEXT, [CALL], [RESULT]), "toolConfig field must be defined"),
        (turns(TEXT, [CALL], TEXT) | TOOLS, "Expected toolResult blocks"),
        (turns(TEXT, TEXT, [RESULT]) | TOOLS, "exceeds the number"),
        (turns([CALL]) | TOOLS, "not allowed"),
        (
            turns(
                TEXT,
                [CALL],
                [{"toolResult": {"toolUseId": "t_1", "content": [], "status": "error"}}],
            )
            | TOOLS,
            "cannot be empty when status",
        ),
        (turns(TEXT) | {"toolConfig": {"tools": [TOOL, TOOL]}}, "unique"),
        (turns(TEXT) | {"toolConfig": {"tools": [TOOL], "toolChoice": {"none": {}}}}, "none"),
        (
            turns(TEXT) | {"toolConfig": {"tools": [TOOL], "toolChoice": {"tool": {"name": "x"}}}},
            "not among the tools",
        ),
        (turns([{"cachePoint": {"type": "default"}}, *TEXT]), "first block"),
        (turns([*TEXT, *[{"cachePoint": {"type": "default"}}] * 5]), "maximum of 4"),
        (
            turns(
                [
                    *TEXT,
                    {"cachePoint": {"type": "default"}},
                    {"cachePoint": {"type": "default", "ttl": "1h"}},
                ]
            ),
            "must not come after",
        ),
        (turns(TEXT) | {"inferenceConfig": {"maxTokens": 0}}, "maxTokens"),
        (turns(TEXT) | {"inferenceConfig": {"maxTokens": 64_001}}, "exceeds the model limit"),
        (turns(TEXT) | {"inferenceConfig": {"temperature": 1.1}}, "temperature"),
        (turns(TEXT) | {"seed": 1}, "Unknown parameter"),
        (turns(TEXT) | {"additionalModelRequestFields": {"seed": 1}}, "extraneous key"),
        (
            turns(TEXT) | {"additionalModelRequestFields": {"thinking": {"type": "adaptive"}}},
            "not supported",
        ),
        (
            turns(TEXT)
            | {
                "additionalModelRequestFields": {
                    "thinking": {"type": "enabled", "budget_tokens": 2000}
                },
                "inferenceConfig": {"maxTokens": 1500},
            },
            "must be greater than",
        ),
        (
            turns(
                TEXT,
                [{"reasoningContent": {"reasoningText": {"text": "so", "signature": "forged"}}}],
                TEXT,
            ),
            "Invalid `signature`",
        ),
    ],
)
def test_a_request_that_breaks_a_rule_is_refused_and_costs_nothing(
    bedrock: SimulatorProcess, post: Callable[[Any], httpx.Response], body: Any, message: str
) -> None:
    before = len(bedrock.bill())
    answer = post(body)
    assert answer.status_code == 400
    assert answer.headers["x-amzn-errortype"] == "ValidationException"
    assert message in answer.json()["message"]
    assert len(bedrock.bill()) == before


@pytest.mark.parametrize("model", ["anthropic.claude-1", "a%2Fb"])
def test_a_model_that_is_not_there_is_told_so(
    post: Callable[[Any, str], httpx.Response], model: str
) -> None:
    assert post(turns(TEXT), model).json() == {
        "message": "The provided model identifier is invalid."
    }


def test_a_key_that_is_not_known_is_refused(bedrock: SimulatorProcess) -> None:
    for headers in ({}, {"authorization": "Bearer other"}, {"authorization": "AWS4-HMAC-SHA256 x"}):
        answer = httpx.post(
            f"{bedrock.base_url(HOST)}/model/{HAIKU}/converse",
            json=turns(TEXT),
            headers=headers,
            trust_env=False,
        )
        assert answer.status_code in (401, 403)
        assert set(answer.json()) == {"message"}
