"""What leaves for a provider, seen by the provider: our credential and nothing of the client's, to
the lane's own address, whatever the request says about hosts, paths and headers.
"""

import json
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from support.fleet import Fleet, eventually
from support.recorder import ANSWER, Recorder, Seen
from support.running import free_ports
from support.snapshots import CREDENTIALS, key_of, lane, model, price, snapshot

KEY = key_of("retail/support")
PATH = "/v1/chat/completions"
BODY = json.dumps({"model": "witness", "messages": [{"role": "user", "content": "Hi"}]}).encode()


@dataclass
class Scene:
    """One proxy whose only lanes lead to the witness, and to nowhere."""

    fleet: Fleet
    witness: Recorder

    def send(
        self,
        target: str = PATH,
        *,
        headers: tuple[str, ...] = (),
        host: str = "localhost",
        body: bytes = BODY,
        key: str | None = KEY,
    ) -> tuple[int, bytes]:
        """One request by hand; status (0: cut without an answer) and the whole answer."""
        lines = [f"POST {target} HTTP/1.1", f"Host: {host}", "Connection: close"]
        lines += [f"Authorization: Bearer {key}"] * (key is not None)
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}", *headers]
        return self.raw("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body)

    def raw(self, data: bytes) -> tuple[int, bytes]:
        port = self.fleet.proxies[0].ports["port"]
        received = b""
        with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
            connection.sendall(data)
            try:
                while piece := connection.recv(65536):
                    received += piece
            except ConnectionError:
                pass
        words = received.split(b" ", 2)
        return (int(words[1]) if len(words) > 2 else 0), received


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with Recorder() as witness, Fleet(tmp_path_factory.mktemp("witness")) as fleet:
        closed = free_ports(1)[0]
        listed = price("1", "4")
        near = lane("near", endpoint=f"{witness.url}/v1", price=listed)
        # Cheaper, and nobody listens there: tried first.
        nowhere = lane("nowhere", endpoint=f"http://127.0.0.1:{closed}/v1", price=price("0.1", "1"))
        made = snapshot(
            models=[
                model("signalbox-system/witness", lanes=[near]),
                model("signalbox-system/pair", lanes=[near, nowhere]),
                model("signalbox-system/gone", lanes=[nowhere]),
                model("signalbox-system/spendthrift", lanes=[near]),
            ]
        )
        fleet.push(made, move=False)
        yield Scene(fleet, witness)


@pytest.fixture
def scene(opened: Scene) -> Iterator[Scene]:
    opened.witness.seen.clear()
    usual = opened.witness.answer
    yield opened
    opened.witness.answer = usual


def asked(name: str, **fields: Any) -> bytes:
    return json.dumps(json.loads(BODY) | {"model": name} | fields).encode()


def test_the_provider_sees_our_credential_and_nothing_of_the_client_s(scene: Scene) -> None:
    hostile = (
        "X-Signalbox-Session: s-1",
        "X-Signalbox-Workload: secret-workload",
        "Cookie: session=abc",
        "X-Forwarded-For: 10.0.0.1",
        "X-Forwarded-Host: evil.example",
        "Forwarded: for=10.0.0.1",
        "X-Original-URL: /v1/files",
        "X-HTTP-Method-Override: DELETE",
        "Proxy-Authorization: Basic eDp5",
        "Api-Key: sk-client",
        "OpenAI-Organization: org-client",
        "OpenAI-Project: proj-client",
        "Idempotency-Key: k-1",
        "X-Stainless-Lang: python",
        "User-Agent: client/1.0",
        "Accept-Encoding: gzip, br",
        "Traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    )
    status, answer = scene.send(headers=hostile)
    assert status == 200, answer
    (seen,) = scene.witness.seen
    assert set(seen.headers) == {
        *("host", "authorization", "content-type", "content-length", "accept"),
        *("accept-encoding", "user-agent", "traceparent"),
    }
    assert seen.headers["authorization"] == f"Bearer {CREDENTIALS['openai']}"
    assert seen.headers["accept-encoding"] == "identity"
    assert seen.headers["host"] == scene.witness.url.removeprefix("http://")
    assert seen.target == PATH
    assert KEY not in seen.everything
    assert KEY.rpartition(".")[2] not in seen.everything
    assert "signalbox_" not in seen.everything.lower()
    assert "x-signalbox" not in seen.everything.lower()


def test_declarations_in_metadata_stay_here_and_the_client_s_own_travel_on(scene: Scene) -> None:
    metadata = {"signalbox_session": "s-1", "x-signalbox-task": "t", "ticket": "4711"}
    assert scene.send(body=asked("witness", metadata=metadata))[0] == 200
    (seen,) = scene.witness.seen
    assert json.loads(seen.body)["metadata"] == {"ticket": "4711"}


@pytest.mark.parametrize(
    "fields",
    [
        {"base_url": "http://evil.example"},
        {"api_base": "http://evil.example"},
        {"api_key": "sk-client"},
        {"extra_headers": {"host": "evil.example"}},
        {"provider": "evil"},
        {"endpoint": "http://evil.example/v1"},
        {"callback_url": "http://evil.example"},
        {"x-signalbox-lane": "nowhere"},
        {"\u0000model": "x"},
    ],
)
def test_a_field_that_is_not_known_is_refused_and_not_passed_on(
    scene: Scene, fields: dict[str, Any]
) -> None:
    status, answer = scene.send(body=asked("witness", **fields))
    assert status in (400, 422), answer
    assert scene.witness.seen == []


def test_what_is_forwarded_is_what_was_understood(scene: Scene) -> None:
    body = BODY[:-1] + b',"max_tokens": 999999,"max_tokens": 7}'
    assert scene.send(body=body)[0] == 200
    (seen,) = scene.witness.seen
    assert seen.body.count(b"max_") == 1
    assert json.loads(seen.body)["max_completion_tokens"] == 7
    assert json.loads(seen.body)["model"] == "gpt-5-mini"


@pytest.mark.parametrize(
    "host",
    [
        *("evil.example", "evil.example:80", "127.0.0.1:1@evil.example", "api.openai.com", "[::1]"),
        *("LOCALHOST", "localhost.", "a" * 250),
    ],
)
def test_a_host_header_decides_nothing(scene: Scene, host: str) -> None:
    status, _ = scene.send(host=host)
    assert status in (200, 400)
    assert all(seen.headers["host"].startswith("127.0.0.1:") for seen in scene.witness.seen)


TARGETS = [
    *("http://evil.example/v1/chat/completions", "https://api.openai.com/v1/chat/completions"),
    *("//v1/chat/completions", "/v1//chat/completions", "/v1/chat/completions/"),
    *("/V1/chat/completions", "/v1/chat%2fcompletions", "/v1/chat%2Fcompletions"),
    *("/%76%31/chat/completions", "/v1/chat/completions;x=1", "/v1/./chat/completions"),
    *("/v1/x/../chat/completions", "/v1/chat/completions%00", "/v1/chat/completions%20"),
    *("/v1/chat/completions?x=http://evil.example", "/v1/chat/completions#evil", "/", "*"),
    *("/v1/chat/completions\\..\\files", "/v1/files", "/v1/responses", "/../v1/chat/completions"),
    *("/v1/chat/completions/../../files", "//evil.example/v1/chat/completions", "evil.example:443"),
    *("/signalbox/v1/runs/../../../v1/chat/completions", "/v1/images/generations", "/health"),
]


@pytest.mark.parametrize("target", TARGETS)
def test_no_spelling_of_a_path_leads_elsewhere(scene: Scene, target: str) -> None:
    status, answer = scene.send(target)
    assert status in (200, 400, 404, 405, 422), answer
    for seen in scene.witness.seen:
        assert seen.target == PATH
        assert seen.headers["host"] == scene.witness.url.removeprefix("http://")
    assert len(scene.witness.seen) == (status == 200)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("key", [None, "", "sbx.retail.support.AAAA", CREDENTIALS["openai"]])
def test_no_spelling_of_a_path_gets_round_the_key(
    scene: Scene, target: str, key: str | None
) -> None:
    status, answer = scene.send(target, key=key)
    assert status in (400, 401, 404, 405), answer
    assert scene.witness.seen == []


@pytest.mark.parametrize(
    "headers",
    [
        (f"Authorization: Bearer {KEY}",),
        ("Content-Type: text/plain",),
        ("X-Signalbox-Session: a", "X-Signalbox-Session: b"),
        ("x-api-key: other", "X-Api-Key: another"),
        ("Transfer-Encoding: chunked",),
        ("Transfer-Encoding : chunked",),
        ("Transfer-Encoding: xchunked",),
        ("Content-Length: 3",),
        ("Content-Encoding: gzip",),
        (" folded: header",),
        ("bad header name: x",),
        ("X-Null: a\0b",),
        ("Content-Length: +3",),
    ],
)
def test_a_request_that_can_be_read_in_two_ways_is_not_read(
    scene: Scene, headers: tuple[str, ...]
) -> None:
    status, answer = scene.send(headers=headers)
    assert status in (0, 400, 401, 415), answer
    assert scene.witness.seen == []


def test_one_request_in_disguise_of_two_is_not_two(scene: Scene) -> None:
    inner = b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n\r\n"
    head = (
        f"POST {PATH} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\n"
        "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n"
        f"Content-Length: {len(BODY)}\r\nConnection: close\r\n\r\n0\r\n\r\n"
    ).encode()
    status, _ = scene.raw(head + inner)
    assert status in (0, 400)
    assert scene.witness.seen == []


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed_and_not_passed_on(scene: Scene, status: int) -> None:
    target = f"{scene.witness.url}/elsewhere"
    scene.witness.answer = lambda seen: (status, {"location": target}, b"{}")
    told, answer = scene.send()
    assert told == 502
    assert b"elsewhere" not in answer
    assert [seen.target for seen in scene.witness.seen] == [PATH]


def test_the_provider_s_own_words_do_not_carry_our_credential_to_the_client(scene: Scene) -> None:
    def quoting(seen: Seen) -> tuple[int, dict[str, str], bytes]:
        message = f"Incorrect API key provided: {seen.headers['authorization']}"
        told = json.dumps({"error": {"message": message, "code": "x"}}).encode()
        return 400, {"set-cookie": "provider=1", "x-ratelimit-remaining": "1"}, told

    scene.witness.answer = quoting
    status, answer = scene.send()
    assert status == 400
    assert CREDENTIALS["openai"].encode() not in answer
    assert b"set-cookie" not in answer.lower()


def test_a_lane_that_nobody_answers_costs_nothing_and_is_passed_over(scene: Scene) -> None:
    status, answer = scene.send(body=asked("pair"))
    assert status == 200
    run_id = header(answer, "x-signalbox-run-id")
    unsent, answered = scene.fleet.run(run_id, agent_key=KEY)["attempts"]
    assert (unsent["outcome"], unsent["settlement"]) == ("unsent", "released")
    assert answered["lane"] == "near"
    status, answer = scene.send(body=asked("gone"))
    assert status == 503
    assert b"no_lane" in answer


def test_an_error_status_is_not_billed_even_if_its_body_never_comes(scene: Scene) -> None:
    scene.witness.answer = lambda seen: (503, {"content-encoding": "x"}, b"")
    scene.witness.silent = True
    status, answer = scene.send(body=asked("witness", stream=True))
    scene.witness.silent = False
    assert status == 502
    run = scene.fleet.run(header(answer, "x-signalbox-run-id"), agent_key=KEY)
    assert [each["settlement"] for each in run["attempts"]] == ["zero"]


def test_a_usage_record_of_zero_is_zero_and_not_missing(scene: Scene) -> None:
    zero = ANSWER | {"usage": {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}}
    scene.witness.answer = lambda seen: (200, {}, json.dumps(zero).encode())
    status, answer = scene.send()
    assert status == 200
    assert float(header(answer, "x-signalbox-cost-usd")) == 0
    run = scene.fleet.run(header(answer, "x-signalbox-run-id"), agent_key=KEY)
    assert run["attempts"][0]["settlement"] == "usage"


def test_what_is_billed_above_the_hold_is_told_as_an_overrun(scene: Scene) -> None:
    much = ANSWER | {"usage": {"prompt_tokens": 5, "completion_tokens": 90000}}
    scene.witness.answer = lambda seen: (200, {}, json.dumps(much).encode())
    status, answer = scene.send(body=asked("spendthrift", max_tokens=10))
    assert status == 200
    run_id = header(answer, "x-signalbox-run-id")
    (attempt,) = scene.fleet.run(run_id, agent_key=KEY)["attempts"]
    assert attempt["settlement"] == "usage"
    assert eventually(lambda: ledger_cost(scene.fleet, run_id)) == 90000 * 4000 + 5 * 1000


def ledger_cost(fleet: Fleet, run_id: str) -> int:
    """What the ledger says that a run cost, in nano-USD; 0 while it is not recorded."""
    recorded = fleet.ledger().run(run_id)
    return 0 if recorded is None else recorded.run.cost_nano


def header(answer: bytes, name: str) -> str:
    for line in answer.partition(b"\r\n\r\n")[0].decode().split("\r\n"):
        if line.lower().startswith(f"{name}: "):
            return line.partition(": ")[2]
    raise AssertionError(f"no {name} in {answer[:400]!r}")
