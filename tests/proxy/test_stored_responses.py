"""Stored answers through real proxies, with the official client, on both databases."""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import openai
import pytest
from msgspec.structs import replace

from signalbox_simulator.process import SimulatorProcess
from signalbox_snapshot.snapshot import Snapshot
from support.fleet import Fleet, Machine
from support.snapshots import haiku, key_of, mini, policy, snapshot

SUPPORT = "retail/support"
ASK = "What is a bond ladder?"
STORY: Any = {"model": "mini", "max_output_tokens": 4000}
WEATHER: Any = {
    "type": "function",
    "name": "weather",
    "strict": False,
    "parameters": {"type": "object", "properties": {"place": {"type": "string"}}},
}


def storing(**changes: Any) -> Snapshot:
    """Two lanes serve responses, the American one cheaper; what is asked may be stored."""
    models = [replace(mini(), lanes=[replace(each, responses_api=True) for each in mini().lanes])]
    allow = policy("retail/allow", response_storage="Allow")
    return snapshot(**{"models": [*models, haiku()], "policies": [allow]} | changes)


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def pair(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    simulator: SimulatorProcess,
) -> Iterator[Fleet]:
    """Two proxies: on one machine, and on two with one PostgreSQL between them."""
    machines: tuple[Machine, ...] = ()
    if request.param == "postgresql":
        server = request.getfixturevalue("postgres_server")
        machines = (Machine(server.dsn(server.create_database())),) * 2
    folder = tmp_path_factory.mktemp("pair")
    with Fleet(folder, proxies=2, simulator=simulator, machines=machines) as fleet:
        fleet.push(storing())
        yield fleet


@pytest.fixture(autouse=True)
def _well_behaved(simulator: SimulatorProcess) -> Iterator[None]:
    yield
    simulator.behave()


