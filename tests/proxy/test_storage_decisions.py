"""Who may have an answer stored at its provider, and what a request that continues one becomes."""

import asyncio
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from signalbox_ledger import response_store
from signalbox_ledger.client import ProxyLedger
from signalbox_ledger.database import Database
from signalbox_ledger.opening import open_database
from signalbox_ledger.protocol import FindResponse, KeepResponse
from signalbox_ledger.records import Usage
from signalbox_ledger.replies import StoredResponse
from signalbox_proxy.classification import classify
from signalbox_proxy.decision_record import decision_record
from signalbox_proxy.declarations import NOTHING, Declarations
from signalbox_proxy.model_request import Continued, ModelRequest
from signalbox_proxy.routing import Decision, decide
from signalbox_proxy.runtime import Runtime
from signalbox_proxy.stored_answers import ResponseKeeper, continued
from signalbox_proxy.surfaces import CHAT, RESPONSES
from signalbox_proxy.surfaces.contract import AnswerFacts
from signalbox_snapshot.policy import combine
from signalbox_snapshot.snapshot import Agent, Policy, Snapshot
from support.snapshots import (
    ANTHROPIC,
    PLATFORM,
    agent,
    asset,
    domain,
    lane,
    model,
    policy,
    price,
    snapshot,
)

NOW = 1_777_636_800
HELLO = [{"role": "user", "content": "Hello"}]
STORED = Continued("r_1", f"{PLATFORM}/mini", "us", 5000)


def serving() -> Any:
    """Lanes of OpenAI's format, the dearer one first by name, and one of another format."""
    claude = lane(
        "claude",
        wire_format="anthropic",
        endpoint=f"https://{ANTHROPIC}",
        output_limit_field="max_tokens",
        price=price("0.1", "0.1"),
    )
    here = lane("us", responses_api=True)
    there = lane("eu", responses_api=True, jurisdiction="DE", price=price("0.5", "2"))
    return model(f"{PLATFORM}/mini", lanes=[claude, there, here])


def in_force(*policies: Policy, **changes: Any) -> Runtime:
    made: Snapshot = snapshot(models=[serving()], policies=list(policies), **changes)
    return Runtime.build(made, version="v", generation=1, fleet="f")


def asked(**more: Any) -> ModelRequest:
    return RESPONSES.parse({"model": "mini", "input": "Hello"} | more, {})


def decided(runtime: Runtime, request: ModelRequest, declared: Declarations = NOTHING) -> Decision:
    facts = classify(runtime, runtime.agents["retail/support"].agent, declared, NOW)
    return decide(runtime, facts, request)


def sent(decision: Decision) -> dict[str, Any]:
    best = next(each for each in decision.ranking if "responses" in each.lane.native_to)
    body = RESPONSES.upstream_body(decision.request, best.lane.lane, best.output_limit)
    return dict(msgspec.json.decode(body))


def lanes(decision: Decision) -> list[str]:
    return [quote.lane.lane.name for quote in decision.ranking]


ALLOW = policy("retail/allow", response_storage="Allow")
NEVER = policy("retail/never", response_storage="Never")


@pytest.mark.parametrize(
    ("policies", "stored"),
    [([], False), ([NEVER], False), ([ALLOW], True), ([ALLOW, NEVER], False)],
)
def test_what_the_client_leaves_open_is_stored_only_where_all_policies_let_it(
    policies: list[Policy], stored: bool
) -> None:
    decision = decided(in_force(*policies), asked())
    assert sent(decision)["store"] is stored
    assert decision_record(decision).get("stores", False) is stored


def test_a_client_that_wants_nothing_stored_is_heard() -> None:
    assert sent(decided(in_force(ALLOW), asked(store=False)))["store"] is False


@pytest.mark.parametrize(
    ("policies", "who"), [([], "No RoutePolicy allows"), ([ALLOW, NEVER], "retail/never forbids")]
)
def test_what_may_not_be_stored_is_refused_naming_field_policy_and_fix(
    policies: list[Policy], who: str
) -> None:
    refusal = decided(in_force(*policies), asked(store=True)).refusal
    assert refusal is not None
    assert (refusal.code, refusal.param) == ("storage_not_permitted", "store")
    assert who in refusal.message
    assert "Send store: false" in refusal.message


@pytest.mark.parametrize(
    ("policies", "stored", "code"),
    [
        ([], True, "storage_not_permitted"),
        ([ALLOW, NEVER], True, "storage_not_permitted"),
        ([ALLOW], True, None),
        ([], False, None),
        ([], None, None),
    ],
)
def test_a_chat_completion_is_stored_by_nobody_without_a_policy(
    policies: list[Policy], stored: bool | None, code: str | None
) -> None:
    body = {"model": "mini", "messages": HELLO, "store": stored}
    refusal = decided(in_force(*policies), CHAT.parse(body, {})).refusal
    assert (None if refusal is None else refusal.code) == code


