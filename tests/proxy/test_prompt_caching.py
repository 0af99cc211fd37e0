"""What a policy says of prompt caching, in one request: what is sent, what is held, for whom."""

import json
from typing import Any

import pytest

from signalbox_ledger.records import Usage
from signalbox_proxy.cache_affinity import (
    LIFETIME_S,
    LONG_LIFETIME_S,
    MAX_LANES,
    MAX_SESSIONS,
    CacheAffinity,
    CacheHome,
)
from signalbox_proxy.calling import carrier_for, upstream_call
from signalbox_proxy.classification import Facts
from signalbox_proxy.decision_record import decision_record
from signalbox_proxy.routing import Decision, decide
from signalbox_proxy.run_draft import AttemptDraft
from signalbox_proxy.runtime import Runtime
from signalbox_proxy.surfaces import SURFACES
from signalbox_snapshot.snapshot import Lane, Model, Snapshot
from support.snapshots import PLATFORM, agent, domain, lane, model, policy, price, snapshot

NOW = 1_777_636_800
GUIDE = "Answer as the guide says. " * 50
POINT = {"type": "ephemeral"}
TOOLS = [
    {"name": "quote", "input_schema": {"type": "object"}},
    {"name": "trade", "input_schema": {"properties": {"cache_control": {}}, "type": "object"}},
]
MARKED = [{"type": "text", "text": GUIDE, "cache_control": POINT}]
BREAK = {"mode": "explicit"}


def claude(**changes: Any) -> Lane:
    fields = {"provider": "anthropic", "wire_format": "anthropic", "upstream_model": "claude"}
    return lane("there", **fields | {"output_limit_field": "max_tokens"} | changes)


def given(mode: str | None, *lanes: Lane, **changes: Any) -> Snapshot:
    said = {} if mode is None else {"prompt_caching": mode}
    reasoning = ["chat", "documents", "images", "promptCaching", "structuredOutput", "tools"]
    return snapshot(
        models=[model(f"{PLATFORM}/mini", lanes=list(lanes), capabilities=reasoning, **changes)],
        policies=[policy(**said)],
    )


def decided(
    snap: Snapshot, surface: str, body: dict[str, Any], who: str = "retail/support", fleet: str = ""
) -> Decision:
    runtime = Runtime.build(snap, version="v", generation=1, fleet=fleet)
    prepared = runtime.agents[who]
    asked = next(each for each in SURFACES if each.name == surface).parse(body, {})
    facts = Facts(prepared.agent, prepared.domain, "", "", "", "", 1, None, (), False, NOW)
    return decide(runtime, facts, asked)


def sent(decision: Decision, surface: str) -> Any:
    """The body that the best lane is sent."""
    quote = decision.ranking[0]
    carrier = carrier_for(
        next(each for each in SURFACES if each.name == surface), decision, quote.lane, "r_1"
    )
    call = upstream_call(
        carrier, decision.request, quote, headers={}, credential="k", first_chunk_ms=None
    )
    return json.loads(call.body)


def message(**more: Any) -> dict[str, Any]:
    said = [{"role": "user", "content": "Hello"}]
    return {"model": "mini", "max_tokens": 100, "messages": said} | more


def chat(**more: Any) -> dict[str, Any]:
    said = [{"role": "system", "content": GUIDE}, {"role": "user", "content": "Hello"}]
    return {"model": "mini", "messages": said} | more


def points_in(body: Any) -> int:
    return json.dumps(body).count('"cache_control": {"type"') + json.dumps(body).count("cachePoint")


@pytest.mark.parametrize("mode", [None, "Keep"])
@pytest.mark.parametrize(
    ("surface", "body"),
    [
        ("messages", message(system=MARKED, tools=TOOLS)),
        ("messages", message(system=GUIDE)),
        ("count_tokens", {"model": "mini", "messages": [{"role": "user", "content": "Hello"}]}),
    ],
)
def test_where_nothing_is_said_the_request_is_the_client_s_own(
    mode: str | None, surface: str, body: dict[str, Any]
) -> None:
    decision = decided(given(mode, claude()), surface, body)
    assert decision.request.body is body
    assert not decision.request.places_points
    assert points_in(sent(decision, surface)) == points_in(body)
    assert "prompt_caching" not in decision_record(decision)


