"""Gemini on AI Studio and on Vertex, Azure OpenAI by key and by Entra: by official clients, through
a proxy that signs in with what a pod has, to providers that check it and write their own bill.
"""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from signalbox_simulator.process import SimulatorProcess
from support.company import PLATFORM, Company
from support.crossroads import LANES, lane, model
from support.market import Market
from support.oracle import Oracle
from support.running import running_up

STUDIO = "generativelanguage.googleapis.com"
VERTEX = "europe-west4-aiplatform.googleapis.com"
AZURE = "contoso.openai.azure.com"
ROBOT = "robot@shop.iam.gserviceaccount.com"
JUDGE = "judge@shop.iam.gserviceaccount.com"
PRO = {"price": {"input": "0.5", "cachedInput": "0.05", "output": "3"}}
SECRETS = {"gemini": "AIza-simulated", "azure": "azure-simulated", "pod": "the-pods-own-token"}
TOOL = {
    "name": "weather",
    "input_schema": {"type": "object", "properties": {"at": {"type": "string"}}},
}


def models(provider: SimulatorProcess) -> list[dict[str, Any]]:
    """A model for each way to a cloud."""
    newer = {"wireFormat": "gemini", "upstreamModel": "gemini-3-flash-preview", **PRO}
    mini = {"wireFormat": "openai", **LANES["openai"]}
    studio = provider.base_url(STUDIO) + "/v1beta"
    vertex = provider.base_url(VERTEX) + "/v1/projects/shop/locations/europe-west4"
    azure = provider.base_url(AZURE)
    ways = {
        "studio": newer | {"endpoint": studio, "auth": {"type": "apiKey", "key": "gemini"}},
        "stale": newer | {"endpoint": studio, "auth": {"type": "apiKey", "key": "stale"}},
        "vertex": newer | {"endpoint": vertex, "auth": {"type": "google"}},
        "vertex-acting": newer
        | {"endpoint": vertex, "auth": {"type": "google", "serviceAccount": JUDGE}},
        "vertex-unknown": newer
        | {"endpoint": vertex, "auth": {"type": "google", "key": "missing"}},
        "azure-deployment": mini
        | {
            "endpoint": azure,
            "apiVersion": "2024-10-21",
            "auth": {"type": "apiKey", "key": "azure"},
        },
        "azure-entra": mini
        | {
            "endpoint": azure + "/openai/v1",
            "auth": {"type": "azure", "tenant": "contoso", "client": "the-app"},
        },
    }
    return [
        *(model(name, lane("gemini", **{"name": name, **spec})) for name, spec in ways.items()),
        *(
            model(
                f"{first}-or-studio",
                *(lane("gemini", name=n, **ways[n]) for n in (first, "studio")),
            )
            for first in ("vertex-unknown", "stale")
        ),
    ]


@pytest.fixture(scope="module")
def clouds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Market]:
    folder = tmp_path_factory.mktemp("clouds")
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    robot = {"type": "service_account", "client_email": ROBOT, "private_key": key.decode()}
    secrets = SECRETS | {"robot": json.dumps(robot)}
    state = folder / "state"
    with SimulatorProcess(credentials=secrets, directory=state / "simulator") as provider:
        token_uri = provider.base_url("oauth2.googleapis.com") + "/token"
        (folder / "robot.json").write_text(json.dumps(robot | {"token_uri": token_uri}))
        (folder / "token").write_text(SECRETS["pod"])
        given = folder / "credentials"
        given.mkdir()
        for name in ("gemini", "azure"):
            (given / name).write_text(SECRETS[name])
        (given / "stale").write_text("AIza-of-last-year")
        company = Company(folder / "manifests")
        company.write(
            "all",
            *models(provider),
            company.domain("shop", PLATFORM, allowedNamespaces=["shop"]),
            company.agent("buyer", "shop", f"{PLATFORM}/shop"),
            company.budget("all", PLATFORM, {"usd": "1000"}, scope={"all": True}),
        )
        environment = {
            "GOOGLE_APPLICATION_CREDENTIALS": str(folder / "robot.json"),
            "GOOGLE_IAMCREDENTIALS_ENDPOINT": provider.base_url("iamcredentials.googleapis.com"),
            "AZURE_AUTHORITY_HOST": provider.base_url("login.microsoftonline.com"),
            "AZURE_FEDERATED_TOKEN_FILE": str(folder / "token"),
        }
        flags = ["--credentials", str(given), "--dev-key", "shop/buyer"]
        with running_up(
            folder, company.folder, flags, environment=environment, simulate=False
        ) as running:
            yield Market(company, running, Oracle(running.state), folder / "none")


