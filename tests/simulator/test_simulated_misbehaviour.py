"""The simulated provider fails when told to, and bills what a real one would."""

import json
import socket
import time
from pathlib import Path

import httpx
import pytest

from signalbox_simulator.process import SimulatorProcess
from support.provider import ANTHROPIC, KEYS, OPENAI, OPENAI_EU, VLLM, Provider

LLAMA = "llama-3.3-70b-instruct"


def llama(text: str, **more: object) -> dict[str, object]:
    return {"model": LLAMA, "messages": [{"role": "user", "content": text}]} | more


def eventually_billed(provider: Provider, lines: int) -> dict[str, object]:
    """Waits until the bill has that many lines."""
    deadline = time.monotonic() + 60
    while len(provider.process.bill()) < lines:
        assert time.monotonic() < deadline, "the bill did not grow"
        time.sleep(0.01)
    return provider.last()


@pytest.mark.parametrize("status", [429, 500, 503, 529])
def test_a_told_status_comes_in_the_providers_shape_and_bills_nothing(
    provider: Provider, status: int
) -> None:
    provider.process.behave({"status": status, "retry_after": 7})
    before = len(provider.process.bill())
    chat = provider.chat(llama("Hello"), host=VLLM)
    messages = provider.messages(
        {
            "model": "claude-haiku-4-5",
            "max_tokens": 5,
            "messages": [{"role": "user", "content": "Hi"}],
        }
    )
    assert chat.status_code == messages.status_code == status
    assert chat.headers["retry-after"] == messages.headers["retry-after"] == "7"
    assert set(chat.json()["error"]) == {"message", "type", "param", "code"}
    assert messages.json()["type"] == "error"
    assert len(provider.process.bill()) == before


def test_next_fails_so_many_times_and_recovers(provider: Provider) -> None:
    provider.process.behave({"host": VLLM, "status": 503, "next": 2})
    codes = [provider.chat(llama("Hello"), host=VLLM).status_code for _ in range(4)]
    assert codes == [503, 503, 200, 200]


def test_probability_is_repeatable(provider: Provider) -> None:
    runs = []
    for _ in range(2):
        provider.process.behave({"status": 500, "probability": 0.4})
        runs.append([provider.chat(llama("Hello"), host=VLLM).status_code for _ in range(30)])
    assert runs[0] == runs[1]
    assert {200, 500} == set(runs[0])


def test_a_rule_touches_its_own_host_only(provider: Provider) -> None:
    provider.process.behave({"host": OPENAI, "status": 503})
    body = {"model": "gpt-5-nano", "messages": [{"role": "user", "content": "Hello"}]}
    assert provider.chat(body).status_code == 503
    assert provider.chat(body, host=OPENAI_EU).status_code == 200


def test_an_error_may_come_from_a_machine_in_between(provider: Provider) -> None:
    provider.process.behave({"status": 502, "error_body": "html"})
    answer = provider.chat(llama("Hello"), host=VLLM)
    assert answer.headers["content-type"].startswith("text/html")
    provider.process.behave({"status": 502, "error_body": "empty"})
    assert provider.chat(llama("Hello"), host=VLLM).content == b""


def test_usage_can_be_left_out_but_not_off_the_bill(provider: Provider) -> None:
    body = llama("Hello [[omit-usage]]")
    assert "usage" not in provider.chat(body, host=VLLM).json()
    assert provider.last()["usage"]["output"] > 0
    body |= {"stream": True, "stream_options": {"include_usage": True}}
    text = provider.chat(body, host=VLLM).text
    assert '"usage":{' not in text
    assert text.endswith("data: [DONE]\n\n")


