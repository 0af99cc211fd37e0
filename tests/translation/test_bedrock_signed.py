"""Lanes to Bedrock that sign in as a pod does: keys by web identity, every call signed.

Real processes: the official OpenAI client, the proxy, the simulated Bedrock with its token service,
which checks each signature against what came over the wire.
"""

from collections.abc import Iterator
from typing import Any

import anthropic
import openai
import pytest

from signalbox_simulator.process import SimulatorProcess
from support.company import PLATFORM, Company, manifest
from support.market import Market
from support.oracle import Oracle
from support.running import running_up

BEDROCK, STS = "bedrock-runtime.us-east-1.amazonaws.com", "sts.us-east-1.amazonaws.com"
ROLE = "arn:aws:iam::123456789012:role/signalbox"
PAIR = "AKIAIOSFODNN7EXAMPLE:wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
TOKEN = "eyJ.of-the-pod"
ASK: list[Any] = [{"role": "user", "content": "What is a bond ladder?"}]
TOOL: Any = {
    "name": "weather",
    "input_schema": {"type": "object", "properties": {"place": {"type": "string"}}},
}
AUTH = {
    "by-pod": {"type": "aws", "region": "us-east-1"},
    "by-role": {"type": "aws", "region": "us-east-1", "key": "pair", "role": ROLE},
    "by-pair": {"type": "aws", "region": "us-east-1", "key": "pair"},
    "by-key": {"type": "apiKey", "key": "bedrock"},
    "elsewhere": {"type": "aws", "region": "eu-central-1"},
    "no-model": {"type": "aws", "region": "us-east-1"},
    "stranger": {"type": "aws", "region": "us-east-1", "key": "stranger"},
}


def model(name: str, endpoint: str) -> dict[str, Any]:
    lane = {
        "name": "us",
        "class": "public",
        "provider": "bedrock",
        "wireFormat": "bedrock",
        "upstreamModel": "us.anthropic.claude-haiku-4-5-20251001-v1:0"
        if name != "no-model"
        else "us.anthropic.claude-that-was-v1:0",
        "endpoint": endpoint,
        "auth": AUTH[name],
        "region": "us-east-1",
        "jurisdiction": "US",
        "maxSensitivity": "regulated",
    }
    fields = {
        "tokenizer": "estimate",
        "capabilities": ["chat", "tools", "reasoning", "promptCaching"],
        "limits": {
            "contextTokens": 200_000,
            "maxOutputTokens": 64_000,
            "defaultOutputTokens": 300,
        },
        "quality": {"default": "0.80"},
        "price": {
            "input": "1",
            "cachedInput": "0.10",
            "output": "5",
            "cacheWrite": {"5m": "1.25", "1h": "2"},
        },
        "lanes": [lane],
    }
    return manifest("Model", PLATFORM, name, fields)


@pytest.fixture(scope="module")
def signed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Market]:
    folder = tmp_path_factory.mktemp("signed")
    keys = {"pod": TOKEN, "pair": PAIR, "bedrock": "ABSK-simulated"}
    with SimulatorProcess(credentials=keys, directory=folder / "state" / "simulator") as provider:
        own = folder / "credentials"
        own.mkdir()
        stranger = PAIR.replace("EXAMPLEKEY", "OTHERKEY00")
        for name, value in {**keys, "stranger": stranger}.items():
            (own / name).write_text(value)
        (folder / "token").write_text(TOKEN)
        company = Company(folder / "manifests")
        company.write(
            "all",
            *(model(name, provider.base_url(BEDROCK)) for name in AUTH),
            company.domain("shop", PLATFORM, allowedNamespaces=["shop"]),
            company.agent("buyer", "shop", f"{PLATFORM}/shop"),
            company.budget("all", PLATFORM, {"usd": "1000"}, scope={"all": True}),
        )
        environment = {
            "AWS_WEB_IDENTITY_TOKEN_FILE": str(folder / "token"),
            "AWS_ROLE_ARN": ROLE,
            "AWS_ENDPOINT_URL_STS": provider.base_url(STS),
        }
        flags = ["--credentials", str(own), "--dev-key", "shop/buyer"]
        with running_up(
            folder, company.folder, flags, environment=environment, simulate=False
        ) as running:
            yield Market(company, running, Oracle(running.state), folder / "none")


@pytest.fixture
def chat(signed: Market) -> Iterator[openai.OpenAI]:
    """A client that waits for a sign-in that is still under way."""
    key = signed.key("buyer")
    with openai.OpenAI(base_url=signed.openai_url, api_key=key, max_retries=8) as made:
        yield made