def test_points_are_placed_behind_tools_system_prompt_and_the_last_document() -> None:
    document = {
        "type": "document",
        "source": {"type": "text", "media_type": "text/plain", "data": "D"},
    }
    said = [{"role": "user", "content": [document, document, {"type": "text", "text": "So?"}]}]
    body = message(system=GUIDE, tools=TOOLS, messages=said)
    before = json.dumps(body)
    got = sent(decided(given("Place", claude()), "messages", body), "messages")
    assert got["tools"] == [TOOLS[0], TOOLS[1] | {"cache_control": POINT}]
    assert got["system"] == [{"type": "text", "text": GUIDE, "cache_control": POINT}]
    first, second, text = got["messages"][0]["content"]
    assert ("cache_control" in first, second["cache_control"]) == (False, POINT)
    assert text == {"type": "text", "text": "So?"}
    assert json.dumps(body) == before, "what the client sent is not changed"


@pytest.mark.parametrize("wire", ["anthropic", "bedrock"])
def test_a_translated_request_gets_them_too(wire: Any) -> None:
    tool = {"type": "function", "function": {"name": "quote", "parameters": {"type": "object"}}}
    there = claude(wire_format=wire, upstream_model="anthropic.claude")
    got = sent(decided(given("Place", there), "chat", chat(tools=[tool])), "chat")
    assert points_in(got) == 2
    assert points_in(sent(decided(given(None, there), "chat", chat(tools=[tool])), "chat")) == 0


@pytest.mark.parametrize(
    ("surface", "body"),
    [
        ("messages", message(system=GUIDE, cache_control=POINT)),
        ("messages", message(system="Be brief.")),
        ("messages", message(messages=[{"role": "user", "content": GUIDE}])),
        ("chat", chat(prompt_cache_options={"mode": "explicit"})),
    ],
    ids=["points of its own", "too short to be kept", "nothing to share", "none wanted"],
)
def test_none_are_placed_where_they_are_of_no_use(surface: str, body: dict[str, Any]) -> None:
    decision = decided(given("Place", claude()), surface, body)
    assert not decision.request.places_points
    assert points_in(sent(decision, surface)) == points_in(body)


@pytest.mark.parametrize(
    "made",
    [
        model(f"{PLATFORM}/mini", lanes=[claude(price=price("1", "4", cache_write_5m=None))]),
        model(f"{PLATFORM}/mini", lanes=[claude()], capabilities=["chat"]),
    ],
    ids=["without a price", "without the capability"],
)
def test_none_are_placed_where_a_write_has_no_price_or_is_none(made: Model) -> None:
    asked = message(system=GUIDE)
    place = snapshot(models=[made], policies=[policy(prompt_caching="Place")])
    decision = decided(place, "messages", asked)
    assert points_in(sent(decision, "messages")) == 0
    plain = decided(snapshot(models=[made]), "messages", asked)
    assert decision.ranking[0].worst_nano == plain.ranking[0].worst_nano


def test_what_is_placed_is_held_at_the_price_of_writing() -> None:
    placed = decided(given("Place", claude()), "messages", message(system=GUIDE)).ranking[0]
    plain = decided(given(None, claude()), "messages", message(system=GUIDE)).ranking[0]
    assert placed.bound == plain.bound
    assert placed.worst_nano - plain.worst_nano == placed.bound.input * 250


