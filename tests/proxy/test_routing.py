"""The route decision, as tables: who may carry a request, in which order, and what a no says."""

from typing import Any

import msgspec
import pytest

from signalbox_proxy.classification import Facts
from signalbox_proxy.decision_record import decision_record
from signalbox_proxy.model_request import ModelRequest
from signalbox_proxy.routing import Decision, decide
from signalbox_proxy.runtime import Runtime
from signalbox_snapshot.snapshot import Match, Model, Quality, Snapshot
from support.snapshots import (
    EU,
    PLATFORM,
    agent,
    asset,
    budget,
    domain,
    embedder,
    haiku,
    lane,
    mini,
    model,
    nano,
    policy,
    price,
    small,
    snapshot,
)

NOW = 1_000


def request(**changes: Any) -> ModelRequest:
    text = "Say hello to the world."
    plain = ModelRequest(
        surface="chat",
        body={},
        model="mini",
        stream=False,
        wants_stream_usage=False,
        text_bytes=len(text),
        texts=(text,),
        messages=1,
        tools=0,
        images=0,
        input_tokens=0,
        output_limit=None,
        choices=1,
        needs=frozenset({"chat"}),
        tool_names=(),
        cache_write="none",
        output_schema=None,
        user="",
    )
    return msgspec.structs.replace(plain, **changes)


def decided(
    given: Snapshot | None = None, asked: ModelRequest | None = None, **facts: Any
) -> Decision:
    runtime = Runtime.build(given or snapshot(), version="v", generation=1)
    who = runtime.agents[facts.pop("agent", "retail/support")]
    fields: dict[str, Any] = {
        "agent": who.agent,
        "domain": who.domain,
        "workload": "",
        "task": "",
        "session": "",
        "user": "",
        "sensitivity": 1,
        "jurisdictions": None,
        "data_assets": (),
        "pin": False,
        "now_s": NOW,
    }
    return decide(runtime, Facts(**fields | facts), asked or request())


def lanes(decision: Decision) -> list[str]:
    return [quote.lane.id.removeprefix(f"{PLATFORM}/") for quote in decision.ranking]


def code(decision: Decision) -> str:
    assert decision.refusal is not None, lanes(decision)
    assert not decision.ranking
    return decision.refusal.code


def steps(decision: Decision) -> dict[str, str]:
    return {loss.lane.id.removeprefix(f"{PLATFORM}/"): loss.step for loss in decision.losses}


def test_a_model_asked_for_is_a_pin_and_its_lanes_stay_free() -> None:
    assert lanes(decided()) == ["mini/us", "mini/eu"]
    assert lanes(decided(asked=request(model="small"))) == ["small/fr"]


@pytest.mark.parametrize(
    ("lock", "expected"),
    [
        (None, ["mini/us", "mini/eu"]),
        (["US"], ["mini/us"]),
        (EU, ["mini/eu"]),
        (["DE", "US"], ["mini/us", "mini/eu"]),
    ],
)
def test_only_lanes_inside_the_lock_are_left(lock: list[str] | None, expected: list[str]) -> None:
    locked = None if lock is None else frozenset(lock)
    assert lanes(decided(jurisdictions=locked)) == expected


@pytest.mark.parametrize("lock", [["CH"], []])
def test_outside_the_lock_nothing_is_left_not_even_the_only_lane(lock: list[str]) -> None:
    decision = decided(jurisdictions=frozenset(lock))
    assert code(decision) == "residency"
    assert decision.refusal is not None
    assert "retail/main" in decision.refusal.message


