"""RoutePolicy: which requests, what must hold for them, what is preferred."""

from typing import Any

from fields.cases import ABSENT, Case
from fields.cases_models import CLAUDE, MODEL, POLICY, RESPONSE
from fields.cases_owners import BOTH, PLAIN, said
from fields.chain import PLATFORM, Ask

GUIDE = "Answer as the guide says. " * 50
LONG = Ask(surface="messages", model="claude", body={"system": GUIDE})
STREAM = Ask(body={"stream": True})
INSTEAD = ["pro/fr"]
FIRST = f"{PLATFORM}/mini/us"


def matched(name: str, story: str, other: str, own: str, ask: Ask = PLAIN) -> Case:
    """A policy that puts `pro` in place of any model: for others first, then for this request."""
    return Case(
        f"RoutePolicy.match.{name}",
        story,
        POLICY,
        [other],
        [own],
        lambda it: it.lanes(ask),
        (BOTH, INSTEAD),
        given={POLICY: {"candidates": ["pro"]}},
    )


def constrained(name: str, story: str, value: Any, expect: Any) -> Case:
    return Case(
        f"RoutePolicy.constraints.{name}",
        story,
        POLICY,
        ABSENT,
        value,
        lambda it: it.lanes(PLAIN),
        (BOTH, expect),
        given={POLICY: {}},
    )


CASES = [
    matched("domains", "this domain's requests", "wealth/wealth", "retail/retail"),
    matched("domains", "the children of a domain", "wealth/wealth", "company"),
    matched("agents", "this agent's requests", "retail/clerk", "retail/search"),
    matched("workloads", "this workload's", "summaries", "advice", said(workload="advice")),
    matched("tasks", "this task's", "draft", "review", said(task="review")),
    matched("models", "who asks for this model", "claude", "mini"),
    Case(
        "RoutePolicy.match.models",
        "auto means something where a policy says so",
        POLICY,
        ["mini"],
        ["auto"],
        lambda it: it.lanes(Ask(model="auto")),
        ("model_not_found", INSTEAD),
        given={POLICY: {"candidates": ["pro"]}},
    ),
    matched("sensitivities", "requests of this class", "regulated", "internal"),
    constrained("laneClasses", "regional lanes only", ["regional"], ["mini/de"]),
    constrained("regions", "lanes of one region only", ["us-east"], ["mini/us"]),
    constrained("jurisdictions", "lanes in Europe only", ["EU"], ["mini/de"]),
    constrained("qualityFloor", "no model that is not good enough", "0.7", "quality_floor"),
    constrained("maxUsd", "nothing that may cost more", "0.002", "quote_exceeds_policy"),
    constrained("maxUsd", "dearer lanes are left out", "0.0027", ["mini/us"]),
    Case(
        "RoutePolicy.constraints.firstChunkMs",
        "a stream without a first chunk is given up after it",
        POLICY,
        ABSENT,
        500,
        lambda it: it.call(STREAM)["first_chunk_s"],
        (600.0, 0.5),
        given={POLICY: {}},
    ),
    Case(
        "RoutePolicy.candidates",
        "another model serves, and the run names the policy",
        POLICY,
        ["asked"],
        ["pro"],
        lambda it: (it.lanes(PLAIN), it.record(PLAIN)["route_policy"]),
        ((BOTH, f"{PLATFORM}/p"), (INSTEAD, f"{PLATFORM}/p")),
        given={POLICY: {}},
    ),
    Case(
        "RoutePolicy.objective",
        "the best instead of the cheapest",
        POLICY,
        ABSENT,
        "best",
        lambda it: it.lanes(PLAIN),
        ([*BOTH, *INSTEAD], [*INSTEAD, *BOTH]),
        given={POLICY: {"candidates": ["mini", "pro"]}},
    ),
    Case(
        "RoutePolicy.defaults.maxOutputTokens",
        "the limit of requests that state none",
        POLICY,
        ABSENT,
        300,
        lambda it: it.call(PLAIN)["body"]["max_tokens"],
        (1024, 300),
        given={POLICY: {}},
    ),
    Case(
        "RoutePolicy.retries.attempts",
        "so many calls and no more",
        POLICY,
        ABSENT,
        2,
        lambda it: it.answer(PLAIN).decision.attempts,
        (3, 2),
        given={POLICY: {}},
    ),
    Case(
        "RoutePolicy.failover",
        "one call and no more",
        POLICY,
        ABSENT,
        False,
        lambda it: it.answer(PLAIN).decision.attempts,
        (3, 1),
        given={POLICY: {}},
    ),
    Case(
        "RoutePolicy.promptCaching",
        "a system prompt without a cache point gets one",
        POLICY,
        ABSENT,
        "Place",
        lambda it: it.call(LONG)["body"]["system"],
        (GUIDE, [{"type": "text", "text": GUIDE, "cache_control": {"type": "ephemeral"}}]),
        given={POLICY: {}, f"{CLAUDE}: price.cacheWrite": {"5m": "3.75"}},
    ),
    Case(
        "RoutePolicy.responses.store",
        "what the client leaves open is stored",
        POLICY,
        "Never",
        "Allow",
        lambda it: it.call(RESPONSE)["body"]["store"],
        (False, True),
        given={POLICY: {}, f"{MODEL}: lanes.0.responsesApi": True},
    ),
    Case(
        "RoutePolicy.enforcement",
        "in dry run the floor refuses nobody",
        POLICY,
        "Enforce",
        "DryRun",
        lambda it: it.lanes(PLAIN),
        ("quality_floor", BOTH),
        given={POLICY: {"constraints": {"qualityFloor": "0.7"}}},
    ),
    Case(
        "RoutePolicy.constraints.qualityFloor",
        "in dry run the run says what the floor would have refused",
        POLICY,
        "0.6",
        "0.7",
        lambda it: it.record(PLAIN)["dry_run_refusals"],
        (
            [],
            [f"RoutePolicy: {FIRST}: quality 0.6 is under the floor 0.7 of {PLATFORM}/p"],
        ),
        given={POLICY: {"enforcement": "DryRun"}},
    ),
]
