"""One proxy, whole: the official SDKs through it, what is recorded, what is refused and how."""

import asyncio
import io
import json
from collections.abc import Callable
from typing import Any

import aiohttp
import anthropic
import openai
import pytest

from signalbox_snapshot.snapshot import Match, Quality
from support.fleet import Fleet, eventually
from support.snapshots import (
    EU,
    PLATFORM,
    agent,
    budget,
    domain,
    haiku,
    key_of,
    mini,
    nano,
    policy,
    small,
    snapshot,
    window,
)

HELLO: Any = [{"role": "user", "content": "Say hello to the world."}]
SUPPORT = key_of("retail/support")
ADVISOR = key_of("wealth/advisor")


def chat(fleet: Fleet, key: str = SUPPORT, **options: Any) -> openai.OpenAI:
    return openai.OpenAI(base_url=fleet.openai_url, api_key=key, max_retries=0, **options)


def claude(fleet: Fleet, key: str = SUPPORT) -> anthropic.Anthropic:
    return anthropic.Anthropic(base_url=fleet.url, api_key=key, max_retries=0)


async def post(
    http: aiohttp.ClientSession,
    fleet: Fleet,
    body: Any = None,
    *,
    path: str = "/v1/chat/completions",
    key: str = SUPPORT,
    headers: dict[str, str] | None = None,
) -> tuple[int, dict[str, Any], dict[str, str]]:
    """Status, JSON and headers (lower case) of a raw POST."""
    content = io.BytesIO(body if isinstance(body, bytes) else json.dumps(body).encode())
    sent = {"content-type": "application/json", "authorization": f"Bearer {key}"}
    async with http.post(fleet.url + path, data=content, headers=sent | (headers or {})) as answer:
        told = {name.lower(): value for name, value in answer.headers.items()}
        return answer.status, await answer.json(), told


def refusal_of(call: Callable[[], Any], *, within: int = 20) -> openai.APIStatusError:
    """What the first call that is refused is told."""
    for _ in range(within):
        try:
            call()
        except openai.APIStatusError as refused:
            return refused
    raise AssertionError(f"not refused within {within} calls")


def ask(**changes: Any) -> dict[str, Any]:
    return {"model": "mini", "messages": HELLO} | changes


def last_bill(fleet: Fleet) -> dict[str, Any]:
    return dict(fleet.simulator.bill()[-1])


def test_openais_sdk_gets_its_answer_and_the_run_says_what_it_cost(fleet: Fleet) -> None:
    fleet.push(snapshot())
    with chat(fleet) as client:
        raw = client.chat.completions.with_raw_response.create(model="mini", messages=HELLO)
    assert raw.parse().choices[0].message.content
    assert raw.headers["x-signalbox-model"] == "mini"
    assert raw.headers["x-signalbox-lane"] == "us"
    assert raw.headers["x-signalbox-budget"] == "retail/day"
    run = fleet.run(raw.headers["x-signalbox-run-id"], agent_key=SUPPORT)
    assert run["cost_usd"] == raw.headers["x-signalbox-cost-usd"]
    assert (run["outcome"], run["status"], run["eval_score"]) == ("answered", 200, "1")
    assert run["snapshot_version"]
    assert [each["assertion"] for each in run["verdicts"]] == ["complete", "not_empty"]
    difference = 1000 * nano(run["cost_usd"]) - int(last_bill(fleet)["amount_pico_usd"])
    assert 0 <= difference < 2000


def test_anthropics_sdk_gets_its_answer(fleet: Fleet) -> None:
    fleet.push(snapshot())
    with claude(fleet) as client:
        raw = client.messages.with_raw_response.create(
            model="haiku", max_tokens=100, messages=[{"role": "user", "content": "Hello"}]
        )
        message = raw.parse()
    assert message.content
    run = fleet.run(raw.headers["x-signalbox-run-id"], agent_key=SUPPORT)
    assert run["surface"] == "messages"
    assert run["tokens_output"] == message.usage.output_tokens


