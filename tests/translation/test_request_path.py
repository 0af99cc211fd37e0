"""Translation as a part of the request path: what is decided, held, failed over, told, charged."""

import contextlib
from collections.abc import Iterator
from typing import Any

import anthropic
import openai
import pytest

from support.crossroads import CHAT_ONLY, FORMATS, HOSTS
from support.market import Market
from support.oracle import AttemptLine, eventually
from support.speakers import Ask, Heard, Speaker

Speakers = dict[str, Speaker]
ASK: list[Any] = [{"role": "user", "content": "What is a bond ladder?"}]
FOREIGN = {
    "chat": [wire for wire in FORMATS if wire != "openai"],
    "messages": [wire for wire in FORMATS if wire != "anthropic"],
    "responses": [CHAT_ONLY, *(wire for wire in FORMATS if wire != "openai")],
}
foreign_pairs = pytest.mark.parametrize(
    ("client", "wire"), [(client, wire) for client, wires in FOREIGN.items() for wire in wires]
)


@pytest.fixture
def chat(crossroads: Market) -> Iterator[openai.OpenAI]:
    key = crossroads.key("buyer")
    with openai.OpenAI(base_url=crossroads.openai_url, api_key=key, max_retries=0) as made:
        yield made
    crossroads.behave()


@pytest.fixture
def claude(crossroads: Market) -> Iterator[anthropic.Anthropic]:
    key = crossroads.key("buyer")
    with anthropic.Anthropic(base_url=crossroads.url, api_key=key, max_retries=0) as made:
        yield made
    crossroads.behave()


def lanes_of(run: dict[str, Any]) -> list[tuple[str, str]]:
    return [(attempt["lane"], attempt["outcome"]) for attempt in run["attempts"]]


def recorded(crossroads: Market, heard: Heard) -> dict[str, Any]:
    crossroads.attempts_of([heard.run_id])
    return crossroads.run(heard.run_id)


def in_session(name: str, ask: Ask) -> Ask:
    """The same request, to be found again by the session that it names."""
    ask.extra["extra_headers"] = {"x-signalbox-session": name}
    return ask


def only_line(crossroads: Market, session: str) -> AttemptLine:
    """The one attempt of a session."""
    (run_id,) = eventually(
        lambda: crossroads.oracle.query(
            "SELECT run_id FROM inference_run WHERE session = ?", session
        ),
        what="the run is recorded",
    )[0]
    (line,) = crossroads.attempts_of([run_id])
    return line


@foreign_pairs
@pytest.mark.parametrize("streamed", [False, True])
def test_what_is_charged_is_the_provider_s_bill_and_what_the_client_is_told(
    speakers: Speakers, crossroads: Market, client: str, wire: str, streamed: bool
) -> None:
    speaker, ask = speakers[client], Ask(system="Be brief.", tools=True, image=True)
    heard = speaker.stream(wire, ask) if streamed else speaker.say(wire, ask)
    (line,) = crossroads.attempts_of([heard.run_id])
    assert line.host == HOSTS[wire]
    assert line.settlement == "usage"
    assert line.bill_pico > 0
    line.assert_right()
    (attempt,) = recorded(crossroads, heard)["attempts"]
    usage = attempt["usage"]
    cached = usage["cached_input"] + usage["cache_write_5m"] + usage["cache_write_1h"]
    assert usage["input"] + cached == heard.input_tokens
    assert usage["output"] == heard.output_tokens


@pytest.mark.parametrize("client", ["chat", "messages", "responses"])
@pytest.mark.parametrize("streamed", [False, True])
def test_one_request_goes_from_format_to_format_until_one_answers(
    speakers: Speakers, crossroads: Market, client: str, streamed: bool
) -> None:
    crossroads.behave(
        {"host": HOSTS["gemini"], "status": 503},
        {"host": HOSTS["openai"], "status": 500},
    )
    speaker, ask = speakers[client], Ask()
    heard = speaker.stream("anywhere", ask) if streamed else speaker.say("anywhere", ask)
    run = recorded(crossroads, heard)
    *failed, (winner, outcome) = lanes_of(run)
    assert failed == [("gemini", "error"), ("openai", "error")]
    assert winner in ("anthropic", "bedrock")
    assert outcome == "answered"
    translated = {
        each["lane"].rpartition("/")[2]: each.get("translated_to")
        for each in run["decision"]["acceptable"]
    }
    own = "anthropic" if client == "messages" else "openai"
    assert translated == {wire: None if wire == own else wire for wire in FORMATS}
    assert heard.text.strip()
    for line in crossroads.attempts_of([heard.run_id]):
        line.assert_right()