@pytest.mark.parametrize("wire", ["anthropic", "bedrock"])
def test_off_leaves_no_point_wherever_it_stood(wire: Any) -> None:
    inner = {"type": "text", "text": "R", "cache_control": POINT}
    called = {"type": "tool_use", "id": "t", "name": "quote", "input": {"cache_control": POINT}}
    result = {"type": "tool_result", "tool_use_id": "t", "content": [inner], "cache_control": POINT}
    said = [
        {"role": "user", "content": [{"type": "text", "text": "Q", "cache_control": POINT}]},
        {"role": "assistant", "content": [called | {"cache_control": POINT}]},
        {"role": "user", "content": [result]},
    ]
    tools = [TOOLS[0] | {"cache_control": POINT}, TOOLS[1]]
    body = message(system=MARKED, tools=tools, messages=said, cache_control=POINT)
    there = claude(wire_format=wire, upstream_model="anthropic.claude")
    decision = decided(given("Off", there), "messages", body)
    assert decision.request.cache_write == "none"
    got = sent(decision, "messages")
    assert points_in(got) == 1, "what a tool was called with is no cache point"
    if wire == "anthropic":
        assert got["messages"][1]["content"] == [called]
        assert got["tools"] == TOOLS


def test_off_asks_openai_for_nothing_that_is_kept() -> None:
    said = [
        {
            "role": "user",
            "content": [{"type": "text", "text": "Q", "prompt_cache_breakpoint": BREAK}],
        }
    ]
    wishes = {"prompt_cache_key": "k", "prompt_cache_retention": "24h"}
    body = chat(messages=said, prompt_cache_options={"mode": "implicit"}, **wishes)
    decision = decided(given("Off", lane("us")), "chat", body)
    got = sent(decision, "chat")
    assert "breakpoint" not in json.dumps(got)
    assert not set(wishes) & set(got)
    assert got["prompt_cache_options"] == {"mode": "explicit"}
    assert decision.request.cache_write == "none"
    plain = decided(given("Off", lane("us")), "chat", chat()).request
    assert plain.cache_write == "implicit", "what it keeps unasked is held for"


def two_domains(mode: str) -> Snapshot:
    return snapshot(
        models=[model(f"{PLATFORM}/mini", lanes=[lane("us")])],
        domains=[domain("retail/main"), domain("wealth/main")],
        agents=[agent("retail/support"), agent("wealth/advisor")],
        policies=[policy(prompt_caching=mode)],
    )


@pytest.mark.parametrize(("surface", "more"), [("chat", {}), ("responses", {"input": "Hello"})])
def test_a_client_s_cache_key_becomes_its_domain_s_own(surface: str, more: dict[str, Any]) -> None:
    body = (chat() if surface == "chat" else {"model": "mini"}) | more | {"prompt_cache_key": "k"}
    there = lane("us", responses_api=True)
    snap = two_domains("Keep")
    snap = snapshot(
        models=[model(f"{PLATFORM}/mini", lanes=[there])], domains=snap.domains, agents=snap.agents
    )
    keys = {
        (who, fleet): sent(decided(snap, surface, body, who, fleet), surface)["prompt_cache_key"]
        for who in ("retail/support", "wealth/advisor")
        for fleet in ("one", "two")
    }
    assert len(set(keys.values())) == 4
    assert all(key.startswith("sb-") and len(key) <= 64 for key in keys.values())
    assert (
        sent(decided(snap, surface, body, fleet="one"), surface)["prompt_cache_key"]
        == (keys["retail/support", "one"])
    ), "the same again, or nothing would be found"


def test_placing_gives_a_key_to_lanes_that_are_known_to_take_one() -> None:
    keys = {
        who: sent(decided(two_domains("Place"), "chat", chat(), who), "chat")["prompt_cache_key"]
        for who in ("retail/support", "wealth/advisor")
    }
    assert keys["retail/support"] != keys["wealth/advisor"]
    other = given("Place", lane("us", provider="vllm"))
    assert "prompt_cache_key" not in sent(decided(other, "chat", chat()), "chat")
    asked = message(system=GUIDE)
    translated = sent(decided(two_domains("Place"), "messages", asked), "messages")
    assert translated["prompt_cache_key"] == keys["retail/support"]