def test_streams_pass_whole_and_are_charged_by_their_usage_record(fleet: Fleet) -> None:
    fleet.push(snapshot())
    with chat(fleet) as client:
        opened = client.chat.completions.with_raw_response.create(
            model="mini",
            messages=HELLO,
            stream=True,
            stream_options={"include_usage": True},
            extra_headers={"x-signalbox-cost-comment": "true"},
        )
        chunks = list(opened.parse())
    usage = chunks[-1].usage
    assert usage is not None
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert "x-signalbox-cost-max-usd" in opened.headers
    run_id = opened.headers["x-signalbox-run-id"]
    run = eventually(lambda: found(fleet, run_id))
    assert run["stream"] is True
    assert run["tokens_output"] == usage.completion_tokens
    assert nano(run["cost_usd"]) <= nano(opened.headers["x-signalbox-cost-max-usd"])


def found(fleet: Fleet, run_id: str, key: str = SUPPORT) -> dict[str, Any] | None:
    status, document = control_get(fleet, f"/signalbox/v1/runs/{run_id}", key)
    return document if status == 200 else None


def control_get(fleet: Fleet, path: str, key: str) -> tuple[int, dict[str, Any]]:
    async def ask_once() -> tuple[int, dict[str, Any]]:
        async with (
            aiohttp.ClientSession(headers={"x-api-key": key}) as http,
            http.get(fleet.url + path) as answer,
        ):
            return answer.status, await answer.json()

    return asyncio.run(ask_once())


async def test_a_stream_tells_its_cost_at_the_end_to_whom_it_asked(
    fleet: Fleet, http: aiohttp.ClientSession
) -> None:
    fleet.push(snapshot())
    headers = {"authorization": f"Bearer {SUPPORT}", "x-signalbox-cost-comment": "true"}
    url = f"{fleet.openai_url}/chat/completions"
    async with http.post(url, json=ask(stream=True), headers=headers) as answer:
        text = (await answer.read()).decode()
    assert text.rstrip().rpartition("\n\n")[2].startswith(": x-signalbox-cost-usd=0.00")
    assert '"usage":{' not in text.replace(" ", "")


def test_messages_stream_through_the_sdks_own_accumulator(fleet: Fleet) -> None:
    fleet.push(snapshot())
    asked: Any = [{"role": "user", "content": "Hello"}]
    with (
        claude(fleet) as client,
        client.messages.stream(model="haiku", max_tokens=64, messages=asked) as stream,
    ):
        message = stream.get_final_message()
    assert message.usage.output_tokens > 0


def test_embeddings_are_charged_by_their_input(fleet: Fleet) -> None:
    fleet.push(snapshot())
    with chat(fleet) as client:
        raw = client.embeddings.with_raw_response.create(model="embedder", input=["a", "b c"])
        assert len(raw.parse().data) == 2
    run = fleet.run(raw.headers["x-signalbox-run-id"], agent_key=SUPPORT)
    assert (run["surface"], run["tokens_output"]) == ("embeddings", 0)


def test_models_are_listed_as_each_sdk_wants_and_only_those_that_may_be_used(fleet: Fleet) -> None:
    allowed = [f"{PLATFORM}/haiku", f"{PLATFORM}/mini"]
    fleet.push(snapshot(agents=[agent("retail/support", models=allowed), agent("wealth/advisor")]))
    with chat(fleet) as client, claude(fleet) as other:
        assert [model.id for model in client.models.list()] == ["haiku", "mini"]
        assert client.models.retrieve("mini").id == "mini"
        assert [model.id for model in other.models.list()] == ["haiku", "mini"]
        with pytest.raises(openai.NotFoundError):
            client.models.retrieve("small")


def test_ones_own_runs_are_shown_and_nobody_elses(fleet: Fleet) -> None:
    fleet.push(snapshot())
    with chat(fleet) as client:
        raw = client.chat.completions.with_raw_response.create(model="mini", messages=HELLO)
    run_id = raw.headers["x-signalbox-run-id"]
    assert found(fleet, run_id) is not None
    status, document = control_get(fleet, f"/signalbox/v1/runs/{run_id}", ADVISOR)
    assert (status, document["error"]["code"]) == (404, "run_not_found")
    status, _ = control_get(fleet, "/signalbox/v1/runs/..%2f", SUPPORT)
    assert status == 404


