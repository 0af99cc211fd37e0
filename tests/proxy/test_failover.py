"""Before the first byte another lane may take over; what each failure costs is settled at once."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import msgspec
import openai
import pytest

from signalbox_proxy.calling import MAX_ANSWER
from support.fleet import Fleet
from support.snapshots import (
    ANTHROPIC,
    MISTRAL,
    OPENAI,
    OPENAI_EU,
    PLATFORM,
    key_of,
    lane,
    mini,
    model,
    nano,
    policy,
    price,
    small,
    snapshot,
)

HELLO: Any = [{"role": "user", "content": "Say hello to the world."}]
SUPPORT, ADVISOR = key_of("retail/support"), key_of("wealth/advisor")


def client(fleet: Fleet, key: str = SUPPORT) -> openai.OpenAI:
    return openai.OpenAI(base_url=fleet.openai_url, api_key=key, max_retries=0)


def served(fleet: Fleet, key: str = SUPPORT, **changes: Any) -> dict[str, Any]:
    """The run of a request that was answered."""
    with client(fleet, key) as sdk:
        raw = sdk.chat.completions.with_raw_response.create(
            **{"model": "mini", "messages": HELLO} | changes
        )
    return fleet.run(raw.headers["x-signalbox-run-id"], agent_key=key)


def refused(fleet: Fleet, key: str = SUPPORT, **changes: Any) -> tuple[Any, dict[str, Any]]:
    """The SDK's error, and the run."""
    with client(fleet, key) as sdk, pytest.raises(openai.APIStatusError) as raised:
        sdk.chat.completions.create(**{"model": "mini", "messages": HELLO} | changes)
    headers = raised.value.response.headers
    return raised.value, fleet.run(headers["x-signalbox-run-id"], agent_key=key)


class Talker(BaseHTTPRequestHandler):
    """A provider whose answers have as many bytes as its server says."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        size = self.server.size  # type: ignore[attr-defined]
        self.send_response(200)
        self.send_header("content-length", str(size))
        self.end_headers()
        with contextlib.suppress(OSError):
            self.wfile.write(bytes(size))

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the library's name
        """Say nothing."""


@contextlib.contextmanager
def talking(size: int) -> Iterator[str]:
    """The URL of such a provider."""
    with HTTPServer(("127.0.0.1", 0), Talker) as server:
        server.size = size  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def ends(run: dict[str, Any]) -> list[tuple[str, str, str]]:
    return [(each["lane"], each["outcome"], each["settlement"]) for each in run["attempts"]]


@pytest.mark.parametrize(
    ("rule", "end"),
    [
        ({"status": 500}, ("us", "error", "zero")),
        ({"status": 503}, ("us", "error", "zero")),
        ({"status": 429}, ("us", "throttled", "zero")),
        ({"status": 529}, ("us", "throttled", "zero")),
        ({"status": 401}, ("us", "error", "zero")),
        ({"reset": "before_head"}, ("us", "error", "full")),
        ({"reset": "before_end"}, ("us", "error", "full")),
    ],
)
def test_what_fails_before_the_first_byte_is_tried_elsewhere(
    fleet: Fleet, rule: dict[str, Any], end: tuple[str, str, str]
) -> None:
    fleet.push(snapshot())
    fleet.simulator.behave({"host": OPENAI} | rule)
    run = served(fleet)
    assert ends(run) == [end, ("eu", "answered", "usage")]
    assert run["outcome"] == "answered"
    first, second = run["attempts"]
    if end[2] == "zero":
        assert nano(first["cost_usd"]) == 0
    else:
        bound = nano(first["bound_usd"])
        assert bound - 10 <= nano(first["cost_usd"]) <= bound
    assert nano(run["cost_usd"]) == nano(first["cost_usd"]) + nano(second["cost_usd"])


def test_a_provider_that_is_not_there_costs_nothing(fleet: Fleet) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        gone = f"http://127.0.0.1:{unused.getsockname()[1]}"
    us, eu = mini().lanes
    dead = msgspec.structs.replace(us, endpoint=gone)
    alive = msgspec.structs.replace(eu, endpoint=f"{fleet.simulator.url}/{OPENAI_EU}/v1")
    fleet.push(snapshot(models=[model(f"{PLATFORM}/mini", lanes=[dead, alive])]), move=False)
    assert ends(served(fleet)) == [("us", "unsent", "released"), ("eu", "answered", "usage")]
    fleet.push(snapshot(models=[model(f"{PLATFORM}/mini", lanes=[dead])]), move=False)
    error, run = refused(fleet)
    assert (error.status_code, error.code) == (503, "no_lane")
    assert error.response.headers["retry-after"]
    assert nano(run["cost_usd"]) == 0


def test_an_answer_that_is_too_long_is_asked_for_once(fleet: Fleet) -> None:
    """It was made and is charged in full; another lane's would be as long, and a second bill."""
    us, eu = mini().lanes
    with talking(MAX_ANSWER + 1) as url:
        endless = msgspec.structs.replace(us, endpoint=url)
        fleet.push(snapshot(models=[model(f"{PLATFORM}/mini", lanes=[endless, eu])]), move=False)
        error, run = refused(fleet)
    assert (error.status_code, error.code) == (502, "provider_failed")
    assert "Ask for less" in str(error)
    assert error.response.headers["x-should-retry"] == "false"
    assert ends(run) == [("us", "error", "full")]