@pytest.fixture
def claude(signed: Market) -> Iterator[anthropic.Anthropic]:
    key = signed.key("buyer")
    with anthropic.Anthropic(base_url=signed.url, api_key=key, max_retries=8) as made:
        yield made


def billed(signed: Market, headers: Any) -> dict[str, Any]:
    """The provider's line of a run's only answer, once the ledger says the same of it."""
    (line,) = signed.attempts_of([headers["x-signalbox-run-id"]])
    assert line.settlement == "usage"
    assert line.bill_pico > 0
    line.assert_right()
    return next(each for each in signed.oracle.bill() if each["request_id"] == line.request_id)


@pytest.mark.parametrize(
    ("name", "credential"),
    [("by-pod", "pod"), ("by-role", "pair"), ("by-pair", "pair"), ("by-key", "bedrock")],
)
@pytest.mark.parametrize("streamed", [False, True])
def test_a_call_is_signed_answered_and_charged_as_billed(
    signed: Market, chat: openai.OpenAI, name: str, credential: str, streamed: bool
) -> None:
    asked = chat.chat.completions.with_raw_response.create(
        model=name, messages=ASK, stream=streamed
    )
    answer = asked.parse()
    text = (
        "".join(chunk.choices[0].delta.content or "" for chunk in answer if chunk.choices)
        if isinstance(answer, openai.Stream)
        else answer.choices[0].message.content or ""
    )
    assert text.strip()
    assert billed(signed, asked.headers)["credential"] == credential


@pytest.mark.parametrize("name", ["stranger", "elsewhere", "no-model"])
def test_what_a_lane_itself_has_wrong_costs_nothing_and_is_no_fault_of_the_client(
    signed: Market, chat: openai.OpenAI, name: str
) -> None:
    before = len(signed.oracle.bill())
    asking = chat.with_options(max_retries=0).chat.completions
    with pytest.raises(openai.InternalServerError):
        asking.create(model=name, messages=ASK)
    assert len(signed.oracle.bill()) == before


@pytest.mark.parametrize("streamed", [False, True])
def test_what_was_thought_goes_back_to_bedrock_with_its_signature_and_no_other(
    claude: anthropic.Anthropic, streamed: bool
) -> None:
    def ask(*messages: Any) -> Any:
        request: dict[str, Any] = {"model": "by-pod", "max_tokens": 3000, "tools": [TOOL]}
        request["thinking"] = {"type": "enabled", "budget_tokens": 1024}
        if not streamed:
            return claude.messages.create(messages=list(messages), **request)
        with claude.messages.stream(messages=list(messages), **request) as stream:
            return stream.get_final_message()

    first = ask({"role": "user", "content": "Oslo and Rome? [[tool 2]]"})
    assert [block.type for block in first.content] == ["thinking", "tool_use", "tool_use"]
    results = [
        {"type": "tool_result", "tool_use_id": block.id, "content": "rain"}
        for block in first.content[1:]
    ]
    question = {"role": "user", "content": "Oslo and Rome?"}
    said = {"role": "assistant", "content": [block.model_dump() for block in first.content]}
    told = {"role": "user", "content": results}
    assert ask(question, said, told).stop_reason == "end_turn"
    said["content"][0]["signature"] = "sb1.bedrock.Zm9yZ2Vk"
    with pytest.raises(anthropic.BadRequestError, match="Invalid `signature`"):
        ask(question, said, told)


def test_what_a_cache_point_wrote_and_read_is_told_and_charged_at_its_price(
    signed: Market, claude: anthropic.Anthropic
) -> None:
    contract: Any = {
        "type": "text",
        "text": "The parties agree on this and that. " * 1000,
        "cache_control": {"type": "ephemeral", "ttl": "1h"},
    }
    told = []
    for _ in range(2):
        raw = claude.messages.with_raw_response.create(
            model="by-pod", max_tokens=50, system=[contract], messages=ASK
        )
        bill = billed(signed, raw.headers)["usage"]
        usage = raw.parse().usage
        assert usage.input_tokens == bill["input"]
        assert usage.cache_read_input_tokens == bill["cached_input"]
        assert usage.cache_creation_input_tokens == bill["cache_write_1h"]
        told.append((bill["cache_write_1h"], bill["cached_input"]))
    (written, nothing), (nothing_again, read) = told
    assert written == read > 4096
    assert nothing == nothing_again == 0


def test_no_log_tells_a_secret(signed: Market, chat: openai.OpenAI) -> None:
    chat.chat.completions.create(model="by-pod", messages=ASK)
    logs = list(signed.running.state.rglob("*.log"))
    assert logs
    told = "".join(path.read_text() for path in logs)
    for secret in (TOKEN, PAIR.partition(":")[2], "ABSK-simulated"):
        assert secret not in told