def cases() -> dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any], str]]:
    """What fails first of what: changes of lane, of facts, of the request, and the code."""
    regulated = {"sensitivity": 3}
    return {
        "permission before residency": (
            {"models": [f"{PLATFORM}/small"]},
            {"jurisdictions": frozenset({"CH"})},
            {},
            "model_not_permitted",
        ),
        "residency before sensitivity": (
            {},
            {"jurisdictions": frozenset({"CH"})} | regulated,
            {},
            "residency",
        ),
        "sensitivity before capability": (
            {},
            regulated,
            {"needs": frozenset({"chat", "thinking"})},
            "sensitivity_not_permitted",
        ),
        "capability before quality": (
            {},
            {"workload": "hard"},
            {"needs": frozenset({"chat", "thinking"})},
            "no_capable_lane",
        ),
        "quality before price": ({}, {"workload": "hard"}, {}, "quality_floor"),
        "price cap last": ({}, {}, {"output_limit": 30_000}, "quote_exceeds_policy"),
    }


@pytest.mark.parametrize("name", cases())
def test_the_refusal_names_the_first_step_that_removed_the_last(name: str) -> None:
    of_agent, facts, asked, expected = cases()[name]
    weak = mini()
    weak = msgspec.structs.replace(
        weak, lanes=[msgspec.structs.replace(each, max_sensitivity=2) for each in weak.lanes]
    )
    given = snapshot(
        agents=[agent("retail/support", **of_agent)],
        models=[weak, small()],
        policies=[
            policy(match=Match(workloads=["hard"]), quality_floor=900_000),
            policy("retail/cap", max_nano=nano("0.01")),
        ],
    )
    assert code(decided(given, request(**asked), **facts)) == expected


def test_when_lanes_lose_for_different_reasons_the_later_step_is_named() -> None:
    """The American lane is outside the lock, the European one not cleared: both must be known."""
    american, european = mini().lanes
    european = msgspec.structs.replace(european, max_sensitivity=1)
    given = snapshot(models=[model(f"{PLATFORM}/mini", lanes=[american, european])])
    decision = decided(given, jurisdictions=frozenset(EU), sensitivity=2)
    assert code(decision) == "sensitivity_not_permitted"
    assert steps(decision) == {"mini/us": "residency", "mini/eu": "sensitivity"}


@pytest.mark.parametrize(
    ("changes", "asked", "reason"),
    [
        ({"retires_at": NOW}, {}, "retired"),
        ({}, {"needs": frozenset({"embeddings"}), "surface": "embeddings"}, "without embeddings"),
        (
            {"lanes": [lane("b", wire_format="gemini")], "capabilities": ["embeddings"]},
            {"needs": frozenset({"embeddings"}), "surface": "embeddings"},
            "speaks the gemini wire format only",
        ),
        ({}, {"output_limit": 32_001}, "at most 32000 output tokens"),
        ({"lanes": [lane("b", lane_class="batch")]}, {}, "batch lane carries no live request"),
    ],
)
def test_what_a_lane_cannot_do_is_said(
    changes: dict[str, Any], asked: dict[str, Any], reason: str
) -> None:
    given = snapshot(models=[msgspec.structs.replace(mini(), **changes), small()])
    decision = decided(given, request(**asked))
    assert code(decision) == "no_capable_lane"
    assert decision.refusal is not None
    assert reason in decision.refusal.message


def test_after_the_end_of_a_model_its_replacement_answers() -> None:
    ended = {"retires_at": NOW, "replacement": f"{PLATFORM}/small"}
    given = snapshot(models=[msgspec.structs.replace(mini(), **ended), small()])
    assert lanes(decided(given)) == ["small/fr"]
    assert lanes(decided(given, now_s=NOW - 1)) == ["mini/us", "mini/eu"]
    chosen = policy(candidates=[f"{PLATFORM}/mini", f"{PLATFORM}/small"])
    given = msgspec.structs.replace(given, policies=[chosen])
    assert lanes(decided(given)) == ["small/fr"]


def test_a_client_that_insists_on_an_ended_model_is_told_what_replaces_it() -> None:
    ended = {"retires_at": NOW, "replacement": f"{PLATFORM}/small"}
    given = snapshot(models=[msgspec.structs.replace(mini(), **ended), small()])
    decision = decided(given, pin=True)
    assert code(decision) == "no_capable_lane"
    assert decision.refusal is not None
    assert "small replaces it" in decision.refusal.message