@foreign_pairs
def test_a_provider_s_refusal_is_told_in_the_client_s_own_shape(
    speakers: Speakers, client: str, wire: str
) -> None:
    kind = anthropic.APIStatusError if client == "messages" else openai.APIStatusError
    with pytest.raises(kind) as caught:
        speakers[client].say(wire, Ask(prompt="[[status 400]]"))
    body: Any = caught.value.body
    error = body["error"] if client == "messages" else body
    code = error["details"]["error_code"] if client == "messages" else error["code"]
    assert caught.value.status_code == 400
    assert code == "provider_rejected"
    assert error["message"]
    assert not error["message"].startswith("{")


@foreign_pairs
@pytest.mark.parametrize("how", ["cut 3", "malformed 3", "error 3"])
def test_a_stream_that_breaks_is_told_in_the_client_s_own_shape_and_charged(
    speakers: Speakers, crossroads: Market, client: str, wire: str, how: str
) -> None:
    kind = anthropic.APIError if client == "messages" else openai.APIError
    session = f"{client} {wire} {how}"
    ask = in_session(session, Ask(prompt=f"A long story [[tokens 400]] [[{how}]]"))
    with pytest.raises(kind):
        speakers[client].stream(wire, ask)
    line = only_line(crossroads, session)
    assert line.settlement == "full"
    assert line.cost_nano * 1000 >= line.bill_pico > 0


@foreign_pairs
@pytest.mark.parametrize("streamed", [False, True])
def test_an_answer_without_its_usage_is_charged_in_full(
    speakers: Speakers, crossroads: Market, client: str, wire: str, streamed: bool
) -> None:
    session = f"{client} {wire} {streamed} without usage"
    ask = in_session(session, Ask(prompt="Hello [[omit-usage]]"))
    speaker = speakers[client]
    with contextlib.suppress(AssertionError):  # a client that is told no usage
        _ = speaker.stream(wire, ask) if streamed else speaker.say(wire, ask)
    line = only_line(crossroads, session)
    assert line.settlement == "full"
    assert line.cost_nano * 1000 >= line.bill_pico


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"logit_bias": {"1": 2}}, "logit_bias"),
        ({"n": 2}, "n"),
        ({"logprobs": True}, "logprobs"),
    ],
)
@pytest.mark.parametrize("wire", FOREIGN["chat"])
def test_what_no_lane_can_say_is_refused_before_anything_is_sent_naming_the_field(
    chat: openai.OpenAI, crossroads: Market, wire: str, asked: dict[str, Any], field: str
) -> None:
    sent = crossroads.requests([HOSTS[wire]])
    with pytest.raises(openai.UnprocessableEntityError) as caught:
        chat.chat.completions.create(model=wire, messages=ASK, **asked)
    error: Any = caught.value.body
    assert error["code"] == "no_capable_lane"
    assert error["param"] == field
    assert f"cannot say {field}" in error["message"]
    assert crossroads.requests([HOSTS[wire]]) == sent


def test_what_one_format_cannot_say_goes_to_a_lane_that_can(
    chat: openai.OpenAI, crossroads: Market
) -> None:
    raw = chat.chat.completions.with_raw_response.create(
        model="anywhere", messages=ASK, logit_bias={"1": 2}, max_completion_tokens=50
    )
    assert raw.headers["x-signalbox-lane"] == "openai"
    run_id = raw.headers["x-signalbox-run-id"]
    crossroads.attempts_of([run_id])
    lost = crossroads.run(run_id)["decision"]["lost"]["capability"]
    (reason,) = [reason for reason in lost if reason.startswith("cannot say logit_bias")]
    names = next(iter(lost[reason].values()))
    assert sorted(names) == ["anthropic", "bedrock", "gemini"]


def test_a_cache_point_is_no_obstacle_where_the_provider_caches_by_itself(
    claude: anthropic.Anthropic, crossroads: Market
) -> None:
    marked: Any = {
        "type": "text",
        "text": "A contract. " * 50,
        "cache_control": {"type": "ephemeral"},
    }
    raw = claude.messages.with_raw_response.create(
        model="no-cache", max_tokens=50, system=[marked], messages=ASK
    )
    (line,) = crossroads.attempts_of([raw.headers["x-signalbox-run-id"]])
    line.assert_right()


def test_explain_shows_what_a_format_cannot_say(crossroads: Market, tmp_path: Any) -> None:
    body = tmp_path / "body.json"
    body.write_text(
        '{"model": "anthropic", "messages": [{"role": "user", "content": "Hi"}], "n": 2}'
    )
    told = crossroads.running.signalbox(
        "explain", "--agent", "shop/buyer", "--file", str(body), code=1
    )
    assert "cannot say n" in " ".join(told.split())