def test_a_provider_that_stores_by_default_is_told_not_to() -> None:
    """New accounts of OpenAI's store completions unless a request says otherwise."""

    def told(provider: str, stored: bool | None) -> object:
        asked = CHAT.parse({"model": "m", "messages": HELLO, "store": stored}, {})
        body = CHAT.upstream_body(asked, lane("us", provider=provider), 5)
        return msgspec.json.decode(body)["store"]

    assert [told("openai", stored) for stored in (None, False, True)] == [False, False, True]
    unsaid = CHAT.parse({"model": "m", "messages": HELLO}, {})
    assert b"store" not in CHAT.upstream_body(unsaid, lane("us", provider="vllm"), 5)


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"truncation": "auto"}, "truncation"),
        ({"reasoning": {"context": "all_turns"}}, "reasoning.context"),
        ({"reasoning": {"context": "current_turn"}}, "reasoning.context"),
    ],
)
def test_of_what_is_stored_no_turn_reads_less_than_the_next(
    more: dict[str, Any], field: str
) -> None:
    """What is remembered is the last answer's usage; by these fields the next turn exceeds it."""
    assert decided(in_force(), asked(**more)).refusal is None
    for request in (asked(**more), continuing(**more)):
        refusal = decided(in_force(ALLOW), request).refusal
        assert refusal is not None
        assert (refusal.code, refusal.param) == ("no_bound", field)
    assert decided(in_force(ALLOW), asked(store=False, **more)).refusal is None


def test_never_holds_whoever_is_more_specific() -> None:
    loud = policy("retail/allow", response_storage="Allow", rank=[1, 9, 9, 9, 9])
    storage = combine([loud, NEVER]).constraints.storage
    assert storage is not None
    assert (storage.value, storage.policy) == ("Never", "retail/never")


def test_a_dry_run_lets_it_pass_and_says_what_it_would_have_refused() -> None:
    trial = policy("retail/never", response_storage="Never", enforcement="DryRun")
    decision = decided(in_force(ALLOW, trial), asked(store=True))
    assert sent(decision)["store"] is True
    assert decision.dry_run_refusals == (
        "storage_not_permitted: RoutePolicy retail/never forbids that a provider stores it",
    )


def test_an_answer_that_must_be_stored_goes_to_no_lane_that_cannot() -> None:
    assert lanes(decided(in_force(ALLOW), asked()))[0] == "claude"
    decision = decided(in_force(ALLOW), asked(store=True))
    assert lanes(decision) == ["eu", "us"]
    assert "cannot say store" in decision.losses[0].reason


def continuing(stored: Continued = STORED, **more: Any) -> ModelRequest:
    """As `stored_answers.continued` makes it of what is remembered."""
    request = asked(previous_response_id="resp_1", **more)
    return msgspec.structs.replace(
        request, continues=stored, input_tokens=request.input_tokens + stored.tokens
    )


def test_what_continues_goes_to_the_lane_that_stores_it_and_holds_what_is_stored() -> None:
    runtime = in_force(ALLOW)
    decision = decided(runtime, continuing())
    assert lanes(decision) == ["us"]
    plain = {quote.lane.lane.name: quote for quote in decided(runtime, asked()).ranking}
    (quote,) = decision.ranking
    assert quote.bound.input == plain["us"].bound.input + STORED.tokens
    assert quote.worst_nano >= plain["us"].worst_nano + STORED.tokens * 1000
    assert quote.expected_nano > plain["us"].expected_nano
    assert decision_record(decision)["continues"] == msgspec.to_builtins(STORED)


def test_stored_input_that_is_longer_than_the_model_takes_is_refused() -> None:
    decision = decided(in_force(), continuing(Continued("r", f"{PLATFORM}/mini", "us", 400_000)))
    assert decision.refusal is not None
    assert decision.refusal.code == "no_capable_lane"


@pytest.mark.parametrize("where", [(f"{PLATFORM}/mini", "gone"), (f"{PLATFORM}/other", "us")])
def test_a_lane_that_may_not_serve_the_request_is_told_with_what_to_do(
    where: tuple[str, str],
) -> None:
    refusal = decided(in_force(), continuing(Continued("r_1", *where, 10))).refusal
    assert refusal is not None
    assert (refusal.code, refusal.param) == ("no_capable_lane", "previous_response_id")
    assert "/".join(where) in refusal.message
    assert "in input instead" in refusal.message


def test_the_lane_that_stores_it_passes_every_check_of_the_day() -> None:
    """Nothing is opened by having been open when the answer was stored."""
    narrow = policy("retail/eu", jurisdictions=["DE"])
    refusal = decided(in_force(narrow), continuing()).refusal
    assert refusal is not None
    assert (refusal.code, "mini/us" in refusal.message) == ("no_capable_lane", True)