def test_a_client_cannot_spell_the_key_of_another_domain() -> None:
    snap = two_domains("Place")
    theirs = sent(decided(snap, "chat", chat(), "wealth/advisor"), "chat")["prompt_cache_key"]
    mine = sent(decided(snap, "chat", chat(prompt_cache_key=theirs)), "chat")["prompt_cache_key"]
    assert mine != theirs


def session(name: str = "s", now_s: int = NOW) -> Facts:
    return Facts(agent(), domain(), "", "", name, "", 1, None, (), False, now_s)


def test_what_a_session_has_cached_is_known_for_as_long_as_providers_keep_it() -> None:
    runtime = Runtime.build(given(None, claude()), version="v", generation=1)
    (there,) = runtime.models[f"{PLATFORM}/mini"].lanes
    table = price("1", "4", "0.1")
    kept = CacheAffinity()
    kept.note(session(), there, table, Usage(input=9, cache_write_5m=5000), NOW)
    assert kept.of(session()) == {CacheHome.of(there): 5000}
    assert kept.of(session("other")) == kept.of(session("")) == {}
    assert kept.of(session(now_s=NOW + LIFETIME_S)) == {}
    kept.note(session(), there, table, Usage(cached_input=10, cache_write_1h=5000), NOW)
    assert kept.of(session(now_s=NOW + LIFETIME_S)) == {CacheHome.of(there): 5010}
    kept.note(session(), there, table, Usage(input=7000), NOW)
    assert kept.of(session()) == {CacheHome.of(there): 5010}, "what is kept is not forgotten aside"
    assert kept.of(session(now_s=NOW + LONG_LIFETIME_S)) == {}
    kept.note(session("brief"), there, table, Usage(input=7000), NOW)
    assert kept.of(session("brief")) == {}, "it was not asked to keep anything"
    (by_itself,) = (
        Runtime.build(given(None, lane("us")), version="v", generation=1)
        .models[f"{PLATFORM}/mini"]
        .lanes
    )
    kept.note(session(), by_itself, table, Usage(input=7000), NOW)
    assert kept.of(session())[CacheHome.of(by_itself)] == 7000


def test_sessions_and_their_lanes_are_forgotten_within_bounds() -> None:
    kept = CacheAffinity()
    lanes = [claude(endpoint=f"https://{n}.example") for n in range(MAX_LANES + 1)]
    homes = []
    for there in lanes:
        runtime = Runtime.build(given(None, there), version="v", generation=1)
        (prepared,) = runtime.models[f"{PLATFORM}/mini"].lanes
        homes.append(CacheHome.of(prepared))
        kept.note(session(), prepared, price("1", "4"), Usage(cached_input=2000), NOW)
    assert set(kept.of(session())) == set(homes[1:])
    for number in range(MAX_SESSIONS):
        kept.note(session(f"s{number}"), prepared, price("1", "4"), Usage(cached_input=1), NOW)
    assert kept.of(session()) == {}
    assert len(kept._sessions) == MAX_SESSIONS


def test_a_lane_that_a_newer_snapshot_points_elsewhere_holds_nothing() -> None:
    found = [
        Runtime.build(given(None, claude(endpoint=host)), version="v", generation=1)
        for host in ("https://a.example", "https://b.example")
    ]
    one, other = (CacheHome.of(each.models[f"{PLATFORM}/mini"].lanes[0]) for each in found)
    assert one != other


def test_a_count_of_tokens_is_held_for_nothing() -> None:
    body = {"model": "mini", "system": GUIDE, "messages": message()["messages"]}
    quote = decided(given("Place", claude()), "count_tokens", body).ranking[0]
    assert [quote.amount(unit) for unit in ("usd", "tokens", "requests")] == [0, 0, 1]


def test_an_attempt_says_which_format_was_spoken() -> None:
    quote = decided(given(None, claude()), "messages", message()).ranking[0]
    attempt = AttemptDraft(number=1, quote=quote, started_at=NOW, holds=[]).record()
    assert attempt.wire_format == "anthropic"
