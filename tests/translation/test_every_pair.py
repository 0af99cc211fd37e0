"""Every client meets every provider: what an application says arrives, what it hears is whole.

Real processes: official SDKs in Python and JavaScript, the proxy, the simulated provider, which is
strict.
"""

import json
import os

import pytest

from support import matrix
from support.crossroads import CHAT_ONLY, FORMATS
from support.matrix import SEEN
from support.speakers import Ask, Heard, Speaker

CLIENTS = ("chat", "messages", "responses")
PAIRS = [*((client, wire) for client in CLIENTS for wire in FORMATS), ("responses", CHAT_ONLY)]
pairs = pytest.mark.parametrize(("client", "wire"), PAIRS)
Speakers = dict[str, Speaker]


def whole(heard: Heard, finish: str = "stop") -> Heard:
    assert heard.finish == finish
    assert heard.input_tokens > 0
    assert heard.output_tokens > 0
    assert heard.run_id
    return heard


@pairs
def test_a_question_is_answered(speaker: Speaker, wire: str) -> None:
    heard = whole(speaker.say(wire, Ask(system="Be brief.")))
    assert heard.text.strip()
    assert not heard.calls


@pairs
def test_a_stream_says_what_the_whole_answer_says(speaker: Speaker, wire: str) -> None:
    said, streamed = speaker.say(wire, Ask()), speaker.stream(wire, Ask())
    assert streamed.text == said.text
    assert (streamed.finish, streamed.output_tokens) == (said.finish, said.output_tokens)
    assert streamed.input_tokens == said.input_tokens
    assert streamed.model == said.model


@pairs
@pytest.mark.parametrize("count", [1, 2])
def test_tools_are_called_and_their_results_go_back(
    speaker: Speaker, wire: str, count: int
) -> None:
    asking = Ask(prompt=f"Weather in Oslo and Rome? [[tool {count}]]", tools=True)
    called = whole(speaker.say(wire, asking), "tools")
    assert [call.name for call in called.calls] == ["weather"] * count
    assert all(set(call.arguments) == {"place"} for call in called.calls)
    assert len({call.id for call in called.calls}) == count
    told = Ask(
        prompt="Weather in Oslo and Rome?",
        tools=True,
        before=called,
        results={call.id: "rain" for call in called.calls},
    )
    whole(speaker.say(wire, told))


@pairs
def test_tool_calls_come_in_pieces(speaker: Speaker, wire: str) -> None:
    asking = Ask(prompt="Oslo and Rome? [[tool 2]]", tools=True)
    said, streamed = speaker.say(wire, asking), speaker.stream(wire, asking)
    assert [call.arguments for call in streamed.calls] == [call.arguments for call in said.calls]
    assert streamed.finish == "tools"


@pairs
@pytest.mark.parametrize("choice", ["required", "tool"])
def test_a_tool_can_be_demanded(speaker: Speaker, wire: str, choice: str) -> None:
    heard = speaker.say(wire, Ask(tools=True, choice=choice))
    assert heard.calls[0].name == "weather"


@pairs
def test_an_image_is_seen(speaker: Speaker, wire: str) -> None:
    with_image = whole(speaker.say(wire, Ask(prompt="What is this?", image=True)))
    without = whole(speaker.say(wire, Ask(prompt="What is this?")))
    assert with_image.input_tokens > without.input_tokens


@pairs
@pytest.mark.parametrize("streamed", [False, True])
def test_an_answer_has_the_form_that_was_asked_for(
    speaker: Speaker, wire: str, streamed: bool
) -> None:
    ask = Ask(prompt="A ladder", schema=True)
    heard = whole(speaker.stream(wire, ask) if streamed else speaker.say(wire, ask))
    ladder = json.loads(heard.text)
    assert set(ladder) == {"rungs", "issuer"}
    assert isinstance(ladder["rungs"], int)


@pairs
def test_an_output_limit_is_kept_and_told(speaker: Speaker, wire: str) -> None:
    heard = whole(speaker.say(wire, Ask(limit=16)), "length")
    assert heard.output_tokens == 16


@pairs
@pytest.mark.parametrize("streamed", [False, True])
def test_a_model_thinks_first_where_it_is_asked_to(
    speaker: Speaker, wire: str, streamed: bool
) -> None:
    ask = Ask(effort="low", limit=3000)
    assert whole(speaker.stream(wire, ask) if streamed else speaker.say(wire, ask)).text.strip()


@pairs
def test_a_provider_s_error_has_the_client_s_own_shape(speaker: Speaker, wire: str) -> None:
    with pytest.raises(speaker.bad_request) as caught:
        speaker.say(wire, Ask(prompt="[[status 400]]"))
    assert "provider_rejected" in str(getattr(caught.value, "body", ""))


@pytest.mark.parametrize("wire", FORMATS)
@pytest.mark.parametrize(
    "ask",
    [
        Ask(system="Be brief."),
        Ask(prompt="Oslo and Rome? [[tool 2]]", tools=True),
        Ask(prompt="A ladder", schema=True),
        Ask(limit=16),
    ],
    ids=["text", "tools", "form", "limit"],
)
def test_all_clients_hear_the_same_from_the_same_provider(
    speakers: Speakers, wire: str, ask: Ask
) -> None:
    """The one that speaks the provider's own format is not translated: it is the measure."""
    heard = {client: speakers[client].say(wire, ask) for client in ("chat", "messages")}
    through_chat = CHAT_ONLY if wire == "openai" else wire
    heard["responses"] = speakers["responses"].say(through_chat, ask)
    measure = heard["messages" if wire == "anthropic" else "chat"]
    for client, each in heard.items():
        assert each.text == measure.text, client
        assert [call.arguments for call in each.calls] == [
            call.arguments for call in measure.calls
        ], client
        assert each.finish == measure.finish, client
        assert each.output_tokens == measure.output_tokens, client
        assert abs(each.input_tokens - measure.input_tokens) <= 8, client


def test_the_documented_matrix_is_what_was_seen(request: pytest.FixtureRequest) -> None:
    """Last of this file: compares, or writes with SIGNALBOX_WRITE_DOCS=1."""
    found = request.config.stash[SEEN]
    expected = {(test, client, wire) for test in matrix.ROWS for client, wire in PAIRS}
    if not expected <= set(found):
        pytest.skip("not all pairs ran")
    table = matrix.rendered(found)
    if os.environ.get("SIGNALBOX_WRITE_DOCS") == "1":
        matrix.write(table)
    assert matrix.documented() == table