def test_directives_shape_the_answer(provider: Provider) -> None:
    usage = provider.chat(llama("Hello [[tokens 40]]"), host=VLLM).json()["usage"]
    assert usage["completion_tokens"] == 40
    assert provider.chat(llama("Hello [[status 503]]"), host=VLLM).status_code == 503
    started = time.monotonic()
    assert provider.chat(llama("Hello [[slow 150]]"), host=VLLM).status_code == 200
    assert time.monotonic() - started >= 0.15
    assert provider.chat(llama("An array is a[[0]] [[odd 5]]"), host=VLLM).status_code == 200


def test_a_directive_counts_only_in_the_last_user_message(provider: Provider) -> None:
    turns = [
        {"role": "user", "content": "[[status 500]]"},
        {"role": "assistant", "content": "Sorry"},
        {"role": "user", "content": "Again?"},
    ]
    assert provider.chat({"model": LLAMA, "messages": turns}, host=VLLM).status_code == 200


@pytest.mark.parametrize("reset", ["before_head", "after_head", "before_end"])
@pytest.mark.parametrize("stream", [False, True])
def test_a_reset_leaves_the_client_without_an_answer(
    provider: Provider, reset: str, stream: bool
) -> None:
    provider.process.behave({"reset": reset})
    with pytest.raises(httpx.TransportError):
        provider.chat(llama("Hello", stream=stream), host=VLLM)
    provider.process.behave()
    assert provider.chat(llama("Hello"), host=VLLM).status_code == 200


@pytest.mark.parametrize(("bill", "lines"), [(None, 0), ("none", 0), ("full", 1), ("generated", 1)])
def test_a_hanging_provider_bills_only_what_it_was_told(
    provider: Provider, bill: str | None, lines: int
) -> None:
    provider.process.behave({"hang": True} | ({"bill": bill} if bill else {}))
    before = len(provider.process.bill())
    with pytest.raises(httpx.ReadTimeout):
        provider.http.post(
            f"/{VLLM}/v1/chat/completions", json=llama("Hello"), timeout=httpx.Timeout(1.5)
        )
    eventually_billed(provider, before + lines)
    assert len(provider.process.bill()) == before + lines


@pytest.mark.parametrize("bill", ["none", "generated", "full"])
def test_a_stream_cut_by_the_provider_bills_as_told(provider: Provider, bill: str) -> None:
    full = provider.chat(llama("Hello"), host=VLLM).json()["usage"]["completion_tokens"]
    provider.process.behave({"cut_after_chunks": 5, "chunk_tokens": 2, "bill": bill})
    before = len(provider.process.bill())
    got = bytearray()

    def receive() -> None:
        body = llama("Hello", stream=True)
        path = f"/{VLLM}/v1/chat/completions"
        with provider.http.stream("POST", path, json=body) as stream:
            for data in stream.iter_raw():
                got.extend(data)

    with pytest.raises(httpx.TransportError):
        receive()
    assert b"[DONE]" not in got
    lines = provider.process.bill()[before:]
    expected = {"none": [], "generated": [8], "full": [full]}[bill]
    assert [line["usage"]["output"] for line in lines] == expected


def test_an_error_in_mid_stream_is_told_in_a_frame(provider: Provider) -> None:
    text = provider.chat(llama("Hello [[error 3]]", stream=True), host=VLLM).text
    frames = [json.loads(frame.removeprefix("data: ")) for frame in text.strip().split("\n\n")]
    assert "error" in frames[-1]
    assert all("choices" in frame for frame in frames[:-1])


def test_a_malformed_chunk_is_really_malformed(provider: Provider) -> None:
    text = provider.chat(llama("Hello [[malformed 2]]", stream=True), host=VLLM).text
    broken = 0
    for frame in text.strip().split("\n\n"):
        try:
            json.loads(frame.removeprefix("data: "))
        except ValueError:
            broken += frame != "data: [DONE]"
    assert broken == 1
    assert text.endswith("data: [DONE]\n\n")


