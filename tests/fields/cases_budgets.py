"""Budget: whose account, how much, in which window."""

from typing import Any

from fields.cases import ABSENT, Case
from fields.cases_owners import BOTH, PLAIN, said
from fields.chain import PLATFORM

BUDGET, WIDE = "Budget/retail/b", f"Budget/{PLATFORM}/b"
NAME, DAY = "retail/b", f"{PLATFORM}/day"
MINI_US = f"{PLATFORM}/mini/us"
DOLLAR = 1_000_000_000


def having(**fields: Any) -> dict[str, Any]:
    """The budget `retail/b` of one dollar a day, changed."""
    plain = {"scope": {"all": True}, "limit": {"usd": "1"}, "window": {"every": "day"}}
    return {BUDGET: plain | fields}


def scoped(**scope: str) -> dict[str, Any]:
    return having(scope=scope)


CASES = [
    Case(
        "Budget.scope.all",
        "every request of the namespace counts, not one agent's alone",
        BUDGET,
        True,
        ABSENT,
        lambda it: it.accounts(PLAIN),
        ([NAME, DAY], [DAY]),
        given=having(),
        also={"scope.agent": (ABSENT, "clerk")},
    ),
    Case(
        "Budget.scope.domain",
        "another domain's requests count",
        WIDE,
        "retail/retail",
        "wealth/wealth",
        lambda it: it.accounts(PLAIN),
        ([f"{PLATFORM}/b", DAY], [DAY]),
        given={WIDE: scoped(domain="retail/retail")[BUDGET]},
    ),
    Case(
        "Budget.scope.agent",
        "another agent's requests count",
        BUDGET,
        "search",
        "clerk",
        lambda it: it.accounts(PLAIN),
        ([NAME, DAY], [DAY]),
        given=scoped(agent="search"),
    ),
    Case(
        "Budget.scope.workload",
        "another workload's requests count",
        BUDGET,
        "advice",
        "summaries",
        lambda it: it.accounts(said(workload="advice")),
        ([NAME, DAY], [DAY]),
        given=scoped(workload="advice"),
    ),
    Case(
        "Budget.per",
        "each user has an account",
        BUDGET,
        ABSENT,
        "user",
        lambda it: it.accounts(said(user="ann")),
        ([NAME, DAY], [f"{NAME} ann", DAY]),
        given=having(),
    ),
    Case(
        "Budget.per",
        "each session has an account",
        BUDGET,
        "user",
        "session",
        lambda it: it.accounts(said(user="ann", session="s-1")),
        ([f"{NAME} ann", DAY], [f"{NAME} s-1", DAY]),
        given=having(per="user"),
    ),
    Case(
        "Budget.per",
        "each agent has an account",
        BUDGET,
        ABSENT,
        "agent",
        lambda it: it.accounts(PLAIN),
        ([NAME, DAY], [f"{NAME} retail/search", DAY]),
        given=having(),
    ),
    Case(
        "Budget.whenMissing",
        "who names no session is refused instead of sharing",
        BUDGET,
        "share",
        "refuse",
        lambda it: it.accounts(PLAIN),
        ([NAME, DAY], "no_budget"),
        given=having(per="session", whenMissing="share"),
    ),
    Case(
        "Budget.limit.usd",
        "a dollar more is a dollar left",
        BUDGET,
        "1",
        "2",
        lambda it: (it.exhausted(NAME, DOLLAR), it.budget(NAME).limit),
        (("True Exhausted", DOLLAR), ("False WithinLimit", 2 * DOLLAR)),
        given=having(),
    ),
    Case(
        "Budget.limit.tokens",
        "a thousand tokens more are left",
        BUDGET,
        1000,
        2000,
        lambda it: it.exhausted(NAME, 1000),
        ("True Exhausted", "False WithinLimit"),
        given=having(limit={"tokens": 1000}),
    ),
    Case(
        "Budget.limit.tokens",
        "tokens are claimed, not money",
        BUDGET,
        ABSENT,
        1000,
        lambda it: it.bound(PLAIN).amount(it.budget(NAME).unit),
        (2_661_003, 1637),
        given=having(),
        also={"limit.usd": ("1", ABSENT)},
    ),
    Case(
        "Budget.limit.requests",
        "one request more is left",
        BUDGET,
        1,
        2,
        lambda it: it.exhausted(NAME, 1),
        ("True Exhausted", "False WithinLimit"),
        given=having(limit={"requests": 1}),
    ),
    Case(
        "Budget.limit.requests",
        "requests are claimed, not money",
        BUDGET,
        ABSENT,
        1000,
        lambda it: it.bound(PLAIN).amount(it.budget(NAME).unit),
        (2_661_003, 1),
        given=having(),
        also={"limit.usd": ("1", ABSENT)},
    ),
    Case(
        "Budget.window.every",
        "a month instead of a day",
        BUDGET,
        "day",
        "month",
        lambda it: it.window(NAME),
        ("05-01 00:00 - 05-02 00:00", "05-01 00:00 - 06-01 00:00"),
        given=having(),
    ),
    Case(
        "Budget.window.every",
        "a lifetime instead of a week from Monday",
        BUDGET,
        "week",
        "lifetime",
        lambda it: it.window(NAME),
        ("04-27 00:00 - 05-04 00:00", "for ever"),
        given=having(),
    ),
    Case(
        "Budget.window.count",
        "four hours instead of one",
        BUDGET,
        ABSENT,
        4,
        lambda it: it.window(NAME),
        ("05-01 12:00 - 05-01 13:00", "05-01 12:00 - 05-01 16:00"),
        given=having(window={"every": "hour"}),
    ),
    Case(
        "Budget.window.timeZone",
        "the day begins in Tokyo",
        BUDGET,
        ABSENT,
        "Asia/Tokyo",
        lambda it: it.window(NAME),
        ("05-01 00:00 - 05-02 00:00", "04-30 15:00 - 05-01 15:00"),
        given=having(),
    ),
    Case(
        "Budget.maxPerRequest.usd",
        "what may cost more is refused",
        BUDGET,
        "0.003",
        "0.002",
        lambda it: it.lanes(PLAIN),
        (BOTH, "quote_exceeds_policy"),
        given=having(),
    ),
    Case(
        "Budget.maxPerRequest.tokens",
        "what may be longer is refused",
        BUDGET,
        1637,
        1636,
        lambda it: it.lanes(PLAIN),
        (BOTH, "quote_exceeds_policy"),
        given=having(limit={"tokens": 100_000}),
    ),
    Case(
        "Budget.warnAtPercent",
        "status warns at half",
        BUDGET,
        [60],
        [50],
        lambda it: it.exhausted(NAME, DOLLAR // 2),
        ("False WithinLimit", "False WarnLevel"),
        given=having(),
    ),
    Case(
        "Budget.enforcement",
        "in dry run its end refuses nobody",
        BUDGET,
        "Enforce",
        "DryRun",
        lambda it: it.refusing_accounts(PLAIN),
        ([NAME, DAY], [DAY]),
        given=having(),
    ),
    Case(
        "Budget.enforcement",
        "in dry run a request that may cost too much passes, and says so",
        BUDGET,
        "Enforce",
        "DryRun",
        lambda it: (
            it.lanes(PLAIN)
            if isinstance(it.lanes(PLAIN), str)
            else it.record(PLAIN)["dry_run_refusals"]
        ),
        (
            "quote_exceeds_policy",
            [f"quote_exceeds_policy: {MINI_US}: the $0.002 per request of Budget retail/b"],
        ),
        given=having(maxPerRequest={"usd": "0.002"}),
    ),
]
