"""The bill is usage times the sheet, complete, durable and readable."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path

import httpx
import pytest
import yaml
from click.testing import CliRunner

from signalbox_simulator.bill import Bill, main, read, total_pico_usd, written_usd
from signalbox_simulator.process import SimulatorProcess
from signalbox_simulator.sheet import DEFAULT_SHEET, Sheet, Usage, amount_pico_usd, load
from support.provider import ANTHROPIC, KEYS, OPENAI, OPENAI_EU, VLLM, Provider

LLAMA = {"model": "llama-3.3-70b-instruct", "messages": [{"role": "user", "content": "Hello"}]}
METERS = ("input", "cached_input", "cache_write_5m", "cache_write_1h", "output")


def recomputed(line: dict[str, object]) -> int:
    """The amount of a line, worked out from the YAML file by other means than the simulator's."""
    sheet = yaml.safe_load(DEFAULT_SHEET.read_text())
    model = sheet["models"][line["model"]]
    prices = model["usd_per_million"]
    threshold = model.get("long_context", {}).get("above_input_tokens")
    if threshold and sum(line["usage"][m] for m in METERS[:-1]) > threshold:
        prices = model["long_context"]["usd_per_million"]
    factor = Fraction(sheet["hosts"][line["host"]].get("multiplier", "1"))
    factor *= Fraction(model.get("service_tiers", {}).get(line["service_tier"], "1"))
    total = sum(line["usage"][m] * Fraction(prices.get(m, "0")) for m in METERS)
    pico = total * factor * 10**6
    return -(-pico.numerator // pico.denominator)


def test_every_line_of_the_bill_is_usage_times_the_sheet(provider: Provider) -> None:
    body = {"model": "gpt-5-nano", "messages": [{"role": "user", "content": "Hello " * 2000}]}
    for host in (OPENAI, OPENAI_EU):
        for tier in ("default", "flex"):
            for stream in (False, True):
                more = {"service_tier": tier, "stream": stream}
                assert provider.chat(body | more, host=host).status_code == 200
    provider.post(
        f"/{OPENAI}/v1/embeddings", {"model": "text-embedding-3-small", "input": ["a", "b"]}
    )
    marked = {
        "type": "text",
        "text": "clause " * 6000,
        "cache_control": {"type": "ephemeral", "ttl": "1h"},
    }
    for _ in range(2):
        turn = {"role": "user", "content": "Hi"}
        provider.messages(
            {"model": "claude-haiku-4-5", "max_tokens": 9, "system": [marked], "messages": [turn]}
        )
    lines = provider.process.bill()
    assert len(lines) >= 11
    for line in lines:
        assert line["amount_pico_usd"] == recomputed(line), line
    assert provider.process.total_pico == sum(recomputed(line) for line in lines)


def test_the_answers_usage_is_the_bills_usage(provider: Provider) -> None:
    usage = provider.chat(LLAMA, host=VLLM).json()["usage"]
    billed = provider.last()["usage"]
    assert usage["prompt_tokens"] == billed["input"] + billed["cached_input"]
    assert usage["completion_tokens"] == billed["output"]


def test_a_line_names_the_credential_but_never_its_secret(provider: Provider) -> None:
    headers = {"x-signalbox-attempt": "a-17", "x-request-id": "r-4"}
    body = {"model": "gpt-5-nano", "messages": LLAMA["messages"]}
    provider.post(f"/{OPENAI}/v1/chat/completions", body, headers=headers)
    line = provider.last()
    assert line["credential"] == "openai"
    assert line["correlation"] == headers
    assert KEYS["openai"] not in json.dumps(line)


def test_an_answer_is_on_the_bill_before_its_end_reaches_the_client(provider: Provider) -> None:
    before = len(provider.process.bill())
    for number in range(1, 31):
        body = LLAMA | {"stream": bool(number % 2)}
        provider.chat(body, host=VLLM)
        assert len(provider.process.bill()) == before + number


def test_nothing_is_lost_or_doubled_under_concurrency(provider: Provider) -> None:
    before = len(provider.process.bill())

    def ask(number: int) -> tuple[str, int]:
        turn = {"role": "user", "content": f"Question {number}"}
        answer = provider.chat(LLAMA | {"messages": [turn]}, host=VLLM)
        return answer.headers["x-request-id"], answer.json()["usage"]["completion_tokens"]

    with ThreadPoolExecutor(16) as pool:
        answers = dict(pool.map(ask, range(200)))
    lines = provider.process.bill()[before:]
    assert {line["request_id"]: line["usage"]["output"] for line in lines} == answers
    assert len(lines) == 200


def test_a_killed_provider_has_billed_all_that_it_answered() -> None:
    with SimulatorProcess(credentials=KEYS) as process:
        with httpx.Client(base_url=process.url, trust_env=False) as http:
            for _ in range(5):
                http.post(f"/{VLLM}/v1/chat/completions", json=LLAMA).raise_for_status()
        assert process.stop(kill=True) == -signal.SIGKILL
        assert len(process.bill()) == 5


def test_a_stream_that_a_stop_interrupts_is_billed_as_far_as_it_came(tmp_path: Path) -> None:
    with (
        SimulatorProcess(credentials=KEYS, directory=tmp_path) as process,
        httpx.Client(base_url=process.url, trust_env=False) as http,
    ):
        turn = {"role": "user", "content": "[[chunk 50]] [[tokens 2000]]"}
        body = LLAMA | {"messages": [turn], "stream": True}
        with http.stream("POST", f"/{VLLM}/v1/chat/completions", json=body) as stream:
            next(stream.iter_raw())
            assert process.stop() == 0
    (line,) = read(tmp_path / "bill.jsonl")
    assert line["cut"] is True
    assert 0 <= line["usage"]["output"] < 2000


def test_the_bill_survives_a_restart_and_goes_on(tmp_path: Path) -> None:
    for expected in (1, 2):
        with SimulatorProcess(credentials=KEYS, directory=tmp_path) as process:
            httpx.post(
                f"{process.url}/{VLLM}/v1/chat/completions", json=LLAMA, trust_env=False
            ).raise_for_status()
            assert len(process.bill()) == expected


def test_a_torn_last_line_is_left_out(tmp_path: Path) -> None:
    bill = tmp_path / "bill.jsonl"
    line = {"host": "h", "model": "m", "amount_pico_usd": 1_500_000_000_000}
    bill.write_text(json.dumps(line) + "\n" + json.dumps(line)[:20])
    assert total_pico_usd(bill) == 1_500_000_000_000


@pytest.mark.parametrize("torn", [b"", b'{"host": "h"', b"x" * 10_000])
@pytest.mark.parametrize("whole", [b"", b'{"amount_pico_usd":1}\n', b'{"a":1}\n{"b":2}\n'])
def test_a_restart_cuts_a_torn_line_and_nothing_else(
    tmp_path: Path, whole: bytes, torn: bytes
) -> None:
    path = tmp_path / "bill.jsonl"
    path.write_bytes(whole + torn)
    Bill(path).close()
    assert path.read_bytes() == whole


def test_a_provider_that_cannot_write_its_bill_answers_nothing_more(tmp_path: Path) -> None:
    (tmp_path / "bill.jsonl").symlink_to("/dev/full")
    with (
        SimulatorProcess(credentials=KEYS, directory=tmp_path, durable=False) as process,
        httpx.Client(base_url=process.url, trust_env=False) as http,
    ):
        with pytest.raises(httpx.TransportError):
            http.post(f"/{VLLM}/v1/chat/completions", json=LLAMA)
        assert process.stop() == 1


def test_a_port_that_is_taken_is_said_so(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        command = [sys.executable, "-m", "signalbox_simulator"]
        command += ["--port", str(taken.getsockname()[1]), "--credentials", str(tmp_path)]
        command += ["--bill", str(tmp_path / "bill.jsonl")]
        environment = dict(os.environ) | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        ended = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=90)
    assert ended.returncode == 1
    assert "cannot listen on 127.0.0.1" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_the_bill_is_printed_by_host_and_model(tmp_path: Path) -> None:
    bill = tmp_path / "bill.jsonl"
    lines = [
        {"host": "a.example", "model": "m", "amount_pico_usd": 1},
        {"host": "a.example", "model": "m", "amount_pico_usd": 2_000_000_000_000},
        {"host": "b.example", "model": "m", "amount_pico_usd": 500_000_000_000},
    ]
    bill.write_text("".join(json.dumps(line) + "\n" for line in lines))
    printed = CliRunner().invoke(main, [str(bill)])
    assert printed.exit_code == 0
    assert "a.example\tm\t2 answers\t2.000000000001 USD" in printed.output
    assert printed.output.splitlines()[-1] == "total\t\t3 answers\t2.500000000001 USD"


def test_amounts_are_written_without_losing_a_digit() -> None:
    assert written_usd(0) == "0.0"
    assert written_usd(10**12) == "1.0"
    assert written_usd(5_500) == "0.0000000055"


@pytest.mark.parametrize(
    ("host", "tier", "usage", "expected"),
    [
        (OPENAI, "default", Usage(input=1), 50_000),
        (OPENAI, "default", Usage(output=1), 400_000),
        (OPENAI, "default", Usage(cached_input=1), 5_000),
        (OPENAI_EU, "default", Usage(cached_input=1), 5_500),
        (OPENAI, "flex", Usage(input=3, output=2, reasoning=1), 475_000),
        (OPENAI, "default", Usage(), 0),
    ],
)
def test_prices_are_exact(host: str, tier: str, usage: Usage, expected: int) -> None:
    assert amount_pico_usd(load(), host, "gpt-5-nano", usage, tier) == expected


def test_the_long_price_starts_one_token_after_the_threshold() -> None:
    sheet = load()

    def price(tokens: int) -> int:
        usage = Usage(input=tokens - 10, cached_input=10)
        return amount_pico_usd(sheet, ANTHROPIC, "claude-sonnet-4-5", usage, "standard")

    assert price(200_000) == 199_990 * 3_000_000 + 10 * 300_000
    assert price(200_001) == 199_991 * 6_000_000 + 10 * 600_000


SMALL_SHEET = {
    "hosts": {"h": {"surfaces": ["chat_completions"], "models": ["m"]}},
    "models": {"m": {"owner": "o", "max_input_tokens": 10, "usd_per_million": {"input": "1"}}},
}


@pytest.mark.parametrize(
    ("path", "value", "named"),
    [
        (("models", "m", "usd_per_million", "input"), 0.1, "decimal string"),
        (("models", "m", "usd_per_million", "input"), "-1", "decimal string"),
        (("models", "m", "usd_per_million", "outptu"), "1", "outptu"),
        (("models", "m", "max_input_tokens"), 0, "max_input_tokens"),
        (("hosts", "h", "models"), ["n"], "no model 'n'"),
        (("hosts", "h", "surfaces"), ["fax"], "surfaces"),
    ],
)
def test_a_wrong_sheet_is_refused_by_name(path: tuple[str, ...], value: object, named: str) -> None:
    document = json.loads(json.dumps(SMALL_SHEET))
    Sheet.model_validate(document)
    inner = document
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = value
    with pytest.raises(ValueError, match=named):
        Sheet.model_validate(document)


def test_the_provider_does_not_start_without_what_it_needs(tmp_path: Path) -> None:
    broken = tmp_path / "prices.yaml"
    broken.write_text("hosts: {}")
    with pytest.raises(RuntimeError, match="did not get ready"):
        SimulatorProcess(credentials=KEYS, directory=tmp_path, prices=broken).start()


def test_the_provider_dies_with_its_parent(tmp_path: Path) -> None:
    script = (
        "import sys, pathlib, time\n"
        "from signalbox_simulator.process import SimulatorProcess\n"
        "process = SimulatorProcess(directory=pathlib.Path(sys.argv[1])).start()\n"
        "print(process.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    environment = dict(os.environ) | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    ) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        parent.kill()
    deadline = time.monotonic() + 60
    while _alive(child):
        assert time.monotonic() < deadline, "the child outlived its parent"
        time.sleep(0.02)


def _alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"