def test_a_replacement_widens_no_permission() -> None:
    ended = {"retires_at": NOW, "replacement": f"{PLATFORM}/small"}
    given = snapshot(
        agents=[agent("retail/support", models=[f"{PLATFORM}/mini"])],
        models=[msgspec.structs.replace(mini(), **ended), small()],
    )
    decision = decided(given)
    assert code(decision) == "model_not_permitted"
    assert decision.refusal is not None
    assert "small, which replaces mini" in decision.refusal.message


def test_replacements_in_a_circle_end_where_they_began() -> None:
    mine = msgspec.structs.replace(mini(), retires_at=NOW, replacement=f"{PLATFORM}/small")
    theirs = msgspec.structs.replace(small(), retires_at=NOW, replacement=f"{PLATFORM}/mini")
    assert code(decided(snapshot(models=[mine, theirs]))) == "no_capable_lane"


@pytest.mark.parametrize(("words", "expected"), [(1, ["mini/us", "mini/eu"]), (4000, [])])
def test_what_is_clearly_longer_than_the_context_is_routed_elsewhere(
    words: int, expected: list[str]
) -> None:
    tight = msgspec.structs.replace(mini().limits, context=4096, max_output=4096)
    given = snapshot(models=[msgspec.structs.replace(mini(), limits=tight), small()])
    text = "hello " * words
    decision = decided(given, request(texts=(text,), text_bytes=len(text)))
    assert lanes(decision) == expected
    if not expected:
        assert code(decision) == "no_capable_lane"
        assert decision.refusal is not None
        assert "holds 4096 tokens" in decision.refusal.message


@pytest.mark.parametrize(
    ("constraint", "expected"),
    [
        ({"lane_classes": ["regional"]}, ["mini/eu"]),
        ({"regions": ["us-east-1"]}, ["mini/us"]),
        ({"jurisdictions": ["DE"]}, ["mini/eu"]),
        ({"first_chunk_ms": 500}, ["mini/eu"]),
        ({"lane_classes": ["sovereign"]}, []),
    ],
)
def test_constraints_of_policies_hold(constraint: dict[str, Any], expected: list[str]) -> None:
    slow, fast = mini().lanes
    lanes_ = [msgspec.structs.replace(slow, first_chunk_ms=900), fast]
    given = snapshot(
        models=[model(f"{PLATFORM}/mini", lanes=lanes_)], policies=[policy(**constraint)]
    )
    decision = decided(given)
    assert lanes(decision) == expected
    if not expected:
        assert code(decision) == "no_capable_lane"


def test_a_policys_candidates_replace_the_pin() -> None:
    given = snapshot(policies=[policy(candidates=[f"{PLATFORM}/small"])])
    assert lanes(decided(given)) == ["small/fr"]
    assert lanes(decided(given, request(model="auto"))) == ["small/fr"]


def test_asked_stands_for_the_model_that_was_asked_for() -> None:
    given = snapshot(policies=[policy(candidates=["asked", f"{PLATFORM}/small"])])
    assert lanes(decided(given)) == ["small/fr", "mini/us", "mini/eu"]
    assert lanes(decided(given, request(model="auto"))) == ["small/fr"]


def test_a_caller_that_insists_gets_its_model_or_a_no() -> None:
    given = snapshot(policies=[policy(candidates=["asked", f"{PLATFORM}/small"])])
    assert lanes(decided(given, pin=True)) == ["mini/us", "mini/eu"]
    without = snapshot(policies=[policy(candidates=[f"{PLATFORM}/small"])])
    decision = decided(without, pin=True)
    assert code(decision) == "model_not_permitted"
    assert decision.refusal is not None
    assert "x-signalbox-pin" in decision.refusal.message


@pytest.mark.parametrize("name", ["nothing", "auto", "", "MINI"])
def test_a_model_that_nobody_knows_is_not_found(name: str) -> None:
    decision = decided(asked=request(model=name))
    assert code(decision) == "model_not_found"
    assert decision.refusal is not None
    assert decision.refusal.param == "model"