async def test_what_the_client_declares_stands_in_its_run_and_goes_no_further(
    fleet: Fleet, http: aiohttp.ClientSession
) -> None:
    fleet.push(snapshot())
    body = ask(metadata={"signalbox_task": "t1"}, user="u-body")
    status, _, told = await post(
        http,
        fleet,
        body,
        headers={
            "x-signalbox-workload": "mail",
            "x-signalbox-session": "s1",
            "x-signalbox-sensitivity": "confidential",
        },
    )
    assert status == 200
    run = await asyncio.to_thread(fleet.run, told["x-signalbox-run-id"], agent_key=SUPPORT)
    assert (run["workload"], run["session"], run["task"], run["user"]) == (
        "mail",
        "s1",
        "t1",
        "u-body",
    )
    assert run["sensitivity"] == "confidential"


def table() -> dict[str, tuple[dict[str, Any], dict[str, str], int, str]]:
    """Body changes, headers, and the status and code of the refusal."""
    return {
        "unknown model": ({"model": "nope"}, {}, 404, "model_not_found"),
        "not a string": ({"model": 7}, {}, 400, "invalid_request"),
        "no lane can say it": (
            {"model": "haiku", "logit_bias": {"1": 1}},
            {},
            422,
            "no_capable_lane",
        ),
        "too much output": ({"max_completion_tokens": 10**6}, {}, 422, "no_capable_lane"),
        "unknown field": ({"surprise": 1}, {}, 422, "no_bound"),
        "unknown asset": ({}, {"x-signalbox-data-assets": "x"}, 400, "unknown_data_asset"),
        "class of nobody": ({}, {"x-signalbox-sensitivity": "x"}, 400, "invalid_request"),
        "compressed": ({}, {"content-encoding": "gzip"}, 415, "unsupported_encoding"),
    }


@pytest.mark.parametrize("name", table())
async def test_a_refusal_has_its_code_and_leaves_a_run(
    fleet: Fleet, http: aiohttp.ClientSession, name: str
) -> None:
    fleet.push(snapshot())
    changes, headers, status, code = table()[name]
    seen = await asyncio.to_thread(fleet.simulator.seen)
    got, answer, told = await post(http, fleet, ask(**changes), headers=headers)
    assert (got, answer["error"]["code"]) == (status, code), answer
    assert told["x-should-retry"] == "false"
    run_id = told["x-signalbox-run-id"]
    assert f"Run {run_id}." in answer["error"]["message"]
    run = await asyncio.to_thread(fleet.run, run_id, agent_key=SUPPORT)
    assert (run["outcome"], run["status"]) == ("refused", status)
    assert run["refusal"]["code"] == code if isinstance(run["refusal"], dict) else True
    assert await asyncio.to_thread(fleet.simulator.seen) == seen


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b'{"model": "mini", "model": 1e999}', b"\xff"])
async def test_broken_json_is_told_and_recorded(
    fleet: Fleet, http: aiohttp.ClientSession, raw: bytes
) -> None:
    fleet.push(snapshot())
    status, answer, told = await post(http, fleet, raw)
    assert (status, answer["error"]["code"]) == (400, "invalid_json")
    run = await asyncio.to_thread(fleet.run, told["x-signalbox-run-id"], agent_key=SUPPORT)
    assert run["outcome"] == "refused"


async def test_a_body_beyond_ten_megabytes_is_too_large(
    fleet: Fleet, http: aiohttp.ClientSession
) -> None:
    fleet.push(snapshot())
    status, answer, _ = await post(http, fleet, b"x" * (10 * 1024 * 1024 + 1))
    assert (status, answer["error"]["code"]) == (413, "too_large")


async def test_who_is_nobody_gets_401_and_leaves_only_a_count(
    fleet: Fleet, http: aiohttp.ClientSession
) -> None:
    fleet.push(snapshot())
    status, answer, told = await post(http, fleet, ask(), key="sk-wrong")
    assert (status, answer["error"]["code"]) == (401, "unauthorized")
    assert "x-signalbox-run-id" not in told
    status, answer, _ = await post(
        http, fleet, ask(), path="/v1/messages", key="sk-wrong", headers={"x-api-key": "sk-wrong"}
    )
    assert answer["error"]["details"]["error_code"] == "unauthorized"
    assert 'signalbox_refusals_total{code="unauthorized"}' in fleet.metrics()