@pytest.fixture
def chat(clouds: Market) -> Iterator[openai.OpenAI]:
    key = clouds.key("buyer")
    with openai.OpenAI(base_url=clouds.openai_url, api_key=key, max_retries=8) as made:
        yield made


@pytest.fixture
def claude(clouds: Market) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(
        base_url=clouds.url, api_key=clouds.key("buyer"), max_retries=8
    ) as made:
        yield made


def charged_right(clouds: Market, headers: Any, host: str) -> dict[str, Any]:
    """The provider's line of the run's only answer, once the ledger says the same of it."""
    run_id = headers["x-signalbox-run-id"]
    line = clouds.attempts_of([run_id])[-1]
    assert line.host == host
    assert line.settlement == "usage"
    assert line.bill_pico > 0
    line.assert_right()
    return next(each for each in clouds.oracle.bill() if each["request_id"] == line.request_id)


WAYS = [
    ("studio", STUDIO, "gemini"),
    ("vertex", VERTEX, ROBOT),
    ("vertex-acting", VERTEX, JUDGE),
    ("azure-deployment", AZURE, "azure"),
    ("azure-entra", AZURE, "the-app"),
]


@pytest.mark.parametrize(("name", "host", "who"), WAYS)
def test_each_way_to_a_cloud_answers_and_is_charged_by_the_bill(
    clouds: Market, chat: openai.OpenAI, name: str, host: str, who: str
) -> None:
    raw = chat.chat.completions.with_raw_response.create(
        model=name, messages=[{"role": "user", "content": "Hello"}], max_completion_tokens=400
    )
    assert raw.parse().choices[0].message.content
    billed = charged_right(clouds, raw.headers, host)
    assert billed["credential"] == who


@pytest.mark.parametrize(("name", "host", "who"), WAYS)
def test_each_way_to_a_cloud_streams(
    clouds: Market, claude: anthropic.Anthropic, name: str, host: str, who: str
) -> None:
    asked: list[Any] = [{"role": "user", "content": "Hello"}]
    with claude.messages.stream(model=name, messages=asked, max_tokens=400) as stream:
        text = "".join(stream.text_stream)
        message = stream.get_final_message()
    assert text
    assert message.stop_reason == "end_turn"
    billed = charged_right(clouds, stream.response.headers, host)
    assert billed["stream"]
    assert billed["credential"] == who
    assert billed["usage"]["output"] == message.usage.output_tokens


@pytest.mark.parametrize("streamed", [False, True])
def test_a_thought_signature_travels_with_its_call_through_a_client_of_another_vendor(
    clouds: Market, claude: anthropic.Anthropic, streamed: bool
) -> None:
    question = {"role": "user", "content": "Oslo and Rome?"}
    to_be_called = {"role": "user", "content": "Oslo and Rome? [[tool 2]]"}

    def ask(*messages: Any) -> Any:
        request: dict[str, Any] = {"model": "studio", "max_tokens": 900, "tools": [TOOL]}
        request["thinking"] = {"type": "adaptive"}
        if not streamed:
            return claude.messages.create(messages=list(messages), **request)
        with claude.messages.stream(messages=list(messages), **request) as stream:
            return stream.get_final_message()

    first = ask(to_be_called)
    kinds = [block.type for block in first.content]
    assert kinds == ["thinking", "tool_use", "tool_use"]
    signature = first.content[0].signature.rpartition(".")[2]
    assert base64.b64decode(signature).startswith(b"signed ")
    results = [
        {"type": "tool_result", "tool_use_id": block.id, "content": "rain"}
        for block in first.content[1:]
    ]
    said = {"role": "assistant", "content": [block.model_dump() for block in first.content]}
    last = ask(question, said, {"role": "user", "content": results})
    assert last.stop_reason == "end_turn"
    said["content"][0]["signature"] = "sb1.gemini." + base64.b64encode(b"forged").decode()
    with pytest.raises(anthropic.BadRequestError, match="Thought signature is not valid"):
        ask(question, said, {"role": "user", "content": results})


@pytest.mark.parametrize("name", ["vertex-unknown-or-studio", "stale-or-studio"])
def test_a_lane_whose_sign_in_or_key_is_no_good_fails_over_to_one_that_is(
    clouds: Market, chat: openai.OpenAI, name: str
) -> None:
    raw = chat.chat.completions.with_raw_response.create(
        model=name, messages=[{"role": "user", "content": "Hello"}]
    )
    charged_right(clouds, raw.headers, STUDIO)