def test_a_response_that_nobody_remembers_is_not_found() -> None:
    refusal = decided(in_force(ALLOW), asked(previous_response_id="resp_1")).refusal
    assert refusal is not None
    assert (refusal.code, refusal.http_status) == ("previous_response_not_found", 400)
    assert refusal.param == "previous_response_id"


class _Responses:
    """The ledger's own store, without a process in between."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def keep(self, request: KeepResponse) -> None:
        with self._database.transaction():
            response_store.keep(self._database, request, 0)

    async def find(self, request: FindResponse) -> StoredResponse | None:
        with self._database.transaction():
            return response_store.find(self._database, request, 0).stored


class _Ledger:
    def __init__(self, database: Database) -> None:
        self.responses = _Responses(database)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with closing(open_database(tmp_path / "ledger.db")) as opened:
        yield opened


@pytest.fixture
def ledger(database: Database) -> ProxyLedger:
    return cast("ProxyLedger", _Ledger(database))


def by(user: str = "", session: str = "", **more: Any) -> Declarations:
    said = {"task": "", "workload": "", "sensitivity": None, "data_assets": (), "pin": False}
    return Declarations(user=user, session=session, **said | more)


async def store(
    ledger: ProxyLedger,
    runtime: Runtime,
    who: Agent,
    declared: Declarations,
    name: str,
    **said: Any,
) -> None:
    facts = classify(runtime, who, declared, NOW)
    decision = decide(runtime, facts, asked(**said))
    best = next(quote for quote in decision.ranking if quote.lane.lane.name == "us")
    keeper = ResponseKeeper(ledger, "r_1", facts, decision.request, best.lane)
    usage = Usage(input=100, cached_input=20, output=30)
    await keeper.look(AnswerFacts(usage=usage, ended=True, items=2, stored_id=name))


async def test_what_continues_is_counted_and_classed_as_what_was_stored(
    ledger: ProxyLedger,
) -> None:
    runtime = in_force(
        ALLOW,
        agents=[agent("retail/support"), agent("wealth/advisor")],
        data_assets=[asset("retail/files", sensitivity=2)],
    )
    who = runtime.agents["retail/support"].agent
    secret = by(sensitivity=3, data_assets=("retail/files",))
    mark = {"type": "input_text", "text": "a", "prompt_cache_breakpoint": {"mode": "explicit"}}
    said = [{"role": "user", "content": [mark]}]
    await store(ledger, runtime, who, secret, "resp_1", input=said)
    request, declared = await continued(ledger, who, by(), asked(previous_response_id="resp_1"))
    # what was billed, and the template of two items
    assert request.input_tokens == 150 + 2 * 16
    assert request.continues == Continued("r_1", f"{PLATFORM}/mini", "us", 182)
    assert request.cache_write == "5m"
    facts = classify(runtime, who, declared, NOW)
    assert facts.sensitivity == 3
    assert [each.id for each in facts.data_assets] == ["retail/files"]


async def test_a_request_can_still_be_of_a_higher_class_than_what_it_continues(
    ledger: ProxyLedger,
) -> None:
    runtime = in_force(ALLOW)
    who = runtime.agents["retail/support"].agent
    await store(ledger, runtime, who, by(sensitivity=1), "resp_1")
    _, declared = await continued(
        ledger, who, by(sensitivity=3), asked(previous_response_id="resp_1")
    )
    assert declared.sensitivity == 3


NAMES = st.sampled_from(["", "a", "b", "ab", "ba", "a\0b", "é"])
IDS = st.sampled_from(["resp_1", "resp_2", "resp_12", "r"])

Asker = tuple[str, str, str, str, str]
ASKERS: st.SearchStrategy[Asker] = st.tuples(
    st.sampled_from(["retail/support", "retail/suppor", "wealth/support"]),
    st.sampled_from(["retail/main", "wealth/main"]),
    NAMES,
    NAMES,
    IDS,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(ASKERS, ASKERS)
def test_only_who_had_an_answer_stored_ever_finds_it(
    database: Database, ledger: ProxyLedger, owner: Asker, other: Asker
) -> None:
    """Another agent, domain, user, session or name: there is no such answer."""

    async def stored_then_asked() -> ModelRequest:
        id_, domain_id, user, session, name = owner
        runtime = in_force(
            ALLOW,
            domains=[domain("retail/main"), domain("wealth/main")],
            agents=[agent(id_, domain=domain_id)],
        )
        await store(ledger, runtime, runtime.agents[id_].agent, by(user, session), name)
        id_, domain_id, user, session, name = other
        asker = agent(id_, domain=domain_id)
        request = asked(previous_response_id=name)
        return (await continued(ledger, asker, by(user, session), request))[0]

    with database.transaction():
        database.execute("DELETE FROM stored_response")
    assert (asyncio.run(stored_then_asked()).continues is not None) == (owner == other)