def test_a_locked_domain_is_served_inside_its_lock_only(fleet: Fleet) -> None:
    fleet.push(snapshot())
    with chat(fleet, ADVISOR) as client, claude(fleet, ADVISOR) as other:
        raw = client.chat.completions.with_raw_response.create(model="mini", messages=HELLO)
        assert raw.headers["x-signalbox-lane"] == "eu"
        seen = fleet.simulator.seen()
        with pytest.raises(anthropic.PermissionDeniedError, match="locked to DE, FR, IE, SE"):
            other.messages.create(
                model="haiku", max_tokens=9, messages=[{"role": "user", "content": "x"}]
            )
        assert fleet.simulator.seen() == seen


def test_a_spent_budget_says_who_how_much_and_what_to_do(fleet: Fleet) -> None:
    tight = budget("retail/tight", nano("0.003"), window=window("day"))
    fleet.push(
        snapshot(
            budgets=[budget("retail/day"), tight, budget("wealth/day")],
            agents=[
                agent("retail/support", budgets=["retail/day", "retail/tight"]),
                agent("wealth/advisor"),
            ],
        )
    )
    with chat(fleet) as client, pytest.raises(openai.APIStatusError) as refused:
        client.chat.completions.create(model="mini", messages=HELLO, max_completion_tokens=4000)
    message = refused.value.message
    assert refused.value.status_code == 402
    assert refused.value.code == "budget_exhausted"
    assert "Budget retail/tight has $0.003 left; this request may cost $0.008" in message
    assert "Lower max_tokens to 14" in message
    assert "wait until" in message
    assert refused.value.response.headers["x-should-retry"] == "false"


def test_output_that_nobody_limited_is_lowered_to_what_the_budget_affords(fleet: Fleet) -> None:
    fleet.push(
        snapshot(
            budgets=[budget("retail/low", nano("0.0011")), budget("wealth/day")],
            agents=[agent("retail/support", budgets=["retail/low"]), agent("wealth/advisor")],
        )
    )
    with chat(fleet) as client:
        raw = client.chat.completions.with_raw_response.create(model="mini", messages=HELLO)
        lowered = int(raw.headers["x-signalbox-max-output-tokens"])
        assert 256 <= lowered < 1024
        run = fleet.run(raw.headers["x-signalbox-run-id"], agent_key=SUPPORT)
        assert nano(run["attempts"][0]["bound_usd"]) <= nano("0.0011")
        told = refusal_of(
            lambda: client.chat.completions.create(model="mini", messages=HELLO), within=10
        )
    assert "has $0.00" in told.message


def push_two_models(fleet: Fleet, **changes: Any) -> None:
    """The better one does not fit into the budget."""
    best = policy(candidates=[f"{PLATFORM}/mini", f"{PLATFORM}/small"], objective="best")
    fleet.push(
        snapshot(
            models=[mini(quality=Quality(default=900_000)), small()],
            policies=[best],
            budgets=[budget("retail/next", nano("0.003"), **changes), budget("wealth/day")],
            agents=[agent("retail/support", budgets=["retail/next"]), agent("wealth/advisor")],
        )
    )


def test_a_cheaper_lane_serves_where_the_budget_says_so_and_the_run_tells_which(
    fleet: Fleet,
) -> None:
    push_two_models(fleet, on_exhausted="CheaperLane")
    with chat(fleet) as client:
        raw = client.chat.completions.with_raw_response.create(
            model="auto", messages=HELLO, max_completion_tokens=3000
        )
    assert raw.headers["x-signalbox-model"] == "small"
    run = fleet.run(raw.headers["x-signalbox-run-id"], agent_key=SUPPORT)
    (move,) = run["decision"]["cheaper_lane"]
    assert (move["budget"], move["reason"], move["attempt"]) == ("retail/next", "exhausted", 1)
    assert (move["preferred"], move["served"]) == (f"{PLATFORM}/mini/us", f"{PLATFORM}/small/fr")
    assert move["needed"] > move["remaining"]


def test_otherwise_a_budget_at_its_end_refuses_and_nobody_gets_another_lane_instead(
    fleet: Fleet,
) -> None:
    push_two_models(fleet)
    with chat(fleet) as client, pytest.raises(openai.APIStatusError) as refused:
        client.chat.completions.create(model="auto", messages=HELLO, max_completion_tokens=3000)
    assert (refused.value.status_code, refused.value.code) == (402, "budget_exhausted")