class Clients:
    """Official clients of a fleet's agents, which are closed in the end."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        self._made = ExitStack()

    def __call__(self, number: int = 0, *, agent: str = SUPPORT, **headers: str) -> openai.OpenAI:
        made = openai.OpenAI(
            base_url=f"{self.fleet.proxies[number].url}/v1",
            api_key=key_of(agent),
            default_headers={f"x-signalbox-{name}": value for name, value in headers.items()},
            max_retries=0,
        )
        return self._made.enter_context(made)

    def close(self) -> None:
        self._made.close()

    def run(self, answer: Any, number: int = 0) -> dict[str, Any]:
        """The run of an answer, as the proxy tells it that served."""
        path = f"/signalbox/v1/runs/{answer.headers['x-signalbox-run-id']}"
        headers = {"authorization": f"Bearer {key_of(SUPPORT)}"}
        url = self.fleet.proxies[number].url + path
        found = httpx.get(url, headers=headers, trust_env=False, timeout=60)
        assert found.status_code == 200, found.text
        return dict(found.json())


@pytest.fixture
def client(pair: Fleet) -> Iterator[Clients]:
    made = Clients(pair)
    yield made
    made.close()


def refusal(made: openai.OpenAI, previous: str, **more: Any) -> dict[str, Any]:
    with pytest.raises(openai.APIStatusError) as caught:
        made.responses.create(input=ASK, previous_response_id=previous, **STORY | more)
    error: Any = caught.value.body
    return {"status": caught.value.status_code, "code": error["code"], "said": error["message"]}


def test_a_conversation_goes_on_through_whichever_proxy_without_being_sent_again(
    client: Clients,
) -> None:
    previous = client().responses.create(input=ASK, **STORY)
    for number in (1, 0, 1):
        raw = client(number).responses.with_raw_response.create(
            input="And then?", previous_response_id=previous.id, **STORY
        )
        answer = raw.parse()
        run = client.run(raw, number)
        assert answer.usage is not None
        assert previous.usage is not None
        assert answer.previous_response_id == previous.id
        # all that was said before was billed, and held
        assert answer.usage.input_tokens > previous.usage.input_tokens
        assert run["decision"]["continues"]["tokens"] >= previous.usage.total_tokens
        (attempt,) = run["attempts"]
        assert attempt["settlement"] == "usage"
        assert attempt["bound_tokens"] >= answer.usage.total_tokens
        previous = answer


def test_calls_of_tools_are_answered_by_what_they_gave_alone(client: Clients) -> None:
    made = client()
    first = made.responses.create(input="Weather in Bern? [[tool 2]]", tools=[WEATHER], **STORY)
    calls = [item for item in first.output if item.type == "function_call"]
    assert len(calls) == 2
    given: Any = [
        {"type": "function_call_output", "call_id": call.call_id, "output": "rain"}
        for call in calls
    ]
    said = [*given, {"role": "user", "content": "Now say it."}]
    second = made.responses.create(
        input=said, tools=[WEATHER], previous_response_id=first.id, **STORY
    )
    assert second.output_text


def test_a_stream_is_remembered_before_its_client_knows_that_it_ended(client: Clients) -> None:
    with client().responses.stream(input=ASK, **STORY) as stream:
        first = stream.get_final_response()
    with client(1).responses.stream(
        input="And then?", previous_response_id=first.id, **STORY
    ) as stream:
        second = stream.get_final_response()
    assert first.usage is not None
    assert second.usage is not None
    assert second.usage.input_tokens > first.usage.input_tokens


def test_a_stream_that_broke_off_is_not_to_be_continued(client: Clients) -> None:
    told = "A long story [[tokens 150]] [[cut 5]]"
    events = iter(client().responses.create(input=told, stream=True, **STORY))
    created = next(events)
    assert created.type == "response.created"
    with pytest.raises(openai.APIError):
        list(events)
    heard = refusal(client(), created.response.id)
    assert heard["code"] == "previous_response_not_found"


def test_for_all_others_there_is_no_such_answer(pair: Fleet, client: Clients) -> None:
    """Another agent, user or session hears what everybody hears of an id that never was."""
    own = client(user="ann", session="s-1")
    stored = own.responses.create(input=ASK, **STORY).id
    seen = pair.simulator.seen()
    others = [
        client(user="bob", session="s-1"),
        client(user="ann", session="s-2"),
        client(),
        client(1, agent="wealth/advisor", user="ann", session="s-1"),
    ]
    heard = [refusal(each, stored) for each in others]
    never = f"{stored[:-1]}?"
    absent = [refusal(each, never) for each in others]
    assert [each["code"] for each in heard] == ["previous_response_not_found"] * 4
    for known, unknown in zip(heard, absent, strict=True):
        assert (
            known["said"].partition("Run")[0]
            == unknown["said"].replace(never, stored).partition("Run")[0]
        )
        assert known["status"] == unknown["status"] == 400
    assert pair.simulator.seen() == seen
    assert own.responses.create(input="And?", previous_response_id=stored, **STORY).output_text


def test_what_was_confidential_stays_so_without_being_said_again(client: Clients) -> None:
    secret = client(sensitivity="confidential")
    stored = secret.responses.create(input=ASK, **STORY).id
    raw = client().responses.with_raw_response.create(
        input="And then?", previous_response_id=stored, **STORY
    )
    assert client.run(raw)["sensitivity"] == "confidential"


def test_the_lane_that_stores_it_serves_though_another_is_preferred_by_then(
    pair: Fleet, client: Clients
) -> None:
    stored = client().responses.create(input=ASK, **STORY).id
    europe = policy("retail/eu", response_storage="Allow", jurisdictions=["DE"])
    try:
        pair.push(storing(policies=[europe]))
        heard = refusal(client(), stored)
        assert heard["code"] == "no_capable_lane"
        assert "mini/us" in heard["said"]
        there = client().responses.create(input=ASK, **STORY).id
        pair.push(storing())
        raw = client().responses.with_raw_response.create(
            input="And then?", previous_response_id=there, **STORY
        )
        assert [each["lane"] for each in client.run(raw)["attempts"]] == ["eu"]
    finally:
        pair.push(storing())


def test_without_a_policy_nothing_is_stored_and_what_was_can_be_continued(
    pair: Fleet, client: Clients
) -> None:
    stored = client().responses.create(input=ASK, **STORY).id
    try:
        pair.push(storing(policies=[]))
        made = client()
        answer = made.responses.create(input="And?", previous_response_id=stored, **STORY)
        assert answer.model_dump()["store"] is False
        assert refusal(made, answer.id)["code"] == "previous_response_not_found"
        with pytest.raises(openai.PermissionDeniedError) as caught:
            made.responses.create(input=ASK, store=True, **STORY)
        error: Any = caught.value.body
        assert (error["code"], error["param"]) == ("storage_not_permitted", "store")
    finally:
        pair.push(storing())


def test_another_vendor_s_model_cannot_continue_what_openai_stores(client: Clients) -> None:
    stored = client().responses.create(input=ASK, **STORY).id
    assert refusal(client(), stored, model="haiku")["code"] == "no_capable_lane"


def test_what_another_vendor_answers_is_stored_nowhere(client: Clients) -> None:
    """Nobody wanted it stored by name, so that any lane will do."""
    answer = client().responses.create(input=ASK, **STORY | {"model": "haiku"})
    assert refusal(client(), answer.id)["code"] == "previous_response_not_found"