def test_overshoot_breaks_the_output_limit_and_is_billed(provider: Provider) -> None:
    answer = provider.chat(llama("Hello [[overshoot 25]]", max_tokens=10), host=VLLM)
    assert answer.json()["usage"]["completion_tokens"] == 35
    assert provider.last()["usage"]["output"] == 35


def raw_stream(provider: Provider, body: dict[str, object]) -> socket.socket:
    """Opens a stream on a bare socket, so that the test decides when to leave."""
    content = json.dumps(body).encode()
    port = int(provider.process.url.rpartition(":")[2])
    connection = socket.create_connection(("127.0.0.1", port), timeout=60)
    connection.sendall(
        f"POST /{VLLM}/v1/chat/completions HTTP/1.1\r\nhost: x\r\n"
        f"content-type: application/json\r\ncontent-length: {len(content)}\r\n\r\n".encode()
        + content
    )
    return connection


@pytest.mark.parametrize("chunks", [1, 3, 10])
def test_a_stream_cut_by_the_client_is_billed_for_what_was_generated(
    provider: Provider, chunks: int
) -> None:
    provider.process.behave({"chunk_ms": 20, "chunk_tokens": 1, "tokens": 2000})
    before = len(provider.process.bill())
    with raw_stream(provider, llama("Hello", stream=True)) as connection:
        seen = b""
        while seen.count(b"data: ") < chunks:
            seen += connection.recv(65536)
    line = eventually_billed(provider, before + 1)
    usage = line["usage"]
    assert line["cut"] is True
    assert usage["input"] > 0
    assert chunks - 1 <= usage["output"] < 2000


def test_a_client_that_stays_to_the_end_is_never_marked_as_cut(provider: Provider) -> None:
    before = len(provider.process.bill())
    for _ in range(20):
        text = provider.chat(llama("Hello", stream=True), host=VLLM).text
        assert text.endswith("data: [DONE]\n\n")
    lines = provider.process.bill()[before:]
    assert len(lines) == 20
    assert not any(line["cut"] for line in lines)


def test_a_behaviour_file_acts_as_soon_as_it_changes(tmp_path: Path) -> None:
    rules = tmp_path / "behaviour.yaml"
    rules.write_text("rules: [{model: gpt-5-nano, status: 503}]")
    with (
        SimulatorProcess(credentials=KEYS, behaviour=rules) as process,
        httpx.Client(base_url=process.url, trust_env=False) as http,
    ):
        provider = Provider(process, http)
        body = {"model": "gpt-5-nano", "messages": [{"role": "user", "content": "Hello"}]}
        assert provider.chat(body).status_code == 503
        rules.write_text("rules: [{model: gpt-5-nano, status: 418}]  # longer")
        assert provider.chat(body).status_code == 418
        rules.write_text("rules: [this is no rule")
        assert provider.chat(body).status_code == 418
        rules.write_text("rules: []")
        assert provider.chat(body).status_code == 200


def test_the_control_endpoint_wants_its_token(provider: Provider) -> None:
    answer = provider.http.post("/_simulator/behaviour", json={"rules": []})
    assert answer.status_code == 401
    token = {"authorization": f"Bearer {provider.process._token}"}
    bad = provider.http.post(
        "/_simulator/behaviour", json={"rules": [{"statsu": 500}]}, headers=token
    )
    assert bad.status_code == 400
    assert "statsu" in bad.json()["error"]
    assert provider.http.delete("/_simulator/behaviour", headers=token).json() == {"rules": 0}


def test_stats_prove_that_a_host_saw_no_byte(provider: Provider) -> None:
    before = provider.process.stats().get(OPENAI_EU, {"requests": 0, "bytes": 0})
    provider.chat(llama("Hello"), host=VLLM)
    after = provider.process.stats()
    assert after.get(OPENAI_EU, {"requests": 0, "bytes": 0})["bytes"] == before["bytes"]
    assert after[VLLM]["bytes"] > 0
    assert provider.process.seen([ANTHROPIC, "nowhere.example"]) >= 0