def test_requests_and_tokens_by_the_minute_are_rates(fleet: Fleet) -> None:
    rate = budget("retail/rate", 2, unit="requests", window=window("minute"))
    fleet.push(
        snapshot(
            budgets=[budget("retail/day"), rate, budget("wealth/day")],
            agents=[
                agent("retail/support", budgets=["retail/day", "retail/rate"]),
                agent("wealth/advisor"),
            ],
        )
    )
    with chat(fleet) as client:
        limited = refusal_of(  # a minute may turn in between
            lambda: client.chat.completions.create(
                model="mini", messages=HELLO, max_completion_tokens=64
            ),
            within=5,
        )
    assert (limited.status_code, limited.code) == (429, "rate_limited")
    assert 1 <= int(limited.response.headers["retry-after"]) <= 60
    assert "2 requests per minute" in limited.message


@pytest.mark.parametrize(
    ("budgets", "headers", "code"),
    [
        ([], {}, "no_budget"),
        ([budget("retail/u", unit="tokens")], {}, "no_budget"),
        ([budget("retail/w", workload="mail")], {}, "no_budget"),
        ([budget("retail/w", workload="mail")], {"x-signalbox-workload": "mail"}, ""),
        ([budget("retail/s", per="session", when_missing="refuse")], {}, "no_budget"),
        ([budget("retail/s", per="session", when_missing="share")], {}, ""),
        (
            [budget("retail/s", per="session", when_missing="refuse")],
            {"x-signalbox-session": "a"},
            "",
        ),
        ([budget("retail/d", enforcement="DryRun")], {}, ""),
    ],
)
async def test_nothing_runs_without_money(
    fleet: Fleet,
    http: aiohttp.ClientSession,
    budgets: list[Any],
    headers: dict[str, str],
    code: str,
) -> None:
    names = [each.id for each in budgets]
    fleet.push(
        snapshot(
            budgets=[*budgets, budget("wealth/day")],
            agents=[agent("retail/support", budgets=names), agent("wealth/advisor")],
        )
    )
    status, answer, _ = await post(http, fleet, ask(), headers=headers)
    assert (status, answer.get("error", {}).get("code", "")) == ((402, code) if code else (200, ""))


def test_a_budget_in_dry_run_is_recorded_and_refuses_nothing(fleet: Fleet) -> None:
    dry = budget("retail/dry", 1, enforcement="DryRun")
    fleet.push(
        snapshot(
            budgets=[budget("retail/day"), dry, budget("wealth/day")],
            agents=[
                agent("retail/support", budgets=["retail/day", "retail/dry"]),
                agent("wealth/advisor"),
            ],
        )
    )
    with chat(fleet) as client:
        raw = client.chat.completions.with_raw_response.create(model="mini", messages=HELLO)
    run = fleet.run(raw.headers["x-signalbox-run-id"], agent_key=SUPPORT)
    assert run["outcome"] == "answered"
    assert "retail/dry" in run["dry_run_refusals"][0]


def test_per_user_budgets_are_accounts_of_their_own(fleet: Fleet) -> None:
    each = budget("retail/each", nano("0.001"), per="user")
    fleet.push(
        snapshot(
            budgets=[each, budget("wealth/day")],
            agents=[agent("retail/support", budgets=["retail/each"]), agent("wealth/advisor")],
        )
    )
    with chat(fleet) as client:

        def spend(user: str) -> None:
            client.chat.completions.create(
                model="mini", messages=HELLO, user=user, max_completion_tokens=400
            )

        assert "of this user" in refusal_of(lambda: spend("ann")).message
        spend("bob")


def test_the_class_and_the_lock_of_a_run_are_judged_again(fleet: Fleet) -> None:
    fleet.push(
        snapshot(
            domains=[domain("retail/main"), domain("wealth/main", jurisdictions=EU)],
            models=[haiku(), mini(), small()],
            policies=[policy("wealth/x", match=Match(domains=["wealth/main"]))],
        )
    )
    with chat(fleet, ADVISOR) as client:
        raw = client.chat.completions.with_raw_response.create(model="mini", messages=HELLO)
    run = fleet.run(raw.headers["x-signalbox-run-id"], agent_key=ADVISOR)
    assert run["compliance"]["compliant"] is True
    assert run["residency_lock"] == EU
    assert run["route_policy"] == "wealth/x"