def two(**changes: Any) -> list[Model]:
    """A good and dear model, fast; a cheap and plain one, slow."""
    return [
        model(
            f"{PLATFORM}/good",
            lanes=[lane("us", price=price("3", "15"), first_chunk_ms=300)],
            quality=Quality(default=900_000, by_workload={"mail": 700_000}),
        ),
        model(
            f"{PLATFORM}/plain",
            lanes=[lane("us", price=price("0.1", "0.4"), first_chunk_ms=800)],
            quality=Quality(default=750_000),
        ),
    ]


@pytest.mark.parametrize(
    ("objective", "workload", "first"),
    [
        (None, "", "plain/us"),
        ("cheapest", "", "plain/us"),
        ("fastest", "", "good/us"),
        ("best", "", "good/us"),
        ("best", "mail", "plain/us"),
    ],
)
def test_the_objective_orders_what_is_acceptable(
    objective: str | None, workload: str, first: str
) -> None:
    both = [f"{PLATFORM}/good", f"{PLATFORM}/plain"]
    given = snapshot(models=two(), policies=[policy(candidates=both, objective=objective)])
    assert lanes(decided(given, request(model="auto"), workload=workload))[0] == first


def test_at_equal_cost_the_lane_beside_the_data_wins_then_the_faster_then_the_id() -> None:
    lanes_ = [
        lane("a", region="r1"),
        lane("b", region="r2", first_chunk_ms=100),
        lane("c", region="r3"),
    ]
    given = snapshot(models=[model(f"{PLATFORM}/mini", lanes=lanes_)])
    assert lanes(decided(given)) == ["mini/b", "mini/a", "mini/c"]
    beside = (asset("retail/x", location="r3"),)
    assert lanes(decided(given, data_assets=beside)) == ["mini/c", "mini/b", "mini/a"]


def test_a_lane_without_a_price_is_never_taken() -> None:
    free = lane("free", price=None)
    both = snapshot(models=[model(f"{PLATFORM}/mini", lanes=[lane("us"), free])])
    assert lanes(decided(both)) == ["mini/us"]
    only = snapshot(models=[model(f"{PLATFORM}/mini", lanes=[free])])
    assert code(decided(only)) == "no_price"


def test_what_has_no_bound_is_refused_by_its_field() -> None:
    blind = snapshot(
        models=[model(f"{PLATFORM}/mini", lanes=[lane("us")], limits={"per_image": 0})]
    )
    decision = decided(blind, request(images=1))
    assert code(decision) == "no_bound"
    assert decision.refusal is not None
    assert "no tokens per image" in decision.refusal.message


@pytest.mark.parametrize(
    "source",
    [
        {"policies": [policy(max_nano=nano("0.003"))]},
        {"budgets": [budget("retail/day", max_per_request=nano("0.003")), budget("wealth/day")]},
        {
            "budgets": [
                budget("retail/day"),
                budget("retail/tokens", unit="tokens", max_per_request=1600),
                budget("wealth/day"),
            ],
            "agents": [agent("retail/support", budgets=["retail/day", "retail/tokens"])],
        },
    ],
)
def test_a_cap_names_the_output_that_would_fit(source: dict[str, Any]) -> None:
    given = snapshot(**source)
    decision = decided(given, request(output_limit=4000))
    assert code(decision) == "quote_exceeds_policy"
    assert decision.refusal is not None
    words = decision.refusal.message.split()
    fits = int(words[words.index("max_tokens") + 2].rstrip(",."))
    assert lanes(decided(given, request(output_limit=fits)))
    assert code(decided(given, request(output_limit=fits + 1))) == "quote_exceeds_policy"


