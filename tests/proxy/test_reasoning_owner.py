"""What one provider of responses encrypted goes back to it, and to no other of the fleet."""

import json
from collections.abc import Iterable
from typing import Any

import openai
import pytest

from signalbox_proxy.calling import carrier_for
from signalbox_proxy.classification import Facts
from signalbox_proxy.routing import decide
from signalbox_proxy.runtime import Runtime
from signalbox_proxy.surfaces import RESPONSES
from signalbox_snapshot.snapshot import Model, Snapshot
from support.fleet import Fleet
from support.snapshots import OPENAI, OPENAI_EU, PLATFORM, key_of, lane, model, price, snapshot

ASK = {"role": "user", "content": "Which ladder is longer?"}
ABLE = ["chat", "images", "promptCaching", "reasoning", "structuredOutput", "tools"]
NOW = 1_777_636_800
THOUGHT: dict[str, Any] = {"type": "reasoning", "id": "rs_1", "summary": []}
HOSTS = (OPENAI, OPENAI_EU)


def thinker(*hosts: str) -> Model:
    """A model whose lanes serve responses at these hosts, the first the cheapest."""
    lanes = [
        lane(
            f"lane-{number}",
            endpoint=f"https://{host}",
            responses_api=True,
            price=price(("0.25", "0.275")[number], "2.2"),
        )
        for number, host in enumerate(hosts)
    ]
    return model(f"{PLATFORM}/mini", lanes=lanes, capabilities=ABLE)


def company(*hosts: str) -> Snapshot:
    return snapshot(models=[thinker(*hosts)])


def ask(client: openai.OpenAI, said: list[Any], *, stream: bool) -> Any:
    """The whole response, however it came."""
    asked: dict[str, Any] = {
        "model": "mini",
        "input": said,
        "reasoning": {"effort": "low", "summary": "auto"},
        "max_output_tokens": 4000,
    }
    if not stream:
        return client.responses.create(**asked)
    with client.responses.stream(**asked) as events:
        done = [event.item for event in events if event.type == "response.output_item.done"]
        answer = events.get_final_response()
    assert sealed(done) == sealed(answer.output), "the same as it came and in the whole"
    return answer


def sealed(items: Iterable[Any]) -> list[str]:
    return [item.encrypted_content for item in items if item.type == "reasoning"]


def kept(answer: Any) -> list[dict[str, Any]]:
    """What a client sends back of an answer."""
    return [item.model_dump(exclude_none=True, exclude={"status"}) for item in answer.output]


@pytest.mark.parametrize("stream", [False, True])
def test_another_provider_gets_no_reasoning_that_it_cannot_read_and_the_owner_gets_it_back(
    fleet: Fleet, *, stream: bool
) -> None:
    fleet.push(company(*HOSTS))
    with openai.OpenAI(
        base_url=fleet.openai_url, api_key=key_of("retail/support"), max_retries=0
    ) as client:
        first = ask(client, [ASK], stream=stream)
        thought = next(item for item in first.output if item.type == "reasoning")
        assert thought.encrypted_content.startswith("sb1.responses-")
        said = [ASK, *kept(first), {"role": "user", "content": "Why?"}]
        without = [item for item in said if item.get("type") != "reasoning"]

        back = ask(client, said, stream=stream)
        plain = ask(client, without, stream=stream)
        assert back.usage.input_tokens > plain.usage.input_tokens, "the owner read its reasoning"

        fleet.simulator.behave({"host": OPENAI, "status": 503})
        elsewhere = ask(client, said, stream=stream)
        assert elsewhere.status == "completed"
        assert elsewhere.usage.input_tokens == plain.usage.input_tokens, "nor what it said"
        twice = [ASK, *kept(first), *kept(elsewhere), {"role": "user", "content": "Why?"}]
        assert ask(client, twice, stream=stream).status == "completed", "each owner gets its own"


def decided(snap: Snapshot, *items: dict[str, Any]) -> Any:
    """The carrier and the body of each lane, in the order in which they are tried."""
    runtime = Runtime.build(snap, version="v", generation=1)
    prepared = runtime.agents["retail/support"]
    asked = RESPONSES.parse({"model": "mini", "input": [ASK, *items]}, {})
    facts = Facts(prepared.agent, prepared.domain, "", "", "", "", 1, None, (), False, NOW)
    decision = decide(runtime, facts, asked)
    for quote in decision.ranking:
        carrier = carrier_for(RESPONSES, decision, quote.lane, "r_1")
        sent = json.loads(carrier.upstream_body(decision.request, quote.lane.lane, 10))
        yield carrier, quote.lane, sent["input"][1:]


def test_where_reasoning_has_one_owner_answers_pass_as_they_came() -> None:
    ((carrier, _, sent),) = decided(company(OPENAI), THOUGHT | {"encrypted_content": "own"})
    assert carrier is RESPONSES
    assert [item["encrypted_content"] for item in sent] == ["own"]


def test_a_mark_outlives_the_second_owner_of_a_fleet() -> None:
    marks = [f"sb1.responses-{each.reasoning_owner}.own" for _, each, _ in decided(company(*HOSTS))]
    assert len(set(marks)) == 2
    thoughts = [THOUGHT | {"encrypted_content": mark} for mark in marks]
    ((_, _, sent),) = decided(company(OPENAI), *thoughts)
    assert [item["encrypted_content"] for item in sent] == ["own"]


def test_two_keys_at_one_place_are_two_owners() -> None:
    both = [
        lane(f"lane-{key}", responses_api=True, auth_key=key, price=price("1", "4"))
        for key in ("openai", "other")
    ]
    found = snapshot(models=[model(f"{PLATFORM}/mini", lanes=both, capabilities=ABLE)])
    assert [each.marks_reasoning for _, each, _ in decided(found)] == [True, True]


def test_only_reasoning_is_marked_whatever_else_has_the_name() -> None:
    carrier, _, _ = next(decided(company(*HOSTS)))
    request = RESPONSES.parse({"model": "mini", "input": "Hello"}, {})
    answer = {
        "id": "resp_1",
        "status": "completed",
        "metadata": {"encrypted_content": "the client's"},
        "output": [
            THOUGHT | {"encrypted_content": "own"},
            {"type": "message", "content": [{"type": "output_text", "text": "é €"}]},
            THOUGHT,
        ],
        "usage": {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2},
    }
    body = carrier.read_answer(request, json.dumps(answer).encode()).body
    assert body is not None
    told = json.loads(body)
    assert told["output"][0].pop("encrypted_content").endswith(".own")
    assert told == answer | {"output": [THOUGHT, *answer["output"][1:]]}


@pytest.mark.parametrize(
    "odd",
    [
        b'["encrypted_content"]',
        b'{"type":"x","response":{"output":5},"encrypted_content":1}',
        b'{"type":"x","item":[{"encrypted_content":1}]}',
    ],
)
def test_an_event_of_no_form_that_is_known_is_nobody_s_reasoning(odd: bytes) -> None:
    """Marking it fails no stream; what it is worth, the reader says."""
    carrier, _, _ = next(decided(company(*HOSTS)))
    request = RESPONSES.parse({"model": "mini", "input": "Hello", "stream": True}, {})
    reader = carrier.stream_reader(request)
    event = b"event: x\ndata: " + odd + b"\n\n"
    assert json.loads(reader.feed(event).partition(b"data: ")[2]) == json.loads(odd)
