"""Whatever comes in, the simulated provider answers in its own words and never breaks."""

import copy
import json
import random
import time
from pathlib import Path

import httpx
import pytest

from signalbox_simulator.process import SimulatorProcess
from support.provider import KEYS, VLLM, Provider

HOSTILE = (
    None, True, False, 0, -1, 1, 2**31, 2**63, 10**40, -(10**40), 1.5, -0.0, 1e300, "", " ", "a",
    "\0", "\ud83d\ude00" * 50, "ש" * 300, "﷽" * 100, "a" * 70_000, "\u202e", "[[tokens 0]]",
    "[[status 200]]", [], {}, [None], [[]], {"type": None}, {"type": "text"}, {"": ""}, [0] * 300,
    {"type": "object"}, {"$ref": "#"}, {"anyOf": []}, {"type": "image_url", "image_url": {}},
)  # fmt: skip
TOOL = {
    "type": "function",
    "function": {
        "name": "f",
        "description": "d",
        "parameters": {"type": "object", "properties": {"a": {"type": "integer", "minimum": 3}}},
        "strict": False,
    },
}
CHAT = {
    "model": "gpt-5-mini",
    "messages": [
        {"role": "system", "content": "Be kind"},
        {"role": "user", "content": [{"type": "text", "text": "json please"}], "name": "ann"},
        {
            "role": "assistant",
            "content": "x",
            "tool_calls": [
                {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
            ],
        },
        {"role": "tool", "tool_call_id": "c", "content": "y"},
        {
            "role": "user",
            "content": [
                {"type": "image_url", "image_url": {"url": "https://e.example/a", "detail": "low"}}
            ],
        },
    ],
    "tools": [TOOL],
    "tool_choice": {"type": "function", "function": {"name": "f"}},
    "n": 2,
    "max_completion_tokens": 300,
    "metadata": {"a": "b"},
    "response_format": {
        "type": "json_schema",
        "json_schema": {"name": "s", "schema": {"type": "array", "items": {"enum": [1, 2]}}},
    },
    "reasoning_effort": "minimal",
    "seed": 4,
}
MESSAGES = {
    "model": "claude-sonnet-4-6",
    "max_tokens": 1500,
    "system": [{"type": "text", "text": "Be kind", "cache_control": {"type": "ephemeral"}}],
    "messages": [
        {"role": "user", "content": [{"type": "text", "text": "Hello"}]},
        {
            "role": "assistant",
            "content": [{"type": "tool_use", "id": "u", "name": "f", "input": {"a": 1}}],
        },
        {
            "role": "user",
            "content": [
                {
                    "type": "tool_result",
                    "tool_use_id": "u",
                    "content": [{"type": "text", "text": "x"}],
                }
            ],
        },
    ],
    "tools": [{"name": "f", "input_schema": {"type": "object", "properties": {"a": {"const": 1}}}}],
    "tool_choice": {"type": "auto"},
    "thinking": {"type": "enabled", "budget_tokens": 1024},
    "stop_sequences": ["END"],
    "metadata": {"user_id": "u"},
}
EMBEDDINGS = {"model": "text-embedding-3-small", "input": ["a", "b"], "dimensions": 8}
SURFACES = {
    "/api.openai.com/v1/chat/completions": CHAT,
    "/api.anthropic.com/v1/messages": MESSAGES,
    "/api.openai.com/v1/embeddings": EMBEDDINGS,
}


def places(document: object, path: tuple[object, ...] = ()) -> list[tuple[object, ...]]:
    """All paths into a document but the root."""
    found = [path] if path else []
    if isinstance(document, dict):
        steps = list(document.items())
    elif isinstance(document, list):
        steps = list(enumerate(document))
    else:
        steps = []
    for step, value in steps:
        found += places(value, (*path, step))
    return found


def mutated(document: dict[str, object], chance: random.Random) -> dict[str, object]:
    """The document with one to three places replaced, removed, doubled or added."""
    result = copy.deepcopy(document)
    for _ in range(chance.randint(1, 3)):
        path = chance.choice(places(result))
        inner = result
        for step in path[:-1]:
            inner = inner[step]
        kind = chance.random()
        if kind < 0.7:
            inner[path[-1]] = copy.deepcopy(chance.choice(HOSTILE))
        elif kind < 0.85:
            del inner[path[-1]]
        elif isinstance(inner, list):
            inner.append(copy.deepcopy(inner[path[-1]]))
        else:
            inner[f"{path[-1]}x"] = chance.choice(HOSTILE)
        if not result:
            break
    return result


@pytest.mark.parametrize("path", SURFACES)
@pytest.mark.parametrize("seed", range(4))
def test_mutated_requests_are_answered_or_refused_never_crashed(
    provider: Provider, path: str, seed: int
) -> None:
    chance = random.Random(f"{path}{seed}")
    statuses = set()
    for _ in range(100):
        document = mutated(SURFACES[path], chance)
        body = json.dumps(document).encode()
        answer = provider.post(path, body)
        statuses.add(answer.status_code)
        assert answer.status_code in (200, 400, 404), (answer.text, document)
        if answer.status_code == 200 and "data: " in answer.text[:40]:
            continue
        assert isinstance(answer.json(), dict)
    assert 400 in statuses


def test_the_unmutated_requests_are_good(provider: Provider) -> None:
    for path, document in SURFACES.items():
        answer = provider.post(path, document)
        assert answer.status_code == 200, answer.text


def test_a_client_that_leaves_before_a_whole_answer_pays_for_it(provider: Provider) -> None:
    before = len(provider.process.bill())
    body = {
        "model": "llama-3.3-70b-instruct",
        "messages": [{"role": "user", "content": "[[slow 3000]]"}],
    }
    with pytest.raises(httpx.ReadTimeout):
        provider.http.post(f"/{VLLM}/v1/chat/completions", json=body, timeout=1.5)
    deadline = time.monotonic() + 60
    while len(provider.process.bill()) == before:
        assert time.monotonic() < deadline, "it was never billed"
        time.sleep(0.02)
    assert provider.last()["usage"]["output"] >= 60


def test_a_stop_ends_hanging_requests_too(tmp_path: Path) -> None:
    with SimulatorProcess(credentials=KEYS, directory=tmp_path) as process:
        body = {
            "model": "llama-3.3-70b-instruct",
            "messages": [{"role": "user", "content": "[[hang]]"}],
        }
        with httpx.Client(base_url=process.url, trust_env=False) as http:
            with pytest.raises(httpx.ReadTimeout):
                http.post(f"/{VLLM}/v1/chat/completions", json=body, timeout=0.2)
            started = time.monotonic()
            assert process.stop() == 0
    assert time.monotonic() - started < 60
    assert (tmp_path / "bill.jsonl").read_bytes() == b""


def test_keys_can_be_added_and_taken_away_while_it_runs(tmp_path: Path) -> None:
    with (
        SimulatorProcess(credentials={"openai": "one"}, directory=tmp_path) as process,
        httpx.Client(base_url=process.url, trust_env=False) as http,
    ):

        def status(key: str) -> int:
            headers = {"authorization": f"Bearer {key}"}
            return http.get("/api.openai.com/v1/models", headers=headers).status_code

        assert (status("one"), status("two")) == (200, 401)
        (tmp_path / "credentials" / "second").write_text("two\n")
        (tmp_path / "credentials" / "openai").unlink()
        deadline = time.monotonic() + 60
        while (status("one"), status("two")) != (401, 200):
            assert time.monotonic() < deadline, "the keys were not read again"
            time.sleep(0.05)


def test_the_length_of_answers_can_be_chosen(tmp_path: Path) -> None:
    options = ("--answer-tokens", "30", "70")
    body = {
        "model": "llama-3.3-70b-instruct",
        "messages": [{"role": "user", "content": "Hello"}],
    }
    with SimulatorProcess(credentials=KEYS, directory=tmp_path, options=options) as process:
        httpx.post(f"{process.url}/{VLLM}/v1/chat/completions", json=body, trust_env=False)
        (line,) = process.bill()
    assert 30 <= line["usage"]["output"] <= 70