@pytest.mark.parametrize(("name", "told"), [("vertex-unknown", "signed in"), ("stale", "key")])
def test_a_lane_whose_sign_in_or_key_is_no_good_says_so_and_costs_nothing(
    clouds: Market, chat: openai.OpenAI, name: str, told: str
) -> None:
    before = len(clouds.oracle.bill())
    asking = chat.with_options(max_retries=0).chat.completions
    with pytest.raises(openai.InternalServerError, match=told):
        asking.create(model=name, messages=[{"role": "user", "content": "Hello"}])
    assert len(clouds.oracle.bill()) == before


@pytest.mark.parametrize("directive", ["[[block]]", "[[withhold]]"])
def test_what_a_filter_withheld_is_told_as_that_and_its_bill_is_charged(
    clouds: Market, chat: openai.OpenAI, directive: str
) -> None:
    raw = chat.chat.completions.with_raw_response.create(
        model="studio", messages=[{"role": "user", "content": f"Hello {directive}"}]
    )
    (choice,) = raw.parse().choices
    assert choice.finish_reason == "content_filter"
    assert not choice.message.content
    charged_right(clouds, raw.headers, STUDIO)


def test_thinking_lies_within_the_limit_and_is_charged_as_output(
    clouds: Market, chat: openai.OpenAI
) -> None:
    raw = chat.chat.completions.with_raw_response.create(
        model="studio",
        messages=[{"role": "user", "content": "Hello"}],
        reasoning_effort="high",
        max_completion_tokens=100,
    )
    usage = raw.parse().usage
    assert usage is not None
    assert usage.completion_tokens == 100
    assert usage.completion_tokens_details is not None
    assert usage.completion_tokens_details.reasoning_tokens == 96
    billed = charged_right(clouds, raw.headers, STUDIO)
    assert billed["usage"]["output"] == 100


def test_no_secret_of_any_cloud_is_in_what_the_installation_wrote(clouds: Market) -> None:
    state = clouds.running.state
    written: list[Path] = [
        path
        for path in state.rglob("*")
        if path.is_file() and "simulator" not in path.parts and "dev-keys" not in path.parts
    ]
    written.append(state.parent / "up.stderr")
    robot = json.loads((state.parent / "robot.json").read_text())["private_key"].splitlines()
    for path in written:
        data = path.read_bytes()
        for secret in (each.encode() for each in (*SECRETS.values(), robot[5])):
            assert secret not in data, f"{path.name} has a secret"


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_google_s_signature_goes_with_its_call_through_a_client_of_chat_completions(
    chat: openai.OpenAI, stream: bool
) -> None:
    """As in Google's own interface for such clients: beside the call, sent back with it."""
    tool: Any = {
        "type": "function",
        "function": {"name": TOOL["name"], "parameters": TOOL["input_schema"]},
    }
    asked: list[Any] = [{"role": "user", "content": "And the weather? [[tool]]"}]
    if stream:
        chunks = chat.chat.completions.create(
            model="studio", messages=asked, tools=[tool], stream=True
        )
        deltas = [each.choices[0].delta for each in chunks if each.choices]
        pieces = [call.model_dump() for delta in deltas for call in delta.tool_calls or ()]
        call = pieces[0] | {"function": pieces[0]["function"] | {"arguments": ""}}
        for piece in pieces:
            call["function"]["arguments"] += piece["function"]["arguments"] or ""
        del call["index"]
    else:
        whole = chat.chat.completions.create(model="studio", messages=asked, tools=[tool])
        (found,) = whole.choices[0].message.tool_calls or ()
        call = found.model_dump()
    signature = call["extra_content"]["google"]["thought_signature"]
    assert base64.b64decode(signature).startswith(b"signed ")
    result = {"role": "tool", "tool_call_id": call["id"], "content": "Rain."}
    said = [*asked, {"role": "assistant", "content": None, "tool_calls": [call]}, result]
    assert chat.chat.completions.create(model="studio", messages=said, tools=[tool]).choices
    elsewhere = chat.chat.completions.create(model="azure-deployment", messages=said, tools=[tool])
    assert elsewhere.choices, "a strict server of another vendor is sent the call without it"
    forged = base64.b64encode(b"forged").decode()
    call["extra_content"]["google"]["thought_signature"] = forged
    with pytest.raises(openai.BadRequestError, match="Thought signature is not valid"):
        chat.chat.completions.create(model="studio", messages=said, tools=[tool])
