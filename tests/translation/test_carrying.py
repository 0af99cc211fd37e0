"""What stands between the formats and the request path, without either: formats made for it."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import pytest

from signalbox_ledger.records import Usage
from signalbox_proxy.calling import carrier_for
from signalbox_proxy.classification import Facts
from signalbox_proxy.decision_record import decision_record
from signalbox_proxy.model_request import ModelRequest, SurfaceName
from signalbox_proxy.pricing import worst_nano
from signalbox_proxy.refusals import Refusal
from signalbox_proxy.routing import Decision, decide
from signalbox_proxy.runtime import PreparedLane, Runtime
from signalbox_proxy.surfaces import CHAT, MESSAGES
from signalbox_proxy.translation.answer import (
    Answer,
    Counted,
    Ended,
    Event,
    Failed,
    Finished,
    FinishReason,
    PartBegins,
    PartEnds,
    PartGrows,
)
from signalbox_proxy.translation.carrier import TranslatingCarrier, TranslatingReader
from signalbox_proxy.translation.contract import Unreadable, Untranslatable
from signalbox_proxy.translation.conversation import Conversation, Text, ToolCall
from signalbox_proxy.translation.field_names import named_by
from signalbox_proxy.translation.translations import Translations
from signalbox_proxy.wire_formats import cache_write_on
from signalbox_snapshot.snapshot import Lane, Snapshot, WireFormat
from support.snapshots import PLATFORM, haiku, lane, mini, model, policy, snapshot

USAGE = Usage(input=10, output=5)
CHAT_BODY: dict[str, Any] = {"model": "mini", "messages": [{"role": "user", "content": "Hello"}]}
MESSAGE_BODY: dict[str, Any] = CHAT_BODY | {"max_tokens": 100}
MARKED = [{"type": "text", "text": "A contract", "cache_control": {"type": "ephemeral"}}]


class Client:
    """Counts how often it reads; writes the kind of each event."""

    def __init__(self) -> None:
        self.reads = 0

    def read(self, body: dict[str, Any]) -> Conversation:
        self.reads += 1
        return Conversation(system=(), turns=())

    def write_answer(self, request: ModelRequest, answer: Answer, answer_id: str) -> bytes:
        return f"{answer_id}: {answer.parts}".encode()

    def event_writer(self, request: ModelRequest, answer_id: str) -> "Client":
        return self

    def start(self) -> bytes:
        return b"<"

    def write(self, event: Event) -> bytes:
        said = event.message if isinstance(event, Failed) else ""
        return f"[{type(event).__name__}{said}]".encode()


class Provider:
    """Counts how often it writes; reads what it was made with."""

    name: WireFormat = "gemini"

    def __init__(self, *feeds: Sequence[Event] | Unreadable, answer: Answer | None = None) -> None:
        self.writes = 0
        self._feeds = list(feeds)
        self._answer = answer

    def write(self, conversation: Conversation) -> dict[str, Any]:
        self.writes += 1
        return {}

    def text_bytes(self, written: dict[str, Any]) -> int:
        return 0

    def body(
        self, written: dict[str, Any], lane: Lane, *, output_limit: int | None, stream: bool
    ) -> bytes:
        return f"{output_limit} {stream}".encode()

    def path(self, lane: Lane, *, stream: bool) -> str:
        return "/stream" if stream else "/whole"

    def headers(self, client: Mapping[str, str], lane: Lane, credential: str) -> dict[str, str]:
        return {}

    def read_answer(self, body: bytes) -> Answer:
        if self._answer is None:
            raise Unreadable("it is no answer")
        return self._answer

    def event_reader(self) -> "Provider":
        return self

    def feed(self, data: bytes) -> Sequence[Event]:
        found = self._feeds.pop(0)
        if isinstance(found, Unreadable):
            raise found
        return found

    def end(self) -> Sequence[Event]:
        return self.feed(b"") if self._feeds else []

    def error_message(self, body: bytes) -> str:
        return "Bad key sk-abcdefghijklmnopqrstuvwxyz0123456789"


def asked(**changes: Any) -> ModelRequest:
    return CHAT.parse(CHAT_BODY | changes, {})


def decided(given: Snapshot, request: ModelRequest) -> Decision:
    runtime = Runtime.build(given, version="v", generation=1)
    who = runtime.agents["retail/support"]
    return decide(
        runtime, Facts(who.agent, who.domain, "", "", "", "", 1, None, (), False, 0), request
    )


def foreign(wire: WireFormat, **changes: Any) -> Lane:
    return lane("there", wire_format=wire, output_limit_field="max_tokens", **changes)


def prepared(wire: WireFormat) -> PreparedLane:
    given = model(f"{PLATFORM}/mini", lanes=[foreign(wire)])
    return PreparedLane("mini/there", given, given.lanes[0])


def only(*lanes: Lane, **changes: Any) -> Snapshot:
    return snapshot(models=[model(f"{PLATFORM}/mini", lanes=list(lanes), **changes)])


def read(*feeds: Sequence[Event] | Unreadable) -> tuple[TranslatingReader, bytes]:
    """A stream of these feeds, the last of them at its end, and what the client got of it."""
    reader = TranslatingReader(Provider(*feeds), Client())
    passed = b"".join(reader.feed(b"x") for _ in feeds[:-1])
    return reader, passed + reader.end()


def test_a_lane_of_the_client_s_own_format_is_carried_by_the_surface_alone() -> None:
    for surface, body, given in (
        (CHAT, CHAT_BODY, snapshot(models=[mini()])),
        (MESSAGES, MESSAGE_BODY | {"model": "haiku"}, snapshot(models=[haiku()])),
    ):
        decision = decided(given, surface.parse(body, {}))
        assert decision.ranking
        for quote in decision.ranking:
            assert carrier_for(surface, decision, quote.lane, "r_1") is surface
        translations = decision.translations
        assert translations._read is None, "the request was read for a translation"
        assert translations._written == {}, "the request was written for a translation"
        assert "translated_to" not in str(decision_record(decision))


def test_a_request_is_read_once_and_written_once_for_each_format() -> None:
    client, provider, other = Client(), Provider(), Provider()
    translations = Translations(asked(), {"chat": client}, {"gemini": provider, "bedrock": other})
    for _ in range(3):
        assert translations.obstacle(foreign("gemini")) is None
        translations.carrier(foreign("gemini"), "r_1")
        assert translations.obstacle(foreign("bedrock")) is None
    assert (client.reads, provider.writes, other.writes) == (1, 1, 1)


def test_a_format_that_is_not_there_is_no_translation() -> None:
    assert not Translations(asked(), {}, {"gemini": Provider()}).exist("gemini")
    assert not Translations(asked(), {"chat": Client()}, {}).exist("gemini")


@pytest.mark.parametrize("wire", ["anthropic", "bedrock", "gemini"])
def test_a_lane_whose_format_cannot_say_it_is_no_candidate(wire: WireFormat) -> None:
    decision = decided(only(foreign(wire)), asked(n=2))
    assert decision.refusal is not None
    assert (decision.refusal.code, decision.refusal.param) == ("no_capable_lane", "n")
    assert "cannot say n: " in decision.refusal.message
    assert not decision.ranking


def test_where_lanes_lose_for_different_reasons_the_model_is_at_fault() -> None:
    decision = decided(only(foreign("gemini"), lane("b", lane_class="batch")), asked(n=2))
    assert decision.refusal is not None
    assert decision.refusal.param == "model"


def test_a_decision_tells_which_candidates_are_translated() -> None:
    record = decision_record(decided(only(lane("here"), foreign("gemini")), asked()))
    told = {each["lane"]: each.get("translated_to") for each in record["acceptable"]}
    assert told == {f"{PLATFORM}/mini/here": None, f"{PLATFORM}/mini/there": "gemini"}


def test_cache_points_are_asked_of_a_model_only_where_they_go() -> None:
    body = MESSAGE_BODY | {"system": MARKED}
    request = MESSAGES.parse(body, {})
    without = {"capabilities": ["chat"]}
    assert decided(only(foreign("openai"), **without), request).ranking
    assert decided(only(foreign("gemini"), **without), request).ranking
    for wire in ("anthropic", "bedrock"):
        decision = decided(only(foreign(wire), **without), request)
        assert decision.refusal is not None
        assert "without promptCaching" in decision.refusal.message


@pytest.mark.parametrize("capabilities", [["chat"], ["chat", "reasoning"]])
def test_a_model_without_reasoning_is_not_told_to_leave_it_out(capabilities: list[str]) -> None:
    request = MESSAGES.parse(MESSAGE_BODY | {"thinking": {"type": "disabled"}}, {})
    decision = decided(only(foreign("openai"), capabilities=capabilities), request)
    (quote,) = decision.ranking
    carrier = carrier_for(MESSAGES, decision, quote.lane, "r_1")
    body = carrier.upstream_body(request, quote.lane.lane, 10)
    assert (b'"reasoning_effort":"none"' in body) == ("reasoning" in capabilities)


def test_an_effort_needs_a_model_that_reasons() -> None:
    effort = {"output_config": {"effort": "low"}}
    request = MESSAGES.parse(MESSAGE_BODY | effort, {})
    decision = decided(only(foreign("openai"), capabilities=["chat"]), request)
    assert decision.refusal is not None
    assert (decision.refusal.code, decision.refusal.param) == (
        "no_capable_lane",
        "output_config.effort",
    )
    assert decided(only(foreign("openai"), capabilities=["chat", "reasoning"]), request).ranking


def test_a_hold_covers_what_a_lane_s_provider_may_write_to_its_cache() -> None:
    request = MESSAGES.parse(MESSAGE_BODY | {"system": MARKED}, {})
    assert request.cache_write == "5m"
    assert cache_write_on(request, prepared("anthropic")) == "5m"
    assert cache_write_on(request, prepared("bedrock")) == "5m"
    assert cache_write_on(request, prepared("gemini")) == "implicit"
    (quote,) = decided(only(foreign("openai")), request).ranking
    assert quote.worst_nano == worst_nano(quote.bound, quote.price, "implicit")
    told = cache_write_on(asked(), prepared("anthropic"))
    assert told == "none", "it caches where it is asked to"


def test_an_answer_reaches_the_client_in_its_own_words_and_is_judged_by_the_same_reading() -> None:
    parts = (Text("a"), ToolCall("c", "f", "{}"), Text("b"))
    answer = Answer("up-1", parts, "tool_calls", USAGE, provider_finish="TOOL_USE")
    carrier = TranslatingCarrier(Client(), Provider(answer=answer), {}, False, "r_1")
    facts = carrier.read_answer(asked(), b"{}")
    assert facts.body is not None
    assert facts.body.startswith(b"r_1: ")
    assert (facts.usage, facts.finish, facts.text) == (USAGE, "TOOL_USE", "ab")
    assert (facts.ended, facts.complete, facts.has_tool_calls, facts.items) == (True, True, True, 3)
    assert facts.answer_id == "up-1"


def test_an_answer_that_cannot_be_read_has_no_usage() -> None:
    facts = TranslatingCarrier(Client(), Provider(), {}, False, "r_1").read_answer(asked(), b"")
    assert (facts.usage, facts.body, facts.ended) == (None, None, False)
    assert "it is no answer" in facts.error


def test_an_answer_that_the_client_s_format_cannot_hold_is_passed_on_in_no_form() -> None:
    class Small(Client):
        def write_answer(self, request: ModelRequest, answer: Answer, answer_id: str) -> bytes:
            raise Unreadable("it is too long")

    answer = Answer("up-1", (Text("a"),), "stop", USAGE)
    carrier = TranslatingCarrier(Small(), Provider(answer=answer), {}, False, "r_1")
    facts = carrier.read_answer(asked(), b"{}")
    assert (facts.usage, facts.body) == (None, None)
    assert "it is too long" in facts.error


@pytest.mark.parametrize(
    ("finish", "whole"),
    [
        ("stop", True),
        ("tool_calls", True),
        ("stop_sequence", True),
        ("length", False),
        ("content_filter", False),
        ("refusal", False),
    ],
)
def test_an_answer_is_whole_where_the_model_ended_it(finish: FinishReason, whole: bool) -> None:
    answer = Answer("", (Text("a"),), finish, USAGE)
    carrier = TranslatingCarrier(Client(), Provider(answer=answer), {}, False, "r_1")
    assert carrier.read_answer(asked(), b"").complete is whole
    reader, _ = read([PartBegins(0, "text"), Finished(finish), Counted(USAGE, True), Ended()], [])
    assert reader.facts.complete is whole


def test_a_stream_is_begun_once_and_every_event_passed_on() -> None:
    reader, passed = read(
        [],
        [PartBegins(0, "text"), PartGrows(0, "a"), PartEnds(0)],
        [PartBegins(1, "tool_call", "c", "f"), PartGrows(1, '{"x": 1}')],
        [Finished("tool_calls"), Counted(USAGE, True), Ended()],
    )
    assert passed.startswith(b"<[PartBegins]")
    assert passed.count(b"<") == 1
    assert passed.endswith(b"[Ended]")
    facts = reader.facts
    assert (facts.text, facts.items, facts.has_tool_calls) == ("a", 2, True)
    assert (facts.usage, facts.ended) == (USAGE, True)


def test_a_running_count_is_never_the_bill() -> None:
    reader = TranslatingReader(Provider([Counted(USAGE, False), Finished("stop")]), Client())
    reader.feed(b"x")
    assert reader.facts.usage is None


def test_an_implausible_bill_is_none() -> None:
    reader, _ = read([Counted(USAGE, False), Counted(None, True), Ended()], [])
    assert reader.facts.usage is None


def test_a_stream_that_its_provider_did_not_end_is_told_as_cut() -> None:
    with pytest.raises(Refusal) as caught:
        read([PartBegins(0, "text"), PartGrows(0, "a")], [])
    assert caught.value.code == "provider_failed"


def test_a_provider_s_error_is_told_once_and_without_secrets() -> None:
    secret = "sk-abcdefghijklmnopqrstuvwxyz0123456789"
    reader, passed = read([PartBegins(0, "text"), Failed(f"key {secret} is over its limit")], [])
    assert passed.count(b"[Failed") == 1
    assert secret.encode() not in passed
    assert secret not in reader.facts.error
    assert "is over its limit" in reader.facts.error


@pytest.mark.parametrize("at_end", [False, True])
def test_a_stream_that_cannot_be_read_is_a_provider_that_failed(at_end: bool) -> None:
    feeds: tuple[Any, ...] = (
        ([], Unreadable("no event")) if at_end else (Unreadable("no event"), [])
    )
    with pytest.raises(Refusal) as caught:
        read(*feeds)
    assert caught.value.code == "provider_failed"
    assert "no event" in caught.value.message


@pytest.mark.parametrize("at_end", [False, True])
def test_a_stream_that_cannot_be_read_to_its_end_is_not_settled_by_its_bill(at_end: bool) -> None:
    bill = [Finished("stop"), Counted(USAGE, True)]
    more = Unreadable("the answer goes on after its end")
    reader = TranslatingReader(Provider(bill, more), Client())
    reader.feed(b"x")
    assert reader.facts.usage == USAGE
    with pytest.raises(Refusal):
        reader.end() if at_end else reader.feed(b"x")
    assert reader.facts.usage is None


def test_a_provider_s_sentence_is_told_without_secrets_and_without_its_own_field() -> None:
    refusal = TranslatingCarrier(Client(), Provider(), {}, False, "r_1").rejection(422, b"")
    assert (refusal.code, refusal.http_status, refusal.param) == ("provider_rejected", 422, "")
    assert "Bad key" in refusal.message
    assert "sk-abc" not in refusal.message


def test_a_carrier_tells_whether_it_streams_and_what_limits_the_answer() -> None:
    there = foreign("gemini")
    for stream in (False, True):
        carrier = TranslatingCarrier(Client(), Provider(), {}, stream, "r_1")
        request = asked(stream=stream, max_tokens=7)
        assert carrier.upstream_path(there) == ("/stream" if stream else "/whole")
        assert carrier.upstream_body(request, there, 5) == f"5 {stream}".encode()
        assert carrier.upstream_body(request, there, None) == f"7 {stream}".encode()


def test_an_obstacle_of_the_reader_s_is_every_lane_s() -> None:
    class Refusing(Client):
        def read(self, body: dict[str, Any]) -> Conversation:
            raise Untranslatable("logit_bias", "only one vendor has it")

    translations = Translations(asked(), {"chat": Refusing()}, {"gemini": Provider()})
    obstacle = translations.obstacle(foreign("gemini"))
    assert obstacle is not None
    assert obstacle.field == "logit_bias"
    with pytest.raises(Untranslatable):
        translations.carrier(foreign("gemini"), "r_1")


def test_a_policy_moves_a_request_to_another_vendor() -> None:
    chosen = policy(candidates=[f"{PLATFORM}/haiku"])
    given = msgspec.structs.replace(snapshot(models=[mini(), haiku()]), policies=[chosen])
    decision = decided(given, asked())
    assert [quote.lane.lane.wire_format for quote in decision.ranking] == ["anthropic"]


@pytest.mark.parametrize(
    ("surface", "neutral", "own"),
    [
        ("chat", "response_format", "response_format"),
        ("chat", "thinking.budget_tokens", "reasoning_effort"),
        ("chat", "tools[0].parameters", "tools[0].parameters"),
        ("messages", "response_format", "output_config.format"),
        ("messages", "response_format.json_schema.schema.a", "output_config.format.schema.a"),
        ("messages", "parallel_tool_calls", "tool_choice.disable_parallel_tool_use"),
        ("messages", "tools[0].parameters", "tools[0].input_schema"),
        ("messages", "stop", "stop_sequences"),
        ("messages", "messages[2].content", "messages[2].content"),
        ("responses", "messages", "input"),
        ("responses", "reasoning_effort", "reasoning.effort"),
    ],
)
def test_a_client_is_told_its_own_name_of_a_field(
    surface: SurfaceName, neutral: str, own: str
) -> None:
    named = named_by(surface, Untranslatable(neutral, "there is none"))
    assert (named.field, named.why) == (own, "there is none")


def test_what_a_lane_cannot_say_is_told_by_the_client_s_name_of_it() -> None:
    body = MESSAGE_BODY | {"stop_sequences": [" "]}
    decision = decided(only(foreign("bedrock")), MESSAGES.parse(body, {}))
    assert decision.refusal is not None
    assert decision.refusal.param == "stop_sequences"