def test_a_slow_first_chunk_fails_over_and_is_charged_in_full(fleet: Fleet) -> None:
    fleet.push(snapshot(policies=[policy(first_chunk_ms=3000)]))
    fleet.simulator.behave({"host": OPENAI, "first_chunk_ms": 60_000})
    with client(fleet) as sdk:
        raw = sdk.chat.completions.with_raw_response.create(
            model="mini", messages=HELLO, stream=True
        )
        assert len(list(raw.parse())) > 1
    run = fleet.run(raw.headers["x-signalbox-run-id"], agent_key=SUPPORT)
    assert ends(run) == [("us", "timeout", "full"), ("eu", "answered", "usage")]
    assert run["charges"][0]["kind"] == "unknown"


def test_an_answer_that_does_not_come_in_time_is_a_timeout(fleet: Fleet) -> None:
    slow = [lane("us", request_timeout_ms=1500)]
    fleet.push(snapshot(models=[model(f"{PLATFORM}/mini", lanes=slow)]))
    fleet.simulator.behave({"host": OPENAI, "latency_ms": 60_000})
    error, run = refused(fleet)
    assert (error.status_code, error.code) == (504, "provider_timeout")
    assert ends(run) == [("us", "timeout", "full")]
    assert run["outcome"] == "failed"


def test_throttling_of_all_is_told_with_the_providers_patience(fleet: Fleet) -> None:
    fleet.push(snapshot())
    fleet.simulator.behave({"status": 429, "retry_after": 7})
    error, run = refused(fleet)
    assert (error.status_code, error.code) == (502, "provider_failed")
    assert error.response.headers["retry-after"] == "7"
    assert [end[1] for end in ends(run)] == ["throttled", "throttled"]


def test_attempts_are_bounded_by_the_policy(fleet: Fleet) -> None:
    lanes = [lane(name, price=price("1", "4")) for name in "abcdef"]
    fleet.push(snapshot(models=[model(f"{PLATFORM}/mini", lanes=lanes)]))
    fleet.simulator.behave({"status": 500})
    assert len(refused(fleet)[1]["attempts"]) == 3
    fleet.push(
        snapshot(models=[model(f"{PLATFORM}/mini", lanes=lanes)], policies=[policy(failover=False)])
    )
    assert len(refused(fleet)[1]["attempts"]) == 1


def test_the_providers_own_4xx_comes_back_in_the_clients_shape(fleet: Fleet) -> None:
    fleet.push(snapshot())
    fleet.simulator.behave({"host": OPENAI, "status": 422})
    error, run = refused(fleet)
    assert (error.status_code, error.code) == (422, "provider_rejected")
    assert error.response.headers["x-should-retry"] == "false"
    assert (run["outcome"], ends(run)) == ("rejected", [("us", "rejected", "zero")])


@pytest.mark.parametrize("body", ["html", "empty"])
def test_an_error_without_a_body_that_can_be_read_is_told_all_the_same(
    fleet: Fleet, body: str
) -> None:
    fleet.push(snapshot())
    fleet.simulator.behave({"host": OPENAI, "status": 400, "error_body": body})
    error, _ = refused(fleet)
    assert (error.status_code, error.code) == (400, "provider_rejected")


def test_failover_stays_inside_the_lock_even_if_nothing_else_is_up(fleet: Fleet) -> None:
    fleet.push(snapshot())
    fleet.simulator.behave({"host": OPENAI_EU, "status": 500})
    before = fleet.simulator.seen([OPENAI, MISTRAL, ANTHROPIC])
    error, run = refused(fleet, ADVISOR)
    assert (error.status_code, error.code) == (502, "provider_failed")
    assert ends(run) == [("eu", "error", "zero")]
    assert fleet.simulator.seen([OPENAI, MISTRAL, ANTHROPIC]) == before


def test_a_run_counts_once_as_a_request_whatever_its_attempts(fleet: Fleet) -> None:
    fleet.push(snapshot())
    fleet.simulator.behave({"host": OPENAI, "status": 500})
    run = served(fleet)
    assert len(run["attempts"]) == 2
    assert run["status"] == 200


def test_a_missing_usage_record_is_charged_in_full(fleet: Fleet) -> None:
    fleet.push(snapshot(models=[mini(), small()]))
    fleet.simulator.behave({"host": OPENAI, "omit_usage": True})
    run = served(fleet)
    assert ends(run) == [("us", "answered", "full")]
    assert run["charges"][0]["kind"] == "unknown"
    assert nano(run["cost_usd"]) > 0


def test_a_lane_that_billed_above_its_bound_is_called_no_more(fleet: Fleet) -> None:
    """Until what its bound is made of changes. The control port says which lanes these are."""
    fleet.push(snapshot())
    fleet.simulator.behave({"host": OPENAI, "overshoot_tokens": 50})
    first = served(fleet, max_completion_tokens=20)
    attempt = first["attempts"][0]
    assert nano(attempt["cost_usd"]) > nano(attempt["bound_usd"])
    assert attempt["detail"] == "the provider billed above the bound"
    assert served(fleet)["lane"] == "eu"
    assert "signalbox_overruns_total 1.0" in fleet.metrics()
    assert quarantined(fleet) == [f"{PLATFORM}/mini/us"]
    fleet.push(snapshot(models=[mini(limits={"default_output": 1000}), small()]))
    fleet.simulator.behave()
    assert quarantined(fleet) == []
    assert served(fleet)["lane"] == "us"


def quarantined(fleet: Fleet) -> Any:
    return fleet.control(fleet.proxies[0], "GET", "status")[1]["quarantined"]


def test_a_lane_without_its_credential_is_passed_over(fleet: Fleet) -> None:
    us, eu = mini().lanes
    other = msgspec.structs.replace(us, auth_key="nobody-has-this")
    limits = {"default_output": 999}  # with those of before, its lane would be quarantined still
    fleet.push(snapshot(models=[model(f"{PLATFORM}/mini", lanes=[other, eu], limits=limits)]))
    run = served(fleet)
    assert [end[:2] for end in ends(run)] == [("us", "unsent"), ("eu", "answered")]