def test_output_defaults_come_from_policy_then_model() -> None:
    assert decided().ranking[0].output_limit == 1024
    given = snapshot(policies=[policy(default_output=77)])
    assert decided(given).ranking[0].output_limit == 77
    assert decided(given, request(output_limit=5)).ranking[0].output_limit == 5
    huge = snapshot(policies=[policy(default_output=99_999)])
    assert decided(huge).ranking[0].output_limit == 32_000


def test_embeddings_have_no_output() -> None:
    asked = request(
        model="embedder", surface="embeddings", needs=frozenset({"embeddings"}), messages=0
    )
    quote = decided(asked=asked).ranking[0]
    assert (quote.output_limit, quote.bound.output) == (None, 0)


def test_attempts_and_deadline_come_from_the_policy() -> None:
    plain = decided()
    assert (plain.attempts, plain.first_chunk_ms) == (3, None)
    given = snapshot(policies=[policy(attempts=5, first_chunk_ms=2000)])
    assert (decided(given).attempts, decided(given).first_chunk_ms) == (5, 2000)
    single = snapshot(policies=[policy(attempts=5, failover=False)])
    assert decided(single).attempts == 1


def test_what_is_in_dry_run_refuses_nothing_and_is_told() -> None:
    given = snapshot(
        policies=[
            policy("retail/quality", quality_floor=999_999, enforcement="DryRun"),
            policy("retail/cap", max_nano=1, enforcement="DryRun"),
        ],
        budgets=[
            budget("retail/day", max_per_request=1, enforcement="DryRun"),
            budget("wealth/day"),
        ],
    )
    decision = decided(given)
    assert lanes(decision) == ["mini/us", "mini/eu"]
    told = " ".join(decision.dry_run_refusals)
    assert "quality 0.8 is under the floor 0.999999 of retail/quality" in told
    assert "quote_exceeds_policy" in told


def test_a_policy_speaks_of_children_of_its_domains() -> None:
    given = snapshot(
        domains=[
            domain("retail/child", ancestors=["retail/main"]),
            domain("retail/main"),
            domain("wealth/main"),
        ],
        agents=[agent("retail/support", domain="retail/child")],
        policies=[policy(match=Match(domains=["retail/main"]), lane_classes=["regional"])],
    )
    assert lanes(decided(given)) == ["mini/eu"]


def test_names_that_clients_invent_do_not_fill_the_memory() -> None:
    given = snapshot(policies=[policy(match=Match(tasks=["known"]), lane_classes=["regional"])])
    runtime = Runtime.build(given, version="v", generation=1)
    facts = decided_facts(runtime)
    for number in range(100):
        runtime.policy_for(msgspec.structs.replace(facts, task=f"t{number}"), "auto")
    known = runtime.policy_for(msgspec.structs.replace(facts, task="known"), "auto")
    assert known.constraints.lane_classes is not None
    assert len(runtime._combined) == 2


def decided_facts(runtime: Runtime) -> Facts:
    who = runtime.agents["retail/support"]
    return Facts(who.agent, who.domain, "", "", "", "", 1, None, (), False, NOW)


def test_the_record_of_600_candidates_stays_small() -> None:
    names = [f"{PLATFORM}/m{number:03d}" for number in range(200)]
    models = [
        model(name, lanes=[lane("a"), lane("b", jurisdiction="DE"), lane("c", jurisdiction="FR")])
        for name in names
    ]
    given = snapshot(models=models, policies=[policy(candidates=names)])
    decision = decided(given, request(model="auto"), jurisdictions=frozenset({"US"}))
    assert len(decision.ranking) == 200
    assert len(decision.losses) == 400
    record = msgspec.json.encode(decision_record(decision))
    assert len(record) < 24_000
    told = decision_record(decision)
    lost = {
        f"{name}/{one}"
        for reasons in told["lost"].values()
        for group in reasons.values()
        for name, some in group.items()
        for one in some
    }
    assert len(lost) == 400


def test_other_models_stay_out_of_it() -> None:
    given = snapshot(models=[embedder(), haiku(), mini(), small()])
    decision = decided(given)
    assert {loss.lane.model.name for loss in decision.losses} <= {"mini"}
